package sandbox

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// twilioBudget is all the time Twilio spends on one callback, with repeats.
const twilioBudget = 15 * time.Second

// mailgunRetries are the pauses between Mailgun's tries of one webhook
// (Mailgun documentation, "Automatic Retries").
var mailgunRetries = []time.Duration{
	5 * time.Minute, 10 * time.Minute, 15 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour,
}

// report tells a message's status to whoever asked for it, with the vendor's
// own repeats. It answers false when the sandbox stopped before it was
// settled; a report that nobody takes is settled too.
func (s *Sandbox) report(m message) bool {
	switch m.Vendor {
	case "mailgun":
		return s.webhook(m)
	case "elevenlabs":
		return s.postCall(m)
	default:
		return s.statusCallback(m)
	}
}

func (s *Sandbox) post(address, contentType string, body []byte, header http.Header, limit time.Duration) (int, error) {
	status, _, err := s.exchange(address, contentType, body, header, limit)
	return status, err
}

// exchange is the only way out of the sandbox: one request to this machine. An
// address elsewhere (the edge's public one) is reached at EdgeURL; what was
// signed stays as it is.
func (s *Sandbox) exchange(address, contentType string, body []byte, header http.Header, limit time.Duration) (status int, answer []byte, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return 0, nil, err
	}
	if host := u.Hostname(); host != "localhost" && !net.ParseIP(host).IsLoopback() {
		if s.o.EdgeURL == "" {
			return 0, nil, errors.New("the address is not on this machine")
		}
		address = strings.TrimSuffix(s.o.EdgeURL, "/") + u.RequestURI()
	}
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header = header.Clone()
	r.Header.Set("Content-Type", contentType)
	res, err := s.callback(r)
	if err != nil {
		return 0, nil, err
	}
	answer, _ = io.ReadAll(io.LimitReader(res.Body, 64<<10)) // a part is no answer
	return res.StatusCode, answer, res.Body.Close()
}

// rules are how Twilio repeats a callback; the fragment of its address
// overrides them (Twilio documentation, "Webhook connection overrides").
type rules struct {
	retries int
	policy  []string // ct, rt, 4xx, 5xx, all
	read    time.Duration
}

func readRules(fragment string) rules {
	r := rules{retries: 1, policy: []string{"ct"}, read: twilioBudget}
	q, err := url.ParseQuery(fragment)
	if err != nil {
		return r
	}
	if n, err := strconv.Atoi(q.Get("rc")); err == nil {
		r.retries = min(max(n, 0), 5)
	}
	if v := q.Get("rp"); v != "" {
		r.policy = strings.Split(v, ",")
	}
	if n, err := strconv.Atoi(q.Get("rt")); err == nil && n > 0 {
		r.read = min(time.Duration(n)*time.Millisecond, twilioBudget)
	}
	return r
}

// repeats reports whether the policy covers how a callback failed.
func (r rules) repeats(status int, err error) bool {
	cause := "4xx"
	var timeout net.Error
	switch {
	case err != nil && errors.As(err, &timeout) && timeout.Timeout():
		cause = "rt"
	case err != nil:
		cause = "ct"
	case status >= 500:
		cause = "5xx"
	}
	return slices.Contains(r.policy, cause) || slices.Contains(r.policy, "all")
}

func (s *Sandbox) statusCallback(m message) bool {
	if m.Callback == "" {
		return true
	}
	address, fragment, _ := strings.Cut(m.Callback, "#") // never sent, never signed
	form := s.callbackForm(m)
	header := http.Header{
		"X-Twilio-Signature":         {twilioSignature(s.o.AuthToken, address, form)},
		"I-Twilio-Idempotency-Token": {newToken()},
		"User-Agent":                 {"TwilioProxy/1.1"},
	}
	rules, end := readRules(fragment), time.Now().Add(twilioBudget)
	for try := range rules.retries + 1 {
		status, err := s.post(address, "application/x-www-form-urlencoded", []byte(form.Encode()), header, min(rules.read, time.Until(end)))
		if s.ctx.Err() != nil {
			return false
		}
		if err == nil && status < 400 {
			return true
		}
		wait := time.Duration(try+1) * 200 * time.Millisecond
		if !rules.repeats(status, err) || time.Until(end) < wait {
			break
		}
		if !pause(s.ctx, wait) {
			return false
		}
	}
	s.dropped(m)
	return true
}

func (s *Sandbox) dropped(m message) {
	s.o.Log.Warn().Str("vendor", m.Vendor).Str("vendor_id", m.ID).Str("status", m.Status).Msg("the edge did not take a callback; the vendor gives it up")
}

// callbackForm is what Twilio sends, with the extras of each channel.
func (s *Sandbox) callbackForm(m message) url.Values {
	f := url.Values{
		"SmsSid": {m.ID}, "MessageSid": {m.ID}, "SmsStatus": {m.Status}, "MessageStatus": {m.Status},
		"To": {m.Address(m.To)}, "From": {m.Address(m.From)},
		"AccountSid": {s.o.AccountSID}, "ApiVersion": {"2010-04-01"},
	}
	if m.ErrorCode != "" {
		f.Set("ErrorCode", m.ErrorCode)
	}
	if m.Channel == "whatsapp" {
		f.Set("ChannelPrefix", "whatsapp")
		f.Set("ChannelToAddress", m.To)
		f.Set("StructuredMessage", "false")
		if m.Status != "sent" && m.Status != "failed" {
			f.Set("EventType", strings.ToUpper(m.Status))
		}
		if m.ErrorCode != "" {
			f.Set("ChannelStatusMessage", m.Error)
		}
	} else if m.Status == "delivered" || m.Status == "undelivered" {
		f.Set("RawDlrDoneDate", time.Now().UTC().Format("0601021504"))
	}
	return f
}

// twilioSignature signs the address and every parameter, sorted by key.
func twilioSignature(token, address string, form url.Values) string {
	h := hmac.New(sha1.New, []byte(token))
	_, _ = io.WriteString(h, address)
	for _, k := range slices.Sorted(maps.Keys(form)) {
		_, _ = io.WriteString(h, k+form.Get(k))
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// webhook reports a mail's event. Mailgun never repeats "delivered".
func (s *Sandbox) webhook(m message) bool {
	if s.o.EdgeURL == "" {
		return true
	}
	body, err := json.Marshal(map[string]any{"signature": s.mailgunSignature(), "event-data": shape("mailgun-event", event{m, m.Status, m.reached()[m.Status]})})
	if err != nil {
		s.dropped(m)
		return true
	}
	for try := 0; ; try++ {
		status, err := s.post(strings.TrimSuffix(s.o.EdgeURL, "/")+"/v1/mailgun/events", "application/json", body, http.Header{}, 30*time.Second)
		if s.ctx.Err() != nil {
			return false
		}
		if err == nil && (status == http.StatusOK || status == http.StatusNotAcceptable) {
			return true
		}
		if m.Status == "delivered" || try == len(mailgunRetries) {
			s.dropped(m)
			return true
		}
		if !pause(s.ctx, mailgunRetries[try]) {
			return false
		}
	}
}

func (s *Sandbox) mailgunSignature() map[string]string {
	timestamp, token := strconv.FormatInt(time.Now().Unix(), 10), newToken()
	h := hmac.New(sha256.New, []byte(s.o.MailgunSigningKey))
	_, _ = io.WriteString(h, timestamp+token)
	return map[string]string{"timestamp": timestamp, "token": token, "signature": hex.EncodeToString(h.Sum(nil))}
}
