package scanner

import (
	"context"
	"fmt"
	"time"

	"leadbus/internal/alarm"
	"leadbus/internal/drift"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/quality"
	"leadbus/internal/site"
)

// watched are the detectors whose share is watched for each agent. Those of the
// line and the voice count every call, the others the eligible ones.
var watched = []struct {
	detector string
	every    bool
}{
	{quality.MissedDispatch, false},
	{quality.CloseBeforeDispatch, false},
	{quality.ToolError, false},
	{quality.HangupPreGreeting, true},
	{quality.Short, true},
	{quality.DeadAir, true},
	{quality.Loop, true},
}

// Two failures of an agent's tool within this time call the owner.
const toolTime = 10 * time.Minute

func driftKey(agent, detector string) string { return "drift-" + lead.NewID(agent, detector) }

// observe counts a call for its agent and says what is alarming about it.
func (s *Scanner) observe(ctx context.Context, st *site.Site, scanned *event.Scanned, id string) ([]alarm.Strike, error) {
	c, scan := scanned.Call, scanned.Scan
	if scan.Why == test || c.Direction == "outbound" {
		return nil, nil
	}
	var strikes []alarm.Strike
	for _, w := range watched {
		if !w.every && !scan.Eligible {
			continue
		}
		_, bad := finding(scan, w.detector)
		var after drift.State
		err := change(ctx, s.Watch, driftKey(c.AgentID, w.detector), func(before drift.State) (drift.State, error) {
			after = before
			if c.Version != "" && before.Config != "" {
				after = after.Restart(c.Version, c.StartedAt)
			} else if after.Config == "" {
				after.Config = c.Version
			}
			after = after.Observe(drift.Observation{ID: id, At: c.StartedAt, Bad: bad})
			return after, nil
		})
		if err != nil {
			return nil, fmt.Errorf("watch %s of %s: %w", w.detector, c.AgentID, err)
		}
		if a := after.Alarm; a != nil && bad {
			badOf, n := after.Count()
			low, high := drift.Wilson(badOf, n)
			strikes = append(strikes, alarm.Strike{
				Site: st.Domain, Cause: alarm.Drift, About: c.AgentID + "/" + w.detector, ID: a.ID, At: a.At, Leads: []string{id},
				Facts: []alarm.Fact{
					{Label: "detector", Value: w.detector}, {Label: "agent", Value: c.AgentID}, {Label: "version", Value: c.Version},
					{Label: "calls", Value: fmt.Sprintf("%d of %d (%.0f-%.0f %%)", badOf, n, 100*low, 100*high)},
				},
			})
		}
		if w.detector == quality.ToolError && bad {
			if n := within(after, c.StartedAt); n >= 2 {
				strikes = append(strikes, alarm.Strike{
					Site: st.Domain, Cause: alarm.ToolError, About: c.AgentID, ID: id, At: c.StartedAt, Leads: []string{id},
				})
			}
		}
	}
	return strikes, nil
}

// within counts the bad calls near a time.
func within(s drift.State, at time.Time) int {
	n := 0
	for _, o := range s.Recent {
		if o.Bad && o.At.Sub(at).Abs() <= toolTime {
			n++
		}
	}
	return n
}

// forgive begins anew after an alarm was acknowledged.
func (s *Scanner) forgive(ctx context.Context, agent, detector string) error {
	return change(ctx, s.Watch, driftKey(agent, detector), func(st drift.State) (drift.State, error) {
		if st.Alarm != nil {
			st = st.Acknowledge(st.Alarm.ID)
		}
		return st, nil
	})
}
