package event

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"leadbus/internal/call"
)

// A report of any size becomes an event that the bus takes, with as much of it
// as fits, under one id.
func TestAReportFits(t *testing.T) {
	long := call.Call{ID: "conv_1", AgentID: "agent_1", Summary: strings.Repeat("é", 400_000)}
	for i := range 20_000 {
		long.Turns = append(long.Turns, call.Turn{Who: call.Caller, Second: i, Text: fmt.Sprintf("Sentence %d \"quoted\".", i)})
		long.Tools = append(long.Tools, call.ToolUse{Name: "lookup", RequestID: fmt.Sprint(i), Result: strings.Repeat("\x01", 50)})
	}
	short := call.Call{ID: "conv_1", Turns: []call.Turn{{Who: call.Agent, Text: "Bonjour"}}}
	noise := make([]byte, 0, 3<<20)
	for i := 0; len(noise) < 3<<20; i++ {
		noise = fmt.Appendf(noise, "%x", i*7919*i)
	}
	ids := map[string]bool{}
	for name, c := range map[string]struct {
		call call.Call
		raw  []byte
		keep bool // of the raw report
	}{
		"as most are":       {short, []byte(strings.Repeat(`{"a":1}`, 10_000)), true},
		"a report of noise": {short, noise, false},
		"a day long":        {long, noise, false},
	} {
		turns := len(c.call.Turns)
		e, err := NewEnded("ch", "a.ch", c.call, c.raw, time.Now())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		data, err := Encode(e)
		if err != nil || len(data) > 1<<20 {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
		got := e.Body.(*Ended)
		if (got.Raw != nil) != c.keep {
			t.Errorf("%s: %d bytes of the report are kept", name, len(got.Raw))
		}
		if turns == 1 && got.Call.Turns[0].Text != "Bonjour" {
			t.Errorf("%s: %+v", name, got.Call.Turns)
		}
		ids[e.ID] = true
	}
	if len(ids) != 1 {
		t.Errorf("one call has the ids %v", ids)
	}
}
