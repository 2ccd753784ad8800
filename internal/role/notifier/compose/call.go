package compose

import (
	"cmp"
	"fmt"
	"html"
	"maps"
	"slices"
	"strings"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/site"
)

// Fields of the agent's data collection that the mail shows in a place of their
// own.
const (
	sentiment = "sentiment"
	nextStep  = "next_step"
)

// Bounds of what was said, in one turn and in a mail: the bus takes 1 MiB with
// both parts, and a phone far less.
const (
	maxTurn   = 20_000
	maxSpoken = 250_000
	turnCost  = 500 // of a turn's markup
)

// States of a call that had no lead.
const (
	noRequest     = "none"
	missedRequest = "missed"
)

// scanned writes the mail on a finished call.
func (c *Composer) scanned(e event.Event, s event.Scanned) ([]lead.Message, error) {
	if e.Lead.Site == site.Unknown || s.Scan.Why == call.Test || s.Lead != nil && s.Lead.Test() {
		return nil, nil
	}
	decided := event.Decided{}
	if s.Lead != nil {
		decided.Lead = *s.Lead
	}
	decided.Lead.Ref = cmp.Or(decided.Lead.Ref, lead.Ref(e.Lead.Lead))
	w, err := c.writer(e.Lead, decided)
	if err != nil {
		return nil, err
	}
	w.aboutCall(e, s)
	return w.done()
}

// aboutCall tells the owner, and whom the site names, what was said in a call
// and what became of it. A fact that is not known is said to be missing.
func (w *writer) aboutCall(e event.Event, s event.Scanned) {
	purpose := lead.PurposeCall
	if s.Before > 0 { // another mail, on what the owner was not told yet
		purpose = fmt.Sprintf("%s-%d", lead.PurposeCall, s.Before+1)
	}
	m, t, ok := w.owner(purpose)
	if !ok {
		return
	}
	c, state := s.Call, callState(s)
	v := w.words(m.Language)
	v.Provider, v.Reason, v.Since = line(s.Provider, maxName), line(s.Status, maxName), w.moment(c.StartedAt)
	if s.Lead == nil {
		m.Subject = t.say("call_subject", v)
	}
	says, known := t.Calls[state]
	if !known {
		says = t.Calls["other"]
	}
	content := mail{
		Title: says.Title.say(v), Intro: says.Next.say(v), Footer: t.say("owner_footer", v),
	}
	add := func(one section, missing text) {
		if len(one.Facts)+len(one.Texts)+len(one.Turns) == 0 {
			one.Text = missing.say(v)
		}
		content.Sections = append(content.Sections, one)
	}
	add(section{Title: t.say("section_call", v), Facts: w.callFacts(t, v, s)}, t.of("not_reported"))
	add(section{Title: t.say("section_noticed", v), Texts: t.findings(s.Scan.Findings)}, t.of("nothing_noticed"))
	request := section{Title: t.say("section_request", v)}
	if s.Lead != nil {
		request.Facts = w.requestFacts(t, v)
		content.Notes = t.flagTexts(slices.DeleteFunc(slices.Clone(s.Lead.Flags), func(f string) bool { return f == lead.FlagRecovered }))
	}
	add(request, t.of("no_request"))
	add(section{Title: t.say("section_criteria", v), Facts: criteria(c)}, t.of("not_reported"))
	add(section{Title: t.say("section_collected", v), Facts: collected(c)}, t.of("not_reported"))
	add(section{Title: t.say("section_transcript", v), Turns: t.turns(v, c)}, t.of("not_reported"))
	add(section{Title: t.say("section_ids", v), Facts: facts(
		fact{"trace", "leadbus trace " + w.of.Lead.ID},
		fact{"conversation", line(c.ID, maxLine)},
		fact{"call", line(c.CallSID, maxLine)},
		fact{"agent", line(c.AgentID, maxLine)},
		fact{"version", line(c.Version, maxLine)},
		fact{"called", line(c.Called, maxName)},
	)}, t.of("not_reported"))

	switch state {
	case event.Asked, missedRequest, string(lead.Unserved), string(lead.NeedsReview):
		content.Call = w.call(t)
		if content.Call == nil && strings.HasPrefix(c.CallerID, "+") {
			number := line(c.CallerID, maxName)
			content.Call = &dial{t.say("call_button", words{Phone: number}), number}
		}
	}
	copied := content // only the owner answers
	if state == event.Asked {
		if url := w.link(link.Recover, e.Lead.Lead, e.At); url != "" {
			content.Links = []button{{Label: t.say("confirm_button", v), URL: url}, {Label: t.say("drop_button", v), URL: url + "?answer=" + event.Drop, Quiet: true}}
		}
	}
	w.addMail(m, content)
	for i, address := range w.site.Owner.Copies {
		m.Purpose, m.To = fmt.Sprintf("%s-copy-%d", purpose, i+1), address
		w.addMail(m, copied)
	}
}

