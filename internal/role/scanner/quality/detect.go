package quality

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"leadbus/internal/call"
	"leadbus/internal/text"
)

// detectors in the order of their findings. The detector's name and severity
// are filled in by Scan.
var detectors = []struct {
	name     string
	severity string
	find     func(view) (call.Finding, bool)
}{
	{call.MissedDispatch, Rescue, missed},
	{call.PromiseWithoutDispatch, Page, promise},
	{call.CloseBeforeDispatch, Count, closed},
	{call.ToolError, Page, toolError},
	{call.ToolSlow, Page, toolSlow},
	{call.MissingFields, Review, missingFields},
	{call.Placeholder, Review, placeholders},
	{call.PhoneCheck, Review, flag(call.PhoneCheck, "callback_number")},
	{call.PlaceUnknown, Review, flag(call.PlaceUnknown, "city", "postal_code", "address_line")},
	{call.NoDisclosure, Digest, noDisclosure},
	{call.HangupPreGreeting, Count, hangup},
	{call.Short, Count, short},
	{call.DeadAir, Count, deadAir},
	{call.Loop, Count, loop},
	{call.WrongLanguage, Digest, wrongLanguage},
	{call.AbnormalEnd, Digest, abnormalEnd},
	{call.DoubleDispatch, Digest, doubleDispatch},
	{call.SlowFirstWord, Digest, slowFirstWord},
}

func missed(v view) (call.Finding, bool) {
	if !v.eligible || v.saved {
		return call.Finding{}, false
	}
	detail := "dispatch_lead was never requested"
	for _, t := range v.dispatch {
		if t.Ran {
			detail = trouble(t)
			break
		}
		detail = "dispatch_lead was requested and never run"
	}
	said := v.by(call.Caller) // not empty, as the call is eligible
	i := max(0, slices.IndexFunc(said, func(s sentence) bool { return strings.Count(s.normal, " ") > 2 }))
	return said[i].finding(detail), true
}

// closed looks for a farewell before the tool first ran. One that the caller
// answers with two more turns ended nothing, nor did one that a question
// follows.
func closed(v view) (call.Finding, bool) {
	limit := len(v.Turns)
	i := slices.IndexFunc(v.dispatch, func(t call.ToolUse) bool { return t.Ran })
	if i >= 0 {
		limit = v.dispatch[i].Turn
	} else if !v.eligible || v.saved {
		return call.Finding{}, false
	}
	if v.ctx.Test || v.Direction == "outbound" {
		return call.Finding{}, false
	}
	for i, s := range v.sentences {
		asks := slices.ContainsFunc(v.sentences[i:], func(o sentence) bool { return o.turn == s.turn && o.question })
		begun := v.callerTurns(0) > v.callerTurns(s.turn)
		if s.who == call.Agent && s.turn < limit && begun && !asks && v.callerTurns(s.turn) < 2 && v.farewell(s.normal) {
			return s.finding(""), true
		}
	}
	return call.Finding{}, false
}

func (v view) farewell(normal string) bool {
	for _, own := range v.ctx.Closings {
		if strings.Contains(" "+normal+" ", " "+text.Normal(own)+" ") {
			return true
		}
	}
	return slices.ContainsFunc(v.lists, func(l *language) bool {
		return l.Closings.in(l.NotClosings.re.ReplaceAllString(normal, "/"))
	})
}

// promise looks behind the greeting for a sentence that says the request is on
// its way. A salesman may be told so.
func promise(v view) (call.Finding, bool) {
	if kind := v.kind(); v.saved || v.ctx.Test || v.Direction == "outbound" || kind == call.Spam || kind == call.Pitch && !v.ctx.Service {
		return call.Finding{}, false
	}
	first := v.firstAgent()
	for _, s := range v.by(call.Agent) {
		if s.turn != first && !s.question && slices.ContainsFunc(v.lists, func(l *language) bool { return l.promised(s.normal) }) {
			return s.finding("no dispatch_lead succeeded"), true
		}
	}
	return call.Finding{}, false
}

func (l *language) promised(normal string) bool {
	for _, at := range l.Promises.re.FindAllStringIndex(normal, -1) {
		next := l.Unless.re.FindStringIndex(normal[at[1]:])
		if !l.Unless.in(normal[:at[1]]) && (next == nil || next[0] > 1) {
			return true
		}
	}
	return false
}

func toolError(v view) (call.Finding, bool) {
	return v.tool(func(t call.ToolUse) string {
		if t.Failed || t.Ran && !t.Answered && !v.ctx.Lead {
			return trouble(t)
		}
		return ""
	})
}

func toolSlow(v view) (call.Finding, bool) {
	return v.tool(func(t call.ToolUse) string {
		if t.Answered && !t.Failed && t.Latency > 4 {
			return fmt.Sprintf("%.1f s", t.Latency)
		}
		return ""
	})
}

