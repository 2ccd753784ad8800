package notifier_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/role/notifier"
	"leadbus/internal/role/notifier/send"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

var start = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// fake is a stream, a vendor that is never asked, and an owner who is called.
type fake struct {
	event.Bucket
	send.Vendor
	events []event.Event
	queued []lead.Message
	raised []alarm.Occurrence
	late   time.Duration // after the start
}

func (f *fake) Publish(context.Context, event.Event) error { return nil }

func (f *fake) PublishAll(_ context.Context, events []event.Event) error {
	for _, e := range events {
		f.queued = append(f.queued, e.Body.(*event.Queued).Message)
	}
	return nil
}

func (f *fake) Events(_ context.Context, of subjects.Lead) (found []event.Event, _ error) {
	for _, e := range f.events {
		if e.Lead.Lead == of.Lead && e.Lead.Site == of.Site {
			found = append(found, e)
		}
	}
	return found, nil
}

func (f *fake) notifier(t *testing.T) *notifier.Notifier {
	t.Helper()
	n, err := notifier.New(notifier.Options{PublishAll: f.PublishAll, Options: send.Options{
		Catalog: &site.Catalog{Sites: map[string]*site.Site{"a.ch": {
			Domain: "a.ch", Market: "ch", Senders: site.Senders{Mail: site.Sender{From: "a@mail.example"}}, Owner: site.Owner{Email: "owner@mail.example", Language: "en"},
		}}},
		Market: "ch", Stream: f, Ledger: f, Vendors: map[string]send.Vendor{lead.SMS: f, lead.WhatsApp: f, lead.Email: f},
		Raise: func(_ context.Context, o ...alarm.Occurrence) error { f.raised = append(f.raised, o...); return nil },
		Now:   func() time.Time { return start.Add(f.late) },
	}})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func decided(kind, reason string, flags ...string) event.Event {
	return event.Event{
		ID: kind + "-" + reason, At: start, Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: kind, Lead: "l1"},
		Body: &event.Decided{Lead: lead.Lead{ID: "l1", Ref: "482 913", Flags: flags}, Reason: reason},
	}
}

// A lead that nobody can take, or that needs a person, raises an alarm; one that
// tests the way does not.
func TestALeadThatNeedsTheOwnerRaisesAnAlarm(t *testing.T) {
	for kind, cause := range map[string]string{subjects.Unserved: alarm.Unserved, subjects.ReviewRequested: alarm.Review} {
		f := &fake{}
		n := f.notifier(t)
		for _, e := range []event.Event{decided(kind, "nobody"), decided(kind, "test", lead.FlagTest)} {
			f.events = []event.Event{e}
			if err := n.Handle(t.Context(), event.Delivery{Event: e, Attempt: 1}); err != nil {
				t.Fatal(err)
			}
		}
		want := []alarm.Occurrence{{Site: "a.ch", Cause: cause, About: "l1", ID: kind + "-nobody", At: start, Leads: []string{"l1"}}}
		if d := cmp.Diff(want, f.raised); d != "" || len(f.queued) > 0 {
			t.Errorf("%s %v", d, f.queued)
		}
	}
}

// The mail has the lead as it is when the owner is notified. One that cannot be
// read yet is waited for, and in the end called for all the same.
func TestTheAlarmTellsOfTheLeadAsItIs(t *testing.T) {
	f := &fake{events: []event.Event{decided(subjects.ReviewRequested, "no place given"), decided(subjects.Unserved, "all are away")}}
	n := f.notifier(t)
	e := event.Event{
		ID: "alarm-raised-a1-1", At: start, Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: subjects.AlarmRaised, Lead: "a1"},
		Body: &event.Raised{Alarm: alarm.Alarm{ID: "a1", Site: "a.ch", Cause: alarm.Unserved, About: "l1", Since: start, Notified: 1}},
	}
	if err := n.Handle(t.Context(), event.Delivery{Event: e, Attempt: 1}); err != nil {
		t.Fatal(err)
	}
	if len(f.queued) != 1 || f.queued[0].Lead != "a1" || !strings.Contains(f.queued[0].Text, "all are away") || strings.Contains(f.queued[0].Text, "no place given") {
		t.Errorf("%+v", f.queued)
	}
	f.events = nil
	if err := n.Handle(t.Context(), event.Delivery{Event: e, Attempt: 1}); !event.Deferred(err) {
		t.Errorf("a lead that cannot be read yet: %v", err)
	}
	e.At = start.Add(-time.Hour)
	if err := n.Handle(t.Context(), event.Delivery{Event: e, Attempt: 1}); err != nil || len(f.queued) != 2 {
		t.Errorf("a lead that is gone: %v, %d mails", err, len(f.queued))
	}
}

