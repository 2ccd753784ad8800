package notifier_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/bus/bustest"
	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/role/notifier"
	"leadbus/internal/role/notifier/compose"
	"leadbus/internal/role/notifier/send"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

// A caller corrects a number and a place, refuses contact and allows it, and an
// operator gives the lead to others, while the vendor throttles and deliveries
// repeat. Whatever the order: nobody reads what was overtaken, the last word
// arrives, nobody reads the same words twice, nothing waits for ever, and the
// owner hears of each report on a text.
func TestTheLastWordCounts(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { newTown(t, seed, nil).live(t) })
	}
}

// The same holds on the stream and the ledger of a real broker.
func TestTheLastWordCountsOnTheBus(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	for _, seed := range []uint64{0, 1, 5, 13, 21, 34, 55, 89, 134, 144} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { newTown(t, seed, b).live(t) })
	}
}

// town is a stream, a ledger, a vendor and a clock around one notifier.
type town struct {
	*rand.Rand
	lead string
	bus  *bustest.Bus // nil: the stream and the ledger are here
	conn *bus.Conn    // with the notifier's rights
	event.Bucket
	stored map[uint64]time.Time // by sequence, as the test's clock has it
	n      *notifier.Notifier
	now    time.Time
	events []event.Event
	due    []visit

	doubts    bool      // the vendor takes messages and does not say so
	throttled time.Time // the vendor refuses until then
	took      []lead.Message
	reports   map[string]bool // messages to the customer, and what was reported
	broken    []string

	decisions []word
	reassigns int
}

// visit is a delivery that is due.
type visit struct {
	event.Delivery
	at time.Time
}

// word is what a decision said.
type word struct {
	at       time.Time
	number   string
	place    string
	refused  bool
	provider string
	ordered  bool // by an operator, whether the customer refuses or not
}

