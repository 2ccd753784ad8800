package sandbox

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/local/await"
)

type call struct{ status, event, idempotency, token, query string }

// edge answers its calls with the given statuses in turn, then with 200.
func edge(t *testing.T, answers ...int) (*httptest.Server, <-chan call) {
	t.Helper()
	calls := make(chan call, 100)
	next := make(chan int, len(answers))
	for _, a := range answers {
		next <- a
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := call{idempotency: r.Header.Get("I-Twilio-Idempotency-Token"), query: r.URL.RawQuery}
		if r.URL.Path == "/v1/mailgun/events" {
			var hook struct {
				Signature struct{ Token string }
				Data      struct{ Event string } `json:"event-data"`
			}
			body, err := io.ReadAll(r.Body)
			if err != nil || json.Unmarshal(body, &hook) != nil {
				t.Errorf("webhook %q, %v", body, err)
			}
			c.event, c.token = hook.Data.Event, hook.Signature.Token
		} else {
			c.status = r.FormValue("MessageStatus")
		}
		calls <- c
		select {
		case status := <-next:
			w.WriteHeader(status)
		default:
		}
	}))
	t.Cleanup(server.Close)
	return server, calls
}

func TestTwilioRepeatsAsItsRulesSay(t *testing.T) {
	for name, c := range map[string]struct {
		fragment string
		answers  []int
		want     []string // statuses of the callbacks
	}{
		"a 5xx is not repeated by itself":   {"", []int{503}, []string{"sent", "delivered"}},
		"a 5xx under rules":                 {"#rc=3&rp=5xx,ct,rt&ct=2000&rt=5000", []int{503, 500}, []string{"sent", "sent", "sent", "delivered"}},
		"a 4xx under these rules":           {"#rc=3&rp=5xx,ct,rt", []int{404}, []string{"sent", "delivered"}},
		"a 4xx under all":                   {"#rc=1&rp=all", []int{404}, []string{"sent", "sent", "delivered"}},
		"no more than the rules' repeats":   {"#rc=1&rp=5xx", []int{503, 503}, []string{"sent", "sent", "delivered"}},
		"rules that make no sense are none": {"#rc=x&rt=-1&rp=", []int{503}, []string{"sent", "delivered"}},
	} {
		t.Run(name, func(t *testing.T) {
			server, calls := edge(t, c.answers...)
			s := begin(t, Options{})
			defer s.Close()
			m := create(t, s, sms("+41790000007", server.URL+"/cb?a=1"+c.fragment))
			reaches(t, s, m.SID, "delivered")
			var got []string
			tokens := map[string]string{}
			for len(calls) > 0 {
				r := <-calls
				got = append(got, r.status)
				if r.query != "a=1" {
					t.Errorf("query %q", r.query)
				}
				if was := tokens[r.status]; r.idempotency == "" || (was != "" && was != r.idempotency) {
					t.Errorf("a repeat has another token")
				}
				tokens[r.status] = r.idempotency
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// A dead edge costs its callbacks, never the messages.
func TestNobodyThere(t *testing.T) {
	server, _ := edge(t)
	server.Close()
	s := begin(t, Options{EdgeURL: server.URL})
	defer s.Close()
	m := create(t, s, sms("+41790000007", server.URL))
	reaches(t, s, m.SID, "delivered")
}

func TestNothingLeavesThisMachine(t *testing.T) {
	s := begin(t, Options{})
	defer s.Close()
	for _, address := range []string{"http://192.0.2.1/", "http://example.com/", "https://bus.example.com:8443/x?a=1"} {
		if _, err := s.post(address, "text/plain", nil, http.Header{}, time.Second); err == nil || err.Error() != "the address is not on this machine" {
			t.Errorf("%s: %v", address, err)
		}
	}
	server, calls := edge(t)
	with := begin(t, Options{EdgeURL: server.URL + "/"})
	defer with.Close()
	if status, err := with.post("https://bus.example.com/x?a=1", "text/plain", nil, http.Header{}, patient); status != 200 || err != nil {
		t.Fatalf("%d, %v", status, err)
	}
	if c := await.Value(t, "the call", calls); c.query != "a=1" {
		t.Errorf("%+v", c)
	}
}

func TestMailgunRepeatsAsDocumented(t *testing.T) {
	was := mailgunRetries
	mailgunRetries = []time.Duration{time.Millisecond, time.Millisecond}
	t.Cleanup(func() { mailgunRetries = was })
	for name, c := range map[string]struct {
		to, last string
		answers  []int
		calls    int
	}{
		"a failure is repeated":           {"bounce@example.org", "failed", []int{503, 403}, 3},
		"until Mailgun gives up":          {"bounce@example.org", "failed", []int{503, 503, 503, 503}, 3},
		"406 ends it":                     {"bounce@example.org", "failed", []int{406}, 1},
		"201 is not success":              {"bounce@example.org", "failed", []int{201}, 2},
		"a delivery is never repeated":    {"nora@example.org", "delivered", []int{503}, 1},
		"taken at once is taken for good": {"nora@example.org", "delivered", nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			server, calls := edge(t, c.answers...)
			s := begin(t, Options{EdgeURL: server.URL})
			defer s.Close()
			sendMail(t, s, c.to)
			id := s.store.newest(1, func(*message) bool { return true })[0].ID
			reaches(t, s, id, c.last)
			n := len(calls)
			if n != c.calls {
				t.Errorf("%d calls", n)
			}
			tokens := map[string]bool{}
			for range n {
				r := <-calls
				tokens[r.token] = true
				if r.event != c.last {
					t.Errorf("event %q", r.event)
				}
			}
			if len(tokens) != 1 {
				t.Errorf("%d tokens for one webhook", len(tokens))
			}
		})
	}
}

func sendMail(t *testing.T, s *Sandbox, to string) {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for k, v := range map[string]string{"from": "a@mg.example.net", "to": to, "subject": "s", "text": "t"} {
		if err := w.WriteField(k, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.MailgunURL()+"/mg.example.net/messages", &body)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("api", mailKey)
	r.Header.Set("Content-Type", w.FormDataContentType())
	res, err := http.DefaultClient.Do(r)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("send: %v, %v", res, err)
	}
	_ = res.Body.Close()
}
