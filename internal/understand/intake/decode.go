package intake

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"leadbus/internal/call"
	"leadbus/internal/lead"
	"leadbus/internal/text"
)

// Bounds of what is kept of a tool call, in runes.
const (
	maxName    = 120
	maxSummary = 1000
	maxText    = 200
	maxDepth   = 32 // levels of nesting; a tool call has one
	maxClicks  = 24
	maxID      = 128 // bytes
)

var (
	clickKeys = text.Set("gclid gbraid wbraid fbclid fbc fbp msclkid ga_client_id ga_session_id")
	utmKeys   = regexp.MustCompile(`^utm_[a-z0-9_]{1,32}$`)
)

// idSigns are what an id of a vendor's is made of.
const idSigns = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-"

// Decode reads the body of the agent's tool call: one flat JSON object, or an
// envelope around it such as {tool_name, parameters{}, conversation_id}, whose
// parameters may be an object, a list, pairs of name and value, JSON in a string,
// or nested deeper. A name may be written as another vendor does. A missing field,
// null, "" and a text that says nothing ("N/A") are the same; numbers and booleans
// serve as text; unknown fields are ignored. Texts lose control
// characters and what turns the writing direction, and white space becomes single
// spaces; names are cut at 120 runes, the summary at 1000, others at 200. An id or
// a time that cannot be one counts as none. The flags say so: "cut",
// "conversation_id_invalid", "call_time_invalid".
//
// "test": true marks a test lead (lead.FlagTest). Only true will do, and not
// inside the parameters: no model may make one by mistake.
//
// An error says, without quoting the body, why it is not a JSON object or is
// nested too deep; nothing else is refused.
func Decode(body []byte) (lead.Request, []string, error) {
	v, err := parse(body)
	if err == nil && !nested(v) {
		err = errors.New("it is JSON, but not an object")
	}
	if err != nil {
		return lead.Request{}, nil, err
	}
	d := decoder{fields: make([]field, 0, 24)}
	d.take("", opened(v), maxDepth, true)
	r := lead.Request{
		ConversationID: d.vendorID("conversation_id", "conversation_id_invalid"),
		AgentID:        d.vendorID("agent_id", ""),
		CallSID:        d.vendorID("call_sid", ""),
		CallerID:       d.text(maxText, "caller_id"),
		CalledNumber:   d.text(maxText, "called_number"),
		CalledAt:       d.moment("call_time_utc"),

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
		ContactConsent:  consent(d.first(nil, "contact_consent")),
		Clicks:          d.clicks(),
	}
	if o, _ := v.(map[string]any); o["test"] == true {
		d.flags = append(d.flags, lead.FlagTest)
	}
	slices.Sort(d.flags)
	return r, slices.Compact(d.flags), nil
}

// space may stand around JSON, with a byte order mark.
const space = " \t\r\n\ufeff"

