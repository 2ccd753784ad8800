package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"leadbus/internal/event"
	"leadbus/internal/subjects"
)

// SetTimer sets a lead's timer in the place of the one it has; it comes out within a
// second after its time, and one in the past at once. Timers are kept in whole seconds.
func (c *Conn) SetTimer(ctx context.Context, of subjects.Lead, at time.Time) error {
	of.Event = subjects.Received // any: a timer has a kind of its own
	if err := of.Validate(); err != nil {
		return err
	}
	err := c.retry(ctx, "waiting for the stream to take a timer", requestTime, always, func(ctx context.Context) error {
		_, err := c.js.PublishMsg(ctx, nats.NewMsg(of.Timer()),
			jetstream.WithScheduleAt(at.Add(time.Second-1)), jetstream.WithScheduleTarget(of.Due()), jetstream.WithScheduleTTL(timerTTL))
		return err
	})
	if err != nil {
		return fmt.Errorf("set a timer: %w", err)
	}
	return nil
}

// timerTTL is how long a timer that is due waits for its role.
const timerTTL = 24 * time.Hour

// ConsumeTimers hands the leads whose timers are due to h, up to workers at a time,
// until ctx ends; stop and loss are as in Consume. A timer may come twice.
func (c *Conn) ConsumeTimers(ctx context.Context, role string, workers int, h func(context.Context, subjects.Lead) error) error {
	return c.consume(ctx, subjects.StreamTimers, role, workers, workers, func(s *source) (func(context.Context), error) {
		m, err := s.next(ctx)
		return func(work context.Context) {
			of, err := subjects.ParseDue(m.Subject())
			if err == nil {
				bounded, cancel := context.WithTimeout(work, handleTime)
				err = c.contain(func() error { return h(bounded, of) })
				cancel()
			} else {
				err = event.Permanent(err)
			}
			attempt := 1
			if meta, merr := m.Metadata(); merr == nil {
				attempt = int(min(meta.NumDelivered, 1<<30))
			}
			switch fate, delay := event.Outcome(err, attempt); fate {
			case event.Ack:
				c.sent(m.Ack())
			case event.Redeliver:
				c.log.Warn().Err(err).Str("lead", of.Lead).Msg("a timer comes again")
				c.sent(m.NakWithDelay(delay))
			default: // the lead is found without it
				c.log.Error().Err(err).Str("lead", of.Lead).Msg("a timer is given up")
				c.sent(m.Term())
			}
		}, err
	})
}
