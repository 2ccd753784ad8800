package elevenlabs_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/vendors/elevenlabs"
)

const caller = "+41781240001" // in every answer, in no error

func server(t *testing.T, h http.HandlerFunc) *elevenlabs.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return elevenlabs.New("key", s.URL)
}

func answer(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func cut(w http.ResponseWriter, _ *http.Request) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}

func TestRefusalsAndFailures(t *testing.T) {
	for name, c := range map[string]struct {
		server http.HandlerFunc
		is     error
		says   string
	}{
		"wrong key":        {answer(401, caller), event.ErrUnauthenticated, "401"},
		"key may not":      {answer(403, caller), event.ErrUnauthenticated, "403"},
		"unknown":          {answer(404, caller), event.ErrNotFound, "workspace"},
		"invalid":          {answer(422, caller), nil, "422"},
		"failing":          {answer(500, caller), nil, "failed"},
		"unavailable":      {answer(503, caller), nil, "failed"},
		"redirect":         {answer(302, caller, "Location", "http://127.0.0.1:1/"+caller), nil, "302"},
		"a cut connection": {cut, nil, "EOF"},
		"a short answer":   {answer(200, `{"a":`+caller, "Content-Length", "9999"), nil, "early"},
	} {
		client := server(t, c.server)
		_, _, get := client.Fetch(t.Context(), "conv_1")
		_, list := client.List(t.Context(), "agent_1", time.Now().Add(-time.Hour), time.Now())
		for _, err := range []error{get, list} {
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), caller) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestTheVendorAsksToWait(t *testing.T) {
	for header, want := range map[string]time.Duration{"": 0, "7": 7 * time.Second, "soon": 0} {
		_, _, err := server(t, answer(429, caller, "Retry-After", header)).Fetch(t.Context(), "conv_1")
		var busy *call.Busy
		if !errors.As(err, &busy) || busy.After != want {
			t.Errorf("%q: %v", header, err)
		}
	}
}

func TestPagesFollowTheCursor(t *testing.T) {
	from, to := time.Unix(1795273396, 0), time.Unix(1795276996, 0)
	client := server(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.Header.Get("xi-api-key") != "key" || q.Get("agent_id") != "agent_1" || q.Get("page_size") != "100" ||
			q.Get("call_start_after_unix") != "1795273396" || q.Get("call_start_before_unix") != "1795276996" {
			t.Errorf("asks for %s", r.URL)
		}
		switch q.Get("cursor") {
		case "":
			_, _ = io.WriteString(w, `{"conversations":[{"conversation_id":"conv_1","agent_id":"agent_1","start_time_unix_secs":1795273400,"call_duration_secs":9,"status":"done","new":1},{"conversation_id":null},7],"has_more":true,"next_cursor":"a b"}`)
		case "a b":
			_, _ = io.WriteString(w, `{"conversations":[{"conversation_id":"conv_2"}],"has_more":false,"next_cursor":null}`)
		default:
			t.Errorf("cursor %q", q.Get("cursor"))
		}
	})
	list, err := client.List(t.Context(), "agent_1", from, to)
	if err != nil || len(list) != 2 || list[1].ID != "conv_2" ||
		list[0] != (call.Conversation{ID: "conv_1", AgentID: "agent_1", StartedAt: time.Unix(1795273400, 0).UTC(), Seconds: 9, Status: "done"}) {
		t.Errorf("%+v %v", list, err)
	}
	for _, page := range []string{`{"has_more":true}`, `{"has_more":true,"next_cursor":"again"}`, `[]`} {
		if _, err := server(t, answer(200, page)).List(t.Context(), "", from, to); err == nil {
			t.Errorf("%s: no error", page)
		}
	}
}

func TestAConversationIDStaysInItsPlace(t *testing.T) {
	client := server(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.URL.EscapedPath()+"?"+r.URL.RawQuery)
	})
	if _, got, _ := client.Fetch(t.Context(), "conv/1?x"); string(got) != "/v1/convai/conversations/conv%2F1%3Fx?" {
		t.Errorf("%s", got)
	}
	if got, err := client.Agent(t.Context(), "agent/1?x"); err != nil || string(got) != "/v1/convai/agents/agent%2F1%3Fx?" {
		t.Errorf("%s %v", got, err)
	}
}

func TestACallersDeadlineHolds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	client := server(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, _, err := client.Fetch(ctx, "conv_1"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
