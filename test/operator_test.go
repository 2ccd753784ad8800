package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/app"
	"leadbus/internal/engine/process"
	"leadbus/internal/engine/store"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/subjects"
	"leadbus/internal/understand/intake"
)

// binaries is where scenes build commands, each once.
var binaries string

var buildLeadbus = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(binaries, "leadbus")
	out, err := exec.Command("go", "build", "-o", bin, "../cmd/leadbus").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return bin, err
})

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "leadbus-bin")
	if err != nil {
		panic(err)
	}
	binaries = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// leadbus runs the operator's command against a running system, as an operator
// does in its directory, and answers what it printed and its error output.
func (s *system) leadbus(tb testing.TB, args ...string) (stdout, stderr string, err error) {
	tb.Helper()
	bin, err := buildLeadbus()
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Env = append(os.Environ(), "LEADBUS_DATA="+s.settings.Data, "LEADBUS_CONFIG="+s.settings.Config)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

func TestTheOperatorsCommands(t *testing.T) {
	s := start(t, settings(t))
	out, errs, err := s.leadbus(t, "call", "--site", site1)
	if err != nil {
		t.Fatalf("call: %v\n%s%s", err, out, errs)
	}
	for _, want := range []string{"recorded", "matched", "provider", "customer", "owner", "delivered", "ms"} {
		if !strings.Contains(out, want) {
			t.Errorf("call does not say %q:\n%s", want, out)
		}
	}
	id := s.accept(t, site1, call(nil))
	row := s.row(t, "ch", id, told)

	for _, name := range []string{id, row.Ref, strings.ReplaceAll(row.Ref, " ", "")} {
		out, errs, err = s.leadbus(t, "trace", name)
		if err != nil || !strings.Contains(out, "lead "+id+" of "+site1) || !strings.Contains(out, "in Postgres: notified") || strings.Count(out, "delivered") < 6 {
			t.Errorf("trace %s: %v\n%s%s", name, err, out, errs)
		}
	}
	out, errs, err = s.leadbus(t, "trace", "--json", id)
	var traced struct {
		Events []struct{ ID string }
		Rows   *store.Lead
	}
	if err != nil || json.Unmarshal([]byte(out), &traced) != nil || len(traced.Events) < 14 || traced.Rows == nil || traced.Rows.ID != id {
		t.Errorf("trace --json: %v\n%s%s", err, out, errs)
	}
	for name, reason := range map[string]string{"00000000000000000000": "no lead", "Marta Salas": "no lead id"} {
		if _, errs, err = s.leadbus(t, "trace", name); err == nil || !strings.Contains(errs, reason) {
			t.Errorf("trace %s: %v, %s", name, err, errs)
		}
	}

	if out, errs, err = s.leadbus(t, "config", "check"); err != nil || !strings.Contains(out, site1) {
		t.Errorf("config check: %v\n%s%s", err, out, errs)
	}
	if out, errs, err = s.leadbus(t, "roster", "list", "--market", "id"); err != nil || !strings.Contains(out, "tennis") || strings.Contains(out, "\nch ") {
		t.Errorf("roster list: %v\n%s%s", err, out, errs)
	}
	broken := filepath.Join(t.TempDir(), "roster.yaml")
	if err := os.WriteFile(broken, []byte("providers:\n- id: x-one\n  market: ch\n  name: One\n  services: [plumbing.leak]\n  places: [nowhere]\n  sms: \"123\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, err = s.leadbus(t, "roster", "import", broken); err == nil || !strings.Contains(errs, "nothing was imported") || !strings.Contains(errs, "nowhere") || !strings.Contains(errs, ":6:") || !strings.Contains(errs, ":7:") {
		t.Errorf("import of a broken roster: %v\n%s", err, errs)
	}
	before := s.roster(t)
	if out, errs, err = s.leadbus(t, "roster", "import", filepath.Join(s.settings.Config, "roster.yaml")); err != nil || !strings.Contains(out, "imported") {
		t.Errorf("roster import: %v\n%s%s", err, out, errs)
	}
	if after := s.roster(t); len(after) != len(before) {
		t.Errorf("the same roster imported again: %d providers, before %d", len(after), len(before))
	}
}

// What is wrong with a provider is found before a lead meets it, and what a lead
// met is shown.
func TestWrongNumbersAreFound(t *testing.T) {
	s := start(t, settings(t))
	if out, errs, err := s.leadbus(t, "roster", "lint"); err != nil || out != "" {
		t.Fatalf("the example roster: %v\n%s%s", err, out, errs)
	}
	p := s.roster(t)[0]
	kv, err := s.operator(t, p.Market).KeyValue(t.Context(), subjects.BucketWatch)
	if err != nil {
		t.Fatal(err)
	}
	h, _ := roster.Health{}.About(lead.AddressTag(p.SMS), time.Now().Add(-time.Hour))
	value, err := json.Marshal(h.Fail(roster.Failure{Message: "m1", At: time.Now(), Why: lead.Failure{Vendor: "twilio", Code: "21635", Class: lead.BadRecipient}}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), roster.HealthKey(p.ID, lead.SMS), value); err != nil {
		t.Fatal(err)
	}
	list := func(want string) {
		t.Helper()
		if out, errs, err := s.leadbus(t, "roster", "list", "--market", p.Market); err != nil || !strings.Contains(out, want) || errs != "" {
			t.Errorf("roster list does not say %q: %v\n%s%s", want, err, out, errs)
		}
	}
	list("whatsapp unverified, sms broken (twilio 21635), email unverified")

	if err := execSQL(t.Context(), s.DatabaseURL, "update leadbus.provider set sms = '+41225394512' where id = $1", p.ID); err != nil {
		t.Fatal(err)
	}
	list("whatsapp unverified, sms unverified, email unverified")
	out, errs, err := s.leadbus(t, "roster", "lint", "--market", p.Market)
	if err == nil || !strings.Contains(out, p.ID+" sms: is a landline") || !strings.Contains(out, p.ID+" sms: is a site's own") || !strings.Contains(errs, "2 findings") {
		t.Errorf("roster lint: %v\n%s%s", err, out, errs)
	}
	csv := filepath.Join(t.TempDir(), "roster.csv")
	if err := os.WriteFile(csv, []byte("id,market,name,services,places,languages,after_hours,whatsapp\nlac,"+p.Market+",Lac,"+p.Services[0]+","+p.Places[0]+",fr,true,"+p.WhatsApp+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, err := s.leadbus(t, "roster", "import", csv); err != nil || !strings.Contains(out, "imported 1") || !strings.Contains(out, "warning: "+p.Market+" ") || !strings.Contains(out, "is the same as provider") {
		t.Errorf("import of a number that another has: %v\n%s%s", err, out, errs)
	}
}

func (s *system) roster(tb testing.TB) (all []roster.Provider) {
	tb.Helper()
	out, errs, err := s.leadbus(tb, "roster", "list", "--json")
	if err != nil {
		tb.Fatalf("roster list: %v %s", err, errs)
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		tb.Fatal(err)
	}
	return all
}

// A production edge with a broken site file names that site, refuses it, and
// serves the others; 'run' and 'config check' refuse the whole.
func TestABrokenSiteFileTakesOneSiteOut(t *testing.T) {
	s := start(t, settings(t))
	config := t.TempDir()
	if err := os.CopyFS(config, os.DirFS(s.settings.Config)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(config, "sites", "balitennislesson.com.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, "colour: blue\n"...), 0o600); err != nil {
		t.Fatal(err)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var logged lines
	p := process.New(zerolog.New(&logged))
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	one := app.EdgeSettings{Settings: s.settings.Settings, HostSettings: anywhere, Addr: addr, PrivateAddr: "127.0.0.1:0"}
	one.Config, one.NATSURL, one.Data = config, s.NATSURL, t.TempDir()
	one.NATSKeys, one.SiteSecrets = filepath.Join(s.settings.Data, "nats"), filepath.Join(s.settings.Data, "secrets", "sites")
	one.VendorSettings = app.VendorSettings{
		PublicURL: "https://leads.example", TwilioAccountSID: "AC1", TwilioAuthToken: "t", MailgunAPIKey: "k", MailgunSigningKey: "s",
		LinkSecret: app.Secret(strings.Repeat("s", 32)),
	}
	if err := app.Edge(t.Context(), p, one); err != nil {
		t.Fatal(err)
	}
	broken := *s
	broken.Started = &app.Started{Instance: app.Instance{EdgeURL: "http://" + addr}}
	if status, reply := broken.post(t, "balitennislesson.com", call(nil)); status != http.StatusServiceUnavailable || !strings.Contains(reply.Ask, "leadbus config check") {
		t.Errorf("the broken site: %d %q", status, reply.Ask)
	}
	if status, _ := broken.post(t, site1, call(nil)); status != http.StatusOK {
		t.Errorf("a sound site: %d", status)
	}
	if !strings.Contains(logged.String(), "balitennislesson.com") || !strings.Contains(logged.String(), "colour") {
		t.Errorf("the log does not name the site and its fault:\n%s", logged.String())
	}

	s.settings.Config = config
	if _, errs, err := s.leadbus(t, "config", "check"); err == nil || !strings.Contains(errs, "balitennislesson.com.yaml:") || !strings.Contains(errs, "colour") {
		t.Errorf("config check: %v %s", err, errs)
	}
	whole := settings(t)
	whole.Config = config
	q := process.New(zerolog.Nop())
	if _, err := app.Run(t.Context(), q, whole); err == nil || !strings.Contains(err.Error(), "colour") {
		t.Errorf("run: %v", err)
	}
	if err := q.Stop(); err != nil {
		t.Error(err)
	}
}

// lines collects what many goroutines write.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Whatever happens to a lead, neither the log at its most talkative, nor a
// metric, nor a refusal holds anything personal.
func TestLogsAndMetricsHoldNothingPersonal(t *testing.T) {
	var logged lines
	s := startLogging(t, settings(t), zerolog.New(&logged).Level(zerolog.DebugLevel))
	personal := []string{"Zebulon", "Quuxfield", "1249876", "Rue du Secret", "zebulon@", "basement flooded"}
	said := map[string]any{
		"customer_name": "Zebulon Quuxfield", "caller_id": "+41781249876", "callback_number": "078 124 98 76",
		"address_line": "Rue du Secret 12", "issue_summary": "basement flooded, write to zebulon@mail.example",
	}
	if err := execSQL(t.Context(), s.DatabaseURL, "update leadbus.provider set whatsapp = '+41781263024' where market = $1", "ch"); err != nil {
		t.Fatal(err)
	}
	s.row(t, "ch", s.accept(t, site1, call(said)), told)
	for _, field := range []string{"city", "service_type"} {
		body := call(said)
		body[field] = "Zebulon Quuxfield"
		s.row(t, "ch", s.accept(t, site1, body), told)
	}
	var refusals strings.Builder
	for _, body := range []string{
		`{"customer_name":"Zebulon Quuxfield",`, `["Zebulon Quuxfield"]`, `{"customer_name":{"Zebulon":"Quuxfield"}`, `"Zebulon"`,
	} {
		req, err := http.NewRequest(http.MethodPost, s.EdgeURL+"/v1/sites/"+site1+"/dispatch_lead", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(intake.SecretHeader, s.settings.SiteSecret(site1))
		refusals.WriteString(s.text(t, req))
	}
	metrics, err := http.NewRequest(http.MethodGet, s.PrivateURL+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	for place, text := range map[string]string{"log": logged.String(), "metrics": s.text(t, metrics), "refusals": refusals.String()} {
		if text == "" {
			t.Errorf("no %s", place)
		}
		for l := range strings.Lines(text) {
			for _, p := range personal {
				if strings.Contains(l, p) {
					t.Errorf("the %s hold %q: %s", place, p, l)
				}
			}
		}
	}
}

func (s *system) text(tb testing.TB, req *http.Request) string {
	tb.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}
