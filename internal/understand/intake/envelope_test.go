package intake

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/lead"
)

// The arguments are found in the forms of other vendors, and in those that models
// and automations make of them.
func TestAnEnvelopeOfAnotherVendor(t *testing.T) {
	inner := `{"customer_name":"Marta","callback_number":"0781234567","city":"Carouge","service_type":"leak"}`
	q := strconv.Quote(inner)
	qq := strconv.Quote(q)
	pretty := strconv.Quote("{\n  \"customer_name\": \"Marta\",\n  \"callback_number\": \"0781234567\",\n \"city\": \"Carouge\", \"service_type\":\"leak\"\n}\n")
	for name, body := range map[string]string{
		"vapi":                         `{"message":{"type":"tool-calls","toolCallList":[{"id":"t1","name":"dispatch_lead","arguments":` + inner + `}],"call":{"id":"x","type":"inboundPhoneCall"}}}`,
		"vapi toolCalls string":        `{"message":{"timestamp":1,"type":"tool-calls","toolCalls":[{"id":"t1","type":"function","function":{"name":"dispatch_lead","arguments":` + q + `}}]}}`,
		"vapi toolWithToolCallList":    `{"message":{"type":"tool-calls","toolWithToolCallList":[{"name":"dispatch_lead","toolCall":{"id":"t","parameters":` + inner + `}}]}}`,
		"vapi functionCall":            `{"message":{"type":"function-call","functionCall":{"name":"dispatch_lead","parameters":` + q + `}}}`,
		"retell":                       `{"name":"dispatch_lead","call":{"call_id":"abc","agent_name":"Anna","from_number":"+41791112233"},"args":` + inner + `}`,
		"retell args text":             `{"name":"dispatch_lead","args":` + q + `}`,
		"openai":                       `{"id":"call_1","type":"function","function":{"name":"dispatch_lead","arguments":` + q + `}}`,
		"openai tool_calls":            `{"role":"assistant","tool_calls":[{"id":"call_1","type":"function","function":{"name":"dispatch_lead","arguments":` + pretty + `}}]}`,
		"openai choices":               `{"choices":[{"message":{"tool_calls":[{"function":{"name":"dispatch_lead","arguments":` + q + `}}]}}]}`,
		"openai realtime":              `{"type":"response.function_call_arguments.done","call_id":"call_1","name":"dispatch_lead","arguments":` + q + `}`,
		"anthropic":                    `{"type":"tool_use","id":"toolu_1","name":"dispatch_lead","input":` + inner + `}`,
		"anthropic content":            `{"content":[{"type":"tool_use","id":"toolu_1","name":"dispatch_lead","input":` + inner + `}]}`,
		"gemini":                       `{"functionCall":{"name":"dispatch_lead","args":` + inner + `}}`,
		"gemini snake":                 `{"function_call":{"name":"dispatch_lead","arguments":` + q + `}}`,
		"mcp":                          `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"dispatch_lead","arguments":` + inner + `}}`,
		"dialogflow es":                `{"responseId":"r","queryResult":{"queryText":"x","parameters":` + inner + `},"session":"s"}`,
		"dialogflow cx":                `{"fulfillmentInfo":{"tag":"dispatch_lead"},"sessionInfo":{"session":"s","parameters":` + inner + `}}`,
		"connect":                      `{"Name":"ContactFlowEvent","Details":{"ContactData":{"Channel":"VOICE"},"Parameters":` + inner + `}}`,
		"bedrock pairs":                `{"messageVersion":"1.0","parameters":[{"name":"customer_name","type":"string","value":"Marta"},{"name":"callback_number","type":"string","value":"0781234567"},{"name":"city","type":"string","value":"Carouge"},{"name":"service_type","type":"string","value":"leak"}]}`,
		"pairs key":                    `{"parameters":[{"key":"customer_name","value":"Marta"},{"key":"callback_number","value":"0781234567"},{"key":"city","value":"Carouge"},{"key":"service_type","value":"leak"}]}`,
		"list of singles":              `{"parameters":[{"customer_name":"Marta"},{"callback_number":"0781234567"},{"city":"Carouge"},{"service_type":"leak"}]}`,
		"list with text":               `{"parameters":[` + q + `]}`,
		"text twice":                   `{"parameters":` + qq + `}`,
		"text list":                    `{"parameters":` + strconv.Quote("["+inner+"]") + `}`,
		"body twice":                   q,
		"top list":                     `[` + inner + `]`,
		"n8n":                          `[{"headers":{"x":"y"},"params":{},"query":{},"body":` + inner + `}]`,
		"n8n text":                     `[{"body":` + q + `}]`,
		"telnyx":                       `{"data":{"event_type":"x","payload":` + inner + `}}`,
		"wrapped values":               `{"parameters":{"customer_name":{"value":"Marta"},"callback_number":{"value":"0781234567"},"city":{"value":"Carouge"},"service_type":{"value":"leak"}}}`,
		"pretty":                       `{"parameters":` + pretty + `}`,
		"fenced":                       `{"parameters":` + strconv.Quote("```json\n"+inner+"\n```") + `}`,
		"camel":                        `{"customerName":"Marta","callbackNumber":"0781234567","city":"Carouge","serviceType":"leak"}`,
		"Pascal":                       `{"Parameters":{"CustomerName":"Marta","CallbackNumber":"0781234567","City":"Carouge","ServiceType":"leak"}}`,
		"kebab":                        `{"customer-name":"Marta","callback-number":"0781234567","city":"Carouge","service-type":"leak"}`,
		"spaces":                       `{"Customer Name":"Marta","Callback Number":"0781234567","City":"Carouge","Service Type":"leak"}`,
		"kwargs":                       `{"kwargs":` + inner + `}`,
		"toolParameters":               `{"tool":{"name":"dispatch_lead","parameters":` + inner + `}}`,
		"lead":                         `{"lead":` + inner + `}`,
		"action_input":                 `{"action":"dispatch_lead","action_input":` + q + `}`,
		"event":                        `{"event":{"type":"tool","data":` + inner + `}}`,
		"fields":                       `{"fields":` + inner + `}`,
		"name of tool beside customer": `{"name":"dispatch_lead","parameters":{"name":"Marta","phone":"0781234567","city":"Carouge","service":"leak"}}`,
		"tool name no envelope known":  `{"name":"dispatch_lead","toolParams":` + inner + `}`,
		"openapi":                      `{"requestBody":{"content":{"application/json":{"properties":[{"name":"customer_name","type":"string","value":"Marta"},{"name":"callback_number","type":"string","value":"0781234567"},{"name":"city","type":"string","value":"Carouge"},{"name":"service_type","type":"string","value":"leak"}]}}}}`,
		"null inner":                   `{"parameters":null,"arguments":` + inner + `}`,
		"empty inner":                  `{"parameters":{},"arguments":` + q + `}`,
		"empty text":                   `{"parameters":"","customer_name":"Marta","callback_number":"0781234567","city":"Carouge","service_type":"leak"}`,
		"text {} ":                     `{"parameters":"{}","customer_name":"Marta","callback_number":"0781234567","city":"Carouge","service_type":"leak"}`,
		"half":                         `{"customer_name":"Marta","callback_number":"0781234567","parameters":{"city":"Carouge","service_type":"leak"}}`,
		"two in parameters":            `{"parameters":{"customer":` + strconv.Quote(`{"name":"Marta","phone":"0781234567"}`) + `,"job":{"service":"leak","place":"Carouge"}}}`,
		"slots":                        `{"slots":[{"name":"customer_name","value":"Marta"},{"name":"callback_number","value":"0781234567"},{"name":"city","value":"Carouge"},{"name":"service_type","value":"leak"}]}`,
		"second tool call is ours":     `{"tool_calls":[{"function":{"name":"end_call","arguments":"{}"}},{"function":{"name":"dispatch_lead","arguments":` + q + `}}]}`,
		"lex":                          `{"sessionState":{"intent":{"name":"Dispatch","slots":{"customer_name":{"value":{"originalValue":"marta","interpretedValue":"Marta"}},"callback_number":{"value":{"interpretedValue":"0781234567"}},"city":{"value":{"interpretedValue":"Carouge"}},"service_type":{"value":{"interpretedValue":"leak"}}}}}}`,
		"typed values":                 `{"fields":{"customer_name":{"stringValue":"Marta"},"callback_number":{"stringValue":"0781234567"},"city":{"stringValue":"Carouge"},"service_type":{"stringValue":"leak"}}}`,
		"bom text":                     `{"parameters":"\ufeff` + q[1:] + `}`,
	} {
		r, flags, err := Decode([]byte(body))
		if err != nil || r.CustomerName != "Marta" || r.CallbackNumber != "0781234567" || r.City != "Carouge" || r.ServiceType != "leak" || flags != nil {
			t.Errorf("%s: %+v, flags %v, %v", name, r, flags, err)
		}
	}
	// What describes the agent, the tool or the line is nothing that the customer said.
	for name, body := range map[string]string{
		"agent":        `{"agent":{"name":"Sarah","phone":"+41225394512"},"parameters":{"city":"Carouge"}}`,
		"call":         `{"call":{"phone":{"name":"x"},"location":"us-east-1"},"args":{"city":"Carouge"}}`,
		"tools":        `{"tools":[{"name":"dispatch_lead"}],"parameters":{"city":"Carouge"}}`,
		"slots":        `{"name":"dispatch_lead","slots":{"city":"Carouge"}}`,
		"tool":         `{"tool":{"name":"dispatch_lead"},"arguments":{"city":"Carouge"}}`,
		"tool call":    `{"toolCall":{"name":"dispatch_lead","parameters":{"city":"Carouge"}}}`,
		"assistant":    `{"message":{"phoneNumber":{"name":"Main line"},"assistant":{"name":"Sarah"},"toolCallList":[{"name":"dispatch_lead","arguments":{"city":"Carouge"}}]}}`,
		"a value":      `{"value":"500","city":"Carouge"}`,
		"pair of none": `{"city":"Carouge","parameters":[{"name":"customer_name","value":null},{"name":"city","value":"N/A"}]}`,
	} {
		got, _, err := Decode([]byte(body))
		if diff := cmp.Diff(lead.Request{City: "Carouge"}, got); diff != "" || err != nil {
			t.Errorf("%s: %v, -want +got:\n%s", name, err, diff)
		}
	}
	for _, text := range []string{`[urgent] the tap`, `{sic} a leak`, `"the big one" leaks`, "`code` 7", `["leak","drain"]`, `{"a":1} follows`} {
		got, _, err := Decode([]byte(`{"issue_summary":` + strconv.Quote(text) + `,"name":"Marta","value":"500"}`))
		if err != nil || got.IssueSummary != text || got.CustomerName != "Marta" {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// Texts in texts cost no more than their length calls for.
func TestDeepTextsCostNoMoreThanTheirLength(t *testing.T) {
	body := `{"city":"Carouge"}`
	for next := body; len(next) < 64<<10; next = `{"parameters":[[[` + strconv.Quote(body) + `]]]}` {
		body = next
	}
	for _, b := range []string{body, strings.Repeat("[", 30) + strings.TrimSuffix(strings.Repeat(`"[[",`, 12<<10), ",") + strings.Repeat("]", 30)} {
		allocs := testing.AllocsPerRun(1, func() { _, _, _ = Decode([]byte(b)) })
		if most := float64(5 * len(b)); allocs > most {
			t.Errorf("%d bytes: %.0f allocations, at most %.0f are borne", len(b), allocs, most)
		}
	}
}
