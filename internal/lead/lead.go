// Package lead holds the nouns of the trade: a lead, the offer of it to a
// provider, and the messages that tell people; their identity and the states
// they may pass through. It imports nothing of ours.
package lead

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Request is what the agent's tool call said: cleaned of control characters
// and cut to bounded length, but not interpreted. Every field may be empty.
type Request struct {
	ConversationID string    `json:"conversation_id,omitempty"`
	AgentID        string    `json:"agent_id,omitempty"`
	CallSID        string    `json:"call_sid,omitempty"`
	CallerID       string    `json:"caller_id,omitempty"`
	CalledNumber   string    `json:"called_number,omitempty"`
	CalledAt       time.Time `json:"called_at,omitzero"`

	CustomerName    string `json:"customer_name,omitempty"`
	CallbackNumber  string `json:"callback_number,omitempty"`
	Language        string `json:"language,omitempty"`
	ServiceType     string `json:"service_type,omitempty"`
	IssueSummary    string `json:"issue_summary,omitempty"`
	Urgency         string `json:"urgency,omitempty"`
	AddressLine     string `json:"address_line,omitempty"`
	City            string `json:"city,omitempty"`
	PostalCode      string `json:"postal_code,omitempty"`
	PreferredWindow string `json:"preferred_window,omitempty"`
	ContactConsent  *bool  `json:"contact_consent,omitempty"`

	// Clicks are the advertising ids captured before the call (gclid,
	// fbclid, utm_source, …), by their usual names.
	Clicks map[string]string `json:"clicks,omitempty"`
}

// Over lays a later call of the same lead over this one: what the later call
// left out keeps its earlier value, but a postcode does not outlast its city.
func (r Request) Over(later Request) Request {
	if r.City != "" && later.City != "" && !strings.EqualFold(r.City, later.City) {
		r.PostalCode = ""
	}
	to, from := reflect.ValueOf(&r).Elem(), reflect.ValueOf(later)
	for i := range from.NumField() {
		if field := from.Field(i); !field.IsZero() {
			to.Field(i).Set(field)
		}
	}
	return r
}

// Refused reports whether the customer does not want to be contacted.
func (r Request) Refused() bool { return r.ContactConsent != nil && !*r.ContactConsent }

// Urgent reads the agent's word for urgency, which is free text.
func (r Request) Urgent() bool {
	s := strings.ToLower(r.Urgency)
	for _, w := range strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) }) {
		switch w {
		case "not", "non", "no", "pas", "nicht", "kein", "keine", "tidak", "bukan", "low", "routine":
			return false
		}
	}
	stems := []string{"urgen", "emergen", "dringend", "notfall", "darurat", "mendesak", "immediat"}
	return slices.ContainsFunc(stems, func(stem string) bool { return strings.Contains(s, stem) })
}

// Lead is a customer's demand as understood so far. Its status is not part of
// it: a status is a projection of the lead's events.
type Lead struct {
	ID         string    `json:"id"`
	Ref        string    `json:"ref"` // short, speakable; for people, not unique
	Market     string    `json:"market"`
	Site       string    `json:"site"`       // domain
	SourceURL  string    `json:"source_url"` // the website the number stands on
	Tracker    string    `json:"tracker,omitempty"`
	Language   string    `json:"language"` // resolved, one of the site's
	ReceivedAt time.Time `json:"received_at"`

	Request Request `json:"request"`
	Service Service `json:"service"`
	Place   Place   `json:"place"`
	Phone   Phone   `json:"phone"`

	// Flags mark what a person should look at: phone_check, place_unknown,
	// service_unknown, missing_name, placeholder, cut, …; FlagTest and FlagRecovered.
	Flags []string `json:"flags,omitempty"`
}

// FlagTest marks a lead that nobody demanded: a canary's. No provider, customer
// or owner hears of it, and it belongs in no figure.
const FlagTest = "test"

