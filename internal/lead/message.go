package lead

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Channels a message can take.
const (
	WhatsApp = "whatsapp"
	SMS      = "sms"
	Email    = "email"
	// Postback is the channel to a tracker. No person is reached by it.
	Postback = "postback"
)

// Channels are those to people, in the order in which a provider is told.
var Channels = []string{WhatsApp, SMS, Email}

// Recipients of a message, by role.
const (
	ToProvider = "provider"
	ToCustomer = "customer"
	ToOwner    = "owner"
	ToTracker  = "tracker"
)

// Outcomes of a lead, of which its site's tracker hears. Each is the purpose of its
// message.
const (
	OutcomeCreated  = "created"  // a provider was chosen for the first time
	OutcomeAccepted = "accepted" // by a provider
	OutcomeWon      = "won"
	OutcomeLost     = "lost"
	OutcomeInvalid  = "invalid" // spam, or a duplicate, as the owner says
)

// Purposes of messages. An update and the copy of one end in a short hash of
// their event, so that each new fact is told once.
const (
	PurposeAlarm        = "alarm-" // each purpose of an alarm begins so
	PurposeOffer        = "offer"
	PurposeUpdate       = "update"
	PurposeConfirmation = "confirmation"            // and, for a correction, the hash of its event
	PurposeCorrection   = "confirmation-correction" // that another provider will call
	PurposeSearching    = "searching"               // to the customer: somebody is looked for
	PurposePostponed    = "postponed"               // to the customer: everybody is closed
	PurposeDelayed      = "delayed"                 // to the customer: it takes longer
	PurposeUnserved     = "unserved"                // to the customer: nobody is free
	PurposeAccepted     = "accepted"                // to the provider: the lead is theirs
	PurposeVerify       = "verify"                  // to the provider: do messages arrive?
	PurposeWithdrawn    = "withdrawn"               // to the provider: the lead is not theirs any more
	PurposeCopy         = "copy"
	PurposeCopyOfText   = "copy-"        // of what a customer was sent, and its purpose
	PurposeCall         = "call"         // and, for a copy, its number
	PurposeRaised       = "alarm-raised" // and how often the owner was notified
	PurposeDigest       = "digest"       // and the day
	PurposeAgain        = "-again-"      // in the purpose of what a person ordered once more
)

// Message is one text or mail to one person on one channel, rendered and ready
// to hand to a vendor; or what a tracker is told.
type Message struct {
	ID        string `json:"id"` // see MessageID; the key of the send ledger
	Lead      string `json:"lead"`
	Market    string `json:"market"`
	Site      string `json:"site"`
	Offer     string `json:"offer,omitempty"`
	Ref       string `json:"ref,omitempty"`      // the lead's, for people
	Provider  string `json:"provider,omitempty"` // provider id, when the recipient is one
	Purpose   string `json:"purpose"`            // offer, update, confirmation, copy, alarm, …
	Recipient string `json:"recipient"`          // provider, customer, owner, tracker
	Channel   string `json:"channel"`            // whatsapp, sms, email, postback
	Language  string `json:"language"`

	From string `json:"from"` // sender: E.164, alphanumeric, or a mail address
	To   string `json:"to"`   // E.164, a mail address or a tracker's id; WhatsApp's prefix is added by the adapter

	Subject string `json:"subject,omitempty"` // e-mail
	Text    string `json:"text,omitempty"`    // SMS body, or the mail's text part
	HTML    string `json:"html,omitempty"`    // the mail's HTML part
	Thread  string `json:"thread,omitempty"`  // mails of one lead share it

	ContentSID       string            `json:"content_sid,omitempty"` // WhatsApp template
	ContentVariables map[string]string `json:"content_variables,omitempty"`

	// Conversion is what a tracker is told. Text then shows the request without
	// its secret.
	Conversion *Conversion `json:"conversion,omitempty"`

	// NotBefore is when the message may go out, and Until when it is too late;
	// zero for at once, and for eight hours after it was queued.
	NotBefore time.Time `json:"not_before,omitzero"`
	Until     time.Time `json:"until,omitzero"`

	// Of is how many messages were queued together, so that whoever follows a
	// lead knows when all are there.
	Of int `json:"of"`

	// Decision is the id of the decision that the message tells, and Since is when
	// it was made. Without them the message counts from its own event.
	Decision string    `json:"decision,omitempty"`
	Since    time.Time `json:"since,omitzero"`

	// QueuedAt is when the message was queued; the event that queued it says so.
	QueuedAt time.Time `json:"-"`
}

