package intake

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/lead"
)

func TestDecode(t *testing.T) {
	yes, no := true, false
	for name, c := range map[string]struct {
		body  string
		want  lead.Request
		flags []string
	}{
		"a tool call": {
			body: `{"schema_version":"1","source":"elevenlabs","conversation_id":"conv_41","agent_id":"agent_7","call_sid":"CA01",
				"caller_id":"+41791234567","called_number":"+41225394512","call_time_utc":"2026-11-21T16:04:52.318204+01:00","call_duration_secs":96,
				"customer_name":"Marta Salas","callback_number":"079 123 45 67","service_type":"leak","issue_summary":"Kitchen pipe burst.",
				"urgency":"emergency","address_line":"Example street 12","city":"Carouge","postal_code":"1227","preferred_window":"today",
				"language":"en","contact_consent":true,"gclid":"G1","utm_source":"maps","utm_":"x","landing":"y"}`,
			want: lead.Request{
				ConversationID: "conv_41", AgentID: "agent_7", CallSID: "CA01", CallerID: "+41791234567", CalledNumber: "+41225394512",
				CalledAt:     time.Date(2026, 11, 21, 15, 4, 52, 318204000, time.UTC),
				CustomerName: "Marta Salas", CallbackNumber: "079 123 45 67", ServiceType: "leak", IssueSummary: "Kitchen pipe burst.",
				Urgency: "emergency", AddressLine: "Example street 12", City: "Carouge", PostalCode: "1227", PreferredWindow: "today",
				Language: "en", ContactConsent: &yes, Clicks: map[string]string{"gclid": "G1", "utm_source": "maps"},
			},
		},
		"nothing":            {body: `{}`},
		"null and empty":     {body: `{"customer_name":null,"city":"","contact_consent":null,"gclid":null,"conversation_id":null}`},
		"other names":        {body: `{"name":"Marta","phone":"079","service":"leak","location":"Carouge"}`, want: lead.Request{CustomerName: "Marta", CallbackNumber: "079", ServiceType: "leak", City: "Carouge"}},
		"the usual one wins": {body: `{"customer_name":"Marta","name":"M","city":" ","place":"Carouge"}`, want: lead.Request{CustomerName: "Marta", City: "Carouge"}},
		"numbers for text":   {body: `{"callback_number":41791234567,"postal_code":1227,"customer_name":true,"city":1e400}`, want: lead.Request{CallbackNumber: "41791234567", PostalCode: "1227", City: "1e400"}},
		"lists and objects":  {body: `{"service_type":["leak",null,"drain"],"city":{"name":"Carouge"},"customer_name":[]}`, want: lead.Request{ServiceType: "leak, drain"}},
		"consent in words":   {body: `{"contact_consent":"Oui"}`, want: lead.Request{ContactConsent: &yes}},
		"consent refused":    {body: `{"contact_consent":0}`, want: lead.Request{ContactConsent: &no}},
		"consent unclear":    {body: `{"contact_consent":"perhaps"}`},
		"time without zone":  {body: `{"call_time_utc":"2026-11-21 15:04:52"}`, want: lead.Request{CalledAt: time.Date(2026, 11, 21, 15, 4, 52, 0, time.UTC)}},
		"time unreadable":    {body: `{"call_time_utc":"{{system__time_utc}}"}`, flags: []string{"call_time_invalid"}},
		"the envelope": {
			body: `{"tool_call_id":"t","tool_name":"dispatch_lead","parameters":{"customer_name":"Marta","conversation_id":""},"conversation_id":"conv_41"}`,
			want: lead.Request{CustomerName: "Marta", ConversationID: "conv_41"},
		},
		"parameters of another kind": {body: `{"parameters":"x","customer_name":"Marta"}`, want: lead.Request{CustomerName: "Marta"}},
		"ids that are none": {
			body:  `{"conversation_id":"conv é>*","agent_id":"../..","call_sid":"CA 漢"}`,
			flags: []string{"conversation_id_invalid"},
		},
		"an unresolved variable is no conversation": {body: `{"conversation_id":"{{system__conversation_id}}"}`, flags: []string{"conversation_id_invalid"}},
		"an endless conversation id":                {body: `{"conversation_id":"` + strings.Repeat("c", 129) + `"}`, flags: []string{"conversation_id_invalid"}},
		"control characters": {
			body: `{"customer_name":"Mar\u0000ta\u0007\u001b[31m\r\nBcc: a@example.com\u0085","issue_summary":"a\u2028b\u202ec\u2067d\u00a0\t e"}`,
			want: lead.Request{CustomerName: "Marta[31m Bcc: a@example.com", IssueSummary: "a bcd e"},
		},
		"right-to-left text and emoji": {
			body: `{"customer_name":"مرتا \u200fسالاس","issue_summary":"👩‍🔧 💧"}`,
			want: lead.Request{CustomerName: "مرتا سالاس", IssueSummary: "👩‍🔧 💧"},
		},
		"markup, SQL and templates are text": {
			body: `{"customer_name":"Robert'); drop table lead; --","issue_summary":"<b>{{.Lead}} ${x} %s</b>"}`,
			want: lead.Request{CustomerName: "Robert'); drop table lead; --", IssueSummary: "<b>{{.Lead}} ${x} %s</b>"},
		},
		"broken UTF-8":                   {body: "{\"city\":\"Carouge\xff\"}", want: lead.Request{City: "Carouge\uFFFD"}},
		"a long name":                    {body: `{"customer_name":"` + strings.Repeat("Ā", 10000) + `"}`, want: lead.Request{CustomerName: strings.Repeat("Ā", 120)}, flags: []string{"cut"}},
		"long fields, one flag":          {body: `{"issue_summary":"` + strings.Repeat("a ", 900) + `","city":"` + strings.Repeat("b", 201) + `"}`, want: lead.Request{IssueSummary: strings.TrimSpace(strings.Repeat("a ", 500)), City: strings.Repeat("b", 200)}, flags: []string{"cut"}},
		"as long as is kept":             {body: `{"customer_name":"` + strings.Repeat("é", 120) + ` "}`, want: lead.Request{CustomerName: strings.Repeat("é", 120)}},
		"nested, but not deep":           {body: strings.Repeat(`{"x":`, 31) + "{}" + strings.Repeat("}", 31)},
		"brackets in a text":             {body: `{"city":"` + strings.Repeat("[", 100) + `\"{"}`, want: lead.Request{City: strings.Repeat("[", 100) + `"{`}},
		"a test lead":                    {body: `{"city":"Carouge","test":true}`, want: lead.Request{City: "Carouge"}, flags: []string{"test"}},
		"a test lead in the envelope":    {body: `{"parameters":{"city":"Carouge"},"test":true}`, want: lead.Request{City: "Carouge"}, flags: []string{"test"}},
		"a word for a test":              {body: `{"test":"true","city":"Carouge"}`, want: lead.Request{City: "Carouge"}},
		"a test that the model asks for": {body: `{"parameters":{"city":"Carouge","test":true}}`, want: lead.Request{City: "Carouge"}},
		"a field given twice":            {body: `{"city":"Lancy","city":"Carouge"}`, want: lead.Request{City: "Carouge"}},
		"white space around":             {body: " \r\n{\"city\":\"Carouge\"}\n", want: lead.Request{City: "Carouge"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, flags, err := Decode([]byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(c.flags, flags); diff != "" {
				t.Errorf("flags -want +got:\n%s", diff)
			}
		})
	}
}

// The ids that a website gave the conversation arrive wherever a caller of the tool
// puts them.
func TestClicksArrive(t *testing.T) {
	want := map[string]string{
		"gclid": "G", "gbraid": "GB", "wbraid": "WB", "fbclid": "F", "fbc": "fb.1.2.F", "fbp": "fb.1.2.3", "msclkid": "M",
		"ga_client_id": "1.2", "utm_source": "ads", "utm_campaign": "été & co",
	}
	flat, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"flat":                 string(flat),
		"in the parameters":    `{"tool_name":"dispatch_lead","parameters":` + string(flat) + `}`,
		"dynamic variables":    `{"parameters":{"city":"Carouge"},"dynamic_variables":` + string(flat) + `}`,
		"of the conversation":  `{"city":"Carouge","conversation_initiation_client_data":{"dynamic_variables":` + string(flat) + `}}`,
		"under a name":         `{"city":"Carouge","clicks":` + string(flat) + `}`,
		"as a text":            `{"city":"Carouge","attribution":` + strconv.Quote(string(flat)) + `}`,
		"names in other forms": strings.NewReplacer(`"ga_client_id"`, `"gaClientId"`, `"gclid"`, `"GCLID"`, `"utm_source"`, `"utmSource"`).Replace(string(flat)),
	} {
		r, _, err := Decode([]byte(body))
		if d := cmp.Diff(want, r.Clicks); err != nil || d != "" {
			t.Errorf("%s: %v %s", name, err, d)
		}
	}
}

