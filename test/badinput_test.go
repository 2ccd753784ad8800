package test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"leadbus/internal/lead"
	"leadbus/internal/understand/intake"
)

func execSQL(ctx context.Context, url, sql string, args ...any) error {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	_, err = c.Exec(ctx, sql, args...)
	return err
}

// Requests that are refused: the right status, a reason a person can read, and
// nothing stored.
func TestRefusedRequests(t *testing.T) {
	s := start(t, settings(t))
	good, err := json.Marshal(call(nil))
	if err != nil {
		t.Fatal(err)
	}
	secret := s.settings.SiteSecret(site1)
	path := "/v1/sites/" + site1 + "/dispatch_lead"
	for name, c := range map[string]struct {
		method, path, secret string
		body                 []byte
		status               int
	}{
		"no secret":                 {path: path, body: good, status: http.StatusUnauthorized},
		"wrong secret":              {path: path, secret: secret + "0", body: good, status: http.StatusUnauthorized},
		"another site's secret":     {path: path, secret: s.settings.SiteSecret("balitennislesson.com"), body: good, status: http.StatusUnauthorized},
		"no secret, broken body":    {path: path, body: []byte("{"), status: http.StatusUnauthorized},
		"a form instead of JSON":    {path: path, secret: secret, body: []byte(url.Values{"customer_name": {"Marta"}}.Encode()), status: http.StatusBadRequest},
		"truncated JSON":            {path: path, secret: secret, body: good[:len(good)/2], status: http.StatusBadRequest},
		"empty body":                {path: path, secret: secret, status: http.StatusBadRequest},
		"a JSON list":               {path: path, secret: secret, body: []byte("[]"), status: http.StatusBadRequest},
		"two JSON documents":        {path: path, secret: secret, body: append(bytes.Clone(good), good...), status: http.StatusBadRequest},
		"1 MB body":                 {path: path, secret: secret, body: bytes.Repeat([]byte("a"), 1<<20), status: http.StatusRequestEntityTooLarge},
		"nested 1000 deep":          {path: path, secret: secret, body: []byte(strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000)), status: http.StatusBadRequest},
		"unknown site":              {path: "/v1/sites/nowhere.example/dispatch_lead", secret: secret, body: good, status: http.StatusNotFound},
		"dots for a site":           {path: "/v1/sites/%2e%2e/dispatch_lead", secret: secret, body: good, status: http.StatusNotFound},
		"wildcard for a site":       {path: "/v1/sites/*/dispatch_lead", secret: secret, body: good, status: http.StatusNotFound},
		"full wildcard for a site":  {path: "/v1/sites/%3E/dispatch_lead", secret: secret, body: good, status: http.StatusNotFound},
		"space in a site":           {path: "/v1/sites/plombiersgeneve.ch%20/dispatch_lead", secret: secret, body: good, status: http.StatusNotFound},
		"unicode in a site":         {path: "/v1/sites/plombiersgen%C3%A8ve.ch/dispatch_lead", secret: secret, body: good, status: http.StatusNotFound},
		"unsigned receipt":          {path: "/v1/twilio/status?market=ch&site=" + site1 + "&lead=x&message=y&attempt=z", body: []byte("MessageSid=SM1&MessageStatus=delivered"), status: http.StatusForbidden},
		"unsigned mail event":       {path: "/v1/mailgun/events", body: []byte(`{"signature":{"timestamp":"1","token":"2","signature":"3"},"event-data":{"event":"delivered"}}`), status: http.StatusForbidden},
		"another address":           {path: "/wp-login.php", body: good, status: http.StatusNotFound},
		"a broken transfer coding?": {path: path, secret: secret, body: []byte("\x00\x01\x02"), status: http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequest(http.MethodPost, s.EdgeURL+c.path, bytes.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			if c.secret != "" {
				req.Header.Set(intake.SecretHeader, c.secret)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != c.status {
				t.Errorf("status %d, want %d: %s", res.StatusCode, c.status, body)
			}
			var reply intake.Reply
			if err := json.Unmarshal(body, &reply); err != nil || reply.OK || len(reply.Ask) < 10 {
				t.Errorf("no readable reason: %s", body)
			}
		})
	}
	if n := s.storedEvents(t); n != 0 {
		t.Errorf("%d events stored", n)
	}
}

