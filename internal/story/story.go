// Package story is the one reducer of a lead's events: where the lead, its
// offers and its messages stand. Every role, page and command asks it. It is
// pure: the same events make the same record, whether they come at once, one by
// one, repeatedly or after years.
//
// Postgres keeps the record as rows, and nothing else ever changes a row.
// Statuses move only along the tables of package lead. A move that an event
// asks for and the table refuses is noted in the row and changes nothing.
package story

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/subjects"
)

// Record is where one lead stands. Its zero value is a lead nothing is known
// of.
type Record struct {
	// The rows.
	Lead     Lead
	Person   Person
	Offers   []Offer   // in the order they were made
	Messages []Message // in the order they were queued

	// The rest is no row: a record read from Postgres lacks it.

	// ToolCalls are the agent's (Received), in stream order.
	ToolCalls []event.Event
	// Matches are the matches that took effect, in order. An amendment stands for
	// a match that is no longer stored.
	Matches []event.Event
	// Decision is the newest decision that counts; nil before the first. After a
	// match that is the match or an amendment of it. An amendment that another
	// match has overtaken informed somebody else and does not count.
	Decision *event.Event
	// Turn is the id of the newest event that changed who has the lead, or what it is. A
	// decision that was made on another turn counts for nothing: of several that
	// were made at the same time the first in the stream stands.
	Turn string
	Loop
}

// Brief is an event without what only people read, for who keeps many records.
func Brief(e event.Event) event.Event {
	e.Wire = nil
	switch b := e.Body.(type) {
	case *event.Received:
		e.Body = &event.Received{Lead: b.Lead}
	case *event.Decided:
		short := *b
		short.Trace = nil
		e.Body = &short
	case *event.Queued:
		m := b.Message
		e.Body = &event.Queued{Message: lead.Message{ID: m.ID, Recipient: m.Recipient, Provider: m.Provider, Channel: m.Channel, Offer: m.Offer}}
	}
	return e
}

// Stored is when the stream took the first tool call; zero without one.
func (r *Record) Stored() time.Time {
	if len(r.ToolCalls) == 0 {
		return time.Time{}
	}
	return r.ToolCalls[0].Stored
}

// Match is the match that stands; nil without one, and when its offer has ended.
func (r *Record) Match() *event.Event {
	if len(r.Matches) == 0 || r.Lead.Offer == "" {
		return nil
	}
	return &r.Matches[len(r.Matches)-1]
}

// Decided is what the newest decision says; nil before the first.
func (r *Record) Decided() *event.Decided {
	if r.Decision == nil {
		return nil
	}
	return r.Decision.Body.(*event.Decided)
}

// Understood is the lead as the newest decision has it, before one as its first
// tool call does; nil when nothing is known of it.
func (r *Record) Understood() *lead.Lead {
	switch d := r.Decided(); {
	case d != nil:
		return &d.Lead
	case len(r.ToolCalls) > 0:
		return &r.ToolCalls[0].Body.(*event.Received).Lead
	}
	return nil
}

// Outcome is the status that the newest decision gave the lead: pending before
// the first.
func (r *Record) Outcome() lead.Status {
	switch {
	case r.Match() != nil:
		return lead.Matched
	case r.Decision != nil && r.Decision.Lead.Event != subjects.Matched:
		return decided[r.Decision.Lead.Event]
	}
	return lead.Pending
}

// Flagged reports whether any call or decision flagged the lead so.
func (r *Record) Flagged(flag string) bool {
	if d := r.Decided(); d != nil && slices.Contains(d.Lead.Flags, flag) {
		return true
	}
	return slices.ContainsFunc(r.ToolCalls, func(e event.Event) bool {
		return slices.Contains(e.Body.(*event.Received).Lead.Flags, flag)
	})
}

