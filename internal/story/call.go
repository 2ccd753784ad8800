package story

import (
	"time"

	"leadbus/internal/call"
	"leadbus/internal/event"
)

// The rows of a call. A call is reported once and scanned once, so they are
// written once.
type (
	// Call is a finished call without what names the caller.
	Call struct {
		Lead           string    `db:"lead"`
		ConversationID string    `db:"conversation_id"`
		Site           string    `db:"site"`
		AgentID        string    `db:"agent_id"`
		Version        string    `db:"version"`
		StartedAt      time.Time `db:"started_at"`
		Seconds        int       `db:"seconds"`
		Direction      string    `db:"direction"`
		CallSID        string    `db:"call_sid"`
		Source         string    `db:"source"`
		Status         string    `db:"status"`
		Ended          string    `db:"ended"`
		Error          string    `db:"error"`
		Language       string    `db:"language"`
		Cost           float64   `db:"cost"`
		Successful     string    `db:"successful"`
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
		Lead        string `db:"lead"`
		N           int    `db:"n"`
		Who         string `db:"who"`
		Second      int    `db:"second"`
		Text        string `db:"text"`
		Interrupted bool   `db:"interrupted"`
	}

	// Tool is a use of a tool in a call.
	Tool struct {
		Lead      string  `db:"lead"`
		N         int     `db:"n"`
		Name      string  `db:"name"`
		RequestID string  `db:"request_id"`
		Second    int     `db:"second"`
		Ran       bool    `db:"ran"`
		Answered  bool    `db:"answered"`
		Failed    bool    `db:"failed"`
		ErrorType string  `db:"error_type"`
		Latency   float64 `db:"latency"`
		Params    string  `db:"params"`
		Result    string  `db:"result"`
	}

	// Scan is what the scanner made of a call.
	Scan struct {
		Lead       string    `db:"lead"`
		Site       string    `db:"site"`
		Eligible   bool      `db:"eligible"`
		Why        string    `db:"why"`
		Dispatched bool      `db:"dispatched"`
		Recovered  bool      `db:"recovered"`
		ScannedAt  time.Time `db:"scanned_at"`
	}

	// Finding is one finding of a scan.
	Finding struct {
		Lead     string `db:"lead"`
		N        int    `db:"n"`
		Detector string `db:"detector"`
		Severity string `db:"severity"`
		Sentence string `db:"sentence"`
		Second   int    `db:"second"`
		Detail   string `db:"detail"`
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
	case *event.Ended, *event.Scanned, *event.Raised, *event.Answered, *event.Digested:
		return true
	}
	return false
}

// Add adds the rows that a call's event makes.
func (c *Calls) Add(e event.Event) {
	id := e.Lead.Lead
	switch b := e.Body.(type) {
	case *event.Ended:
		k := b.Call
		c.Calls = append(c.Calls, &Call{
			Lead: id, ConversationID: k.ID, Site: e.Lead.Site, AgentID: k.AgentID, Version: k.Version, StartedAt: micros(k.StartedAt), Seconds: k.Seconds,
			Direction: k.Direction, CallSID: k.CallSID, Source: k.Source, Status: k.Status, Ended: k.Ended, Error: k.Error, Language: k.Language,
			Cost: k.Cost, Successful: k.Successful,
		})
		c.Persons = append(c.Persons, &CallPerson{Lead: id, CallerID: k.CallerID, Called: k.Called, Summary: k.Summary, Criteria: k.Criteria, Collected: k.Collected})
		for n, t := range k.Turns {
			c.Turns = append(c.Turns, &Turn{Lead: id, N: n, Who: t.Who, Second: t.Second, Text: t.Text, Interrupted: t.Interrupted})
		}
		for n, t := range k.Tools {
			c.Tools = append(c.Tools, &Tool{
				Lead: id, N: n, Name: t.Name, RequestID: t.RequestID, Second: t.Second, Ran: t.Ran, Answered: t.Answered, Failed: t.Failed,
				ErrorType: t.ErrorType, Latency: t.Latency, Params: string(t.Params), Result: t.Result,
			})
		}
	case *event.Scanned:
		s := b.Scan
		c.Scans = append(c.Scans, &Scan{Lead: id, Site: e.Lead.Site, Eligible: s.Eligible, Why: s.Why, Dispatched: s.Dispatched, Recovered: s.Recovered, ScannedAt: micros(e.At)})
		for n, f := range s.Findings {
			c.Findings = append(c.Findings, &Finding{Lead: id, N: n, Detector: f.Detector, Severity: f.Severity, Sentence: f.Sentence, Second: f.Second, Detail: f.Detail})
		}
	}
}
