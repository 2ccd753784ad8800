package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"leadbus/internal/call"
	"leadbus/internal/engine/localpg/pgtest"
	"leadbus/internal/engine/store"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/roster"
	"leadbus/internal/subjects"
	migrations "leadbus/supabase/migrations"
)

const patience = time.Minute

func TestMain(m *testing.M) {
	// The cluster of all tests lives until the test binary ends.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("leadbus/internal/engine/localpg.(*Cluster).launch.func1"), goleak.IgnoreAnyFunction("leadbus/internal/engine/localpg.(*Cluster).keep"),
		goleak.IgnoreTopFunction("os/exec.(*Cmd).watchCtx"))
}

var start = time.Date(2024, 11, 23, 8, 0, 0, 0, time.UTC)

// stream is the events of a market's stream.
type stream struct {
	market string
	events []event.Event
}

func (s *stream) add(id, kind string, body any) {
	n := len(s.events) + 1
	s.events = append(s.events, event.Event{
		ID: fmt.Sprintf("%s-%s-%d", kind, id, n), At: start.Add(time.Duration(n) * 10 * time.Millisecond), Seq: uint64(n),
		Lead: subjects.Lead{Market: s.market, Site: "plombier.example", Event: kind, Lead: id}, Body: body,
	})
}

// whole adds a lead that goes all the way: matched, three messages, each sent
// and delivered; raw is the tool call's body.
func (s *stream) whole(id string, raw string) {
	l := understood(s.market, id)
	s.add(id, subjects.Received, &event.Received{Lead: l, Raw: json.RawMessage(raw)})
	offer := lead.OfferID(id, "lac")
	s.add(id, subjects.Matched, &event.Decided{Lead: l, Offer: offer, Provider: &roster.Provider{ID: "lac", Market: s.market}, Trace: roster.Trace{{Provider: "lac", In: true, Reason: "chosen"}}})
	var ids []string
	for _, m := range []struct{ recipient, channel string }{
		{lead.ToProvider, lead.WhatsApp}, {lead.ToCustomer, lead.SMS}, {lead.ToOwner, lead.Email},
	} {
		mid := lead.MessageID(id, "offer", m.recipient, m.channel, offer)
		ids = append(ids, mid)
		s.add(id, subjects.MessageQueued, &event.Queued{Message: lead.Message{
			ID: mid, Lead: id, Market: s.market, Offer: offer, Purpose: "offer", Recipient: m.recipient, Channel: m.channel, Language: "fr",
			From: "+41225394512", To: "+41781234567", Text: "Bonjour, une fuite à Carouge.", HTML: "<p>Bonjour</p>",
			ContentVariables: map[string]string{"1": l.Request.CustomerName}, Of: 3,
		}})
	}
	for _, mid := range ids {
		s.add(id, subjects.MessageSent, &event.Attempted{Message: mid, Attempt: "a1", Sent: &lead.Sent{VendorID: "SM" + mid, At: start}})
	}
	for _, mid := range ids {
		s.add(id, subjects.ReceiptReceived, &event.Reported{Receipt: lead.Receipt{Message: mid, Vendor: "twilio", State: lead.MessageDelivered, At: start.Add(time.Second)}})
	}
}

func understood(market, id string) lead.Lead {
	yes := true
	return lead.Lead{
		ID: id, Ref: lead.Ref(id), Market: market, Site: "plombier.example", SourceURL: "https://plombier.example", Tracker: "t-1", Language: "fr", ReceivedAt: start,
		Request: lead.Request{
			ConversationID: "conv_" + id, CallSID: "CA1", AgentID: "agent_1", CalledNumber: "+41225394512", CalledAt: start.Add(-time.Minute),
			CustomerName: "Marta Salas", AddressLine: "rue 1", PostalCode: "1227", IssueSummary: "L'évier fuit.", ContactConsent: &yes,
			Clicks: map[string]string{"gclid": "x y"},
		},
		Service: lead.Service{Raw: "fuite", ID: "plumbing.leak", Method: "phrase"},
		Place:   lead.Place{Raw: "Carrouge", ID: "carouge", Name: "Carouge", Method: "fuzzy", Score: 0.97},
		Phone:   lead.Phone{Raw: "078 123 45 67", E164: "+41781234567", Source: "both", Confidence: "high", Type: "mobile", CallerID: "+41781234567"},
		Flags:   []string{"phone_check", `odd "flag" \ here`},
	}
}