// The rows; db names a column. Times are UTC, in microseconds as Postgres
// keeps them.
type (
	// Lead is a lead without what names the customer.
	Lead struct {
		ID              string            `db:"id" json:"id"`
		Ref             string            `db:"ref" json:"ref"`
		Site            string            `db:"site" json:"site"`
		SourceURL       string            `db:"source_url" json:"source_url"`
		Status          string            `db:"status" json:"status"`
		Reason          string            `db:"reason" json:"reason,omitempty"`
		ReceivedAt      time.Time         `db:"received_at" json:"received_at"`
		CalledAt        time.Time         `db:"called_at" json:"called_at,omitzero"`
		Tracker         string            `db:"tracker" json:"tracker,omitempty"`
		Clicks          map[string]string `db:"clicks" json:"clicks,omitempty"`
		Language        string            `db:"language" json:"language"`
		Service         string            `db:"service_id" json:"service"`
		ServiceRaw      string            `db:"service_raw" json:"service_raw,omitempty"`
		ServiceMethod   string            `db:"service_method" json:"service_method,omitempty"`
		Place           string            `db:"place_id" json:"place"`
		PlaceName       string            `db:"place_name" json:"place_name,omitempty"`
		PlaceRaw        string            `db:"place_raw" json:"place_raw,omitempty"`
		PlaceMethod     string            `db:"place_method" json:"place_method,omitempty"`
		PlaceScore      float64           `db:"place_score" json:"place_score,omitempty"`
		PhoneSource     string            `db:"phone_source" json:"phone_source,omitempty"`
		PhoneConfidence string            `db:"phone_confidence" json:"phone_confidence,omitempty"`
		PhoneType       string            `db:"phone_type" json:"phone_type,omitempty"`
		PhoneCheck      bool              `db:"phone_check" json:"phone_check,omitempty"`
		ConversationID  string            `db:"conversation_id" json:"conversation_id,omitempty"`
		CallSID         string            `db:"call_sid" json:"call_sid,omitempty"`
		AgentID         string            `db:"agent_id" json:"agent_id,omitempty"`
		CalledNumber    string            `db:"called_number" json:"called_number,omitempty"`
		Flags           []string          `db:"flags" json:"flags,omitempty"`
		Offer           string            `db:"offer_id" json:"offer,omitempty"`
		Provider        string            `db:"provider_id" json:"provider,omitempty"`
		Of              string            `db:"duplicate_of" json:"duplicate_of,omitempty"`
		Value           string            `db:"value" json:"value,omitempty"` // of a job that was won, as entered
		Refused         []string          `db:"refused" json:"refused,omitempty"`
		LastSeq         uint64            `db:"last_seq" json:"last_seq"`
		UpdatedAt       time.Time         `db:"updated_at" json:"updated_at"`
	}

	// Person is what names and reaches the customer.
	Person struct {
		Lead            string `db:"lead" json:"-"`
		Name            string `db:"name" json:"name,omitempty"`
		Phone           string `db:"phone_e164" json:"phone,omitempty"`
		PhoneRaw        string `db:"phone_raw" json:"phone_raw,omitempty"`
		PhoneSecond     string `db:"phone_second" json:"phone_second,omitempty"`
		CallerID        string `db:"caller_id" json:"caller_id,omitempty"`
		Address         string `db:"address" json:"address,omitempty"`
		PostalCode      string `db:"postal_code" json:"postal_code,omitempty"`
		Summary         string `db:"summary" json:"summary,omitempty"`
		Urgency         string `db:"urgency" json:"urgency,omitempty"`
		PreferredWindow string `db:"preferred_window" json:"preferred_window,omitempty"`
		Consent         *bool  `db:"consent" json:"consent,omitempty"`
	}

	// Offer is the lead offered to one provider.
	Offer struct {
		ID        string    `db:"id" json:"id"`
		Lead      string    `db:"lead" json:"-"`
		Provider  string    `db:"provider_id" json:"provider"`
		State     string    `db:"state" json:"state"`
		Reason    string    `db:"reason" json:"reason,omitempty"`   // why it was declined
		Outcome   string    `db:"outcome" json:"outcome,omitempty"` // what the provider reported last
		OfferedAt time.Time `db:"offered_at" json:"offered_at"`
		Until     time.Time `db:"until" json:"until,omitzero"`       // when it expires
		EndedAt   time.Time `db:"ended_at" json:"ended_at,omitzero"` // accepted, or over
	}

	// Message is one send on one channel.
	Message struct {
		ID             string    `db:"id" json:"id"`
		Lead           string    `db:"lead" json:"-"`
		Offer          string    `db:"offer" json:"offer,omitempty"`
		Provider       string    `db:"provider_id" json:"provider,omitempty"`
		Purpose        string    `db:"purpose" json:"purpose"`
		Recipient      string    `db:"recipient" json:"recipient"`
		Channel        string    `db:"channel" json:"channel"`
		Language       string    `db:"language" json:"language"`
		State          string    `db:"state" json:"state"`
		Vendor         string    `db:"vendor" json:"vendor,omitempty"`
		VendorID       string    `db:"vendor_id" json:"vendor_id,omitempty"`
		ErrorCode      string    `db:"error_code" json:"error_code,omitempty"`
		ErrorClass     string    `db:"error_class" json:"error_class,omitempty"`
		ErrorReason    string    `db:"error_reason" json:"error_reason,omitempty"`
		PossibleDouble bool      `db:"possible_double" json:"possible_double,omitempty"`
		QueuedAt       time.Time `db:"queued_at" json:"queued_at"`
		SentAt         time.Time `db:"sent_at" json:"sent_at,omitzero"`
		DeliveredAt    time.Time `db:"delivered_at" json:"delivered_at,omitzero"`
		FailedAt       time.Time `db:"failed_at" json:"failed_at,omitzero"`

		// Content is there only in the reduction that took the message's
		// queueing in: it never changes after.
		Content *Content `db:"-" json:"content,omitempty"`

		// Of is how many messages were queued together; TakenAt and RefusedAt
		// are when the stream learned that the vendor had taken the message, and
		// that it had failed. They are no columns.
		Of        int       `db:"-" json:"-"`
		TakenAt   time.Time `db:"-" json:"-"`
		RefusedAt time.Time `db:"-" json:"-"`
	}

	// Content is what a message says, and to whom.
	Content struct {
		Message    string            `db:"message" json:"-"`
		Lead       string            `db:"lead" json:"-"`
		Sender     string            `db:"sender" json:"from,omitempty"`
		Recipient  string            `db:"recipient" json:"to,omitempty"`
		Subject    string            `db:"subject" json:"subject,omitempty"`
		Body       string            `db:"body" json:"text,omitempty"`
		HTML       string            `db:"html" json:"html,omitempty"`
		ContentSID string            `db:"content_sid" json:"content_sid,omitempty"`
		Variables  map[string]string `db:"variables" json:"variables,omitempty"`
	}
)

