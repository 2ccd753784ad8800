package mailgun_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadbus/internal/lead"
	"leadbus/internal/local/sandbox"
	"leadbus/internal/vendors/mailgun"
)

type report struct {
	receipt lead.Receipt
	err     error
}

// setup joins the adapter to the sandbox, and the sandbox's webhooks to the
// adapter.
func setup(t *testing.T) (*mailgun.Client, *sandbox.Sandbox, <-chan report) {
	t.Helper()
	reports := make(chan report, 2000)
	edge := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/mailgun/events" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		_, receipt, err := newClient("").Receipt(r, body)
		reports <- report{receipt, err}
	}))
	t.Cleanup(edge.Close)
	s, err := sandbox.Start(sandbox.Options{
		Addr: "127.0.0.1:0", EdgeURL: edge.URL, MailgunKey: apiKey, MailgunSigningKey: signKey, Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return newClient(s.MailgunURL()), s, reports
}

// until collects the receipts of one mail up to a status.
func until(t *testing.T, reports <-chan report, vendorID, last string) []lead.Receipt {
	t.Helper()
	var all []lead.Receipt
	deadline := time.After(time.Minute)
	for {
		select {
		case r := <-reports:
			if r.err != nil {
				t.Fatalf("a webhook was refused: %v", r.err)
			}
			if r.receipt.VendorID != vendorID {
				continue
			}
			all = append(all, r.receipt)
			if r.receipt.Status == last {
				return all
			}
		case <-deadline:
			t.Fatalf("no %q among %+v", last, all)
		}
	}
}

func to(address string) lead.Message {
	m := mail()
	m.To = address
	return m
}

func TestMailboxes(t *testing.T) {
	c, _, reports := setup(t)
	for _, in := range []struct {
		address string
		want    []string // statuses
		code    string   // of the last one's failure
	}{
		{address, []string{"delivered"}, ""},
		{"bounce@example.org", []string{"permanent_fail"}, "bounce"},
		{"bounce@example.org", []string{"permanent_fail"}, "suppress-bounce"},
		{"bounce+2@example.org", []string{"permanent_fail"}, "bounce"},
		{"blocked@example.org", []string{"permanent_fail"}, "espblock"},
		{"soft-bounce@example.org", []string{"temporary_fail", "delivered"}, ""},
		{"complain@example.org", []string{"delivered", "complained"}, "complained"},
		{"complain@example.org", []string{"permanent_fail"}, "suppress-complaint"},
		{"unsubscribe@example.org", []string{"delivered", "unsubscribed"}, "unsubscribed"},
		{"unsubscribe@example.org", []string{"permanent_fail"}, "suppress-unsubscribe"},
		{"unsubscribed@example.org", []string{"permanent_fail"}, "suppress-unsubscribe"},
	} {
		sent, err := c.Send(t.Context(), to(in.address), "a1")
		if err != nil {
			t.Fatalf("%s: %v", in.address, err)
		}
		all := until(t, reports, sent.VendorID, in.want[len(in.want)-1])
		var statuses []string
		code := ""
		for _, r := range all {
			statuses = append(statuses, r.Status)
			if r.Message != "m1" || r.Attempt != "a1" {
				t.Errorf("%s: the receipt is about message %q, attempt %q", in.address, r.Message, r.Attempt)
			}
			if r.Failure != nil {
				code = r.Failure.Code
			}
		}
		if d := cmp.Diff(in.want, statuses); d != "" || code != in.code {
			t.Errorf("%s: code %q, %s", in.address, code, d)
		}
		// Asked, Mailgun says the same, and first that it took the mail.
		got, err := c.Reports(t.Context(), lead.Receipt{Label: all[0].Label, Message: "m1", Attempt: "a1", VendorID: sent.VendorID})
		if err != nil || len(got) == 0 || got[0].Status != "accepted" || got[0].State != "" {
			t.Fatalf("%s: %+v, %v", in.address, got, err)
		}
		if d := cmp.Diff(all, got[1:]); d != "" {
			t.Errorf("%s: %s", in.address, d)
		}
	}
}

func TestWhatTheSandboxRefuses(t *testing.T) {
	c, s, _ := setup(t)
	empty := mail()
	empty.Text, empty.HTML = "", ""
	for name, in := range map[string]struct {
		client  *mailgun.Client
		message lead.Message
		class   lead.FailureClass
	}{
		"wrong key":     {mailgun.New(mailgun.Options{APIKey: "other", APIBase: s.MailgunURL()}), mail(), lead.OurFault},
		"bad recipient": {c, to("not an address"), lead.BadRecipient},
		"empty":         {c, empty, lead.OurFault},
	} {
		_, err := in.client.Send(t.Context(), in.message, "a1")
		if err == nil {
			t.Errorf("%s: sent", name)
			continue
		}
		if f := failure(t, err); f.Class != in.class {
			t.Errorf("%s: %+v", name, f)
		}
	}
	unknown := lead.Receipt{VendorID: "20261122102030.1.0A1B2C3D4E5F6071@mg.example.com", Label: lead.Label{QueuedAt: time.Now()}}
	if got, err := c.Reports(t.Context(), unknown); err != nil || len(got) != 0 {
		t.Errorf("of an unknown mail: %+v, %v", got, err)
	}
	_, err := mailgun.New(mailgun.Options{APIKey: "other", APIBase: s.MailgunURL()}).Reports(t.Context(), unknown)
	if f := failure(t, err); f.Class != lead.OurFault {
		t.Errorf("asked with a wrong key: %+v", f)
	}
}

// The answer to a send is lost on the way back: the mail is doubtful, is found
// by its message id, and reports by itself.
func TestALostAnswerIsFound(t *testing.T) {
	_, s, reports := setup(t)
	target, err := url.Parse(strings.TrimSuffix(s.MailgunURL(), "/v3"))
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(target)
	line := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			forward.ServeHTTP(httptest.NewRecorder(), r)
			cut(w, r)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	defer line.Close()
	c, before := newClient(line.URL+"/v3"), time.Now()
	if _, found, err := c.Find(t.Context(), mail(), "a1", before, nil); found || err != nil {
		t.Fatalf("found before it was sent: %v", err)
	}
	_, err = c.Send(t.Context(), mail(), "a1")
	if f := failure(t, err); f.Class != lead.Doubtful || f.Code != "cut" {
		t.Fatalf("%+v", f)
	}
	sent, found, err := c.Find(t.Context(), mail(), "a1", before, nil)
	if err != nil || !found || sent.At.Before(before.Add(-time.Second)) {
		t.Fatalf("%+v, %t, %v", sent, found, err)
	}
	// Mailgun's events show our ids: another mail that says the same is no hindrance.
	if again, found, err := c.Find(t.Context(), mail(), "a1", before, []string{""}); !found || again.VendorID != sent.VendorID || err != nil {
		t.Errorf("beside another mail: %+v, %t, %v", again, found, err)
	}
	until(t, reports, sent.VendorID, "delivered")
	other := mail()
	other.ID = "m2"
	for name, in := range map[string]struct {
		message lead.Message
		since   time.Time
	}{
		"message": {other, before}, "recipient": {to("other@example.org"), before}, "time": {mail(), time.Now().Add(5 * time.Minute)},
	} {
		if _, found, err := c.Find(t.Context(), in.message, "a1", in.since, nil); found || err != nil {
			t.Errorf("another %s was found, %v", name, err)
		}
	}
}

// An owner's inbox fills faster than one page of events.
func TestFindTurnsPages(t *testing.T) {
	c, _, _ := setup(t)
	before := time.Now()
	m := mail()
	for i := range 301 {
		m.ID = fmt.Sprintf("m%d", i)
		if _, err := c.Send(t.Context(), m, "a1"); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"m0", "m300"} {
		m.ID = id
		if _, found, err := c.Find(t.Context(), m, "a2", before, nil); !found || err != nil {
			t.Errorf("%s: found %t, %v", id, found, err)
		}
	}
}

func TestFindMeetsFaults(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"401": answer(401, "Forbidden"), "429": answer(429, ""), "500": answer(500, address),
		"redirect": answer(307, "", "Location", "/"), "broken": answer(200, "{"), "cut": cut,
	} {
		server := httptest.NewServer(h)
		_, found, err := newClient(server.URL+"/v3").Find(t.Context(), mail(), "a1", time.Now(), nil)
		if found {
			t.Errorf("%s: found", name)
		}
		failure(t, err)
		server.Close()
	}
	if _, _, err := newClient("http://[::1/v3").Find(t.Context(), mail(), "a1", time.Now(), nil); err == nil {
		t.Error("an unreadable address answers")
	}
}

