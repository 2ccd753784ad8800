package twilio_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/lead"
	"leadbus/internal/vendors/twilio"
)

const (
	account = "AC11112222333344445555666677778888"
	token   = "8899aabbccddeeff0011223344556677"
	public  = "https://bus.example.com"
	number  = "+41790000007"
	secret  = "Nora Secret"
)

func text() lead.Message {
	return lead.Message{
		ID: "m1", Lead: "7k2mq9", Market: "ch", Site: "plombiersgeneve.ch", Purpose: "offer",
		Recipient: lead.ToProvider, Channel: lead.SMS, From: "+41225390000", To: number,
		Text: "482 913: " + secret + ", fuite d'eau",
	}
}

func template() lead.Message {
	m := text()
	m.Channel, m.Text, m.ContentSID = lead.WhatsApp, "", "HX0123456789abcdef0123456789abcdef"
	m.ContentVariables = map[string]string{"1": "482 913", "2": secret}
	return m
}

func newClient(base string) *twilio.Client {
	return twilio.New(twilio.Options{AccountSID: account, AuthToken: token, APIBase: base, PublicURL: public})
}

// clean fails when an error tells anything personal or secret.
func clean(t *testing.T, err error) {
	t.Helper()
	said := fmt.Sprintf("%v %+v %#v", err, err, err)
	for _, private := range []string{number, strings.TrimPrefix(number, "+"), "%2B41790000007", secret, "Nora", token, "39 00", "225390000"} {
		if strings.Contains(said, private) {
			t.Errorf("the error tells %q: %s", private, said)
		}
	}
}

func failure(t *testing.T, err error) lead.Failure {
	t.Helper()
	var f *lead.Failure
	if !errors.As(err, &f) {
		t.Fatalf("error is %T: %v, want a *lead.Failure", err, err)
	}
	clean(t, err)
	return *f
}

func answer(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// cut ends the connection without an answer once the request has been read.
func cut(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// What each behaviour of the other side means for the message, and that
// nothing is ever posted twice.
func TestOutcomeOfACreate(t *testing.T) {
	personal := "The 'To' number " + number + " of " + secret + " is not valid"
	refusal := func(code, status int) string {
		return fmt.Sprintf(`{"code":%d,"message":%q,"more_info":"https://www.twilio.com/docs/errors","status":%d,"details":{"to":%q}}`, code, personal, status, number)
	}
	page := "<html>" + strings.Repeat("gateway ", 40_000) + number
	for name, c := range map[string]struct {
		server http.HandlerFunc
		want   lead.Failure // without its reason
	}{
		"400 bad number":        {answer(400, refusal(21211, 400)), lead.Failure{Code: "21211", Class: lead.BadRecipient}},
		"400 stopped":           {answer(400, refusal(21610, 400)), lead.Failure{Code: "21610", Class: lead.OptedOut}},
		"400 bad template":      {answer(400, refusal(21655, 400)), lead.Failure{Code: "21655", Class: lead.OurFault}},
		"400 queue full":        {answer(400, refusal(21611, 400)), lead.Failure{Code: "21611", Class: lead.Transient}},
		"400 unknown code":      {answer(400, refusal(29999, 400)), lead.Failure{Code: "29999", Class: lead.OurFault}},
		"400 empty":             {answer(400, ""), lead.Failure{Code: "400", Class: lead.OurFault}},
		"401 credentials":       {answer(401, refusal(20003, 401)), lead.Failure{Code: "20003", Class: lead.OurFault}},
		"404 page":              {answer(404, page), lead.Failure{Code: "404", Class: lead.OurFault}},
		"408":                   {answer(408, ""), lead.Failure{Code: "408", Class: lead.Transient}},
		"429 with a wait":       {answer(429, refusal(20429, 429), "Retry-After", "7"), lead.Failure{Code: "20429", Class: lead.Transient, RetryAfter: 7 * time.Second}},
		"429 unknown code":      {answer(429, refusal(29998, 429), "Retry-After", "1"), lead.Failure{Code: "29998", Class: lead.Transient, RetryAfter: time.Second}},
		"429 page":              {answer(429, page, "Retry-After", "99999999999"), lead.Failure{Code: "429", Class: lead.Transient}},
		"429 empty":             {answer(429, "", "Retry-After", "86400"), lead.Failure{Code: "429", Class: lead.Transient, RetryAfter: time.Hour}},
		"500 empty":             {answer(500, ""), lead.Failure{Code: "500", Class: lead.Doubtful}},
		"500 with a code":       {answer(500, refusal(20500, 500)), lead.Failure{Code: "500", Class: lead.Doubtful}},
		"502 page":              {answer(502, page), lead.Failure{Code: "502", Class: lead.Doubtful}},
		"503 empty object":      {answer(503, "{}"), lead.Failure{Code: "503", Class: lead.Doubtful}},
		"503 with code":         {answer(503, refusal(20503, 503), "Retry-After", "30"), lead.Failure{Code: "503", Class: lead.Doubtful}},
		"201 broken":            {answer(201, `{"sid":"SM01`), lead.Failure{Code: "201", Class: lead.Doubtful}},
		"201 empty":             {answer(201, ""), lead.Failure{Code: "201", Class: lead.Doubtful}},
		"201 page":              {answer(201, page), lead.Failure{Code: "201", Class: lead.Doubtful}},
		"201 without a sid":     {answer(201, `{"status":"queued"}`), lead.Failure{Code: "201", Class: lead.Doubtful}},
		"201 shorter than said": {answer(201, `{"sid":"SM01"}`, "Content-Length", "5000"), lead.Failure{Code: "201", Class: lead.Doubtful}},
		"201 failed at once":    {answer(201, `{"sid":"SM01","status":"failed","error_code":30005}`), lead.Failure{Code: "30005", Class: lead.BadRecipient}},
		"301":                   {answer(301, "", "Location", "/again"), lead.Failure{Code: "301", Class: lead.OurFault}},
		"302 to a success":      {answer(302, `{"sid":"SM01","status":"queued"}`, "Location", "/again"), lead.Failure{Code: "302", Class: lead.OurFault}},
		"307":                   {answer(307, "", "Location", "/again"), lead.Failure{Code: "307", Class: lead.OurFault}},
		"cut":                   {cut, lead.Failure{Code: "cut", Class: lead.Doubtful}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				c.server(w, r)
			}))
			defer server.Close()
			_, err := newClient(server.URL).Send(t.Context(), text(), "a1")
			got := failure(t, err)
			if got.Reason == "" {
				t.Error("no reason given")
			}
			got.Reason, c.want.Vendor = "", "twilio"
			if name == "429 page" {
				got.RetryAfter = 0 // bounded; the value is of no interest
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("%d requests were made", n)
			}
		})
	}
}

