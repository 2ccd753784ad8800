package roster

import (
	"fmt"
	"slices"
	"strings"
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

// After is when a span of opening hours that begins at a local time is over; off
// says of a local day ("2006-01-02") that nobody works. Without hours the clock runs
// always.
func (h Hours) After(local time.Time, span time.Duration, off func(day string) bool) time.Time {
	if len(h) == 0 {
		return local.Add(span)
	}
	for limit := local.AddDate(0, 1, 0); span > 0 && local.Before(limit); {
		step := min(span, time.Minute)
		if h.open(local) && !off(local.Format(time.DateOnly)) {
			span -= step
		} else if step = time.Minute; local.Minute() == 0 && !h.opensWithin(local) {
			step = time.Hour
		}
		local = local.Add(step)
	}
	return local
}

// opensWithin reports whether a span begins within the hour after a local time.
func (h Hours) opensWithin(local time.Time) bool {
	now := local.Hour()*60 + local.Minute()
	return slices.ContainsFunc(h[local.Weekday()], func(s Span) bool { return s.From >= now && s.From < now+60 })
}

// Next is the first time from a local one on at which the hours are open on a day
// that is not off; zero when that is not within two weeks.
func (h Hours) Next(local time.Time, off func(day string) bool) time.Time {
	for limit := local.AddDate(0, 0, 14); local.Before(limit); {
		if h.open(local) && !off(local.Format(time.DateOnly)) {
			return local
		}
		local = local.Add(time.Minute).Truncate(time.Minute)
		if local.Minute() == 0 {
			for local.Before(limit) && !h.opensWithin(local) && !h.open(local) {
				local = local.Add(time.Hour)
			}
		}
	}
	return time.Time{}
}

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// ParseHours reads a day or a range of days, and hours such as
// "08:00-12:00,13:30-18:00". days is nil for no day; ok is false for no hours.
func ParseHours(day, hours string) (days []time.Weekday, spans []Span, ok bool) {
	for item := range strings.SplitSeq(hours, ",") {
		span, ok := parseSpan(strings.TrimSpace(item))
		if !ok {
			return weekdays(day), nil, false
		}
		spans = append(spans, span)
	}
	return weekdays(day), spans, true
}

// weekdays reads "mon", "mon-fri", "sat-mon" or "daily"; nil for anything else.
func weekdays(text string) []time.Weekday {
	if text == "daily" {
		text = "mon-sun"
	}
	first, last, ranged := strings.Cut(text, "-")
	if !ranged {
		last = first
	}
	from, until := slices.Index(dayNames, first), slices.Index(dayNames, last)
	if from < 0 || until < 0 {
		return nil
	}
	days := []time.Weekday{time.Weekday(from)}
	for d := from; d != until; {
		d = (d + 1) % 7
		days = append(days, time.Weekday(d))
	}
	return days
}

// parseSpan reads "08:00-12:00". A span that ends at or before its beginning
// ends on the next day; one that ends when it begins says nothing.
func parseSpan(text string) (Span, bool) {
	from, until, ok := strings.Cut(text, "-")
	if !ok || from == until {
		return Span{}, false
	}
	a, okA := parseClock(from)
	b, okB := parseClock(until)
	if !okA || !okB || a == wholeDay {
		return Span{}, false
	}
	if b <= a {
		b += wholeDay
	}
	return Span{From: a, Until: b}, true
}

// parseClock reads "08:00" up to "24:00" as minutes.
func parseClock(text string) (int, bool) {
	if text == "24:00" {
		return wholeDay, true
	}
	t, err := time.Parse("15:04", text)
	return t.Hour()*60 + t.Minute(), err == nil && len(text) == len("15:04")
}
