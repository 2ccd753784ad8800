package send

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
)

// A channel whose vendor fails tripAfter times in a row is left alone, for
// longer each time; then one message finds out how it is.
const (
	tripAfter = 5
	firstRest = 2 * time.Second
	longRest  = time.Minute
)

// Requests under way at the same time on one channel. So many sends end in
// doubt when a vendor stops answering. Listing is slow at a vendor, and counts
// there as much as sending.
const (
	mostSends = 64
	// mostPostbacks are those to one tracker: a slow one must not take the workers
	// of what people wait for.
	mostPostbacks = 8
	mostLooks     = 8
	placeTime     = time.Second
)

var (
	errAway = errors.New("the vendor does not work at the moment")
	errBusy = errors.New("as many sends as may be are under way on the channel")
)

// breaker is the state of one channel, or tracker. It is safe for concurrent use.
type breaker struct {
	mu    sync.Mutex
	fails int
	until time.Time
	sends chan struct{} // a place for each
	looks chan struct{} // likewise
}

func newBreaker(sends int) *breaker {
	return &breaker{sends: make(chan struct{}, sends), looks: make(chan struct{}, mostLooks)}
}

// enter waits a little for a place among the sends, which leave gives back.
// The error says when to come back: nobody holds a worker for longer that
// another channel could use.
func (b *breaker) enter(ctx context.Context, now func() time.Time) (leave func(), err error) {
	bounded, cancel := context.WithTimeout(ctx, placeTime)
	defer cancel()
	select {
	case b.sends <- struct{}{}:
	case <-bounded.Done():
		return nil, event.After(time.Second+rand.N(time.Second), errBusy)
	}
	leave = func() { <-b.sends }
	if wait := b.wait(now()); wait > 0 {
		leave()
		return nil, event.After(wait, errAway)
	}
	return leave, nil
}

// wait is how long a message has to wait before it may try; 0: now.
func (b *breaker) wait(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	wait := b.resting(now)
	if wait == 0 && b.fails >= tripAfter {
		b.until = now.Add(b.rest()) // this one tries, the others wait for it
	}
	return wait
}

// rests is how long the channel is left alone from now on; 0: it is not.
func (b *breaker) rests(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.resting(now)
}

// look takes a place among the looks for messages of unknown outcome at the
// vendor, which looked gives back. The error says when to come back.
func (b *breaker) look(now time.Time) (looked func(), err error) {
	if wait := b.rests(now); wait > 0 {
		return nil, event.After(wait, errAway)
	}
	select {
	case b.looks <- struct{}{}:
		return func() { <-b.looks }, nil
	default:
		return nil, event.After(time.Second+rand.N(time.Second), errDoubtful)
	}
}

func (b *breaker) resting(now time.Time) time.Duration {
	if d := b.until.Sub(now); d > 0 {
		return d + rand.N(time.Second)
	}
	return 0
}

func (b *breaker) rest() time.Duration {
	return min(firstRest<<min(b.fails-tripAfter, 8), longRest)
}

// result takes the outcome of an attempt: f is nil when the vendor took it. A
// refusal of one message says that the vendor works.
func (b *breaker) result(now time.Time, f *lead.Failure) (tripped bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case f == nil || f.Class != lead.Transient && f.Class != lead.Doubtful:
		b.fails, b.until = 0, time.Time{}
		return false
	case f.RetryAfter > 0:
		b.until = now.Add(f.RetryAfter)
		return false
	}
	if b.fails++; b.fails >= tripAfter {
		b.until = now.Add(b.rest())
	}
	return b.fails == tripAfter
}
