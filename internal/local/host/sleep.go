package host

import (
	"context"
	"time"
)

const (
	// interval between looks at the clocks.
	interval = 5 * time.Second
	// doze is by how much the clock that counts sleep must have outrun the one
	// that does not: reading both takes a moment.
	doze = time.Second
	// jump is by how much the clock on the wall must have. Smaller ones are
	// those of a clock that is set right.
	jump = 30 * time.Second
)

// clocks are three of them, read together.
type clocks struct {
	mono time.Duration // stands still while the machine sleeps
	boot time.Duration // goes on; equal to mono where there is none
	wall time.Duration // since 1970
}

// slept is for how long the machine slept between two looks; zero for not at
// all. A guest that was halted finds no trace of it but on the wall.
func slept(before, now clocks) time.Duration {
	awake := now.mono - before.mono
	asleep := now.boot - before.boot - awake
	jumped := now.wall - before.wall - awake
	if asleep > doze || jumped > jump {
		return max(asleep, jumped)
	}
	return 0
}

// Watch calls f after each sleep of this machine until ctx ends.
func Watch(ctx context.Context, f func(d time.Duration)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	start := time.Now()
	watch(ctx, tick.C, func() clocks {
		now := time.Now()
		c := clocks{mono: now.Sub(start), wall: time.Duration(now.UnixNano())}
		c.boot = sinceBoot(c.mono)
		return c
	}, f)
	return nil
}

func watch(ctx context.Context, tick <-chan time.Time, read func() clocks, f func(time.Duration)) {
	before := read()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
		now := read()
		if d := slept(before, now); d > 0 {
			f(d)
		}
		before = now
	}
}
