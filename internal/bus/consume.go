package bus

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"leadbus/internal/event"
	"leadbus/internal/subjects"
)

const (
	// handleTime is the longest a handler may take; shorter than ackWait, so
	// that a delivery is never with two handlers because one was slow.
	handleTime = 25 * time.Second
	// stopTime is how long handlers may finish after the stop began.
	stopTime   = 10 * time.Second
	pullExpiry = 5 * time.Second
	// watchdog is how long a durable may have events waiting without handing
	// any over before it is subscribed anew.
	watchdog = 30 * time.Second
)

// Consume hands the durable's deliveries to h, up to workers at a time, until
// ctx ends; then it lets handlers finish, gives back what was not begun, and
// returns nil. It returns an error when the durable is lost. The durable must
// have been provisioned; its absence is waited for.
func (c *Conn) Consume(ctx context.Context, durable string, workers int, h event.Handler) error {
	return c.pull(ctx, durable, workers, func(work context.Context, msgs <-chan jetstream.Msg) {
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for m := range msgs {
					if ctx.Err() != nil {
						c.settle(m, event.After(10*time.Millisecond, errStopping), 1)
						continue
					}
					c.handle(work, m, h)
				}
			})
		}
		wg.Wait()
	})
}

var errStopping = errors.New("stopping")

// handle runs one delivery through its handler and settles it.
func (c *Conn) handle(ctx context.Context, m jetstream.Msg, h event.Handler) {
	start := time.Now()
	d, err := decode(m)
	if err != nil {
		err = event.Permanent(err)
	} else {
		bounded, cancel := context.WithTimeout(ctx, handleTime)
		err = c.contain(func() error { return h(bounded, d) })
		cancel()
	}
	c.settle(m, err, d.Attempt)
	line := c.log.Debug()
	if err != nil {
		line = c.log.Warn().Err(err)
	}
	line.Str("event", d.Lead.Event).Str("site", d.Lead.Site).Str("lead", d.Lead.Lead).Uint64("seq", d.Seq).
		Int("attempt", d.Attempt).Dur("took_ms", time.Since(start)).Msg("handled")
}

// contain makes a panic a failed attempt.
func (c *Conn) contain(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			c.log.Error().Bytes("stack", debug.Stack()).Msg("panic in a handler")
			err = errors.New("panic in a handler")
		}
	}()
	return f()
}

// settle acks, naks or terminates by the handler's error. An ack that is lost
// means a redelivery, which handlers are indifferent to.
func (c *Conn) settle(m jetstream.Msg, err error, attempt int) {
	var aerr error
	switch fate, delay := event.Outcome(err, attempt); fate {
	case event.Ack:
		aerr = m.Ack()
	case event.Redeliver:
		aerr = m.NakWithDelay(delay)
	case event.Terminate:
		reason := err.Error()
		aerr = m.TermWithReason(reason[:min(len(reason), 200)])
	}
	if aerr != nil {
		c.log.Warn().Err(aerr).Msg("ack was not sent; the event will come again")
	}
}

// ConsumeBatches hands the durable's deliveries to h in batches of at most max,
// waiting no longer than wait for more once there is one. h answers one error
// for each delivery. Batches follow each other; stop and loss are as in
// Consume.
func (c *Conn) ConsumeBatches(ctx context.Context, durable string, max int, wait time.Duration, h func(context.Context, []event.Delivery) []error) error {
	return c.pull(ctx, durable, 2*max, func(work context.Context, msgs <-chan jetstream.Msg) {
		for batch := range batches(msgs, max, wait) {
			if ctx.Err() != nil {
				for _, m := range batch {
					c.settle(m, event.After(10*time.Millisecond, errStopping), 1)
				}
				continue
			}
			c.handleBatch(work, batch, h)
		}
	})
}

func (c *Conn) handleBatch(ctx context.Context, batch []jetstream.Msg, h func(context.Context, []event.Delivery) []error) {
	var deliveries []event.Delivery
	var msgs []jetstream.Msg
	for _, m := range batch {
		d, err := decode(m)
		if err != nil {
			c.log.Warn().Err(err).Msg("unreadable event terminated")
			c.settle(m, event.Permanent(err), 1)
			continue
		}
		deliveries, msgs = append(deliveries, d), append(msgs, m)
	}
	if len(deliveries) == 0 {
		return
	}
	start := time.Now()
	bounded, cancel := context.WithTimeout(ctx, handleTime)
	var errs []error
	if err := c.contain(func() error { errs = h(bounded, deliveries); return nil }); err != nil {
		errs = nil
		for range deliveries {
			errs = append(errs, err)
		}
	}
	cancel()
	failed := 0
	for i, m := range msgs {
		if errs[i] != nil {
			failed++
			if failed == 1 {
				c.log.Warn().Err(errs[i]).Uint64("seq", deliveries[i].Seq).Msg("an event of the batch failed")
			}
		}
		c.settle(m, errs[i], deliveries[i].Attempt)
	}
	c.log.Debug().Int("events", len(msgs)).Int("failed", failed).Dur("took_ms", time.Since(start)).Msg("batch handled")
}