// storedEvents counts all events of all markets in Postgres, behind a lead
// that was certainly recorded after them.
func (s *system) storedEvents(tb testing.TB) int {
	tb.Helper()
	s.row(tb, "ch", s.accept(tb, site1, call(nil)), told)
	c, err := pgx.Connect(tb.Context(), s.DatabaseURL)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = c.Close(tb.Context()) }()
	var n int
	if err := c.QueryRow(tb.Context(), "select count(distinct lead) - 1 from leadbus.event").Scan(&n); err != nil {
		tb.Fatal(err)
	}
	return n
}

// Authentic calls with strange content are leads: stored whole, routed or
// marked for review, and nothing of them reaches a subject, a statement, a
// header or a template as anything but text.
func TestStrangeButAuthenticCallsAreLeads(t *testing.T) {
	s := start(t, settings(t))
	for name, fields := range map[string]map[string]any{
		"every field missing":       {"customer_name": nil, "language": nil, "service_type": nil, "issue_summary": nil, "city": nil, "caller_id": nil, "agent_id": nil, "called_number": nil},
		"conversation id missing":   {"conversation_id": ""},
		"wildcards in ids":          {"call_sid": "CA.*.>", "agent_id": "agent >"},
		"spaces and unicode in ids": {"call_sid": "CA é 漢", "agent_id": "../.."},
		"absurd phone":              {"callback_number": strings.Repeat("9", 500), "caller_id": "+999999999999999999999"},
		"control characters":        {"customer_name": "Mar\u0000ta\u0007\u001b[31m\r\nBcc: a@example.com", "issue_summary": "a\u2028b\u202ec"},
		"10,000-character name":     {"customer_name": strings.Repeat("Ā", 10000)},
		"emoji":                     {"customer_name": "Marta 🔧🚿", "issue_summary": "💧💧💧"},
		"right-to-left text":        {"customer_name": "مرتا سالاس", "issue_summary": "تسرب مياه"},
		"SQL":                       {"customer_name": "Robert'); drop table leadbus.lead; --", "issue_summary": "' or 1=1 --"},
		"template syntax":           {"customer_name": "{{.Lead}} {{printf \"%s\" .}} ${x} %s", "issue_summary": "{{1}} {{5}}"},
		"markup":                    {"customer_name": "<script>alert(1)</script>", "issue_summary": "<img src=x onerror=alert(1)>"},
		"numbers for text":          {"customer_name": 42, "callback_number": 41781230042, "language": true},
		"a wrapped call":            {"parameters": map[string]any{"customer_name": "Marta"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := call(fields)
			status, reply := s.post(t, site1, body)
			if status != http.StatusOK || !reply.OK || reply.Ref == "" || reply.Say == "" {
				t.Fatalf("status %d, reply %+v", status, reply)
			}
			if name == "conversation id missing" {
				return // its id is its content; the others show the rest of the way
			}
			id := lead.NewID(site1, body["conversation_id"].(string))
			row := s.row(t, "ch", id, told)
			if row.Status != string(lead.Notified) && row.Status != string(lead.NeedsReview) {
				t.Errorf("status %q", row.Status)
			}
		})
	}
	t.Cleanup(func() {
		for _, m := range s.sandboxMessages(t) {
			if strings.ContainsAny(m.Subject+m.To+m.From, "\r\n\x00") {
				t.Errorf("a line break or NUL reached a header: %q %q", m.Subject, m.To)
			}
			if m.Channel == lead.SMS && strings.ContainsRune(m.Text, 0) {
				t.Errorf("NUL in a text")
			}
		}
	})
}
