// Package scenario makes up phone calls: what the voice agent posts while one
// lasts, and the conversation that the vendor shows when it is over, in the
// vendor's own shape. Each scenario is a call that went right, or wrong in one
// way. It is pure: the same input makes the same call.
package scenario

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Names of the scenarios.
const (
	Normal      = "normal"
	Goodbye     = "goodbye-before-tool"   // the agent hangs up first; its tool never runs
	Promise     = "promise-without-tool"  // the agent says that it passed the request on, and did not
	ToolError   = "tool-error"            // the tool fails twice; nothing reaches us
	HangUp      = "hang-up"               // the caller leaves before giving a name
	WrongNumber = "wrong-number-dictated" // two digits short
	PlaceOdd    = "place-unknown"         // a place nobody knows
	Spam        = "spam"                  // somebody sells something
	Repeat      = "repeat-caller"         // calls again about the same; play it after another with the same caller
	WebhookLost = "webhook-lost"          // as promise-without-tool, and the vendor's webhook is lost too
)

// Names are the scenarios.
func Names() []string {
	return []string{Normal, Goodbye, Promise, ToolError, HangUp, WrongNumber, PlaceOdd, Spam, Repeat, WebhookLost}
}

// Mobile is the nth number of a caller in a country, ISO 3166 alpha-2: of the
// phone library's example ranges, and never one that ends in a code the sandbox
// fails on.
func Mobile(country string, n int) string {
	switch country {
	case "ID":
		return fmt.Sprintf("+628123454%04d", n%10000)
	case "FR":
		return fmt.Sprintf("+3361234%04d", n%10000)
	default:
		return fmt.Sprintf("+4178124%04d", n%10000)
	}
}

// Site is the site that is called.
type Site struct {
	Language string // fr, de, it, en or id; any other speaks en
	AgentID  string
	DID      string
	Brand    string
	Greeting string // empty: a usual one, with the brand
	Service  string // as a caller says it
	Place    string
}

// Call is one call to it.
type Call struct {
	ConversationID string
	Caller         string    // E.164
	Name           string    // of the caller; empty: Marta Salas
	Ended          time.Time // when it was over
}

// Play is a call to be played.
type Play struct {
	// Tools are the bodies of the tool calls that reach us, in order.
	Tools   []json.RawMessage
	Webhook bool // false: the vendor's webhook is lost

	name string
	site Site
	call Call
}

// Build makes up a call.
func Build(name string, s Site, c Call) (Play, error) {
	if !slices.Contains(Names(), name) {
		return Play{}, fmt.Errorf("no scenario %q; there are %s", name, strings.Join(Names(), ", "))
	}
	if spoken[s.Language].Greet == "" {
		s.Language = "en"
	}
	if c.Name == "" {
		c.Name = "Marta Salas"
	}
	p := Play{Webhook: name != WebhookLost, name: name, site: s, call: c}
	p.Tools = p.script(nil).posted
	return p, nil
}

// Conversation is the finished conversation, as the vendor's API shows it and
// its webhook carries it. The replies are what the tool calls were answered
// with, in order; a likely one stands for any that is missing. It can be posted
// to the sandbox as it is: one whose webhook is lost says so.
func (p Play) Conversation(replies ...[]byte) json.RawMessage {
	c := p.script(replies).conversation()
	if !p.Webhook {
		c["webhook"] = false
	}
	b, _ := json.Marshal(c) // texts, numbers and maps of them always encode
	return b
}

// script is the call as it goes on.
type script struct {
	Play
	words
	replies [][]byte

	second  int
	turns   []map[string]any
	posted  []json.RawMessage
	number  string // to call back
	place   string
	known   []string // data-collection fields the caller gave
	ended   string   // why it ended
	ok      bool     // a tool call was accepted
	summary string
}

const (
	hungUp  = "Call ended by remote party"
	endCall = "end_call tool was called."
)

// script plays the scenario.
func (p Play) script(replies [][]byte) *script {
	s := &script{
		Play: p, words: spoken[p.site.Language], replies: replies,
		number: p.call.Caller, place: p.site.Place, ended: endCall,
	}
	greeting := p.site.Greeting
	if greeting == "" {
		greeting = fmt.Sprintf(s.Greet, p.site.Brand)
	}
	s.agent(greeting)
	if p.name == Spam {
		s.summary = "A salesperson offered search engine placement; the agent declined."
		s.caller(s.Pitch)
		s.agent(s.Decline)
		s.end(false)
		return s
	}
	s.request()
	switch p.name {
	case HangUp:
		s.summary = "The caller said what was needed and where, and hung up before giving a name."
		s.agent(s.AskNumber)
		s.caller(s.Leaving)
		s.ended = hungUp
		return s
	case Goodbye:
		s.summary = "The caller gave all details. The agent said goodbye and ended the call before dispatching."
		s.details()
		s.agent(s.Bye)
		s.end(true)
	case Promise, WebhookLost:
		s.summary = "The caller gave all details. The agent said the request was passed on."
		s.details()
		s.agent(s.Promise)
		s.farewell()
	case ToolError:
		s.summary = "The caller gave all details. The dispatch failed twice; the agent asked the caller to call again."
		s.details()
		s.failing()
		s.failing()
		s.agent(s.Sorry)
		s.caller(s.Thanks)
		s.ended = hungUp
	default:
		s.summary = "The caller gave all details; the request was dispatched and a reference read out."
		s.details()
		s.dispatch()
		s.farewell()
	}
	return s
}

