package story

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/subjects"
)

// Loop is where the delivery of a lead stands, from the offer to a provider who has
// the job.
type Loop struct {
	// Mode is that of the offers that are open.
	Mode string
	// Until is when the open offers expire, or a postponed lead is looked at
	// again; zero for never.
	Until time.Time
	// TextAt and PageAt are when customer and owner are to hear that the lead is
	// still open; Texted and Paged, that they have heard.
	TextAt, PageAt time.Time
	Texted, Paged  bool
	// Left is how the lead left its provider: it asks for the next one.
	Left lead.OfferState
	// Wants is the order of the owner that is still to be carried out.
	Wants *event.Ordered
}

func (r *Record) offerOf(id string) *Offer {
	if i := slices.IndexFunc(r.Offers, func(o Offer) bool { return o.ID == id }); i >= 0 {
		return &r.Offers[i]
	}
	return nil
}

// Open reports whether an offer can still be accepted.
func (r *Record) Open(offer string) bool {
	o := r.offerOf(offer)
	return o != nil && o.EndedAt.IsZero()
}

// Has reports whether an offer stands: it is open, or was accepted and not taken
// back since.
func (r *Record) Has(offer string) bool {
	o := r.offerOf(offer)
	return o != nil && (o.EndedAt.IsZero() || o.State == string(lead.OfferAccepted))
}

// endOffers ends the offers that stand.
func (r *Record) endOffers(how lead.OfferState, at time.Time) {
	for i := range r.Offers {
		if o := &r.Offers[i]; r.Has(o.ID) {
			r.end(o, how, at)
		}
	}
	r.Lead.Offer, r.Until = "", time.Time{}
}

func (r *Record) end(o *Offer, how lead.OfferState, at time.Time) {
	o.State, o.EndedAt = string(how), micros(at)
}

// schedule takes over when a decision is to be looked at again.
func (r *Record) schedule(b *event.Decided, moves bool) {
	if !moves {
		return
	}
	r.Mode, r.Until, r.Left, r.Wants = b.Mode, b.Until, "", nil
	if r.TextAt.IsZero() {
		r.TextAt = b.TextAt
	}
	if r.PageAt.IsZero() {
		r.PageAt = b.PageAt
	}
}

// People whom an overdue lead is brought to.
const (
	Customer = lead.ToCustomer
	Owner    = lead.ToOwner
)

func (r *Record) overdue(b *event.Decided) {
	r.Texted = r.Texted || b.Of == Customer
	r.Paged = r.Paged || b.Of == Owner
}

// reply takes in what a provider answered. An answer to an offer that has ended, or
// about a lead that somebody else has, changes nothing.
func (r *Record) reply(e event.Event, b *event.Replied) {
	o := r.offerOf(b.Offer)
	switch b.Answer {
	case event.Accept:
		if o == nil || !r.Open(o.ID) || !r.move(e, lead.Notified, r.Lead.Offer) || !r.move(e, lead.Accepted, "") {
			return
		}
		r.endOffers(lead.OfferWithdrawn, e.At)
		r.end(o, lead.OfferAccepted, e.At)
		r.Lead.Offer, r.Lead.Provider, r.Turn = o.ID, o.Provider, e.ID
		r.choose(o.ID)
	case event.Decline, event.Leave:
		if o == nil || !r.Has(o.ID) || lead.Status(r.Lead.Status).Closed() {
			return
		}
		r.end(o, lead.OfferDeclined, e.At)
		o.Reason = cmp.Or(b.Reason, map[string]string{event.Leave: event.Leave}[b.Answer])
		r.Turn = e.ID
		if !slices.ContainsFunc(r.Offers, func(other Offer) bool { return r.Has(other.ID) }) {
			r.leave(e, lead.OfferDeclined)
		} else if o.ID == r.Lead.Offer { // a rival still may accept
			r.Lead.Offer = r.Offers[slices.IndexFunc(r.Offers, func(other Offer) bool { return r.Has(other.ID) })].ID
		}
	default:
		if o == nil || !r.Has(o.ID) || o.ID != r.Lead.Offer {
			return
		}
		to, closes := map[string]lead.Status{event.Done: lead.Converted, event.NotDone: lead.Lost}[b.Answer]
		if closes && !r.move(e, to, "") {
			return
		}
		o.Outcome = b.Answer
		if closes {
			r.Lead.Reason, r.Lead.Value, r.Turn = b.Reason, b.Value, e.ID
		}
	}
}

// choose makes the match of a rival that accepted the one that stands.
func (r *Record) choose(offer string) {
	match := r.Match()
	if match == nil {
		return
	}
	b := *match.Body.(*event.Decided)
	for _, rival := range b.Rivals {
		if rival.Offer == offer {
			b.Offer, b.Provider, b.Rivals = offer, &rival.Provider, nil
			e := *match
			e.Body = &b
			r.Matches = append(r.Matches, e)
			if r.Decision != nil {
				now := *r.Decision.Body.(*event.Decided)
				now.Offer, now.Provider, now.Rivals = offer, &rival.Provider, nil
				d := *r.Decision
				d.Body = &now
				r.Decision = &d
			}
		}
	}
}

// leave takes the lead from its provider.
func (r *Record) leave(e event.Event, how lead.OfferState) {
	if r.move(e, lead.Pending, "") {
		r.endOffers(how, e.At)
		r.Left = how
	}
}

// orders are the statuses to which the owner may bring a lead.
var orders = map[string]lead.Status{
	event.Cancel: lead.Cancelled, event.Won: lead.Converted, event.Lost: lead.Lost, event.Spam: lead.Spam, event.Duplicate: lead.Duplicate,
}

