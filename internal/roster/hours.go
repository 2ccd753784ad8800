package roster

import (
	"fmt"
	"time"
)

const wholeDay = 24 * 60 // minutes on the clock, also on days that are longer or shorter

// open reports whether a span covers a local time. Spans are read on the
// clock: on the day the clocks change, 08:00-12:00 still begins when it shows
// eight, and an hour that comes twice counts twice.
func (h Hours) open(local time.Time) bool {
	now := local.Hour()*60 + local.Minute()
	for _, s := range h[local.Weekday()] {
		if s.From <= now && now < s.Until {
			return true
		}
	}
	for _, s := range h[(local.Weekday()+6)%7] {
		if now+wholeDay < s.Until {
			return true
		}
	}
	return false
}

// closed says when the next span begins after a local time in none.
func (h Hours) closed(local time.Time) string {
	now := local.Hour()*60 + local.Minute()
	for ahead := range 8 {
		day := (local.Weekday() + time.Weekday(ahead)) % 7
		next := -1
		for _, s := range h[day] {
			if (ahead > 0 || s.From > now) && (next < 0 || s.From < next) {
				next = s.From
			}
		}
		if next < 0 {
			continue
		}
		clock := fmt.Sprintf("%02d:%02d", next/60, next%60)
		switch ahead {
		case 0:
			return "closed now: opens " + clock
		case 1:
			return "closed now: opens tomorrow " + clock
		default:
			return "closed now: opens " + day.String() + " " + clock
		}
	}
	return "has no opening hours"
}
