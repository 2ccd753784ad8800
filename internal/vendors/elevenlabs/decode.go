package elevenlabs

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"leadbus/internal/call"
	"leadbus/internal/understand/intake"
)

// Decode reads a webhook. One without a type is read by its shape, and one of a
// type that we do not know yields its ids. The error says that the body is no
// JSON object at all.
func Decode(body []byte) (Hook, error) {
	o, err := parse(body)
	if err != nil {
		return Hook{}, fmt.Errorf("elevenlabs webhook: %w", err)
	}
	data := o.object("data")
	if data == nil { // without the envelope
		data = o
	}
	name, _ := o["type"].(string)
	h := Hook{
		Type: cmp.Or(strings.ToLower(asText(name)), shape(data)), At: o.time("event_timestamp"),
		AgentID: data.text("agent_id"), ConversationID: data.text("conversation_id"),
	}
	switch h.Type {
	case PostCall:
		c := conversation(data)
		h.Call = &c
	case NeverConnected:
		// The call never became a conversation. It has Twilio's status callback, or
		// the fields of a SIP call.
		b := data.object("metadata").object("body")
		h.Call = &call.Call{
			ID: h.ConversationID, AgentID: h.AgentID, StartedAt: h.At, Direction: "outbound",
			Status: "failed", Error: data.text("failure_reason"), CallSID: cmp.Or(b.text("CallSid"), b.text("call_sid")),
			Called: cmp.Or(b.text("From"), b.text("from_number")), CallerID: cmp.Or(b.text("To"), b.text("to_number")),
		}
	case voiceGoes, voiceGone:
		maps.Copy(data, data.object("voice")) // the vendor does not document where they stand
		h.Voice = &call.Voice{ID: cmp.Or(data.text("voice_id"), data.text("id")), Name: cmp.Or(data.text("voice_name"), data.text("name"))}
		for key := range data { // nor the field with the day
			if t := data.time(key); t.After(h.Voice.Goes) && key != "event_timestamp" {
				h.Voice.Goes = t
			}
		}
		if h.Type == voiceGone && !h.At.IsZero() {
			h.Voice.Goes = h.At
		}
	}
	return h, nil
}

// shape is the type that a webhook's data looks like.
func shape(data object) string {
	for _, of := range []struct{ field, name string }{{"full_audio", audio}, {"failure_reason", NeverConnected}, {"transcript", PostCall}, {"metadata", PostCall}, {"voice_id", voiceGoes}} {
		if data[of.field] != nil {
			return of.name
		}
	}
	return ""
}

// Conversation reads a conversation of the API, which has the shape of a
// post-call webhook's data. Call.Site stays empty.
func Conversation(data []byte) (call.Call, error) {
	o, err := parse(data)
	if err != nil {
		return call.Call{}, fmt.Errorf("elevenlabs conversation: %w", err)
	}
	return conversation(o), nil
}

func conversation(o object) call.Call {
	meta, analysis, started := o.object("metadata"), o.object("analysis"), o.object("conversation_initiation_client_data")
	phone, variables := meta.object("phone_call"), started.object("dynamic_variables")
	c := call.Call{
		ID: o.text("conversation_id"), AgentID: o.text("agent_id"),
		Version: o.text("version_id"), Branch: o.text("branch_id"),
		StartedAt: meta.time("start_time_unix_secs"), Seconds: meta.seconds("call_duration_secs"),

		Direction: phone.text("direction"),
		CallSID:   cmp.Or(phone.text("call_sid"), variables.text("system__call_sid")),
		Source:    cmp.Or(meta.text("conversation_initiation_source"), started.object("source_info").text("source"), phone.text("type")),

		Status: strings.ToLower(o.text("status")), Ended: meta.text("termination_reason"), Error: platformError(meta),
		Language: language(meta.text("main_language")), Cost: meta.number("cost_fiat", dearest),

		Summary: analysis.text("transcript_summary"), Successful: analysis.text("call_successful"),
		Criteria:  results(analysis, "evaluation_criteria_results", "criteria_id", criterion),
		Collected: results(analysis, "data_collection_results", "data_collection_id", value),
	}
	c.CallerID, c.Called = phone.text("external_number"), phone.text("agent_number")
	if c.Direction == "outbound" {
		c.CallerID, c.Called = c.Called, c.CallerID
	}
	c.CallerID = cmp.Or(c.CallerID, variables.text("system__caller_id"))
	c.Called = cmp.Or(c.Called, variables.text("system__called_number"))
	if c.StartedAt.IsZero() {
		c.StartedAt = meta.time("accepted_time_unix_secs")
	}
	if said, err := json.Marshal(variables); err == nil && len(variables) > 0 {
		r, _, _ := intake.Decode(said) // what it refuses has no ids
		c.Clicks = r.Clicks
	}
	c.Turns, c.Tools = transcript(o.objects("transcript"))
	return c
}

// platformError is the vendor's {code, reason}.
func platformError(meta object) string {
	e := meta.object("error")
	if e == nil {
		return meta.text("error")
	}
	return strings.Trim(e.text("code")+": "+e.text("reason"), ": ")
}

// language is the two letters of a language tag.
func language(tag string) string {
	tag, _, _ = strings.Cut(strings.ToLower(strings.ReplaceAll(tag, "_", "-")), "-")
	if len(tag) != 2 {
		return ""
	}
	return tag
}

// results reads an analysis's results by id, from the map or else the list. What
// reads as nothing is left out.
func results[T comparable](analysis object, name, id string, read func(any) T) map[string]T {
	all := analysis.object(name)
	if len(all) == 0 {
		all = object{}
		for _, r := range analysis.objects(name + "_list") {
			all[r.text(id)] = map[string]any(r)
		}
		delete(all, "")
	}
	var none T
	found := map[string]T{}
	for key, v := range all {
		if result := read(v); result != none {
			found[strings.ReplaceAll(key, "\x00", "")] = result
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found
}

// criterion has no rationale without a result.
func criterion(v any) call.Criterion {
	r, _ := v.(map[string]any)
	if object(r).text("result") == "" {
		return call.Criterion{}
	}
	return call.Criterion{Result: object(r).text("result"), Rationale: object(r).text("rationale")}
}

// value is what was collected, which may stand bare.
func value(v any) string {
	if r, ok := v.(map[string]any); ok {
		v = r["value"]
	}
	return asText(v)
}
