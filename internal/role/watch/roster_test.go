package watch

import (
	"slices"
	"testing"
	"time"

	"leadbus/internal/event/alarm"
	"leadbus/internal/roster"
	"leadbus/internal/understand/phone"
)

// The owner is notified once for a fault, however often the roster is looked at;
// another wrong number is another fault.
func TestAFaultIsTheSameTomorrow(t *testing.T) {
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	look := func(number string, at time.Time) []alarm.Occurrence {
		found := roster.Lint(roster.Surroundings{Country: "CH", Number: phone.Kind}, []roster.Provider{{
			ID: "lac", Market: "ch", Name: "lac", Active: true, SMS: number, Email: "x",
		}})
		return rosterOccurrences(found, at)
	}
	today, tomorrow, corrected := look("+4179123", at), look("+4179123", at.AddDate(0, 0, 1)), look("+4179124", at)
	if len(today) != 2 || today[0].Cause != alarm.Roster || today[0].About != "lac" || len(today[0].Facts) != 2 {
		t.Fatalf("%+v", today)
	}
	state := alarm.State{}
	for _, k := range slices.Concat(today, tomorrow) {
		state = state.Add(k)
	}
	if state.Times != 2 {
		t.Errorf("it occurred %d times", state.Times)
	}
	if state = state.Add(corrected[0]); state.Times != 3 {
		t.Errorf("another wrong number: it occurred %d times", state.Times)
	}
}
