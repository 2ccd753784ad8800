package elevenlabs

import (
	"cmp"
	"strings"

	"leadbus/internal/call"
)

// transcript takes apart what was said and what the agent's tools did. A tool
// use normally stands in two turns without words, the request in one and the
// result in the next.
func transcript(list []object) ([]call.Turn, []call.ToolUse) {
	var turns []call.Turn
	var t tools
	for _, o := range list {
		second := o.seconds("time_in_call_secs")
		if who, text := speakers[o.text("role")], o.text("message"); who != "" && text != "" {
			turns = append(turns, call.Turn{Who: who, Text: text, Second: second, Interrupted: o.yes("interrupted")})
		}
		at := moment{second, len(turns)}
		for _, r := range o.objects("tool_calls") {
			t.request(r, at)
		}
		for _, r := range o.objects("tool_results") {
			t.result(r, at)
		}
	}
	return turns, t.list()
}

var speakers = map[string]string{"user": call.Caller, "agent": call.Agent}

type moment struct{ second, turn int }

// use is a tool use with what the vendor said of its having run.
type use struct {
	call.ToolUse
	requested bool // its request was seen
	denied    bool // the vendor said that it did not run
	confirmed bool // the vendor said that it ran
}

type tools []*use

func (t *tools) add(o object, at moment) *use {
	u := &use{ToolUse: call.ToolUse{Name: o.text("tool_name"), RequestID: o.text("request_id"), Second: at.second, Turn: at.turn}}
	*t = append(*t, u)
	return u
}

// find is the first use with the request's id that satisfies ok; without an
// id, with its name.
func (t *tools) find(o object, ok func(*use) bool) *use {
	id, name := o.text("request_id"), o.text("tool_name")
	for _, u := range *t {
		if u.RequestID == id && (name == "" || u.Name == "" || u.Name == name) && ok(u) {
			return u
		}
	}
	return nil
}

func (t *tools) request(o object, at moment) {
	// Ids are the language model's and may come again later in the call; an
	// unanswered one is only listed twice.
	u := t.find(o, func(u *use) bool { return !u.requested || !u.Answered && u.RequestID != "" })
	if u == nil {
		u = t.add(o, at)
	}
	u.requested = true
	u.Params = asJSON(asText(o["params_as_json"]))
	u.Body = asText(o.object("tool_details")["body"])
	u.ran(o)
}

// result joins a result to its request. The last result of a request counts;
// one without a request is a use of its own.
func (t *tools) result(o object, at moment) {
	nested := false
	for _, step := range o.object("result").objects("steps") {
		for _, r := range step.objects("requests") {
			t.request(r, at)
			nested = true
		}
		for _, r := range step.objects("results") {
			t.result(r, at)
			nested = true
		}
	}
	u := t.find(o, func(u *use) bool { return !u.Answered })
	if u == nil && o.text("request_id") != "" {
		u = t.find(o, func(*use) bool { return true })
	}
	if u == nil && nested {
		return // a workflow, which nobody requested
	}
	if u == nil {
		u = t.add(o, at)
	}
	u.Answered = true
	// The vendor's own tools say in their result what they did, which may stand in
	// the text, and an agent may know them by another name.
	own := o.object("result")
	if own == nil {
		own, _ = parse([]byte(o.text("result_value")))
	}
	kind := own.text("result_type")
	u.Failed = o.yes("is_error") || o["result"] != nil && own.text("status") == "error" || strings.HasSuffix(kind, "_error")
	if strings.HasPrefix(kind, call.Transfer) {
		u.Name = call.Transfer
	}
	u.ErrorType = o.text("error_type")
	u.Latency = o.number("tool_latency_secs", longest)
	u.Result = cmp.Or(asText(o["result_value"]), asText(o["raw_error_message"]), asText(o["result"]))
	u.denied = u.denied || o.yes("is_blocked")
	u.ran(o)
}

func (u *use) ran(o object) {
	switch o.text("tool_has_been_called") {
	case "true":
		u.confirmed = true
	case "false":
		u.denied = true
	}
}

func (t *tools) list() []call.ToolUse {
	var out []call.ToolUse
	for _, u := range *t {
		u.Ran = !u.denied && (u.confirmed || u.Answered)
		out = append(out, u.ToolUse)
	}
	return out
}
