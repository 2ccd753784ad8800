package host

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSleepIsToldFromWork(t *testing.T) {
	const s, h = time.Second, time.Hour
	before := clocks{mono: 7 * h, boot: 9 * h, wall: 500000 * h} // it slept long ago
	for name, c := range map[string]struct {
		mono, boot, wall time.Duration // how far each went
		want             time.Duration
	}{
		"awake":                              {5 * s, 5 * s, 5 * s, 0},
		"busy":                               {50 * s, 50*s + 200*time.Millisecond, 50 * s, 0},
		"stopped by a debugger":              {2 * h, 2 * h, 2 * h, 0},
		"asleep for an hour":                 {5 * s, h + 5*s, h + 5*s, h},
		"asleep for a moment":                {5 * s, 9 * s, 9 * s, 4 * s},
		"asleep, the wall clock not yet set": {5 * s, h + 5*s, 5 * s, h},
		"a halted guest":                     {5 * s, 5 * s, h + 5*s, h},
		"no clock that counts sleep":         {5 * s, 5 * s, 36 * s, 31 * s},
		"the wall clock set right":           {5 * s, 5 * s, 30 * s, 0},
		"the wall clock set back":            {5 * s, 5 * s, -h, 0},
	} {
		now := clocks{mono: before.mono + c.mono, boot: before.boot + c.boot, wall: before.wall + c.wall}
		if got := slept(before, now); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestEachSleepIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails as soon as both sides wait
		ctx, cancel := context.WithCancel(t.Context())
		tick := make(chan time.Time)
		var now clocks
		pass := func(awake, asleep time.Duration) {
			now.mono += awake
			now.boot += awake + asleep
			now.wall += awake + asleep
		}
		looked := make(chan clocks)
		var told []time.Duration
		done := make(chan struct{})
		go func() {
			defer close(done)
			watch(ctx, tick, func() clocks { return <-looked }, func(d time.Duration) { told = append(told, d) })
		}()
		looked <- now
		for _, asleep := range []time.Duration{0, time.Hour, 0, 0, 8 * time.Hour, 0} {
			pass(5*time.Second, asleep)
			tick <- time.Time{}
			looked <- now
		}
		cancel()
		<-done
		if d := cmp.Diff([]time.Duration{time.Hour, 8 * time.Hour}, told); d != "" {
			t.Error(d)
		}
	})
}

// The clocks of this machine go together while it is awake.
func TestWatchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Watch(ctx, func(d time.Duration) { t.Errorf("slept %s", d) }); err != nil {
		t.Error(err)
	}
	if a, b := sinceBoot(0), sinceBoot(0); b < a {
		t.Errorf("the clock since boot went from %s to %s", a, b)
	}
}
