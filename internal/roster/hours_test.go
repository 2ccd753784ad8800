package roster

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSpansAndDays(t *testing.T) {
	for text, want := range map[string]Span{
		"08:00-18:00": {480, 1080}, "00:00-24:00": {0, 1440}, "20:00-02:00": {1200, 1560}, "22:00-00:00": {1320, 1440}, "22:00-24:00": {1320, 1440},
	} {
		if got, ok := parseSpan(text); !ok || got != want {
			t.Errorf("%s: %v %t", text, got, ok)
		}
	}
	for _, text := range []string{"", "-", "08:00", "8:00-9:00", "08:00-09:60", "24:00-08:00", "24:01-25:00", "00:00-00:00", "08:00-09:00-10:00", "08:00 - 09:00", "08-09"} {
		if got, ok := parseSpan(text); ok {
			t.Errorf("%q became %v", text, got)
		}
	}
	for text, want := range map[string][]time.Weekday{
		"mon": {1}, "mon-wed": {1, 2, 3}, "sat-mon": {6, 0, 1}, "daily": {1, 2, 3, 4, 5, 6, 0}, "": nil, "mon-": nil, "Mon": nil, "mon-fri-sat": nil,
	} {
		if d := cmp.Diff(want, weekdays(text)); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
}