// What roles give up is one alarm for each role.
func TestADeadLetterRaisesAnAlarm(t *testing.T) {
	f := &fake{}
	n := f.notifier(t)
	for i := range 3 {
		d := event.Dead{Market: "ch", Role: subjects.Matcher, Site: "a.ch", Lead: "l1", Kind: subjects.Received, Seq: uint64(7 + i), ID: uint64(3 + i), Reason: "not sent within 8h", At: start}
		if i == 2 {
			d.Site, d.Lead = "", "" // unreadable
		}
		if err := n.HandleDead(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	var st alarm.State
	for i, o := range f.raised {
		if o.Cause != alarm.DeadLetter || o.About != subjects.Matcher {
			t.Errorf("%+v", o)
		}
		if i < 2 {
			st = st.Add(o)
		}
	}
	if len(f.raised) != 3 || st.Times != 2 || !slices.Equal(st.Leads, []string{"l1"}) || !slices.Contains(st.Facts, alarm.Fact{Label: "retry", Value: "leadbus dlq retry --market ch 4"}) {
		t.Errorf("%+v", st)
	}
}

// A message to a provider that the vendor could not bring to them for now goes out
// twice more, a minute apart, and no more when the offer has ended.
func TestWhatMayPassIsTriedAgain(t *testing.T) {
	label := lead.Label{Recipient: lead.ToProvider, Provider: "lac", Channel: lead.SMS, Purpose: lead.PurposeOffer, Offer: "o1"}
	at := func(seq uint64, kind string, body any) event.Event {
		return event.Event{ID: fmt.Sprint(kind, seq), Seq: seq, At: start, Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: kind, Lead: "l1"}, Body: body}
	}
	f := &fake{Bucket: &entries{there: map[string]event.Entry{}}}
	n := f.notifier(t)
	m := lead.Message{ID: "m1", Lead: "l1", Recipient: lead.ToProvider, Provider: "lac", Channel: lead.SMS, Purpose: lead.PurposeOffer, Offer: "o1", To: "+41781230003", Text: "Fuite"}
	f.events = []event.Event{
		at(1, subjects.Matched, &event.Decided{Lead: lead.Lead{ID: "l1"}, Offer: "o1", Provider: &roster.Provider{ID: "lac"}}),
		at(2, subjects.MessageQueued, &event.Queued{Message: m}),
	}
	failed := func(class lead.FailureClass) error {
		r := lead.Receipt{Label: label, Message: m.ID, State: lead.MessageFailed, Failure: &lead.Failure{Class: class}}
		return n.Handle(t.Context(), event.Delivery{Event: at(uint64(len(f.events)+1), subjects.ReceiptReceived, &event.Reported{Receipt: r}), Attempt: 1})
	}
	for time := 1; time <= 3; time++ {
		f.late, f.queued = 0, nil
		if err := failed(lead.Transient); time < 3 && !event.Deferred(err) || len(f.queued) > 0 {
			t.Fatalf("at once: %v, %v", err, f.queued)
		}
		f.late = 61e9
		if err := failed(lead.Transient); err != nil {
			t.Fatal(err)
		}
		if time == 3 {
			break
		}
		if len(f.queued) != 1 || f.queued[0].ID == m.ID || f.queued[0].Text != m.Text || f.queued[0].Offer != "o1" {
			t.Fatalf("%d: %+v", time, f.queued)
		}
		m = f.queued[0]
		label.Purpose = m.Purpose
		f.events = append(f.events, at(uint64(len(f.events)+1), subjects.MessageQueued, &event.Queued{Message: m}))
	}
	if len(f.queued) > 0 {
		t.Errorf("a third time: %+v", f.queued)
	}
	label.Purpose, m.ID = lead.PurposeOffer, "m1"
	if err := failed(lead.BadRecipient); err != nil || len(f.queued) > 0 {
		t.Errorf("what does not pass: %v, %v", err, f.queued)
	}
	f.events = append(f.events, at(9, subjects.OwnerDecided, &event.Ordered{Order: event.Cancel}))
	if err := failed(lead.Transient); err != nil || len(f.queued) > 0 {
		t.Errorf("a cancelled lead: %v, %v", err, f.queued)
	}
}
