package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
)

// agentRecord is how an agent was set up at the vendor, one hash for each part
// of it. The first look makes the record; an owner who acknowledges the alarm
// about a change accepts what was seen last.
type agentRecord struct {
	Known map[string]string `json:"known"`
	Seen  map[string]string `json:"seen,omitempty"` // what differs from it now
}

func agentKey(agent string) string { return "agent-" + lead.NewID(agent, "") }

// lookAtAgents compares the market's agents with the record of them: nobody but
// a person who knows of it changes an agent.
func (w *Watch) lookAtAgents(ctx context.Context) ([]alarm.Occurrence, error) {
	var occurrences []alarm.Occurrence
	var faults []error
	for _, domain := range slices.Sorted(maps.Keys(w.Catalog.Sites)) {
		st := w.Catalog.Sites[domain]
		if st.Market != w.Market {
			continue
		}
		now, err := w.agentNow(ctx, st.Agent.ID)
		if err != nil {
			faults = append(faults, fmt.Errorf("look at agent %s: %w", st.Agent.ID, err))
			continue
		}
		var changed []string
		err = event.Change(ctx, w.Bucket, agentKey(st.Agent.ID), func(r agentRecord) (agentRecord, error) {
			if r.Known == nil && len(now) > 0 {
				r.Known = now
			}
			if changed = differing(r.Known, now); len(now) == 0 {
				changed = []string{"the vendor does not have this agent"}
			}
			if r.Seen = now; maps.Equal(r.Known, now) {
				r.Seen = nil
			}
			return r, nil
		})
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if len(changed) > 0 {
			occurrences = append(occurrences, alarm.Occurrence{
				Site: domain, Cause: alarm.ConfigDrift, About: st.Agent.ID, ID: digestOf(now), At: w.Now(),
				Facts: []alarm.Fact{{Label: "agent", Value: st.Agent.ID}, {Label: "changed", Value: listed(changed)}},
			})
		}
	}
	return occurrences, errors.Join(faults...)
}

// agentNow are the hashes of an agent's parts; none when the vendor does not
// have it.
func (w *Watch) agentNow(ctx context.Context, id string) (map[string]string, error) {
	raw, err := w.Agent(ctx, id)
	if errors.Is(err, event.ErrNotFound) {
		return map[string]string{}, nil
	} else if err != nil {
		return nil, err
	}
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, errors.New("the answer is no agent")
	}
	parts := map[string]string{}
	for _, name := range []string{"name", "conversation_config", "platform_settings", "workflow"} { // the rest is the vendor's own
		hashParts(parts, name, all[name], 1)
	}
	return parts, nil
}

// hashParts hashes what stands four names deep, and what ends before; an agent
// has some two hundred of these.
func hashParts(parts map[string]string, path string, v any, depth int) {
	if m, ok := v.(map[string]any); ok && depth < 4 {
		for name, v := range m {
			hashParts(parts, path+"."+name, v, depth+1)
		}
		return
	}
	if v != nil {
		parts[path] = digestOf(v)
	}
}

func digestOf(v any) string {
	b, _ := json.Marshal(v) // it came from JSON
	h := fnv.New64a()
	_, _ = h.Write(b)
	return fmt.Sprintf("%016x", h.Sum64())
}

// differing are the parts that are not the same in both, sorted.
func differing(a, b map[string]string) []string {
	both := maps.Clone(a)
	maps.Copy(both, b)
	maps.DeleteFunc(both, func(part, _ string) bool { return a[part] == b[part] })
	return slices.Sorted(maps.Keys(both))
}

// listed names a few.
func listed(names []string) string {
	const most = 8
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// accept makes what was seen of an agent the record of it.
func (w *Watch) accept(ctx context.Context, agent string) error {
	return event.Change(ctx, w.Bucket, agentKey(agent), func(r agentRecord) (agentRecord, error) {
		if r.Seen != nil {
			r.Known, r.Seen = r.Seen, nil
		}
		return r, nil
	})
}
