package send

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

var start = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func catalog() *site.Catalog {
	return &site.Catalog{Sites: map[string]*site.Site{domain: {Domain: domain, Market: "ch"}}}
}

const domain = "plombiersgeneve.ch"

func exampleLead() lead.Lead {
	return lead.Lead{ID: "7k2mq9xe8tr5wz3hnd6y", Ref: "482 913", Market: "ch", Site: domain}
}

// world is everything around a notifier: ledger, stream, vendor and clock,
// each as strict as the real one and able to fail. It survives crashes of the
// notifier.
type world struct {
	texted    []string // texts to customers that the owner was told of
	mu        sync.Mutex
	clock     time.Time
	entries   map[string]event.Entry
	rev       uint64
	events    []event.Event // distinct ones, in order
	have      map[string]bool
	published int // with repeats

	send  func(m lead.Message, attempt string) (lead.Sent, error) // nil: the vendor takes it
	find  func(m lead.Message) (lead.Sent, bool, error)           // nil: as the vendor knows
	took  []lead.Message                                          // what the vendor took
	since time.Time                                               // of the last look

	forgets bool                             // the bus counts deliveries anew after a crash
	dir     string                           // of the journals
	step    func(name string, effect func()) // around every call out of the notifier
}

func newWorld() *world {
	return &world{
		clock: start, entries: map[string]event.Entry{}, have: map[string]bool{},
		step: func(_ string, effect func()) { effect() },
	}
}

func (w *world) now() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.clock }

func (w *world) pass(d time.Duration) { w.mu.Lock(); defer w.mu.Unlock(); w.clock = w.clock.Add(d) }

func (w *world) sender(tb testing.TB) *Sender {
	tb.Helper()
	if w.dir == "" {
		w.dir = tb.TempDir()
	}
	j, err := OpenJournal(w.dir)
	if err != nil {
		tb.Fatal(err)
	}
	n, err := New(Options{
		Catalog: catalog(), Market: "ch", Stream: w, Ledger: w, Journal: j, Now: w.now, Log: zerolog.Nop(), Raise: w.raise, Texted: w.text,
		Vendors: map[string]Vendor{lead.SMS: w, lead.WhatsApp: w, lead.Email: w, lead.Postback: w},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = j.Close() })
	return n
}

func (w *world) Publish(ctx context.Context, e event.Event) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.mu.Lock()
	w.published++
	w.mu.Unlock()
	w.step("publish "+e.Lead.Event, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.have[e.ID] {
			w.have[e.ID] = true
			w.events = append(w.events, e)
		}
	})
	return nil
}

// text is the owner being told of a text to the customer.
func (w *world) text(_ context.Context, _ subjects.Lead, message string, why *lead.Failure) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texted = append(w.texted, message)
	if why != nil {
		w.texted[len(w.texted)-1] += " failed"
	}
	return nil
}

// raise is the owner being called: an event too, so that its order shows.
func (w *world) raise(ctx context.Context, occurrences ...alarm.Occurrence) error {
	for _, o := range occurrences {
		e := event.Event{ID: o.Cause + o.ID, Lead: subjects.Lead{Market: "ch", Site: o.Site, Event: subjects.AlarmRaised}, Body: o}
		if err := w.Publish(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) Events(_ context.Context, of subjects.Lead) (found []event.Event, err error) {
	w.step("events", func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, e := range w.events {
			if e.Lead == of {
				found = append(found, e)
			}
		}
	})
	return found, nil
}

func (w *world) Get(_ context.Context, key string) (e event.Entry, err error) {
	w.step("get", func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		var ok bool
		if e, ok = w.entries[key]; !ok {
			err = event.ErrNotFound
		}
	})
	return e, err
}

func (w *world) Create(ctx context.Context, key string, v []byte) (uint64, error) {
	return w.write(ctx, "create", key, v, 0)
}

func (w *world) Update(ctx context.Context, key string, v []byte, rev uint64) (uint64, error) {
	return w.write(ctx, "update", key, v, rev)
}

func (w *world) write(ctx context.Context, name, key string, v []byte, rev uint64) (next uint64, err error) {
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	w.step(name, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.entries[key].Revision != rev {
			err = event.ErrConflict
			return
		}
		w.rev++
		next = w.rev
		w.entries[key] = event.Entry{Key: key, Value: v, Revision: next}
	})
	return next, err
}

func (w *world) Send(_ context.Context, m lead.Message, attempt string) (s lead.Sent, err error) {
	w.step("send", func() {
		if w.send != nil {
			if s, err = w.send(m, attempt); err != nil {
				return
			}
		}
		s = w.take(m)
	})
	return s, err
}

