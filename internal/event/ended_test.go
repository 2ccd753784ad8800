package event

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"leadbus/internal/call"
)

// A report of any size becomes an event that the bus takes, with as much of it
// as fits, under one lead.
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
		ids[e.Lead.Lead] = true
	}
	if len(ids) != 1 {
		t.Errorf("one call has the leads %v", ids)
	}
}

// The same report is a repeat, whenever and by whomever it comes; one that tells
// more of the call is news.
func TestAFullerReportIsNoRepeat(t *testing.T) {
	now := time.Now()
	id := func(at time.Time, raw string, change func(*call.Call)) string {
		c := call.Call{ID: "conv_1", AgentID: "agent_1", Status: "done", StartedAt: now.Add(-time.Minute), Turns: []call.Turn{{Who: call.Agent, Text: "Bonjour"}}}
		if change != nil {
			change(&c)
		}
		e, err := NewEnded("ch", "a.ch", c, []byte(raw), at)
		if err != nil {
			t.Fatal(err)
		}
		return e.ID
	}
	first := id(now, "webhook", nil)
	if again := id(now.Add(time.Hour), "fetched", nil); again != first {
		t.Errorf("the same report has the ids %s and %s", first, again)
	}
	for name, more := range map[string]func(*call.Call){
		"a turn":            func(c *call.Call) { c.Turns = append(c.Turns, call.Turn{Who: call.Caller, Text: "Allô"}) },
		"the rest of one":   func(c *call.Call) { c.Turns[0].Text += ", ici le plombier" },
		"a tool":            func(c *call.Call) { c.Tools = []call.ToolUse{{Name: call.Tool}} },
		"what was gathered": func(c *call.Call) { c.Collected = map[string]string{"city": "Carouge"} },
		"the caller":        func(c *call.Call) { c.CallerID = "+41781240001" },
		"the phone call":    func(c *call.Call) { c.CallSID = "CA1" },
		"the summary":       func(c *call.Call) { c.Summary = "Une fuite." },
	} {
		if fuller := id(now, "webhook", more); fuller == first {
			t.Errorf("with %s the report has the same id", name)
		}
	}
}

// A call that has no start, or begins long after its report or years before, began
// when that came.
func TestAStartToComeIsIgnored(t *testing.T) {
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	before := now.Add(-time.Minute)
	for name, c := range map[string]struct{ start, want time.Time }{
		"none":              {time.Time{}, now},
		"next year":         {now.AddDate(1, 0, 0), now},
		"the year 10000":    {time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), now},
		"the year 2000":     {time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), now},
		"a month ago":       {now.AddDate(0, -1, 0), now.AddDate(0, -1, 0)},
		"a minute ago":      {before, before},
		"a clock's mistake": {now.Add(time.Minute), now.Add(time.Minute)},
	} {
		e, err := NewEnded("ch", "a.ch", call.Call{ID: "conv_1", StartedAt: c.start}, nil, now)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := e.Body.(*Ended).Call.StartedAt; !got.Equal(c.want) {
			t.Errorf("%s: the call began %s, want %s", name, got, c.want)
		}
	}
}
