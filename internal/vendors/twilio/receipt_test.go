package twilio_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/subjects"
)

const status = "/v1/twilio/status?attempt=a1&lead=7k2mq9&market=ch&message=m1&site=plombiersgeneve.ch"

// sign is Twilio's rule, written from its documentation: the address, then
// every key and value, sorted by key, and the values of one key as well.
func sign(token, address, body string) string {
	form, err := url.ParseQuery(body)
	if err != nil {
		panic(err)
	}
	var pairs []string
	for k, values := range form {
		seen := map[string]bool{}
		for _, v := range values {
			if !seen[v] {
				pairs = append(pairs, k+"\x00"+v)
			}
			seen[v] = true
		}
	}
	sort.Strings(pairs)
	h := hmac.New(sha1.New, []byte(token))
	h.Write([]byte(address))
	for _, p := range pairs {
		h.Write([]byte(strings.Replace(p, "\x00", "", 1)))
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func callback(target, body, signature string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Twilio-Signature", signature)
	return r
}

func sample(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".form")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A signature made with openssl, so that sign and the adapter are not wrong
// together.
func TestAKnownSignature(t *testing.T) {
	const known = "m/o5jxIQoTUj4jSAwVREJRUeKYI="
	body := sample(t, "sms-delivered")
	if got := sign(token, public+status, body); got != known {
		t.Errorf("sign = %s", got)
	}
	if _, _, err := newClient("").Receipt(callback(status, body, known), []byte(body)); err != nil {
		t.Error(err)
	}
}

func TestReceipt(t *testing.T) {
	sms, wa := "SM0123456789abcdef0123456789abcdef", "MMfedcba9876543210fedcba9876543210"
	for name, want := range map[string]lead.Receipt{
		"sms-queued":    {VendorID: sms, Status: "queued"},
		"sms-sent":      {VendorID: sms, Status: "sent", State: lead.MessageSent},
		"sms-delivered": {VendorID: sms, Status: "delivered", State: lead.MessageDelivered},
		"sms-undelivered-30005": {VendorID: sms, Status: "undelivered", State: lead.MessageFailed, Failure: &lead.Failure{
			Vendor: "twilio", Code: "30005", Class: lead.BadRecipient, Reason: "the number is unknown or gone",
		}},
		"whatsapp-read": {VendorID: wa, Status: "read", State: lead.MessageRead},
		"whatsapp-failed-63016": {VendorID: wa, Status: "failed", State: lead.MessageFailed, Failure: &lead.Failure{
			Vendor: "twilio", Code: "63016", Class: lead.OurFault, Reason: "free text outside the 24-hour window: use a template",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			body := sample(t, name)
			to, got, err := newClient("").Receipt(callback(status, body, sign(token, public+status, body)), []byte(body))
			if err != nil {
				t.Fatal(err)
			}
			if time.Since(got.At) > time.Minute {
				t.Errorf("at %s", got.At)
			}
			want.Message, want.Attempt, want.Vendor, want.At = "m1", "a1", "twilio", got.At
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(subjects.Lead{Market: "ch", Site: "plombiersgeneve.ch", Event: subjects.ReceiptReceived, Lead: "7k2mq9"}, to); d != "" {
				t.Error(d)
			}
		})
	}
}

// Statuses and codes that nobody knows yet.
func TestReceiptsOfTheFuture(t *testing.T) {
	for fields, want := range map[string]lead.Receipt{
		"MessageStatus=teleported":                   {Status: "teleported"},
		"SmsStatus=Delivered":                        {Status: "delivered", State: lead.MessageDelivered},
		"MessageStatus=failed":                       {Status: "failed", State: lead.MessageFailed, Failure: &lead.Failure{Code: "failed", Class: lead.Transient}},
		"MessageStatus=undelivered&ErrorCode=39999":  {Status: "undelivered", State: lead.MessageFailed, Failure: &lead.Failure{Code: "39999", Class: lead.Transient}},
		"MessageStatus=undelivered&ErrorCode=whoops": {Status: "undelivered", State: lead.MessageFailed, Failure: &lead.Failure{Code: "undelivered", Class: lead.Transient}},
		"MessageStatus=canceled":                     {Status: "canceled", State: lead.MessageFailed, Failure: &lead.Failure{Code: "canceled", Class: lead.OurFault}},
	} {
		body := "SmsSid=SM1&AccountSid=" + account + "&" + fields
		_, got, err := newClient("").Receipt(callback(status, body, sign(token, public+status, body)), []byte(body))
		if err != nil {
			t.Fatalf("%s: %v", fields, err)
		}
		if got.Failure != nil {
			if got.Failure.Reason == "" || got.Failure.Vendor != "twilio" {
				t.Errorf("%s: %+v", fields, got.Failure)
			}
			got.Failure.Reason, got.Failure.Vendor = "", ""
		}
		want.Message, want.Attempt, want.Vendor, want.VendorID, want.At = "m1", "a1", "twilio", "SM1", got.At
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", fields, d)
		}
	}
}

func TestForgedReceipts(t *testing.T) {
	body := sample(t, "sms-delivered")
	good := sign(token, public+status, body)
	twice := body + "&MediaUrl=b&MediaUrl=a&MediaUrl=b"
	refused := map[string]*struct{ target, body, signature string }{
		"no signature":          {status, body, ""},
		"another token":         {status, body, sign("ffff"+token, public+status, body)},
		"another status":        {status, strings.ReplaceAll(body, "delivered", "failed"), good},
		"a field added":         {status, body + "&ErrorCode=30005", good},
		"a field left out":      {status, strings.Replace(body, "&ApiVersion=2010-04-01", "", 1), good},
		"another lead":          {strings.Replace(status, "7k2mq9", "8k2mq9", 1), body, good},
		"a query reordered":     {"/v1/twilio/status?lead=7k2mq9&attempt=a1&market=ch&message=m1&site=plombiersgeneve.ch", body, good},
		"another path":          {strings.Replace(status, "status", "status/", 1), body, good},
		"signed for http":       {status, body, sign(token, "http://bus.example.com"+status, body)},
		"signed for elsewhere":  {status, body, sign(token, "https://evil.example.com"+status, body)},
		"signed with fragment":  {status, body, sign(token, public+status+"#rc=3", body)},
		"repeated key tampered": {status, twice + "&MediaUrl=c", sign(token, public+status, twice)},
		"not a form":            {status, "a;b=%zz", good},
		"an absolute target":    {public + status, body, good},
	}
	for name, c := range refused {
		_, _, err := newClient("").Receipt(callback(c.target, c.body, c.signature), []byte(c.body))
		if !errors.Is(err, event.ErrUnauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
		clean(t, err)
	}
	r := callback(status, body, sign(token, "https://proxy.example.com"+status, body))
	r.Host = "proxy.example.com"
	r.Header.Set("X-Forwarded-Host", "proxy.example.com")
	r.Header.Set("X-Forwarded-Proto", "https")
	if _, _, err := newClient("").Receipt(r, []byte(body)); !errors.Is(err, event.ErrUnauthenticated) {
		t.Errorf("a proxy's headers decide what is signed: %v", err)
	}
	other := strings.Replace(body, account, "AC99992222333344445555666677778888", 1)
	if _, _, err := newClient("").Receipt(callback(status, other, sign(token, public+status, other)), []byte(other)); !errors.Is(err, event.ErrUnauthenticated) {
		t.Errorf("another account: %v", err)
	}
	// Repeated keys are signed with all their values.
	if _, _, err := newClient("").Receipt(callback(status, twice, sign(token, public+status, twice)), []byte(twice)); err != nil {
		t.Errorf("repeated key: %v", err)
	}
	// Twilio signs an explicit port or leaves it out.
	if _, _, err := newClient("").Receipt(callback(status, body, sign(token, "https://bus.example.com:443"+status, body)), []byte(body)); err != nil {
		t.Errorf("with the port: %v", err)
	}
}

// Authentic, but about nothing that can be published.
func TestReceiptsOfNothingOfOurs(t *testing.T) {
	body := sample(t, "sms-delivered")
	for name, target := range map[string]string{
		"no ids":        "/v1/twilio/status",
		"no message":    strings.Replace(status, "message=m1", "message=", 1),
		"no attempt":    strings.Replace(status, "attempt=a1&", "", 1),
		"a wider lead":  strings.Replace(status, "7k2mq9", "%3E", 1),
		"a wide market": strings.Replace(status, "market=ch", "market=*", 1),
		"a bad site":    strings.Replace(status, "plombiersgeneve.ch", "..%2Fetc", 1),
		"a bad message": strings.Replace(status, "message=m1", "message=m.1", 1),
	} {
		_, _, err := newClient("").Receipt(callback(target, body, sign(token, public+target, body)), []byte(body))
		if !errors.Is(err, event.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
		clean(t, err)
	}
	bare := "AccountSid=" + account + "&To=%2B41790000007"
	_, _, err := newClient("").Receipt(callback(status, bare, sign(token, public+status, bare)), []byte(bare))
	if err == nil || errors.Is(err, event.ErrUnauthenticated) || errors.Is(err, event.ErrNotFound) {
		t.Errorf("without a status: %v", err)
	}
	clean(t, err)
}

// Whatever a signed form holds, it is a receipt of ours or refused.
func FuzzReceipt(f *testing.F) {
	for _, name := range []string{"sms-delivered", "whatsapp-failed-63016"} {
		b, err := os.ReadFile("testdata/" + name + ".form")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(status, string(b))
	}
	f.Add(status, "MessageSid=SM1&MessageStatus=failed&ErrorCode=-1&ErrorCode=2")
	f.Add("/v1/twilio/status?market=%00&site=..&message=*&attempt=>", "SmsSid=&SmsStatus=%ff;a")
	f.Add("/v1/twilio/status?market=ch&%zz", "=&&a")
	f.Fuzz(func(t *testing.T, target, form string) {
		form = "AccountSid=" + account + "&" + form
		u, err := url.ParseRequestURI(target)
		if _, bad := url.ParseQuery(form); err != nil || bad != nil || !strings.HasPrefix(target, "/") {
			return
		}
		r := &http.Request{Method: http.MethodPost, URL: u, RequestURI: target, Header: http.Header{"X-Twilio-Signature": {sign(token, public+target, form)}}}
		to, got, err := newClient("").Receipt(r, []byte(form))
		if err != nil {
			return
		}
		failed := got.State == lead.MessageFailed
		if to.Validate() != nil || !subjects.ValidToken(got.Message) || !subjects.ValidToken(got.Attempt) || got.VendorID == "" || got.Status == "" ||
			failed != (got.Failure != nil) || failed && (got.Failure.Class == "" || got.Failure.Reason == "") {
			t.Errorf("accepted %+v, %+v", to, got)
		}
	})
}
