package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/engine/localpg"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

// world is a deployment in one directory: every process apart, with a proxy on
// each of its ways to the others.
type world struct {
	dir     string
	cluster bool
	markets []string
	catalog *site.Catalog
	sites   []*site.Site // of the markets, by domain
	env     []string     // of every process
	nextTCP int

	procs    map[string]*proc
	links    map[string][]*link // "notifier-ch-1/broker"
	pg       *localpg.Cluster
	database string   // its URL, past every proxy
	brokers  []string // client addresses of the nodes
	monitors []string // their monitoring URLs
	edges    []string // public URLs
	sandbox  string   // URL of the vendors
	faults   *vendorFaults

	mu    sync.Mutex
	notes []string // what went wrong with the trial itself
}

// note keeps a fault of the trial itself, which spoils its outcome.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes = append(w.notes, fmt.Sprintf("the trial itself: "+format, args...))
}

const (
	startTime = 90 * time.Second // for a part to come up on a busy machine
	stepTime  = 2 * time.Minute  // for a build or a provisioning
)

// newWorld builds the program and lays out its files.
func newWorld(dir string, cluster bool, markets []string) (*world, error) {
	w := &world{
		dir: dir, cluster: cluster, markets: markets, procs: map[string]*proc{}, links: map[string][]*link{},
		// Below the ports that the system hands out, so that nobody takes one
		// while its process is dead.
		nextTCP: 20000 + os.Getpid()%10000,
	}
	for _, d := range []string{"bin", "config", "keys", "sites", "log", "nats"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil { //nolint:gosec // the user Postgres drops to walks through it
			return nil, err
		}
	}
	for _, what := range []string{"./cmd/...", "github.com/nats-io/nats-server/v2"} {
		if out, err := w.command("go", "build", "-o", w.path("bin")+"/", what); err != nil {
			return nil, fmt.Errorf("build %s: %w: %s", what, err, out)
		}
	}
	if err := os.CopyFS(w.path("config"), os.DirFS("config")); err != nil {
		return nil, err
	}
	if err := w.relax(); err != nil {
		return nil, err
	}
	var err error
	if w.catalog, err = site.Load(w.path("config")); err != nil {
		return nil, err
	}
	for _, domain := range slices.Sorted(maps.Keys(w.catalog.Sites)) {
		if err := os.WriteFile(w.path("sites", domain), []byte(secretOf(domain)), 0o600); err != nil {
			return nil, err
		}
		if s := w.catalog.Sites[domain]; slices.Contains(markets, s.Market) {
			w.sites = append(w.sites, s)
		}
	}
	return w, nil
}

const linkSecret = "chaos0chaos0chaos0chaos0chaos0ch"

// secretOf is the secret of a site's tool calls here.
func secretOf(domain string) string { return "secret-of-" + domain }

func (w *world) path(parts ...string) string {
	return filepath.Join(append([]string{w.dir}, parts...)...)
}

// relax takes the limits out of the configuration that a load would meet: the
// senders' rates, the providers' caps and every hour in which nobody works. It puts the
// delivery loop in: sites that offer their leads, and providers who cannot be reached.
func (w *world) relax() error {
	files, err := filepath.Glob(w.path("config", "sites", "*.yaml"))
	if err != nil {
		return err
	}
	from := regexp.MustCompile(`(?m)^    from: .*$`)
	caps := regexp.MustCompile(`(?m)^ +caps: .*\n`)
	for _, f := range append(files, w.path("config", "roster.yaml")) {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		text = from.ReplaceAll(text, []byte("$0\n    per_second: 500"))
		text = regexp.MustCompile(`(?m)^tracker: .*$`).ReplaceAll(caps.ReplaceAll(text, nil), nil) // nobody counts here
		text = regexp.MustCompile(`(?m)^dispatch:\n(  .*\n)+`).ReplaceAll(text, nil)
		if mode := offered[strings.TrimSuffix(filepath.Base(f), ".yaml")]; mode != "" {
			text = append(text, "\ndispatch: { mode: "+mode+", "+classes+" }\n"...)
		}
		if filepath.Base(f) == "roster.yaml" {
			text = regexp.MustCompile(`(?m)^    after_hours: .*\n`).ReplaceAll(text, nil)
			text = regexp.MustCompile(`(?m)^    market: .*$`).ReplaceAll(text, []byte("$0\n    after_hours: true"))
			for id, number := range broken {
				text = regexp.MustCompile(`(?s)(- id: `+id+`\n.*?    whatsapp: )\S+(\n    sms: )\S+(\n    email: )\S+`).
					ReplaceAll(text, []byte(`${1}"`+number+`63024"${2}"`+number+`30005"${3}bounce@`+id+`.example`))
			}
		}
		if err := os.WriteFile(f, text, 0o600); err != nil { //nolint:gosec // in our own directory
			return err
		}
	}
	files, err = filepath.Glob(w.path("config", "markets", "*.yaml"))
	for _, f := range files {
		text, rerr := os.ReadFile(f)
		if rerr == nil {
			text = regexp.MustCompile(`(?m)^quiet: .*$`).ReplaceAll(text, nil)
			rerr = os.WriteFile(f, text, 0o600) //nolint:gosec // in our own directory
		}
		err = errors.Join(err, rerr)
	}
	return err
}

