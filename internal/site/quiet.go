package site

import (
	"time"

	"leadbus/internal/roster"
)

// Quiet reports whether a time lies in the market's quiet hours, in which nobody
// gets a text that they did not ask for, and until when. They are read on the local
// clock, on holidays as well.
func (m *Market) Quiet(at time.Time) (until time.Time, quiet bool) {
	local := at.In(m.Location)
	minute := local.Hour()*60 + local.Minute()
	for day, shift := range map[int]int{0: 0, -1: 24 * 60} { // the hours may have begun yesterday
		if minute+shift >= m.quiet.From && minute+shift < m.quiet.Until {
			y, mo, d := local.AddDate(0, 0, day).Date()
			return time.Date(y, mo, d, 0, m.quiet.Until, 0, 0, m.Location).UTC(), true
		}
	}
	return time.Time{}, false
}

func quiet(d *document, m *Market) {
	if m.QuietText == "" {
		return
	}
	_, spans, ok := roster.ParseHours("daily", m.QuietText)
	if !ok || len(spans) != 1 {
		d.fault(where{"quiet"}, "want one span of hours such as 21:00-08:00")
		return
	}
	m.quiet = spans[0]
}
