package test

import (
	"bytes"
	"context"
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
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/app"
	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/local/sandbox"
	"leadbus/internal/local/scenario"
	"leadbus/internal/role/watch/reconcile"
	"leadbus/internal/subjects"
	"leadbus/internal/vendors/elevenlabs"
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
	files, err := filepath.Glob("../internal/vendors/elevenlabs/testdata/*.json")
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

// Every authentic report on a finished call is stored, whatever is null, empty, missing or of
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
			// Of another type, or not over: kept nowhere.
			kind, named := m["type"].(string)
			data, _ := m["data"].(map[string]any)
			if named && kind != o["type"] || data["status"] != nil && data["status"] != o["data"].(map[string]any)["status"] {
				return
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
	await.Until(t, func() bool {
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
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	c, err := app.Operator(ctx, settings, filter.Market, zerolog.Nop())
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	if err := c.History(ctx, filter, time.Time{}, func(e event.Event) error { f(e); return nil }); err != nil {
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
		if i := strings.LastIndexByte(line, ' '); i > 0 && strings.HasPrefix(line, name+"{") {
			v, err := strconv.ParseFloat(strings.TrimSpace(line[i:]), 64)
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
	out, stderr, err := s.leadbus(t, "call", "--scenario", "goodbye-before-tool", "--site", site1, "--name", "Zoé Zbinden", "--wait", "50s")
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr)
	}
	for _, want := range []string{"recovered", "missed_dispatch", "close_before_dispatch \"Merci pour votre appel, bonne journée, au revoir.\"", "matched"} {
		if !strings.Contains(out, want) {
			t.Errorf("the command does not say %q:\n%s", want, out)
		}
	}
	var provider, customer, transcript bool
	await.Until(t, func() bool { // the command does not wait for the mail
		for _, m := range s.sandboxMessages(t) {
			provider = provider || m.Channel == "whatsapp"
			customer = customer || m.Channel == "sms" && strings.Contains(m.Text, "Plombiers")
			transcript = transcript || m.Channel == "email" && m.To == s.Catalog.Sites[site1].Owner.Email &&
				strings.Contains(m.Text, "Merci pour votre appel, bonne journée, au revoir.") && strings.Contains(m.Text, "Zoé Zbinden")
		}
		return provider && customer && transcript
	}, func() string {
		return fmt.Sprintf("provider told %t, customer told %t, owner read what was said %t", provider, customer, transcript)
	})
	if n := len(s.kinds(t, "ch", subjects.Received)); n != 1 {
		t.Errorf("%d leads, want 1", n)
	}
}

// Reports on one call come piece by piece. Only the finished ones count, the
// fullest stands everywhere, its customer is saved once, and the owner reads it.
func TestReportsComePieceByPiece(t *testing.T) {
	s := start(t, settings(t))
	st := s.Catalog.Sites[site1]
	play, err := scenario.Build("goodbye-before-tool", scenario.Site{
		Language: "fr", AgentID: st.Agent.ID, DID: st.DID, Brand: st.Brand, Greeting: st.Agent.FirstMessage["fr"], Service: "fuite d'eau", Place: "Carouge",
	}, scenario.Call{ConversationID: "conv_pieces", Caller: "+41781240001", Name: "Zoé Zbinden", Ended: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	piece := func(kind, status string, turns int) {
		t.Helper()
		var data map[string]any
		if err := json.Unmarshal(play.Conversation(), &data); err != nil {
			t.Fatal(err)
		}
		data["status"] = status
		if turns > 0 {
			data["transcript"], data["analysis"] = data["transcript"].([]any)[:turns], nil
		}
		body, err := json.Marshal(map[string]any{"type": kind, "event_timestamp": time.Now().Unix(), "data": data})
		if err != nil {
			t.Fatal(err)
		}
		if status := s.report(t, append([]byte("\ufeff"), body...), time.Now()); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
	id := lead.NewID(site1, "conv_pieces")
	piece("post_call_sentiment", "done", 0)
	piece(elevenlabs.PostCall, "processing", 2)
	piece(elevenlabs.PostCall, "done", 2)
	await.True(t, "the cut transcript is scanned", func() bool { return s.kinds(t, "ch", subjects.CallScanned)[id] == 1 })
	piece(elevenlabs.PostCall, "done", 0)
	piece(elevenlabs.PostCall, "done", 0)
	piece(elevenlabs.PostCall, "done", 2)
	saved := func() (n int, providers int) {
		for _, m := range s.sandboxMessages(t) {
			if m.Channel == "email" && m.To == st.Owner.Email && strings.Contains(m.Text, "A request was saved") {
				n++
			}
			if m.Channel == "whatsapp" {
				providers++
			}
		}
		return n, providers
	}
	await.True(t, "the owner and a provider are told", func() bool { n, providers := saved(); return n > 0 && providers > 0 })
	if n, providers := saved(); n != 1 || providers != 1 {
		t.Errorf("the owner was told %d times, providers %d times", n, providers)
	}
	if ended, scans, leads := s.kinds(t, "ch", subjects.CallEnded)[id], s.kinds(t, "ch", subjects.CallScanned)[id], s.kinds(t, "ch", subjects.Received)[id]; ended != 2 || scans != 2 || leads != 1 {
		t.Errorf("%d reports, %d scans and %d leads, want 2, 2 and 1", ended, scans, leads)
	}
	if n := s.metric(t, "leadbus_dead_letters"); n != 0 {
		t.Errorf("%v events were given up", n)
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

// The voice vendor's webhook never arrives: the market's next pass over the
// records finds the call, and its lead is saved.
func TestALostReportIsFound(t *testing.T) {
	cfg := settings(t)
	cfg.ReconcileEvery = 500 * time.Millisecond
	s := start(t, cfg)
	out, stderr, err := s.leadbus(t, "call", "--scenario", "webhook-lost", "--site", site1, "--wait", "50s")
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr)
	}
	for _, want := range []string{"recovered", "promise_without_dispatch", "matched", "delivered"} {
		if !strings.Contains(out, want) {
			t.Errorf("the command does not say %q:\n%s", want, out)
		}
	}
}

// Records are compared by hand, at the same time as by a scanner: every lost
// report is fetched once, and one that comes late changes nothing.
func TestComparingRecords(t *testing.T) {
	cfg := settings(t)
	cfg.ReconcileEvery = 2 * time.Second
	s := start(t, cfg)
	const calls = 120 // more than a page of the vendor's list
	for n := range calls {
		s.play(t, s.SandboxURL, "webhook-lost", n)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { _, _, _ = s.leadbus(t, "reconcile", "--market", "ch", "--grace", "1ms") })
	}
	await.Return(t, "both reconcile", wg.Wait)
	out, stderr, err := s.leadbus(t, "reconcile", "--market", "ch", "--grace", "1ms")
	if err != nil || !strings.Contains(out, "the records agree; 0 calls and ") {
		t.Errorf("%v\n%s%s", err, out, stderr)
	}
	got := s.kinds(t, "ch", subjects.CallEnded)
	for id, n := range got {
		if n != 1 {
			t.Errorf("the report on %s is stored %d times", id, n)
		}
	}
	if len(got) != calls {
		t.Errorf("%d reports, want %d", len(got), calls)
	}
	if n := len(s.kinds(t, "id", subjects.CallEnded)); n != 0 {
		t.Errorf("%d of them are in another market", n)
	}

	// A vendor that fails leaves its part out, and says so.
	s.send(t, http.MethodPut, s.SandboxURL+"/api/faults", `{"elevenlabs": {"error": 1}}`)
	out, _, err = s.leadbus(t, "reconcile", "--market", "ch")
	if err == nil || !strings.Contains(out, "not compared: elevenlabs") {
		t.Errorf("with the voice vendor away: %v\n%s", err, out)
	}
}

// A call that the agent never answered is on a list to be called back, and the
// owner hears of it.
func TestACallWithoutConversation(t *testing.T) {
	cfg := settings(t)
	s := start(t, cfg)
	var v app.VendorSettings
	secret := func(name string) string {
		b, err := os.ReadFile(filepath.Join(s.settings.Data, "secrets", name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	// A voice vendor that has heard of nothing.
	deaf, err := sandbox.Start(sandbox.Options{
		Addr: "127.0.0.1:0", Dir: t.TempDir(), ElevenLabsKey: "key", AccountSID: "AC1", AuthToken: "t", MailgunKey: "k", MailgunSigningKey: "k", Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(deaf.Close)
	v.TwilioAccountSID, v.TwilioAuthToken, v.TwilioURL = "AC"+secret("twilio-account-sid"), app.Secret(secret("twilio-auth-token")), s.SandboxURL
	v.ElevenLabsAPIKey, v.ElevenLabsURL = "key", deaf.ElevenLabsURL()
	s.play(t, s.SandboxURL, "webhook-lost", 1)
	settings := s.settings.Settings
	settings.NATSURL = s.NATSURL
	report, err := app.Reconcile(t.Context(), settings, v, "ch", time.Hour, time.Millisecond)
	if err != nil || len(report.Missing) > 0 {
		t.Fatal(err, report.Missing)
	}
	occurrences := report.Occurrences()
	if len(report.Gaps) != 1 || report.Gaps[0].Kind != reconcile.Unanswered || report.Gaps[0].Site != site1 || len(occurrences) != 1 || occurrences[0].Cause != alarm.CallWithoutConversation {
		t.Errorf("gaps %+v, occurrences %+v", report.Gaps, occurrences)
	}
}

// Somebody changes an agent at the voice vendor: the owner hears what changed,
// and nothing of what it says.
func TestAnAgentChangedAtTheVendor(t *testing.T) {
	cfg := settings(t)
	cfg.AgentsEvery, cfg.Market = 50*time.Millisecond, []string{"ch"}
	s := start(t, cfg)
	looks := func() int {
		var requests map[string]map[string]int
		s.getJSON(t, s.SandboxURL+"/api/requests", &requests)
		return requests["elevenlabs"]["GET /v1/convai/agents/{id}"]
	}
	await.True(t, "every agent is on record", func() bool { return looks() > 2*len(s.Catalog.Sites) })
	s.send(t, http.MethodPatch, s.SandboxURL+"/api/agents/"+s.Catalog.Sites[site1].Agent.ID, `{"conversation_config": {"agent": {"first_message": "Allô ?"}}}`)
	var heard []sent
	await.True(t, "the owner hears by mail and SMS", func() bool {
		heard = slices.DeleteFunc(s.sandboxMessages(t), func(m sent) bool {
			return m.To != s.Catalog.Sites[site1].Owner.Email && m.To != s.Catalog.Sites[site1].Owner.Phone
		})
		return len(heard) == 2
	})
	for _, m := range heard {
		if m.Channel == lead.Email && !strings.Contains(m.Text, "conversation_config.agent.first_message") || strings.Contains(m.Text, "Allô") {
			t.Errorf("%+v", m)
		}
	}
	before := looks()
	await.True(t, "two more looks", func() bool { return looks() > before+2*len(s.Catalog.Sites) })
	if got := s.kinds(t, "ch", subjects.AlarmRaised); len(got) != 1 {
		t.Errorf("alarms %v", got)
	}
}

// play lets the sandbox's voice vendor have a finished call.
func (s *system) play(tb testing.TB, at, name string, n int) {
	tb.Helper()
	st := s.Catalog.Sites[site1]
	play, err := scenario.Build(name, scenario.Site{
		Language: "fr", AgentID: st.Agent.ID, DID: st.DID, Brand: st.Brand, Service: "fuite d'eau", Place: "Carouge",
	}, scenario.Call{ConversationID: fmt.Sprintf("conv_played_%d", n), Caller: fmt.Sprintf("+4178124%04d", n), Ended: time.Now()})
	if err != nil {
		tb.Fatal(err)
	}
	res, err := http.Post(at+"/api/calls", "application/json", bytes.NewReader(play.Conversation()))
	if err != nil {
		tb.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		tb.Fatalf("the sandbox answered %s", res.Status)
	}
}

func (s *system) send(tb testing.TB, method, url, body string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, url, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode/100 != 2 {
		tb.Fatalf("%s %s: %s", method, url, res.Status)
	}
}