func record(tb testing.TB, db *store.Store, market string, events ...event.Event) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := db.Record(ctx, market, events); err != nil {
		tb.Fatal(err)
	}
}

func TestALeadIsReadBackAsItWasRecorded(t *testing.T) {
	t.Parallel()
	db := pgtest.Open(t, pgtest.New(t))
	s := stream{market: "ch"}
	s.whole("lead1", `{"name":"Marta"}`)
	record(t, db, "ch", s.events...)

	got, err := db.Lead(t.Context(), "ch", "lead1")
	if err != nil {
		t.Fatal(err)
	}
	want := understood("ch", "lead1")
	if got.Status != "notified" || got.Service != want.Service.ID || got.PlaceScore != want.Place.Score || got.Provider != "lac" ||
		!got.ReceivedAt.Equal(start) || !got.CalledAt.Equal(start.Add(-time.Minute)) || got.LastSeq != uint64(len(s.events)) {
		t.Errorf("lead %+v", got.Lead)
	}
	if d := cmp.Diff(want.Flags, got.Flags); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(want.Request.Clicks, got.Clicks); d != "" {
		t.Error(d)
	}
	if got.Person.Name != "Marta Salas" || got.Person.Summary != "L'évier fuit." || got.Person.Consent == nil || !*got.Person.Consent {
		t.Errorf("person %+v", got.Person)
	}
	if len(got.Offers) != 1 || got.Offers[0].State != "delivered" || len(got.Messages) != 3 || len(got.Events) != len(s.events) {
		t.Errorf("%d offers, %d messages, %d events", len(got.Offers), len(got.Messages), len(got.Events))
	}
	for _, m := range got.Messages {
		if m.State != "delivered" || m.VendorID != "SM"+m.ID || m.SentAt.IsZero() || m.Content == nil || m.Content.Body != "Bonjour, une fuite à Carouge." {
			t.Errorf("message %+v with %+v", m, m.Content)
		}
	}

	for name, key := range map[string][2]string{"reference": {"ch", lead.Ref("lead1")}, "any market": {"", "lead1"}} {
		if l, err := db.Lead(t.Context(), key[0], key[1]); err != nil || l.ID != "lead1" || l.Market != "ch" || len(l.Messages) != 3 {
			t.Errorf("by %s: %q of %q, %v", name, l.ID, l.Market, err)
		}
	}
	if _, err := db.Lead(t.Context(), "id", "lead1"); !errors.Is(err, event.ErrNotFound) {
		t.Errorf("another market reads it: %v", err)
	}
	if _, err := db.Lead(t.Context(), "ch", "lead2"); !errors.Is(err, event.ErrNotFound) {
		t.Errorf("a lead that is not there: %v", err)
	}
}

// Callers say what they like; nothing of it is lost, runs, or holds up a batch.
// References are not unique: a person who names one means no test lead.
func TestAReferenceMeansNoTestLead(t *testing.T) {
	db := pgtest.Open(t, pgtest.New(t))
	s := &stream{market: "ch"}
	for _, id := range []string{"lead1", "canary1"} {
		l := understood("ch", id)
		l.Ref = "482 913"
		if id == "canary1" {
			l.Flags, l.ReceivedAt = []string{lead.FlagTest}, l.ReceivedAt.Add(time.Hour)
		}
		s.add(id, subjects.Received, &event.Received{Lead: l, Raw: json.RawMessage("{}")})
	}
	record(t, db, "ch", s.events...)
	if l, err := db.Lead(t.Context(), "ch", "482 913"); err != nil || l.ID != "lead1" {
		t.Errorf("read %q, %v", l.ID, err)
	}
	if l, err := db.Lead(t.Context(), "ch", "canary1"); err != nil || l.ID != "canary1" || !slices.Contains(l.Flags, lead.FlagTest) {
		t.Errorf("read %q with flags %v, %v", l.ID, l.Flags, err)
	}
}

