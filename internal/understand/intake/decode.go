package intake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"leadbus/internal/lead"
)

// Bounds of what is kept of a tool call, in runes.
const (
	maxName    = 120
	maxSummary = 1000
	maxText    = 200
	maxDepth   = 32 // levels of nesting; a tool call has one
	maxClicks  = 24
)

var (
	vendorIDs = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,128}$`)
	clickKeys = regexp.MustCompile(`^(gclid|gbraid|wbraid|fbclid|fbc|fbp|msclkid|ga_client_id|ga_session_id|utm_[a-z0-9_]{1,32})$`)
)

// Decode reads the body of the agent's tool call: one flat JSON object, or the
// envelope {tool_name, parameters{}, conversation_id} around it. A missing
// field, null and "" are the same; numbers and booleans serve as text; unknown
// fields are ignored. Texts lose control characters and what turns the writing
// direction, and white space becomes single spaces; names are cut at 120 runes,
// the summary at 1000, others at 200. An id that cannot be one counts as none.
// The flags say so: "cut", "conversation_id_invalid".
//
// "test": true marks a test lead (lead.FlagTest). Only true will do, and not
// inside the parameters: no model may make one by mistake.
//
// An error says, without quoting the body, why it is not a JSON object or is
// nested too deep; nothing else is refused.
func Decode(body []byte) (lead.Request, []string, error) {
	fields, err := object(body)
	if err != nil {
		return lead.Request{}, nil, err
	}
	test := fields["test"] == true
	if inner, ok := fields["parameters"].(map[string]any); ok {
		for k, v := range fields {
			if asText(inner[k]) == "" {
				inner[k] = v
			}
		}
		fields = inner
	}
	d := decoder{fields: fields}
	r := lead.Request{
		ConversationID: d.vendorID("conversation_id", "conversation_id_invalid"),
		AgentID:        d.vendorID("agent_id", ""),
		CallSID:        d.vendorID("call_sid", ""),
		CallerID:       d.text(maxText, "caller_id"),
		CalledNumber:   d.text(maxText, "called_number"),
		CalledAt:       moment(d.text(maxText, "call_time_utc")),

		CustomerName:    d.text(maxName, "customer_name", "name"),
		CallbackNumber:  d.text(maxText, "callback_number", "phone"),
		Language:        d.text(maxText, "language"),
		ServiceType:     d.text(maxText, "service_type", "service"),
		IssueSummary:    d.text(maxSummary, "issue_summary"),
		Urgency:         d.text(maxText, "urgency"),
		AddressLine:     d.text(maxText, "address_line"),
		City:            d.text(maxText, "city", "location", "place"),
		PostalCode:      d.text(maxText, "postal_code"),
		PreferredWindow: d.text(maxText, "preferred_window"),
		ContactConsent:  consent(d.text(maxText, "contact_consent")),
		Clicks:          d.clicks(),
	}
	if test {
		d.flags = append(d.flags, lead.FlagTest)
	}
	slices.Sort(d.flags)
	return r, slices.Compact(d.flags), nil
}

// object is the body as an object with numbers as they were written.
func object(body []byte) (map[string]any, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, errors.New("it is empty")
	}
	if tooDeep(body) {
		return nil, fmt.Errorf("it is nested deeper than %d levels", maxDepth)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("it ends early, after %d bytes", len(body))
	case errors.As(err, &syntax):
		return nil, fmt.Errorf("it is not JSON at byte %d", syntax.Offset)
	case err != nil:
		return nil, errors.New("it is not JSON")
	}
	fields, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("it is JSON, but not an object")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	return fields, nil
}

// tooDeep reports whether brackets outside strings nest over maxDepth. It runs
// before the parser, whose own limit is 10,000.
func tooDeep(body []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// decoder takes fields out of a call and remembers what it did to them.
type decoder struct {
	fields map[string]any
	flags  []string
}

// text is the first of the fields that holds anything, cleaned and cut.
func (d *decoder) text(limit int, names ...string) string {
	for _, name := range names {
		if s := clean(asText(d.fields[name])); s != "" {
			return d.cut(s, limit)
		}
	}
	return ""
}

func (d *decoder) cut(s string, limit int) string {
	n := 0
	for i := range s {
		if n == limit {
			d.flags = append(d.flags, "cut")
			return strings.TrimSpace(s[:i])
		}
		n++
	}
	return s
}

// vendorID is a field that holds an id of the voice platform or the carrier;
// anything else in it counts as nothing.
func (d *decoder) vendorID(name, flag string) string {
	id := strings.TrimSpace(asText(d.fields[name]))
	switch {
	case vendorIDs.MatchString(id):
		return id
	case id != "" && flag != "":
		d.flags = append(d.flags, flag)
	}
	return ""
}

// clicks are the advertising ids, nil for none.
func (d *decoder) clicks() map[string]string {
	var out map[string]string
	var names []string
	for name := range d.fields {
		if clickKeys.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names[:min(len(names), maxClicks)] {
		if s := d.text(maxText, name); s != "" {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = s
		}
	}
	return out
}

// asText is a JSON value as text: a list becomes its items with commas, an object
// nothing.
func asText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "true"
		}
		return "false"
	case []any:
		var items []string
		for _, item := range v {
			if s := asText(item); s != "" {
				items = append(items, s)
			}
		}
		return strings.Join(items, ", ")
	default:
		return ""
	}
}

// moment reads an ISO 8601 time; one without a zone is UTC. The zero time is
// none.
func moment(s string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

func consent(s string) *bool {
	yes := true
	no := false
	switch strings.ToLower(s) {
	case "true", "yes", "1", "oui", "ja", "si", "sì", "ya":
		return &yes
	case "false", "no", "0", "non", "nein", "tidak":
		return &no
	default:
		return nil
	}
}
