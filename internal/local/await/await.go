// Package await lets tests wait without waiting for ever: who waits in vain
// fails the test within a minute and says what did not happen.
package await

import (
	"context"
	"sync"
	"testing"
	"time"
)

// patience outlasts a lease of the bus: a delivery that was on its way from a
// leader when it died comes again only then.
const patience = time.Minute

// True waits for a condition.
func True(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	Until(tb, ok, func() string { return what })
}

// Until is True for who can say how far it is.
func Until(tb testing.TB, ok func() bool, state func() string) {
	tb.Helper()
	end, tick := time.After(patience), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			tb.Fatalf("waited %s in vain: %s", patience, state())
		}
	}
}

// Value takes from a channel.
func Value[T any](tb testing.TB, what string, c <-chan T) T {
	tb.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		tb.Fatalf("waited %s in vain: %s", patience, what)
		panic("unreachable")
	}
}

// Return waits until f returns, a sync.WaitGroup's Wait for one.
func Return(tb testing.TB, what string, f func()) {
	tb.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	Value(tb, what, done)
}

// Background runs f until stop or the end of the test; f ends without error.
func Background(tb testing.TB, f func(context.Context) error) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				tb.Errorf("ended with %v", err)
			}
		case <-time.After(patience): // any goroutine may call stop: no Fatal
			tb.Errorf("did not end within %s", patience)
		}
	})
	tb.Cleanup(stop)
	return stop
}