func TestAnyTextIsStored(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := pgtest.Open(t, url)
	texts := map[string]string{
		"emoji":   "👨‍👩‍👧‍👦 🚿",
		"rtl":     "مرحبا \u202e שלום",
		"sql":     `'); drop table leadbus.lead; --`,
		"quotes":  `"{\"a\": [1,2]}" \ $1 {x,"y"} NULL`,
		"nul":     "a\x00b",
		"long":    strings.Repeat("x", 10_000),
		"control": "\x01\x1b[31m\r\n\t",
		"broken":  "a\xffb",
	}
	s := stream{market: "ch"}
	for name, text := range texts {
		l := understood("ch", name)
		l.Request.CustomerName, l.Request.IssueSummary, l.Place.Raw, l.Flags = text, text, text, []string{text}
		l.Request.Clicks = map[string]string{"utm": text}
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		s.add(name, subjects.Received, &event.Received{Lead: l, Raw: quoted})
		s.add(name, subjects.MessageQueued, &event.Queued{Message: lead.Message{ID: "m" + name, Text: text, Subject: text, ContentVariables: map[string]string{"1": text}}})
	}
	for name, raw := range map[string]string{
		"raw-nul": `{"a":"x\u0000y"}`, "raw-surrogate": `{"a":"\ud800"}`, "raw-number": `{"a":1e999999}`, "raw-keys": `{"a":1,"a":2}`,
		"raw-broken": "{\"a\":\"\xff\"}", "raw-deep": strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
	} {
		s.add(name, subjects.Received, &event.Received{Lead: understood("ch", name), Raw: json.RawMessage(raw)})
	}
	record(t, db, "ch", s.events...)

	for name, text := range texts {
		want := strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "\uFFFD")
		got, err := db.Lead(t.Context(), "ch", name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for field, v := range map[string]string{
			"name": got.Person.Name, "summary": got.Person.Summary, "place": got.PlaceRaw, "flag": got.Flags[0], "click": got.Clicks["utm"],
			"text": got.Messages[0].Content.Body, "variable": got.Messages[0].Content.Variables["1"],
		} {
			if v != want {
				t.Errorf("%s: %s is %.60q, want %.60q", name, field, v, want)
			}
		}
	}
	// The bodies can be reduced again, all of them.
	first := s.events[0]
	first.ID, first.Seq = "straggler", 0
	for i := range s.events {
		e := first
		e.ID, e.Lead.Lead, e.Seq = fmt.Sprintf("straggler-%d", i), s.events[i].Lead.Lead, 0
		record(t, db, "ch", e)
	}
	if n := len(pgtest.Rows(t, url)["lead"]); n != len(texts)+6 {
		t.Errorf("%d leads", n)
	}
}

