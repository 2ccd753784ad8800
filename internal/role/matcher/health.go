package matcher

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/subjects"
)

// health is whether the roster's addresses work, from what vendors say of the
// messages to providers. The states stand in the bucket watch, one key for each
// provider and channel. They are reduced from outcomes that say by themselves whom
// they are about, so order, repetition and replay change nothing.
type health struct {
	stream event.Reader // read for outcomes of an earlier version, which do not say whom they are about
	bucket Watched

	mu    sync.Mutex
	known map[string]roster.Health // by key; replaced, never changed
}

// run keeps what other matchers learn in memory, too, until ctx ends.
func (r *health) run(ctx context.Context, ready func()) error {
	return r.bucket.Watch(ctx, func(e event.Entry) {
		if h, err := roster.ReadHealth(e.Value); strings.HasPrefix(e.Key, roster.HealthPrefix) && err == nil {
			r.learn(e.Key, h)
		}
	}, ready)
}

func (r *health) learn(key string, h roster.Health) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known = maps.Clone(r.known)
	if r.known == nil {
		r.known = map[string]roster.Health{}
	}
	r.known[key] = h
}

func (r *health) snapshot() map[string]roster.Health {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known
}

// handle takes a message-failed or a receipt-received event, and says whether a
// message to a provider failed.
func (r *health) handle(ctx context.Context, e event.Event) (failed bool, err error) {
	var message string
	var about lead.Label
	var why *lead.Failure // nil: it arrived
	switch b := e.Body.(type) {
	case *event.Attempted:
		if e.Lead.Event != subjects.MessageFailed || b.Failure == nil {
			return false, nil
		}
		message, about, why = b.Message, b.Label, b.Failure
	case *event.Reported:
		message, about = b.Receipt.Message, b.Receipt.Label
		switch b.Receipt.State {
		case lead.MessageDelivered, lead.MessageRead:
		case lead.MessageFailed:
			if why = b.Receipt.Failure; why == nil {
				return false, nil
			}
		default:
			return false, nil
		}
	default:
		return false, nil
	}
	if about.Recipient == "" {
		if about, err = r.label(ctx, e, message); err != nil {
			return false, err
		}
	}
	if about.Recipient != lead.ToProvider || about.Provider == roster.Canary {
		return false, nil
	}
	return why != nil, r.change(ctx, about, func(h roster.Health) roster.Health {
		if why == nil {
			return h.Arrive(e.At.UTC())
		}
		return h.Fail(roster.Failure{Message: message, Lead: e.Lead.Lead, At: e.At, Why: *why})
	})
}

var errUnseen = errors.New("the message of a report cannot be read yet")

// label is what a message of an earlier version was, from the event that queued
// it. A message that is not in the stream was nobody's.
func (r *health) label(ctx context.Context, e event.Event, message string) (lead.Label, error) {
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
func (r *health) change(ctx context.Context, of lead.Label, f func(roster.Health) roster.Health) error {
	key := roster.HealthKey(of.Provider, of.Channel)
	return event.Change(ctx, r.bucket, key, func(before roster.Health) (roster.Health, error) {
		before.Provider, before.Channel = of.Provider, of.Channel
		h, current := before.About(of.Address, of.QueuedAt)
		if !current {
			return h, event.ErrUnchanged
		}
		if h = f(h); h.Address == before.Address && len(h.Failures)+len(before.Failures) == 0 && h.Delivered.Sub(before.Delivered) < fresh {
			return h, event.ErrUnchanged
		}
		r.learn(key, h) // else the next choice may be made before the bucket says so
		return h, nil
	})
}

// verified takes in that a provider confirmed an address by its link.
func (r *health) verified(ctx context.Context, e event.Event, address string) error {
	of, ok := roster.ParseAddressKey(address)
	if !ok {
		return event.Permanent(errors.New("the answer names no address"))
	}
	of.QueuedAt = e.At
	return r.change(ctx, of, func(h roster.Health) roster.Health { return h.Arrive(e.At.UTC()) })
}
