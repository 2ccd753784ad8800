package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"leadbus/internal/engine/localpg/pgtest"
	"leadbus/internal/engine/store"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/roster"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// operator is JetStream with an operator's key, as the nats CLI has it.
func (s *system) operator(tb testing.TB, market string) jetstream.JetStream {
	tb.Helper()
	nc, err := nats.Connect(s.NATSURL, operatorKey(tb, s.settings.Data, market), nats.CustomInboxPrefix("_INBOX_"+market+"-operator"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	return js
}

// idle waits until a durable has nothing to do.
func idle(tb testing.TB, js jetstream.JetStream, durable string) {
	tb.Helper()
	var info *jetstream.ConsumerInfo
	await.Until(tb, func() bool {
		c, err := js.Consumer(tb.Context(), subjects.StreamLeads, durable)
		if err != nil {
			return false
		}
		info = c.CachedInfo()
		return info.NumPending == 0 && info.NumAckPending == 0
	}, func() string { return fmt.Sprintf("%s has %+v", durable, info) })
}

// vendorRequests counts the messages asked of the vendors.
func (s *system) vendorRequests(tb testing.TB) (n int) {
	tb.Helper()
	var counts map[string]map[string]int
	s.getJSON(tb, s.SandboxURL+"/api/requests", &counts)
	for _, routes := range counts {
		for route, count := range routes {
			if strings.HasPrefix(route, http.MethodPost) {
				n += count
			}
		}
	}
	return n
}

// day is a bit of everything: told leads, repeats, an update, a second request,
// leads that nobody can serve, failed deliveries, a call whose tool failed.
func (s *system) day(tb testing.TB) {
	tb.Helper()
	again := call(nil)
	leads := []string{s.accept(tb, site1, again), s.accept(tb, site1, call(map[string]any{"city": "Atlantis"}))}
	again["issue_summary"] = "Et la cave est inondee."
	s.accept(tb, site1, again)
	second := call(nil)
	leads = append(leads, s.accept(tb, site1, second))
	second["service_type"] = "chaudiere en panne"
	s.accept(tb, site1, second)
	leads = append(leads, s.accept(tb, site1, call(map[string]any{"caller_id": "+41781230005"})))
	s.play(tb, s.SandboxURL, "tool-error", 8888)
	leads = append(leads, lead.NewID(site1, "conv_played_8888"))
	for _, id := range leads {
		s.row(tb, "ch", id, told)
	}
	s.ownerTold(tb, s.raised(tb, alarm.Review, leads[1], func(alarm.State) bool { return true }).ID, 2)
	s.next(tb, leads[0])
	s.row(tb, "ch", leads[0], func(l store.Lead) bool { return len(l.Offers) == 2 && told(l) })
	js := s.operator(tb, "ch")
	stored := func() uint64 {
		stream, err := js.Stream(tb.Context(), subjects.StreamLeads)
		if err != nil {
			tb.Fatal(err)
		}
		return stream.CachedInfo().State.Msgs
	}
	// In the end a WhatsApp message is read, any other delivered or failed.
	ended := func(l store.Lead) bool {
		return told(l) && !slices.ContainsFunc(l.Messages, func(m store.Message) bool {
			return m.Channel == lead.WhatsApp && m.State == string(lead.MessageDelivered)
		})
	}
	await.Until(tb, func() bool {
		before := stored()
		for _, durable := range subjects.RoleNames() {
			idle(tb, js, durable)
		}
		for _, id := range leads {
			s.row(tb, "ch", id, ended)
		}
		return stored() == before
	}, func() string { return "receipts keep coming" })
}

// The database is gone. Made anew and filled from the stream as documented, it
// is row for row what it was, and nobody is told anything again.
func TestPostgresIsRebuiltFromTheStream(t *testing.T) {
	cfg := settings(t)
	s := start(t, cfg)
	s.day(t)
	before, asked := pgtest.Rows(t, s.DatabaseURL), s.vendorRequests(t)
	s.stop(t)
	if err := execSQL(t.Context(), cfg.DatabaseURL, "drop schema leadbus cascade; drop table if exists public.goose_db_version"); err != nil {
		t.Fatal(err)
	}
	s = start(t, cfg)
	for table, rows := range pgtest.Rows(t, s.DatabaseURL) {
		if len(rows) > 0 {
			t.Fatalf("%s is not empty", table)
		}
	}
	asked -= s.vendorRequests(t) // counted since its start

	js := s.operator(t, "ch")
	stream, err := js.Stream(t.Context(), subjects.StreamLeads)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.ResetConsumerToSequence(t.Context(), subjects.Recorder, 1); err != nil {
		t.Fatal(err)
	}
	idle(t, js, subjects.Recorder)
	for table, rows := range pgtest.Rows(t, s.DatabaseURL) {
		if len(rows) == 0 {
			t.Errorf("no rows in %s", table)
		}
		if d := cmp.Diff(before[table], rows); d != "" {
			t.Errorf("%s: %s", table, d)
		}
	}
	if n := s.vendorRequests(t); n != 0 {
		t.Errorf("%d requests at the vendors", n)
	}
	if asked == 0 {
		t.Error("nothing had been sent before")
	}
}

// Every event of the day onto every role: nothing is sent, no row changes, no
// event is added. The dry run said so.
func TestAReplayOfEverythingSendsNothing(t *testing.T) {
	s := start(t, settings(t))
	s.day(t)
	before, asked := pgtest.Rows(t, s.DatabaseURL), s.vendorRequests(t)
	out, errs, err := s.leadbus(t, "replay", "--dry-run", "--json", "--market", "ch")
	var foreseen struct {
		Events, Leads, Undecided, Suppressed, Doubtful, Unsent int
	}
	if err != nil || json.Unmarshal([]byte(out), &foreseen) != nil {
		t.Fatalf("replay --dry-run: %v\n%s%s", err, out, errs)
	}
	if foreseen.Events != len(before["event"]) || foreseen.Undecided+foreseen.Doubtful+foreseen.Unsent != 0 || foreseen.Suppressed == 0 || foreseen.Suppressed != len(before["message"]) {
		t.Errorf("foreseen %+v of %d events and %d messages", foreseen, len(before["event"]), len(before["message"]))
	}

	js := s.operator(t, "ch")
	stream, err := js.Stream(t.Context(), subjects.StreamLeads)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{subjects.Recorder, subjects.Matcher, subjects.Notifier} {
		if _, err := stream.ResetConsumerToSequence(t.Context(), role, 1); err != nil {
			t.Fatal(err)
		}
	}
	for _, role := range []string{subjects.Matcher, subjects.Notifier, subjects.Recorder} {
		idle(t, js, role)
	}
	if n := s.vendorRequests(t) - asked; n != 0 {
		t.Errorf("%d requests at the vendors", n)
	}
	if d := cmp.Diff(before, pgtest.Rows(t, s.DatabaseURL)); d != "" {
		t.Error(d)
	}
}

// What a role gives up is listed with its reason, reaches the owner, and can be
// put back or dropped.
func TestDeadLettersAreSeenAndHandled(t *testing.T) {
	s := start(t, settings(t))
	id := s.accept(t, site1, call(nil))
	s.row(t, "ch", id, told)
	js := s.operator(t, "ch")
	for _, subject := range []string{"lead.ch.plombiersgeneve_ch.received." + id, "lead.ch.plombiersgeneve_ch.matched." + id} {
		if _, err := js.Publish(t.Context(), subject, []byte("{")); err != nil {
			t.Fatal(err)
		}
	}
	gaveUp := func() sent {
		mails, _ := s.called(t)
		for _, m := range mails {
			if strings.Contains(m.Subject, "matcher gave up") {
				return m
			}
		}
		return sent{}
	}
	await.Until(t, func() bool { return gaveUp().Text != "" }, func() string { return "the owner has not heard of it" })
	mail := gaveUp()
	if !strings.Contains(mail.Text, "leadbus dlq retry --market ch") || !strings.Contains(mail.Text, "leadbus trace "+id) {
		t.Errorf("the alarm says:\n%s", mail.Text)
	}
	// It is repeated until the owner answers.
	st := s.raised(t, alarm.DeadLetter, subjects.Matcher, func(alarm.State) bool { return true })
	s.repeat(t, 6*time.Minute)
	if again := s.raised(t, alarm.DeadLetter, subjects.Matcher, func(again alarm.State) bool { return again.Notified > 1 }); again.ID != st.ID {
		t.Errorf("%+v, then %+v", st, again)
	}
	s.acknowledge(t, mail)
	s.raised(t, alarm.DeadLetter, subjects.Matcher, func(st alarm.State) bool { return !st.Answered.IsZero() })
	// Matcher, notifier, and the recorder for both.
	var letters []struct {
		ID         uint64
		Role, Lead string
		Reason     string
	}
	list := func() int {
		out, errs, err := s.leadbus(t, "dlq", "list", "--json")
		letters = nil
		if err != nil || json.Unmarshal([]byte(out), &letters) != nil {
			t.Fatalf("dlq list: %v\n%s%s", err, out, errs)
		}
		return len(letters)
	}
	await.Until(t, func() bool { return list() == 4 }, func() string { return fmt.Sprint(letters) })
	for _, l := range letters {
		if l.Lead != id || l.Reason == "" || l.Role == "" {
			t.Errorf("%+v", l)
		}
	}
	first := fmt.Sprint(letters[0].ID)
	if out, errs, err := s.leadbus(t, "dlq", "show", "--market", "ch", first); err != nil || !strings.Contains(out, `"event": "{"`) {
		t.Errorf("dlq show: %v\n%s%s", err, out, errs)
	}
	if _, errs, err := s.leadbus(t, "dlq", "retry", "--market", "ch", "999"); err == nil || !strings.Contains(errs, "no dead letter 999") {
		t.Errorf("dlq retry of nothing: %v, %s", err, errs)
	}
	if out, errs, err := s.leadbus(t, "dlq", "retry", "--market", "ch", first); err != nil || !strings.HasPrefix(out, "1 ") {
		t.Errorf("dlq retry: %v\n%s%s", err, out, errs)
	}
	// It is as unreadable as before.
	await.Until(t, func() bool { return list() >= 4 }, func() string { return fmt.Sprint(letters) })
	if out, errs, err := s.leadbus(t, "dlq", "drop", "--market", "ch", "--all"); err != nil {
		t.Errorf("dlq drop: %v\n%s%s", err, out, errs)
	}
}

// next gives a lead to the next provider; at any hour of any day there is one.
func (s *system) next(tb testing.TB, id string) {
	tb.Helper()
	if err := execSQL(tb.Context(), s.DatabaseURL, "update leadbus.provider set after_hours = true, leave = '[]'"); err != nil {
		tb.Fatal(err)
	}
	var out, errs string
	await.Until(tb, func() bool { // the roster is copied within seconds
		var err error
		if before := story.Of(s.events(tb, "ch", id)); before.Lead.Status == string(lead.Unserved) {
			out, errs, err = s.leadbus(tb, "lead", "assign", id, "--provider", "chauffage-carouge")
		} else {
			out, errs, err = s.leadbus(tb, "lead", "next", id)
		}
		return err == nil && strings.Contains(out, ", with ")
	}, func() string { return out + errs })
}

// A provider cannot be reached, and the owner gives the lead to the next one:
// that one and the customer are told, the row shows it, and what the customer
// adds later goes there too.
func TestTheNextProvider(t *testing.T) {
	s := start(t, settings(t))
	js := s.operator(t, "ch")
	load := func(provider string) (l roster.Load) {
		kv, err := js.KeyValue(t.Context(), subjects.BucketLoad)
		if err != nil {
			t.Fatal(err)
		}
		if e, err := kv.Get(t.Context(), provider); err == nil {
			if err := json.Unmarshal(e.Value(), &l); err != nil {
				t.Fatal(err)
			}
		}
		return l
	}
	said := call(nil)
	id := s.accept(t, site1, said)
	first := s.row(t, "ch", id, told)
	s.next(t, id)
	second := s.row(t, "ch", id, func(l store.Lead) bool { return len(l.Offers) == 2 && allTold(14)(l) }) // the former one hears it by text and mail
	if second.Provider == first.Provider || second.Status != string(lead.Notified) || len(second.Refused) > 0 {
		t.Fatalf("%s has it after %s, status %s, refused %v", second.Provider, first.Provider, second.Status, second.Refused)
	}
	if a, b := load(first.Provider), load(second.Provider); a.DayOffers != 0 || b.DayOffers != 1 {
		t.Errorf("%d offers are counted for %s, %d for %s", a.DayOffers, first.Provider, b.DayOffers, second.Provider)
	}
	providers := map[string]roster.Provider{}
	for _, p := range s.roster(t) {
		providers[p.ID] = p
	}
	reads := func(to string) (texts []string) {
		for _, m := range s.sandboxMessages(t) {
			if strings.Contains(m.To, to) {
				texts = append(texts, m.Text)
			}
		}
		return texts
	}
	if texts := reads(said["caller_id"].(string)); len(texts) != 2 || !strings.Contains(strings.Join(texts, "\n"), providers[second.Provider].Name) {
		t.Errorf("the customer reads %q", texts)
	}

	was := len(reads(providers[first.Provider].Email))
	said["issue_summary"] = "Et la cave est inondee."
	s.accept(t, site1, said)
	s.row(t, "ch", id, allTold(18))
	if n := len(reads(providers[first.Provider].Email)); n != was {
		t.Errorf("the former provider got %d mails, before %d", n, was)
	}
	if texts := reads(providers[second.Provider].Email); len(texts) != 2 || !strings.Contains(texts[0]+texts[1], "inondee") {
		t.Errorf("the next provider reads %q", texts)
	}
	if out, errs, err := s.leadbus(t, "resend", id, "--to", "provider", "--channel", "email"); err != nil {
		t.Errorf("resend: %v\n%s%s", err, out, errs)
	}
	await.Until(t, func() bool { return len(reads(providers[second.Provider].Email)) == 3 }, func() string { return "who has the lead now got nothing again" })

	if out, _, err := s.leadbus(t, "trace", id); err != nil || !strings.Contains(out, "reassigned "+providers[second.Provider].Name) || !strings.Contains(out, "had it before") {
		t.Errorf("trace: %v\n%s", err, out)
	}
	out, errs := "", ""
	for range len(providers) { // until nobody is left
		var err error
		if out, errs, err = s.leadbus(t, "lead", "next", id); err != nil || strings.Contains(out, "unserved") {
			break
		}
	}
	if !strings.Contains(out, "the lead is unserved now (") || !strings.Contains(out, "providers had it, and nobody else can take it)") {
		t.Errorf("with nobody left: %s%s", out, errs)
	}
	if out, errs, err := s.leadbus(t, "lead", "won", id); err == nil || !strings.Contains(errs, "a lead that is unserved cannot be changed by won; from there it may become: matched, pending, lost, spam, cancelled") {
		t.Errorf("a transition that the table refuses: %v %s%s", err, out, errs)
	}
	if _, errs, err := s.leadbus(t, "lead", "assign", id, "--provider", "nobody"); err == nil || !strings.Contains(errs, `no provider "nobody"`) {
		t.Errorf("a provider that there is not: %v %s", err, errs)
	}
	other := s.accept(t, site1, call(map[string]any{"city": "Atlantis"}))
	s.row(t, "ch", other, told)
	if out, errs, err := s.leadbus(t, "lead", "next", other); err != nil || !strings.Contains(out, "the lead is needs_review now (place not understood") {
		t.Errorf("a lead whose place is not known: %v %s%s", err, out, errs)
	}
}

// Sending once more is possible, for one recipient and channel, and only when
// somebody asks for it.
func TestResend(t *testing.T) {
	s := start(t, settings(t))
	id := s.accept(t, site1, call(nil))
	s.row(t, "ch", id, allTold(6))
	before := len(s.sandboxMessages(t))
	if out, errs, err := s.leadbus(t, "resend", id, "--to", "customer"); err != nil || !strings.Contains(out, "sms to customer") {
		t.Fatalf("resend: %v\n%s%s", err, out, errs)
	}
	await.Until(t, func() bool { return len(s.sandboxMessages(t)) == before+2 }, func() string { return "the customer got nothing, or the owner did not hear of it" })
	if out, errs, err := s.leadbus(t, "resend", id, "--to", "provider", "--channel", "email"); err != nil || strings.Count(out, "queued") != 1 {
		t.Fatalf("resend: %v\n%s%s", err, out, errs)
	}
	await.Until(t, func() bool { return len(s.sandboxMessages(t)) == before+3 }, func() string { return "the provider got nothing" })
	if row := s.row(t, "ch", id, allTold(9)); row.Status != string(lead.Notified) {
		t.Errorf("status %q", row.Status)
	}
	if _, errs, err := s.leadbus(t, "resend", "0000000000000000000z", "--to", "owner"); err == nil || !strings.Contains(errs, "no lead") {
		t.Errorf("resend of nothing: %v, %s", err, errs)
	}
}