// No answer: the caller's deadline holds, and the message is doubtful.
func TestADeadlineLeavesDoubt(t *testing.T) {
	end := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-end
	}))
	defer server.Close()
	defer close(end)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := newClient(server.URL).Send(ctx, text(), "a1")
	if f := failure(t, err); f.Class != lead.Doubtful || f.Code != "timeout" {
		t.Errorf("failure %+v", f)
	}
	if d := time.Since(begun); d > 20*time.Second {
		t.Errorf("answered after %s", d)
	}
}

// Where nothing left this process the message was certainly not sent.
func TestWhatNeverLeftWasNotSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	_ = l.Close()
	ended, end := context.WithCancel(t.Context())
	end()
	server := httptest.NewServer(answer(201, `{"sid":"SM01"}`))
	defer server.Close()
	for name, c := range map[string]struct {
		ctx    context.Context
		client *twilio.Client
		class  lead.FailureClass
	}{
		"connection refused": {t.Context(), newClient(closed), lead.Transient},
		"context ended":      {ended, newClient(server.URL), lead.Transient},
		"no address":         {t.Context(), newClient("api.twilio.com"), lead.OurFault},
		"unreadable address": {t.Context(), newClient("http://[::1"), lead.OurFault},
		"secret with a hyphen": {t.Context(), twilio.New(twilio.Options{
			AccountSID: account, AuthToken: "39 00-secret", APIBase: server.URL, PublicURL: public,
		}), lead.OurFault},
	} {
		_, err := c.client.Send(c.ctx, text(), "a1")
		if f := failure(t, err); f.Class != c.class || f.Reason == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// The library never closes the body of an error; twenty pages of a gateway in
// a row must not cost twenty connections.
func TestFailingCallsReuseTheConnection(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		rc := http.NewResponseController(w)
		for range 8 { // chunks
			_, _ = io.WriteString(w, strings.Repeat("<p>gateway", 400))
			_ = rc.Flush()
		}
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	c := newClient(server.URL)
	for range 20 {
		_, err := c.Send(t.Context(), text(), "a1")
		if f := failure(t, err); f.Code != "503" {
			t.Fatalf("%+v", f)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for 20 calls", n)
	}
}

// A kept connection that ends while a create is under way: the transport must
// not post again by itself.
func TestACutKeptConnectionIsNotRepeated(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 1 {
			answer(201, `{"sid":"SM01","status":"queued"}`)(w, r)
			return
		}
		cut(w, r)
	}))
	defer server.Close()
	c := newClient(server.URL)
	if _, err := c.Send(t.Context(), text(), "a1"); err != nil {
		t.Fatal(err)
	}
	_, err := c.Send(t.Context(), text(), "a2")
	if f := failure(t, err); f.Class != lead.Doubtful {
		t.Errorf("%+v", f)
	}
	if n := requests.Load(); n != 2 {
		t.Errorf("%d requests for two sends", n)
	}
}

