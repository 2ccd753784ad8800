package drift

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var start = time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)

// calls are observations, an hour apart: x is bad, anything else good.
func calls(from int, pattern string) []Observation {
	var out []Observation
	for i, r := range pattern {
		out = append(out, observation(from+i, r == 'x'))
	}
	return out
}

func observation(i int, bad bool) Observation {
	return Observation{ID: fmt.Sprint("call-", i), At: start.Add(time.Duration(i) * time.Hour), Bad: bad}
}

func reduce(s State, observed []Observation) State {
	for _, o := range observed {
		s = s.Observe(o)
	}
	return s
}

// good is a state after n good calls.
func good(n int) State {
	var s State
	for i := range n {
		s = s.Observe(observation(i, false))
	}
	return s
}

// oneInSeven is a state in which one call in seven is bad, and none of late.
func oneInSeven() State { return reduce(State{}, calls(0, strings.Repeat("x......", 10))) }

// The average number of calls to an alarm, as a table of simulations has them.
func TestAverageRunLength(t *testing.T) {
	for _, row := range []struct {
		p0, h                     float64
		quiet, shifted, most, all float64
	}{
		{0.05, page, 1121, 19, 6, 3},
		{0.10, amber, 234, 17, 6, 3},
		{0.10, page, 1263, 27, 9, 5},
		{0.15, page, 1370, 32, 12, 6},
		{0.20, page, 1400, 38, 15, 7},
		{0.30, page, 1560, 45, 26, 9},
	} {
		random := rand.New(rand.NewPCG(1, 2))
		w, worse := weights(row.p0)
		for _, c := range []struct{ share, want float64 }{{row.p0, row.quiet}, {row.p0 + shift, row.shifted}, {0.6, row.most}, {1, row.all}} {
			const times = 4000
			total := 0
			for range times {
				for sum := 0.0; sum < row.h; total++ {
					if random.Float64() < c.share {
						sum += worse
					} else {
						sum = max(0, sum+w)
					}
				}
			}
			// The table is rounded to whole calls.
			if got := float64(total) / times; math.Abs(got-c.want) > max(0.1*c.want, 0.5) {
				t.Errorf("p0 %.2f, h %.1f, share %.2f: %.1f calls to an alarm, want %.0f", row.p0, row.h, c.share, got, c.want)
			}
		}
	}
}

// The run rules, at the shares for which their false alarms are known.
func TestRunLengthOfRuns(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct {
		share, want float64
		run         int
	}{{0.10, 1110, 3}, {0.20, 780, 4}} {
		const times = 3000
		total := 0
		for range times {
			for run := 0; run < c.run; total++ {
				if run++; random.Float64() >= c.share {
					run = 0
				}
			}
		}
		if got := float64(total) / times; math.Abs(got-c.want) > 0.1*c.want {
			t.Errorf("%d in a row at %.2f: every %.0f calls, want %.0f", c.run, c.share, got, c.want)
		}
	}
}

// An agent that misses one call in twenty begins to miss six in ten.
func TestSoonPaged(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	var took []int
	for range 300 {
		var s State
		i := 0
		for ; i < window; i++ {
			if s = s.Observe(observation(i, random.Float64() < 0.05)); s.Alarm != nil {
				s = s.Acknowledge(s.Alarm.ID)
			}
		}
		for n := 1; ; n++ {
			if s = s.Observe(observation(i, random.Float64() < 0.60)); s.Level() == Page {
				took = append(took, n)
				break
			}
			i++
		}
	}
	slices.Sort(took)
	if median := took[len(took)/2]; median > 8 {
		t.Errorf("paged after %d calls at the median, want 8 at most", median)
	}
}

