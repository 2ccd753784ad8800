package roster

import "time"

// Reserve counts one more offer made now. Days and weeks begin anew at the
// market's midnight, and never go back: a clock that is behind counts into the
// day already begun, so that two clocks cannot clear each other's counts.
func (l Load) Reserve(now time.Time, loc *time.Location) Load {
	l = l.at(calendar(now.In(loc)))
	l.DayOffers++
	l.WeekOffers++
	if now.After(l.LastOfferAt) {
		l.LastOfferAt = now.UTC()
	}
	return l
}

// Release takes back an offer reserved at a time, in the day and week it was
// counted in. LastOfferAt stays: the provider waits a turn.
func (l Load) Release(reserved time.Time, loc *time.Location) Load {
	day, week := calendar(reserved.In(loc))
	if l.Day == day && l.DayOffers > 0 {
		l.DayOffers--
	}
	if l.Week == week && l.WeekOffers > 0 {
		l.WeekOffers--
	}
	return l
}

// at is the load as it counts on a day of a week.
func (l Load) at(day, week string) Load {
	if day > l.Day {
		l.Day, l.DayOffers = day, 0
	}
	if week > l.Week {
		l.Week, l.WeekOffers = week, 0
	}
	return l
}

// calendar is the day of a local time and the Monday of its week.
func calendar(local time.Time) (day, week string) {
	y, m, d := local.Date()
	sinceMonday := (int(local.Weekday()) + 6) % 7
	// Midnight does not exist everywhere on every day; in UTC it does.
	monday := time.Date(y, m, d-sinceMonday, 0, 0, 0, 0, time.UTC)
	return local.Format(time.DateOnly), monday.Format(time.DateOnly)
}