func TestClicksAreBounded(t *testing.T) {
	fields := map[string]string{"gclid": strings.Repeat("g", 500)}
	for i := range 100 {
		fields[fmt.Sprintf("utm_%03d", i)] = "x"
	}
	body, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	r, flags, err := Decode(body)
	if err != nil || len(r.Clicks) != maxClicks || len(r.Clicks["gclid"]) != maxText || !slices.Equal(flags, []string{"cut"}) {
		t.Errorf("%d clicks, flags %v, %v", len(r.Clicks), flags, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct{ body, reason string }{
		"nothing":             {"", "it is empty"},
		"white space":         {" \n", "it is empty"},
		"truncated":           {`{"customer_name":"Mar`, "it ends early, after 21 bytes"},
		"truncated in a list": {`{"a":[1,`, "it ends early, after 8 bytes"},
		"a form":              {"customer_name=Marta", "it is not JSON at byte 1"},
		"binary":              {"\x00\x01\x02", "it is not JSON at byte 1"},
		"a raw line break":    {"{\"city\":\"Secret\nville\"}", "it is not JSON at byte 16"},
		"a list":              {"[]", "it is JSON, but not an object"},
		"null":                {"null", "it is JSON, but not an object"},
		"a text":              {`"Secret"`, "it is JSON, but not an object"},
		"two objects":         {`{"a":1}{"b":2}`, "something follows the object"},
		"an object and text":  {`{"a":1} Secret`, "something follows the object"},
		"nested 33 deep":      {strings.Repeat(`[`, 33) + strings.Repeat("]", 33), "it is nested deeper than 32 levels"},
		"nested 1000 deep":    {strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000), "it is nested deeper than 32 levels"},
		"opened without end":  {strings.Repeat(`[`, 1<<20), "it is nested deeper than 32 levels"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Decode([]byte(c.body))
			if err == nil || err.Error() != c.reason {
				t.Errorf("%v, want %q", err, c.reason)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"conversation_id":"conv_1","customer_name":"Marta","callback_number":41791234567,"contact_consent":"oui","utm_source":"x"}`))
	f.Add([]byte(`{"parameters":{"city":["a",1,true,null]},"call_time_utc":"2026-11-21T15:04:52Z"}`))
	f.Add([]byte(`{"customer_name":"\u0000\u202e\ud800","city":"` + strings.Repeat("é", 300) + `"}`))
	f.Add([]byte(strings.Repeat("[", 40)))
	vendorID := regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,128}$`)
	f.Fuzz(func(t *testing.T, body []byte) {
		r, flags, err := Decode(body)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "it ") && err.Error() != "something follows the object" {
				t.Fatalf("a reason of another kind: %v", err)
			}
			return
		}
		texts := []string{r.CallerID, r.CalledNumber, r.CustomerName, r.CallbackNumber, r.Language, r.ServiceType, r.IssueSummary, r.Urgency, r.AddressLine, r.City, r.PostalCode, r.PreferredWindow}
		for _, v := range r.Clicks {
			texts = append(texts, v)
		}
		for _, s := range texts {
			if !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxSummary || s != strings.TrimSpace(s) || strings.Contains(s, "  ") ||
				strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
				t.Fatalf("not clean: %q", s)
			}
		}
		for _, id := range []string{r.ConversationID, r.AgentID, r.CallSID} {
			if id != "" && !vendorID.MatchString(id) {
				t.Fatalf("not an id: %q", id)
			}
		}
		for _, flag := range flags {
			if !slices.Contains([]string{"cut", "conversation_id_invalid", "call_time_invalid", lead.FlagTest}, flag) {
				t.Fatalf("flag %q", flag)
			}
		}
		stored, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back lead.Request
		if err := json.Unmarshal(stored, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, back); diff != "" {
			t.Fatalf("changed on the way:\n%s", diff)
		}
	})
}

