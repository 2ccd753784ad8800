package matcher

import (
	"context"
	"errors"
	"slices"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// Past reads the events of a kind that the market's stream took from a time on.
type Past interface {
	Since(ctx context.Context, filter subjects.Lead, from time.Time) ([]event.Event, error)
}

// callsAgain is how long a call that nobody heard waits for the caller to get
// through, and for what the voice vendor may still report on it.
const callsAgain = 3 * time.Minute

// history is how far before a call the stream is read for a conversation in it.
const history = time.Hour

var errCallsAgain = errors.New("the caller may get through in a moment")

// unheard looks after a lead of a call that nobody heard, before its first decision:
// it repeats another one when there was a conversation in the call after all, or the
// caller got through since. Else the owner is asked, at once when the caller left a
// message.
func (m *Matcher) unheard(ctx context.Context, d event.Delivery, r story.Record, l lead.Lead) (merged bool, err error) {
	if !l.Unheard() || r.Decision != nil || m.Past == nil {
		return false, nil
	}
	first := r.ToolCalls[0]
	if wait := first.At.Add(callsAgain).Sub(m.Now()); wait > 0 && l.Request.IssueSummary == "" {
		return false, event.After(wait, errCallsAgain)
	}
	of := ""
	for _, kind := range []string{subjects.Received, subjects.CallEnded} {
		events, err := m.Past.Since(ctx, subjects.Lead{Market: d.Lead.Market, Site: d.Lead.Site, Event: kind}, first.Stored.Add(-history))
		if err != nil {
			return false, err
		}
		for _, e := range events {
			sid, caller, at := "", "", e.At
			switch b := e.Body.(type) {
			case *event.Received:
				if !b.Lead.Unheard() {
					sid, caller = b.Lead.Request.CallSID, b.Lead.Phone.CallerID
				}
			case *event.Ended:
				sid, caller, at = b.Call.CallSID, b.Call.CallerID, b.Call.StartedAt
			}
			same := sid != "" && sid == l.Request.CallSID
			again := caller != "" && caller == l.Phone.CallerID && !at.Before(first.At)
			if same || again {
				of = e.Lead.Lead
			}
		}
	}
	if of == "" || of == d.Lead.Lead {
		return false, nil
	}
	_, err = m.publish(ctx, d, r, subjects.Merged, event.Decided{Lead: l, Of: of, Reason: "the caller got through"})
	return true, err
}

// heard drops the flags of a call that nobody heard, when an agent spoke with the
// caller all the same.
func heard(calls []lead.Lead, flags []string) []string {
	if !slices.ContainsFunc(calls, func(l lead.Lead) bool { return !l.Unheard() }) {
		return flags
	}
	return slices.DeleteFunc(flags, func(f string) bool { return lead.Lead{Flags: []string{f}}.Unheard() })
}