// parse reads JSON, with numbers as they were written.
func parse(body []byte) (any, error) {
	if body = bytes.Trim(body, space); len(body) == 0 {
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
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	return v, nil
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
	fields []field // in the order of trust
	flags  []string
}

type field struct{ name, said string }

// envelopes are what holds the arguments of a call in one vendor's or another's
// form. A field in one goes before a field around it; any other object is
// read last.
var envelopes = text.Set(`parameters arguments args kwargs params input tool_input action_input body payload data
	request function function_call tool_call tool_calls tool_call_list slots`)

// short are names that mean the customer's only among the arguments.
var short = text.Set("name phone service location place")

// take notes what stands, opened, under a name, with what stands in it down to a depth.
// Outside an envelope, inside is false: a short name there is not the customer's.
func (d *decoder) take(name string, v any, depth int, inside bool) {
	fields, ok := v.(map[string]any)
	switch list, _ := v.([]any); {
	case depth < 0:
		return
	case nested(list):
		for _, item := range list {
			d.take(name, opened(item), depth, inside)
		}
	case !ok:
		if s := asText(v); s != "" && s != call.Tool && (inside || !short[name]) {
			d.fields = append(d.fields, field{name, s})
		}
	}
	type ranked struct {
		rank int // an envelope is 0, a plain value 1, anything else 2
		name string
	}
	names := make([]ranked, 0, len(fields))
	for n := range fields {
		fields[n] = opened(fields[n])
		rank := 1
		if nested(fields[n]) {
			rank = 2
			if envelopes[text.Snake(n)] {
				rank = 0
			}
		}
		names = append(names, ranked{rank, n})
	}
	slices.SortFunc(names, func(a, b ranked) int { return cmp.Or(a.rank-b.rank, strings.Compare(a.name, b.name)) })
	_, pair := fields["value"]
	value := cmp.Or(fields["value"], fields["interpretedValue"], fields["stringValue"])
	if pair = (pair || value != nil) && depth < maxDepth; pair { // {"name": "city", "value": "Lancy"}, or "city": {"value": "Lancy"}
		d.take(text.Snake(cmp.Or(asText(fields["name"]), asText(fields["key"]), name)), value, depth-1, inside)
	}
	for _, n := range names {
		if n.name != "name" || !pair && names[0].rank > 0 { // else it is the tool's or the field's
			d.take(text.Snake(n.name), fields[n.name], depth-1, n.rank == 0 || inside && (n.rank == 1 || depth < maxDepth))
		}
	}
}

// opened is a value, or what stands in it as JSON of an object, a list or a text.
func opened(v any) any {
	s, ok := v.(string)
	if !ok || !strings.ContainsAny(s, `{["`) {
		return v
	}
	s = strings.Trim(strings.TrimPrefix(strings.Trim(s, space+"`"), "json"), space)
	if s == "" || !strings.Contains(`{["`, s[:1]) {
		return v
	}
	in, err := parse([]byte(s))
	if in = opened(in); err != nil || !nested(in) {
		return v // a text
	}
	return in
}

// nested reports whether a value is an object or a list with one.
func nested(v any) bool {
	v = opened(v)
	list, _ := v.([]any)
	_, ok := v.(map[string]any)
	return ok || slices.ContainsFunc(list, nested)
}

// text is the first of the fields that says anything, cleaned and cut.
func (d *decoder) text(limit int, names ...string) string {
	return d.cut(d.first(text.Blank, names...), limit)
}

// first is the first of the fields, cleaned, that does not count as empty; nil takes
// every text.
func (d *decoder) first(empty func(string) bool, names ...string) string {
	for _, name := range names {
		for _, f := range d.fields {
			if f.name == name {
				if s := clean(f.said); s != "" && (empty == nil || !empty(s)) {
					return s
				}
			}
		}
	}
	return ""
}

func (d *decoder) cut(s string, limit int) string {
	if runes := []rune(s); len(runes) > limit {
		d.flags = append(d.flags, "cut")
		return strings.TrimSpace(string(runes[:limit]))
	}
	return s
}

// vendorID is a field that holds an id of the voice platform or the carrier;
// anything else in it counts as nothing.
func (d *decoder) vendorID(name, flag string) string {
	for _, f := range d.fields {
		switch id := strings.TrimSpace(f.said); {
		case f.name != name || id == "":
		case strings.Trim(id, idSigns) == "" && len(id) <= maxID && !text.NoID(id):
			return id
		case flag != "":
			d.flags = append(d.flags, flag)
		}
	}
	return ""
}

// clicks are the advertising ids, nil for none: the first of their names, in
// alphabetical order.
func (d *decoder) clicks() (out map[string]string) {
	var names []string
	for _, f := range d.fields {
		if clickKeys[f.name] || strings.HasPrefix(f.name, "utm_") && utmKeys.MatchString(f.name) {
			names = append(names, f.name)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if s := d.first(nil, name); len(out) < maxClicks && s != "" {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = d.cut(s, maxText)
		}
	}
	return out
}

// asText is a JSON value as text: a list becomes its items with commas, an object
// nothing.
func asText(v any) string {
	switch v := v.(type) {
	case string:
		return whole(v)
	case json.Number:
		return whole(v.String())
	case bool:
		return strconv.FormatBool(v)
	case []any:
		var items []string
		for _, item := range v {
			if s := asText(item); s != "" {
				items = append(items, s)
			}
		}
		return strings.Join(items, ", ")
	}
	return ""
}

// floating is a number of whole digits as a float is written.
var floating = regexp.MustCompile(`^\+?([0-9]+\.0+|[0-9]\.?[0-9]*[eE]\+?[0-9]{1,2})$`)

// whole writes a whole number without a fraction or an exponent: a telephone
// number may have passed through a float.
func whole(s string) string {
	if s == "" || s[0] > '9' || !strings.ContainsAny(s, ".eE") || !floating.MatchString(s) {
		return s
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || f > 1e16 {
		return s
	}
	digits := strconv.FormatFloat(f, 'f', 0, 64)
	return s[:strings.IndexAny(s, "0123456789")] + digits
}

// moment reads an ISO 8601 time; one without a zone is UTC. The zero time is
// none, and so is one outside this century.
func (d *decoder) moment(name string) time.Time {
	s := d.first(nil, name)
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04:05Z07:00",
	} {
		if t, err := time.Parse(layout, strings.ToUpper(s)); err == nil && t.UTC().Year()/100 == 20 {
			return t.UTC()
		}
	}
	if s != "" {
		d.flags = append(d.flags, "call_time_invalid")
	}
	return time.Time{}
}

//go:embed consent.yaml
var consentFile []byte

var answers = text.Shipped[struct{ Whole, Yes, No, Not, Nouns, Problems, Questions []string }](consentFile)

// consent reads whether the customer may be contacted; nil when it says neither.
// The first answer stands, unless what follows turns it: "no problem".
func consent(s string) (granted *bool) {
	normal, turned := text.Normal(s), false
	if text.Blank(s) && !slices.Contains(answers.Whole, normal) {
		return nil
	}
	for w := range strings.FieldsSeq(normal) {
		switch is := func(words []string) bool { return slices.Contains(words, w) }; {
		case turned && is(answers.Questions):
			return nil
		case turned && is(answers.Problems):
			granted = new(true)
		case granted == nil && (is(answers.Yes) || turned && is(answers.Nouns)):
			granted = new(!turned)
		case granted == nil && is(answers.No):
			granted, turned = new(false), true
		case is(answers.No), is(answers.Not):
			turned = true
		}
	}
	return granted
}
