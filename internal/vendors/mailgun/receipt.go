package mailgun

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/mailgun/mailgun-go/v4"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/subjects"
	"leadbus/internal/vendors/exchange"
)

// Mailgun repeats a webhook for some eight hours (except "delivered", which it
// never repeats); a signature much older than that is a replay, one from the
// future a wrong clock.
const (
	maxAge   = 12 * time.Hour
	maxAhead = 10 * time.Minute
)

// happening is an event in a webhook or from the Events API, as far as we read
// it. Mailgun adds fields without notice and is loose about types.
type happening struct {
	Event         scalar    `json:"event"`
	ID            scalar    `json:"id"`
	Timestamp     scalar    `json:"timestamp"` // seconds with a fraction
	Severity      scalar    `json:"severity"`
	Reason        scalar    `json:"reason"`
	UserVariables variables `json:"user-variables"`
	Message       struct {
		Headers struct {
			MessageID scalar `json:"message-id"`
		} `json:"headers"`
	} `json:"message"`
}

// Receipt checks a webhook and reads it. The event of the subject is
// subjects.ReceiptReceived. It answers event.ErrUnauthenticated for one that
// is not signed or too old, and event.ErrNotFound for one that is not about a
// mail of ours. The signature covers only time and token: repeats carry the
// same one and are harmless, and the path must be reached over TLS. Order is
// not guaranteed.
//
// A temporary failure changes nothing, since Mailgun itself tries on for
// hours. A complaint and an unsubscription change nothing about the mail
// either, but carry a Failure of class lead.OptedOut.
func (c *Client) Receipt(_ *http.Request, body []byte) (subjects.Lead, lead.Receipt, error) {
	var hook struct {
		Signature struct {
			Timestamp scalar `json:"timestamp"`
			Token     scalar `json:"token"`
			Signature scalar `json:"signature"`
		} `json:"signature"`
		Data json.RawMessage `json:"event-data"`
	}
	if decode(body, &hook) != nil {
		return subjects.Lead{}, lead.Receipt{}, errors.New("mailgun receipt: the body is not a webhook's JSON")
	}
	s := hook.Signature
	if err := c.authentic(mailgun.Signature{TimeStamp: string(s.Timestamp), Token: string(s.Token), Signature: string(s.Signature)}); err != nil {
		return subjects.Lead{}, lead.Receipt{}, err
	}
	var h happening
	if decode(hook.Data, &h) != nil {
		return subjects.Lead{}, lead.Receipt{}, errors.New("mailgun receipt: event-data is missing")
	}
	to, r, err := exchange.Receipt(vendor, func(name string) string { return h.UserVariables[name] })
	if err != nil {
		return to, r, err
	}
	if h.Event == "" {
		return subjects.Lead{}, lead.Receipt{}, errors.New("mailgun receipt: the event has no name")
	}
	return to, h.saying(r, c.now()), nil
}

// saying is a receipt with what happened and what it means.
func (h happening) saying(r lead.Receipt, now time.Time) lead.Receipt {
	r.Vendor, r.VendorID, r.At = vendor, string(h.Message.Headers.MessageID), h.at(now)
	r.Status, r.State, r.Failure = h.meaning()
	return r
}

func (c *Client) authentic(s mailgun.Signature) error {
	mg := mailgun.NewMailgun("", c.o.APIKey)
	mg.SetWebhookSigningKey(c.o.SigningKey)
	// Without a signing key the library would check against the API key.
	ok, err := mg.VerifyWebhookSignature(s)
	if err != nil || !ok || c.o.SigningKey == "" {
		return fmt.Errorf("mailgun receipt: %w", event.ErrUnauthenticated)
	}
	signed, ok := seconds(s.TimeStamp)
	age := c.now().Sub(signed)
	if !ok || age > maxAge || age < -maxAhead {
		return fmt.Errorf("mailgun receipt: signed too long ago: %w", event.ErrUnauthenticated)
	}
	return nil
}

// states is the state of a mail after an event; one that is not here changes
// nothing.
var states = map[string]lead.MessageState{"delivered": lead.MessageDelivered, "rejected": lead.MessageFailed}

// meaning maps an event to its name among Mailgun's webhooks, to the state of
// the mail, and to the failure it tells of. Openings and clicks are no proof
// of a person and change nothing.
func (h happening) meaning() (status string, state lead.MessageState, f *lead.Failure) {
	name := string(h.Event)
	switch {
	case name != "failed":
		f := &lead.Failure{Vendor: vendor, Code: name}
		if !codes.Events.Explain(f, name) {
			f = nil
		}
		return name, states[name], f
	case h.Severity == "temporary":
		return "temporary_fail", "", nil
	}
	code := cmp.Or(string(h.Reason), name)
	f = &lead.Failure{Vendor: vendor, Code: code, Class: lead.Transient, Reason: "not delivered; the reason is not in our table"}
	codes.Reasons.Explain(f, code)
	return "permanent_fail", lead.MessageFailed, f
}

// at is when it happened, or now where the event does not say.
func (h happening) at(now time.Time) time.Time {
	if t, ok := seconds(string(h.Timestamp)); ok {
		return t
	}
	return now.UTC()
}

// seconds reads a Unix time, with or without a fraction.
func seconds(s string) (time.Time, bool) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f > 1e9 && f < 4e9) { // from 2001 to 2096
		return time.Time{}, false
	}
	whole, part := math.Modf(f)
	return time.Unix(int64(whole), int64(part*1e6)*1e3).UTC(), true
}

// decode reads JSON and forgives a field of another type than expected, and a
// byte order mark.
func decode(b []byte, v any) error {
	err := json.Unmarshal(bytes.Trim(b, "\ufeff \t\r\n"), v)
	var other *json.UnmarshalTypeError
	if errors.As(err, &other) {
		return nil
	}
	return err
}

// scalar reads a JSON string, number or bool; anything else is empty.
type scalar string

// UnmarshalJSON never fails.
func (s *scalar) UnmarshalJSON(b []byte) error {
	var text string
	switch {
	case json.Unmarshal(b, &text) == nil && b[0] == '"':
		*s = scalar(text)
	case b[0] == '{', b[0] == '[', string(b) == "null":
		*s = ""
	default:
		*s = scalar(b)
	}
	return nil
}

// variables reads an object of scalars; Mailgun writes [] when there are none.
type variables map[string]string

// UnmarshalJSON never fails.
func (v *variables) UnmarshalJSON(b []byte) error {
	var m map[string]scalar
	if json.Unmarshal(b, &m) != nil {
		return nil
	}
	*v = make(variables, len(m))
	for k, s := range m {
		(*v)[k] = string(s)
	}
	return nil
}
