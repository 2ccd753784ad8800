// Package test holds scenes over the whole program: real broker, real
// Postgres, vendors as real HTTP servers, every role, one start as 'leadbus
// run' makes it.
package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/app"
	"leadbus/internal/engine/localpg/pgtest"
	"leadbus/internal/engine/process"
	"leadbus/internal/engine/store"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/subjects"
	"leadbus/internal/understand/intake"
)

// patience bounds every wait on a condition; a wait that needs it has failed.
const patience = time.Minute

func init() { http.DefaultClient.Timeout = patience }

// system is one running all-in-one.
type system struct {
	*app.Started
	settings app.RunSettings
	process  *process.Process
}

// settings are those of a fresh machine: an empty data directory, a database
// of its own, free ports.
func settings(tb testing.TB) app.RunSettings {
	tb.Helper()
	return app.RunSettings{
		Settings: app.Settings{Config: "../config", Data: dataDir(tb), DatabaseURL: pgtest.New(tb)},
		Addr:     "127.0.0.1:0", PrivateAddr: "127.0.0.1:0", SandboxAddr: "127.0.0.1:0", NATSAddr: "127.0.0.1:0",
	}
}

// anywhere lets a role of its own start on a laptop too.
var anywhere = app.HostSettings{Host: "test", HostOverride: "a test runs anywhere"}

// dataDir is short, since sockets live in it.
func dataDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "leadbus")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "data")
}

func start(tb testing.TB, s app.RunSettings) *system {
	tb.Helper()
	return startLogging(tb, s, zerolog.New(zerolog.NewTestWriter(tb)).Level(zerolog.WarnLevel))
}

func startLogging(tb testing.TB, s app.RunSettings, log zerolog.Logger) *system {
	tb.Helper()
	p := process.New(log)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	st, err := app.Run(ctx, p, s)
	sys := &system{Started: st, settings: s, process: p}
	tb.Cleanup(func() { sys.stop(tb) })
	if err != nil {
		tb.Fatal(err)
	}
	return sys
}

func (s *system) stop(tb testing.TB) {
	tb.Helper()
	if err := s.process.Stop(); err != nil {
		tb.Errorf("stop: %v", err)
	}
}

// site1 is where scenes call unless they need another site.
const site1 = "plombiersgeneve.ch"

var conversations atomic.Int64

// call is a complete tool call from a Geneva mobile number in a conversation
// of its own; fields override it.
func call(fields map[string]any) map[string]any {
	n := conversations.Add(1)
	body := map[string]any{
		"schema_version": "1", "source": "elevenlabs",
		"conversation_id": fmt.Sprintf("conv_test%d", n), "call_sid": fmt.Sprintf("CA%032d", n),
		"caller_id": fmt.Sprintf("+4178124%04d", n%10000), "called_number": "+41225394512",
		"call_time_utc": "2026-11-23T08:00:00Z", "call_duration_secs": 96,
		"customer_name": "Marta Salas", "language": "fr",
		"service_type": "fuite d'eau", "issue_summary": "L'evier de la cuisine fuit.", "city": "Carouge",
		"contact_consent": true,
	}
	for k, v := range fields {
		body[k] = v
	}
	return body
}

// post sends a tool call to a site and answers status and reply.
func (s *system) post(tb testing.TB, domain string, body any) (int, intake.Reply) {
	tb.Helper()
	raw, ok := body.([]byte)
	if !ok {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			tb.Fatal(err)
		}
	}
	req, err := http.NewRequest(http.MethodPost, s.EdgeURL+"/v1/sites/"+domain+"/dispatch_lead", bytes.NewReader(raw))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(intake.SecretHeader, s.settings.SiteSecret(domain))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var reply intake.Reply
	if err := json.NewDecoder(res.Body).Decode(&reply); err != nil {
		tb.Fatalf("status %d with an unreadable body: %v", res.StatusCode, err)
	}
	return res.StatusCode, reply
}

// accept posts a tool call that must be accepted and answers its lead's id.
func (s *system) accept(tb testing.TB, domain string, body map[string]any) string {
	tb.Helper()
	status, reply := s.post(tb, domain, body)
	if status != http.StatusOK || !reply.OK || reply.Ref == "" {
		tb.Fatalf("status %d, reply %+v", status, reply)
	}
	conversation, _ := body["conversation_id"].(string)
	return lead.NewID(domain, conversation)
}

// sent is one message as the sandbox page lists it.
type sent struct {
	Vendor, Channel, From, To, Subject, Text, Status string
	ErrorCode                                        json.RawMessage `json:"error_code"`
}

// sandboxMessages are all messages the vendors took.
func (s *system) sandboxMessages(tb testing.TB) []sent {
	tb.Helper()
	var all []sent
	s.getJSON(tb, s.SandboxURL+"/api/messages", &all)
	return all
}

func (s *system) getJSON(tb testing.TB, url string, v any) {
	tb.Helper()
	res, err := http.Get(url)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		tb.Fatalf("GET %s: %v: %s", url, err, body)
	}
}

// row waits until a lead's row satisfies ok.
func (s *system) row(tb testing.TB, market, id string, ok func(store.Lead) bool) store.Lead {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db, err := app.OpenDatabase(ctx, app.Settings{DatabaseURL: s.DatabaseURL})
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	var got store.Lead
	await.Until(tb, func() bool {
		l, err := db.Lead(ctx, market, id)
		if err != nil {
			return false
		}
		got = l
		return ok(l)
	}, func() string { return fmt.Sprintf("lead %s: status %q, messages %+v", id, got.Status, got.Messages) })
	return got
}

// told is a decided row whose messages are all known and reached their end; a
// recorder that catches up may meet a message before the decision, and its
// receipt before either.
func told(l store.Lead) bool {
	for _, m := range l.Messages {
		if m.Purpose == "" || !m.Done() {
			return false
		}
	}
	switch lead.Status(l.Status) {
	case lead.None, lead.Pending, lead.Matched:
		return false
	case lead.Unserved, lead.NeedsReview, lead.Duplicate:
		return true // the owner is notified by an alarm, whose messages are not the lead's
	}
	return len(l.Messages) > 0
}

// allTold is told of so many messages: a recorder that catches up may know some
// before the others.
func allTold(n int) func(store.Lead) bool {
	return func(l store.Lead) bool { return len(l.Messages) == n && told(l) }
}

// events are a lead's events in the market's stream.
func (s *system) events(tb testing.TB, market, id string) []event.Event {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	settings := s.settings.Settings
	settings.NATSURL = s.NATSURL
	c, err := app.Operator(ctx, settings, market, zerolog.Nop())
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	found, err := c.Events(ctx, subjects.Lead{Market: market, Lead: id})
	if err != nil {
		tb.Fatal(err)
	}
	return found
}