func newTown(t *testing.T, seed uint64, b *bustest.Bus) *town {
	t.Helper()
	w := &town{Rand: rand.New(rand.NewPCG(seed, 12)), lead: fmt.Sprint("l", seed), bus: b, now: start, stored: map[uint64]time.Time{}, reports: map[string]bool{}}
	w.doubts = w.IntN(3) == 0
	w.Bucket = &entries{there: map[string]event.Entry{}}
	if b != nil {
		w.conn = b.Connect(t, "ch-notifier")
		w.Bucket = bustest.Bucket(t, w.conn, subjects.BucketLedger)
	}
	journal, err := send.OpenJournal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = journal.Close() })
	w.n, err = notifier.New(notifier.Options{PublishAll: w.PublishAll, Options: send.Options{
		Catalog: &site.Catalog{
			Markets: map[string]*site.Market{"ch": {ID: "ch"}},
			Sites: map[string]*site.Site{"a.ch": {
				Domain: "a.ch", Market: "ch", Brand: "A", DID: "+41225394512", Languages: []string{"en"},
				Senders: site.Senders{SMS: site.Sender{From: "A", PerSecond: 1e6}, Mail: site.Sender{From: "a@mail.example", PerSecond: 1e6}},
				Owner:   site.Owner{Email: "owner@mail.example", Language: "en"},
			}},
		},
		Market: "ch", Stream: w, Ledger: w.Bucket, Journal: journal, Now: func() time.Time { return w.now }, Log: zerolog.Nop(),
		Raise:   func(context.Context, ...alarm.Occurrence) error { return nil },
		Vendors: map[string]send.Vendor{lead.SMS: w, lead.WhatsApp: w, lead.Email: w},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *town) Publish(ctx context.Context, e event.Event) error {
	if slices.ContainsFunc(w.events, func(there event.Event) bool { return there.ID == e.ID }) {
		return nil
	}
	e.Seq = uint64(len(w.events) + 1)
	if w.bus != nil {
		if err := w.bus.Operator.Publish(ctx, e); err != nil {
			return err
		}
		there, err := w.conn.Events(ctx, e.Lead)
		if err != nil {
			return err
		}
		e = there[len(there)-1]
	}
	e.Stored, w.stored[e.Seq] = w.now, w.now
	w.events = append(w.events, e)
	switch e.Body.(type) {
	case *event.Decided:
		w.visit(e, 1, w.any(0, 0, time.Second, 4*time.Second, 12*time.Second))
	case *event.Queued, *event.Reported:
		w.visit(e, 1, w.any(0, 0, 0, time.Second, 4*time.Second))
	}
	return nil
}

func (w *town) PublishAll(ctx context.Context, events []event.Event) error {
	for _, e := range events {
		if err := w.Publish(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (w *town) Events(ctx context.Context, of subjects.Lead) (found []event.Event, err error) {
	if w.bus != nil {
		found, err = w.conn.Events(ctx, of)
		for i := range found {
			found[i].Stored = w.stored[found[i].Seq]
		}
		return found, err
	}
	for _, e := range w.events {
		if of.Event == "" || e.Lead.Event == of.Event {
			found = append(found, e)
		}
	}
	return found, nil
}

// entries are a bucket.
type entries struct {
	there    map[string]event.Entry
	revision uint64
}

func (b *entries) Get(_ context.Context, key string) (event.Entry, error) {
	if e, ok := b.there[key]; ok {
		return e, nil
	}
	return event.Entry{}, event.ErrNotFound
}

func (b *entries) Create(ctx context.Context, key string, value []byte) (uint64, error) {
	return b.Update(ctx, key, value, 0)
}

func (b *entries) Update(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if b.there[key].Revision != revision {
		return 0, event.ErrConflict
	}
	b.revision++
	b.there[key] = event.Entry{Key: key, Value: value, Revision: b.revision}
	return b.revision, nil
}

func (w *town) any(of ...time.Duration) time.Duration { return of[w.IntN(len(of))] }

func (w *town) visit(e event.Event, attempt int, in time.Duration) {
	w.due = append(w.due, visit{event.Delivery{Event: e, Attempt: attempt}, w.now.Add(in)})
}

// Send is the vendor.
func (w *town) Send(_ context.Context, m lead.Message, _ string) (lead.Sent, error) {
	if m.Recipient != lead.ToOwner && w.now.Before(w.throttled) {
		return lead.Sent{}, &lead.Failure{Vendor: "twilio", Code: "20429", Class: lead.Transient, RetryAfter: w.any(0, time.Second, 3*time.Second)}
	}
	w.took = append(w.took, m)
	w.judge(m)
	if m.Recipient == lead.ToCustomer {
		w.report(m)
	}
	if w.doubts && m.Recipient != lead.ToOwner && w.IntN(3) == 0 {
		return lead.Sent{}, &lead.Failure{Vendor: "twilio", Class: lead.Doubtful}
	}
	return lead.Sent{VendorID: fmt.Sprint("V", len(w.took)), At: w.now}, nil
}

// Find is the vendor's list, which shows no attempts.
func (w *town) Find(_ context.Context, m lead.Message, _ string, _ time.Time, others []string) (lead.Sent, bool, error) {
	for i, there := range w.took {
		id := fmt.Sprint("V", i+1)
		if there.To == m.To && there.Channel == m.Channel && there.Text == m.Text && !slices.Contains(others, id) && !slices.Contains(others, "") {
			return lead.Sent{VendorID: id, At: w.now}, true, nil
		}
	}
	return lead.Sent{}, false, nil
}

// report is what the vendor says later of a text to the customer.
func (w *town) report(m lead.Message) {
	told, gone := lead.MessageDelivered, lead.MessageFailed
	reports := [][]lead.MessageState{{told}, {told}, {gone}, {gone, told}, {told, gone}}
	in := 40 * time.Second
	for _, state := range reports[w.IntN(len(reports))] {
		r := lead.Receipt{Message: m.ID, Vendor: "twilio", VendorID: fmt.Sprint("V", len(w.took)), Status: string(state), State: state, At: w.now}
		if state == gone {
			r.Failure = &lead.Failure{Vendor: "twilio", Code: "1", Class: []lead.FailureClass{lead.BadRecipient, lead.OurFault}[w.IntN(2)]}
		}
		e := event.Event{ID: "receipt-" + string(state) + m.ID, At: w.now, Lead: w.of(subjects.ReceiptReceived), Body: &event.Reported{Receipt: r}}
		w.reports[m.ID+string(state)] = true
		for range 1 + w.IntN(2) { // a vendor may repeat itself
			w.visit(e, 1, in)
			in += 5 * time.Second
		}
	}
}

func (w *town) of(kind string) subjects.Lead {
	return subjects.Lead{Market: "ch", Site: "a.ch", Event: kind, Lead: w.lead}
}

func (w *town) fault(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf("%s: ", w.now.Sub(start))+fmt.Sprintf(format, args...))
}

// judge holds what the vendor takes against the last word. What is decided
// within a second of a match may cross its first messages.
func (w *town) judge(m lead.Message) {
	last := w.decisions[len(w.decisions)-1]
	made := w.decisions[slices.IndexFunc(w.decisions, func(d word) bool { return m.Offer == lead.OfferID(w.lead, d.provider) })].at
	if m.Recipient == lead.ToOwner || w.now.Sub(made) < time.Second && (m.Purpose == lead.PurposeOffer || m.Purpose == lead.PurposeConfirmation) {
		return
	}
	switch {
	case last.ordered && m.Purpose == lead.PurposeOffer:
	case last.refused:
		w.fault("%s %s although nobody may be told", m.Recipient, m.Purpose)
	case m.Recipient == lead.ToCustomer && m.To != last.number:
		w.fault("the customer's %s goes to %s", m.Purpose, m.To)
	case m.Recipient == lead.ToCustomer && !strings.Contains(m.Text, last.provider):
		w.fault("the customer reads %q", m.Text)
	case m.Recipient == lead.ToProvider && m.Provider != last.provider:
		w.fault("%s reads of a lead of %s", m.Provider, last.provider)
	case m.Recipient == lead.ToProvider && !last.in(m):
		w.fault("%s %s reads %q after %+v", m.Provider, m.Purpose, m.Text, last)
	}
}

// in reports whether a provider's message says the word.
func (d word) in(m lead.Message) bool {
	return strings.Contains(m.Text, d.number[len(d.number)-2:]) && strings.Contains(m.Text, d.place)
}

// say is a decision of the matcher, or of an operator.
func (w *town) say(kind string, d word) {
	d.at, d.ordered = w.now, kind == subjects.Reassigned
	l := lead.Lead{
		ID: w.lead, Ref: "482 913", Market: "ch", Site: "a.ch", Language: "en", Place: lead.Place{ID: d.place, Name: d.place},
		Phone: lead.Phone{E164: d.number, Type: "mobile"},
	}
	if d.refused {
		l.Request.ContactConsent = new(bool)
	}
	e := event.Event{ID: fmt.Sprint(kind, "-", w.lead, "-", len(w.events)), At: w.now, Lead: w.of(kind), Body: &event.Decided{
		Lead: l, Offer: lead.OfferID(w.lead, d.provider),
		Provider: &roster.Provider{ID: d.provider, Name: d.provider, Languages: []string{"en"}, SMS: "+4179111000" + d.provider[1:], Email: d.provider + "@mail.example"},
	}}
	if len(w.decisions) == 0 || d.provider == w.decisions[len(w.decisions)-1].provider || kind == subjects.Reassigned {
		w.decisions = append(w.decisions, d)
	}
	if err := w.Publish(context.Background(), e); err != nil {
		w.fault("%v", err)
	}
}

// correct changes one thing.
func (w *town) correct() {
	d := w.decisions[len(w.decisions)-1]
	kind := subjects.Amended
	switch w.IntN(9) {
	case 0, 1, 2, 3:
		d.number = map[string]string{"+41791118867": "+41791118876", "+41791118876": "+41791118867"}[d.number]
	case 4:
		d.place = map[string]string{"Lancy": "Onex", "Onex": "Lancy"}[d.place]
	case 5, 6:
		d.refused = !d.refused
	default:
		w.reassigns++
		former := d
		d.provider, kind = fmt.Sprint("P", w.reassigns+1), subjects.Reassigned
		if w.IntN(2) == 0 { // the matcher amends what an operator has just given away, and does it again
			w.say(kind, d)
			kind = subjects.Amended
			d.number = map[string]string{"+41791118867": "+41791118876", "+41791118876": "+41791118867"}[d.number]
			former.number = d.number
			w.say(kind, former)
		}
	}
	w.say(kind, d)
}

// live plays the durable until nothing is due.
func (w *town) live(t *testing.T) {
	w.say(subjects.Matched, word{number: "+41791118867", place: "Lancy", provider: "P1"})
	if w.IntN(4) > 0 {
		w.throttled = w.now.Add(w.any(3*time.Second, 30*time.Second, 90*time.Second))
	}
	corrections, next := 1+w.IntN(6), w.now.Add(w.any(300*time.Millisecond, 1500*time.Millisecond, 5*time.Second))
	for range 20_000 {
		if corrections > 0 && !w.now.Before(next) {
			corrections--
			next = w.now.Add(w.any(0, 700*time.Millisecond, 3*time.Second, 8*time.Second, 40*time.Second))
			w.correct()
			continue
		}
		if len(w.due) == 0 && corrections == 0 {
			break
		}
		w.step(t, corrections > 0, next)
	}
	if len(w.due) > 0 || w.now.Sub(start) > 2*time.Hour {
		w.fault("%d messages wait for ever", len(w.due))
	}
	w.end(t)
	for _, b := range w.broken {
		t.Error(b)
	}
	if t.Failed() {
		for _, e := range w.events {
			switch b := e.Body.(type) {
			case *event.Decided:
				t.Logf("%s %s %s %s refused %v, %s", e.At.Sub(start), e.Lead.Event, b.Lead.Phone.E164, b.Lead.Place.ID, b.Lead.Request.Refused(), b.Provider.ID)
			case *event.Attempted:
				t.Logf("%s %s %s %s %s", e.At.Sub(start), e.Lead.Event, b.Recipient, b.Channel, b.Purpose)
			}
		}
	}
}

// step hands over what is due, in any order; without it, time passes.
func (w *town) step(t *testing.T, corrected bool, next time.Time) {
	t.Helper()
	var ready []int
	for i, v := range w.due {
		if !v.at.After(w.now) {
			ready = append(ready, i)
		}
	}
	if len(ready) == 0 {
		at := next
		for _, v := range w.due {
			if !corrected || v.at.Before(at) {
				at, corrected = v.at, true
			}
		}
		w.now = at
		return
	}
	i := ready[w.IntN(len(ready))]
	v := w.due[i]
	w.due = slices.Delete(w.due, i, i+1)
	err := w.n.Handle(context.Background(), v.Delivery)
	switch fate, delay := event.Outcome(err, v.Attempt); {
	case fate == event.Terminate:
		t.Fatal(err)
	case fate == event.Redeliver:
		w.visit(v.Event, v.Attempt+1, delay)
	case w.IntN(12) == 0: // the ack is lost
		w.visit(v.Event, v.Attempt+1, w.any(time.Second, 30*time.Second))
	case w.IntN(20) == 0 && v.Attempt == 1: // an operator replays it
		w.visit(v.Event, 1, w.any(5*time.Second, time.Minute))
	}
}

// end looks at what everybody read.
func (w *town) end(t *testing.T) {
	t.Helper()
	last := w.decisions[len(w.decisions)-1]
	read, mails := map[string][]lead.Message{}, map[string]int{}
	for _, m := range w.took {
		if strings.HasPrefix(m.Purpose, lead.PurposeCopyOfText+lead.PurposeConfirmation) {
			mails[m.ID]++
			continue
		}
		before := read[m.To]
		for i, b := range before {
			if b.Text == m.Text && (m.Recipient == lead.ToCustomer || m.Recipient == lead.ToProvider && i == len(before)-1 && !w.doubts) {
				w.fault("%s %s reads the same words twice: %q", m.Recipient, m.Purpose, m.Text)
			}
		}
		read[m.To] = append(before, m)
	}
	if len(mails) != len(w.reports) {
		w.fault("%d reports on texts, and %d mails to the owner", len(w.reports), len(mails))
	}
	if last.refused {
		return
	}
	if texts := read[last.number]; len(texts) == 0 || !strings.Contains(texts[len(texts)-1].Text, last.provider) {
		w.fault("the customer's last text to %s is not there: %v", last.number, texts)
	}
	for _, to := range []string{"+4179111000" + last.provider[1:], last.provider + "@mail.example"} {
		if got := read[to]; len(got) == 0 || !last.in(got[len(got)-1]) {
			w.fault("the provider's last word at %s is not %+v", to, last)
		}
	}

	// A person may order any of it once more.
	again, err := compose.Resend(w.events, lead.ToCustomer, "", w.now)
	if err != nil {
		t.Fatal(err)
	}
	took := len(w.took)
	w.doubts = false
	if err := w.PublishAll(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	for len(w.due) > 0 && w.now.Sub(start) < 4*time.Hour {
		w.step(t, false, w.now)
	}
	if !slices.ContainsFunc(w.took[took:], func(m lead.Message) bool { return m.Recipient == lead.ToCustomer && m.To == last.number }) {
		w.fault("what a person ordered was not sent")
	}
}
