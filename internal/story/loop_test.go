package story

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/subjects"
)

// life is one lead under everything that may happen to it: answers and orders in any
// order, repeated events, matchers that decide on what they saw a while ago, lost
// receipts and timers that fire late or never.
type life struct {
	*rand.Rand
	now    time.Time
	events []event.Event
	record Record
	seen   map[string]bool
	views  []Record // what replicas saw; they lag behind
	offers []string
}

func (l *life) publish(kind, id string, body any) {
	if id == "" {
		id = fmt.Sprint(kind, "-", len(l.events))
	}
	e := event.Event{
		ID: id, At: l.now, Stored: l.now, Seq: uint64(len(l.events) + 1), Body: body,
		Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: kind, Lead: "l"},
	}
	l.events = append(l.events, e)
	l.take(e)
}

func (l *life) take(e event.Event) {
	if l.seen[e.ID] {
		return
	}
	l.seen[e.ID] = true
	l.record.Apply(e)
}

// view is a copy of the record, as a replica has it.
func (l *life) view() Record {
	r := l.record
	r.Offers, r.Messages, r.Matches = slices.Clone(r.Offers), slices.Clone(r.Messages), slices.Clone(r.Matches)
	return r
}

// route does what the matcher does on a view of the lead.
func (l *life) route(r Record) {
	step, _ := r.Due(l.now)
	d := event.Decided{Turn: r.Turn, Ended: step.Ended}
	switch {
	case step.Overdue != "":
		d.Of = step.Overdue
		l.publish(subjects.Overdue, "overdue-"+step.Overdue+r.Turn, &d)
	case !step.Next:
	case l.IntN(3) == 0:
		l.publish(subjects.Unserved, "unserved-"+r.Turn, &d)
	case l.IntN(8) == 0:
		d.Until, d.PageAt = l.now.Add(time.Hour), l.now.Add(90*time.Minute)
		l.publish(subjects.Postponed, "postponed-"+r.Turn, &d)
	default:
		l.match(subjects.Reassigned, d)
	}
}

func (l *life) match(kind string, d event.Decided) {
	provider := func() (string, *roster.Provider) {
		id := fmt.Sprint("o", len(l.offers))
		l.offers = append(l.offers, id)
		return id, &roster.Provider{ID: "p" + id, SMS: "+41781234501"}
	}
	d.Offer, d.Provider = provider()
	d.Mode = []string{"", lead.Exclusive, lead.Broadcast}[l.IntN(3)]
	d.TextAt, d.PageAt = l.now.Add(30*time.Minute), l.now.Add(time.Hour)
	if d.Mode != "" {
		d.Until = l.now.Add(15 * time.Minute)
	}
	if d.Mode == lead.Broadcast {
		id, p := provider()
		d.Rivals = []event.Rival{{Offer: id, Provider: *p}}
	}
	l.publish(kind, kind+"-"+d.Offer, &d)
}

var failures = []*lead.Failure{{Class: lead.BadRecipient}, {Class: lead.Transient}, {Class: lead.OptedOut}}

// step lets one thing happen.
func (l *life) step() {
	r := &l.record
	offer := func() string { return l.offers[l.IntN(len(l.offers))] }
	switch n := l.IntN(20); {
	case n == 0:
		l.now = l.now.Add(time.Duration(l.IntN(40)) * time.Minute)
	case n <= 3:
		l.route(l.view())
	case n == 4 && len(l.views) > 0: // a replica that saw it a while ago
		l.route(l.views[l.IntN(len(l.views))])
	case n == 5:
		l.views = append(l.views, l.view())
	case n == 6 && len(l.events) > 0: // stored again, or delivered twice
		e := l.events[l.IntN(len(l.events))]
		l.events = append(l.events, e)
		l.take(e)
	case n == 7 && len(l.events) > 0 || len(l.offers) == 0:
		if kind := subjects.Matched; len(l.offers) == 0 || l.IntN(4) == 0 { // a slow replica decides for itself
			l.match(kind, event.Decided{})
		}
	case n <= 11:
		answers := []string{event.Accept, event.Accept, event.Decline, event.Leave, event.Reached, event.NotReached, event.Done, event.NotDone}
		l.publish(subjects.ProviderReplied, "", &event.Replied{Offer: offer(), Answer: answers[l.IntN(len(answers))]})
	case n == 12:
		l.publish(subjects.OwnerDecided, "", &event.Ordered{Order: event.Orders[l.IntN(len(event.Orders))]})
	case n <= 15:
		id := offer()
		m := lead.Message{ID: "m" + id, Recipient: lead.ToProvider, Channel: lead.SMS, Offer: id}
		l.publish(subjects.MessageQueued, "queued-"+id, &event.Queued{Message: m})
	case n <= 17 && len(r.Messages) > 0:
		m := r.Messages[l.IntN(len(r.Messages))]
		l.publish(subjects.MessageSent, "", &event.Attempted{Message: m.ID, Sent: &lead.Sent{At: l.now}})
	case len(r.Messages) > 0:
		m := r.Messages[l.IntN(len(r.Messages))]
		receipt := lead.Receipt{Message: m.ID, State: lead.MessageFailed, Failure: failures[l.IntN(len(failures))], At: l.now}
		if l.IntN(2) == 0 {
			receipt.State, receipt.Failure = lead.MessageDelivered, nil
		}
		l.publish(subjects.ReceiptReceived, "", &event.Reported{Receipt: receipt})
	}
}

