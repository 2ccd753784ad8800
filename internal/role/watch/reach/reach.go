// Package reach finds out whether the roster's addresses work, from what vendors
// say of the messages to providers:
//
//	unverified ─► healthy ─► suspect ─► broken
//
// A delivery heals. A code that is permanent for the address breaks the channel
// at once, two that may pass make it suspect, and a corrected address begins
// anew.
//
// The states stand in the bucket watch, one key for each provider and
// channel. They are reduced from outcomes that say by themselves whom they are
// about, so order, repetition and replay change nothing.
package reach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/subjects"
)

// Reach follows one market's providers. It is safe for concurrent use and
// beside others of the market.
type Reach struct {
	stream event.Reader
	bucket event.Bucket
}

// New keeps what it knows in the bucket. The stream is read for outcomes of an
// earlier version, which do not say whom they are about.
func New(stream event.Reader, bucket event.Bucket) *Reach {
	return &Reach{stream: stream, bucket: bucket}
}

// Key is the bucket's key of a provider's channel.
func Key(provider, channel string) string { return "reach-" + provider + "-" + channel }

// Handle takes a message-failed or a receipt-received event.
func (r *Reach) Handle(ctx context.Context, e event.Event) error {
	var message string
	var about lead.Label
	var why *lead.Failure // nil: it arrived
	switch b := e.Body.(type) {
	case *event.Attempted:
		if e.Lead.Event != subjects.MessageFailed || b.Failure == nil {
			return nil
		}
		message, about, why = b.Message, b.Label, b.Failure
	case *event.Reported:
		message, about = b.Receipt.Message, b.Receipt.Label
		switch b.Receipt.State {
		case lead.MessageDelivered, lead.MessageRead:
		case lead.MessageFailed:
			if why = b.Receipt.Failure; why == nil {
				return nil
			}
		default:
			return nil
		}
	default:
		return nil
	}
	if about.Recipient == "" {
		var err error
		if about, err = r.label(ctx, e, message); err != nil {
			return err
		}
	}
	if about.Recipient != lead.ToProvider || about.Provider == roster.Canary {
		return nil
	}
	return r.change(ctx, about, func(h Health) Health {
		if why == nil {
			return h.Arrive(e.At.UTC())
		}
		return h.Fail(Failure{Message: message, Lead: e.Lead.Lead, At: e.At, Why: *why})
	})
}

var errUnseen = errors.New("the message of a report cannot be read yet")

// label is what a message of an earlier version was, from the event that queued
// it. A message that is not in the stream was nobody's.
func (r *Reach) label(ctx context.Context, e event.Event, message string) (lead.Label, error) {
	queued, err := r.stream.Events(ctx, subjects.Lead{Market: e.Lead.Market, Site: e.Lead.Site, Event: subjects.MessageQueued, Lead: e.Lead.Lead})
	if err != nil {
		return lead.Label{}, err
	}
	for _, q := range queued {
		if b, ok := q.Body.(*event.Queued); ok && b.Message.ID == message {
			m := b.Message
			m.QueuedAt = q.At
			return m.Label(), nil
		}
	}
	if time.Since(e.At) < time.Minute { // a replica of the stream that lags behind
		return lead.Label{}, event.After(time.Second, errUnseen)
	}
	return lead.Label{}, nil
}

// fresh is the age at which a delivery is news about a healthy channel: not
// every one is written down.
const fresh = time.Minute

// change brings what is known of a channel up to date.
func (r *Reach) change(ctx context.Context, of lead.Label, f func(Health) Health) error {
	return event.Change(ctx, r.bucket, Key(of.Provider, of.Channel), func(before Health) (Health, error) {
		before.Provider, before.Channel = of.Provider, of.Channel
		h, current := before.About(of.Address, of.QueuedAt)
		if !current {
			return h, event.ErrUnchanged
		}
		if h = f(h); h.Address == before.Address && len(h.Failures)+len(before.Failures) == 0 && h.Delivered.Sub(before.Delivered) < fresh {
			return h, event.ErrUnchanged
		}
		return h, nil
	})
}

// Read reads the value of a key; without one, nothing is known.
func Read(value []byte) (h Health, err error) {
	if value == nil {
		return h, nil
	}
	if err = json.Unmarshal(value, &h); err != nil {
		err = fmt.Errorf("what is known of a channel cannot be read: %w", err)
	}
	return h, err
}
