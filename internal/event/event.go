// Package event defines what travels on the bus: the envelope, the payload of
// each kind, and what a handler may answer to a delivery.
//
// Every event belongs to one lead and carries the lead's market and site, as
// does its subject; Decode refuses an event whose subject says otherwise. The
// payload's version stands in the type ("received.v1"); an old event must
// still decode, so a payload only ever gains fields.
package event

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"leadbus/internal/call"
	"leadbus/internal/event/alarm"
	"leadbus/internal/event/digest"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/subjects"
)

// Event is one fact about one lead.
type Event struct {
	// ID is the message id: the same fact always has the same one, so the
	// stream's duplicate window, Postgres and every handler can drop repeats.
	ID   string
	At   time.Time // when it happened, UTC
	Lead subjects.Lead
	Body any // a pointer to one of the payloads below

	// Seq is the stream sequence and Stored when the stream took it; both are
	// zero before publishing.
	Seq    uint64
	Stored time.Time
	// Wire is the body as it was stored; nil of an event that was made here.
	Wire []byte
}

// Statuses of a lead that was rebuilt from its call, besides a lead.Status.
const (
	Recovered = "recovered" // it was sent on
	Asked     = "asked"     // it waits for the owner
)

// Payloads, one for each kind.
type (
	// Received is the agent's tool call (subjects.Received).
	Received struct {
		Lead lead.Lead       `json:"lead"`          // as the edge understood it
		Raw  json.RawMessage `json:"raw,omitempty"` // the body as it came, so that nothing is lost
		// Repeats is the lead as which the call came first: the same customer
		// called again for the same job.
		Repeats string `json:"repeats,omitempty"`
	}

	// Decided is the matcher's outcome (Matched, Amended, Reassigned, Unserved,
	// Postponed, Overdue, Merged, ReviewRequested): the lead as understood from all
	// its calls, and why.
	Decided struct {
		Lead     lead.Lead        `json:"lead"`
		Reason   string           `json:"reason,omitempty"` // for all but a match
		Offer    string           `json:"offer,omitempty"`
		Provider *roster.Provider `json:"provider,omitempty"` // with the channels that work
		Trace    roster.Trace     `json:"trace,omitempty"`
		// Rivals are offered the lead at the same time (lead.Broadcast).
		Rivals []Rival `json:"rivals,omitempty"`

		Mode string `json:"mode,omitempty"` // of the offer: notify when empty
		// Turn is the turn of the lead (story.Record) that the decision was made
		// on: on another one it counts for nothing. Empty of a first decision.
		Turn string `json:"turn,omitempty"`
		// Ended is how the offer before ended.
		Ended lead.OfferState `json:"ended,omitempty"`
		// Until is when the offer expires, or when somebody is open again.
		Until time.Time `json:"until,omitzero"`
		// TextAt and PageAt are when customer and owner hear that the lead is
		// still open.
		TextAt time.Time `json:"text_at,omitzero"`
		PageAt time.Time `json:"page_at,omitzero"`
		// Of is the lead that this one repeats, of Merged; and whom an Overdue
		// is for.
		Of string `json:"of,omitempty"`
	}
	// Rival is one more provider who is offered a lead.
	Rival struct {
		Offer    string          `json:"offer"`
		Provider roster.Provider `json:"provider"`
	}
	// Replied is what a provider answered to an offer (ProviderReplied).
	Replied struct {
		Offer    string `json:"offer"`
		Provider string `json:"provider"` // id
		Answer   string `json:"answer"`   // one of the answers of a provider
		Reason   string `json:"reason,omitempty"`
		Value    string `json:"value,omitempty"` // of a job that is done, as entered
		Until    string `json:"until,omitempty"` // last day of a leave
	}
	// Verifying asks a provider whether messages arrive (VerifyAsked).
	Verifying struct {
		Provider roster.Provider `json:"provider"` // with the channels that are to be confirmed
	}
	// Ordered is what the owner decided on a lead (OwnerDecided).
	Ordered struct {
		Order    string `json:"order"`              // one of the orders below
		Provider string `json:"provider,omitempty"` // id, of Assign
		Reason   string `json:"reason,omitempty"`
		Value    string `json:"value,omitempty"` // of a job that was won, as entered
		Of       string `json:"of,omitempty"`    // the other lead, of a duplicate
	}
	// Texted is what somebody wrote to a number of ours (TextReceived).
	Texted struct {
		Channel string `json:"channel"`
		From    string `json:"from"` // E.164, or a WhatsApp user's id without a number
		To      string `json:"to"`
		Text    string `json:"text,omitempty"`
		// OptOut is START or STOP, as the vendor or the words say.
		OptOut string `json:"opt_out,omitempty"`
		// Person, without a From, is who opted out by a link (link.Signer.Person).
		Person string `json:"person,omitempty"`
		// Told is set when the vendor confirmed it to the sender.
		Told bool `json:"told,omitempty"`
	}

	// Queued is one message to be sent (MessageQueued).
	Queued struct {
		Message lead.Message `json:"message"`
	}

	// Attempted is the outcome of an attempt (MessageSent, MessageFailed,
	// MessageDoubtful). Its label is empty when an earlier version sent it.
	Attempted struct {
		lead.Label
		Message string        `json:"message"` // message id
		Attempt string        `json:"attempt"`
		Sent    *lead.Sent    `json:"sent,omitempty"`
		Failure *lead.Failure `json:"failure,omitempty"`
		// PossibleDouble marks a resend after an outcome that stayed unknown.
		PossibleDouble bool `json:"possible_double,omitempty"`
	}

	// Ended is a finished call (CallEnded).
	Ended struct {
		Call call.Call `json:"call"`
		// Raw is the vendor's report as it came, compressed with gzip; empty
		// when even so it is too large for the bus.
		Raw []byte `json:"raw,omitempty"`
		// Voice, instead of a call, is one that the vendor takes away. It has no
		// kind of its own: a role of an earlier version gives up what it does
		// not know.
		Voice *call.Voice `json:"voice,omitempty"`
	}

	// Scanned is what the scanner made of a call (CallScanned).
	Scanned struct {
		Call call.Call `json:"call"`
		Scan call.Scan `json:"scan"`
		// Lead is the call's lead as it stood then; nil when there was none. Of
		// a lead that waits for the owner's answer it is what could be rebuilt.
		Lead *lead.Lead `json:"lead,omitempty"`
		// Status is the lead's: a lead.Status, Recovered or Asked.
		Status   string `json:"status,omitempty"`
		Provider string `json:"provider,omitempty"` // the matched one's name
		// Before counts the scans of reports that told less of the call.
		Before int `json:"before,omitempty"`
	}

	// Raised notifies the owner of an alarm (AlarmRaised).
	Raised struct {
		Alarm alarm.Alarm `json:"alarm"`
	}

	// Answered is what an owner answered by a link (OwnerAnswered): about a
	// recovered lead, or an alarm.
	Answered struct {
		Answer string `json:"answer"` // confirm, drop, acknowledge
		// The owner's corrections of a recovered lead.
		Phone   string `json:"phone,omitempty"`
		Service string `json:"service,omitempty"` // id
		Place   string `json:"place,omitempty"`   // id
	}

	// Digested is an owner's day (DigestMade).
	Digested struct {
		Digest digest.Digest `json:"digest"`
	}

	// Reported is a vendor's receipt (ReceiptReceived).
	Reported struct {
		Receipt lead.Receipt `json:"receipt"`
	}
)

