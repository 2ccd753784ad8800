// Package call holds the nouns of a finished phone call between a customer and
// the voice agent, as any voice vendor could report it. It imports nothing of
// ours. The tags db name the columns in which Postgres keeps them.
package call

import (
	"encoding/json"
	"slices"
	"time"
)

// Tool is the agent's one tool of ours.
const Tool = "dispatch_lead"

// Transfer is the vendor's tool that puts the caller through to a person.
const Transfer = "transfer_to_number"

// Who spoke a turn.
const (
	Agent  = "agent"
	Caller = "caller"
)

// Call is one conversation as it was when its analysis was complete. Fields
// that the vendor left out are zero; nothing is invented.
type Call struct {
	ID        string    `json:"id" db:"conversation_id"` // the vendor's conversation id
	Site      string    `json:"site" db:"site"`          // domain, from the agent id
	AgentID   string    `json:"agent_id" db:"agent_id"`
	Version   string    `json:"version,omitempty" db:"version"` // of the agent, when the vendor tells
	Branch    string    `json:"branch,omitempty"`
	StartedAt time.Time `json:"started_at" db:"started_at"`
	Seconds   int       `json:"seconds" db:"seconds"` // duration

	Direction string `json:"direction,omitempty" db:"direction"` // inbound, outbound; empty when it was no phone call
	CallSID   string `json:"call_sid,omitempty" db:"call_sid"`
	CallerID  string `json:"caller_id,omitempty"`
	Called    string `json:"called,omitempty"`             // the number dialled
	Source    string `json:"source,omitempty" db:"source"` // twilio, sip_trunk, widget, …

	Status   string  `json:"status,omitempty" db:"status"`     // done, failed
	Ended    string  `json:"ended,omitempty" db:"ended"`       // termination reason, free text
	Error    string  `json:"error,omitempty" db:"error"`       // of the vendor's platform
	Language string  `json:"language,omitempty" db:"language"` // main language, two letters
	Cost     float64 `json:"cost,omitempty" db:"cost"`         // US dollars

	Turns []Turn    `json:"turns,omitempty"` // what was said, in order
	Tools []ToolUse `json:"tools,omitempty"` // every tool request in order, nested ones included

	Summary    string               `json:"summary,omitempty"`
	Successful string               `json:"successful,omitempty" db:"successful"` // success, failure, unknown
	Criteria   map[string]Criterion `json:"criteria,omitempty"`
	// Collected are the data-collection results as text; a value the agent did
	// not find is absent.
	Collected map[string]string `json:"collected,omitempty"`
	// Clicks are the advertising ids that the website gave the conversation, by
	// their usual names.
	Clicks map[string]string `json:"clicks,omitempty"`
}

// Turn is something said aloud.
type Turn struct {
	Who         string `json:"who" db:"who"`
	Text        string `json:"text" db:"text"`     // what was heard
	Second      int    `json:"second" db:"second"` // since the call began
	Interrupted bool   `json:"interrupted,omitempty" db:"interrupted"`
}

// ToolUse is one request of a tool and, joined by the request id, its result.
type ToolUse struct {
	Name      string          `json:"name" db:"name"`
	RequestID string          `json:"request_id" db:"request_id"`
	Second    int             `json:"second" db:"second"`
	Turn      int             `json:"turn"` // how many turns had been said before it
	Params    json.RawMessage `json:"params,omitempty"`
	Body      string          `json:"body,omitempty"`         // what was sent to us, when the vendor tells
	Ran       bool            `json:"ran" db:"ran"`           // false: requested and never run
	Answered  bool            `json:"answered" db:"answered"` // a result came
	Failed    bool            `json:"failed,omitempty" db:"failed"`
	ErrorType string          `json:"error_type,omitempty" db:"error_type"`
	Latency   float64         `json:"latency,omitempty" db:"latency"` // seconds
	Result    string          `json:"result,omitempty" db:"result"`
}

// Criterion is the vendor's own evaluation of one criterion.
type Criterion struct {
	Result    string `json:"result"` // success, failure, unknown
	Rationale string `json:"rationale,omitempty"`
}

// Dispatched reports whether the call's tool ran and succeeded at least once.
func (c Call) Dispatched() bool {
	return slices.ContainsFunc(c.Tools, func(t ToolUse) bool { return t.Name == Tool && t.Ran && t.Answered && !t.Failed })
}

// Weight is how much a report tells of its call. Of several reports on a call
// the heaviest stands, and of those that weigh the same the first.
func (c Call) Weight() int {
	n := len(c.Turns) + len(c.Tools) + len(c.Collected) + len(c.Criteria) + min(len(c.Summary), 1) + min(len(c.CallerID), 1) + min(len(c.CallSID), 1)
	for _, t := range c.Turns {
		n += len(t.Text)
	}
	for _, t := range c.Tools {
		if t.Answered {
			n++
		}
	}
	if c.Status == "done" {
		n++
	}
	return n
}

// Phone reports whether it was a phone call, and no chat on a website, which may
// have the numbers of an example.
func (c Call) Phone() bool {
	phone := slices.Contains([]string{"", "unknown", "twilio", "sip_trunk", "sip_trunking", "exotel", "genesys"}, c.Source)
	return c.Direction != "" || phone && (c.CallSID != "" || c.CallerID != "")
}

// Transferred reports whether the agent put the caller through to a person. The
// result may be missing, as the call goes on without the agent.
func (c Call) Transferred() bool {
	return slices.ContainsFunc(c.Tools, func(t ToolUse) bool { return t.Name == Transfer && t.Ran && !t.Failed })
}

// Report is what the voice vendor tells of its own accord. It may be neither of
// the two: then nothing of it is kept.
type Report struct {
	Type  string // the vendor's name for it
	Call  *Call  // that has ended
	Voice *Voice // that goes
}

// Voice is an agent's voice that the vendor takes away.
type Voice struct {
	ID   string    `json:"id"`
	Name string    `json:"name,omitempty"`
	Goes time.Time `json:"goes,omitzero"` // when the vendor tells
}

// Finding is something that a call shows to be wrong, or not to be as it should.
type Finding struct {
	Detector string `json:"detector" db:"detector"`           // such as missed_dispatch
	Severity string `json:"severity" db:"severity"`           // rescue, page, review, digest, count
	Sentence string `json:"sentence,omitempty" db:"sentence"` // what was said
	Second   int    `json:"second" db:"second"`               // since the call began
	Detail   string `json:"detail,omitempty" db:"detail"`
}

// Why a call needs no lead.
const (
	Test  = "test" // it is our own
	Spam  = "spam"
	Pitch = "sales pitch"
)

// Scan is what the scanner made of a call.
type Scan struct {
	// Eligible calls ought to have become a lead; Why says why one is not.
	Eligible   bool      `json:"eligible" db:"eligible"`
	Why        string    `json:"why,omitempty" db:"why"`
	Dispatched bool      `json:"dispatched" db:"dispatched"`
	Recovered  bool      `json:"recovered" db:"recovered"` // the lead was rebuilt from the call
	Findings   []Finding `json:"findings,omitempty"`
}

// Finding is what a detector found; ok is false when it found nothing.
func (s Scan) Finding(detector string) (_ Finding, ok bool) {
	if i := slices.IndexFunc(s.Findings, func(f Finding) bool { return f.Detector == detector }); i >= 0 {
		return s.Findings[i], true
	}
	return Finding{}, false
}
