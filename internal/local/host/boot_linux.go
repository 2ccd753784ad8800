package host

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot is the clock that goes on while the machine sleeps.
func sinceBoot(mono time.Duration) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return mono
	}
	return time.Duration(t.Nano())
}
