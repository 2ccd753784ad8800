package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/roster"
)

// RosterTask looks daily for what is wrong with the providers that the matcher
// sees. One provider is one alarm, which shows all that is wrong with it; the
// same finding is the same occurrence.
func RosterTask(all func(context.Context) ([]event.Entry, error), lint func([]roster.Provider) []roster.Finding, now func() time.Time) Task {
	return Task{Name: "roster", Every: 24 * time.Hour, Run: func(ctx context.Context) ([]alarm.Occurrence, error) {
		entries, err := all(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the roster: %w", err)
		}
		var providers []roster.Provider
		for _, e := range entries {
			var p roster.Provider
			if json.Unmarshal(e.Value, &p) == nil && p.ID == e.Key { // else the matcher passes it over too
				providers = append(providers, p)
			}
		}
		return rosterOccurrences(lint(providers), now()), nil
	}}
}

func rosterOccurrences(found []roster.Finding, at time.Time) []alarm.Occurrence {
	facts := map[string][]alarm.Fact{}
	for _, f := range found {
		facts[f.Provider] = append(facts[f.Provider], alarm.Fact{Label: strings.TrimSpace(f.Provider + " " + f.Field), Value: f.Text})
	}
	occurrences := make([]alarm.Occurrence, len(found))
	for i, f := range found {
		occurrences[i] = alarm.Occurrence{Cause: alarm.Roster, About: f.Provider, ID: f.ID, At: at, Facts: facts[f.Provider]}
	}
	return occurrences
}