// trouble says what became of a request that did not succeed.
func trouble(t call.ToolUse) string {
	if t.Failed {
		return strings.TrimSuffix("dispatch_lead failed: "+t.ErrorType, ": ")
	}
	return "dispatch_lead ran and never answered"
}

// tool finds the first dispatch that something can be said about.
func (v view) tool(say func(call.ToolUse) string) (call.Finding, bool) {
	for _, t := range v.dispatch {
		if detail := say(t); detail != "" {
			return v.at(t, detail), true
		}
	}
	return call.Finding{}, false
}

// sent lays the parameters of the dispatches that reached us over each other,
// as the lead's tool calls do. The last dispatch is where they stood at last.
func (v view) sent() (map[string]string, call.ToolUse) {
	all, last := map[string]string{}, call.ToolUse{}
	for _, t := range v.dispatch {
		if !t.Ran || !v.ctx.Lead && (t.Failed || !t.Answered) {
			continue
		}
		for k, value := range params(t) {
			last = t
			if value != "" || all[k] == "" {
				all[k] = value
			}
		}
	}
	return all, last
}

// params are the fields of a request as text; null and empty are the same.
func params(t call.ToolUse) map[string]string {
	var fields map[string]any
	if json.Unmarshal(t.Params, &fields) != nil && json.Unmarshal([]byte(t.Body), &fields) != nil {
		return nil
	}
	if inner, ok := fields["parameters"].(map[string]any); ok {
		fields = inner
	}
	out := map[string]string{}
	for k, value := range fields {
		switch value := value.(type) {
		case nil:
			out[k] = ""
		case float64: // a phone number, not 4.1781234567e+10
			out[k] = strconv.FormatFloat(value, 'f', -1, 64)
		default:
			out[k] = strings.TrimSpace(fmt.Sprint(value))
		}
	}
	return out
}

func missingFields(v view) (call.Finding, bool) {
	fields, last := v.sent()
	if len(fields) == 0 {
		return call.Finding{}, false // the vendor did not tell
	}
	var missing []string
	for _, f := range []struct{ name, value string }{
		{"service", fields["service_type"]},
		{"place", fields["city"] + fields["postal_code"] + fields["address_line"]},
		{"number", fields["callback_number"] + v.CallerID},
		{"name", fields["customer_name"]},
	} {
		if f.value == "" {
			missing = append(missing, f.name)
		}
	}
	return v.at(last, strings.Join(missing, ", ")), missing != nil
}

func placeholders(v view) (call.Finding, bool) {
	fields, last := v.sent()
	var found []string
	for _, name := range []string{"service_type", "issue_summary", "customer_name", "callback_number", "city", "postal_code", "address_line"} {
		if value := fields[name]; value != "" && (blank(value) || name == "callback_number" && v.own(value)) {
			found = append(found, name)
		}
	}
	return v.at(last, strings.Join(found, ", ")), found != nil
}

// own reports whether a number is the agent's, in national or international
// form.
func (v view) own(number string) bool {
	said := strings.TrimLeft(digits(number), "0")
	return len(said) > 6 && slices.ContainsFunc(v.ctx.Numbers, func(n string) bool { return strings.HasSuffix(digits(n), said) })
}

// flag reports a flag of the lead, where the caller last said what the fields
// hold; else at the last dispatch.
func flag(name string, fields ...string) func(view) (call.Finding, bool) {
	return func(v view) (call.Finding, bool) {
		if !slices.Contains(v.ctx.Flags, name) {
			return call.Finding{}, false
		}
		sent, last := v.sent()
		said := v.by(call.Caller)
		slices.Reverse(said)
		for _, field := range fields {
			for _, word := range strings.Fields(text.Normal(sent[field])) {
				i := slices.IndexFunc(said, func(s sentence) bool { return len(word) > 3 && strings.Contains(s.normal, word) })
				if i >= 0 {
					return said[i].finding(sent[field]), true
				}
			}
		}
		return v.at(last, ""), true
	}
}

// noDisclosure looks at what was heard of the first words. A caller who said
// nothing may not have waited for them.
func noDisclosure(v view) (call.Finding, bool) {
	first := v.firstAgent()
	if first < 0 || v.callerTurns(0) == 0 {
		return call.Finding{}, false
	}
	text := text.Normal(v.Turns[first].Text)
	lists := v.lists
	if code := tongue(text); code != "" { // "j'ai" and Italian "ai" are no AI
		lists = []*language{languages()[code]}
	}
	var missing []string
	if !slices.ContainsFunc(lists, func(l *language) bool { return l.AI.in(text) }) {
		missing = append(missing, "AI")
	}
	if v.ctx.Recorded && !slices.ContainsFunc(lists, func(l *language) bool { return l.Recording.in(text) }) {
		missing = append(missing, "recording")
	}
	t := v.Turns[first]
	return call.Finding{Sentence: t.Text, Second: t.Second, Detail: strings.Join(missing, ", ")}, missing != nil
}

