package elevenlabs_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"leadbus/internal/call"
)

// post is a report on a finished call with more in its data.
func post(more string) []byte {
	return []byte(`{"type":"post_call_transcription","data":{"agent_id":"agent_1","conversation_id":"conv_1","status":"done"` + more + `}}`)
}

// A finished transcript ends a call, and nothing else does.
func TestOnlyAFinishedTranscriptEndsACall(t *testing.T) {
	data := `"data":{"agent_id":"agent_1","conversation_id":"conv_1","status":"%s","transcript":[{"role":"user","message":"Allô"}],"metadata":{}}`
	for name, c := range map[string]struct {
		body string
		ends bool
	}{
		"done":                  {`{"type":"post_call_transcription",` + fmt.Sprintf(data, "done") + `}`, true},
		"failed":                {`{"type":"post_call_transcription",` + fmt.Sprintf(data, "failed") + `}`, true},
		"nobody says":           {`{"type":"post_call_transcription",` + fmt.Sprintf(data, "") + `}`, true},
		"in capitals":           {`{"type":"Post_Call_Transcription",` + fmt.Sprintf(data, "DONE") + `}`, true},
		"capitals, not over":    {`{"type":"POST_CALL_TRANSCRIPTION",` + fmt.Sprintf(data, "Processing") + `}`, false},
		"processing":            {`{"type":"post_call_transcription",` + fmt.Sprintf(data, "processing") + `}`, false},
		"initiated":             {`{"type":"post_call_transcription",` + fmt.Sprintf(data, "initiated") + `}`, false},
		"in progress":           {`{"type":"post_call_transcription",` + fmt.Sprintf(data, "in-progress") + `}`, false},
		"another type":          {`{"type":"post_call_sentiment",` + fmt.Sprintf(data, "done") + `}`, false},
		"a recording":           {`{"type":"post_call_audio","data":{"conversation_id":"conv_1","full_audio":"AAAA"}}`, false},
		"no type":               {`{` + fmt.Sprintf(data, "done") + `}`, true},
		"a type that is null":   {`{"type":null,` + fmt.Sprintf(data, "done") + `}`, true},
		"no type, not over":     {`{` + fmt.Sprintf(data, "processing") + `}`, false},
		"no type, a recording":  {`{"data":{"conversation_id":"conv_1","full_audio":"AAAA"}}`, false},
		"no type, no call":      {`{"data":{"failure_reason":"busy","metadata":{}}}`, true},
		"no type, nothing":      {`{"data":{"conversation_id":"conv_1"}}`, false},
		"without the envelope":  {`{"conversation_id":"conv_1","status":"done","transcript":[]}`, true},
		"a notice":              {`{"type":"voice_removal_notice_withdrawn","data":{"voice_id":"v"}}`, false},
		"a notice we know not":  {`{"type":"workspace_moved","data":{}}`, false},
		"a call never answered": {`{"type":"call_initiation_failure","data":{"conversation_id":"conv_1"}}`, true},
	} {
		if got := decode(t, []byte(c.body)).Reported(); (got.Call != nil) != c.ends {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Times and durations that cannot be are ignored, and whatever is read can be
// written.
func TestAbsurdTimesAreIgnored(t *testing.T) {
	good := time.Unix(1795273396, 0).UTC()
	for _, odd := range []string{
		`253402300800`, `99999999999999`, `-1`, `-62167219200`, `0`, `1e300`, `1795273396000`,
		`"9999-12-31T23:59:59-12:00"`, `"10000-01-01T00:00:00Z"`, `"0000-01-01T00:00:00+14:00"`, `"0001-01-01T00:00:00Z"`, `"2999-01-01T00:00:00Z"`,
	} {
		h := decode(t, []byte(fmt.Sprintf(`{"type":"post_call_transcription","event_timestamp":%[1]s,"data":{"conversation_id":"conv_1",
			"metadata":{"start_time_unix_secs":%[1]s,"accepted_time_unix_secs":%[1]s}}}`, odd)))
		if !h.At.IsZero() || !h.Call.StartedAt.IsZero() {
			t.Errorf("%s: reported %s, begun %s", odd, h.At, h.Call.StartedAt)
		}
		accepted := decode(t, post(fmt.Sprintf(`,"metadata":{"start_time_unix_secs":%s,"accepted_time_unix_secs":1795273396}`, odd)))
		if !accepted.Call.StartedAt.Equal(good) {
			t.Errorf("%s: begun %s, want the moment it was accepted", odd, accepted.Call.StartedAt)
		}
	}
	for _, odd := range []string{`-5`, `1e99`, `2147483647`, `"-5"`, `-1e-9`} {
		h := decode(t, post(fmt.Sprintf(`,"metadata":{"call_duration_secs":%[1]s},"transcript":[{"role":"user","message":"Allô","time_in_call_secs":%[1]s,
			"tool_results":[{"tool_name":"dispatch_lead","tool_latency_secs":%[1]s}]}]`, odd)))
		if c := h.Call; c.Seconds != 0 || c.Turns[0].Second != 0 || c.Tools[0].Latency != 0 {
			t.Errorf("%s: %d s, turn at %d s, tool took %v s", odd, c.Seconds, c.Turns[0].Second, c.Tools[0].Latency)
		}
	}
}

func TestAByteOrderMarkIsSkipped(t *testing.T) {
	for _, before := range []string{"\ufeff", "\r\n\t ", "\ufeff \n", " \ufeff"} {
		if h := decode(t, append([]byte(before), post("")...)); h.ConversationID != "conv_1" {
			t.Errorf("%q: %+v", before, h)
		}
		inside, _ := json.Marshal(before + `{"city":"Carouge"}`)
		c := decode(t, post(`,"transcript":[{"tool_calls":[{"tool_name":"dispatch_lead","params_as_json":`+string(inside)+`}]}]`)).Call
		if got := string(c.Tools[0].Params); got != `{"city":"Carouge"}` {
			t.Errorf("%q before a tool's parameters: %s", before, got)
		}
	}
}

// A phone number stays one, however JSON writes it.
func TestWholeNumbersAreWrittenInFull(t *testing.T) {
	for written, want := range map[string]string{
		`41781234567`: "41781234567", `41781234567.0`: "41781234567", `4.1781234567e10`: "41781234567", `4.1781234567E+10`: "41781234567",
		`12.50`: "12.50", `1e300`: "1e300", `-3.0`: "-3",
	} {
		c := decode(t, post(`,"analysis":{"data_collection_results":{"callback_number":{"value":`+written+`}}},"metadata":{"phone_call":{"external_number":`+written+`}}`)).Call
		if got := c.Collected["callback_number"]; got != want || c.CallerID != want {
			t.Errorf("%s: collected %q, caller %q, want %q", written, got, c.CallerID, want)
		}
	}
}

// A voice that goes is told with its name and its day, whatever the vendor calls
// the field.
func TestAVoiceThatGoes(t *testing.T) {
	day := time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)
	for body, want := range map[string]call.Voice{
		`{"type":"voice_removal_notice","event_timestamp":1795273396,"data":{"voice_id":"v1","voice_name":"Eric","removal_date_unix":1798675200}}`: {ID: "v1", Name: "Eric", Goes: day},
		`{"type":"voice_removal_notice","data":{"voice_id":"v1","name":"Eric","created_at":"2024-01-01","removal_at":"2026-12-31T00:00:00Z"}}`:     {ID: "v1", Name: "Eric", Goes: day},
		`{"type":"voice_removal_notice","data":{"voice_id":"v1","removal_date":"2026-12-31"}}`:                                                     {ID: "v1", Goes: day},
		`{"type":"voice_removal_notice","data":{"voice_id":"v1"}}`:                                                                                 {ID: "v1"},
		`{"type":"voice_removed","event_timestamp":1798675200,"data":{"voice_id":"v1"}}`:                                                           {ID: "v1", Goes: day},
		`{"type":"voice_removed","data":{"voice_id":"v1","removed_at":"2026-12-31"}}`:                                                              {ID: "v1", Goes: day},
		`{"type":"voice_removal_notice","data":{"voice":{"id":"v1","name":"Eric","removal_at":"2026-12-31 00:00:00"}}}`:                            {ID: "v1", Name: "Eric", Goes: day},
		`{"type":"voice_removal_notice","data":{"voice_id":"v1","removal_date":"2026-12-31T00:00:00"}}`:                                            {ID: "v1", Goes: day},
		`{"type":"voice_removal_notice","event_timestamp":1795273396,"voice_id":"v1","removal_date":"2026-12-31"}`:                                 {ID: "v1", Goes: day},
		`{"data":{"voice_id":"v1","removal_date":"2026-12-31"}}`:                                                                                   {ID: "v1", Goes: day},
	} {
		got := decode(t, []byte(body)).Reported()
		if got.Voice == nil || *got.Voice != want || got.Call != nil {
			t.Errorf("%s: %+v", body, got.Voice)
		}
	}
}

// A person may have the caller unless the transfer did not run or failed, whatever
// the agent calls the tool and wherever its result stands.
func TestACallIsTransferred(t *testing.T) {
	for result, want := range map[string]bool{
		`"is_error":false,"result_value":"{}","result":{"result_type":"transfer_to_number_twilio_success","status":"success"}`: true,
		`"is_error":false`: true,
		`"is_error":true`:  false,
		`"is_error":false,"result_value":"no","result":{"result_type":"transfer_to_number_error","status":"error"}`:     false,
		`"is_error":false,"result":{"result_type":"transfer_to_number_error"}`:                                          false,
		`"is_error":false,"result":{"status":"error"}`:                                                                  false,
		`"is_error":false,"result_value":"{\"result_type\":\"transfer_to_number_error\",\"status\":\"error\"}"`:         false,
		`"is_error":false,"result_value":"{\"result_type\":\"transfer_to_number_sip_success\",\"status\":\"success\"}"`: true,
		`"is_blocked":true`:            false,
		`"tool_has_been_called":false`: false,
	} {
		c := decode(t, post(`,"transcript":[{"role":"agent","tool_calls":[{"request_id":"1","tool_name":"transfer_to_number"}]},
			{"role":"agent","tool_results":[{"request_id":"1","tool_name":"transfer_to_number",`+strings.TrimSpace(result)+`}]}]`)).Call
		if c.Transferred() != want {
			t.Errorf("%s: transferred %v", result, c.Transferred())
		}
	}
}

// An agent may know the vendor's transfer by another name, and a call that went on
// without the agent has no result of it.
func TestATransferOfAnotherForm(t *testing.T) {
	for turns, want := range map[string]bool{
		`{"tool_calls":[{"request_id":"1","tool_name":"transfer_to_number","tool_has_been_called":true}]}`:  true,
		`{"tool_calls":[{"request_id":"1","tool_name":"transfer_to_number","tool_has_been_called":false}]}`: false,
		`{"tool_calls":[{"request_id":"1","tool_name":"put_through","tool_has_been_called":true}]},
			{"tool_results":[{"request_id":"1","tool_name":"put_through","result":{"result_type":"transfer_to_number_twilio_success","status":"success"}}]}`: true,
		`{"tool_results":[{"request_id":"1","tool_name":"put_through","result":{"result_type":"transfer_to_number_error"}}]}`:                                           false,
		`{"tool_results":[{"request_id":"1","tool_name":"transfer_to_agent","result":{"result_type":"transfer_to_agent_success","status":"success"}}]}`:                 false,
		`{"tool_results":[{"request_id":"1","tool_name":"end_call","result":{"result_type":"end_call_success","status":"success"}}]}`:                                   false,
		`{"tool_results":[{"request_id":"1","tool_name":"transfer_to_number","is_error":true}]},{"tool_results":[{"request_id":"2","tool_name":"transfer_to_number"}]}`: true,
		`{"tool_results":[{"request_id":"w","tool_name":"w","type":"workflow","result":{"steps":[{"type":"nested_tools","results":[
			{"request_id":"1","tool_name":"transfer_to_number","result":{"result_type":"transfer_to_number_sip_success"}}]}]}}]}`: true,
	} {
		if got := decode(t, post(`,"transcript":[`+turns+`]`)).Call.Transferred(); got != want {
			t.Errorf("%s: transferred %v", turns, got)
		}
	}
}

// A chat on the website is no phone call, though its variables may have the
// numbers of an example.
func TestWhatIsAPhoneCall(t *testing.T) {
	example := `,"conversation_initiation_client_data":{"dynamic_variables":{"system__caller_id":"+41781240000","system__call_sid":"CA0"}}`
	for data, want := range map[string]bool{
		`"metadata":{"phone_call":{"type":"twilio","direction":"inbound"}}`:                               true,
		`"metadata":{"phone_call":{"type":"exotel","call_sid":"E1"}}`:                                     true,
		`"metadata":{"phone_call":null}` + example:                                                        true,
		`"metadata":{"phone_call":null,"conversation_initiation_source":"twilio"}` + example:              true,
		`"metadata":{"phone_call":null,"conversation_initiation_source":"sip_trunk"}` + example:           true,
		`"metadata":{"phone_call":null}`:                                                                  false,
		`"metadata":{"phone_call":{}}`:                                                                    false,
		`"metadata":{"phone_call":null,"conversation_initiation_source":"widget"}`:                        false,
		`"metadata":{"phone_call":null,"conversation_initiation_source":"widget"}` + example:              false,
		`"metadata":{"phone_call":null,"conversation_initiation_source":"react_sdk"}` + example:           false,
		`"metadata":{"phone_call":null,"conversation_initiation_source":"whatsapp","whatsapp":{"a":"b"}}`: false,
	} {
		if got := decode(t, post(","+data)).Call.Phone(); got != want {
			t.Errorf("%s: a phone call %v", data, got)
		}
	}
}
