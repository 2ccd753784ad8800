package test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/app"
	"leadbus/internal/elevenlabs"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/subjects"
)

// report posts a body as the voice vendor's webhook, signed at a time.
func (s *system) report(tb testing.TB, body []byte, at time.Time) int {
	tb.Helper()
	secret, err := os.ReadFile(filepath.Join(s.settings.Data, "secrets", "elevenlabs-webhook-secret"))
	if err != nil {
		tb.Fatal(err)
	}
	h := hmac.New(sha256.New, []byte("wsec"+strings.TrimSpace(string(secret))))
	_, _ = fmt.Fprintf(h, "%d.%s", at.Unix(), body)
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, s.EdgeURL+"/v1/elevenlabs/post-call", bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set(elevenlabs.SignatureHeader, fmt.Sprintf("t=%d,v0=%s", at.Unix(), hex.EncodeToString(h.Sum(nil))))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// reports are the shapes that the vendor's webhook is known to have.
func reports(tb testing.TB) map[string]map[string]any {
	tb.Helper()
	files, err := filepath.Glob("../internal/elevenlabs/testdata/*.json")
	if err != nil || len(files) < 3 {
		tb.Fatal(err, files)
	}
	out := map[string]map[string]any{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		var o map[string]any
		if err := json.Unmarshal(raw, &o); err != nil {
			tb.Fatal(err)
		}
		out[filepath.Base(file)] = o
	}
	return out
}

// everywhere hands over a copy of v for each place in it: without it, and with
// an odd value there, another one at each place.
func everywhere(v any, odd []any, hand func(any)) {
	places := 0
	var at func(v any, rebuild func(any) any)
	at = func(v any, rebuild func(any) any) {
		hand(rebuild(gone))
		hand(rebuild(odd[places%len(odd)]))
		places++
		switch v := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				at(v[k], func(x any) any {
					c := map[string]any{}
					for kk, vv := range v {
						c[kk] = vv
					}
					if c[k] = x; x == gone {
						delete(c, k)
					}
					return rebuild(c)
				})
			}
		case []any:
			for i := range v {
				at(v[i], func(x any) any {
					c := slices.Clone(v)
					c[i] = x
					return rebuild(c)
				})
			}
		}
	}
	at(v, func(x any) any { return x })
}

// gone stands for a field that is left out.
const gone = "\x00gone"

// Every authentic report is stored, whatever is null, empty, missing or of
// another type in it, and neither edge nor scanner minds.
func TestReportsOfAnyShape(t *testing.T) {
	s := start(t, settings(t))
	want := map[string]bool{}
	n := 0
	for name, o := range reports(t) {
		everywhere(o, []any{nil, []any{}, map[string]any{}, "\u0000x\ufffd", 1e300, true}, func(v any) {
			n++
			m, ok := v.(map[string]any)
			if !ok {
				return // no object at all: below
			}
			site, agent, conversation := "unknown.invalid", "", ""
			if data, ok := m["data"].(map[string]any); ok {
				c := map[string]any{}
				for k, v := range data {
					c[k] = v
				}
				if id, ok := c["conversation_id"].(string); ok && strings.HasPrefix(id, "conv_") {
					conversation = fmt.Sprintf("conv_shape_%d", n)
					c["conversation_id"] = conversation
				}
				agent, _ = c["agent_id"].(string)
				m["data"] = c
			}
			for domain, st := range s.Catalog.Sites {
				if st.Agent.ID == agent {
					site = domain
				}
			}
			body, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if status := s.report(t, body, time.Now()); status != http.StatusOK {
				t.Errorf("%s, variant %d: status %d: %.300s", name, n, status, body)
			}
			if conversation != "" {
				want[lead.NewID(site, conversation)] = true
			}
		})
	}
	if len(want) < 300 {
		t.Fatalf("only %d variants", len(want))
	}
	for _, odd := range []string{"", "{", "null", "[]", `"x"`, "\xff\xfe", strings.Repeat("[", 100_000)} {
		if status := s.report(t, []byte(odd), time.Now()); status != http.StatusBadRequest {
			t.Errorf("body %.20q: status %d", odd, status)
		}
	}
	// The site of a report of another market's agent may be elsewhere.
	have := map[string]bool{}
	for _, market := range []string{"ch", "fr", "id"} {
		for id := range s.kinds(t, market, subjects.CallEnded) {
			have[id] = true
		}
	}
	for id := range want {
		if !have[id] {
			t.Errorf("the report on %s is not on the stream", id)
		}
	}
	eventually(t, func() bool {
		return s.metric(t, "leadbus_calls_scanned_total") >= float64(len(have))
	}, func() string { return "not every call was scanned" })
	if n := s.metric(t, "leadbus_dead_letters"); n != 0 {
		t.Errorf("%v reports were given up", n)
	}
}