// port is one that is free and stays so.
func (w *world) port() string {
	for {
		w.nextTCP++
		addr := "127.0.0.1:" + strconv.Itoa(w.nextTCP)
		if l, err := net.Listen("tcp", addr); err == nil { //nolint:noctx // closed at once
			_ = l.Close()
			return addr
		}
	}
}

// command runs a program to its end.
func (w *world) command(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), stepTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // our own
	cmd.Env = append(os.Environ(), w.env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// leadbus runs an operator's command, past every proxy.
func (w *world) leadbus(args ...string) (string, error) {
	return w.command(w.path("bin", "leadbus"), append(args, "--nats-url", strings.Join(w.brokers, ","), "--database-url", w.database)...)
}

// start brings everything up and waits until all of it can work.
func (w *world) start(ctx context.Context) error {
	w.env = []string{
		"LEADBUS_CONFIG=" + w.path("config"), "LEADBUS_NATS_KEYS=" + w.path("keys"), "LEADBUS_SITE_SECRETS=" + w.path("sites"),
		"LEADBUS_TWILIO_ACCOUNT_SID=AC00000000000000000000000000chaos1", "LEADBUS_TWILIO_AUTH_TOKEN=chaostoken",
		"LEADBUS_MAILGUN_API_KEY=keychaos", "LEADBUS_MAILGUN_SIGNING_KEY=signchaos",
		"LEADBUS_LINK_SECRET=" + linkSecret, "LEADBUS_CANARY_EVERY=0s", "LEADBUS_LOG_LEVEL=info",
		"LEADBUS_HOST=chaos", "LEADBUS_HOST_OVERRIDE=chaos runs anywhere",
	}
	if err := w.startPostgres(ctx); err != nil {
		return err
	}
	if err := w.startBrokers(); err != nil {
		return err
	}
	replicas := strconv.Itoa(len(w.brokers))
	if out, err := w.leadbus("provision", "--replicas", replicas); err != nil {
		return fmt.Errorf("provision: %w: %s", err, out)
	}
	if out, err := w.leadbus("roster", "import", w.path("config", "roster.yaml")); err != nil {
		return fmt.Errorf("import the roster: %w: %s", err, out)
	}
	if err := w.startRoles(); err != nil {
		return err
	}
	for _, p := range w.procs {
		if err := await(ctx, p.ready); err != nil {
			return fmt.Errorf("%s: %w; its log is %s", p.name, err, p.log)
		}
	}
	return w.awaitRoster(ctx)
}

// awaitRoster waits until the recorders have copied every provider: a matcher
// counts as ready with the part of a new roster that it has seen.
func (w *world) awaitRoster(ctx context.Context) error {
	text, err := os.ReadFile(w.path("config", "roster.yaml"))
	if err != nil {
		return err
	}
	return await(ctx, func() bool {
		b, err := w.backlog()
		if err != nil {
			return false
		}
		for _, market := range w.markets {
			if b.roster[market] < strings.Count(string(text), "    market: "+market+"\n") {
				return false
			}
		}
		return sleep(ctx, time.Second) // until they have seen it
	})
}

func (w *world) startPostgres(ctx context.Context) error {
	log, err := os.Create(w.path("log", "localpg.log"))
	if err != nil {
		return err
	}
	if w.pg, err = localpg.Start(ctx, localpg.Options{Dir: w.path("postgres"), Log: zerolog.New(log).With().Timestamp().Logger()}); err != nil {
		return err
	}
	w.database = w.pg.URL()
	return nil
}

// startBrokers runs the nodes with the configuration that is deployed, on
// ports and directories of their own.
func (w *world) startBrokers() error {
	accounts, err := w.command(w.path("bin", "leadbus"), "nats-config")
	if err != nil {
		return fmt.Errorf("render the accounts: %w: %s", err, accounts)
	}
	if err := os.WriteFile(w.path("nats", "accounts.conf"), []byte(accounts), 0o600); err != nil {
		return err
	}
	nodes, routes := 1, []string{}
	if w.cluster {
		nodes = 3
	}
	for range nodes {
		routes = append(routes, w.port())
	}
	for i := range nodes {
		name := fmt.Sprintf("nats-%d", i+1)
		client, monitor := w.port(), w.port()
		file := "deploy/nats-server.conf"
		if w.cluster {
			file = "deploy/cluster/" + name + ".conf"
		}
		deployed, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		text := string(deployed)
		for _, change := range [][2]string{
			{"server_name: .*", "server_name: " + name},
			{"port: .*", "listen: " + client},
			{"http_port: .*", "http: " + monitor},
			{"  store_dir: .*", "  store_dir: " + w.path("nats", name)},
			{"  port: .*", "  listen: " + routes[i] + "\n  no_advertise: true"},
			{"  routes: .*", "  routes: [nats://" + strings.Join(routes, ", nats://") + "]"},
		} {
			text = regexp.MustCompile(`(?m)^`+change[0]+`$`).ReplaceAllString(text, change[1])
		}
		conf := w.path("nats", name+".conf")
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil { //nolint:gosec // in our own directory
			return err
		}
		w.brokers = append(w.brokers, "nats://"+client)
		w.monitors = append(w.monitors, "http://"+monitor)
		w.run(name, "http://"+monitor+"/healthz", nil, w.path("bin", "nats-server"), "-c", conf)
	}
	return nil
}

// startRoles runs sandbox, edges and every role of every market, each behind
// links of its own.
func (w *world) startRoles() error {
	replicas := 1
	if w.cluster {
		replicas = 2
	}
	var edgeAddrs []string
	for range replicas {
		edgeAddrs = append(edgeAddrs, w.port())
	}
	public, err := w.link("callbacks", edgeAddrs...)
	if err != nil {
		return err
	}
	addr := w.port()
	w.sandbox = "http://" + addr
	w.faults = &vendorFaults{url: w.sandbox + "/api/faults", lost: w.note, now: map[string]fault{}}
	w.env = append(w.env, "LEADBUS_PUBLIC_URL=http://"+public)
	w.run("sandbox", w.sandbox+"/api/requests", []string{
		"LEADBUS_SANDBOX_ADDR=" + addr, "LEADBUS_EDGE_URL=http://" + public, "LEADBUS_DATA=" + w.path("data", "sandbox"),
		"LEADBUS_SANDBOX_KEEP=500000",
	}, w.path("bin", "leadbus"), "sandbox")

	for i := range replicas {
		w.edges = append(w.edges, "http://"+edgeAddrs[i])
		if err := w.role("edge", fmt.Sprintf("edge-%d", i+1), "LEADBUS_ADDR="+edgeAddrs[i], "LEADBUS_MARKETS="+strings.Join(w.markets, ",")); err != nil {
			return err
		}
		for _, market := range w.markets {
			for _, role := range subjects.RoleNames() {
				if err := w.role(role, fmt.Sprintf("%s-%s-%d", role, market, i+1), "LEADBUS_MARKET="+market); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// role runs one of the commands.
func (w *world) role(command, name string, env ...string) error {
	var brokers []string
	for _, b := range w.brokers {
		addr, err := w.link(name+"/broker", strings.TrimPrefix(b, "nats://"))
		if err != nil {
			return err
		}
		brokers = append(brokers, "nats://"+addr)
	}
	private := w.port()
	env = append(env, "LEADBUS_PRIVATE_ADDR="+private, "LEADBUS_DATA="+w.path("data", name), "LEADBUS_NATS_URL="+strings.Join(brokers, ","))
	if command == "recorder" {
		u, err := url.Parse(w.database)
		if err != nil {
			return err
		}
		q := u.Query()
		addr, err := w.link(name+"/database", filepath.Join(q.Get("host"), ".s.PGSQL."+q.Get("port")))
		if err != nil {
			return err
		}
		env = append(env, "LEADBUS_DATABASE_URL=postgres://"+u.User.Username()+"@"+addr+u.Path+"?sslmode=disable")
	}
	vendors := w.sandbox // an edge only reads receipts
	if command == "notifier" || command == "scanner" {
		addr, err := w.link(name+"/vendors", strings.TrimPrefix(w.sandbox, "http://"))
		if err != nil {
			return err
		}
		vendors = "http://" + addr
	}
	env = append(env, "LEADBUS_TWILIO_URL="+vendors, "LEADBUS_MAILGUN_URL="+vendors+"/v3", "LEADBUS_ELEVENLABS_URL="+vendors)
	w.run(name, "http://"+private+"/readyz", env, w.path("bin", command))
	return nil
}

// link makes a proxy of the group and answers its address.
func (w *world) link(group string, to ...string) (string, error) {
	for try := 0; ; try++ {
		k, err := newLink(w.port(), to...)
		if err != nil && try < 10 { // somebody was faster
			continue
		}
		w.links[group] = append(w.links[group], k)
		return k.addr, err
	}
}

func (w *world) run(name, health string, env []string, argv ...string) {
	p := &proc{
		name: name, argv: argv, env: slices.Concat([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir}, w.env, env),
		log: w.path("log", name+".log"), health: health, ended: make(chan struct{}),
	}
	w.procs[name] = p
	go p.keep()
}

// names are the processes whose name begins so, sorted.
func (w *world) names(prefix string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(w.procs)), func(n string) bool { return !strings.HasPrefix(n, prefix) })
}

// groups are the link groups whose name ends so, sorted.
func (w *world) groups(suffix string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(w.links)), func(n string) bool { return !strings.HasSuffix(n, suffix) })
}

// postgres are the processes of the database server, the first one on top.
func (w *world) postgres() []int {
	files, _ := filepath.Glob(w.path("postgres", "pg*", "postmaster.pid"))
	if len(files) == 0 {
		return nil
	}
	text, _ := os.ReadFile(files[0])
	line, _, _ := bytes.Cut(text, []byte("\n"))
	top, err := strconv.Atoi(string(line))
	if err != nil {
		return nil
	}
	pids := []int{top}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", top, top)) // elsewhere than on Linux: the top one only
	for _, c := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(c); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// unasked are the ends of processes that were not ours.
func (w *world) unasked() []string {
	var all []string
	for _, p := range w.procs {
		p.mu.Lock()
		all = append(all, p.unasked...)
		p.mu.Unlock()
	}
	return all
}

// stop ends everything: roles in good order, so that their logs end well.
func (w *world) stop() {
	for _, prefix := range slices.Concat([]string{subjects.Edge}, subjects.RoleNames(), []string{"sandbox", "nats"}) {
		for _, n := range w.names(prefix) {
			w.procs[n].stop()
		}
	}
	if w.pg != nil {
		_ = w.pg.Stop()
	}
}

// serve says where everything is and waits for the end.
func (w *world) serve(ctx context.Context, out io.Writer) {
	_, _ = fmt.Fprintf(out, "\n%d processes are up; Ctrl-C stops them all.\n", len(w.procs)+1)
	for _, n := range slices.Sorted(maps.Keys(w.procs)) {
		_, _ = fmt.Fprintf(out, "  %-18s %s\n", n, w.procs[n].log)
	}
	_, _ = fmt.Fprintf(out, "\nedges     %s\nsandbox   %s\nnats      %s\nkeys      %s\npostgres  psql '%s'\n", strings.Join(w.edges, " "), w.sandbox,
		strings.Join(w.brokers, ","), w.path("keys"), w.database)
	domain := w.sites[0].Domain
	_, _ = fmt.Fprintf(out, `
a lead:   curl -H 'X-Leadbus-Secret: %s' -d '{"conversation_id":"conv_1","caller_id":"+41781240001","service_type":"","city":""}' %s/v1/sites/%s/dispatch_lead
`, secretOf(domain), w.edges[0], domain)
	<-ctx.Done()
}

// await waits for a condition.
func await(ctx context.Context, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for !ok() {
		if !sleep(ctx, 50*time.Millisecond) {
			return errors.New("is not ready")
		}
	}
	return nil
}

var local = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// get reads JSON at an address of ours.
func get(address string, into any) error {
	res, err := local.Get(address) //nolint:noctx // bounded by the client
	if err != nil {
		return err
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", address, res.Status)
	}
	return json.Unmarshal(body, into)
}
