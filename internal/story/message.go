package story

import (
	"cmp"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/subjects"
)

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
	if m.Channel == lead.Email && to == lead.MessageFailed {
		next = to // a mailbox may take a mail and send it back later
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

// reached are the states of a message that a vendor took.
func (m *Message) reached() bool {
	switch lead.MessageState(m.State) {
	case lead.MessageSent, lead.MessageDelivered, lead.MessageRead:
		return true
	}
	return false
}

// follow lets offers and the lead follow the messages to the provider: an offer
// stands where its best channel does, and a matched lead is notified as soon as
// one of them was taken.
func (r *Record) follow(e event.Event) {
	for i := range r.Offers {
		o := &r.Offers[i]
		o.State = string(r.reach(o.ID))
		if o.ID == r.Lead.Offer && r.Lead.Status == string(lead.Matched) &&
			(o.State == string(lead.OfferSent) || o.State == string(lead.OfferDelivered)) {
			r.move(e, lead.Notified, o.ID)
		}
	}
}

// reach is how far an offer has come on the channels it was sent on.
func (r *Record) reach(offer string) lead.OfferState {
	sent, delivered, open, failed := false, false, false, false
	for i := range r.Messages {
		m := &r.Messages[i]
		if m.Offer != offer || m.Recipient != lead.ToProvider {
			continue
		}
		switch state := lead.MessageState(m.State); {
		case state == lead.MessageDelivered || state == lead.MessageRead:
			delivered = true
		case m.reached():
			sent = true
		case state.Final():
			failed = true
		default:
			open = true
		}
	}
	switch {
	case delivered:
		return lead.OfferDelivered
	case sent:
		return lead.OfferSent
	case failed && !open:
		return lead.OfferUndeliverable
	default:
		return lead.OfferQueued
	}
}
