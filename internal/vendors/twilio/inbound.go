package twilio

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"leadbus/internal/call"
	"leadbus/internal/lead"
)

// longestText is the longest text that Twilio brings, in bytes and with room.
const longestText = 8000

// Text checks and reads a message that somebody wrote to a number of ours. The
// errors are those of Receipt.
func (c *Client) Text(r *http.Request, body []byte) (lead.Inbound, error) {
	form, err := c.authentic(r, body)
	if err != nil {
		return lead.Inbound{}, err
	}
	in := lead.Inbound{
		ID: cmp.Or(form.Get("MessageSid"), form.Get("SmsSid")), Channel: lead.SMS, Button: form.Get("ButtonPayload"),
		OptOut: strings.ToUpper(form.Get("OptOutType")),
	}
	if in.OptOut != "START" && in.OptOut != "STOP" {
		in.OptOut = ""
	}
	var onWhatsApp bool
	if in.From, onWhatsApp = strings.CutPrefix(form.Get("From"), whatsApp); onWhatsApp {
		in.Channel = lead.WhatsApp
	}
	in.To = strings.TrimPrefix(form.Get("To"), whatsApp)
	if in.ID == "" || in.From == "" || in.To == "" {
		return lead.Inbound{}, errors.New("twilio: MessageSid, From or To is missing")
	}
	lines := []string{form.Get("Body")}
	media, _ := strconv.Atoi(form.Get("NumMedia"))
	for i := range min(media, 10) {
		lines = append(lines, form.Get("MediaUrl"+strconv.Itoa(i)))
	}
	in.Text = clean(strings.TrimSpace(strings.Join(lines, "\n")))
	return in, nil
}

// clean drops control characters but line breaks, and what is too long.
func clean(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), longestText)], "")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return -1
		}
		return r
	}, s)
}

// Call checks and reads what Twilio asks or tells about a phone call, or a recording
// of one. The errors are those of Receipt.
func (c *Client) Call(r *http.Request, body []byte) (call.Leg, error) {
	form, err := c.authentic(r, body)
	if err != nil {
		return call.Leg{}, err
	}
	status, inbound := form.Get("CallStatus"), cmp.Or(form.Get("Direction"), "inbound") == "inbound"
	silent := slices.Contains([]string{"", "0"}, form.Get("CallDuration"))
	leg := call.Leg{
		SID: form.Get("CallSid"), From: form.Get("From"), To: form.Get("To"),
		Unanswered: inbound && (slices.Contains([]string{"busy", "failed", "no-answer", "canceled"}, status) || status == "completed" && silent),
		HungUp:     form.Get("Digits") == "hangup" || status != "" && status != "ringing" && status != "in-progress",
		Recording:  form.Get("RecordingUrl"), RecordingID: form.Get("RecordingSid"),
	}
	if !sid(leg.SID) {
		return call.Leg{}, errors.New("twilio: CallSid is missing, or is none")
	}
	return leg, nil
}

// sid reports whether a text can be an id of Twilio's.
func sid(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}