// Unreachable reports whether a lead has no provider because those who could take it
// cannot be reached.
func (d *Decided) Unreachable() bool {
	return d.Ended == lead.OfferUndeliverable || slices.ContainsFunc(d.Trace, func(v roster.Verdict) bool { return strings.HasPrefix(v.Reason, roster.CannotBeReached) })
}

// bodies are the payload types by kind.
var bodies = map[string]func() (into any, got func() any){
	subjects.Received:        of[Received],
	subjects.ReviewRequested: of[Decided],
	subjects.Unserved:        of[Decided],
	subjects.Matched:         of[Decided],
	subjects.Amended:         of[Decided],
	subjects.Reassigned:      of[Decided],
	subjects.Postponed:       of[Decided],
	subjects.Overdue:         of[Decided],
	subjects.Merged:          of[Decided],
	subjects.ProviderReplied: of[Replied],
	subjects.OwnerDecided:    of[Ordered],
	subjects.VerifyAsked:     of[Verifying],
	subjects.TextReceived:    of[Texted],
	subjects.MessageQueued:   of[Queued],
	subjects.MessageSent:     of[Attempted],
	subjects.MessageFailed:   of[Attempted],
	subjects.MessageDoubtful: of[Attempted],
	subjects.ReceiptReceived: of[Reported],
	subjects.CallEnded:       of[Ended],
	subjects.CallScanned:     of[Scanned],
	subjects.AlarmRaised:     of[Raised],
	subjects.OwnerAnswered:   of[Answered],
	subjects.DigestMade:      of[Digested],
}

