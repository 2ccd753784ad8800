package sandbox

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Words on which Twilio acts by itself, on a number that takes SMS (Twilio
// documentation, "SMS STOP filtering").
var (
	stopWords  = []string{"STOP", "STOPALL", "UNSUBSCRIBE", "END", "QUIT", "CANCEL", "REVOKE", "OPTOUT"}
	startWords = []string{"START", "YES", "UNSTOP"}
)

// button is one below a WhatsApp message.
type button struct {
	Text    string `json:"text"`
	Payload string `json:"payload"`
}

// twiml is what the edge answers Twilio.
type twiml struct {
	Message []string
	Say     []string
	Record  *struct {
		Action   string `xml:"action,attr"`
		Callback string `xml:"recordingStatusCallback,attr"`
	}
	Dial string
}

// written is the body of POST /api/texts.
type written struct {
	Channel string `json:"channel"` // sms or whatsapp
	From    string `json:"from"`    // a number, or the id of a WhatsApp user who hides it
	To      string `json:"to"`
	Text    string `json:"text"`
	Button  string `json:"button"`  // payload of the button that is pressed
	OptOut  string `json:"opt_out"` // START or STOP, as Advanced Opt-Out says it
}

// write is POST /api/texts: a handset writes, and Twilio tells the edge.
func (s *Sandbox) write(w http.ResponseWriter, r *http.Request) {
	var in written
	if json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in) != nil || in.From == "" || !e164.MatchString(in.To) {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "want from, to (a number), text, and perhaps channel, button, opt_out"})
		return
	}
	m := message{
		ID: newSID("SM"), Vendor: "twilio", Channel: cmp.Or(in.Channel, "sms"), From: in.From, To: in.To, Text: in.Text,
		Status: "received", Told: "received", CreatedAt: time.Now().UTC(),
	}
	s.store.add(m)
	word, line := strings.ToUpper(strings.TrimSpace(in.Text)), in.To+" "+in.From
	said := ""
	if m.Channel == "sms" {
		s.mu.Lock()
		switch {
		case slices.Contains(stopWords, word):
			s.blocked[line], said = true, "You have successfully been unsubscribed. Reply START to resubscribe."
		case slices.Contains(startWords, word) && s.blocked[line]:
			delete(s.blocked, line)
			said = "You have successfully been re-subscribed."
		}
		s.mu.Unlock()
	}
	f := url.Values{
		"MessageSid": {m.ID}, "SmsSid": {m.ID}, "SmsMessageSid": {m.ID}, "SmsStatus": {"received"}, "NumMedia": {"0"}, "NumSegments": {"1"},
		"From": {m.Address(in.From)}, "To": {m.Address(in.To)}, "Body": {in.Text}, "AccountSid": {s.o.AccountSID}, "ApiVersion": {"2010-04-01"},
	}
	if in.OptOut != "" {
		f.Set("OptOutType", in.OptOut)
	}
	if m.Channel == "whatsapp" {
		f.Set("ProfileName", "Handset")
		f.Set("MessageType", map[bool]string{true: "interactive", false: "text"}[in.Button != ""])
		if in.Button != "" {
			f.Set("ButtonPayload", in.Button)
			f.Set("ButtonText", in.Text)
		}
		if e164.MatchString(in.From) {
			f.Set("WaId", strings.TrimPrefix(in.From, "+"))
		} else {
			f.Set("ExternalUserId", m.Address(in.From))
		}
	}
	status, answer := s.ask("/v1/twilio/inbound", f) //nolint:contextcheck // the sandbox's, as for every callback
	for _, text := range append(slices.DeleteFunc([]string{said}, func(t string) bool { return t == "" }), answer.Message...) {
		s.take(message{ //nolint:contextcheck // a message outlives the request that made it
			ID: newSID("SM"), Vendor: "twilio", Channel: m.Channel, From: in.To, To: in.From, Text: text,
			Status: "queued", Told: "queued", CreatedAt: time.Now().UTC(),
		})
	}
	writeJSON(w, http.StatusCreated, map[string]any{"sid": m.ID, "status": status, "answers": answer.Message})
}

// ring is POST /api/rings: a call that no agent takes. With down the agent's platform
// is away, and the caller leaves a message unless says is empty; else the call ends
// with status.
func (s *Sandbox) ring(w http.ResponseWriter, r *http.Request) {
	in := struct {
		From, To, SID, Says, Status string
		Down                        bool
	}{SID: newSID("CA"), Status: "no-answer"}
	if json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in) != nil || in.To == "" {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "want from, to, and perhaps sid, down and says, or status"})
		return
	}
	call := func(status string, more ...string) url.Values {
		f := url.Values{
			"CallSid": {in.SID}, "AccountSid": {s.o.AccountSID}, "ApiVersion": {"2010-04-01"}, "Direction": {"inbound"}, "CallStatus": {status},
			"From": {in.From}, "Caller": {in.From}, "To": {in.To}, "Called": {in.To},
		}
		for i := 0; i < len(more); i += 2 {
			f.Set(more[i], more[i+1])
		}
		return f
	}
	over := func(status string, seconds int) {
		s.ask("/v1/twilio/call-status", call(status, "CallDuration", strconv.Itoa(seconds), "CallbackSource", "call-progress-events", "SequenceNumber", "0"))
	}
	var heard, then twiml
	status := 0
	switch {
	case !in.Down:
		over(in.Status, 0)
	default:
		const here = "/v1/twilio/voice-fallback"
		status, heard = s.ask(here, call("ringing", "ErrorCode", "11200", "ErrorUrl", "https://voice.example/"))
		if heard.Record != nil && in.Says != "" {
			id := newSID("RE")
			recording := []string{"RecordingUrl", "https://api.twilio.com/2010-04-01/Accounts/" + s.o.AccountSID + "/Recordings/" + id, "RecordingSid", id, "RecordingDuration", "12"}
			_, then = s.ask(beside(here, heard.Record.Action), call("in-progress", append(recording, "Digits", "#")...))
			f := url.Values{"AccountSid": {s.o.AccountSID}, "CallSid": {in.SID}, "RecordingStatus": {"completed"}}
			for pair := range slices.Chunk(recording, 2) {
				f.Set(pair[0], pair[len(pair)-1])
			}
			s.ask(beside(here, heard.Record.Callback), f)
		}
		over("completed", 20)
	}
	writeJSON(w, http.StatusCreated, map[string]any{"sid": in.SID, "status": status, "heard": heard.Say, "put_through": cmp.Or(then.Dial, heard.Dial)})
}

// beside is an address that stands in an answer to a request to a path.
func beside(path, address string) string {
	base := url.URL{Path: path}
	if u, err := base.Parse(address); err == nil {
		return u.String()
	}
	return address
}

// ask posts a form to the edge as Twilio does, and reads the answer; status is zero
// without one.
func (s *Sandbox) ask(path string, form url.Values) (status int, answer twiml) {
	if s.o.EdgeURL == "" {
		return 0, answer
	}
	address := strings.TrimSuffix(cmp.Or(s.o.PublicURL, s.o.EdgeURL), "/") + path
	header := http.Header{"X-Twilio-Signature": {twilioSignature(s.o.AuthToken, address, form)}, "User-Agent": {"TwilioProxy/1.1"}}
	status, body, err := s.exchange(address, "application/x-www-form-urlencoded", []byte(form.Encode()), header, twilioBudget)
	if err != nil || status != http.StatusOK || xml.Unmarshal(body, &answer) != nil {
		s.o.Log.Warn().Err(err).Str("path", path).Int("status", status).Msg("the edge did not answer as Twilio expects")
	}
	return status, answer
}
