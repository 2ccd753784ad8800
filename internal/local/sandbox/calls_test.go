package sandbox

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/local/await"
	"leadbus/internal/vendors/elevenlabs"
)

const (
	voiceKey    = "key-of-the-voice"
	voiceSecret = "wsec_of_tests"
)

func speak(t *testing.T, o Options) *Sandbox {
	t.Helper()
	o.ElevenLabsKey, o.ElevenLabsWebhookSecret = voiceKey, voiceSecret
	return begin(t, o)
}

// play posts a call and answers its ids.
func play(t *testing.T, s *Sandbox, body string) (conversation, sid string) {
	t.Helper()
	var answer map[string]string
	if status := playing(t, s, body, nil, &answer); status != http.StatusCreated {
		t.Fatalf("status %d: %v", status, answer)
	}
	return answer["conversation_id"], answer["call_sid"]
}

func playing(t *testing.T, s *Sandbox, body string, header http.Header, into any) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/api/calls", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header[k] = v
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if into != nil {
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	return res.StatusCode
}

// hooked waits until a call's hook is settled and answers what became of it.
func hooked(t *testing.T, s *Sandbox, id string) message {
	t.Helper()
	deadline := time.After(patient)
	for rev := uint64(0); ; {
		_, now, _, next := s.store.since(rev, 0)
		rev = now
		if m, ok := s.store.get(id); ok && m.hook() != "pending" {
			return m
		}
		select {
		case <-next:
		case <-deadline:
			t.Fatal("the hook is not settled")
		}
	}
}

// receiver is an edge that answers hooks with the statuses in turn, then 200.
func receiver(t *testing.T, statuses ...int) (*httptest.Server, <-chan []byte, *atomic.Int64) {
	t.Helper()
	bodies, count := make(chan []byte, 100), new(atomic.Int64)
	edge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = elevenlabs.Verify(voiceSecret, r.Header.Get(elevenlabs.SignatureHeader), body, time.Now(), time.Minute)
		}
		if err != nil || r.URL.Path != "/v1/elevenlabs/post-call" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		bodies <- body
		if n := int(count.Add(1)); n <= len(statuses) {
			w.WriteHeader(statuses[n-1])
		}
	}))
	t.Cleanup(edge.Close)
	return edge, bodies, count
}

const inbound = `{"agent_id":"agent_1","metadata":{"call_duration_secs":80,"main_language":"fr",
	"phone_call":{"type":"twilio","direction":"inbound","agent_number":"+41225394512","external_number":"+41781240001","call_sid":"CA1"}},
	"transcript":[{"role":"user","message":"Une fuite.","time_in_call_secs":3}],"analysis":{"call_successful":"success","transcript_summary":"Une fuite"}}`

func TestAPlayedCallIsToldListedAndFetched(t *testing.T) {
	edge, bodies, _ := receiver(t)
	s := speak(t, Options{EdgeURL: edge.URL})
	defer s.Close()
	id, sid := play(t, s, inbound)
	hook, err := elevenlabs.Decode(await.Value(t, "a hook", bodies))
	if err != nil || hook.Type != elevenlabs.PostCall || hook.ConversationID != id || hook.AgentID != "agent_1" || time.Since(hook.At) > time.Minute {
		t.Fatalf("%+v %v", hook, err)
	}
	c := hook.Call
	if c.Seconds != 80 || time.Since(c.StartedAt) < 79*time.Second || c.Status != "done" || c.CallSID != sid || len(c.Turns) != 1 || c.Summary != "Une fuite" {
		t.Errorf("%+v", c)
	}
	if m := hooked(t, s, id); m.hook() != "taken" || m.From != "+41781240001" || m.To != "+41225394512" {
		t.Errorf("%s %+v", m.hook(), m)
	}
	client := elevenlabs.New(voiceKey, s.ElevenLabsURL())
	list, err := client.List(t.Context(), "agent_1", time.Now().Add(-time.Hour), time.Now())
	if err != nil || len(list) != 1 || list[0].ID != id || list[0].Seconds != 80 || !list[0].StartedAt.Equal(c.StartedAt) {
		t.Fatalf("%+v %v", list, err)
	}
	if got, _, err := client.Fetch(t.Context(), id); err != nil || got.ID != id || len(got.Turns) != 1 {
		t.Errorf("%+v %v", got, err)
	}
	var messages []message
	if ask(t, "GET", s.URL()+"/api/messages", "", "", nil, &messages); len(messages) != 0 {
		t.Errorf("a call is a message: %+v", messages)
	}
}

func TestALostHook(t *testing.T) {
	edge, _, count := receiver(t)
	s := speak(t, Options{EdgeURL: edge.URL})
	id, _ := play(t, s, strings.Replace(inbound, "{", `{"webhook":false,`, 1))
	if m := hooked(t, s, id); m.hook() != "lost" || strings.Contains(string(m.Call.Conversation), "webhook") {
		t.Errorf("%s %s", m.hook(), m.Call.Conversation)
	}
	var calls []map[string]any
	if ask(t, "GET", s.URL()+"/api/calls", "", "", nil, &calls); len(calls) != 1 || calls[0]["hook"] != "lost" || calls[0]["conversation_id"] != id {
		t.Errorf("%v", calls)
	}
	s.Close()
	if count.Load() != 0 {
		t.Error("the hook was sent")
	}
}

