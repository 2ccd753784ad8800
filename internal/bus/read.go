package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"leadbus/internal/event"
	"leadbus/internal/subjects"
)

// Events reads the stored events of a lead, or of one kind of them, in stream
// order; filter must name market and lead, and is cheaper with the site. It
// costs one round trip an event and one more, measured faster than one batch
// for the few events a lead has. On a replicated stream any replica answers, so
// the youngest event may be missing for a moment.
func (c *Conn) Events(ctx context.Context, filter subjects.Lead) ([]event.Event, error) {
	stream, err := c.stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	var found []event.Event
	subject, next := subjects.Filter(filter), uint64(1)
	for {
		bounded, cancel := context.WithTimeout(ctx, requestTime)
		m, err := stream.GetMsg(bounded, next, jetstream.WithGetMsgSubject(subject))
		cancel()
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return found, nil
		} else if err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		e, err := event.Decode(m.Subject, m.Sequence, m.Data)
		if err != nil {
			return nil, event.Permanent(fmt.Errorf("read events: sequence %d: %w", m.Sequence, err))
		}
		found, next = append(found, e), m.Sequence+1
	}
}

func (c *Conn) stream(ctx context.Context) (jetstream.Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leads == nil {
		bounded, cancel := context.WithTimeout(ctx, requestTime)
		defer cancel()
		s, err := c.js.Stream(bounded, subjects.StreamLeads)
		if err != nil {
			return nil, err
		}
		c.leads = s
	}
	return c.leads, nil
}

// Follow hands over events as they are stored, from a time on (the zero time:
// all of them), until ctx ends or f returns an error. It goes on after a
// reconnect where it was, and leaves nothing on the server.
func (c *Conn) Follow(ctx context.Context, filter subjects.Lead, from time.Time, f func(event.Event) error) error {
	cfg := jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subjects.Filter(filter)}, DeliverPolicy: jetstream.DeliverAllPolicy, InactiveThreshold: 30 * time.Second,
	}
	if !from.IsZero() {
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &from
	}
	o, err := c.js.OrderedConsumer(ctx, subjects.StreamLeads, cfg)
	if err != nil {
		return fmt.Errorf("follow events: %w", err)
	}
	it, err := o.Messages()
	if err != nil {
		return fmt.Errorf("follow events: %w", err)
	}
	// Next waits for a lost server without a look at ctx.
	defer context.AfterFunc(ctx, it.Stop)()
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("follow events: %w", err)
		}
		d, err := decode(m)
		if err != nil {
			c.log.Warn().Err(err).Uint64("seq", d.Seq).Msg("unreadable event passed over")
			continue
		}
		if err := f(d.Event); err != nil {
			return err
		}
	}
}

// decode reads a delivery; one that cannot be read keeps its sequence and
// attempt.
func decode(m jetstream.Msg) (event.Delivery, error) {
	meta, err := m.Metadata()
	if err != nil {
		return event.Delivery{}, err
	}
	e, err := event.Decode(m.Subject(), meta.Sequence.Stream, m.Data())
	e.Seq = meta.Sequence.Stream
	return event.Delivery{Event: e, Attempt: int(min(meta.NumDelivered, 1<<30))}, err
}
