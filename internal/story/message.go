package story

import (
	"cmp"
	"slices"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/subjects"
)

// Done reports whether nothing but a read receipt can follow. A tracker's answer is the
// last word on a postback.
func (m *Message) Done() bool {
	state := lead.MessageState(m.State)
	return state.Final() || m.Recipient == lead.ToTracker && state == lead.MessageSent
}

var attempted = map[string]lead.MessageState{
	subjects.MessageSent:     lead.MessageSent,
	subjects.MessageFailed:   lead.MessageFailed,
	subjects.MessageDoubtful: lead.MessageDoubtful,
}

// message finds a message, or begins one whose queueing has not been seen: a
// report on it is kept all the same.
func (r *Record) message(id string, e event.Event) *Message {
	for i := range r.Messages {
		if r.Messages[i].ID == id {
			return &r.Messages[i]
		}
	}
	r.Messages = append(r.Messages, Message{ID: id, Lead: r.Lead.ID, State: string(lead.MessageQueued), QueuedAt: micros(e.At)})
	return &r.Messages[len(r.Messages)-1]
}

// label takes over what an outcome says of its message; the event that queued
// it says the same, and may be missing.
func (m *Message) label(l lead.Label) {
	if m.Recipient == "" && l.Recipient != "" {
		m.Offer, m.Provider, m.Purpose, m.Recipient, m.Channel = l.Offer, l.Provider, l.Purpose, l.Recipient, l.Channel
	}
}

func (r *Record) queue(e event.Event, q lead.Message) {
	m := r.message(q.ID, e)
	m.Offer, m.Provider, m.Purpose = q.Offer, q.Provider, q.Purpose
	m.Recipient, m.Channel, m.Language, m.Of = q.Recipient, q.Channel, q.Language, q.Of
	m.Content = &Content{
		Message: q.ID, Lead: r.Lead.ID, Sender: q.From, Recipient: q.To, Subject: q.Subject, Body: q.Text, HTML: q.HTML,
		ContentSID: q.ContentSID, Variables: q.ContentVariables,
	}
}

// advance takes in a report; an empty state reports nothing new. States never
// go back, and the error shown is that of the state.
func (m *Message) advance(e event.Event, to lead.MessageState, at time.Time, f *lead.Failure) {
	at = micros(at)
	switch to {
	case lead.MessageSent:
		if m.SentAt = earliest(m.SentAt, at); m.TakenAt.IsZero() {
			m.TakenAt = e.Stored
		}
	case lead.MessageDelivered, lead.MessageRead:
		m.DeliveredAt = earliest(m.DeliveredAt, at)
	}
	next := lead.MessageState(m.State).Advance(to)
	bounces := to == lead.MessageFailed && e.Lead.Event == subjects.ReceiptReceived
	bounced := m.State == string(lead.MessageFailed) && m.ErrorClass != string(lead.Superseded) && m.VendorID != ""
	if m.Channel == lead.Email && (bounces || bounced) {
		next = lead.MessageFailed // a mailbox may take a mail and send it back later
	}
	moved := string(next) != m.State
	m.State = string(next)
	if f != nil {
		m.Vendor = cmp.Or(m.Vendor, f.Vendor)
	}
	if !moved {
		return
	}
	m.ErrorCode, m.ErrorClass, m.ErrorReason = "", "", ""
	if f != nil {
		m.ErrorCode, m.ErrorClass, m.ErrorReason = f.Code, string(f.Class), f.Reason
	}
	if next == lead.MessageFailed {
		m.FailedAt, m.RefusedAt = at, e.Stored
	}
}

// follow lets offers and the lead follow the messages to the provider: an offer
// stands where its best channel does, and a matched lead is notified as soon as
// one of them was taken.
func (r *Record) follow(e event.Event) {
	for i := range r.Offers {
		o := &r.Offers[i]
		if !o.EndedAt.IsZero() {
			continue
		}
		o.State = string(r.reach(o.ID))
		if r.Lead.Status == string(lead.Matched) &&
			(o.State == string(lead.OfferSent) || o.State == string(lead.OfferDelivered)) {
			r.move(e, lead.Notified, o.ID)
		}
	}
}

// offerStates are where one message may put its offer, the best last.
var offerStates = []lead.OfferState{lead.OfferUndeliverable, lead.OfferQueued, lead.OfferSent, lead.OfferDelivered}

// reach is how far an offer has come: as far as the best of its messages.
func (r *Record) reach(offer string) lead.OfferState {
	best := -1
	for i := range r.Messages {
		if m := &r.Messages[i]; m.Offer == offer && m.Recipient == lead.ToProvider {
			best = max(best, slices.Index(offerStates, offerState(lead.MessageState(m.State))))
		}
	}
	if best < 0 {
		return lead.OfferQueued
	}
	return offerStates[best]
}

// offerState is where an offer stands by one of its messages alone.
func offerState(s lead.MessageState) lead.OfferState {
	switch {
	case s == lead.MessageDelivered || s == lead.MessageRead:
		return lead.OfferDelivered
	case s == lead.MessageSent:
		return lead.OfferSent
	case s.Final():
		return lead.OfferUndeliverable
	}
	return lead.OfferQueued
}
