package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// stopTime is how long handlers may finish after the stop began, and
	// cancelTime how long after their context ended.
	stopTime   = 10 * time.Second
	cancelTime = 2 * time.Second
	// A pull request stands at the server for pullExpiry; one that was lost
	// with a leader is noticed after two missed heartbeats.
	pullExpiry    = 5 * time.Second
	pullHeartbeat = 2 * time.Second
	// watchdog is how long a durable may have events waiting without handing
	// any over before it is subscribed anew.
	watchdog = 30 * time.Second
	// handBack is the delay of a delivery that is given back unhandled.
	handBack = 10 * time.Millisecond
)

// source is a role's subscription to its durable. Prefetched deliveries wait in
// this process while their lease runs, so there are never more of them than
// the handlers take up next.
type source struct {
	c        *Conn
	consumer jetstream.Consumer
	it       jetstream.MessagesContext
	busy     sync.WaitGroup // handlers at work

	taken []time.Time // when each of the last prefetch deliveries was taken
	n     int
}

// pull subscribes to the durable, runs loop until it returns, gives back what
// was prefetched and waits for the handlers. loop starts handlers in s.busy
// with a context that outlives ctx by stopTime.
func (c *Conn) pull(ctx context.Context, stream, durable string, prefetch int, loop func(work context.Context, s *source) error) error {
	consumer, err := c.consumer(ctx, stream, durable)
	if err != nil {
		return nil //nolint:nilerr // ctx ended while the durable was waited for
	}
	s := &source{c: c, consumer: consumer, taken: make([]time.Time, prefetch)}
	if err := s.subscribe(); err != nil {
		return fmt.Errorf("consume %s: %w", durable, err)
	}
	for i := range s.taken {
		s.taken[i] = time.Now()
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if err = loop(work, s); ctx.Err() != nil {
		err = nil
	}
	s.giveBack()
	if !s.finish(cancel) {
		err = errors.Join(err, errors.New("handlers are still at work"))
	}
	if err != nil {
		return fmt.Errorf("consume %s: %w", durable, err)
	}
	_ = c.nc.FlushTimeout(cancelTime) // the last acks; without a server there are none to send
	return nil
}

// consumer looks the durable up and waits until it is provisioned.
func (c *Conn) consumer(ctx context.Context, stream, durable string) (found jetstream.Consumer, err error) {
	err = c.insist(ctx, "durable "+durable, func(ctx context.Context) (err error) {
		found, err = c.js.Consumer(ctx, stream, durable)
		return err
	})
	return found, err
}

func (s *source) subscribe() (err error) {
	s.it, err = s.consumer.Messages(jetstream.PullMaxMessages(len(s.taken)),
		jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat))
	return err
}

// next waits for a delivery. Its error is ctx's, or the loss of the durable.
func (s *source) next(ctx context.Context) (jetstream.Msg, error) {
	for since := time.Now(); ; {
		bounded, cancel := context.WithTimeout(ctx, watchdog)
		m, err := s.it.Next(jetstream.NextContext(bounded))
		cancel()
		switch {
		case err == nil:
			s.extend(m)
			return m, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, jetstream.ErrNoHeartbeat), errors.Is(err, context.DeadlineExceeded):
			// Nothing came: it may be that nothing comes any more.
			if err := s.check(ctx, time.Since(since) >= watchdog); err != nil {
				return nil, err
			}
		default:
			return nil, err
		}
	}
}

// extend renews the lease of a delivery that may have waited here for too long
// to leave a handler its whole time. A delivery was asked for after the one
// that came a full prefetch earlier had been taken.
func (s *source) extend(m jetstream.Msg) {
	i := s.n % len(s.taken)
	if time.Since(s.taken[i]) > ackWait-handleTime {
		s.c.sent(m.InProgress())
	}
	s.taken[i] = time.Now()
	s.n++
}

// check finds out whether the durable still is; one that was deleted while the
// connection was away never says so. A long silence with events waiting is
// ended by a new subscription: a request lost with a leader can silence the
// old one (nats.go issue 2063).
func (s *source) check(ctx context.Context, silent bool) error {
	bounded, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	info, err := s.consumer.Info(bounded)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		return err
	case err != nil || !silent || info.NumPending == 0 || info.Paused || info.NumAckPending >= info.Config.MaxAckPending:
		return nil
	}
	s.c.log.Warn().Str("durable", info.Name).Uint64("pending", info.NumPending).Msg("events wait and none is handed over: subscribing anew")
	s.giveBack()
	return s.subscribe()
}

// batch waits for a delivery and then for more. The deliveries collected when
// ctx ends are given back.
func (s *source) batch(ctx context.Context, most int, wait time.Duration) ([]jetstream.Msg, error) {
	first, err := s.next(ctx)
	if err != nil {
		return nil, err
	}
	batch := append(make([]jetstream.Msg, 0, most), first)
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for len(batch) < most && err == nil {
		var m jetstream.Msg
		if m, err = s.next(bounded); err == nil {
			batch = append(batch, m)
		}
	}
	if ctx.Err() != nil {
		for _, m := range batch {
			s.c.sent(m.NakWithDelay(handBack))
		}
		return nil, ctx.Err()
	}
	// Another error shows when the next batch is asked for.
	return batch, nil
}

// giveBack ends the subscription and naks what was prefetched, so that it goes
// to another replica now and not after ackWait.
func (s *source) giveBack() {
	s.it.Drain()
	for {
		m, err := s.it.Next(jetstream.NextMaxWait(time.Second))
		if errors.Is(err, jetstream.ErrNoHeartbeat) {
			continue
		} else if err != nil {
			return
		}
		s.c.sent(m.NakWithDelay(handBack))
	}
}

// finish waits for the handlers, first patiently, then with their context
// ended; it reports whether all came back.
func (s *source) finish(cancel context.CancelFunc) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.busy.Wait()
	}()
	for _, patience := range []time.Duration{stopTime, cancelTime} {
		select {
		case <-done:
			return true
		case <-time.After(patience):
			cancel()
		}
	}
	return false
}