// A market's rows are its own, whoever forgets to say which market it works for.
func TestMarketsAreKeptApart(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := pgtest.Open(t, url)
	for _, market := range []string{"ch", "id"} {
		s := stream{market: market}
		s.whole("lead-"+market, `{}`)
		record(t, db, market, s.events...)
		provider := example(market)
		if err := db.ImportRoster(t.Context(), []roster.Provider{provider}); err != nil {
			t.Fatal(err)
		}
	}
	tables := []string{"lead", "lead_person", "offer", "message", "message_content", "event", "event_body", "provider", "roster_version"}
	as := func(t *testing.T, market string, f func(pgx.Tx)) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(t.Context()) }()
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "set local role leadbus_recorder"); err != nil {
			t.Fatal(err)
		}
		if market != "" {
			if _, err := tx.Exec(t.Context(), "select set_config('leadbus.market', $1, true)", market); err != nil {
				t.Fatal(err)
			}
		}
		f(tx)
	}
	count := func(t *testing.T, tx pgx.Tx, query string) (n int) {
		t.Helper()
		if err := tx.QueryRow(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, table := range tables {
		as(t, "", func(tx pgx.Tx) {
			if n := count(t, tx, "select count(*) from leadbus."+table); n != 0 {
				t.Errorf("without a market %d rows of %s are seen", n, table)
			}
		})
		as(t, "ch", func(tx pgx.Tx) {
			if n := count(t, tx, "select count(*) from leadbus."+table); n == 0 {
				t.Errorf("ch does not see its %s", table)
			}
			if n := count(t, tx, "select count(*) from leadbus."+table+" where market <> 'ch'"); n != 0 {
				t.Errorf("ch sees %d rows of another market's %s", n, table)
			}
		})
	}
	for name, statement := range map[string]string{
		"insert elsewhere":     "insert into leadbus.lead (market, id, site) values ('id', 'x', 'a.example')",
		"move a row elsewhere": "update leadbus.lead set market = 'id'",
		"delete":               "delete from leadbus.lead",
		"truncate":             "truncate leadbus.event",
		"edit the roster":      "update leadbus.provider set name = 'x'",
	} {
		as(t, "ch", func(tx pgx.Tx) {
			if _, err := tx.Exec(t.Context(), statement); err == nil {
				t.Errorf("the recorder may %s", name)
			}
		})
	}
	as(t, "ch", func(tx pgx.Tx) {
		tag, err := tx.Exec(t.Context(), "update leadbus.lead set reason = 'x' where market = 'id'")
		if err != nil || tag.RowsAffected() != 0 {
			t.Errorf("ch changed %d rows of id: %v", tag.RowsAffected(), err)
		}
	})

	s := stream{market: "id"}
	s.whole("lead-x", `{}`)
	err := db.Record(t.Context(), "ch", s.events)
	if fate, _ := event.Outcome(err, 1); fate != event.Terminate {
		t.Errorf("an event of another market: %v", err)
	}
}

// One event that Postgres refuses is told apart from a database that is away,
// and takes nothing with it that came in another call.
func TestAPoisonedRowIsPermanentAndSaysNothingPersonal(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := pgtest.Open(t, url)
	pgtest.Exec(t, url, "alter table leadbus.lead_person add constraint no_marta check (name <> 'Poison Ivy')")
	good, bad := stream{market: "ch"}, stream{market: "ch"}
	good.whole("good", `{}`)
	l := understood("ch", "bad")
	l.Request.CustomerName = "Poison Ivy"
	bad.add("bad", subjects.Received, &event.Received{Lead: l})

	err := db.Record(t.Context(), "ch", append(slices.Clone(good.events), bad.events...))
	if fate, _ := event.Outcome(err, 1); fate != event.Terminate {
		t.Fatalf("got %v", err)
	}
	if strings.Contains(err.Error(), "Ivy") || !strings.Contains(err.Error(), "no_marta") {
		t.Errorf("the error says %q", err)
	}
	if n := len(pgtest.Rows(t, url)["event"]); n != 0 {
		t.Errorf("half of a refused batch is there: %d events", n)
	}
	record(t, db, "ch", good.events...)
	if l, err := db.Lead(t.Context(), "ch", "good"); err != nil || l.Status != "notified" {
		t.Errorf("after the refusal: %q, %v", l.Status, err)
	}
}

// The rows are the same after one batch, after many small ones in any order
// with repeats, and after a rebuild from nothing.
func TestAReplayMakesTheSameRows(t *testing.T) {
	t.Parallel()
	s := stream{market: "ch"}
	for i := range 8 {
		s.whole(fmt.Sprintf("lead%d", i), `{"a":1}`)
	}
	// Two calls, of which reports came that tell more, and then the first again.
	for _, id := range []string{"lead0", "call"} {
		thin := call.Call{ID: "conv_" + id, Turns: []call.Turn{{Who: call.Agent, Text: "Bonjour"}}, Tools: []call.ToolUse{{Name: "lookup"}, {Name: "lookup"}}}
		full := thin
		full.Tools, full.Turns = thin.Tools[:1], append(slices.Clone(thin.Turns), call.Turn{Who: call.Caller, Text: "J'ai une fuite."})
		s.add(id, subjects.CallEnded, &event.Ended{Call: thin})
		s.add(id, subjects.CallScanned, &event.Scanned{Call: thin, Scan: call.Scan{Why: "short", Findings: []call.Finding{{Detector: call.Short}, {Detector: call.Loop}}}})
		s.add(id, subjects.CallEnded, &event.Ended{Call: full})
		s.add(id, subjects.CallScanned, &event.Scanned{Call: full, Scan: call.Scan{Eligible: true, Findings: []call.Finding{{Detector: call.MissedDispatch}}}})
		s.add(id, subjects.CallEnded, &event.Ended{Call: thin})
	}
	// The stream had forgotten an id and took the event again.
	again := s.events[3]
	again.Seq, again.At = uint64(len(s.events)+1), start.Add(time.Hour)
	s.events = append(s.events, again)

	at := pgtest.New(t)
	record(t, pgtest.Open(t, at), "ch", s.events...)
	want := pgtest.Rows(t, at)
	if len(want["lead"]) != 8 || len(want["message"]) != 24 || len(want["event"]) != len(s.events)-1 {
		t.Fatalf("%d leads, %d messages, %d events", len(want["lead"]), len(want["message"]), len(want["event"]))
	}
	for table, n := range map[string]int{"call": 2, "call_person": 2, "call_turn": 4, "call_tool": 2, "call_scan": 2, "finding": 2} {
		if len(want[table]) != n || strings.Contains(fmt.Sprint(want[table]), call.Loop) {
			t.Errorf("%s holds %v", table, want[table])
		}
	}
	for name, order := range map[string]func([]event.Event) [][]event.Event{
		"one by one": func(all []event.Event) [][]event.Event { return slices.Collect(slices.Chunk(all, 1)) },
		"in sevens":  func(all []event.Event) [][]event.Event { return slices.Collect(slices.Chunk(all, 7)) },
		"backwards": func(all []event.Event) [][]event.Event {
			slices.Reverse(all)
			return slices.Collect(slices.Chunk(all, 5))
		},
		"every other first, then all": func(all []event.Event) [][]event.Event {
			var first []event.Event
			for i := 1; i < len(all); i += 2 {
				first = append(first, all[i])
			}
			return [][]event.Event{first, all}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.New(t)
			db := pgtest.Open(t, url)
			for range 2 {
				for _, part := range order(slices.Clone(s.events)) {
					record(t, db, "ch", part...)
				}
			}
			if d := cmp.Diff(want, pgtest.Rows(t, url)); d != "" {
				t.Error(d)
			}
		})
	}
}

