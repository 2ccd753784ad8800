package sandbox

import (
	"slices"
	"strings"
)

// trouble is one thing that goes wrong for a recipient.
type trouble struct {
	Code    string // Twilio's error code, or Mailgun's reason
	Meaning string
	Channel string // it happens on this channel only
}

// refused are codes with which Twilio answers a create. An SMS to a number
// whose last five digits are one of them gets it.
var refused = []trouble{
	{"21211", "not a valid number", "sms"},
	{"21408", "the account may not send to this country", "sms"},
	{"21610", "the recipient sent STOP", "sms"},
	{"21612", "no route to this recipient", "sms"},
	{"21614", "not a mobile number", "sms"},
	{"21635", "a landline", "sms"},
}

// testNumbers are those of Twilio's test credentials (Twilio documentation,
// "Test Credentials").
var testNumbers = struct{ To, From map[string]string }{
	To: map[string]string{
		"+15005550001": "21211", "+15005550002": "21612", "+15005550003": "21408",
		"+15005550004": "21610", "+15005550009": "21614",
	},
	From: map[string]string{"+15005550001": "21212", "+15005550007": "21606", "+15005550008": "21611"},
}

// failing are codes with which a message that Twilio took fails later. A
// number whose last five digits are one of them gets it, on its channel.
var failing = []trouble{
	{"30003", "the phone is off or out of reach", "sms"},
	{"30005", "the number is unknown or gone", "sms"},
	{"30006", "a landline or an unreachable carrier", "sms"},
	{"30007", "filtered as spam by the carrier", "sms"},
	{"30008", "the carrier gave no reason", "sms"},
	{"63003", "not a WhatsApp address", "whatsapp"},
	{"63024", "not on WhatsApp", "whatsapp"},
	{"63033", "blocked by the recipient: stays sent for ever, without an error", "whatsapp"},
	{"63049", "Meta withheld a marketing template", "whatsapp"},
}

// unfit are codes with which WhatsApp refuses a message's content, after
// Twilio took it.
var unfit = []trouble{
	{"63013", "a variable with a line break, a tab or more than four spaces", "whatsapp"},
	{"63016", "free text outside the 24-hour window", "whatsapp"},
	{"63021", "more than 1024 characters", "whatsapp"},
	{"63028", "a variable of the template is missing", "whatsapp"},
}

const silent = "63033" // WhatsApp does not tell that a recipient blocked us

// unreachable finds the trouble that a number's last five digits ask for.
func unreachable(list []trouble, channel, number string) (string, bool) {
	for _, t := range list {
		if t.Channel == channel && strings.HasSuffix(number, t.Code) {
			return t.Code, true
		}
	}
	return "", false
}

// mailbox is what becomes of mail to an address by its local part.
type mailbox struct {
	Local, Meaning string
	// The fate: a permanent failure's reason, or what follows otherwise.
	Fate string
}

// mailboxes are the addresses that misbehave, at any domain; what follows a +
// in the local part does not count.
var mailboxes = []mailbox{
	{"bounce", "does not exist; from then on suppressed", "bounce"},
	{"blocked", "the recipient's provider blocks us", "espblock"},
	{"soft-bounce", "full at first, delivered by the second try", "temporary"},
	{"complain", "delivered, then reported as spam; from then on suppressed", "complained"},
	{"unsubscribe", "delivered, then unsubscribed; from then on suppressed", "unsubscribed"},
	{"unsubscribed", "unsubscribed before", "suppress-unsubscribe"},
}

// mailFailures are the permanent failures of mail: SMTP code, or Mailgun's
// own, and the words that come with it.
var mailFailures = map[string]struct {
	code    int
	message string
}{
	"bounce":               {550, "5.1.1 mailbox does not exist"},
	"espblock":             {550, "5.7.1 message blocked"},
	"suppress-bounce":      {605, "Not delivering to previously bounced address"},
	"suppress-unsubscribe": {606, "Not delivering to unsubscribed address"},
	"suppress-complaint":   {607, "Not delivering to a user who marked your messages as spam"},
}

func mailFate(address string) string {
	local, _, _ := strings.Cut(address, "@")
	local, _, _ = strings.Cut(strings.ToLower(local), "+")
	for _, b := range mailboxes {
		if b.Local == local {
			return b.Fate
		}
	}
	return ""
}

// meaningOf is what the page shows beside an error code.
func meaningOf(code string) string {
	for _, t := range slices.Concat(refused, failing, unfit) {
		if t.Code == code {
			return t.Meaning
		}
	}
	return mailFailures[code].message
}
