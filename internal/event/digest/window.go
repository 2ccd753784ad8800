package digest

import "time"

// hour is when an owner's day is told and the next one begins, by their clock.
const hour = 7

// Window is the last whole day before now: from 07:00 to 07:00 by the clock of
// the market's zone, 23 or 25 hours long when that clock is changed.
func Window(now time.Time, zone *time.Location) (from, to time.Time) {
	y, m, d := now.In(zone).Date()
	to = time.Date(y, m, d, hour, 0, 0, 0, zone)
	if to.After(now) {
		d--
		to = time.Date(y, m, d, hour, 0, 0, 0, zone)
	}
	return time.Date(y, m, d-1, hour, 0, 0, 0, zone), to
}