// batches groups what arrives.
func batches(msgs <-chan jetstream.Msg, most int, wait time.Duration) func(yield func([]jetstream.Msg) bool) {
	return func(yield func([]jetstream.Msg) bool) {
		for first := range msgs {
			batch, timeout := []jetstream.Msg{first}, time.After(wait)
			for open := true; open && len(batch) < most; {
				select {
				case m, ok := <-msgs:
					if ok {
						batch = append(batch, m)
					}
					open = ok
				case <-timeout:
					open = false
				}
			}
			if !yield(batch) {
				return
			}
		}
	}
}

// pull feeds the durable's deliveries to work until ctx ends. work gets a
// context that outlives ctx by stopTime, and returns when the channel closes.
func (c *Conn) pull(ctx context.Context, durable string, prefetch int, work func(context.Context, <-chan jetstream.Msg)) error {
	consumer, err := c.consumer(ctx, durable)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	msgs := make(chan jetstream.Msg)
	done := make(chan struct{})
	go func() {
		defer close(done)
		work(running, msgs)
	}()
	err = c.feed(ctx, consumer, durable, prefetch, msgs)
	close(msgs)
	select {
	case <-done:
	case <-time.After(stopTime):
		cancel() // handlers see their context end
		<-done
	}
	return err
}

// feed moves deliveries into msgs; it returns nil after ctx ended.
func (c *Conn) feed(ctx context.Context, consumer jetstream.Consumer, durable string, prefetch int, msgs chan<- jetstream.Msg) error {
	for {
		// Prefetched deliveries wait in this process while their ack time
		// runs: no more of them than the workers take up at once.
		it, err := consumer.Messages(jetstream.PullMaxMessages(prefetch), jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullExpiry/2),
			jetstream.WithMessagesErrOnMissingHeartbeat(false))
		if err != nil {
			return fmt.Errorf("consume %s: %w", durable, err)
		}
		again, err := c.iterate(ctx, it, consumer, durable, msgs)
		it.Stop()
		if !again || err != nil {
			return err
		}
		c.log.Warn().Str("durable", durable).Msg("events wait and none is handed over: subscribing anew")
	}
}

func (c *Conn) iterate(ctx context.Context, it jetstream.MessagesContext, consumer jetstream.Consumer, durable string, msgs chan<- jetstream.Msg) (again bool, err error) {
	for {
		next, cancel := context.WithTimeout(ctx, watchdog)
		m, err := it.Next(jetstream.NextContext(next))
		idle := errors.Is(next.Err(), context.DeadlineExceeded)
		cancel()
		switch {
		case err == nil:
			select {
			case msgs <- m:
			case <-ctx.Done():
				c.settle(m, event.After(10*time.Millisecond, errStopping), 1)
				c.handBack(it)
				return false, nil
			}
		case ctx.Err() != nil:
			c.handBack(it)
			return false, nil
		case idle:
			if info, ierr := consumer.Info(ctx); ierr == nil && info.NumPending > 0 && info.NumAckPending == 0 {
				return true, nil
			}
		default:
			return false, fmt.Errorf("consume %s: %w", durable, err)
		}
	}
}

// handBack naks what was prefetched, so that it is redelivered now and not
// after ackWait.
func (c *Conn) handBack(it jetstream.MessagesContext) {
	it.Drain()
	for {
		m, err := it.Next(jetstream.NextMaxWait(time.Second))
		if err != nil {
			return
		}
		c.settle(m, event.After(10*time.Millisecond, errStopping), 1)
	}
}

// consumer looks the durable up and waits until it is provisioned.
func (c *Conn) consumer(ctx context.Context, durable string) (jetstream.Consumer, error) {
	for warned := false; ; warned = true {
		found, err := c.js.Consumer(ctx, subjects.StreamLeads, durable)
		if err == nil {
			return found, nil
		}
		if !warned {
			c.log.Warn().Err(err).Str("durable", durable).Msg("waiting for the durable; 'leadbus provision' makes it")
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}
