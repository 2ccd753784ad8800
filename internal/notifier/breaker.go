package notifier

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"leadbus/internal/lead"
)

// A channel whose vendor fails tripAfter times in a row is left alone, for
// longer each time; then one message finds out how it is.
const (
	tripAfter = 5
	firstRest = 2 * time.Second
	longRest  = time.Minute
)

// mostLooks bounds how many messages a vendor is asked for at the same time, on
// one channel: listing is slow there, and counts as much as sending.
const mostLooks = 8

var errAway = errors.New("the vendor does not work at the moment")

// breaker is the state of one channel. It is safe for concurrent use.
type breaker struct {
	mu      sync.Mutex
	fails   int
	until   time.Time
	looking int
}

// wait is how long a message has to wait before it may try; 0: now.
func (b *breaker) wait(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := b.until.Sub(now); d > 0 {
		return d + rand.N(time.Second)
	}
	if b.fails >= tripAfter {
		b.until = now.Add(b.rest()) // this one tries, the others wait for it
	}
	return 0
}

// look is how long a message of unknown outcome has to wait before the vendor
// may be asked for it, and why; 0: now, until looked.
func (b *breaker) look(now time.Time) (time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := b.until.Sub(now); d > 0 {
		return d + rand.N(time.Second), errAway
	}
	if b.looking == mostLooks {
		return time.Second + rand.N(time.Second), errDoubtful
	}
	b.looking++
	return 0, nil
}

func (b *breaker) looked() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looking--
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
