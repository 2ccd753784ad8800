package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"leadbus/internal/call"
	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/localpg"
	"leadbus/internal/engine/process"
	"leadbus/internal/local/sandbox"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

// RunSettings are the flags of the all-in-one.
type RunSettings struct {
	Settings
	VendorSettings
	SpoolSettings
	HostSettings
	WatchSettings
	Addr        string   `help:"Public HTTP address of the edge." env:"LEADBUS_ADDR" default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	PrivateAddr string   `help:"Health, metrics and profiles." env:"LEADBUS_PRIVATE_ADDR" default:"127.0.0.1:8081" placeholder:"HOST:PORT"`
	SandboxAddr string   `help:"The sandbox vendors and their page." env:"LEADBUS_SANDBOX_ADDR" default:"127.0.0.1:8082" placeholder:"HOST:PORT"`
	NATSAddr    string   `name:"nats-addr" help:"The embedded NATS server, for the nats CLI." env:"LEADBUS_NATS_ADDR" default:"127.0.0.1:4222" placeholder:"HOST:PORT"`
	Market      []string `help:"Run only these markets." env:"LEADBUS_MARKETS" placeholder:"ID"`
	Without     []string `help:"Leave out a market's role (such as matcher-ch), to run it as a process of its own." placeholder:"ROLE-MARKET"`
}

// Started is what the all-in-one tells when it is up.
type Started struct {
	Instance
	Catalog *site.Catalog
	Without []string
	Notes   []string // what was set up on this start, and what is not as it should be
}

// inOneProcess makes room for a broker and all roles in one process. Whoever
// syncs a file holds one of the runtime's processors while it waits for the
// disk, so there are two for each core; the heap is still small beside the rate
// at which it turns over, so it may grow further between collections.
func inOneProcess() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.SetDefaultGOMAXPROCS()
		runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// Run starts everything on this machine: broker, database, sandbox vendors
// (unless there are credentials), the edge, and every role of every market. It
// answers when all is ready.
func Run(ctx context.Context, p *process.Process, s RunSettings) (*Started, error) {
	inOneProcess()
	c, err := loadWhole(s.Config, s.Market)
	if err != nil {
		return nil, err
	}
	credentials, err := s.complete()
	if err != nil {
		return nil, err
	}
	if err := fit(ctx, p, s.HostSettings, credentials); err != nil {
		return nil, err
	}
	if err := checkWithout(c, s.Without); err != nil {
		return nil, err
	}
	unlock, err := lock(s.Data)
	if err != nil {
		return nil, err
	}
	p.OnStop("data directory", func(context.Context) error { return unlock() })

	j := &wiring{Process: p, settings: s.Settings, catalog: c, watch: s.WatchSettings}
	st := &Started{Catalog: c, Without: s.Without}
	if st.DatabaseURL, err = j.postgres(ctx); err != nil {
		return nil, err
	}
	if err := j.broker(ctx, s.NATSAddr); err != nil {
		return nil, err
	}
	st.NATSURL = j.settings.natsURL()
	if j.server != nil {
		st.NATSURL = j.server.URL()
	}
	l, err := p.Bind("edge", "LEADBUS_ADDR", s.Addr)
	if err != nil {
		return nil, err
	}
	st.EdgeURL = "http://" + l.Addr().String()
	if s.PublicURL == "" {
		s.PublicURL = st.EdgeURL
	}
	stopVendors := func() {}
	if !credentials {
		vendors, err := j.sandbox(&s, st.EdgeURL)
		if err != nil {
			return nil, err
		}
		stopVendors = sync.OnceFunc(vendors.Close)
		p.OnStop("sandbox", func(context.Context) error { stopVendors(); return nil }) // of a start that fails on its way
		st.SandboxURL = vendors.URL()
	}
	if s.LinkSecret == "" {
		secret, err := ensureSecret(filepath.Join(s.Data, "secrets", "link"), 32)
		if err != nil {
			return nil, err
		}
		s.LinkSecret = Secret(secret)
	}
	j.vendors(s.VendorSettings)
	if err := j.database(ctx, st.DatabaseURL); err != nil {
		return nil, err
	}
	if !credentials {
		note, err := j.exampleRoster(ctx)
		if err != nil {
			return nil, err
		}
		st.Notes = append(st.Notes, note...)
	}
	// Started last stops first: when the roles are done sending, the sandbox
	// stops, and then the edge that takes its receipts.
	if err := j.edge(ctx, l, s.SpoolSettings); err != nil {
		return nil, err
	}
	p.OnStop("sandbox", func(context.Context) error { stopVendors(); return nil })
	for _, market := range slices.Sorted(maps.Keys(c.Markets)) {
		for _, r := range subjects.Roles {
			if slices.Contains(s.Without, r.Name+"-"+market) {
				continue
			}
			if err := j.start(ctx, r, market); err != nil {
				return nil, fmt.Errorf("start %s of market %s: %w", r.Name, market, err)
			}
		}
	}
	j.watchSleep()
	if st.PrivateURL, err = j.private(s.PrivateAddr); err != nil {
		return nil, err
	}
	st.PID = os.Getpid()
	if err := announce(s.Data, st.Instance); err != nil {
		return nil, err
	}
	st.Notes = append(p.Lacks(), st.Notes...)
	return st, awaitReady(ctx, p)
}

// loadWhole is load for a start that tolerates no fault.
func loadWhole(dir string, markets []string) (*site.Catalog, error) {
	c, err := load(dir, markets)
	if err != nil {
		return nil, err
	}
	if faults := c.Faults(); len(faults) > 0 {
		return nil, fmt.Errorf("the configuration has %d faults, and nothing was started; 'leadbus config check' says when they are gone:\n%w", len(faults), site.Faults(faults))
	}
	return c, nil
}

// checkWithout refuses to leave out a role that there is not.
func checkWithout(c *site.Catalog, without []string) error {
	var known []string
	for market := range c.Markets {
		for _, role := range subjects.RoleNames() {
			known = append(known, role+"-"+market)
		}
	}
	slices.Sort(known)
	for _, w := range without {
		if !slices.Contains(known, w) {
			return fmt.Errorf("--without %s: no such role; it is one of %s", w, strings.Join(known, ", "))
		}
	}
	return nil
}

// postgres starts the private cluster unless a database is given.
func (j *wiring) postgres(ctx context.Context) (string, error) {
	if j.settings.DatabaseURL != "" {
		return j.settings.DatabaseURL, nil
	}
	cluster, err := localpg.Start(ctx, localpg.Options{Dir: filepath.Join(j.settings.Data, "postgres"), Log: j.Log})
	if err != nil {
		return "", err
	}
	j.OnStop("postgres", func(context.Context) error { return cluster.Stop() })
	return cluster.URL(), nil
}

// broker starts the embedded server unless one is given, and provisions every
// market on it.
func (j *wiring) broker(ctx context.Context, addr string) error {
	if j.settings.NATSURL == "" {
		text, err := NATSConfig(j.settings, j.catalog)
		if err != nil {
			return err
		}
		server, err := bus.StartServer(bus.ServerOptions{
			Addr: addr, StoreDir: filepath.Join(j.settings.Data, "jetstream"), Config: text, SyncAlways: true, Log: j.Log.With().Str("role", "nats").Logger(),
		})
		if err != nil {
			return err
		}
		j.server = server
		j.OnStop("nats", func(context.Context) error { server.Close(); return nil })
	}
	return j.provision(ctx, 1)
}

// provision makes the streams, durables and buckets of every market. It is
// safe to repeat, and belongs to a deploy: roles only look things up.
func (j *wiring) provision(ctx context.Context, replicas int) error {
	for _, market := range slices.Sorted(maps.Keys(j.catalog.Markets)) {
		user := market + "-operator"
		c, err := bus.Connect(ctx, j.options(user))
		if err != nil {
			return err
		}
		err = bus.Provision(ctx, c, market, bus.Layout{Replicas: replicas})
		c.Close()
		if err != nil {
			return fmt.Errorf("provision market %s: %w", market, err)
		}
	}
	return nil
}

// NATSConfig renders the accounts, users and permissions of every market, and
// makes the key of each user that has none yet.
func NATSConfig(s Settings, c *site.Catalog) (string, error) {
	markets := slices.Sorted(maps.Keys(c.Markets))
	keys, err := bus.EnsureKeys(s.keys(), bus.Users(markets))
	if err != nil {
		return "", err
	}
	return bus.ConfigText(markets, keys), nil
}

// sandbox starts the vendors on this machine, with credentials of its own, and
// gives every site a secret.
func (j *wiring) sandbox(s *RunSettings, edgeURL string) (*sandbox.Sandbox, error) {
	if err := s.sandboxSecrets(&s.VendorSettings, newSecret); err != nil {
		return nil, err
	}
	for domain := range j.catalog.Sites {
		if _, err := ensureSecret(s.siteSecretFile(domain), 24); err != nil {
			return nil, err
		}
	}
	for _, t := range j.catalog.Trackers {
		if t.Secret == "" {
			continue
		}
		if _, err := ensureSecret(s.trackerSecretFile(t.Secret), 24); err != nil {
			return nil, err
		}
	}
	sb, err := j.startSandbox(s.VendorSettings, s.SandboxAddr, edgeURL, 0)
	if err != nil {
		return nil, err
	}
	s.TwilioURL, s.MailgunURL, s.ElevenLabsURL, s.TrackerURL = sb.TwilioURL(), sb.MailgunURL(), sb.ElevenLabsURL(), sb.TrackerURL()
	return sb, nil
}

// startSandbox starts the vendors with the given credentials.
func (j *wiring) startSandbox(v VendorSettings, addr, edgeURL string, keep int) (*sandbox.Sandbox, error) {
	templates, buttons := map[string]string{}, map[string][]string{}
	for sid, t := range j.catalog.Templates {
		templates[sid], buttons[sid] = t.Body, t.Buttons
	}
	var secrets []string
	for _, t := range j.catalog.Trackers {
		if secret, err := j.settings.trackerSecret(t.Secret); t.Secret != "" && err == nil {
			secrets = append(secrets, secret)
		}
	}
	return sandbox.Start(sandbox.Options{
		Addr: addr, EdgeURL: edgeURL, PublicURL: v.PublicURL, Dir: filepath.Join(j.settings.Data, "sandbox"), Keep: keep,
		AccountSID: v.TwilioAccountSID, AuthToken: string(v.TwilioAuthToken),
		MailgunKey: string(v.MailgunAPIKey), MailgunSigningKey: string(v.MailgunSigningKey),
		ElevenLabsKey: string(v.ElevenLabsAPIKey), ElevenLabsWebhookSecret: string(v.ElevenLabsWebhookSecret),
		TrackerSecrets: secrets, Templates: templates, Buttons: buttons, Agents: sandboxAgents(j.catalog), Log: j.Log.With().Str("role", "sandbox").Logger(),
	})
}

// sandboxAgents are the sites' agents as the voice vendor has them.
func sandboxAgents(c *site.Catalog) map[string]map[string]any {
	agents := map[string]map[string]any{}
	for _, s := range c.Sites {
		a := s.Agent
		agents[a.ID] = map[string]any{"name": s.Brand, "platform_settings": map[string]any{}, "conversation_config": map[string]any{
			"agent": map[string]any{
				"first_message": a.FirstMessage[s.Languages[0]], "language": s.Languages[0],
				"prompt": map[string]any{"llm": a.Model, "tools": []map[string]any{{"type": "webhook", "name": call.Tool, "execution_mode": "immediate"}}},
			},
			"tts": map[string]any{"voice_id": a.Voice},
		}}
	}
	return agents
}

// exampleRoster fills an empty roster, so that the sandbox has someone to call.
func (j *wiring) exampleRoster(ctx context.Context) ([]string, error) {
	for market := range j.catalog.Markets {
		if have, err := j.db.Roster(ctx, market); err != nil {
			return nil, err
		} else if len(have) > 0 {
			return nil, nil
		}
	}
	whole, err := site.Load(j.settings.Config) // the file holds every market's
	if err != nil {
		return nil, err
	}
	file := filepath.Join(j.settings.Config, "roster.yaml")
	providers, err := ReadRoster(file, whole)
	if err != nil {
		return nil, err
	}
	providers = slices.DeleteFunc(providers, func(p roster.Provider) bool { return j.catalog.Markets[p.Market] == nil })
	if err := j.db.ImportRoster(ctx, providers); err != nil {
		return nil, err
	}
	return []string{fmt.Sprintf("imported %d example providers from %s", len(providers), file)}, nil
}

// awaitReady waits until every part can work, and says what it waits for.
func awaitReady(ctx context.Context, p *process.Process) error {
	const often, slow = 10 * time.Millisecond, 5 * time.Second
	for waited := time.Duration(0); ; waited += often {
		why := strings.Join(p.NotReady(), "; ")
		if why == "" {
			return nil
		}
		if waited%(12*slow) == slow {
			p.Log.Warn().Str("missing", why).Msg("it runs, and is not ready")
		}
		select {
		case <-time.After(often):
		case <-ctx.Done():
			return errors.New("stopped before all was ready: " + why)
		}
	}
}
