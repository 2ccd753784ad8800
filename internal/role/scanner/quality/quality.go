// Package quality reads a finished call and says what went wrong in it. It is
// pure: the same call in the same context has the same findings.
//
// A call is compared sentence by sentence with the phrases of
// phrases.yaml. The rules are deliberately plain, so that a finding can show
// the sentence and the second it is about and a person can check it.
package quality

import (
	"slices"
	"strings"

	"leadbus/internal/call"
	"leadbus/internal/text"
)

// Severities of findings: who should hear of one, and when.
const (
	Rescue = "rescue" // a customer waits: make a lead of the call
	Page   = "page"   // at once; of tool_error and tool_slow when a second one follows soon
	Review = "review" // a person looks at the lead
	Digest = "digest" // in the daily report
	Count  = "count"  // matters only when it becomes frequent
)

// Context is what must be known beside the call.
type Context struct {
	Test      bool     // one of our own
	Lead      bool     // a lead with the call's id exists
	Service   bool     // the caller named a service of the site
	Place     bool     // the caller named a place
	Flags     []string // of the lead
	Languages []string // of the site
	Closings  []string // farewells that only this site uses, as plain words
	Numbers   []string // the agent's own, E.164
	Recorded  bool     // calls are recorded, and that must be said
}

// Scan applies every detector. A detector reports at most once a call.
func Scan(c call.Call, ctx Context) []call.Finding {
	v := newView(c, ctx)
	var out []call.Finding
	for _, d := range detectors {
		if f, found := d.find(v); found {
			f.Detector, f.Severity = d.name, d.severity
			out = append(out, f)
		}
	}
	return out
}

// view is a call made ready for the detectors.
type view struct {
	call.Call
	ctx       Context
	eligible  bool
	saved     bool // the lead is with us
	seconds   int
	lists     []*language
	sentences []sentence
	dispatch  []call.ToolUse // requests of the agent's tool
}

// sentence is one of a turn.
type sentence struct {
	who      string
	turn     int
	second   int
	text     string
	normal   string
	question bool
}

func newView(c call.Call, ctx Context) view {
	v := view{
		Call: c, ctx: ctx, seconds: c.Seconds, saved: ctx.Lead || c.Dispatched(),
		lists: spoken(append([]string{c.Language}, ctx.Languages...)),
	}
	for i, t := range c.Turns {
		v.seconds = max(v.seconds, t.Second)
		for _, said := range split(t.Text) {
			if normal := text.Normal(said); normal != "" {
				v.sentences = append(v.sentences, sentence{t.Who, i, t.Second, said, normal, strings.Contains(said, "?")})
			}
		}
	}
	for _, t := range c.Tools {
		if t.Name == call.Tool {
			v.dispatch = append(v.dispatch, t)
		}
	}
	v.eligible, _ = v.judge()
	return v
}

// split cuts a text behind its full stops, exclamation and question marks.
func split(text string) []string {
	var out []string
	start := 0
	for i, r := range text {
		if strings.ContainsRune(".!?…", r) {
			next := text[i+len(string(r)):]
			if next == "" || strings.HasPrefix(next, " ") {
				out = append(out, strings.TrimSpace(text[start:len(text)-len(next)]))
				start = len(text) - len(next)
			}
		}
	}
	if rest := strings.TrimSpace(text[start:]); rest != "" {
		out = append(out, rest)
	}
	return out
}

// by are the sentences of one side.
func (v view) by(who string) []sentence {
	return slices.DeleteFunc(slices.Clone(v.sentences), func(s sentence) bool { return s.who != who })
}

// callerTurns counts the turns from the given one on in which the caller said
// something.
func (v view) callerTurns(from int) int {
	last, n := -1, 0
	for _, s := range v.sentences {
		if s.who == call.Caller && s.turn >= from && s.turn != last {
			last, n = s.turn, n+1
		}
	}
	return n
}

// says finds the first of one side's sentences that a list of the call's
// languages matches.
func (v view) says(who string, list func(*language) phrases) (sentence, bool) {
	for _, s := range v.by(who) {
		if slices.ContainsFunc(v.lists, func(l *language) bool { return list(l).in(s.normal) }) {
			return s, true
		}
	}
	return sentence{}, false
}
