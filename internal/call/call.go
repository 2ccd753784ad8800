// Package call holds the nouns of a finished phone call between a customer and
// the voice agent, as any voice vendor could report it. It imports nothing of
// ours.
package call

import (
	"encoding/json"
	"time"
)

// Tool is the agent's one tool.
const Tool = "dispatch_lead"

// Who spoke a turn.
const (
	Agent  = "agent"
	Caller = "caller"
)

// Call is one conversation as it was when its analysis was complete. Fields
// that the vendor left out are zero; nothing is invented.
type Call struct {
	ID        string    `json:"id"`   // the vendor's conversation id
	Site      string    `json:"site"` // domain, from the agent id
	AgentID   string    `json:"agent_id"`
	Version   string    `json:"version,omitempty"` // of the agent, when the vendor tells
	Branch    string    `json:"branch,omitempty"`
	StartedAt time.Time `json:"started_at"`
	Seconds   int       `json:"seconds"` // duration

	Direction string `json:"direction,omitempty"` // inbound, outbound; empty when it was no phone call
	CallSID   string `json:"call_sid,omitempty"`
	CallerID  string `json:"caller_id,omitempty"`
	Called    string `json:"called,omitempty"` // the number dialled
	Source    string `json:"source,omitempty"` // twilio, sip_trunk, widget, …

	Status   string  `json:"status,omitempty"`   // done, failed
	Ended    string  `json:"ended,omitempty"`    // termination reason, free text
	Error    string  `json:"error,omitempty"`    // of the vendor's platform
	Language string  `json:"language,omitempty"` // main language, two letters
	Cost     float64 `json:"cost,omitempty"`     // US dollars

	Turns []Turn    `json:"turns,omitempty"` // what was said, in order
	Tools []ToolUse `json:"tools,omitempty"` // every tool request in order, nested ones included

	Summary    string               `json:"summary,omitempty"`
	Successful string               `json:"successful,omitempty"` // success, failure, unknown
	Criteria   map[string]Criterion `json:"criteria,omitempty"`
	// Collected are the data-collection results as text; a value the agent did
	// not find is absent.
	Collected map[string]string `json:"collected,omitempty"`
}

// Turn is something said aloud.
type Turn struct {
	Who         string `json:"who"`
	Text        string `json:"text"`   // what was heard
	Second      int    `json:"second"` // since the call began
	Interrupted bool   `json:"interrupted,omitempty"`
}

// ToolUse is one request of a tool and, joined by the request id, its result.
type ToolUse struct {
	Name      string          `json:"name"`
	RequestID string          `json:"request_id"`
	Second    int             `json:"second"`
	Turn      int             `json:"turn"` // how many turns had been said before it
	Params    json.RawMessage `json:"params,omitempty"`
	Body      string          `json:"body,omitempty"` // what was sent to us, when the vendor tells
	Ran       bool            `json:"ran"`            // false: requested and never run
	Answered  bool            `json:"answered"`       // a result came
	Failed    bool            `json:"failed,omitempty"`
	ErrorType string          `json:"error_type,omitempty"`
	Latency   float64         `json:"latency,omitempty"` // seconds
	Result    string          `json:"result,omitempty"`
}

// Criterion is the vendor's own evaluation of one criterion.
type Criterion struct {
	Result    string `json:"result"` // success, failure, unknown
	Rationale string `json:"rationale,omitempty"`
}

// Dispatched reports whether the call's tool ran and succeeded at least once.
func (c Call) Dispatched() bool {
	for _, t := range c.Tools {
		if t.Name == Tool && t.Ran && t.Answered && !t.Failed {
			return true
		}
	}
	return false
}

// Finding is something that a call shows to be wrong, or not to be as it should.
type Finding struct {
	Detector string `json:"detector"`           // such as missed_dispatch
	Severity string `json:"severity"`           // rescue, page, review, digest, count
	Sentence string `json:"sentence,omitempty"` // what was said
	Second   int    `json:"second"`             // since the call began
	Detail   string `json:"detail,omitempty"`
}

// Scan is what the scanner made of a call.
type Scan struct {
	// Eligible calls ought to have become a lead; Why says why one is not.
	Eligible   bool      `json:"eligible"`
	Why        string    `json:"why,omitempty"`
	Dispatched bool      `json:"dispatched"`
	Recovered  bool      `json:"recovered"` // the lead was rebuilt from the call
	Findings   []Finding `json:"findings,omitempty"`
}

// Finding is what a detector found; ok is false when it found nothing.
func (s Scan) Finding(detector string) (_ Finding, ok bool) {
	for _, f := range s.Findings {
		if f.Detector == detector {
			return f, true
		}
	}
	return Finding{}, false
}