// A page full of events that the library's decoder refuses, and a next page
// elsewhere: the key must not follow it.
func TestFindTrustsNoPage(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("asked elsewhere, with authorization %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	items := []any{"odd", map[string]any{
		"event": "teleported", "timestamp": "soon", "user-variables": map[string]any{"message": "m7", "attempt": "a7"},
		"message": map[string]any{"headers": map[string]any{"message-id": "found@mg.example.net"}},
	}}
	for len(items) < 300 {
		items = append(items, map[string]any{"event": "accepted", "user-variables": []any{}})
	}
	page, err := json.Marshal(map[string]any{"items": items, "paging": map[string]any{"next": elsewhere.URL + "/v3/mg.example.net/events/x"}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(answer(200, string(page)))
	defer server.Close()
	c, m := newClient(server.URL+"/v3"), mail()
	m.ID = "m7"
	if sent, found, err := c.Find(t.Context(), m, "a7", time.Now(), nil); !found || err != nil || sent.VendorID != "found@mg.example.net" {
		t.Errorf("%+v, %t, %v", sent, found, err)
	}
	m.ID = "m8"
	if _, found, err := c.Find(t.Context(), m, "a7", time.Now(), nil); found || err != nil {
		t.Errorf("%t, %v", found, err)
	}
}