func TestWhatACreateSays(t *testing.T) {
	// The library would let these change the host.
	t.Setenv("TWILIO_REGION", "ie1")
	t.Setenv("TWILIO_EDGE", "dublin")
	t.Setenv("TWILIO_ACCOUNT_SID", "ACother")
	var got *http.Request
	var user, pass string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		got = r
		user, pass, _ = r.BasicAuth()
		answer(201, `{"sid":"SM01","status":"queued","surprise":{"a":[1]}}`)(w, r)
	}))
	defer server.Close()
	wantCallback := url.Values{
		"market": {"ch"}, "site": {"plombiersgeneve.ch"}, "lead": {"7k2mq9"}, "message": {"m1"}, "attempt": {"a1"},
	}
	for name, c := range map[string]struct {
		message lead.Message
		want    url.Values
	}{
		"sms": {text(), url.Values{
			"To": {number}, "From": {"+41225390000"}, "Body": {text().Text}, "ValidityPeriod": {"3600"},
		}},
		"whatsapp": {template(), url.Values{
			"To": {"whatsapp:" + number}, "From": {"whatsapp:+41225390000"},
			"ContentSid": {"HX0123456789abcdef0123456789abcdef"}, "ContentVariables": {`{"1":"482 913","2":"Nora Secret"}`},
		}},
	} {
		sent, err := newClient(server.URL+"/").Send(t.Context(), c.message, "a1")
		if err != nil || sent.VendorID != "SM01" || time.Since(sent.At) > time.Minute {
			t.Fatalf("%s: %+v, %v", name, sent, err)
		}
		callback, err := url.Parse(got.PostForm.Get("StatusCallback"))
		if err != nil {
			t.Fatal(err)
		}
		if callback.Scheme+"://"+callback.Host+callback.Path != public+"/v1/twilio/status" {
			t.Errorf("%s: callback to %s", name, callback)
		}
		want := maps.Clone(wantCallback)
		for field, value := range map[string]string{"recipient": "provider", "channel": c.message.Channel, "purpose": "offer", "address": lead.AddressTag(c.message.To)} {
			want.Set(field, value)
		}
		if d := cmp.Diff(want, callback.Query()); d != "" {
			t.Errorf("%s: callback ids: %s", name, d)
		}
		if rules, err := url.ParseQuery(callback.Fragment); err != nil || !strings.Contains(rules.Get("rp"), "5xx") {
			t.Errorf("%s: a 5xx from us would lose the callback: %q", name, callback.Fragment)
		}
		got.PostForm.Del("StatusCallback")
		if d := cmp.Diff(c.want, got.PostForm); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if user != account || pass != token || got.URL.Path != "/2010-04-01/Accounts/"+account+"/Messages.json" {
			t.Errorf("%s: signed in as %s at %s", name, user, got.URL.Path)
		}
		for h := range got.Header {
			if strings.Contains(strings.ToLower(h), "idempotency") {
				t.Errorf("%s: %s makes the transport repeat the POST by itself", name, h)
			}
		}
	}
	_, err := twilio.New(twilio.Options{
		AccountSID: account, AuthToken: token, APIKey: "SK01", APISecret: "s3cret", APIBase: server.URL, PublicURL: public,
	}).Send(t.Context(), text(), "a1")
	if err != nil || user != "SK01" || pass != "s3cret" || !strings.Contains(got.URL.Path, account) {
		t.Errorf("with an API key: signed in as %s at %s, %v", user, got.URL.Path, err)
	}
}
