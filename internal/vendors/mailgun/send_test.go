package mailgun_test

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	"leadbus/internal/vendors/mailgun"
)

const (
	apiKey  = "key-of-tests"
	signKey = "signing-key-of-tests"
	address = "nora@example.org"
	secret  = "Nora Secret"
)

func mail() lead.Message {
	return lead.Message{
		ID: "m1", Lead: "7k2mq9", Market: "ch", Site: "plombiersgeneve.ch", Purpose: "update-1f2e3d",
		Recipient: lead.ToProvider, Channel: lead.Email, From: "Plombiers Genève <dispatch@mg.example.net>", To: address,
		Subject: "482 913: " + secret, Text: "Call " + secret, HTML: "<p>Call " + secret + "</p>", Thread: "7k2mq9",
	}
}

func newClient(base string) *mailgun.Client {
	return mailgun.New(mailgun.Options{APIKey: apiKey, SigningKey: signKey, APIBase: base})
}

// clean fails when an error tells anything personal or secret.
func clean(t *testing.T, err error) {
	t.Helper()
	said := fmt.Sprintf("%v %+v %#v", err, err, err)
	for _, private := range []string{address, "nora", secret, "Nora", "dispatch@", apiKey, signKey} {
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

func TestOutcomeOfASend(t *testing.T) {
	limit := `{"message":"Domain mg.example.net is not allowed to send: account-requests-per-sec limit exceeded, try again after 120 seconds"}`
	for name, c := range map[string]struct {
		server http.HandlerFunc
		want   lead.Failure // without its reason
	}{
		"400 recipient":         {answer(400, `{"message":"to parameter is not a valid address. please check documentation (`+address+`)"}`), lead.Failure{Code: "400", Class: lead.BadRecipient}},
		"400 sender":            {answer(400, `{"message":"from parameter is not a valid address. please check documentation"}`), lead.Failure{Code: "400", Class: lead.OurFault}},
		"400 sandbox":           {answer(400, `{"message":"Sandbox subdomains are for test purposes only. Please add your own domain or add `+address+` to authorized recipients"}`), lead.Failure{Code: "400", Class: lead.OurFault}},
		"400 something":         {answer(400, `{"message":"`+address+`"}`), lead.Failure{Code: "400", Class: lead.OurFault}},
		"401 plain":             {answer(401, "Forbidden"), lead.Failure{Code: "401", Class: lead.OurFault}},
		"402":                   {answer(402, "{}"), lead.Failure{Code: "402", Class: lead.OurFault}},
		"403":                   {answer(403, "{}"), lead.Failure{Code: "403", Class: lead.OurFault}},
		"404":                   {answer(404, `{"message":"Domain not found: mg.example.net"}`), lead.Failure{Code: "404", Class: lead.OurFault}},
		"413":                   {answer(413, ""), lead.Failure{Code: "413", Class: lead.OurFault}},
		"429 with words":        {answer(429, limit), lead.Failure{Code: "429", Class: lead.Transient, RetryAfter: 2 * time.Minute}},
		"429 with header":       {answer(429, limit, "Retry-After", "5"), lead.Failure{Code: "429", Class: lead.Transient, RetryAfter: 5 * time.Second}},
		"429 with a date":       {answer(429, `{"message":"try again after Mon, 23 Nov 2026"}`), lead.Failure{Code: "429", Class: lead.Transient}},
		"500 empty":             {answer(500, ""), lead.Failure{Code: "500", Class: lead.Doubtful}},
		"503 page":              {answer(503, "<html>"+strings.Repeat(address, 9999)), lead.Failure{Code: "503", Class: lead.Doubtful}},
		"200 broken":            {answer(200, `{"id":"<2026`), lead.Failure{Code: "200", Class: lead.Doubtful}},
		"200 empty":             {answer(200, ""), lead.Failure{Code: "200", Class: lead.Doubtful}},
		"200 without an id":     {answer(200, `{"message":"Queued. Thank you."}`), lead.Failure{Code: "200", Class: lead.Doubtful}},
		"200 shorter than said": {answer(200, `{"id":"<a@b>"}`, "Content-Length", "5000"), lead.Failure{Code: "200", Class: lead.Doubtful}},
		"201":                   {answer(201, `{"id":"<a@b>"}`), lead.Failure{Code: "201", Class: lead.Doubtful}},
		"301":                   {answer(301, "", "Location", "/again"), lead.Failure{Code: "301", Class: lead.OurFault}},
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
			_, err := newClient(server.URL+"/v3").Send(t.Context(), mail(), "a1")
			got := failure(t, err)
			if got.Reason == "" {
				t.Error("no reason given")
			}
			got.Reason, c.want.Vendor = "", "mailgun"
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("%d requests were made", n)
			}
		})
	}
}

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
	_, err := newClient(server.URL+"/v3").Send(ctx, mail(), "a1")
	if f := failure(t, err); f.Class != lead.Doubtful || f.Code != "timeout" {
		t.Errorf("failure %+v", f)
	}
}

func TestWhatNeverLeftWasNotSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	_ = l.Close()
	server := httptest.NewServer(answer(200, `{"id":"<a@b>"}`))
	defer server.Close()
	with := func(change func(*lead.Message)) lead.Message { m := mail(); change(&m); return m }
	for name, c := range map[string]struct {
		base    string
		message lead.Message
		class   lead.FailureClass
	}{
		"connection refused":    {closed + "/v3", mail(), lead.Transient},
		"base without version":  {server.URL, mail(), lead.OurFault},
		"unreadable base":       {"http://[::1/v3", mail(), lead.OurFault},
		"sender without domain": {server.URL + "/v3", with(func(m *lead.Message) { m.From = "dispatch" }), lead.OurFault},
		"nothing to say":        {server.URL + "/v3", with(func(m *lead.Message) { m.Text, m.HTML, m.From = "", "", "" }), lead.OurFault},
	} {
		_, err := newClient(c.base).Send(t.Context(), c.message, "a1")
		if f := failure(t, err); f.Class != c.class || f.Reason == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestWhatASendSays(t *testing.T) {
	var form url.Values
	var path, user, key string
	var header http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1 << 20); err != nil {
			t.Error(err)
		}
		form, path, header = r.PostForm, r.URL.Path, r.Header
		user, key, _ = r.BasicAuth()
		answer(200, `{"id":"<20261123090000.1.AA@mg.example.net>","message":"Queued. Thank you."}`)(w, r)
	}))
	defer server.Close()
	m := mail()
	m.Subject = "482 913\r\nBcc: everyone@example.com\x00"
	sent, err := newClient(server.URL+"/v3/").Send(t.Context(), m, "a1")
	if err != nil || sent.VendorID != "20261123090000.1.AA@mg.example.net" {
		t.Fatalf("%+v, %v", sent, err)
	}
	if path != "/v3/mg.example.net/messages" || user != "api" || key != apiKey {
		t.Errorf("%s as %s", path, user)
	}
	want := url.Values{
		"from": {m.From}, "to": {address}, "subject": {"482 913  Bcc: everyone@example.com"}, "text": {m.Text}, "html": {m.HTML},
		"o:tracking": {"no"}, "o:tag": {"provider"},
		"h:Auto-Submitted": {"auto-generated"}, "h:In-Reply-To": {"<7k2mq9@mg.example.net>"}, "h:References": {"<7k2mq9@mg.example.net>"},
		"v:market": {"ch"}, "v:site": {"plombiersgeneve.ch"}, "v:lead": {"7k2mq9"}, "v:message": {"m1"}, "v:attempt": {"a1"},
		"v:recipient": {"provider"}, "v:channel": {"email"}, "v:purpose": {"update-1f2e3d"}, "v:address": {lead.AddressTag(m.To)},
	}
	if d := cmp.Diff(want, form); d != "" {
		t.Error(d)
	}
	for h := range header {
		if strings.Contains(strings.ToLower(h), "idempotency") {
			t.Errorf("%s makes the transport repeat the POST by itself", h)
		}
	}
}