// Of reduces events of one lead, given in any order and any number of times,
// from nothing.
func Of(events []event.Event) Record {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b event.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	seen := make(map[string]bool, len(events))
	var r Record
	for _, e := range events {
		if !seen[e.ID] {
			seen[e.ID] = true
			r.Apply(e)
		}
	}
	return r
}

// Apply takes in one more event. It must be one the record has not seen, and
// younger in the stream than all it has: older ones ask for a reduction from
// nothing (Of). Events that are about no lead change nothing.
func (r *Record) Apply(e event.Event) {
	if NoLead(e.Body) {
		return
	}
	l := &r.Lead
	if l.LastSeq == 0 {
		*r = Record{
			Lead:   Lead{ID: e.Lead.Lead, Site: e.Lead.Site, Status: string(lead.None), ReceivedAt: micros(e.At)},
			Person: Person{Lead: e.Lead.Lead},
		}
	}
	switch e.Body.(type) {
	case *event.Received, *event.Decided:
		if l.Status == string(lead.None) {
			l.Status, l.ReceivedAt = string(lead.Pending), micros(e.At)
		}
	}
	l.LastSeq = max(l.LastSeq, e.Seq)
	l.UpdatedAt = later(l.UpdatedAt, micros(e.At))
	switch b := e.Body.(type) {
	case *event.Received:
		r.ToolCalls = append(r.ToolCalls, e)
		// A decision rests on every call before it; what a call before the
		// first decision leaves out stays as it is. A call of another caller
		// becomes a lead of its own.
		there := lead.Lead{Request: lead.Request{CallSID: l.CallSID}, Phone: lead.Phone{CallerID: r.Person.CallerID}}
		if l.Status == string(lead.Pending) && (b.Repeats != "" || !there.Another(b.Lead)) {
			r.understand(b.Lead, l.Ref != "")
		}
	case *event.Decided:
		r.decide(e, b)
	case *event.Replied:
		r.reply(e, b)
	case *event.Ordered:
		r.order(e, b)
	case *event.Queued:
		r.queue(e, b.Message)
	case *event.Attempted:
		m := r.message(b.Message, e)
		m.label(b.Label)
		m.PossibleDouble = m.PossibleDouble || b.PossibleDouble
		at := e.At
		if b.Sent != nil {
			m.VendorID, m.Vendor = cmp.Or(b.Sent.VendorID, m.VendorID), cmp.Or(b.Sent.Vendor, m.Vendor)
			at = earliest(b.Sent.At, at)
		}
		m.advance(e, attempted[e.Lead.Event], at, b.Failure)
	case *event.Reported:
		m := r.message(b.Receipt.Message, e)
		m.label(b.Receipt.Label)
		m.Vendor = cmp.Or(b.Receipt.Vendor, m.Vendor)
		m.advance(e, b.Receipt.State, earliest(b.Receipt.At, e.At), b.Receipt.Failure)
		m.VendorID = cmp.Or(m.VendorID, b.Receipt.VendorID)
	}
	r.follow(e)
}