// request is the caller saying what is needed and where.
func (s *script) request() {
	opening := s.Need
	if s.name == Repeat {
		opening = s.Again
	}
	if s.name == PlaceOdd {
		s.place = "Trifouilly-les-Oies"
	}
	s.caller(fmt.Sprintf(opening, s.site.Service))
	s.agent(s.AskPlace)
	s.caller(fmt.Sprintf(s.Place, s.place))
	s.known = append(s.known, "service_type", "issue_summary", "city", "language")
}

// details are number and name.
func (s *script) details() {
	s.agent(s.AskNumber)
	if s.name == WrongNumber {
		s.number = s.call.Caller[:max(len(s.call.Caller)-2, 0)]
		s.caller(fmt.Sprintf(s.Other, s.number))
	} else {
		s.caller(s.Same)
	}
	s.agent(s.AskName)
	s.caller(s.call.Name + ".")
	s.known = append(s.known, "callback_number", "customer_name", "contact_consent")
}

func (s *script) farewell() {
	s.caller(s.Thanks)
	s.agent(s.Bye)
	s.end(false)
}

func (s *script) agent(text string)  { s.turn("agent", text) }
func (s *script) caller(text string) { s.turn("user", text) }

// turn is something said, at about fifteen letters a second.
func (s *script) turn(role, text string) {
	s.turns = append(s.turns, s.blank(role, text))
	s.second += 2 + len(text)/15
}

func (s *script) blank(role string, text any) map[string]any {
	return map[string]any{
		"role": role, "message": text, "time_in_call_secs": s.second, "interrupted": false,
		"tool_calls": []any{}, "tool_results": []any{},
	}
}

// fields are what the model fills in of a tool call, or the analysis collects.
func (s *script) fields() map[string]any {
	return map[string]any{
		"customer_name": s.call.Name, "callback_number": s.number, "language": s.site.Language,
		"service_type": s.site.Service, "issue_summary": fmt.Sprintf(s.Need, s.site.Service),
		"city": s.place, "contact_consent": true,
	}
}

// body is a tool call's body: the model's fields, system variables, constants.
func (s *script) body() json.RawMessage {
	b := s.fields()
	for k, v := range map[string]any{
		"schema_version": "1", "source": "elevenlabs",
		"conversation_id": s.call.ConversationID, "agent_id": s.site.AgentID, "call_sid": s.callSID(),
		"caller_id": s.call.Caller, "called_number": s.site.DID,
		"call_time_utc": s.call.Ended.UTC().Format(time.RFC3339), "call_duration_secs": s.second,
	} {
		b[k] = v
	}
	out, _ := json.Marshal(b) // texts and numbers always encode
	return out
}

// dispatch is a tool call that we answered; the agent reads the answer out.
func (s *script) dispatch() {
	body := s.body()
	reply, _ := json.Marshal(map[string]any{"ok": true, "ref": "482913", "say": fmt.Sprintf(s.Say, "482 913"), "ask": ""})
	if n := len(s.posted); n < len(s.replies) {
		reply = s.replies[n]
	}
	s.posted = append(s.posted, body)
	id := s.requestID(len(s.turns))
	s.uses(request(id, "dispatch_lead", "webhook", s.fields(), body, true))
	s.results(result(id, "dispatch_lead", "webhook", string(reply), ""))
	var said struct {
		OK       bool
		Say, Ask string
	}
	_ = json.Unmarshal(reply, &said) // an answer that is none says nothing
	s.ok = s.ok || said.OK
	if said.Say != "" {
		s.agent(said.Say)
	}
	if said.Ask != "" {
		s.agent(said.Ask)
		s.caller(s.Yes)
	}
}

// failing is a tool call that never reached us.
func (s *script) failing() {
	id := s.requestID(len(s.turns))
	s.uses(request(id, "dispatch_lead", "webhook", s.fields(), s.body(), true))
	s.second += 10
	s.results(result(id, "dispatch_lead", "webhook", "", "external_server"))
}

