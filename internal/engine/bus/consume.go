package bus

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"leadbus/internal/event"
	"leadbus/internal/subjects"
)

// handleTime is the longest a handler may take; shorter than ackWait, so that a
// delivery is never with two handlers because one was slow.
const handleTime = 25 * time.Second

// Consume hands the durable's deliveries to h, up to workers at a time, until
// ctx ends; then it gives back what was not begun, lets handlers finish for at
// most ten seconds, and returns nil. It returns an error when the durable or
// the connection is lost for good. The durable must have been provisioned; its
// absence is waited for.
//
// A handler's context ends before the delivery's lease does; a panic is a
// failed attempt. An ack is sent and not confirmed: one that is lost means a
// redelivery, to which handlers are indifferent. A delivery that was on its way
// when a cluster's leader died comes again when its lease ends.
func (c *Conn) Consume(ctx context.Context, durable string, workers int, h event.Handler) error {
	return c.consume(ctx, subjects.StreamLeads, durable, workers, workers, func(s *source) (func(context.Context), error) {
		m, err := s.next(ctx)
		return func(work context.Context) { c.handle(work, durable, m, h) }, err
	})
}

// ConsumeBatches hands the durable's deliveries to h in batches of at most most,
// waiting no longer than wait for more once there is one. h answers one error
// (or nil) for each delivery. Batches follow each other; the next one is
// fetched meanwhile. Stop, loss, deadline and panic are as in Consume.
func (c *Conn) ConsumeBatches(ctx context.Context, durable string, most int, wait time.Duration, h func(context.Context, []event.Delivery) []error) error {
	return c.consume(ctx, subjects.StreamLeads, durable, most, 1, func(s *source) (func(context.Context), error) {
		batch, err := s.batch(ctx, most, wait)
		return func(work context.Context) { c.handleBatch(work, durable, batch, h) }, err
	})
}

// consume takes deliveries of the durable and handles them, up to workers takes
// at a time.
func (c *Conn) consume(ctx context.Context, stream, durable string, prefetch, workers int, take func(*source) (handle func(context.Context), err error)) error {
	return c.pull(ctx, stream, durable, prefetch, func(work context.Context, s *source) error {
		free := make(chan struct{}, workers)
		for {
			select {
			case free <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			handle, err := take(s)
			if err != nil {
				return err
			}
			s.busy.Go(func() {
				defer func() { <-free }()
				handle(work)
			})
		}
	})
}

// Emptied returns when the durable has nothing left to hand over and nothing
// under way, or when ctx ends.
func (c *Conn) Emptied(ctx context.Context, durable string) error {
	consumer, err := c.consumer(ctx, subjects.StreamLeads, durable)
	if err != nil {
		return nil //nolint:nilerr // ctx ended while the durable was waited for
	}
	for pause(ctx, connectWait) {
		bounded, cancel := context.WithTimeout(ctx, requestTime)
		info, err := consumer.Info(bounded)
		cancel()
		switch {
		case errors.Is(err, jetstream.ErrConsumerNotFound):
			return err
		case err == nil && info.NumPending == 0 && info.NumAckPending == 0:
			return nil
		}
	}
	return nil
}

// handle runs one delivery through its handler and settles it.
func (c *Conn) handle(ctx context.Context, role string, m jetstream.Msg, h event.Handler) {
	start := time.Now()
	d, err := decode(m)
	if err != nil {
		err = event.Permanent(err)
	} else if err = event.Hopeless(d.Attempt); err == nil {
		bounded, cancel := context.WithTimeout(ctx, handleTime)
		err = c.contain(func() error { return h(bounded, d) })
		cancel()
	}
	outcome := c.settle(ctx, role, m, d, err)
	level := c.log.Debug
	switch {
	case event.Deferred(err):
		level = c.log.Info
	case err != nil:
		level = c.log.Warn
	}
	level().Err(err).Str("event", d.Lead.Event).Str("site", d.Lead.Site).Str("lead", d.Lead.Lead).Uint64("seq", d.Seq).
		Int("attempt", d.Attempt).Str("outcome", outcome).Dur("took_ms", time.Since(start)).Msg("handled")
}

// handleBatch settles each delivery of a batch by its own error, and logs one
// line for the batch: rows of a recorder come by the thousand.
func (c *Conn) handleBatch(ctx context.Context, role string, batch []jetstream.Msg, h func(context.Context, []event.Delivery) []error) {
	start := time.Now()
	deliveries, msgs := make([]event.Delivery, 0, len(batch)), make([]jetstream.Msg, 0, len(batch))
	for _, m := range batch {
		d, err := decode(m)
		if err == nil {
			err = event.Hopeless(d.Attempt)
		}
		if err != nil {
			c.settle(ctx, role, m, d, event.Permanent(err))
			c.log.Warn().Err(err).Uint64("seq", d.Seq).Msg("an event that cannot be handled is given up")
			continue
		}
		deliveries, msgs = append(deliveries, d), append(msgs, m)
	}
	if len(msgs) == 0 {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, handleTime)
	defer cancel()
	var errs []error
	all := c.contain(func() error {
		if errs = h(bounded, deliveries); len(errs) != len(deliveries) {
			return fmt.Errorf("the handler answered %d results for %d deliveries", len(errs), len(deliveries))
		}
		return nil
	})
	failed := 0
	for i, m := range msgs {
		err := all
		if err == nil {
			err = errs[i]
		}
		outcome := c.settle(ctx, role, m, deliveries[i], err)
		if err == nil {
			continue
		}
		if failed++; failed == 1 { // one cause mostly fails many
			c.log.Warn().Err(err).Str("lead", deliveries[i].Lead.Lead).Uint64("seq", deliveries[i].Seq).
				Int("attempt", deliveries[i].Attempt).Str("outcome", outcome).Msg("an event of the batch failed")
		}
	}
	c.log.Debug().Int("events", len(msgs)).Int("failed", failed).Dur("took_ms", time.Since(start)).Msg("batch handled")
}

// contain makes a panic a failed attempt. Of the panic's value only the
// runtime's own words are logged: others may hold what a caller said.
func (c *Conn) contain(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errors.New("panic in a handler")
			if r, ok := v.(runtime.Error); ok {
				err = fmt.Errorf("panic in a handler: %w", r)
			}
			c.log.Error().Err(err).Bytes("stack", debug.Stack()).Msg("panic")
		}
	}()
	return f()
}

// settle acks, naks or terminates by the handler's error, and says which. What
// is terminated stands in the DLQ before.
func (c *Conn) settle(ctx context.Context, role string, m jetstream.Msg, d event.Delivery, err error) string {
	fate, delay := event.Outcome(err, d.Attempt)
	if fate == event.Terminate {
		if derr := c.bury(ctx, role, m.Subject(), d, err); derr != nil {
			c.log.Error().Err(derr).Uint64("seq", d.Seq).Msg("given up, and the DLQ does not take it: the event comes again")
			fate, delay = event.Redeliver, ackWait
		}
	}
	switch fate {
	case event.Redeliver:
		c.sent(m.NakWithDelay(delay))
		return "redeliver"
	case event.Terminate:
		c.sent(m.TermWithReason("in the DLQ"))
		return "terminate"
	default:
		c.sent(m.Ack())
		return "ack"
	}
}

// sent notes an ack that did not leave.
func (c *Conn) sent(err error) {
	if err != nil {
		c.log.Warn().Err(err).Msg("ack was not sent: the event will come again")
	}
}
