package reconcile

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/subjects"
)

// A gap that stays open is logged once.
func TestAGapIsLoggedOnce(t *testing.T) {
	var out bytes.Buffer
	passes := NewPasses(zerolog.New(&out))
	gap := Gap{Kind: Stuck, Lead: "l1"}
	for _, c := range []struct {
		gaps  []Gap
		lines int
	}{{[]Gap{gap}, 1}, {[]Gap{gap, {Kind: Stuck, Lead: "l2"}}, 2}, {nil, 2}, {[]Gap{gap}, 3}} {
		passes.logGaps(c.gaps)
		if n := strings.Count(out.String(), "\n"); n != c.lines {
			t.Errorf("%d lines, want %d:\n%s", n, c.lines, out.String())
		}
	}
}

// Of several scans of a call the one of the fullest report counts, in whichever
// order they were stored.
func TestTheFullestScanCounts(t *testing.T) {
	scan := func(text string, recovered bool) event.Event {
		return event.Event{
			Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: subjects.CallScanned, Lead: "l1"}, Stored: time.Now(),
			Body: &event.Scanned{Call: call.Call{Turns: []call.Turn{{Text: text}}}, Scan: call.Scan{Eligible: true, Recovered: recovered}},
		}
	}
	cut, full := scan("Une", false), scan("Une fuite, rue Vautier.", true)
	for _, order := range [][]event.Event{{cut, full}, {full, cut}} {
		p := &pass{leads: map[string]*record{}}
		for _, e := range order {
			p.take(e)
		}
		if lost := p.leads["l1"].lost; !lost.IsZero() {
			t.Error("a lead that was rebuilt counts as lost")
		}
	}
}
