package quality

import (
	"encoding/json"
	"testing"

	"leadbus/internal/call"
)

// A phone number in a tool's parameters stays one, however JSON writes it: the
// agent's own number is recognised.
func TestWholeNumbersAreWrittenInFull(t *testing.T) {
	for _, written := range []string{`"+41 22 539 45 12"`, `41225394512`, `41225394512.0`, `4.1225394512e10`} {
		c := call.Call{Direction: "inbound", Tools: []call.ToolUse{{
			Name: call.Tool, Ran: true, Answered: true, Params: json.RawMessage(`{"callback_number":` + written + `}`),
		}}}
		found := false
		for _, f := range Scan(c, Context{Lead: true, Numbers: []string{"+41225394512"}}) {
			found = found || f.Detector == call.Placeholder
		}
		if !found {
			t.Errorf("%s is not the agent's own number", written)
		}
	}
}
