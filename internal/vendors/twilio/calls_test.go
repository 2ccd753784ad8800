package twilio_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/call"
	"leadbus/internal/lead"
	"leadbus/internal/local/sandbox"
)

func play(t *testing.T, s *sandbox.Sandbox, sid, direction string, start time.Time) {
	t.Helper()
	body := fmt.Sprintf(`{"agent_id":"agent_1","webhook":false,"metadata":{"start_time_unix_secs":%d,"call_duration_secs":42,
		"phone_call":{"type":"twilio","direction":%q,"agent_number":"+41225394512","external_number":"+41781240001","call_sid":%q}}}`, start.Unix(), direction, sid)
	res, err := http.Post(s.URL()+"/api/calls", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("status %d", res.StatusCode)
	}
}

func TestTheCallLog(t *testing.T) {
	c, s, _ := setup(t)
	at := time.Date(2026, 11, 21, 15, 0, 0, 0, time.UTC)
	play(t, s, "CAearlier", "inbound", at.Add(-time.Hour))
	play(t, s, "CA1", "inbound", at)
	play(t, s, "CA2", "outbound", at.Add(time.Minute))
	play(t, s, "CAlater", "inbound", at.Add(time.Hour))
	got, err := c.Calls(t.Context(), at, at.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	want := []call.Dialled{
		{SID: "CA2", From: "+41225394512", To: "+41781240001", Status: "completed", Direction: "outbound-api", StartedAt: at.Add(time.Minute), Seconds: 42},
		{SID: "CA1", From: "+41781240001", To: "+41225394512", Status: "completed", Direction: "inbound", StartedAt: at, Seconds: 42},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Calls of several pages, and those that cannot be read.
func TestTheCallLogHasPages(t *testing.T) {
	at := time.Date(2026, 11, 21, 15, 0, 0, 0, time.UTC)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		next := `"/2010-04-01/Accounts/AC/Calls.json?PageSize=1000&Page=1&PageToken=PAx"`
		calls := `{"sid":"CA1","start_time":"Sat, 21 Nov 2026 15:00:00 +0000","duration":null,"status":"in-progress"},{"sid":"CAqueued","start_time":null}`
		if q.Get("Page") != "" {
			next, calls = "null", `{"sid":"CA2","start_time":"Sat, 21 Nov 2026 15:00:01 +0000","duration":"7"}`
			if q.Get("PageToken") != "PAx" {
				t.Errorf("asks for %s", r.URL)
			}
		}
		if q.Get("StartTime>") != "2026-11-21T15:00:00Z" || q.Get("StartTime<") != "2026-11-21T16:00:00Z" || q.Get("PageSize") != "1000" {
			t.Errorf("asks for %s", r.URL)
		}
		_, _ = io.WriteString(w, `{"calls":[`+calls+`],"next_page_uri":`+next+`}`)
	}))
	defer api.Close()
	got, err := newClient(api.URL).Calls(t.Context(), at, at.Add(time.Hour))
	if err != nil || len(got) != 2 || got[0].SID != "CA1" || got[0].Seconds != 0 || got[1].SID != "CA2" || got[1].Seconds != 7 {
		t.Errorf("%+v %v", got, err)
	}
}

func TestACallLogThatCannotBeHad(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"refused":  answer(401, `{"code":20003,"message":"Authenticate `+number+`","status":401}`),
		"failing":  answer(503, number),
		"no JSON":  answer(200, `<html>`+number),
		"endless":  answer(200, `{"calls":[],"next_page_uri":"/x?Page=1"}`),
		"a cut":    cut,
		"too many": answer(429, `{"code":20429,"message":"Too Many Requests","status":429}`, "Retry-After", "7"),
	} {
		api := httptest.NewServer(h)
		_, err := newClient(api.URL).Calls(t.Context(), time.Now().Add(-time.Hour), time.Now())
		api.Close()
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		clean(t, err)
		var f *lead.Failure
		if name == "too many" && (!errors.As(err, &f) || f.RetryAfter != 7*time.Second) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
