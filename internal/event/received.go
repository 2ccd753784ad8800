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

// NewOrdered is the event of an owner's decision on a lead, made on a turn of it: the
// same decision on the same turn is the same event.
func NewOrdered(to subjects.Lead, b Ordered, turn string, at time.Time) (Event, error) {
	to.Event = subjects.OwnerDecided
	id, err := ContentID(to.Event, to.Lead, struct {
		Ordered
		Turn string
	}{b, turn})
	return Event{ID: id, At: at, Lead: to, Body: &b}, err
}

// NewReported is the event of a vendor's receipt, whether the vendor sent it or
// was asked: the same report on the same message has one id.
func NewReported(to subjects.Lead, r lead.Receipt, at time.Time) (Event, error) {
	to.Event = subjects.ReceiptReceived
	code := ""
	if r.Failure != nil {
		code = r.Failure.Code
	}
	id, err := ContentID(to.Event, to.Lead, []string{r.Message, r.VendorID, r.Status, code})
	return Event{ID: id, At: at.UTC(), Lead: to, Body: &Reported{Receipt: r}}, err
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

// deciding are the kinds of event on which it depends who has a lead.
var deciding = []string{
	subjects.Matched, subjects.Amended, subjects.Reassigned, subjects.Unserved, subjects.Postponed, subjects.Merged,
	subjects.ReviewRequested, subjects.ProviderReplied, subjects.OwnerDecided,
}

// Decisions are the stored events on which it depends who has a lead, and its events
// of more kinds, one kind after the other: a few look-ups, where a read of the whole
// lead is one for each event.
func Decisions(ctx context.Context, s Reader, of subjects.Lead, more ...string) (all []Event, err error) {
	for _, of.Event = range slices.Concat(deciding, more) {
		found, err := s.Events(ctx, of)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}
