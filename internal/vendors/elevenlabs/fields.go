package elevenlabs

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object whose fields may have any type: one that is missing,
// null or of a wrong type reads as nothing.
type object map[string]any

// parse reads an object, without quoting it in the error.
func parse(data []byte) (object, error) {
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimLeft(data, "\ufeff \t\r\n"))) // some write a byte order mark
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil, errors.New("it is not JSON")
	}
	o, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("it is JSON, but not an object")
	}
	return o, nil
}

func (o object) object(key string) object {
	v, _ := o[key].(map[string]any)
	return v
}

// objects are the objects in a list.
func (o object) objects(key string) []object {
	list, _ := o[key].([]any)
	out := make([]object, 0, len(list))
	for _, v := range list {
		if v, ok := v.(map[string]any); ok {
			out = append(out, v)
		}
	}
	return out
}

// text is a field that holds text, a number or a boolean.
func (o object) text(key string) string {
	switch v := o[key].(type) {
	case string, json.Number, bool:
		return asText(v)
	}
	return ""
}

// number is a number that is neither negative nor more than most; any other
// reads as nothing.
func (o object) number(key string, most float64) float64 {
	f, err := strconv.ParseFloat(o.text(key), 64)
	if err != nil || !(f >= 0 && f <= most) {
		return 0
	}
	return f
}

const (
	longest  = 24 * 60 * 60  // seconds; the vendor ends a call after two hours
	dearest  = 10_000        // US dollars
	earliest = 946_684_800   // the year 2000, before any call
	latest   = 4_102_444_800 // the year 2100
)

// seconds are whole seconds of a call.
func (o object) seconds(key string) int { return int(o.number(key, longest)) }

func (o object) yes(key string) bool { return o.text(key) == "true" }

// time reads unix seconds, as a number or a text, or RFC 3339, or a date.
func (o object) time(key string) time.Time {
	t := time.Unix(int64(o.number(key, latest)), 0)
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if read, err := time.Parse(layout, o.text(key)); err == nil {
			t = read
		}
	}
	if t.Unix() < earliest || t.Unix() > latest {
		return time.Time{}
	}
	return t.UTC()
}

// unwanted are the character that Postgres does not store and the byte order mark.
var unwanted = strings.NewReplacer("\x00", "", "\ufeff", "")

// asText is a JSON value as text, without what is unwanted; null and what is empty
// are nothing.
func asText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return strings.TrimSpace(unwanted.Replace(v))
	case json.Number:
		// A number without a fraction is written as people do, such as a phone
		// number that came as 4.1781234567e10.
		if f, err := v.Float64(); err == nil && f == math.Trunc(f) && math.Abs(f) < 1e15 {
			return strconv.FormatInt(int64(f), 10)
		}
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // what was decoded encodes
	s := strings.TrimSpace(b.String())
	if s == "{}" || s == "[]" {
		return ""
	}
	return s
}

// asJSON is a text that should hold JSON; one that does not becomes a JSON
// string.
func asJSON(s string) json.RawMessage {
	switch {
	case s == "":
		return nil
	case json.Valid([]byte(s)) && !strings.Contains(s, `\u0000`):
		return json.RawMessage(s)
	}
	b, _ := json.Marshal(s) // a string always encodes
	return b
}