// A whole number is a number, however it was written.
func TestAFloatIsATelephoneNumber(t *testing.T) {
	for written, want := range map[string]string{
		`41781234567.0`:     "41781234567",
		`41781234567.00`:    "41781234567",
		`4.1781234567e10`:   "41781234567",
		`4.1781234567E10`:   "41781234567",
		`4.1781234567e+10`:  "41781234567",
		`4.1781234567E+10`:  "41781234567",
		`4.178e10`:          "41780000000",
		`4e10`:              "40000000000",
		`41781234567`:       "41781234567",
		`6.281234567890e12`: "6281234567890",
		`"41781234567.0"`:   "41781234567",
		`"+41781234567.0"`:  "+41781234567",
		`"4.1781234567E10"`: "41781234567",
		`[41781234567.0]`:   "41781234567",
		`781234567.0`:       "781234567",
		`33612345678.000`:   "33612345678",
		`1.5`:               "1.5",
		`1e400`:             "1e400",
		`"078.123.45.67"`:   "078.123.45.67",
		`"12.30"`:           "12.30",
		`-41781234567.0`:    "-41781234567.0",
	} {
		for _, field := range []string{"callback_number", "phone", "caller_id"} {
			r, _, err := Decode([]byte(`{"` + field + `":` + written + `}`))
			if err != nil {
				t.Fatal(err)
			}
			got := r.CallbackNumber
			if field == "caller_id" {
				got = r.CallerID
			}
			if got != want {
				t.Errorf("%s %s: %q, want %q", field, written, got, want)
			}
		}
	}
}

