package matcher

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/bus/bustest"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/roster"
	"leadbus/internal/subjects"
)

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

const mobile, another = "+41791234567", "+41797654321"

// healthRig is a real bus, reached with the matcher's rights.
type healthRig struct {
	*testing.T
	operator, matcher *bus.Conn
	watch             *bus.Bucket
}

func newHealthRig(t *testing.T) healthRig {
	t.Helper()
	b := bustest.New(t)
	matcher := b.Connect(t, "ch-matcher")
	return healthRig{T: t, operator: b.Operator, matcher: matcher, watch: bustest.Bucket(t, matcher, subjects.BucketWatch)}
}

func of(id, kind string, minute int, body any) event.Event {
	return event.Event{
		ID: fmt.Sprint(kind, id, minute), At: noon.Add(time.Duration(minute) * time.Minute), Body: body,
		Lead: subjects.Lead{Market: "ch", Site: "plombiersgeneve.ch", Event: kind, Lead: id},
	}
}

// queue tells a provider and the customer of a lead; message ids are the
// lead's and the recipient's.
func (r healthRig) queue(id, address string, minute int) {
	r.Helper()
	for i, recipient := range []string{lead.ToProvider, lead.ToCustomer} {
		m := lead.Message{ID: id + "-" + recipient, Lead: id, Market: "ch", Site: "plombiersgeneve.ch", Recipient: recipient, Channel: lead.SMS, To: address}
		if recipient == lead.ToProvider {
			m.Provider = "lac-2"
		}
		e := of(id, subjects.MessageQueued, minute, &event.Queued{Message: m})
		e.ID += fmt.Sprint(i)
		if err := r.operator.Publish(r.Context(), e); err != nil {
			r.Fatal(err)
		}
	}
}

func failed(id, recipient string, minute int, class lead.FailureClass) event.Event {
	return of(id, subjects.MessageFailed, minute, &event.Attempted{
		Message: id + "-" + recipient, Failure: &lead.Failure{Vendor: "twilio", Code: "21635", Class: class, Reason: "a landline"},
	})
}

func reported(id, recipient string, minute int, state lead.MessageState, class lead.FailureClass) event.Event {
	receipt := lead.Receipt{Message: id + "-" + recipient, State: state}
	if class != "" {
		receipt.Failure = &lead.Failure{Vendor: "twilio", Code: "30003", Class: class}
	}
	return of(id, subjects.ReceiptReceived, minute, &event.Reported{Receipt: receipt})
}

func (r healthRig) health() roster.Health {
	r.Helper()
	e, err := r.watch.Get(r.Context(), roster.HealthKey("lac-2", lead.SMS))
	if err != nil {
		r.Fatal(err)
	}
	h, err := roster.ReadHealth(e.Value)
	if err != nil {
		r.Fatal(err)
	}
	return h
}

func TestAChannelBreaksAndIsCorrected(t *testing.T) {
	r := newHealthRig(t)
	reach := (&health{stream: r.matcher, bucket: r.watch})
	handle := func(want string, e event.Event) {
		t.Helper()
		if _, err := reach.handle(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if s := r.health().State(); s != want {
			t.Fatalf("%s, want %s", s, want)
		}
	}
	for i, id := range []string{"a", "b", "c", "d"} {
		r.queue(id, mobile, i)
	}
	handle(roster.Healthy, reported("a", lead.ToProvider, 10, lead.MessageDelivered, ""))
	handle(roster.Healthy, reported("b", lead.ToProvider, 11, lead.MessageFailed, lead.Transient))
	handle(roster.Healthy, reported("b", lead.ToProvider, 11, lead.MessageFailed, lead.Transient))
	handle(roster.Suspect, reported("c", lead.ToProvider, 12, lead.MessageFailed, lead.Transient))
	handle(roster.Suspect, failed("c", lead.ToCustomer, 13, lead.BadRecipient))
	handle(roster.Suspect, reported("c", lead.ToProvider, 13, lead.MessageSent, ""))
	handle(roster.Broken, failed("d", lead.ToProvider, 14, lead.BadRecipient))
	r.queue("e", mobile, 20)
	handle(roster.Broken, failed("e", lead.ToProvider, 21, lead.BadRecipient)) // known already
	r.queue("f", another, 22)
	handle(roster.Healthy, reported("f", lead.ToProvider, 23, lead.MessageDelivered, ""))
	handle(roster.Healthy, failed("d", lead.ToProvider, 14, lead.BadRecipient)) // a replay
}

// A report on nothing of ours waits while a replica may lag behind, and no
// longer.
func TestAReportOnAnUnknownMessage(t *testing.T) {
	r := newHealthRig(t)
	reach := (&health{stream: r.matcher, bucket: r.watch})
	e := failed("x", lead.ToProvider, 0, lead.BadRecipient)
	if _, err := reach.handle(t.Context(), e); err != nil {
		t.Error(err)
	}
	e.At = time.Now()
	if _, err := reach.handle(t.Context(), e); !event.Deferred(err) {
		t.Errorf("just now: %v", err)
	}
}

// Reports that come together, at several scanners, are all counted.
func TestReportsAtTheSameTime(t *testing.T) {
	r := newHealthRig(t)
	var all sync.WaitGroup
	for i := range 8 {
		id := fmt.Sprint("lead-", i)
		r.queue(id, mobile, i)
		all.Go(func() {
			if _, err := (&health{stream: r.matcher, bucket: r.watch}).handle(t.Context(), reported(id, lead.ToProvider, 10+i, lead.MessageFailed, lead.Transient)); err != nil {
				t.Error(err)
			}
		})
	}
	await.Return(t, "the reports are handled", all.Wait)
	if h := r.health(); len(h.Failures) != 8 || h.State() != roster.Suspect {
		t.Errorf("%s after %d failures", h, len(h.Failures))
	}
}

// Reports that say whom they are about need no look at the stream, and each of
// them counts.
func TestReportsThatDescribeThemselves(t *testing.T) {
	r := newHealthRig(t)
	reach := &health{bucket: r.watch} // no stream
	about := func(address string, minute int) lead.Label {
		return lead.Message{Recipient: lead.ToProvider, Provider: "lac-2", Channel: lead.SMS, To: address, QueuedAt: noon.Add(time.Duration(minute) * time.Minute)}.Label()
	}
	handle := func(want string, e event.Event) {
		t.Helper()
		if _, err := reach.handle(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if s := r.health().State(); s != want {
			t.Fatalf("%s, want %s", s, want)
		}
	}
	receipt := func(id string, minute int, state lead.MessageState, l lead.Label) event.Event {
		e := reported(id, lead.ToProvider, minute, state, "")
		e.Body.(*event.Reported).Receipt.Label = l
		return e
	}
	refused := failed("a", lead.ToProvider, 2, lead.BadRecipient)
	refused.Body.(*event.Attempted).Label = about(mobile, 1)
	handle(roster.Broken, refused)
	for i := range 100 { // as fast as they come
		handle(roster.Broken, receipt(fmt.Sprint("old-", i), 1, lead.MessageDelivered, about(mobile, 0)))
	}
	handle(roster.Healthy, receipt("b", 3, lead.MessageDelivered, about(mobile, 1)))
}
