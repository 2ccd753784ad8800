package notifier_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/bus/bustest"
	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/local/sandbox"
	"leadbus/internal/role/notifier"
	"leadbus/internal/role/notifier/send"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
	"leadbus/internal/vendors/tracker"
)

// market is a notifier with the stream and the ledger of a real broker and a real
// tracker, on the test's clock.
type market struct {
	testing.TB
	send.Vendor // to the tracker
	bus         *bustest.Bus
	conn        *bus.Conn // with the notifier's rights
	n           *notifier.Notifier
	tracker     *site.Tracker
	sandbox     *sandbox.Sandbox
	options     sandbox.Options
	now         time.Time
	stored      map[string]time.Time // by event id, on the test's clock
	due         []visit
	attempts    int
	raised      map[string][]string // leads by cause and what the alarm is about
	given       []string            // events that were given up
}

func newMarket(t *testing.T) *market {
	t.Helper()
	w := &market{
		TB: t, bus: bustest.New(t), now: start, stored: map[string]time.Time{}, raised: map[string][]string{},
		options: sandbox.Options{Addr: "127.0.0.1:0", Dir: t.TempDir(), TrackerSecrets: []string{"s3cr3t"}, Log: zerolog.Nop()},
		tracker: &site.Tracker{
			ID: "crm", Method: "POST", URL: "https://crm.example/{{.Event}}", Headers: map[string]string{"Authorization": "Bearer {{.Secret}}"},
			Body:        `{"lead": "{{.Lead}}", "value": {{or .Value 0}}, "click": "{{.Clicks.gclid}}"}`,
			ContentType: "application/json", Secret: "crm",
			Events: map[string]string{"created": "created", "accepted": "accepted", "won": "sale", "lost": "lost", "invalid": "invalid"},
		},
	}
	w.open()
	w.options.Addr = strings.TrimPrefix(w.sandbox.URL(), "http://")
	trackers := map[string]*site.Tracker{"crm": w.tracker}
	w.Vendor = tracker.New(tracker.Options{Trackers: trackers, Base: w.sandbox.TrackerURL(), Secret: func(string) (string, error) { return "s3cr3t", nil }})
	t.Cleanup(func() { w.sandbox.Close() })
	w.conn = w.bus.Connect(t, "ch-notifier")
	journal, err := send.OpenJournal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = journal.Close() })
	w.n, err = notifier.New(notifier.Options{PublishAll: w.PublishAll, Options: send.Options{
		Catalog: &site.Catalog{
			Markets: map[string]*site.Market{"ch": {ID: "ch"}}, Trackers: trackers,
			Sites: map[string]*site.Site{"a.ch": {Domain: "a.ch", Market: "ch", Languages: []string{"en"}, Tracker: "crm"}},
		},
		Market: "ch", Stream: w, Ledger: bustest.Bucket(t, w.conn, subjects.BucketLedger), Journal: journal, Now: func() time.Time { return w.now }, Log: zerolog.Nop(),
		Raise: func(_ context.Context, all ...alarm.Occurrence) error {
			for _, o := range all {
				key := o.Cause + " " + o.About
				w.raised[key] = slices.Compact(append(w.raised[key], o.Leads...))
			}
			return nil
		},
		Vendors: map[string]send.Vendor{lead.SMS: w, lead.WhatsApp: w, lead.Email: w, lead.Postback: w},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// open starts the tracker, where it was before.
func (w *market) open() {
	w.Helper()
	var err error
	if w.sandbox, err = sandbox.Start(w.options); err != nil {
		w.Fatal(err)
	}
}

// Send counts the attempts.
func (w *market) Send(ctx context.Context, m lead.Message, attempt string) (lead.Sent, error) {
	w.attempts++
	return w.Vendor.Send(ctx, m, attempt)
}

func (w *market) faults(f sandbox.VendorFaults) {
	w.Helper()
	body, _ := json.Marshal(sandbox.Faults{Tracker: f})
	r, _ := http.NewRequestWithContext(w.Context(), http.MethodPut, w.sandbox.URL()+"/api/faults", bytes.NewReader(body))
	res, err := http.DefaultClient.Do(r)
	if err != nil || res.StatusCode != http.StatusOK {
		w.Fatal(res, err)
	}
	_ = res.Body.Close()
}

// heard is what the tracker took, by key, and in order.
func (w *market) heard() (what []string, keys map[string]int) {
	w.Helper()
	r, _ := http.NewRequestWithContext(w.Context(), http.MethodGet, w.sandbox.URL()+"/api/postbacks", nil)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var all []struct {
		To, Text string
		IDs      map[string]string
	}
	if err := json.NewDecoder(res.Body).Decode(&all); err != nil {
		w.Fatal(err)
	}
	keys = map[string]int{}
	for _, p := range all {
		what = append(what, p.To+" "+p.Text)
		keys[p.IDs["key"]]++
	}
	slices.Sort(what)
	return what, keys
}

func (w *market) Publish(ctx context.Context, e event.Event) error {
	if err := w.bus.Operator.Publish(ctx, e); err != nil {
		return err
	}
	if _, again := w.stored[e.ID]; again {
		return nil
	}
	w.stored[e.ID] = w.now
	all, err := w.Events(ctx, e.Lead)
	if i := slices.IndexFunc(all, func(there event.Event) bool { return there.ID == e.ID }); i >= 0 && slices.Contains(subjects.RoleNamed(subjects.Notifier).Consumes, e.Lead.Event) {
		w.due = append(w.due, visit{event.Delivery{Event: all[i], Attempt: 1}, w.now})
	}
	return err
}

func (w *market) PublishAll(ctx context.Context, events []event.Event) error {
	for _, e := range events {
		if err := w.Publish(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (w *market) Events(ctx context.Context, of subjects.Lead) ([]event.Event, error) {
	found, err := w.conn.Events(ctx, of)
	for i := range found {
		found[i].Stored = w.stored[found[i].ID]
	}
	return found, err
}

// say publishes an event of a lead.
func (w *market) say(id, kind string, body any) {
	w.Helper()
	e := event.Event{
		ID: fmt.Sprint(kind, "-", id, "-", len(w.stored)), At: w.now, Body: body,
		Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: kind, Lead: id},
	}
	if err := w.Publish(w.Context(), e); err != nil {
		w.Fatal(err)
	}
}

// match matches a lead, which two providers are offered.
func (w *market) match(id string, flags ...string) {
	w.Helper()
	w.say(id, subjects.Matched, &event.Decided{
		Lead:  lead.Lead{ID: id, Ref: "482 913", Flags: flags, Request: lead.Request{Clicks: map[string]string{"gclid": `G"1`}}},
		Offer: lead.OfferID(id, "p1"), Provider: &roster.Provider{ID: "p1"}, Mode: lead.Broadcast,
		Rivals: []event.Rival{{Offer: lead.OfferID(id, "p2"), Provider: roster.Provider{ID: "p2"}}},
	})
}

func (w *market) reply(id, provider, answer string) {
	w.Helper()
	w.say(id, subjects.ProviderReplied, &event.Replied{Offer: lead.OfferID(id, provider), Provider: provider, Answer: answer})
}

// pass lets time pass, and plays the durable.
func (w *market) pass(d time.Duration) {
	w.Helper()
	end := w.now.Add(d)
	for len(w.due) > 0 {
		slices.SortStableFunc(w.due, func(a, b visit) int { return a.at.Compare(b.at) })
		v := w.due[0]
		if v.at.After(end) {
			break
		}
		w.due = w.due[1:]
		if v.at.After(w.now) {
			w.now = v.at
		}
		switch fate, delay := event.Outcome(w.n.Handle(w.Context(), v.Delivery), v.Attempt); fate {
		case event.Redeliver:
			w.due = append(w.due, visit{event.Delivery{Event: v.Event, Attempt: v.Attempt + 1}, w.now.Add(delay)})
		case event.Terminate:
			w.given = append(w.given, v.ID)
		}
	}
	w.now = end
}

// replay delivers every outcome's event, and every message, once more.
func (w *market) replay(id string) {
	w.Helper()
	all, err := w.Events(w.Context(), subjects.Lead{Market: "ch", Site: "a.ch", Lead: id})
	if err != nil {
		w.Fatal(err)
	}
	for _, e := range all {
		w.due = append(w.due, visit{event.Delivery{Event: e, Attempt: 1}, w.now})
	}
	w.due = slices.DeleteFunc(w.due, func(v visit) bool {
		return !slices.Contains(subjects.RoleNamed(subjects.Notifier).Consumes, v.Lead.Event)
	})
}

// The tracker is away for hours, in every way, while events are replayed and
// answers come twice or too late. When it is back it hears of each outcome once.
func TestEachOutcomeArrivesOnce(t *testing.T) {
	w := newMarket(t)
	w.faults(sandbox.VendorFaults{Error: 1})
	w.match("l1")
	w.match("l2", lead.FlagTest)
	w.match("l3")
	w.pass(time.Minute)
	w.reply("l1", "p1", event.Accept)
	w.reply("l1", "p2", event.Accept) // too late
	w.reply("l1", "p1", event.Accept) // once more
	w.reply("l2", "p1", event.Accept)
	w.say("l3", subjects.OwnerDecided, &event.Ordered{Order: event.Spam})
	w.pass(time.Hour)
	w.replay("l1")
	w.say("l1", subjects.OwnerDecided, &event.Ordered{Order: event.Won, Value: "CHF 1'250.50"})
	w.say("l1", subjects.OwnerDecided, &event.Ordered{Order: event.Won, Value: "1"})
	w.say("l1", subjects.OwnerDecided, &event.Ordered{Order: event.Reopen}) // refused
	w.pass(2 * time.Hour)
	w.sandbox.Close() // connection refused
	w.replay("l1")
	w.replay("l3")
	before := w.attempts
	w.pass(6 * time.Hour)
	if n := w.attempts - before; n < 30 || n > 400 {
		t.Errorf("%d attempts while nobody was there", n)
	}
	w.open()
	w.replay("l1")
	w.pass(time.Hour)
	w.replay("l1")
	w.replay("l3")
	w.pass(48 * time.Hour)

	what, keys := w.heard()
	if d := cmp.Diff([]string{
		`/accepted {"lead": "l1", "value": 0, "click": "G\"1"}`,
		`/created {"lead": "l1", "value": 0, "click": "G\"1"}`,
		`/created {"lead": "l3", "value": 0, "click": "G\"1"}`,
		`/invalid {"lead": "l3", "value": 0, "click": "G\"1"}`,
		`/sale {"lead": "l1", "value": 1250.50, "click": "G\"1"}`,
	}, what); d != "" || len(keys) != 5 {
		t.Error(d, keys)
	}
	if len(w.due)+len(w.given)+len(w.raised) > 0 {
		t.Errorf("%d deliveries are due, given up %v, alarms %v", len(w.due), w.given, w.raised)
	}
	for _, id := range []string{"l1", "l3"} {
		w.states(id, lead.MessageSent, "tracker")
	}
}

// states holds that every message of a lead is in a state.
func (w *market) states(id string, state lead.MessageState, vendor string) {
	w.Helper()
	kind := map[lead.MessageState]string{lead.MessageSent: subjects.MessageSent, lead.MessageFailed: subjects.MessageFailed}[state]
	all, err := w.Events(w.Context(), subjects.Lead{Market: "ch", Site: "a.ch", Lead: id})
	if err != nil {
		w.Fatal(err)
	}
	messages := map[string]string{}
	for _, e := range all {
		switch b := e.Body.(type) {
		case *event.Queued:
			messages[b.Message.ID] += "queued"
			if raw, _ := json.Marshal(b.Message); bytes.Contains(raw, []byte("s3cr3t")) {
				w.Error("the secret is in an event")
			}
		case *event.Attempted:
			by := ""
			if b.Sent != nil {
				by = b.Sent.Vendor
			} else if b.Failure != nil {
				by = b.Failure.Vendor
			}
			messages[b.Message] += " " + e.Lead.Event + " " + by
		}
	}
	for _, m := range slices.Collect(maps.Values(messages)) {
		if m != "queued "+kind+" "+vendor {
			w.Errorf("a message of %s: %s", id, m)
		}
	}
}

// A tracker that took the request and does not say so gets it again, under the same
// key.
func TestARepeatHasTheSameKey(t *testing.T) {
	w := newMarket(t)
	w.faults(sandbox.VendorFaults{ErrorTaken: 1})
	w.match("l1")
	w.pass(10 * time.Second)
	w.faults(sandbox.VendorFaults{})
	w.pass(time.Hour)
	if what, keys := w.heard(); len(what) < 2 || len(keys) != 1 {
		t.Error(what, keys)
	}
	w.states("l1", lead.MessageSent, "tracker")
}

// What the tracker refuses is not sent again, and what it does not take in time
// fails. The owner hears of the tracker, not of each lead.
func TestWhatATrackerDoesNotTakeFails(t *testing.T) {
	for name, faults := range map[string]sandbox.VendorFaults{"refused": {Refused: 1}, "too old": {Error: 1}} {
		t.Run(name, func(t *testing.T) {
			w := newMarket(t)
			w.tracker.MaxAge = 3 * time.Hour
			w.faults(faults)
			w.match("l1")
			w.match("l2")
			w.pass(4 * time.Hour)
			if name == "refused" && w.attempts != 2 {
				t.Errorf("%d attempts", w.attempts)
			}
			w.faults(sandbox.VendorFaults{})
			w.replay("l1")
			w.pass(time.Hour)
			if d := cmp.Diff(map[string][]string{"tracker crm": {"l1", "l2"}}, w.raised); d != "" || len(w.given)+len(w.due) > 0 {
				t.Error(d, w.given, w.due)
			}
			if what, _ := w.heard(); len(what) > 0 {
				t.Error(what)
			}
			w.states("l1", lead.MessageFailed, "tracker")
		})
	}
}

// Nothing goes out before its delay is over, and of a dry run nothing at all.
func TestDelayAndDryRun(t *testing.T) {
	w := newMarket(t)
	w.tracker.Delay = time.Hour
	w.match("l1")
	w.pass(59 * time.Minute)
	if w.attempts != 0 {
		t.Error("sent before its time")
	}
	w.pass(2 * time.Minute)
	if what, _ := w.heard(); len(what) != 1 {
		t.Error(what)
	}
	w.tracker.DryRun, w.tracker.Delay = true, 0
	w.match("l2")
	w.pass(time.Hour)
	if what, _ := w.heard(); len(what) != 1 {
		t.Error(what)
	}
	w.states("l2", lead.MessageSent, "dry-run")
	queued, err := w.Events(t.Context(), subjects.Lead{Market: "ch", Site: "a.ch", Event: subjects.MessageQueued, Lead: "l2"})
	if err != nil || len(queued) != 1 {
		t.Fatal(queued, err)
	}
	text := queued[0].Body.(*event.Queued).Message.Text
	if !strings.HasPrefix(text, "POST /created HTTP/1.1\nHost: crm.example\nAuthorization: Bearer [secret]\n") || !strings.HasSuffix(text, `{"lead": "l2", "value": 0, "click": "G\"1"}`) {
		t.Error(text)
	}
}
