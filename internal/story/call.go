package story

import (
	"time"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/subjects"
)

// The rows of a call. A report that tells more of it, and the scan of that,
// replace them.
type (
	// Call is a finished call without what names the caller.
	Call struct {
		Lead string `db:"lead"`
		call.Call
	}

	// CallPerson is what was gathered in a call.
	CallPerson struct {
		Lead      string                    `db:"lead"`
		CallerID  string                    `db:"caller_id"`
		Called    string                    `db:"called"`
		Summary   string                    `db:"summary"`
		Criteria  map[string]call.Criterion `db:"criteria"`
		Collected map[string]string         `db:"collected"`
	}

	// Turn is a sentence of a call.
	Turn struct {
		Lead string `db:"lead"`
		N    int    `db:"n"`
		call.Turn
	}

	// Tool is a use of a tool in a call.
	Tool struct {
		Lead string `db:"lead"`
		N    int    `db:"n"`
		call.ToolUse
		Params string `db:"params"` // as text, whatever it is
	}

	// Scan is what the scanner made of a call.
	Scan struct {
		Lead string `db:"lead"`
		Site string `db:"site"`
		call.Scan
		ScannedAt time.Time `db:"scanned_at"`
	}

	// Finding is one finding of a scan.
	Finding struct {
		Lead string `db:"lead"`
		N    int    `db:"n"`
		call.Finding
	}
)

// Calls are rows of calls, to be written together.
type Calls struct {
	Calls    []*Call
	Persons  []*CallPerson
	Turns    []*Turn
	Tools    []*Tool
	Scans    []*Scan
	Findings []*Finding
}

// NoLead tells the events that are about no lead: they make no row of one.
func NoLead(body any) bool {
	switch body.(type) {
	case *event.Ended, *event.Scanned, *event.Raised, *event.Answered, *event.Digested, *event.Verifying:
		return true
	}
	return false
}

// Add adds the rows of a call, which follow from all events of its lead: from
// its heaviest report, and from the scan of that.
func (c *Calls) Add(events []event.Event) {
	if e := Heaviest(events, subjects.CallEnded); e != nil {
		id, k := e.Lead.Lead, e.Body.(*event.Ended).Call
		k.Site, k.StartedAt = e.Lead.Site, micros(k.StartedAt)
		c.Calls = append(c.Calls, &Call{id, k})
		c.Persons = append(c.Persons, &CallPerson{Lead: id, CallerID: k.CallerID, Called: k.Called, Summary: k.Summary, Criteria: k.Criteria, Collected: k.Collected})
		for n, t := range k.Turns {
			c.Turns = append(c.Turns, &Turn{id, n, t})
		}
		for n, t := range k.Tools {
			c.Tools = append(c.Tools, &Tool{id, n, t, string(t.Params)})
		}
	}
	if e := Heaviest(events, subjects.CallScanned); e != nil {
		id, b := e.Lead.Lead, e.Body.(*event.Scanned)
		c.Scans = append(c.Scans, &Scan{id, e.Lead.Site, b.Scan, micros(e.At)})
		for n, f := range b.Scan.Findings {
			c.Findings = append(c.Findings, &Finding{id, n, f})
		}
	}
}

// Heaviest is, of the events of a kind in stream order, the first whose report
// tells most of its call; nil without one.
func Heaviest(events []event.Event, kind string) (found *event.Event) {
	most := -1
	for i, e := range events {
		if c := ReportOf(e); c != nil && e.Lead.Event == kind && c.Weight() > most {
			found, most = &events[i], c.Weight()
		}
	}
	return found
}

// ReportOf is the report on a call that an event carries; nil of any other.
func ReportOf(e event.Event) *call.Call {
	switch b := e.Body.(type) {
	case *event.Ended:
		if b.Voice == nil {
			return &b.Call
		}
	case *event.Scanned:
		return &b.Call
	}
	return nil
}
