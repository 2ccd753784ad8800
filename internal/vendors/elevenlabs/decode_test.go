package elevenlabs_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/vendors/elevenlabs"
)

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode(t *testing.T, body []byte) elevenlabs.Hook {
	t.Helper()
	h, err := elevenlabs.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// The advertising ids among the dynamic variables come with the call.
func TestClicksOfACall(t *testing.T) {
	for _, variables := range []string{
		`{"gclid":"G1","utm_source":"ads","system__caller_id":"+41781240001","name":"Marta"}`,
		`{"attribution":"{\"gclid\":\"G1\",\"utm_source\":\"ads\"}"}`,
	} {
		h := decode(t, []byte(`{"type":"post_call_transcription","data":{"conversation_initiation_client_data":{"dynamic_variables":`+variables+`}}}`))
		if d := cmp.Diff(map[string]string{"gclid": "G1", "utm_source": "ads"}, h.Call.Clicks); d != "" {
			t.Error(d)
		}
	}
}

func TestAFinishedCall(t *testing.T) {
	want := elevenlabs.Hook{
		Type: elevenlabs.PostCall, At: time.Unix(1795273520, 0).UTC(),
		AgentID: "agent_dcd61p0rm07hche68r370e2bk177", ConversationID: "conv_0001example",
		Call: &call.Call{
			ID: "conv_0001example", AgentID: "agent_dcd61p0rm07hche68r370e2bk177", Version: "agtvrsn_7", Branch: "agtbrch_1",
			StartedAt: time.Unix(1795273396, 0).UTC(), Seconds: 115,
			Direction: "inbound", CallSID: "CA0123456789abcdef0123456789abcdef",
			CallerID: "+41781240001", Called: "+41225394512", Source: "twilio",
			Status: "done", Ended: "end_call tool was called.", Language: "fr", Cost: 0.168,
			Turns: []call.Turn{
				{Who: call.Agent, Text: "Bonjour, ici l'assistant virtuel de Plombiers Genève. Que se passe-t-il ?"},
				{Who: call.Caller, Text: "Une fuite sous l'évier, à Carouge.", Second: 6},
				{Who: call.Agent, Text: "Je note votre", Second: 20, Interrupted: true},
				{Who: call.Caller, Text: "Oui, ce numéro. Marta Salas.", Second: 31},
				{Who: call.Agent, Text: "C'est transmis. Votre référence : 482 913.", Second: 98},
			},
			Tools: []call.ToolUse{
				{
					Name: call.Tool, RequestID: "call_a", Second: 96, Turn: 4,
					Params: json.RawMessage(`{"customer_name": "Marta Salas", "city": "Carouge"}`),
					Body:   `{"conversation_id": "conv_0001example", "city": "Carouge"}`,
					Ran:    true, Answered: true, Latency: 0.187, Result: `{"ok": true, "ref": "482 913"}`,
				},
				{
					Name: "end_call", RequestID: "call_b", Second: 110, Turn: 5, Params: json.RawMessage(`{"reason": "done"}`),
					Ran: true, Answered: true, Result: `{"result_type":"end_call_success","status":"success"}`,
				},
			},
			Summary: "Une fuite sous l'évier à Carouge; la demande a été transmise.", Successful: "success",
			Criteria: map[string]call.Criterion{
				"lead_dispatched": {Result: "success", Rationale: "The tool answered ok."},
				"disclosed":       {Result: "unknown"},
			},
			Collected: map[string]string{
				"customer_name": "Marta Salas", "floor": "4", "area": "12.50", "contact_consent": "true", "rooms": `["kitchen","bath"]`,
			},
		},
	}
	got := decode(t, sample(t, "post-call"))
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !got.Call.Dispatched() {
		t.Error("the call counts as not dispatched")
	}
	var envelope struct{ Data json.RawMessage }
	if err := json.Unmarshal(sample(t, "post-call"), &envelope); err != nil {
		t.Fatal(err)
	}
	same, err := elevenlabs.Conversation(envelope.Data)
	if d := cmp.Diff(*want.Call, same); d != "" || err != nil {
		t.Errorf("the API's object reads otherwise: %v %s", err, d)
	}
}

// A SIP call has no phone_call; a workflow hides its tools a level deeper.
func TestAWorkflowOnATrunk(t *testing.T) {
	h := decode(t, sample(t, "workflow"))
	want := call.Call{
		ID: "conv_0002example", AgentID: "agent_1", StartedAt: time.Unix(1795273396, 0).UTC(), Seconds: 40,
		CallSID: "CA2", CallerID: "+41781240002", Called: "+41225394512", Source: "sip_trunk",
		Status: "done", Ended: "Call ended by remote party", Error: "1011: LLM cascade failed", Language: "de",
		Turns: []call.Turn{{Who: call.Caller, Text: "Der Abfluss ist verstopft.", Second: 4}},
		Tools: []call.ToolUse{
			{
				Name: call.Tool, RequestID: "n_1", Second: 9, Turn: 1, Params: json.RawMessage(`{}`),
				Ran: true, Answered: true, Failed: true, ErrorType: "external_server", Latency: 10, Result: "status 503",
			},
			{Name: call.Tool, RequestID: "n_2", Second: 9, Turn: 1, Params: json.RawMessage(`"not json"`)},
		},
	}
	if d := cmp.Diff(want, *h.Call); d != "" {
		t.Error(d)
	}
	if h.Call.Dispatched() || !h.At.Equal(time.Unix(1795273520, 0)) {
		t.Errorf("dispatched %v at %s", h.Call.Dispatched(), h.At)
	}
}

func TestACallThatNeverConnected(t *testing.T) {
	want := elevenlabs.Hook{
		Type: elevenlabs.NeverConnected, At: time.Unix(1795282396, 0).UTC(), AgentID: "agent_1", ConversationID: "conv_0003example",
		Call: &call.Call{
			ID: "conv_0003example", AgentID: "agent_1", StartedAt: time.Unix(1795282396, 0).UTC(), Direction: "outbound", Status: "failed",
			Error: "no-answer", CallSID: "CA00112233445566778899aabbccddeeff", Called: "+41225394512", CallerID: "+41781240003",
		},
	}
	if d := cmp.Diff(want, decode(t, sample(t, "outbound-failure"))); d != "" {
		t.Error(d)
	}
	sip := decode(t, []byte(`{"type":"call_initiation_failure","data":{"failure_reason":"busy","metadata":{"type":"sip","body":{"from_number":41225394512,"to_number":"+41781240003","call_sid":"SCL_1","sip_status_code":486}}}}`))
	if d := cmp.Diff(&call.Call{Direction: "outbound", Status: "failed", Error: "busy", CallSID: "SCL_1", Called: "41225394512", CallerID: "+41781240003"}, sip.Call); d != "" {
		t.Error(d)
	}
}

// The ids survive whatever else is wrong.
func TestWhatCannotBeReadIsLeftOut(t *testing.T) {
	for name, rest := range map[string]string{
		"nothing else":   ``,
		"nulls":          `,"transcript":null,"metadata":null,"analysis":null,"conversation_initiation_client_data":null`,
		"empty":          `,"transcript":[],"metadata":{},"analysis":{},"status":""`,
		"wrong types":    `,"transcript":{"a":1},"metadata":[1],"analysis":"none","status":{},"version_id":["v"]`,
		"wrong deeper":   `,"transcript":[1,null,"x",{"role":5,"message":{}},{"role":"user","time_in_call_secs":"x","tool_calls":{},"tool_results":[null]}],"metadata":{"phone_call":"yes","error":7,"call_duration_secs":-5,"start_time_unix_secs":"soon","cost_fiat":"NaN"},"analysis":{"evaluation_criteria_results":[],"data_collection_results":{"a":{},"b":{"value":{}}}}`,
		"beyond numbers": `,"metadata":{"start_time_unix_secs":1e300,"call_duration_secs":1e99,"cost_fiat":1e999}`,
	} {
		h := decode(t, []byte(`{"type":"post_call_transcription","event_timestamp":null,"new":1,"data":{"agent_id":"agent_1","conversation_id":"conv_1"`+rest+`}}`))
		if h.AgentID != "agent_1" || h.ConversationID != "conv_1" || h.Call == nil || h.Call.ID != "conv_1" {
			t.Errorf("%s: %+v", name, h)
		}
		if _, err := json.Marshal(h.Call); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if h := decode(t, []byte(`{"type":"voice_removed","data":{"agent_id":"agent_1"},"event_timestamp":1795273520.5}`)); h.Type != "voice_removed" || h.AgentID != "agent_1" || h.Call != nil || h.At.Unix() != 1795273520 {
		t.Errorf("%+v", h)
	}
	for _, body := range []string{"", "[]", "null", `"text"`, `{"type":"post_call_transcription","data":{"agent_id":"secret`} {
		if _, err := elevenlabs.Decode([]byte(body)); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func tools(t *testing.T, turns string) []call.ToolUse {
	t.Helper()
	c, err := elevenlabs.Conversation([]byte(`{"transcript":[` + turns + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return c.Tools
}

func TestWhetherAToolRan(t *testing.T) {
	const request = `{"request_id":"1","tool_name":"dispatch_lead","tool_has_been_called":%}`
	for name, c := range map[string]struct {
		turns string
		want  call.ToolUse
	}{
		"requested, never ran": {`{"tool_calls":[` + strings.Replace(request, "%", "false", 1) + `]}`, call.ToolUse{}},
		"ran, no answer yet":   {`{"tool_calls":[` + strings.Replace(request, "%", "true", 1) + `]}`, call.ToolUse{Ran: true}},
		"blocked":              {`{"tool_calls":[` + strings.Replace(request, "%", "true", 1) + `],"tool_results":[{"request_id":"1","is_blocked":true}]}`, call.ToolUse{Answered: true}},
		"result says no":       {`{"tool_calls":[` + strings.Replace(request, "%", "true", 1) + `],"tool_results":[{"request_id":"1","tool_has_been_called":false}]}`, call.ToolUse{Answered: true}},
		"nobody says":          {`{"tool_calls":[` + strings.Replace(request, "%", "null", 1) + `]},{"tool_results":[{"request_id":"1"}]}`, call.ToolUse{Ran: true, Answered: true}},
		"result alone":         {`{"tool_results":[{"request_id":"1","tool_name":"dispatch_lead"}]}`, call.ToolUse{Ran: true, Answered: true}},
		"the last one counts":  {`{"tool_calls":[` + strings.Replace(request, "%", "true", 1) + `],"tool_results":[{"request_id":"1","is_error":true},{"request_id":"1","result_value":"ok"}]}`, call.ToolUse{Ran: true, Answered: true, Result: "ok"}},
		"listed twice":         {`{"tool_calls":[` + strings.Replace(request, "%", "true", 1) + `,` + strings.Replace(request, "%", "true", 1) + `]}`, call.ToolUse{Ran: true}},
	} {
		c.want.Name, c.want.RequestID = call.Tool, "1"
		if d := cmp.Diff([]call.ToolUse{c.want}, tools(t, c.turns)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// Ids may come again later in a call, or be missing.
func TestResultsFindTheirRequests(t *testing.T) {
	for name, id := range map[string]string{"repeated": "call_0", "missing": ""} {
		pair := func(result string) string {
			return `{"tool_calls":[{"request_id":"` + id + `","tool_name":"dispatch_lead","tool_has_been_called":true}]},` +
				`{"tool_results":[{"request_id":"` + id + `","tool_name":"dispatch_lead","result_value":"` + result + `"}]}`
		}
		got := tools(t, pair("first")+","+pair("second"))
		if len(got) != 2 || got[0].Result != "first" || got[1].Result != "second" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestOutboundCallsTheirCustomer(t *testing.T) {
	c, err := elevenlabs.Conversation([]byte(`{"metadata":{"phone_call":{"direction":"outbound","agent_number":"+41225394512","external_number":"+41781240001"}}}`))
	if err != nil || c.CallerID != "+41225394512" || c.Called != "+41781240001" {
		t.Errorf("%+v %v", c, err)
	}
}

// Nothing that comes in may panic or make a call that cannot be written down.
func FuzzDecode(f *testing.F) {
	for _, name := range []string{"post-call", "workflow", "outbound-failure"} {
		b := sample(f, name)
		f.Add(b)
		for _, swap := range [][2]string{
			{`"transcript": [`, `"transcript": [[],{"role":1},`},
			{`: null`, `: []`},
			{`: [`, `: {}, "x": [`},
			{`"tool_calls": [`, `"tool_results": [`},
			{`: true`, `: "true"`},
			{`179527`, `-1e30`},
			{`"dispatch_lead"`, `{"a":"\u0000"}`},
			{`\"city\"`, `\"\\u0000\"`},
		} {
			f.Add([]byte(strings.ReplaceAll(string(b), swap[0], swap[1])))
		}
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		h, err := elevenlabs.Decode(body)
		if err != nil {
			return
		}
		if c := h.Reported().Call; c != nil {
			if _, err := event.NewEnded("ch", "a.ch", *c, body, time.Now()); err != nil {
				t.Errorf("the report cannot travel: %v", err)
			}
		}
		if h.Call == nil {
			return
		}
		b, err := json.Marshal(h.Call)
		if err != nil {
			t.Fatalf("the call cannot be written down: %v", err)
		}
		var again call.Call
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatalf("nor read again: %v", err)
		}
		if strings.Contains(strings.ReplaceAll(string(b), `\\`, ``), `\u0000`) {
			t.Error("the call holds what Postgres does not store")
		}
	})
}