// An id stands for one fact of one lead; another lead's event of that id is
// another fact.
func TestTheSameIDOnTwoLeadsIsTwoEvents(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	s := stream{market: "ch"}
	for _, id := range []string{"lead1", "lead2"} {
		s.add(id, subjects.Received, &event.Received{Lead: understood("ch", id)})
		s.events[len(s.events)-1].ID = "same"
	}
	record(t, pgtest.Open(t, url), "ch", s.events...)
	if n := len(pgtest.Rows(t, url)["event"]); n != 2 {
		t.Errorf("%d events", n)
	}
}

// Several recorders get the events of the same leads at the same time.
func TestConcurrentRecordersOfTheSameLeads(t *testing.T) {
	t.Parallel()
	s := stream{market: "ch"}
	for i := range 6 {
		s.whole(fmt.Sprintf("lead%d", i), `{}`)
	}
	// Every batch touches every lead.
	const recorders = 4
	parts := make([][]event.Event, 2*recorders)
	for i, e := range s.events {
		parts[i%len(parts)] = append(parts[i%len(parts)], e)
	}
	calm := pgtest.New(t)
	record(t, pgtest.Open(t, calm), "ch", s.events...)

	url := pgtest.New(t)
	var wg sync.WaitGroup
	for i := range recorders {
		db := pgtest.Open(t, url)
		wg.Go(func() {
			for j := range parts {
				part := slices.Clone(parts[(i+j)%len(parts)])
				if i%2 == 1 {
					slices.Reverse(part)
				}
				if err := db.Record(context.Background(), "ch", part); err != nil {
					t.Error(err)
				}
			}
		})
	}
	await.Return(t, "everything is recorded", wg.Wait)
	if d := cmp.Diff(pgtest.Rows(t, calm), pgtest.Rows(t, url)); d != "" {
		t.Error(d)
	}
}