// What ElevenLabs tries again, and how often. Not parallel: the pauses are the
// package's.
func TestHooksAreRepeatedAsTheVendorDoes(t *testing.T) {
	defer func(d []time.Duration) { postCallRetries = d }(postCallRetries)
	postCallRetries = []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond, time.Millisecond}
	for name, c := range map[string]struct {
		statuses []int
		tries    int64
		state    string
	}{
		"taken at last":    {[]int{503, 500, 429, 408}, 5, "taken"},
		"five tries":       {[]int{503, 503, 503, 503, 503}, 5, "given up"},
		"a refusal":        {[]int{401}, 1, "given up"},
		"another success":  {[]int{204}, 1, "given up"},
		"a redirect":       {[]int{302}, 1, "given up"},
		"a client's fault": {[]int{503, 400}, 2, "given up"},
	} {
		t.Run(name, func(t *testing.T) {
			edge, bodies, count := receiver(t, c.statuses...)
			s := speak(t, Options{EdgeURL: edge.URL})
			defer s.Close()
			id, _ := play(t, s, inbound)
			m := hooked(t, s, id)
			if m.hook() != c.state || count.Load() != c.tries || (m.Error == "") != (c.state == "taken") {
				t.Errorf("%s (%s) after %d tries", m.hook(), m.Error, count.Load())
			}
			first := string(await.Value(t, "a hook", bodies))
			for range c.tries - 1 {
				if again := string(await.Value(t, "a repeat", bodies)); again != first {
					t.Errorf("a repeat differs: %s", again)
				}
			}
		})
	}
}

func TestARestartGoesOnWithHooks(t *testing.T) {
	down, bodies, _ := receiver(t, 503, 503, 503, 503, 503)
	dir := t.TempDir()
	s := speak(t, Options{EdgeURL: down.URL, Dir: dir})
	id, _ := play(t, s, inbound)
	first := await.Value(t, "the hook", bodies)
	s.Close() // before the next try
	edge, again, _ := receiver(t)
	s = speak(t, Options{EdgeURL: edge.URL, Dir: dir})
	defer s.Close()
	if second := await.Value(t, "the hook again", again); string(second) != string(first) {
		t.Errorf("%s\n%s", first, second)
	}
	if m := hooked(t, s, id); m.hook() != "taken" || m.Call.SID != "CA1" {
		t.Errorf("%s %+v", m.hook(), m.Call)
	}
}

func TestConversationsArePagedAndFiltered(t *testing.T) {
	s := speak(t, Options{})
	defer s.Close()
	const day = 1795273396
	for _, c := range []struct {
		agent string
		start string
		n     int
	}{{"agent_1", "1795273396", 150}, {"agent_2", "1795273396", 1}, {"agent_1", "1795273000", 1}} {
		for range c.n {
			play(t, s, `{"agent_id":"`+c.agent+`","metadata":{"start_time_unix_secs":`+c.start+`}}`)
		}
	}
	client := elevenlabs.New(voiceKey, s.ElevenLabsURL()+"/")
	for name, c := range map[string]struct {
		agent    string
		from, to int64
		want     int
	}{
		"two pages of one agent": {"agent_1", day, day + 10, 150},
		"all agents":             {"", day - 1000, day, 152},
		"before":                 {"", day - 1000, day - 1, 1},
		"nobody":                 {"agent_3", 0, day, 0},
	} {
		list, err := client.List(t.Context(), c.agent, time.Unix(c.from, 0), time.Unix(c.to, 0))
		seen := map[string]bool{}
		for _, l := range list {
			seen[l.ID] = true
		}
		if err != nil || len(list) != c.want || len(seen) != c.want {
			t.Errorf("%s: %d, %d of them different, %v", name, len(list), len(seen), err)
		}
	}
	for _, query := range []string{"page_size=101", "page_size=x", "cursor=conv_none", "call_start_after_unix=soon"} {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.ElevenLabsURL()+"/v1/convai/conversations?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("xi-api-key", voiceKey)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: status %d", query, res.StatusCode)
		}
	}
}

func TestWhatCannotBePlayed(t *testing.T) {
	s := speak(t, Options{})
	defer s.Close()
	play(t, s, `{"agent_id":"agent_1","conversation_id":"conv_1"}`)
	for body, want := range map[string]int{
		``: 400, `[]`: 400, `null`: 400, `{}`: 400, `{"agent_id":7}`: 400, `{"agent_id":"a","metadata":[]}`: 400,
		`{"agent_id":"agent_1","conversation_id":"conv_1"}`: 409,
		`{"agent_id":"agent_1","metadata":null}`:            201,
	} {
		var answer map[string]string
		if status := playing(t, s, body, nil, &answer); status != want {
			t.Errorf("%s: status %d, %v", body, status, answer)
		}
	}
	if status := playing(t, s, inbound, http.Header{"Sec-Fetch-Site": {"cross-site"}}, nil); status != http.StatusForbidden {
		t.Errorf("another site's page plays a call: %d", status)
	}
	none, err := Start(Options{Addr: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer none.Close()
	if _, _, err := elevenlabs.New("", none.ElevenLabsURL()).Fetch(t.Context(), "conv_1"); err == nil {
		t.Error("an unset key is a key")
	}
}
