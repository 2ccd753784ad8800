package test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadbus/internal/app"
	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/store"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/role/watch/canary"
	"leadbus/internal/roster"
	"leadbus/internal/subjects"
)

// scanner reaches a market's stream with the rights of its scanner.
func (s *system) scanner(tb testing.TB, market string) *bus.Conn {
	tb.Helper()
	user := market + "-" + subjects.Scanner
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	c, err := bus.Connect(ctx, bus.Options{
		URL: s.NATSURL, User: user, SeedFile: bus.SeedFile(filepath.Join(s.settings.Data, "nats"), user), Log: zerolog.Nop(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

func (s *system) canary(tb testing.TB, market string, c event.Reader) *canary.Canary {
	tb.Helper()
	one, err := canary.New(canary.Options{
		Catalog: s.Catalog, Market: market, URL: s.EdgeURL, Secret: s.settings.SiteSecret, Stream: c, Now: time.Now, Lost: patience,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return one
}

// A test lead goes all the way in every market. Its mailbox is the only one
// that hears of it, no provider's turn is touched, and no figure counts it.
func TestACanaryArrivesAndNobodyElseHearsOfIt(t *testing.T) {
	s := start(t, settings(t))
	for market, m := range s.Catalog.Markets {
		before := len(s.sandboxMessages(t))
		r := s.canary(t, market, s.scanner(t, market)).Beat(t.Context())
		if !r.OK() || r.Stage != "" {
			t.Fatalf("market %s: %+v", market, r)
		}
		row := s.row(t, market, r.Lead, told)
		if !slices.Equal(row.Flags, []string{lead.FlagTest}) || row.Provider != roster.Canary || row.Status != string(lead.Notified) {
			t.Errorf("market %s: flags %v, provider %q, status %q", market, row.Flags, row.Provider, row.Status)
		}
		if d := cmp.Diff([]string{"provider email offer delivered"}, outcomes(row)); d != "" {
			t.Error(d)
		}
		all := s.sandboxMessages(t)
		if len(all) != before+1 || !slices.ContainsFunc(all, func(one sent) bool { return one.To == m.Canary.Email && one.Channel == lead.Email }) {
			t.Errorf("market %s: %d messages more, the vendors have %+v", market, len(all)-before, all)
		}
	}

	req, err := http.NewRequest(http.MethodGet, s.PrivateURL+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if metrics := s.text(t, req); strings.Contains(metrics, "leadbus_edge_leads_accepted_total{") {
		t.Errorf("a test lead is counted:\n%s", metrics)
	}
}

// A test lead that nobody can understand is the canary's trouble alone.
func TestATestLeadInDoubtAlarmsNoOwner(t *testing.T) {
	s := start(t, settings(t))
	doubtful := s.accept(t, site1, call(map[string]any{"test": true, "city": "Xyzzy"}))
	s.row(t, "ch", doubtful, func(l store.Lead) bool { return l.Status == string(lead.NeedsReview) })
	// A real lead behind it in every queue: when that one is told, so is all
	// that would be told of the first.
	s.row(t, "ch", s.accept(t, site1, call(nil)), told)
	if row := s.row(t, "ch", doubtful, func(store.Lead) bool { return true }); len(row.Messages) != 0 {
		t.Errorf("told: %v", outcomes(row))
	}
	if n := len(s.sandboxMessages(t)); n != 6 {
		t.Errorf("%d messages, want those of the real lead", n)
	}
}

// matchedThen calls then when the lead looked at is matched.
type matchedThen struct {
	event.Reader
	then func()
}

func (m matchedThen) Events(ctx context.Context, filter subjects.Lead) ([]event.Event, error) {
	events, err := m.Reader.Events(ctx, filter)
	if slices.ContainsFunc(events, func(e event.Event) bool { return e.Lead.Event == subjects.Matched }) {
		m.then() // nothing more will come
	}
	return events, err
}

// Without a notifier the canary says where it sticks.
func TestACanaryWithoutANotifierIsNotSent(t *testing.T) {
	cfg := settings(t)
	cfg.Without = []string{"notifier-ch"}
	s := start(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := s.canary(t, "ch", matchedThen{s.scanner(t, "ch"), cancel}).Beat(ctx)
	if r.OK() || r.Stage != canary.NotSent || r.Err == nil {
		t.Errorf("%+v", r)
	}
	if all := s.sandboxMessages(t); len(all) != 0 {
		t.Errorf("told: %+v", all)
	}
}

// The scanner on duty sends test leads by itself, and tells whoever watches
// from outside of each that arrived.
func TestScannersSendCanaries(t *testing.T) {
	var pinged atomic.Int32
	outside := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ping/ch" {
			pinged.Add(1)
		}
	}))
	t.Cleanup(outside.Close)
	cfg := settings(t)
	cfg.Market = []string{"ch"}
	cfg.CanaryEvery, cfg.HeartbeatURL = 200*time.Millisecond, app.Secret(outside.URL+"/ping/{market}")
	s := start(t, cfg)
	await.Until(t, func() bool { return s.metric(t, "leadbus_canaries_total") >= 2 && pinged.Load() >= 2 }, func() string {
		return fmt.Sprintf("%v test leads, %d pings", s.metric(t, "leadbus_canaries_total"), pinged.Load())
	})
	if n := len(s.kinds(t, "ch", subjects.AlarmRaised)); n != 0 {
		t.Errorf("%d alarms, though all arrived", n)
	}
}
