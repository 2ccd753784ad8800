package quality

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"leadbus/internal/call"
)

// labelled is a composed call with what a person would report.
type labelled struct {
	name, language string
	call           call.Call
	ctx            Context
	want           []string
	eligible       bool
}

// readCalls reads testdata/calls; its README describes the form.
func readCalls(t *testing.T) []labelled {
	t.Helper()
	files, err := filepath.Glob("testdata/calls/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no labelled calls: %v", err)
	}
	var out []labelled
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var set struct {
			Language  string
			Languages []string
			Numbers   []string
			CallerID  string `yaml:"caller_id"`
			Greetings map[string]string
			Calls     []struct {
				Name      string
				Want      []string
				Eligible  *bool
				Test      bool
				Lead      *bool
				Flags     []string
				Direction string
				CallerID  string `yaml:"caller_id"`
				Language  string
				Languages []string
				Status    string
				Error     string
				Collected map[string]string
				Closings  []string
				Talk      string
			}
		}
		if err := yaml.Load(raw, &set, yaml.WithKnownFields()); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, c := range set.Calls {
			l := labelled{
				name: c.Name, language: set.Language, want: c.Want, eligible: c.Eligible == nil || *c.Eligible,
				call: call.Call{
					ID: c.Name, Direction: or(c.Direction, "inbound"), CallerID: or(c.CallerID, set.CallerID),
					Language: or(c.Language, set.Language), Status: or(c.Status, "done"), Error: c.Error, Collected: c.Collected,
				},
				ctx: Context{Test: c.Test, Flags: c.Flags, Languages: set.Languages, Closings: c.Closings, Numbers: set.Numbers, Recorded: true},
			}
			if l.call.CallerID == "none" {
				l.call.CallerID = ""
			}
			if c.Languages != nil {
				l.ctx.Languages = c.Languages
			}
			for line := range strings.Lines(c.Talk) {
				if err := hear(&l.call, strings.TrimSpace(line), set.Greetings); err != nil {
					t.Fatalf("%s: %s: %q: %v", file, c.Name, line, err)
				}
			}
			l.ctx.Lead = l.call.Dispatched()
			if c.Lead != nil {
				l.ctx.Lead = *c.Lead
			}
			out = append(out, l)
		}
	}
	return out
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// hear adds a line of talk to the call.
func hear(c *call.Call, line string, greetings map[string]string) error {
	at, rest, _ := strings.Cut(line, " ")
	what, rest, _ := strings.Cut(rest, " ")
	second, err := strconv.Atoi(at)
	if err != nil {
		return err
	}
	who, cut := strings.CutSuffix(what, "~")
	switch who {
	case "greeting":
		if greetings[rest] == "" {
			return fmt.Errorf("no such greeting")
		}
		c.Turns = append(c.Turns, call.Turn{Who: call.Agent, Text: greetings[rest], Second: second})
	case call.Agent, call.Caller:
		c.Turns = append(c.Turns, call.Turn{Who: who, Text: rest, Second: second, Interrupted: cut})
	case "dispatch":
		outcome, rest, _ := strings.Cut(rest, " ")
		latency, fields, _ := strings.Cut(rest, " ")
		use := call.ToolUse{Name: call.Tool, RequestID: fmt.Sprint("call_", len(c.Tools)), Second: second, Turn: len(c.Turns)}
		outcome, use.ErrorType, use.Failed = strings.Cut(outcome, ":")
		switch outcome {
		case "ok", "failed":
			use.Ran, use.Answered = true, true
		case "unanswered":
			use.Ran = true
		case "unrun":
		default:
			return fmt.Errorf("no such outcome")
		}
		if use.Latency, err = strconv.ParseFloat(latency, 64); err != nil {
			return err
		}
		var params map[string]any
		if err := yaml.Load([]byte(fields), &params); err != nil {
			return err
		}
		use.Params, err = json.Marshal(params)
		c.Tools = append(c.Tools, use)
		return err
	case "end":
		c.Seconds, c.Ended = second, rest
	default:
		return fmt.Errorf("no such line")
	}
	return nil
}

// tally counts how findings meet labels.
type tally struct{ both, found, missed int }

