package tracker_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/lead"
	"leadbus/internal/local/sandbox"
	"leadbus/internal/site"
	"leadbus/internal/vendors/tracker"
)

const secret = "s3cr3t"

func trackers() map[string]*site.Tracker {
	return map[string]*site.Tracker{
		"get": {
			ID: "get", Method: "GET", URL: "https://ads.example/conversion?click={{.Clicks.gclid}}&goal={{.Event}}&token={{.Secret}}", Secret: "get",
		},
		"post": {
			ID: "post", Method: "POST", URL: "https://crm.example/v1/{{.Site}}", Headers: map[string]string{"Authorization": "Bearer {{.Secret}}"},
			Body: `{"event": "{{.Event}}", "service": "{{.Service}}"}`, ContentType: "application/json", Secret: "post",
		},
		"dry":   {ID: "dry", Method: "GET", URL: "https://ads.example/", DryRun: true},
		"wrong": {ID: "wrong", Method: "GET", URL: "https://ads.example/?token=other"},
		"none":  {ID: "none", Method: "GET", URL: "https://ads.example/?token={{.Secret}}", Secret: "none"},
	}
}

func client(base string) *tracker.Client {
	return tracker.New(tracker.Options{Trackers: trackers(), Base: base, Secret: func(name string) (string, error) {
		if name == "none" {
			return "", os.ErrNotExist
		}
		return secret, nil
	}})
}

func message(to, key string) lead.Message {
	return lead.Message{ID: key, To: to, Conversion: &lead.Conversion{
		Event: "sale", Key: key, Site: "a.ch", Service: "it's \"a\" leak\n", Clicks: map[string]string{"gclid": "a&b=c"},
	}}
}

func start(t *testing.T) *sandbox.Sandbox {
	t.Helper()
	s, err := sandbox.Start(sandbox.Options{Addr: "127.0.0.1:0", TrackerSecrets: []string{secret}, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// call asks the sandbox's API.
func call(t *testing.T, s *sandbox.Sandbox, method, path string, in, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(out); err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res.Status, err)
	}
}

// taken are the postbacks that the sandbox has.
func taken(t *testing.T, s *sandbox.Sandbox) (all []struct {
	Subject, Text string
	IDs           map[string]string
},
) {
	t.Helper()
	call(t, s, http.MethodGet, "/api/postbacks", nil, &all)
	return all
}

func TestPostbacks(t *testing.T) {
	s := start(t)
	c := client(s.TrackerURL())
	for _, to := range []string{"get", "post"} {
		sent, err := c.Send(t.Context(), message(to, "key-"+to), "a1")
		if err != nil || sent.Vendor != "tracker" || sent.At.IsZero() {
			t.Fatal(sent, err)
		}
	}
	all := taken(t, s)
	if len(all) != 2 ||
		all[0].Subject != "GET /conversion" || all[0].Text != "click=a%26b%3Dc&goal=sale&token=%E2%80%A6" || all[0].IDs["key"] != "key-get" ||
		all[1].Subject != "POST /v1/a.ch" || all[1].Text != `{"event": "sale", "service": "it's \"a\" leak\n"}` || all[1].IDs["key"] != "key-post" {
		t.Errorf("%+v", all)
	}
	if sent, err := c.Send(t.Context(), message("dry", "k"), "a1"); err != nil || sent.Vendor != "dry-run" || len(taken(t, s)) != 2 {
		t.Errorf("a dry run: %+v, %v", sent, err)
	}
}

// A failure says by its class what is to be done.
func TestFailures(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = free.Close()
	for name, tt := range map[string]struct {
		to, base, code string
		faults         sandbox.VendorFaults
		class          lead.FailureClass
		wait           time.Duration
		taken          int
	}{
		"nobody is there":          {to: "get", base: "http://" + free.Addr().String(), code: "unreachable", class: lead.Transient},
		"500":                      {to: "get", faults: sandbox.VendorFaults{Error: 1}, code: "500", class: lead.Transient},
		"500, and taken":           {to: "post", faults: sandbox.VendorFaults{ErrorTaken: 1}, code: "500", class: lead.Transient, taken: 1},
		"no answer":                {to: "post", faults: sandbox.VendorFaults{Timeout: 1, HoldMS: 3000}, code: "timeout", class: lead.Transient, taken: 1},
		"cut":                      {to: "post", faults: sandbox.VendorFaults{Timeout: 1, HoldMS: 1}, code: "cut", class: lead.Transient, taken: 1},
		"reset":                    {to: "get", faults: sandbox.VendorFaults{Reset: 1}, code: "cut", class: lead.Transient},
		"slow":                     {to: "get", faults: sandbox.VendorFaults{DelayMS: 3000}, code: "timeout", class: lead.Transient, taken: -1}, // perhaps, once the caller is gone
		"too many":                 {to: "get", faults: sandbox.VendorFaults{TooMany: 1, RetryAfter: 7}, code: "429", class: lead.Transient, wait: 7 * time.Second},
		"400":                      {to: "get", faults: sandbox.VendorFaults{Refused: 1}, code: "400", class: lead.BadRecipient},
		"a wrong secret":           {to: "wrong", code: "401", class: lead.BadRecipient},
		"no secret":                {to: "none", class: lead.OurFault},
		"a tracker that is no one": {to: "gone", class: lead.OurFault},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			call(t, s, http.MethodPut, "/api/faults", sandbox.Faults{Tracker: tt.faults}, &struct{}{})
			base := cmp.Or(tt.base, s.TrackerURL())
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := client(base).Send(ctx, message(tt.to, "k"), "a1")
			var f *lead.Failure
			if !errors.As(err, &f) || f.Class != tt.class || f.Code != tt.code || f.RetryAfter != tt.wait || f.Vendor != "tracker" {
				t.Errorf("%+v", f)
			}
			if n := len(taken(t, s)); n != tt.taken && tt.taken >= 0 {
				t.Errorf("taken %d times, want %d", n, tt.taken)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Error("the secret is in the error")
			}
		})
	}
}

// A redirect is no success, and is not followed.
func TestRedirects(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, "http://elsewhere.example/", http.StatusTemporaryRedirect)
	}))
	defer s.Close()
	_, err := client(s.URL).Send(t.Context(), message("post", "k"), "a1")
	var f *lead.Failure
	if !errors.As(err, &f) || f.Class != lead.BadRecipient || f.Code != "307" || asked != 1 {
		t.Errorf("%v after %d requests", err, asked)
	}
}

// One attempt is one request, also when the tracker hangs up on a connection that it
// has kept.
func TestNoRequestIsRepeatedUnseen(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1)%2 == 0 {
			_, _ = io.Copy(io.Discard, r.Body)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}
	}))
	defer s.Close()
	c := client(s.URL)
	for n := 1; n <= 8; n++ {
		if _, err := c.Send(t.Context(), message([]string{"get", "post"}[n/2%2], "k"), "a1"); asked.Load() != int64(n) || (err == nil) != (n%2 == 1) {
			t.Fatalf("attempt %d: %d requests, %v", n, asked.Load(), err)
		}
	}
}