var decided = map[string]lead.Status{
	subjects.ReviewRequested: lead.NeedsReview,
	subjects.Unserved:        lead.Unserved,
	subjects.Postponed:       lead.Pending,
	subjects.Merged:          lead.Duplicate,
	subjects.Matched:         lead.Matched,
	subjects.Reassigned:      lead.Matched,
}

// decide takes a decision in: the lead as understood from all its calls, and
// where it goes.
func (r *Record) decide(e event.Event, b *event.Decided) {
	to, moves := decided[e.Lead.Event]
	late := b.Turn == "" && moves && (lead.Status(r.Lead.Status).Closed() || e.Lead.Event == subjects.Matched && len(r.Matches) > 0)
	if b.Turn != "" && b.Turn != r.Turn || late { // something else came first
		if moves {
			r.refuse(e, to)
		}
		return
	}
	if e.Lead.Event == subjects.Overdue {
		r.overdue(b)
		return
	}
	match := r.Match()
	if !moves && match == nil { // amended: the match is no longer stored
		if len(r.Matches) > 0 { // its offer has ended: the next one hears it
			r.understand(b.Lead, false)
			if r.Decision != nil {
				d, now := *r.Decision, *r.Decided()
				now.Lead = b.Lead
				d.Body = &now
				r.Decision, r.Turn = &d, e.ID
			}
			return
		}
		to, moves = lead.Matched, true
	}
	turns := b.Turn != "" || e.Lead.Event == subjects.Reassigned
	switch from := lead.Status(r.Lead.Status); {
	case !moves && match.Body.(*event.Decided).Offer != b.Offer:
		return // another match overtook it
	case !moves:
	case match != nil && !turns && to != lead.Matched: // a replica that was slow decides after another matched
		r.refuse(e, to)
		return
	case turns && to == lead.Matched && b.Offer != r.Lead.Offer, match == nil && from != to && !from.MayBecome(to):
		// A lead leaves its provider before another gets it, and the owner's list
		// before anything else is decided.
		if !r.move(e, lead.Pending, "") {
			return
		}
		fallthrough
	default:
		if !r.move(e, to, b.Offer) {
			return // stale, or against another's: what it understood is as old
		}
		r.Lead.Reason = b.Reason
	}
	r.understand(b.Lead, false)
	if moves && r.Lead.Offer != b.Offer {
		r.endOffers(cmp.Or(b.Ended, lead.OfferWithdrawn), e.At)
	}
	if moves {
		r.Lead.Of = ""
		if to == lead.Duplicate {
			r.Lead.Of = b.Of
		}
	}
	if turns || !moves || r.Turn == "" { // what was decided without what the customer added is void
		r.Turn = e.ID
	}
	r.Decision = &e
	r.schedule(b, moves)
	if to == lead.Matched && moves {
		r.offer(e, b.Offer, b.Provider, b.Until)
		for _, rival := range b.Rivals {
			r.offer(e, rival.Offer, &rival.Provider, b.Until)
		}
		r.Matches = append(r.Matches, e)
		r.Lead.Offer = b.Offer
		if b.Provider != nil {
			r.Lead.Provider = b.Provider.ID
		}
	}
}