// end is the agent hanging up; tooLate is a dispatch requested after it, which
// never runs.
func (s *script) end(tooLate bool) {
	id := s.requestID(len(s.turns))
	uses := []any{request(id, "end_call", "system", map[string]any{"reason": "done"}, nil, true)}
	if tooLate {
		uses = append(uses, request(s.requestID(len(s.turns)+1), "dispatch_lead", "webhook", s.fields(), nil, false))
	}
	s.uses(uses...)
	r := result(id, "end_call", "system", "", "")
	r["result"] = map[string]any{"result_type": "end_call_success", "status": "success", "reason": "done", "message": nil}
	s.results(r)
}

func (s *script) uses(list ...any) {
	t := s.blank("agent", nil)
	t["tool_calls"] = list
	s.turns = append(s.turns, t)
}

func (s *script) results(list ...any) {
	s.second++
	t := s.blank("agent", nil)
	t["tool_results"] = list
	s.turns = append(s.turns, t)
}

func request(id, name, kind string, params any, body json.RawMessage, ran bool) map[string]any {
	text, _ := json.Marshal(params) // texts and numbers always encode
	r := map[string]any{"type": kind, "request_id": id, "tool_name": name, "params_as_json": string(text), "tool_has_been_called": ran, "tool_details": nil}
	if body != nil {
		r["tool_details"] = map[string]any{"type": "webhook", "method": "POST", "headers": map[string]any{}, "body": string(body)}
	}
	return r
}

func result(id, name, kind, value, failure string) map[string]any {
	r := map[string]any{
		"type": kind, "request_id": id, "tool_name": name, "result_value": value, "is_error": failure != "", "is_blocked": false,
		"tool_has_been_called": true, "tool_latency_secs": 0.2, "error_type": failure, "raw_error_message": "",
	}
	if failure != "" {
		r["raw_error_message"], r["tool_latency_secs"] = "Webhook returned status 503", 10.0
	}
	return r
}

// requestID is the id of the nth request of a tool.
func (s *script) requestID(n int) string { return "call_" + s.hash(fmt.Sprint(n))[:20] }

func (s *script) callSID() string { return "CA" + s.hash("sid")[:32] }

func (s *script) hash(of string) string {
	h := sha256.Sum256([]byte(s.call.ConversationID + "\x00" + of))
	return hex.EncodeToString(h[:])
}

// conversation is the whole of it in the vendor's shape.
func (s *script) conversation() map[string]any {
	start := s.call.Ended.Unix() - int64(s.second)
	collected, fields := map[string]any{}, s.fields()
	for k, v := range fields {
		if !slices.Contains(s.known, k) {
			v = nil
		}
		collected[k] = map[string]any{"data_collection_id": k, "value": v, "rationale": ""}
	}
	dispatched, successful := "failure", "failure"
	if s.ok {
		dispatched, successful = "success", "success"
	}
	if s.name == Spam {
		dispatched, successful = "unknown", "unknown"
	}
	return map[string]any{
		"agent_id": s.site.AgentID, "conversation_id": s.call.ConversationID, "status": "done", "environment": "production",
		"has_audio": true, "has_user_audio": true, "has_response_audio": true, "has_auxiliary_audio": false,
		"branch_id": nil, "version_id": nil, "user_id": nil,
		"transcript": s.turns,
		"metadata": map[string]any{
			"start_time_unix_secs": start, "accepted_time_unix_secs": start, "call_duration_secs": s.second,
			"cost": 7 * s.second, "cost_fiat": float64(s.second) / 600, "termination_reason": s.ended, "error": nil, "warnings": []any{},
			"main_language": s.site.Language, "text_only": false, "conversation_initiation_source": "twilio",
			"phone_call": map[string]any{
				"type": "twilio", "direction": "inbound", "phone_number_id": "phnum_" + s.hash("number")[:20],
				"agent_number": s.site.DID, "external_number": s.call.Caller,
				"stream_sid": "MZ" + s.hash("stream")[:32], "call_sid": s.callSID(),
			},
		},
		"analysis": map[string]any{
			"call_successful": successful, "transcript_summary": s.summary, "data_collection_results": collected,
			"evaluation_criteria_results": map[string]any{
				"lead_dispatched": map[string]any{"criteria_id": "lead_dispatched", "result": dispatched, "rationale": ""},
			},
		},
		"conversation_initiation_client_data": map[string]any{
			"dynamic_variables": map[string]any{
				"system__agent_id": s.site.AgentID, "system__conversation_id": s.call.ConversationID, "system__caller_id": s.call.Caller,
				"system__called_number": s.site.DID, "system__call_sid": s.callSID(), "system__call_duration_secs": s.second,
			},
			"source_info": map[string]any{"source": "twilio", "version": nil},
		},
	}
}
