package twilio_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/lead"
)

const inboundPath = "/v1/twilio/inbound"

func TestTexts(t *testing.T) {
	c := newClient("")
	for name, want := range map[string]lead.Inbound{
		"inbound-sms": {ID: "SM" + strings.Repeat("1", 32), Channel: lead.SMS, From: "+41781230042", To: "+41781234590", Text: "OUI 482 913"},
		"inbound-sms-stop": {
			ID: "SM" + strings.Repeat("2", 32), Channel: lead.SMS, From: "+41781230042", To: "+41781234590", Text: "STOP", OptOut: "STOP",
		},
		"inbound-whatsapp-button": {
			ID: "SM" + strings.Repeat("4", 32), Channel: lead.WhatsApp, From: "+6281200000042", To: "+41781234590", Text: "Accept", Button: "accept:token",
		},
		"inbound-whatsapp-no-number": {
			ID: "SM" + strings.Repeat("5", 32), Channel: lead.WhatsApp, From: "ID.1000000000000042", To: "+41781234590", Text: "Halo",
		},
	} {
		body := sample(t, name)
		got, err := c.Text(callback(inboundPath, body, sign(token, public+inboundPath, body)), []byte(body))
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%s: %v %s", name, err, d)
		}
		if _, err := c.Text(callback(inboundPath, body, sign("another", public+inboundPath, body)), []byte(body)); !errors.Is(err, event.ErrUnauthenticated) {
			t.Errorf("%s with a forged signature: %v", name, err)
		}
	}
}

func TestTextsThatAreOdd(t *testing.T) {
	c := newClient("")
	read := func(f url.Values) (lead.Inbound, error) {
		if !f.Has("AccountSid") {
			f.Set("AccountSid", account)
		}
		body := f.Encode()
		return c.Text(callback(inboundPath, body, sign(token, public+inboundPath, body)), []byte(body))
	}
	from := func(more ...string) url.Values {
		f := url.Values{"MessageSid": {"SM1"}, "From": {"+41781230042"}, "To": {"+41781234590"}}
		for i := 0; i < len(more); i += 2 {
			f.Set(more[i], more[i+1])
		}
		return f
	}
	if _, err := read(from("AccountSid", "AC"+strings.Repeat("9", 32))); !errors.Is(err, event.ErrUnauthenticated) {
		t.Errorf("another account: %v", err)
	}
	if _, err := read(from("From", "")); err == nil {
		t.Error("from nobody")
	}
	in, err := read(from("Body", "a\x00b\nc", "NumMedia", "1", "MediaUrl0", "https://api.twilio.com/m"))
	if err != nil || in.Text != "ab\nc\nhttps://api.twilio.com/m" {
		t.Errorf("%v %q", err, in.Text)
	}
	if in, err = read(from("Body", strings.Repeat("é", 9000))); err != nil || len(in.Text) > 8000 {
		t.Errorf("%v %d", err, len(in.Text))
	}
	if in, err = read(from("OptOutType", "HELP")); err != nil || in.OptOut != "" {
		t.Errorf("%v %q", err, in.OptOut)
	}
}

func TestCalls(t *testing.T) {
	c := newClient("")
	whole := call.Leg{SID: "CA" + strings.Repeat("6", 32), From: "+41781230042", To: "+41225394512"}
	with := func(change func(*call.Leg)) call.Leg { l := whole; change(&l); return l }
	for name, want := range map[string]call.Leg{
		"voice-fallback":  whole,
		"voice-no-answer": with(func(l *call.Leg) { l.Unanswered, l.HungUp = true, true }),
		"voice-completed": with(func(l *call.Leg) { l.HungUp = true }),
		"voice-recorded": with(func(l *call.Leg) {
			l.HungUp, l.RecordingID = true, "RE"+strings.Repeat("7", 32)
			l.Recording = "https://api.twilio.com/2010-04-01/Accounts/" + account + "/Recordings/" + l.RecordingID
		}),
	} {
		body := sample(t, name)
		got, err := c.Call(callback(inboundPath, body, sign(token, public+inboundPath, body)), []byte(body))
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%s: %v %s", name, err, d)
		}
	}
	for said, want := range map[string]bool{
		"CallStatus=busy": true, "CallStatus=failed": true, "CallStatus=canceled": true, "CallStatus=completed&CallDuration=0": true,
		"CallStatus=completed&CallDuration=1": false, "CallStatus=ringing": false, "CallStatus=busy&Direction=outbound-dial": false,
	} {
		body := said + "&CallSid=CA1&AccountSid=" + account
		leg, err := c.Call(callback(inboundPath, body, sign(token, public+inboundPath, body)), []byte(body))
		if err != nil || leg.Unanswered != want {
			t.Errorf("%s: %v %+v", said, err, leg)
		}
	}
	body := "CallStatus=busy&CallSid=a+b&AccountSid=" + account
	if _, err := c.Call(callback(inboundPath, body, sign(token, public+inboundPath, body)), []byte(body)); err == nil {
		t.Error("a call id that is none")
	}
}