func (t *tally) add(found, wanted bool) {
	switch {
	case found && wanted:
		t.both++
	case found:
		t.found++
	case wanted:
		t.missed++
	}
}

func (t tally) precision() float64 { return share(t.both, t.both+t.found) }
func (t tally) recall() float64    { return share(t.both, t.both+t.missed) }

func share(part, all int) float64 {
	if all == 0 {
		return 100
	}
	return 100 * float64(part) / float64(all)
}

func TestQuality(t *testing.T) {
	calls := readCalls(t)
	perLanguage := map[string]int{}
	tallies := map[string]*tally{"eligible": {}}
	for _, d := range detectors {
		tallies[d.name] = &tally{}
	}
	three := map[string]map[string]*tally{call.MissedDispatch: {}, call.CloseBeforeDispatch: {}, call.PromiseWithoutDispatch: {}}
	for _, l := range calls {
		perLanguage[l.language]++
		found := map[string]call.Finding{}
		for _, f := range Scan(l.call, l.ctx) {
			found[f.Detector] = f
		}
		for _, name := range l.want {
			if tallies[name] == nil {
				t.Fatalf("%s: no detector %q", l.name, name)
			}
		}
		for _, d := range detectors {
			f, got := found[d.name]
			wanted := slices.Contains(l.want, d.name)
			if got != wanted {
				t.Logf("%s: %s: %s: found %t, labelled %t %+v", l.language, l.name, d.name, got, wanted, f)
			}
			tallies[d.name].add(got, wanted)
			if by := three[d.name]; by != nil {
				if by[l.language] == nil {
					by[l.language] = &tally{}
				}
				by[l.language].add(got, wanted)
			}
		}
		eligible, why := Eligible(l.call, l.ctx)
		if eligible != l.eligible {
			t.Logf("%s: %s: eligible %t (%s), labelled %t", l.language, l.name, eligible, why, l.eligible)
		}
		tallies["eligible"].add(eligible, l.eligible)
	}

	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name string, c tally) {
		_, _ = fmt.Fprintf(w, "%s\t%.0f %%\t%.0f %%\t%d\t%d\t%d\n", name, c.precision(), c.recall(), c.both, c.found, c.missed)
	}
	_, _ = fmt.Fprintf(w, "%d calls\tprecision\trecall\tright\tfalse\tmissed\n", len(calls))
	for _, d := range detectors {
		row(d.name, *tallies[d.name])
		for _, language := range slices.Sorted(maps.Keys(three[d.name])) {
			row("  "+language, *three[d.name][language])
		}
	}
	row("eligible", *tallies["eligible"])
	_ = w.Flush()
	t.Log("\n" + b.String())

	if len(calls) < 160 {
		t.Errorf("%d labelled calls, want 160", len(calls))
	}
	for _, language := range []string{"fr", "de", "it", "en", "id"} {
		if perLanguage[language] < 30 {
			t.Errorf("%d labelled calls in %s, want 30", perLanguage[language], language)
		}
	}
	for name, c := range tallies {
		precision, recall := 90.0, 90.0
		switch name {
		case call.MissedDispatch:
			recall = 100
		case call.CloseBeforeDispatch, call.PromiseWithoutDispatch:
			precision, recall = 95, 95
		}
		if c.both == 0 {
			t.Errorf("%s: no labelled call", name)
		}
		if c.precision() < precision || c.recall() < recall {
			t.Errorf("%s: precision %.1f %%, recall %.1f %%, want %.0f and %.0f", name, c.precision(), c.recall(), precision, recall)
		}
	}
}

// What nobody could resolve is shown where the caller said it.
func TestAPlaceNobodyKnowsIsQuoted(t *testing.T) {
	calls := readCalls(t)
	l := calls[slices.IndexFunc(calls, func(l labelled) bool { return l.name == "place nobody could resolve" })]
	want := []call.Finding{{
		Detector: call.PlaceUnknown, Severity: Review, Sentence: "Ben à côté de chez ma sœur, aux Prés.", Second: 20, Detail: "Les Prés",
	}}
	if d := cmp.Diff(want, Scan(l.call, l.ctx)); d != "" {
		t.Error(d)
	}
}
