package test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/app"
	"leadbus/internal/engine/localpg/pgtest"
	"leadbus/internal/engine/process"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/subjects"
)

// One market's matcher is down: the other markets notice nothing, its own leads
// wait and go when it is back, here as a process of its own.
func TestAMarketWithoutItsMatcherWaits(t *testing.T) {
	cfg := settings(t)
	cfg.Without = []string{"matcher-ch"}
	s := start(t, cfg)
	waiting := s.accept(t, site1, call(nil))
	other := s.accept(t, "balitennislesson.com", call(map[string]any{
		"caller_id": mobile("id"), "language": "en", "service_type": "tennis.lesson", "issue_summary": "", "city": "Canggu",
	}))
	if row := s.row(t, "id", other, told); row.Status != string(lead.Notified) {
		t.Errorf("market id: %q", row.Status)
	}
	for _, e := range s.events(t, "ch", waiting) {
		if e.Lead.Event != subjects.Received {
			t.Errorf("without a matcher came %s", e.Lead.Event)
		}
	}

	p := process.New(zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel))
	alone := app.RoleSettings{Settings: cfg.Settings, HostSettings: anywhere, Market: "ch", PrivateAddr: "127.0.0.1:0"}
	alone.NATSURL = s.NATSURL
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := app.Matcher(t.Context(), p, alone); err != nil {
		t.Fatal(err)
	}
	if row := s.row(t, "ch", waiting, told); row.Status != string(lead.Notified) {
		t.Errorf("market ch: %q", row.Status)
	}
}

// Postgres is down: customers and providers are told all the same, and the rows
// appear when it is back.
func TestWithoutPostgresPeopleAreTold(t *testing.T) {
	dir := filepath.Join(pgtest.Dir(t), "own")
	pg := pgtest.Start(t, dir)
	cfg := settings(t)
	cfg.DatabaseURL = pg.URL()
	s := start(t, cfg)
	s.row(t, "ch", s.accept(t, site1, call(nil)), allTold(6)) // the roster is on the bus
	before := len(s.sandboxMessages(t))
	if err := pg.Stop(); err != nil {
		t.Fatal(err)
	}

	id := s.accept(t, site1, call(nil))
	await.Until(t, func() bool { return len(s.sandboxMessages(t)) == before+6 }, func() string { return "nobody was told" })

	pgtest.Start(t, dir)
	row := s.row(t, "ch", id, allTold(6))
	if row.Status != string(lead.Notified) || strings.Contains(strings.Join(outcomes(row), ";"), "failed") {
		t.Errorf("status %q, %v", row.Status, outcomes(row))
	}
}

// A second instance on the same data must not touch it.
func TestASecondInstanceSaysSoAndEnds(t *testing.T) {
	cfg := settings(t)
	s := start(t, cfg)
	p := process.New(zerolog.Nop())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := app.Run(ctx, p, cfg)
	if err == nil || !strings.Contains(err.Error(), "already runs") || !strings.Contains(err.Error(), s.EdgeURL) {
		t.Errorf("second instance: %v", err)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	s.row(t, "ch", s.accept(t, site1, call(nil)), told)
}

// A role on its own tells real people: it does not start without credentials.
func TestARoleAloneNeedsRealVendors(t *testing.T) {
	p := process.New(zerolog.Nop())
	err := app.Notifier(t.Context(), p, app.NotifierSettings{RoleSettings: app.RoleSettings{Market: "ch"}})
	if err == nil || !strings.Contains(err.Error(), "LEADBUS_TWILIO") {
		t.Errorf("notifier: %v", err)
	}
	err = app.Edge(t.Context(), p, app.EdgeSettings{VendorSettings: app.VendorSettings{TwilioAccountSID: "AC1"}})
	if err == nil || !strings.Contains(err.Error(), "incomplete") {
		t.Errorf("edge: %v", err)
	}
}