// Postgres goes and comes back: calls fail meanwhile, not for good, and work
// again afterwards.
func TestTheDatabaseGoesAndComesBack(t *testing.T) {
	t.Parallel()
	dir := pgtest.Dir(t)
	c := pgtest.Start(t, dir)
	db := pgtest.Open(t, c.URL())
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := stream{market: "ch"}
	s.whole("lead1", `{}`)
	record(t, db, "ch", s.events[:3]...)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	err := db.Record(t.Context(), "ch", s.events[3:])
	if fate, _ := event.Outcome(err, 1); fate != event.Redeliver {
		t.Fatalf("while it is away: %v", err)
	}
	if _, err := db.Roster(t.Context(), "ch"); err == nil {
		t.Error("a roster came from nowhere")
	}

	// Open waits for it.
	opened := make(chan error, 1)
	go func() {
		late, err := store.Open(t.Context(), c.URL(), zerolog.Nop())
		if err == nil {
			late.Close()
		}
		opened <- err
	}()
	pgtest.Start(t, dir)
	record(t, db, "ch", s.events[3:]...)
	if l, err := db.Lead(t.Context(), "ch", "lead1"); err != nil || l.Status != "notified" {
		t.Errorf("status %q, %v", l.Status, err)
	}
	if err := await.Value(t, "Open's end", opened); err != nil {
		t.Error(err)
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Open(ctx, "postgres://x@/x?host="+t.TempDir(), zerolog.Nop()); err == nil {
		t.Error("opened a database that is not there")
	}
}

func TestARemoteDatabaseNeedsEncryption(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		"postgres://u:secret@db.example.com/x":                                           false,
		"postgres://u:secret@db.example.com/x?sslmode=disable":                           false,
		"postgres://u:secret@db.example.com/x?sslmode=prefer":                            false,
		"postgres://u:secret@db.example.com/x?sslmode=allow":                             false,
		"postgres://u:secret@192.0.2.1/x":                                                false,
		"postgres://u:secret@localhost,db.example.com/x":                                 false,
		"postgres://u:secret@db.example.com:6543/x?sslmode=require":                      true,
		"postgres://u:secret@127.0.0.1:1/x":                                              true,
		"postgres://u:secret@[::1]:1/x?sslmode=disable":                                  true,
		"postgres://u:secret@localhost:1/x":                                              true,
		"postgres://u:secret@/x?host=/nowhere":                                           true,
		"postgres://u:secret@db.example.com:port/x":                                      false,
		"postgres://u:pass@secret@db.example.com/x":                                      false,
		"postgres://u:pass@secret@localhost/x":                                           false,
		"host=db.example.com user=u password=secret dbname=x sslmode=verify-full port=1": true,
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := store.Open(ctx, url, zerolog.Nop())
		refused := err != nil && (strings.Contains(err.Error(), "encryption") || strings.Contains(err.Error(), "cannot be read"))
		if refused == ok {
			t.Errorf("%s: %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

// empty makes a database that has not been migrated.
func empty(t *testing.T) (url string) {
	t.Helper()
	beside := pgtest.New(t)
	path, query, _ := strings.Cut(beside, "?")
	pgtest.Exec(t, beside, "create database empty_beside_"+path[strings.LastIndex(path, "/")+1:]+" template template0")
	return strings.Replace(path, "/test_", "/empty_beside_test_", 1) + "?" + query
}

// Several processes start together on an empty database.
func TestMigrateTogetherAndAgain(t *testing.T) {
	t.Parallel()
	url := empty(t)
	var wg sync.WaitGroup
	for range 4 {
		db := pgtest.Open(t, url)
		wg.Go(func() {
			for range 2 {
				if err := db.Migrate(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	await.Return(t, "all have migrated", wg.Wait)
	s := stream{market: "ch"}
	s.whole("lead1", `{}`)
	record(t, pgtest.Open(t, url), "ch", s.events...)
}

// The Supabase CLI applied the files; they are not applied again.
func TestMigrationsOfTheSupabaseCLICount(t *testing.T) {
	t.Parallel()
	url := empty(t)
	conn := connect(t, url)
	run := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	run("create schema supabase_migrations; create table supabase_migrations.schema_migrations (version text primary key, name text)")
	files, err := migrations.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		sql, err := migrations.Files.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		run(string(sql))
		version, name, _ := strings.Cut(strings.TrimSuffix(f.Name(), ".sql"), "_")
		run(fmt.Sprintf("insert into supabase_migrations.schema_migrations values ('%s', '%s')", version, name))
	}
	db := pgtest.Open(t, url)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := stream{market: "ch"}
	s.whole("lead1", `{}`)
	record(t, db, "ch", s.events...)
}

// A start-up migration whose connections are lost in its midst goes on where it
// was, whether the server says so or the line is cut.
func TestMigrateOutlivesItsConnections(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, l *line, database string){
		"ended by the server": func(t *testing.T, _ *line, database string) {
			pgtest.Exec(t, database, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")
		},
		"cut": func(_ *testing.T, l *line, _ string) { l.cut() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := empty(t)
			l := newLine(t, database)
			blocker, watcher := connect(t, database), connect(t, database)
			if _, err := blocker.Exec(t.Context(), "begin; create schema leadbus"); err != nil {
				t.Fatal(err)
			}
			db := pgtest.Open(t, l.url)
			migrated := make(chan error, 1)
			go func() { migrated <- db.Migrate(context.Background()) }()
			await.True(t, "the migration is under way", func() bool {
				var waiting bool
				err := watcher.QueryRow(t.Context(), "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')").Scan(&waiting)
				return err == nil && waiting
			})
			lose(t, l, database)
			if _, err := blocker.Exec(t.Context(), "rollback"); err != nil {
				t.Fatal(err)
			}
			if err := await.Value(t, "the migration's end", migrated); err != nil {
				t.Fatal(err)
			}
			s := stream{market: "ch"}
			s.whole("lead1", `{}`)
			record(t, db, "ch", s.events...)
		})
	}
}

func connect(t *testing.T, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// What repeating cannot cure ends the start, and says what to look at.
func TestAFinalErrorIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	beside := pgtest.New(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	path, query, _ := strings.Cut(beside, "?")
	_, err := store.Open(ctx, path+"_gone?"+query, zerolog.Nop())
	if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "3D000") || !strings.Contains(err.Error(), "LEADBUS_DATABASE_URL") {
		t.Errorf("no such database: %v", err)
	}
	_, err = store.Open(ctx, strings.Replace(beside, "leadbus@", "stranger@", 1), zerolog.Nop())
	if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "28000") {
		t.Errorf("no such user: %v", err)
	}
	database := empty(t)
	pgtest.Exec(t, database, "create schema leadbus create table lead (id int)")
	if err := pgtest.Open(t, database).Migrate(ctx); err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "42P07") {
		t.Errorf("a migration that cannot be: %v", err)
	}
}

// line is a way to a database that can be cut.
type line struct {
	url   string
	mu    sync.Mutex
	conns []net.Conn
}

func newLine(t *testing.T, database string) *line {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	name := "/.s.PGSQL." + q.Get("port")
	to, dir := q.Get("host")+name, pgtest.Dir(t)
	listener, err := net.Listen("unix", dir+name)
	if err != nil {
		t.Fatal(err)
	}
	q.Set("host", dir)
	u.RawQuery = q.Encode()
	l := &line{url: u.String()}
	t.Cleanup(func() { _ = listener.Close(); l.cut() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			l.mu.Lock()
			l.conns = append(l.conns, near, far)
			l.mu.Unlock()
			for _, ends := range [][2]net.Conn{{near, far}, {far, near}} {
				go func() {
					_, _ = io.Copy(ends[0], ends[1])
					_ = ends[0].Close()
				}()
			}
		}
	}()
	return l
}

// cut ends every connection; new ones can be made.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}