// of is where a payload is decoded into, and what came: nil when nothing did.
func of[T any]() (into any, got func() any) {
	var b *T
	return &b, func() any {
		if b == nil {
			return nil
		}
		return b
	}
}

// wire is the envelope as JSON.
type wire struct {
	ID     string    `json:"id"`
	Type   string    `json:"type"` // kind and payload version: "received.v1"
	Market string    `json:"market"`
	Site   string    `json:"site"` // domain
	Lead   string    `json:"lead"`
	At     time.Time `json:"at"`
	Body   any       `json:"body"`
}

const version = ".v1"

// Encode is the event's message body.
func Encode(e Event) ([]byte, error) {
	if err := e.Lead.Validate(); err != nil {
		return nil, err
	}
	data, err := marshal(wire{
		ID: e.ID, Type: e.Lead.Event + version, At: e.At.UTC(),
		Market: e.Lead.Market, Site: e.Lead.Site, Lead: e.Lead.Lead, Body: e.Body,
	})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", e.Lead.Event, err)
	}
	return data, nil
}

// Decode reads a message that came on subject with stream sequence seq. An
// error means the message can never be understood.
func Decode(subject string, seq uint64, data []byte) (Event, error) {
	s, err := subjects.Parse(subject)
	if err != nil {
		return Event{}, err
	}
	body, known := bodies[s.Event]
	if !known {
		return Event{}, fmt.Errorf("decode: unknown event %q", s.Event)
	}
	into, got := body()
	w := wire{Body: into}
	err = json.Unmarshal(data, &w)
	if w.Type != "" && (w.Market != s.Market || w.Site != s.Site || w.Lead != s.Lead || w.Type != s.Event+version) {
		return Event{}, fmt.Errorf("decode %s: the envelope belongs to another subject", s.Event)
	}
	e := Event{ID: w.ID, At: w.At, Lead: s, Body: got(), Seq: seq, Wire: data}
	if err == nil && (w.Type == "" || e.Body == nil) {
		err = errors.New("the envelope has no type or no body")
	}
	if err != nil {
		return Event{}, fmt.Errorf("decode %s: %w", s.Event, unreadable(err))
	}
	return e, nil
}

// unreadable says what is wrong with a body without quoting it: the library's
// words hold the value, which may be a phone number.
func unreadable(err error) error {
	var wrongType *json.UnmarshalTypeError
	var wrongTime *time.ParseError
	switch {
	case errors.As(err, &wrongType):
		return fmt.Errorf("field %s is no %s", wrongType.Field, wrongType.Type)
	case errors.As(err, &wrongTime):
		return errors.New("a time cannot be read")
	}
	return err
}

// ContentID derives a message id from a kind, the lead and the content: equal
// content is the same fact.
func ContentID(kind, leadID string, content any) (string, error) {
	b, err := marshal(content)
	if err != nil {
		return "", fmt.Errorf("content id: %w", err)
	}
	h := sha256.Sum256(b)
	return kind + "-" + leadID + "-" + hex.EncodeToString(h[:8]), nil
}

// marshal is json.Marshal without HTML escaping: bodies are read by people
// with the nats CLI.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// Answers of an owner.
const (
	Confirm     = "confirm"
	Drop        = "drop"
	Acknowledge = "acknowledge"
)

// Answers of a provider. Accept and Decline are about an offer that is open, the
// others about a lead that the provider has; Leave pauses the provider, and
// declines what is open.
const (
	Accept     = "accept"
	Decline    = "decline"
	Leave      = "leave"
	Reached    = "reached"
	NotReached = "not_reached"
	Done       = "done"
	NotDone    = "not_done"
	Verified   = "verified" // that messages arrive; the offer is an address (roster.AddressKey)
)

// Answers are all of a provider's, in the order in which people are offered them.
var Answers = []string{Accept, Reached, NotReached, Done, NotDone, Decline, Leave}

// Orders of an owner about a lead.
const (
	Assign    = "assign" // to one provider
	Next      = "next"   // to the next provider
	Cancel    = "cancel"
	Won       = "won"
	Lost      = "lost"
	Spam      = "spam"
	Duplicate = "duplicate"
	Reopen    = "reopen"
)

// Orders are all of them.
var Orders = []string{Assign, Next, Cancel, Won, Lost, Spam, Duplicate, Reopen}

// Errors on which a role branches; the adapters wrap them.
var (
	ErrNotFound        = errors.New("not found")
	ErrConflict        = errors.New("changed by another")
	ErrUnauthenticated = errors.New("signature or secret does not match")
)
