package watch

import (
	"context"
	"fmt"
	"time"

	"leadbus/internal/call"
	"leadbus/internal/call/drift"
	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/site"
)

// watched are the detectors whose share is watched for each agent. Those of the
// line and the voice count every call, the others the eligible ones.
var watched = []struct {
	detector string
	every    bool
}{
	{call.MissedDispatch, false},
	{call.CloseBeforeDispatch, false},
	{call.ToolError, false},
	{call.ToolSlow, false},
	{call.HangupPreGreeting, true},
	{call.Short, true},
	{call.DeadAir, true},
	{call.Loop, true},
}

// Two failures of an agent's tool within this time notify the owner.
const toolTime = 10 * time.Minute

// agentState is what is known of one agent, by detector.
type agentState map[string]drift.State

func driftKey(agent string) string { return "drift-" + lead.NewID(agent, "") }

// Observe counts a call for its agent and says what is alarming about it.
func (w *Watch) Observe(ctx context.Context, st *site.Site, scanned *event.Scanned, id string) ([]alarm.Occurrence, error) {
	c, scan := scanned.Call, scanned.Scan
	if scan.Why == call.Test || c.Direction == "outbound" {
		return nil, nil
	}
	var after agentState
	err := w.changeAgent(ctx, c.AgentID, func(before agentState) agentState {
		after = agentState{}
		for _, one := range watched {
			d := before[one.detector]
			if d.Config == "" {
				d.Config = c.Version
			} else if c.Version != "" {
				d = d.Restart(c.Version, c.StartedAt)
			}
			if one.every || scan.Eligible {
				_, bad := scan.Finding(one.detector)
				d = d.Observe(drift.Observation{ID: id, At: c.StartedAt, Bad: bad})
			}
			after[one.detector] = d
		}
		return after
	})
	if err != nil {
		return nil, fmt.Errorf("watch agent %s: %w", c.AgentID, err)
	}
	var occurrences []alarm.Occurrence
	// A version that came after another, and that leaves out what the one
	// before it may have said.
	since := after[call.MissedDispatch]
	if f, bad := scan.Finding(call.NoDisclosure); bad && since.Config == c.Version && !since.ConfigAt.IsZero() {
		occurrences = append(occurrences, alarm.Occurrence{
			Site: st.Domain, Cause: alarm.NoDisclosure, About: c.AgentID + "/" + c.Version, ID: id, At: c.StartedAt,
			Facts: []alarm.Fact{{Label: "agent", Value: c.AgentID}, {Label: "version", Value: c.Version}, {Label: "missing", Value: f.Detail}},
		})
	}
	for _, one := range watched {
		f, bad := scan.Finding(one.detector)
		if !bad || !one.every && !scan.Eligible {
			continue
		}
		d := after[one.detector]
		if a := d.Alarm; a != nil {
			bad, n := d.Count()
			low, high := drift.Wilson(bad, n)
			occurrences = append(occurrences, alarm.Occurrence{
				Site: st.Domain, Cause: alarm.Drift, About: c.AgentID + "/" + one.detector, ID: a.ID, At: a.At, Leads: []string{id},
				Facts: []alarm.Fact{
					{Label: "detector", Value: one.detector},
					{Label: "agent", Value: c.AgentID},
					{Label: "version", Value: c.Version},
					{Label: "calls", Value: fmt.Sprintf("%d of %d (%.0f-%.0f %%)", bad, n, 100*low, 100*high)},
				},
			})
		}
		if (one.detector == call.ToolError || one.detector == call.ToolSlow) && within(d, c.StartedAt) >= 2 {
			occurrences = append(occurrences, alarm.Occurrence{
				Site: st.Domain, Cause: alarm.ToolError, About: c.AgentID, ID: id, At: c.StartedAt, Leads: []string{id},
				Facts: []alarm.Fact{{Label: "agent", Value: c.AgentID}, {Label: "detector", Value: one.detector}, {Label: "detail", Value: f.Detail}},
			})
		}
	}
	return occurrences, nil
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
func (w *Watch) forgive(ctx context.Context, agent, detector string) error {
	return w.changeAgent(ctx, agent, func(all agentState) agentState {
		if d := all[detector]; d.Alarm != nil {
			all[detector] = d.Acknowledge(d.Alarm.ID)
		}
		return all
	})
}

// changeAgent changes what is known of an agent, one call at a time: scanners
// on other machines are met by comparing.
func (w *Watch) changeAgent(ctx context.Context, agent string, f func(agentState) agentState) error {
	w.agents.Lock()
	defer w.agents.Unlock()
	return event.Change(ctx, w.Bucket, driftKey(agent), func(all agentState) (agentState, error) { return f(all), nil })
}