func decides(e event.Event) bool {
	_, is := e.Body.(*event.Decided)
	return is
}

// wrong says what must not be; empty when all is well.
func (l *life) wrong(was Record) string {
	r, before := &l.record, lead.Status(was.Lead.Status)
	status := lead.Status(r.Lead.Status)
	if before != "" && before != status && !before.MayBecome(status) {
		// By way of another status within one event: a decision takes a lead from
		// where it was, and an accept comes before the first receipt.
		through := func(s lead.Status) bool {
			return (before == s || before.MayBecome(s)) && (s == status || s.MayBecome(status))
		}
		lost := before == lead.Converted && lead.Lost.MayBecome(lead.Pending) && (status == lead.Pending || lead.Pending.MayBecome(status))
		if !through(lead.Pending) && !through(lead.Notified) && !lost {
			return fmt.Sprintf("the lead went from %s to %s", before, status)
		}
	}
	accepted, open := 0, 0
	for _, o := range r.Offers {
		if o.State == string(lead.OfferAccepted) {
			accepted++
		} else if o.EndedAt.IsZero() {
			open++
		}
	}
	switch {
	case accepted > 1:
		return "two providers have the lead"
	case accepted == 1 && open > 0:
		return "an offer is open beside the one that was accepted"
	case (status == lead.Cancelled || status == lead.Spam || status == lead.Duplicate) && accepted+open > 0:
		return "an offer stands although the lead is " + string(status)
	case status == lead.Accepted && (accepted != 1 || r.offerOf(r.Lead.Offer) == nil || r.offerOf(r.Lead.Offer).State != string(lead.OfferAccepted)):
		return "the lead is accepted and nobody has it"
	case (status == lead.Matched || status == lead.Notified) && open == 0:
		return "the lead is offered and no offer is open"
	}
	step, at := r.Due(l.now)
	switch {
	case status == lead.Accepted && before != lead.Accepted && !was.Open(r.Lead.Offer):
		return "an offer was accepted that was not open"
	case (before == lead.Accepted || before.Closed()) && status != before && decides(l.events[len(l.events)-1]):
		return fmt.Sprintf("a matcher took the lead away that was %s", before)
	case status == lead.Pending && r.Decision != nil && r.Decision.Lead.Event != subjects.Postponed && !step.Next:
		return "the lead has no provider, and does not ask for one"
	case (status == lead.Matched || status == lead.Notified) && !r.Until.IsZero() && !r.Until.After(l.now) && !step.Next:
		return "an offer has expired, and the lead does not go on"
	}
	if status == lead.Pending || status == lead.Matched || status == lead.Notified && r.Mode != "" {
		if step == (Step{}) && at.IsZero() && !r.Paged {
			return fmt.Sprintf("the lead is %s, and neither a timer nor an alarm will wake anybody: %+v", status, r.Loop)
		}
	}
	return ""
}

// Whatever happens, in whatever order: statuses are legal, one provider has the lead,
// nothing stands after a cancellation, and every open lead has a timer or an alarm.
func TestALeadIsNeverForgottenAndNeverTwice(t *testing.T) {
	t.Parallel()
	const sequences = 100_000
	met := map[lead.Status]int{}
	for seed := range uint64(sequences) {
		l := &life{Rand: rand.New(rand.NewPCG(seed, 3)), now: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), seen: map[string]bool{}}
		l.publish(subjects.Received, "", &event.Received{Lead: understood()})
		for range 8 + l.IntN(25) {
			before := l.view()
			n := len(l.events)
			l.step()
			if len(l.events) > n+1 {
				t.Fatal("a step is one event")
			}
			if len(l.offers) == 0 {
				continue
			}
			if fault := l.wrong(before); fault != "" {
				for _, e := range l.events {
					t.Logf("%s %+v", e.Lead.Event, e.Body)
				}
				t.Fatalf("seed %d: %s", seed, fault)
			}
		}
		met[lead.Status(l.record.Lead.Status)]++
	}
	for _, s := range []lead.Status{lead.Pending, lead.Matched, lead.Notified, lead.Accepted, lead.Unserved, lead.Converted, lead.Lost, lead.Duplicate, lead.Spam, lead.Cancelled} {
		if met[s] < sequences/1000 {
			t.Errorf("only %d of %d leads ended as %s: the test does not reach it", met[s], sequences, s)
		}
	}
}

// What a replica decided without a correction is void: else the lead goes on as it was
// before.
func TestACorrectionVoidsWhatWasDecidedWithoutIt(t *testing.T) {
	s := story{}.received(understood()).matched("o1", "lac")
	turn := Of(s).Turn
	corrected := understood()
	corrected.Request.AddressLine = "rue 2"
	s = s.amended("o1", corrected)
	for name, late := range map[string]*event.Decided{
		subjects.Unserved:   {Lead: understood(), Turn: turn},
		subjects.Reassigned: {Lead: understood(), Turn: turn, Offer: "o2", Provider: &roster.Provider{ID: "rhone"}},
	} {
		r := Of(s.then(name, late))
		if r.Person.Address != "rue 2" || r.Decided().Lead.Request.AddressLine != "rue 2" || r.Lead.Provider != "lac" || len(r.Lead.Refused) != 1 {
			t.Errorf("%s: %+v at %q", name, r.Lead, r.Person.Address)
		}
	}
}