// move brings the lead to a status, or notes that it may not go there. The same
// status again is no move, unless it is a match with somebody else.
func (r *Record) move(e event.Event, to lead.Status, offer string) bool {
	from := lead.Status(r.Lead.Status)
	if from == to && (to != lead.Matched || offer == r.Lead.Offer) {
		return true
	}
	if !from.MayBecome(to) {
		r.refuse(e, to)
		return false
	}
	r.Lead.Status = string(to)
	return true
}

func (r *Record) refuse(e event.Event, to lead.Status) {
	r.Lead.Refused = append(r.Lead.Refused, fmt.Sprintf("%d %s: %s to %s", e.Seq, e.Lead.Event, r.Lead.Status, to))
}

func (r *Record) offer(e event.Event, id string, p *roster.Provider, until time.Time) {
	if id == "" || r.offerOf(id) != nil {
		return
	}
	o := Offer{ID: id, Lead: r.Lead.ID, State: string(lead.OfferQueued), OfferedAt: micros(e.At), Until: micros(until)}
	if p != nil {
		o.Provider = p.ID
	}
	r.Offers = append(r.Offers, o)
}

// understand puts what was understood of the request into the rows. With
// partial set, what l leaves out or could not make out does not replace what
// is there.
func (r *Record) understand(l lead.Lead, partial bool) {
	row, p, q := &r.Lead, &r.Person, l.Request
	for _, f := range []struct {
		to   *string
		from string
	}{
		{&row.Ref, l.Ref},
		{&row.SourceURL, l.SourceURL},
		{&row.Tracker, l.Tracker},
		{&row.Language, l.Language},
		{&row.ConversationID, q.ConversationID},
		{&row.CallSID, q.CallSID},
		{&row.AgentID, q.AgentID},
		{&row.CalledNumber, q.CalledNumber},
		{&p.Name, q.CustomerName},
		{&p.Address, q.AddressLine},
		{&p.PostalCode, q.PostalCode},
		{&p.Summary, q.IssueSummary},
		{&p.Urgency, q.Urgency},
		{&p.PreferredWindow, q.PreferredWindow},
	} {
		if !partial || f.from != "" {
			*f.to = f.from
		}
	}
	if !partial || l.Service.ID != "" || row.Service == "" {
		row.Service, row.ServiceRaw, row.ServiceMethod = l.Service.ID, l.Service.Raw, l.Service.Method
	}
	if !partial || l.Place.ID != "" || row.Place == "" {
		row.Place, row.PlaceName, row.PlaceRaw = l.Place.ID, l.Place.Name, l.Place.Raw
		row.PlaceMethod, row.PlaceScore = l.Place.Method, l.Place.Score
	}
	if !partial || l.Phone.E164 != "" || p.Phone == "" {
		row.PhoneSource, row.PhoneConfidence = l.Phone.Source, l.Phone.Confidence
		row.PhoneType, row.PhoneCheck = l.Phone.Type, l.Phone.Check
		p.Phone, p.PhoneRaw, p.PhoneSecond = l.Phone.E164, l.Phone.Raw, l.Phone.Second
		p.CallerID = l.Phone.CallerID
	}
	if !partial || !q.CalledAt.IsZero() {
		row.CalledAt = micros(q.CalledAt)
	}
	if !partial || q.ContactConsent != nil {
		p.Consent = q.ContactConsent
	}
	if !partial || len(q.Clicks) > 0 {
		row.Clicks = q.Clicks
	}
	row.Flags = l.Flags
	if !l.ReceivedAt.IsZero() {
		row.ReceivedAt = earliest(l.ReceivedAt, row.ReceivedAt)
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// earliest is the earlier of two times, of which a may be missing.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return micros(b)
	}
	return micros(a)
}

func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