// FlagRecovered marks a lead rebuilt from a call whose agent never passed it on.
const FlagRecovered = "recovered"

// Another reports whether a later tool call was made in another phone call, or
// by another caller: what both have for a conversation id is none.
func (l Lead) Another(later Lead) bool {
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	return differ(l.Request.CallSID, later.Request.CallSID) || differ(l.Phone.CallerID, later.Phone.CallerID)
}

// Flags of a rebuilt lead that no provider hears of without the owner's word.
const (
	FlagTransferred = "transferred" // a person has the caller
	FlagNoPhoneCall = "no_phone_call"
)

// Test reports whether nobody demanded the lead.
func (l Lead) Test() bool { return slices.Contains(l.Flags, FlagTest) }

// Service is the requested service: what was said and what it was taken for.
type Service struct {
	Raw    string `json:"raw,omitempty"`
	ID     string `json:"id,omitempty"`     // category; empty when unknown
	Method string `json:"method,omitempty"` // id, phrase, words, trade, only, unknown
	Name   string `json:"name,omitempty"`   // in the lead's language
}

// Place is where the work is: what was said and what it was taken for.
type Place struct {
	Raw        string  `json:"raw,omitempty"`
	ID         string  `json:"id,omitempty"` // empty when unknown or out of area
	Name       string  `json:"name,omitempty"`
	Method     string  `json:"method,omitempty"` // postcode, alias, fuzzy, assumed, out_of_area, unknown
	Score      float64 `json:"score,omitempty"`
	Suggestion string  `json:"suggestion,omitempty"` // a place id near in sound, not taken
}

// Phone is the customer's number: what was said and what it was taken for.
type Phone struct {
	Raw        string `json:"raw,omitempty"`
	E164       string `json:"e164,omitempty"`       // empty when no number is usable
	Source     string `json:"source,omitempty"`     // dictated, caller_id, both, none
	Confidence string `json:"confidence,omitempty"` // high, medium, low, none
	Type       string `json:"type,omitempty"`       // mobile, fixed, fixed_or_mobile, special
	CallerID   string `json:"caller_id,omitempty"`  // E.164, empty when withheld or invalid
	Second     string `json:"second,omitempty"`     // the other number, when two differ
	Check      bool   `json:"check,omitempty"`      // a person should confirm it
}

// Textable reports whether an SMS to the number makes sense.
func (p Phone) Textable() bool {
	return p.E164 != "" && (p.Type == "mobile" || p.Type == "fixed_or_mobile")
}

// NewID derives the lead's id from its site and conversation, so that the tool
// call, its repeats, the post-call report and any repair meet on one lead
// without a look-up. It collides only for the same conversation on the same
// site, by intent.
func NewID(site, conversation string) string { return derive("lead", site, conversation) }

// SecondID derives the id of a second, different request made in the same
// conversation: one per requested service, or per caller.
func SecondID(first, of string) string { return derive("second", first, of) }

// OfferID derives the id of the offer of a lead to a provider.
func OfferID(lead, provider string) string { return derive("offer", lead, provider) }

// MessageID derives the key of the send ledger. Two sends collide exactly when
// the same recipient is told the same thing about the same offer on the same
// channel, and that must happen once.
func MessageID(lead, purpose, recipient, channel, offer string) string {
	return derive("message", lead, purpose, recipient, channel, offer)
}

// Ref is six digits that can be read out in any language, such as "482 913".
func Ref(id string) string {
	h := sha256.Sum256([]byte("ref\x00" + id))
	n := (uint32(h[0])<<16 | uint32(h[1])<<8 | uint32(h[2])) % 1_000_000
	return fmt.Sprintf("%03d %03d", n/1000, n%1000)
}

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// derive makes a 100-bit id of 20 lower-case characters, fit for a subject
// token and a bucket key.
func derive(parts ...string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return idEncoding.EncodeToString(h[:])[:20]
}