func hangup(v view) (call.Finding, bool) {
	return v.end(""), v.seconds < 6 && v.callerTurns(0) == 0
}

func short(v view) (call.Finding, bool) {
	return v.end(fmt.Sprintf("%d s", v.seconds)), v.seconds < 20
}

// deadAir estimates from the length of a turn when it ended, as the vendor
// tells only when it began.
func deadAir(v view) (call.Finding, bool) {
	said := slices.DeleteFunc(slices.Clone(v.Turns), func(t call.Turn) bool { return text.Normal(t.Text) == "" })
	for i, t := range said {
		const perSecond, perDigit = 13, 4 // characters
		length := utf8.RuneCountInString(t.Text) + (perDigit-1)*len(digits(t.Text))
		next := v.seconds
		if i+1 < len(said) {
			next = said[i+1].Second
		}
		if gap := next - t.Second - (length+perSecond-1)/perSecond; gap > 10 {
			return call.Finding{Sentence: t.Text, Second: t.Second, Detail: fmt.Sprintf("then silence for about %d s", gap)}, true
		}
	}
	return call.Finding{}, false
}

// loop leaves out sentences of three words, such as "Is that right?".
func loop(v view) (call.Finding, bool) {
	said := map[string]int{}
	for _, s := range v.by(call.Agent) {
		if said[s.normal]++; said[s.normal] == 3 && len(strings.Fields(s.text)) > 3 {
			return s.finding(""), true
		}
	}
	return call.Finding{}, false
}

// wrongLanguage looks for two turns of the agent, the greeting left out, in
// another language than the caller last spoke, if the site offers that.
func wrongLanguage(v view) (call.Finding, bool) {
	caller, wrong, first := "", 0, v.firstAgent()
	for i, t := range v.Turns {
		switch code := tongue(text.Normal(t.Text)); {
		case code == "" || i == first:
		case t.Who == call.Caller:
			caller = code
		case code != caller && slices.Contains(v.ctx.Languages, caller):
			if wrong++; wrong == 2 {
				return call.Finding{Sentence: t.Text, Second: t.Second, Detail: code + " to a caller who speaks " + caller}, true
			}
		}
	}
	return call.Finding{}, false
}

// abnormal are words of termination reasons.
var abnormal = regexp.MustCompile(`(?i)error|exception|fail|time[ -_]?out|timed out|silence|inactivity|max(imum)?[ _](call )?duration|quota|limit|\b10(06|11)\b`)

func abnormalEnd(v view) (call.Finding, bool) {
	detail := v.Error
	if detail == "" && (v.Status == "failed" || abnormal.MatchString(v.Ended)) {
		detail = strings.TrimSpace(v.Status + " " + v.Ended)
	}
	return v.end(detail), detail != ""
}

func doubleDispatch(v view) (call.Finding, bool) {
	seen := map[string]bool{}
	return v.tool(func(t call.ToolUse) string {
		fields := params(t)
		if !t.Ran || !t.Answered || t.Failed || len(fields) == 0 {
			return ""
		}
		for k, value := range fields {
			fields[k] = text.Normal(value)
		}
		key, _ := json.Marshal(fields) // keys are sorted; texts always encode
		if seen[string(key)] {
			return "the same as before"
		}
		seen[string(key)] = true
		return ""
	})
}

func slowFirstWord(v view) (call.Finding, bool) {
	first := v.firstAgent()
	if first < 0 || v.Turns[first].Second <= 3 {
		return call.Finding{}, false
	}
	t := v.Turns[first]
	return call.Finding{Sentence: t.Text, Second: t.Second, Detail: fmt.Sprintf("%d s", t.Second)}, true
}

// firstAgent is the agent's first turn, -1 without one.
func (v view) firstAgent() int {
	return slices.IndexFunc(v.Turns, func(t call.Turn) bool { return t.Who == call.Agent })
}

func (s sentence) finding(detail string) call.Finding {
	return call.Finding{Sentence: s.text, Second: s.second, Detail: detail}
}

// at is a finding about a request of the tool: what was said last before it.
func (v view) at(t call.ToolUse, detail string) call.Finding {
	f := call.Finding{Second: t.Second, Detail: detail}
	if t.Turn > 0 && t.Turn <= len(v.Turns) {
		f.Sentence = v.Turns[t.Turn-1].Text
	}
	return f
}

// end is a finding about the end of the call.
func (v view) end(detail string) call.Finding {
	f := call.Finding{Second: v.seconds, Detail: detail}
	if n := len(v.sentences); n > 0 {
		f.Sentence = v.sentences[n-1].text
	}
	return f
}
