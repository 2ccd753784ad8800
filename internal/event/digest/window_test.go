package digest

import (
	"testing"
	"time"
	_ "time/tzdata"
)

func TestWindow(t *testing.T) {
	for name, c := range map[string]struct {
		zone, now string
		from, to  string
		long      time.Duration
	}{
		"an ordinary day":        {"Europe/Zurich", "2026-11-24T07:00:01+01:00", "2026-11-23T07:00:00+01:00", "2026-11-24T07:00:00+01:00", 24 * time.Hour},
		"at seven":               {"Europe/Zurich", "2026-11-24T07:00:00+01:00", "2026-11-23T07:00:00+01:00", "2026-11-24T07:00:00+01:00", 24 * time.Hour},
		"before seven":           {"Europe/Zurich", "2026-11-24T06:59:59+01:00", "2026-11-22T07:00:00+01:00", "2026-11-23T07:00:00+01:00", 24 * time.Hour},
		"late in the evening":    {"Europe/Zurich", "2026-11-24T23:59:00+01:00", "2026-11-23T07:00:00+01:00", "2026-11-24T07:00:00+01:00", 24 * time.Hour},
		"an hour less in spring": {"Europe/Zurich", "2026-03-29T07:30:00+02:00", "2026-03-28T07:00:00+01:00", "2026-03-29T07:00:00+02:00", 23 * time.Hour},
		"an hour more in autumn": {"Europe/Zurich", "2026-10-25T07:30:00+01:00", "2026-10-24T07:00:00+02:00", "2026-10-25T07:00:00+01:00", 25 * time.Hour},
		"east, still yesterday":  {"Asia/Makassar", "2026-11-23T23:10:00Z", "2026-11-23T07:00:00+08:00", "2026-11-24T07:00:00+08:00", 24 * time.Hour},
		"the first of a month":   {"Asia/Makassar", "2026-03-01T00:00:00Z", "2026-02-28T07:00:00+08:00", "2026-03-01T07:00:00+08:00", 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			zone, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			at := func(s string) time.Time {
				v, err := time.Parse(time.RFC3339, s)
				if err != nil {
					t.Fatal(err)
				}
				return v
			}
			from, to := Window(at(c.now), zone)
			if !from.Equal(at(c.from)) || !to.Equal(at(c.to)) || to.Sub(from) != c.long {
				t.Errorf("%s to %s, %s long", from, to, to.Sub(from))
			}
		})
	}
}

// Day follows day without a gap, through a year with both changes of the clock.
func TestWindowsMeet(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	_, last := Window(time.Date(2026, 1, 1, 12, 0, 0, 0, zone), zone)
	for day := range 400 {
		from, to := Window(time.Date(2026, 1, 2+day, 12, 0, 0, 0, zone), zone)
		if !from.Equal(last) {
			t.Fatalf("%s follows %s", from, last)
		}
		last = to
	}
}