// A forged or old report is refused and nothing of it is kept; one that a
// carrier repeats forty minutes late is taken, once.
func TestReportsThatAreNotAuthentic(t *testing.T) {
	s := start(t, settings(t))
	body, err := json.Marshal(reports(t)["post-call.json"])
	if err != nil {
		t.Fatal(err)
	}
	if status := s.report(t, body, time.Now().Add(-2*time.Hour)); status != http.StatusUnauthorized {
		t.Errorf("two hours old: status %d", status)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.EdgeURL+"/v1/elevenlabs/post-call", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(elevenlabs.SignatureHeader, fmt.Sprintf("t=%d,v0=%s", time.Now().Unix(), strings.Repeat("0", 64)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("forged: status %d", res.StatusCode)
	}
	if got := s.kinds(t, "ch", subjects.CallEnded); len(got) != 0 {
		t.Errorf("%d refused reports are on the stream", len(got))
	}
	for _, age := range []time.Duration{0, 40 * time.Minute} {
		if status := s.report(t, body, time.Now().Add(-age)); status != http.StatusOK {
			t.Errorf("%s old: status %d", age, status)
		}
	}
	for id, n := range s.kinds(t, "ch", subjects.CallEnded) {
		if n != 1 {
			t.Errorf("the report on %s is stored %d times", id, n)
		}
	}
	// Recordings are not ours to keep; the vendor must not repeat them.
	audio := []byte(`{"type":"post_call_audio","event_timestamp":1,"data":{"agent_id":"a","conversation_id":"conv_audio","full_audio":"AAAA"}}`)
	if status := s.report(t, audio, time.Now()); status != http.StatusOK {
		t.Errorf("a recording: status %d", status)
	}
	if got := s.kinds(t, "ch", subjects.CallEnded); len(got) != 1 {
		t.Errorf("%d reports are kept, want 1", len(got))
	}
}

// kinds counts a market's events of a kind, by lead.
func (s *system) kinds(tb testing.TB, market, kind string) map[string]int {
	tb.Helper()
	out := map[string]int{}
	s.history(tb, subjects.Lead{Market: market, Event: kind}, func(e event.Event) { out[e.Lead.Lead]++ })
	return out
}

// history hands over a market's stored events.
func (s *system) history(tb testing.TB, filter subjects.Lead, f func(event.Event)) {
	tb.Helper()
	settings := s.settings.Settings
	settings.NATSURL = s.NATSURL
	c, err := app.Operator(tb.Context(), settings, filter.Market, zerolog.Nop())
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	if err := c.History(tb.Context(), filter, time.Time{}, func(e event.Event, _ time.Time) error { f(e); return nil }); err != nil {
		tb.Fatal(err)
	}
}

// metric is the sum of a metric over its labels.
func (s *system) metric(tb testing.TB, name string) (sum float64) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, s.PrivateURL+"/metrics", nil)
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(s.text(tb, req)) {
		if f := strings.Fields(line); len(f) == 2 && strings.HasPrefix(f[0], name+"{") {
			v, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				tb.Fatal(err)
			}
			sum += v
		}
	}
	return sum
}

// The agent says goodbye and never calls its tool. From the report on the call
// the lead is recovered, the provider told and the owner mailed what was said.
func TestGoodbyeBeforeTheTool(t *testing.T) {
	s := start(t, settings(t))
	out, stderr, err := s.leadbus(t, "call", "--scenario", "goodbye-before-tool", "--site", site1, "--name", "Zoé Zbinden", "--wait", "10s")
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr)
	}
	for _, want := range []string{"recovered", "missed_dispatch", "close_before_dispatch \"Merci pour votre appel, bonne journée, au revoir.\"", "matched"} {
		if !strings.Contains(out, want) {
			t.Errorf("the command does not say %q:\n%s", want, out)
		}
	}
	var provider, customer, transcript bool
	for _, m := range s.sandboxMessages(t) {
		provider = provider || m.Channel == "whatsapp"
		customer = customer || m.Channel == "sms" && strings.Contains(m.Text, "Plombiers")
		transcript = transcript || m.Channel == "email" && m.To == s.Catalog.Sites[site1].Owner.Email &&
			strings.Contains(m.Text, "Merci pour votre appel, bonne journée, au revoir.") && strings.Contains(m.Text, "Zoé Zbinden")
	}
	if !provider || !customer || !transcript {
		t.Errorf("provider told %t, customer told %t, owner read what was said %t", provider, customer, transcript)
	}
	if n := len(s.kinds(t, "ch", subjects.Received)); n != 1 {
		t.Errorf("%d leads, want 1", n)
	}
}

// A call as it should be becomes one lead, and the owner still reads the call.
func TestANormalCall(t *testing.T) {
	s := start(t, settings(t))
	out, stderr, err := s.leadbus(t, "call", "--scenario", "normal", "--site", site1)
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr)
	}
	if n := len(s.kinds(t, "ch", subjects.Received)); n != 1 || strings.Contains(out, "recovered") {
		t.Errorf("%d leads:\n%s", n, out)
	}
}