// take is the vendor's acceptance.
func (w *world) take(m lead.Message) lead.Sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.took = append(w.took, m)
	return lead.Sent{VendorID: fmt.Sprintf("SM%d", len(w.took)), At: w.clock}
}

func (w *world) Find(_ context.Context, m lead.Message, _ string, since time.Time, others []string) (s lead.Sent, found bool, err error) {
	w.mu.Lock()
	w.since = since
	w.mu.Unlock()
	w.step("find", func() {
		if w.find != nil {
			s, found, err = w.find(m)
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for i, t := range w.took {
			id := fmt.Sprintf("SM%d", i+1)
			if t.Text == m.Text && t.To == m.To && t.Channel == m.Channel && !slices.Contains(others, id) && !slices.Contains(others, "") {
				s, found = lead.Sent{VendorID: id, At: w.clock}, true
			}
		}
	})
	return s, found, err
}

// errCrash stands for the process ending there and then.
var errCrash = errors.New("crash")

// deliver plays the durable: it hands the event over until it is acked,
// terminated or given up, letting time pass as asked. It answers the number of
// deliveries and the last error.
func (w *world) deliver(tb testing.TB, e event.Event) (attempts int, err error) {
	tb.Helper()
	const ackWait, maxDeliver = 30 * time.Second, 100
	n, stored := w.sender(tb), w.now()
	for attempt := 1; attempt <= maxDeliver; attempt++ {
		if err = w.handle(n, event.Delivery{Event: storedAt(e, stored), Attempt: attempt}); errors.Is(err, errCrash) {
			_ = n.Journal.Close()
			n = w.sender(tb)
			if err := n.Recover(tb.Context()); err != nil {
				tb.Fatal(err)
			}
			w.pass(ackWait)
			if w.forgets {
				attempt = 0
			}
			continue
		}
		fate, delay := event.Outcome(err, attempt)
		if fate != event.Redeliver {
			return attempt, err
		}
		w.pass(delay)
	}
	return maxDeliver, err
}

func (w *world) handle(n *Sender, d event.Delivery) (err error) {
	defer func() {
		if v := recover(); v != nil {
			if v != errCrash { //nolint:errorlint // the very value that was thrown
				panic(v)
			}
			err = errCrash
		}
	}()
	if r, ok := d.Body.(*event.Reported); ok {
		return n.Receipt(context.Background(), d, r.Receipt)
	}
	return n.Send(context.Background(), d, d.Body.(*event.Queued).Message)
}

// kinds are the kinds of the events published, in order.
func (w *world) kinds() []string {
	var out []string
	for _, e := range w.events {
		out = append(out, e.Lead.Event)
	}
	return out
}

// alarms are what the owner was notified for.
func (w *world) alarms() (raised []alarm.Occurrence) {
	for _, e := range w.events {
		if o, ok := e.Body.(alarm.Occurrence); ok {
			raised = append(raised, o)
		}
	}
	return raised
}

// queuedEvent is the event that asks for the sending of a message.
func queuedEvent(recipient, channel, purpose string) event.Event {
	l := exampleLead()
	m := lead.Message{
		ID: lead.MessageID(l.ID, purpose, recipient, channel, "offer1"), Lead: l.ID, Market: l.Market, Site: l.Site, Offer: "offer1", Ref: l.Ref,
		Purpose: purpose, Recipient: recipient, Channel: channel, From: "Plombiers", To: "+41791110002", Text: "hello", Of: 1,
	}
	if recipient == lead.ToProvider {
		m.Provider = "rapide"
	}
	return event.Event{
		ID: "message-queued-" + m.ID, At: start, Body: &event.Queued{Message: m},
		Lead: subjects.Lead{Market: l.Market, Site: l.Site, Event: subjects.MessageQueued, Lead: l.ID},
	}
}

// receiptOf is a vendor's report on the message of a queued event.
func receiptOf(q event.Event, state lead.MessageState, f *lead.Failure) event.Event {
	m := q.Body.(*event.Queued).Message
	l := q.Lead
	l.Event = subjects.ReceiptReceived
	return event.Event{
		ID: "receipt-" + string(state) + m.ID, At: start, Lead: l,
		Body: &event.Reported{Receipt: lead.Receipt{Message: m.ID, Vendor: "twilio", VendorID: "SM1", Status: string(state), State: state, Failure: f, At: start}},
	}
}

// storedAt is an event that the stream took at a time.
func storedAt(e event.Event, at time.Time) event.Event {
	e.Stored = at
	return e
}
