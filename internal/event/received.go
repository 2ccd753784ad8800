package event

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"leadbus/internal/lead"
	"leadbus/internal/subjects"
)

// NewReceived is the event of a lead that somebody asked for: the agent's tool
// call, another request in it, or a call without one. Its id is made of what was
// said and of from, which tells one tool call from another that says the same.
// The clock of the call is left out, since it differs between repeats.
func NewReceived(to subjects.Lead, l lead.Lead, said lead.Request, raw json.RawMessage, at time.Time, from string) (Event, error) {
	to.Event, to.Lead = subjects.Received, l.ID
	said.CalledAt = time.Time{}
	id, err := ContentID(to.Event, l.ID, struct {
		lead.Request
		From string `json:"from,omitempty"`
	}{said, from})
	return Event{ID: id, At: at, Lead: to, Body: &Received{Lead: l, Raw: raw}}, err
}

// Reader reads a market's events.
type Reader interface {
	// Events are the stored events of a lead, or of one kind of them, in stream
	// order.
	Events(ctx context.Context, filter subjects.Lead) ([]Event, error)
}

// Stream holds a market's events.
type Stream interface {
	Reader
	// Publish tries until ctx ends; a repeat of an id is a success.
	Publish(ctx context.Context, e Event) error
}

// FirstStream is a Stream that takes an event for the first of its subject.
type FirstStream interface {
	Stream
	// PublishFirst is Publish onto an empty subject, else ErrConflict; a repeat
	// of the event that stands there is a success.
	PublishFirst(ctx context.Context, e Event) error
}

// PublishOnce publishes an event unless it is stored already: the stream itself
// drops repeats for a while only.
func PublishOnce(ctx context.Context, s Stream, e Event) error {
	there, err := s.Events(ctx, e.Lead)
	if err != nil || slices.ContainsFunc(there, func(t Event) bool { return t.ID == e.ID }) {
		return err
	}
	return s.Publish(ctx, e)
}

// Decisions are the stored decisions that matched a lead or amended a match, and
// its events of more kinds, one kind after the other: a few look-ups, where a read
// of the whole lead is one for each event.
func Decisions(ctx context.Context, s Reader, of subjects.Lead, more ...string) (all []Event, err error) {
	for _, of.Event = range append([]string{subjects.Matched, subjects.Amended, subjects.Reassigned}, more...) {
		found, err := s.Events(ctx, of)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}