// The arguments of a call are found in every form in which platforms wrap them.
func TestArgumentsInAnEnvelope(t *testing.T) {
	want := lead.Request{ConversationID: "conv_1", CustomerName: "Marta", CallbackNumber: "0781234567", City: "Carouge"}
	inner := `{"customer_name":"Marta","callback_number":"0781234567","city":"Carouge"}`
	quoted := strconv.Quote(inner)
	for name, body := range map[string]string{
		"flat":                      `{"conversation_id":"conv_1","customer_name":"Marta","callback_number":"0781234567","city":"Carouge"}`,
		"parameters":                `{"conversation_id":"conv_1","parameters":` + inner + `}`,
		"parameters as text":        `{"conversation_id":"conv_1","parameters":` + quoted + `}`,
		"nested by name":            `{"conversation_id":"conv_1","parameters":{"dispatch_lead":` + inner + `}}`,
		"nested arguments":          `{"conversation_id":"conv_1","parameters":{"arguments":` + inner + `}}`,
		"nested twice":              `{"conversation_id":"conv_1","parameters":{"parameters":` + inner + `}}`,
		"nested as text":            `{"conversation_id":"conv_1","parameters":{"arguments":` + quoted + `}}`,
		"text of a text":            `{"conversation_id":"conv_1","parameters":` + strconv.Quote(`{"parameters":`+quoted+`}`) + `}`,
		"arguments as text":         `{"conversation_id":"conv_1","tool_name":"dispatch_lead","arguments":` + quoted + `}`,
		"function":                  `{"conversation_id":"conv_1","function":{"name":"dispatch_lead","arguments":` + quoted + `}}`,
		"a list of one":             `{"conversation_id":"conv_1","parameters":[` + inner + `]}`,
		"customer and place":        `{"conversation_id":"conv_1","parameters":{"customer":{"name":"Marta","phone":"0781234567"},"address":{"city":"Carouge"}}}`,
		"an id the model made up":   `{"conversation_id":"conv_1","parameters":{"conversation_id":"unknown","customer_name":"Marta","callback_number":"0781234567","city":"Carouge"}}`,
		"an empty field before it":  `{"conversation_id":"conv_1","city":"Carouge","parameters":{"customer_name":"Marta","callback_number":"0781234567","city":"N/A"}}`,
		"a byte order mark in text": `{"conversation_id":"conv_1","parameters":"\ufeff` + quoted[1:] + `}`,
	} {
		got, _, err := Decode([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got.CustomerName == "dispatch_lead" { // "name" of a function
			t.Errorf("%s: the tool's name is taken for the customer's", name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

// What stands for nothing counts as nothing, in every field and language.
func TestAWordForNothingIsNothing(t *testing.T) {
	words := []string{
		"null", "none", "None", "N/A", "n/a", "NA", "nil", "undefined", "NaN", "string", "unknown", "Unknown.", "not provided", "Not Provided", "not specified", "not yet known", "No data", "-", "—", "...", "?", "tbd",
		"Non fourni", "non fournie", "Non précisé", "pas précisé", "non renseigné", "Inconnu", "inconnue", "aucun", "Aucune", "rien", "non communiqué", "pas encore connu", "pas de numéro",
		"unbekannt", "Keine Angabe", "nicht angegeben", "noch nicht bekannt", "keine", "k. A.", "nichts",
		"sconosciuto", "Non fornito", "non specificata", "nessuno", "non disponibile", "n.d.",
		"tidak diketahui", "Tidak ada", "tidak disebutkan", "belum diketahui", "kosong", "tanpa nama",
	}
	for _, word := range words {
		fields := map[string]any{"conversation_id": "conv_1"}
		for _, f := range []string{"customer_name", "callback_number", "caller_id", "service_type", "issue_summary", "city", "postal_code", "address_line", "preferred_window", "urgency", "language"} {
			fields[f] = word
		}
		body, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(lead.Request{ConversationID: "conv_1"}, got); diff != "" {
			t.Errorf("%q: -want +got:\n%s", word, diff)
		}
	}
	for _, word := range []string{"Nilsson", "Nadia", "Nona", "No", "Rienzi", "Bekannt", "pas de pression", "no hot water", "ada kebocoran", "asap", "demain", "no", "keine Heizung", "rien ne coule", "not before 6 pm", "💧"} {
		got, _, err := Decode([]byte(`{"issue_summary":` + strconv.Quote(word) + `}`))
		if err != nil || got.IssueSummary != word {
			t.Errorf("%q: %q, %v", word, got.IssueSummary, err)
		}
	}
}

// An id that cannot be one is none.
func TestAWordIsNoConversation(t *testing.T) {
	for _, id := range []string{
		"unknown", "null", "undefined", "test", "TEST", "string", "12345", "1234567890", "0", "1", "000000", "system__conversation_id", "System__Conversation_ID", "none", "None", "n/a", "N/A",
		"conversation_id", "conversation-id", "your_conversation_id", "example", "sample", "xxx", "xxxxxxxx", "NaN", "true", "00000000-0000-0000-0000-000000000000", "abc", "abc123", "-", "...", "demo", "{{system__conversation_id}}", "<conversation_id>", "id",
	} {
		body, err := json.Marshal(map[string]any{"conversation_id": id, "call_sid": id, "city": "Carouge"})
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := Decode(body)
		if err != nil || got.ConversationID != "" || got.CallSID != "" {
			t.Errorf("%q: conversation %q, call %q, %v", id, got.ConversationID, got.CallSID, err)
		}
	}
	for _, id := range []string{"conv_1", "conv_7101k2mq9xe8tr5wz3hnd6y", "CA0123456789abcdef0123456789abcdef", "conv-test-7", "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "9876501234567"} {
		got, flags, err := Decode([]byte(`{"conversation_id":"` + id + `"}`))
		if err != nil || got.ConversationID != id || flags != nil {
			t.Errorf("%q: %q, %v, %v", id, got.ConversationID, flags, err)
		}
	}
}

// A time that no call can have is left out and flagged.
func TestAnOddTimeIsNone(t *testing.T) {
	for _, at := range []string{"9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+01:00", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2999-01-01T00:00:00Z", "yesterday", "1764230400"} {
		got, flags, err := Decode([]byte(`{"city":"Carouge","call_time_utc":"` + at + `"}`))
		if err != nil || !got.CalledAt.IsZero() || !slices.Equal(flags, []string{"call_time_invalid"}) {
			t.Errorf("%s: %v, flags %v, %v", at, got.CalledAt, flags, err)
		}
	}
}