// callState is a key of the texts on what became of a call.
func callState(s event.Scanned) string {
	switch status := lead.Status(s.Status); {
	case status == "" && s.Scan.Eligible:
		return missedRequest
	case status == "":
		return noRequest
	case status == lead.Notified || status == lead.Accepted:
		return string(lead.Matched)
	}
	return s.Status
}

func (w *writer) callFacts(t *texts, v words, s event.Scanned) []fact {
	c := s.Call
	missing := t.say("not_reported", v)
	status := cmp.Or(line(s.Status, maxName), t.say("no_request", v))
	if s.Status == "" && s.Scan.Why != "" {
		status += " (" + line(s.Scan.Why, maxLine) + ")"
	}
	lasted := missing
	if c.Seconds > 0 {
		lasted = clock(c.Seconds)
	}
	return facts(
		fact{t.say("label_summary", v), cmp.Or(line(c.Summary, maxDetails), missing)},
		fact{t.say("label_next_step", v), cmp.Or(line(c.Collected[nextStep], maxDetails), missing)},
		fact{t.say("label_sentiment", v), cmp.Or(line(c.Collected[sentiment], maxLine), t.say("not_assessed", v))},
		fact{t.say("label_judged", v), cmp.Or(line(c.Successful, maxName), missing)},
		fact{t.say("label_status", v), status},
		fact{t.say("label_provider", v), v.Provider},
		fact{t.say("label_began", v), cmp.Or(v.Since, missing)},
		fact{t.say("label_lasted", v), lasted},
		fact{t.say("label_ended", v), cmp.Or(line(cmp.Or(c.Ended, c.Error), maxLine), missing)},
		fact{t.say("label_caller", v), cmp.Or(line(c.CallerID, maxName), missing)},
		fact{t.say("label_language", v), cmp.Or(line(c.Language, maxName), missing)},
	)
}

func criteria(c call.Call) []fact {
	var out []fact
	for _, name := range listed(c.Criteria) {
		k := c.Criteria[name]
		value := cmp.Or(line(k.Result, maxName), "?")
		if why := line(k.Rationale, 2*maxLine); why != "" {
			value += ": " + why
		}
		out = append(out, fact{line(name, maxName), value})
	}
	return out
}

func collected(c call.Call) []fact {
	var out []fact
	for _, name := range listed(c.Collected) {
		if name != sentiment && name != nextStep {
			out = append(out, fact{line(name, maxName), line(c.Collected[name], 2*maxLine)})
		}
	}
	return out
}

// maxListed bounds lists of the vendor's; it allows 40 of anything.
const maxListed = 50

func listed[V any](of map[string]V) []string {
	names := slices.Sorted(maps.Keys(of))
	return names[:min(len(names), maxListed)]
}

// findings show each with its second and sentence.
func (t *texts) findings(all []call.Finding) []quote {
	var out []quote
	for _, f := range all {
		q := quote{Head: clock(f.Second) + " " + strings.TrimSuffix(t.flag(f.Detector), ".")}
		if s := line(f.Sentence, 2*maxLine); s != "" {
			q.Lines = append(q.Lines, "“"+s+"”")
		}
		if s := line(f.Detail, 2*maxLine); s != "" {
			q.Lines = append(q.Lines, s)
		}
		out = append(out, q)
	}
	return out
}

// turns are what was said, and between it what became of the agent's tool.
func (t *texts) turns(v words, c call.Call) []turn {
	var out []turn
	room := maxSpoken
	for i, tools := 0, c.Tools; i < len(c.Turns) || len(tools) > 0; {
		var one turn
		if len(tools) > 0 && (tools[0].Turn <= i || i == len(c.Turns)) {
			one = turn{At: clock(tools[0].Second), Who: line(tools[0].Name, maxName), Text: t.toolUse(v, tools[0]), Tool: true}
			tools = tools[1:]
		} else {
			one = t.said(v, c.Turns[i])
			i++
		}
		if room -= turnCost + len(html.EscapeString(one.Text)); room < 0 {
			return append(out, turn{At: one.At, Who: "…", Text: t.say("too_long", v)})
		}
		out = append(out, one)
	}
	return out
}

func (t *texts) said(v words, said call.Turn) turn {
	one := turn{At: clock(said.Second), Who: t.say("who_agent", v), Text: line(said.Text, maxTurn)}
	if said.Who == call.Caller {
		one.Who, one.Caller = t.say("who_caller", v), true
	}
	if said.Interrupted {
		one.Who += " (" + t.say("interrupted", v) + ")"
	}
	return one
}

func (t *texts) toolUse(v words, u call.ToolUse) string {
	switch {
	case u.Failed:
		return strings.TrimSuffix(t.say("tool_failed", v)+": "+line(u.ErrorType, maxLine), ": ")
	case !u.Ran:
		return t.say("tool_not_run", v)
	case !u.Answered:
		return t.say("tool_silent", v)
	}
	return t.say("tool_done", v)
}

// clock is a second of a call as people say it.
func clock(second int) string { return fmt.Sprintf("%d:%02d", second/60, second%60) }