// Conversion is an outcome of a lead: the fields that a tracker's templates may name.
// Every field but the first five and At may be empty.
type Conversion struct {
	Event    string            `json:"event"` // the outcome under the tracker's name
	Key      string            `json:"key"`   // the message's id: the same outcome has the same
	Lead     string            `json:"lead"`  // id
	Ref      string            `json:"ref"`
	Site     string            `json:"site"` // domain
	At       time.Time         `json:"at"`
	Service  string            `json:"service,omitempty"`  // id; empty where it tells of health
	Place    string            `json:"place,omitempty"`    // id
	Value    string            `json:"value,omitempty"`    // a plain decimal such as 1250.50
	Currency string            `json:"currency,omitempty"` // ISO 4217
	Clicks   map[string]string `json:"clicks,omitempty"`   // by name, such as gclid
	// PhoneSHA256 is the customer's number in E.164 form with its plus, hashed, in
	// lower-case hexadecimal digits.
	PhoneSHA256 string `json:"phone_sha256,omitempty"`
}

// Label is what an outcome says of its message, so that nobody has to look the
// message up. It holds ids only: it travels through the vendors and comes back
// in their receipts.
type Label struct {
	Recipient string `json:"recipient,omitempty"`
	Provider  string `json:"provider,omitempty"`
	Channel   string `json:"channel,omitempty"`
	Purpose   string `json:"purpose,omitempty"`
	Offer     string `json:"offer,omitempty"`
	// Address tells one address of the recipient from another, see AddressTag.
	Address  string    `json:"address,omitempty"`
	QueuedAt time.Time `json:"queued_at,omitzero"`
}

// Label describes the message.
func (m Message) Label() Label {
	return Label{
		Recipient: m.Recipient, Provider: m.Provider, Channel: m.Channel, Purpose: m.Purpose, Offer: m.Offer,
		Address: AddressTag(m.To), QueuedAt: m.QueuedAt.UTC().Truncate(time.Second),
	}
}

// AddressTag tells a corrected address from the one before it. Its 20 bits fit
// too many numbers to be led back to one.
func AddressTag(address string) string { return NewID(address, "address")[:4] }

// Fields are the label as the query or the variables of a callback.
func (l Label) Fields() map[string]string {
	f := map[string]string{}
	for name, to := range l.fields() {
		if *to != "" {
			f[name] = *to
		}
	}
	if !l.QueuedAt.IsZero() {
		f["queued"] = strconv.FormatInt(l.QueuedAt.Unix(), 10)
	}
	return f
}

// ReadLabel reads the fields of a callback. A field that no label can hold is
// left empty.
func ReadLabel(get func(name string) string) Label {
	var l Label
	for name, to := range l.fields() {
		if v := get(name); len(v) <= 64 && !strings.ContainsFunc(v, func(r rune) bool { return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') }) {
			*to = v
		}
	}
	if n, err := strconv.ParseInt(get("queued"), 10, 64); err == nil && n > 0 && n < 1e11 {
		l.QueuedAt = time.Unix(n, 0).UTC()
	}
	return l
}

func (l *Label) fields() map[string]*string {
	return map[string]*string{
		"recipient": &l.Recipient, "provider": &l.Provider, "channel": &l.Channel,
		"purpose": &l.Purpose, "offer": &l.Offer, "address": &l.Address,
	}
}

// Sent is a vendor's acceptance.
type Sent struct {
	Vendor   string    `json:"vendor,omitempty"` // where the channel does not tell it: tracker, dry-run
	VendorID string    `json:"vendor_id"`        // SM…, MM…, or a Mailgun message id; empty when the vendor's answer could not be read
	At       time.Time `json:"at"`
}

// FailureClass says what a failure means for the next attempt.
type FailureClass string

// The classes of failure, over all vendors.
const (
	BadRecipient FailureClass = "recipient"  // permanent for this address on this channel
	OptedOut     FailureClass = "opted_out"  // the recipient refused messages
	OurFault     FailureClass = "account"    // our account, template, sender or a bug: alarm, retrying alone does not help
	Transient    FailureClass = "transient"  // certainly not sent; try again
	Superseded   FailureClass = "superseded" // not sent: something newer took its place, or it says nothing new
	Doubtful     FailureClass = "doubtful"   // the request left and the outcome is unknown: never resend blindly
)

// Failure is why a vendor did not (or may not) have taken a message. It holds
// no personal data.
type Failure struct {
	Vendor     string        `json:"vendor"`           // twilio, mailgun
	Code       string        `json:"code,omitempty"`   // the vendor's own code, or an HTTP status
	Class      FailureClass  `json:"class"`            //
	Reason     string        `json:"reason,omitempty"` // what the code means, from our table
	RetryAfter time.Duration `json:"retry_after,omitempty"`
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s %s (%s): %s", f.Vendor, f.Code, f.Class, f.Reason)
}

// Receipt is a vendor's later report on a message. Its label is empty when an
// earlier version sent the message.
type Receipt struct {
	Label
	Message  string       `json:"message"` // message id
	Vendor   string       `json:"vendor"`
	VendorID string       `json:"vendor_id"`
	Status   string       `json:"status"` // the vendor's word
	State    MessageState `json:"state"`  // what it means; empty when it means nothing new
	Attempt  string       `json:"attempt,omitempty"`
	Failure  *Failure     `json:"failure,omitempty"`
	At       time.Time    `json:"at"`
}