func TestLevels(t *testing.T) {
	for name, c := range map[string]struct {
		state   State
		pattern string
		want    Level
		rule    string
	}{
		"nothing yet":                        {State{}, "", Calm, ""},
		"one bad call":                       {good(40), "x", Calm, ""},
		"two in a row where few are bad":     {good(200), "xx", Amber, ""},
		"three in a row":                     {good(100), "xxx", Page, RuleRun},
		"three in a row of a new agent":      {State{}, "xxx", Page, RuleRun},
		"three of four":                      {good(60), "xx.x", Page, RuleSum},
		"four of six":                        {good(60), "xx.x.x", Page, RuleSum},
		"three in a row where many are bad":  {oneInSeven(), "xxx", Calm, ""},
		"four in a row where many are bad":   {oneInSeven(), "xxxx", Page, RuleRun},
		"amber fades":                        {good(200), "xx.....", Calm, ""},
		"a page does not fade":               {good(200), "xxx................................", Page, RuleRun},
		"head start after a change":          {good(200).Restart("v2", start), "x", Amber, ""},
		"head start: two bad calls of three": {good(200).Restart("v2", start), "x.x", Page, RuleSum},
	} {
		t.Run(name, func(t *testing.T) {
			s := reduce(c.state, calls(1000, c.pattern))
			if s.Level() != c.want {
				t.Errorf("level %q, want %q: sum %.2f, run %d", s.Level(), c.want, s.Sum, s.Run)
			}
			if s.Alarm != nil && s.Alarm.Rule != c.rule {
				t.Errorf("alarm by %s, want %s", s.Alarm.Rule, c.rule)
			}
		})
	}
}

func TestAcknowledge(t *testing.T) {
	s := reduce(good(100), calls(100, "xxx"))
	alarm := s.Alarm.ID
	if again := s.Acknowledge("another"); again.Level() != Page {
		t.Error("another alarm's acknowledgement ended this one")
	}
	s = s.Acknowledge(alarm)
	if s.Level() != Calm || s.Sum != 0 || s.Run != 0 {
		t.Errorf("after acknowledgement: %q, sum %.2f, run %d", s.Level(), s.Sum, s.Run)
	}
	s = reduce(s, calls(103, "xxxx"))
	if s.Level() != Page {
		t.Fatal("not paged again")
	}
	if again := s.Acknowledge(alarm); again.Level() != Page {
		t.Error("a repeated acknowledgement ended a later alarm")
	}
}

func TestRestart(t *testing.T) {
	at := start.Add(500 * time.Hour)
	s := good(50).Restart("v2", at)
	if s.Sum != page/2 {
		t.Errorf("sum %.2f after a change, want half of %.1f", s.Sum, page)
	}
	s = reduce(s, calls(600, "..."))
	for name, again := range map[string]State{
		"a repeat":        s.Restart("v2", at),
		"a later repeat":  s.Restart("v2", at.Add(time.Hour)),
		"an older change": s.Restart("v1", at.Add(-time.Hour)),
	} {
		if diff := cmp.Diff(s, again); diff != "" {
			t.Errorf("%s changed the state:\n%s", name, diff)
		}
	}
	paged := reduce(good(100), calls(100, "xxx")).Restart("v3", at)
	if paged.Level() != Page {
		t.Error("a change ended an alarm nobody acknowledged")
	}
	if s := paged.Acknowledge(paged.Alarm.ID); s.Sum != page/2 {
		t.Error("acknowledging an alarm of before took the head start away")
	}
}

// Replayed, repeated and written down in between, the state is the same.
func TestReplay(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	var observed []Observation
	for i := range 500 {
		observed = append(observed, observation(i, random.Float64() < 0.15))
	}
	for i := range observed[1:] { // neighbours arrive in either order
		if random.IntN(3) == 0 {
			observed[i], observed[i+1] = observed[i+1], observed[i]
		}
	}
	var once, repeated State
	for i, o := range observed {
		once = once.Observe(o)
		repeated = repeated.Observe(o)
		for range 3 {
			repeated = repeated.Observe(observed[random.IntN(i+1)]) // also those long forgotten
		}
		raw, err := json.Marshal(repeated)
		if err != nil {
			t.Fatal(err)
		}
		repeated = State{}
		if err := json.Unmarshal(raw, &repeated); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(once, repeated); diff != "" {
		t.Errorf("repeats changed the state:\n%s", diff)
	}
	if len(once.Recent) != window {
		t.Errorf("%d observations kept, want %d", len(once.Recent), window)
	}
}

func TestWilson(t *testing.T) {
	for _, c := range []struct {
		bad, n    int
		low, high float64
	}{{0, 0, 0, 1}, {0, 7, 0, 0.354}, {1, 7, 0.026, 0.513}, {7, 7, 0.646, 1}, {10, 100, 0.055, 0.174}} {
		if low, high := Wilson(c.bad, c.n); math.Abs(low-c.low) > 0.001 || math.Abs(high-c.high) > 0.001 {
			t.Errorf("%d of %d: %.3f to %.3f, want %.3f to %.3f", c.bad, c.n, low, high, c.low, c.high)
		}
	}
}