// order takes in what the owner decided.
func (r *Record) order(e event.Event, b *event.Ordered) {
	if r.Decision == nil && len(r.ToolCalls) == 0 {
		return
	}
	from := lead.Status(r.Lead.Status)
	to, closes := orders[b.Order]
	switch {
	case closes:
		if !r.move(e, to, "") {
			return
		}
		if to != lead.Converted && to != lead.Lost {
			r.endOffers(lead.OfferWithdrawn, e.At)
		}
		r.Lead.Reason, r.Lead.Value, r.Lead.Of = b.Reason, b.Value, ""
		if to == lead.Duplicate {
			r.Lead.Of = b.Of
		}
		r.Wants, r.Left = nil, ""
	case b.Order == event.Reopen && !from.Closed(), b.Order != event.Reopen && from.Closed():
		r.refuse(e, lead.Pending)
		return
	default:
		if from == lead.Converted { // the table has it lost first
			r.move(e, lead.Lost, "")
		}
		if !r.move(e, lead.Pending, "") {
			return
		}
		r.endOffers(lead.OfferWithdrawn, e.At)
		r.Lead.Of, r.Lead.Value, r.Left, r.Wants = "", "", lead.OfferWithdrawn, b
		r.TextAt, r.PageAt, r.Texted, r.Paged = time.Time{}, time.Time{}, false, false
	}
	r.Turn = e.ID
}

// Refuses says why an order of the owner's does nothing; nil when it does something.
func (r *Record) Refuses(e event.Event) error {
	b, ok := e.Body.(*event.Ordered)
	if !ok || r.Takes(e) {
		return nil
	}
	if r.Decision == nil {
		return errors.New("nothing was decided on this lead yet")
	}
	return fmt.Errorf("a lead that is %s cannot be changed by %s; from there it may become: %s", r.Lead.Status, b.Order, lead.Status(r.Lead.Status).Next())
}

// Takes reports whether an answer of a provider or an order of the owner's changes
// anything.
func (r *Record) Takes(e event.Event) bool {
	after := *r
	after.Offers, after.Lead.Refused = slices.Clone(r.Offers), slices.Clone(r.Lead.Refused)
	switch b := e.Body.(type) {
	case *event.Ordered:
		after.order(e, b)
	case *event.Replied:
		after.reply(e, b)
	}
	return after.Turn == e.ID || !slices.Equal(after.Offers, r.Offers)
}

// Patience is how long a channel that failed for a reason that may pass holds the
// lead up; meanwhile it is tried again.
const Patience = 3 * time.Minute

// Step is what a lead asks for by itself.
type Step struct {
	// Next, the next provider: Ended says how the offer before ended, and is
	// empty where there was none.
	Next  bool
	Ended lead.OfferState
	// Overdue is who is to hear that the lead is still open; empty for nobody.
	Overdue string
}

// Due is what a lead asks for at a time and, when it is nothing, when it will be
// looked at again; the zero time stands for not before another event. It is safe to
// ask late. A lead that was never decided on asks for nothing.
func (r *Record) Due(now time.Time) (Step, time.Time) {
	status := lead.Status(r.Lead.Status)
	if r.Decision == nil || status.Closed() || status == lead.Accepted || status == lead.NeedsReview && r.Wants == nil {
		return Step{}, time.Time{}
	}
	var next time.Time
	reached := func(at time.Time) bool {
		if at.IsZero() {
			return false
		}
		if at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
		return !at.After(now)
	}
	offered := r.Mode == lead.Exclusive || r.Mode == lead.Broadcast
	switch status {
	case lead.Pending:
		if r.Left != "" || r.Wants != nil {
			return Step{Next: true, Ended: r.Left}, next
		}
		if r.Decision.Lead.Event == subjects.Postponed && reached(r.Until) {
			return Step{Next: true}, next
		}
	case lead.Matched, lead.Notified:
		if at, dead := r.unreachable(); dead && reached(at) {
			return Step{Next: true, Ended: lead.OfferUndeliverable}, next
		}
		if offered && reached(r.Until) {
			return Step{Next: true, Ended: lead.OfferExpired}, next
		}
	}
	if status != lead.Unserved && (offered || status != lead.Notified) {
		if !r.Texted && reached(r.TextAt) {
			return Step{Overdue: Customer}, next
		}
		if !r.Paged && reached(r.PageAt) {
			return Step{Overdue: Owner}, next
		}
	}
	return Step{}, next
}

// unreachable reports whether no channel of the open offers works, and from when on
// the lead does not wait for them any more.
func (r *Record) unreachable() (at time.Time, dead bool) {
	first := map[string]time.Time{} // failure of a channel
	for i := range r.Messages {
		m := &r.Messages[i]
		if m.Recipient != lead.ToProvider || !r.Has(m.Offer) || m.ErrorClass == string(lead.Superseded) {
			continue
		}
		if m.State != string(lead.MessageFailed) {
			return at, false
		}
		until := m.FailedAt
		if m.ErrorClass == string(lead.Transient) {
			until = until.Add(Patience)
		}
		key := m.Offer + m.Channel
		if was, ok := first[key]; !ok || until.Before(was) {
			first[key] = until
		}
	}
	for _, until := range first {
		if until.After(at) {
			at = until
		}
	}
	return at, len(first) > 0
}

// Whole reports whether what an event means depends on earlier ones in a way that
// the rows do not keep.
func Whole(e event.Event) bool {
	switch e.Body.(type) {
	case *event.Decided:
		return e.Lead.Event != subjects.Matched && e.Lead.Event != subjects.ReviewRequested
	case *event.Replied, *event.Ordered:
		return true
	}
	return false
}
