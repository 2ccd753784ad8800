package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"leadbus/internal/app"
	"leadbus/internal/engine/process"
)

// gauge is the value of a metric without labels.
func gauge(tb testing.TB, p *process.Process, name string) float64 {
	tb.Helper()
	families, err := p.Registry.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	tb.Errorf("no metric %s", name)
	return -1
}

// A role on its own serves real people: it does not start on a machine that
// nobody vouches for, and says what to set.
func TestARoleRefusesAnUndeclaredMachine(t *testing.T) {
	s := start(t, settings(t))
	alone := app.RoleSettings{Settings: s.settings.Settings, Market: "ch", PrivateAddr: "127.0.0.1:0"}
	alone.NATSURL = s.NATSURL
	vendors := app.VendorSettings{
		LinkSecret: app.Secret(strings.Repeat("s", 32)),
		PublicURL:  "https://leads.example", TwilioAccountSID: "AC1", TwilioAuthToken: "t", MailgunAPIKey: "k", MailgunSigningKey: "s",
	}
	for name, f := range map[string]func(*process.Process, app.HostSettings) error{
		"matcher": func(p *process.Process, h app.HostSettings) error {
			s := alone
			s.HostSettings = h
			return app.Matcher(t.Context(), p, s)
		},
		"recorder": func(p *process.Process, h app.HostSettings) error {
			s := alone
			s.HostSettings = h
			s.DatabaseURL = ""
			return app.Recorder(t.Context(), p, s)
		},
		"notifier": func(p *process.Process, h app.HostSettings) error {
			s := app.NotifierSettings{RoleSettings: alone, VendorSettings: vendors}
			s.HostSettings = h
			return app.Notifier(t.Context(), p, s)
		},
		"edge": func(p *process.Process, h app.HostSettings) error {
			return app.Edge(t.Context(), p, app.EdgeSettings{Settings: alone.Settings, VendorSettings: vendors, HostSettings: h, Addr: "127.0.0.1:0", PrivateAddr: "127.0.0.1:0"})
		},
		"run with real vendors": func(p *process.Process, h app.HostSettings) error {
			s := settings(t)
			s.VendorSettings, s.HostSettings = vendors, h
			_, err := app.Run(t.Context(), p, s)
			return err
		},
	} {
		p := process.New(zerolog.Nop())
		err := f(p, app.HostSettings{})
		if err == nil || !strings.Contains(err.Error(), "LEADBUS_HOST ") || !strings.Contains(err.Error(), "LEADBUS_HOST_OVERRIDE") {
			t.Errorf("%s: %v", name, err)
		}
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	}
	if v := gauge(t, s.process, "leadbus_host_override"); v != 0 {
		t.Errorf("the sandbox needs no override, and shows %v", v)
	}
	if v := gauge(t, s.process, "leadbus_host_slept_total"); v != 0 {
		t.Errorf("the machine slept %v times", v)
	}
}

// An override starts, and says so in the log, as a metric and on the screen; a
// site without a secret is named there too.
func TestAnOverriddenMachineSaysSo(t *testing.T) {
	var logged lines
	cfg := settings(t)
	cfg.VendorSettings = app.VendorSettings{
		TwilioAccountSID: "AC1", TwilioAuthToken: "t", MailgunAPIKey: "k", MailgunSigningKey: "s",
		TwilioURL: "http://127.0.0.1:1", MailgunURL: "http://127.0.0.1:1/v3", // nobody is told anything
	}
	cfg.HostOverride = "the server is in the post"
	cfg.SiteSecrets = t.TempDir()
	if err := os.WriteFile(filepath.Join(cfg.SiteSecrets, site1), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startLogging(t, cfg, zerolog.New(&logged).Level(zerolog.WarnLevel))
	if v := gauge(t, s.process, "leadbus_host_override"); v != 1 {
		t.Errorf("leadbus_host_override is %v", v)
	}
	for place, text := range map[string]string{"log": logged.String(), "screen": strings.Join(s.Notes, "\n")} {
		if !strings.Contains(text, cfg.HostOverride) || !strings.Contains(text, "not declared") || !strings.Contains(text, "site balitennislesson.com has no secret") {
			t.Errorf("the %s says %q", place, text)
		}
	}
}
