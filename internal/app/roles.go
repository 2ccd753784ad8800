package app

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadbus/internal/call"
	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/process"
	"leadbus/internal/engine/store"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/role/edge"
	"leadbus/internal/role/matcher"
	"leadbus/internal/role/notifier"
	"leadbus/internal/role/notifier/send"
	"leadbus/internal/role/recorder"
	"leadbus/internal/role/scanner"
	"leadbus/internal/role/watch"
	"leadbus/internal/role/watch/reach"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
	"leadbus/internal/vendors/elevenlabs"
	"leadbus/internal/vendors/mailgun"
	"leadbus/internal/vendors/twilio"
)

// Handlers at work at the same time in one process, by role. A notifier waits
// on vendors most of the time, a matcher on the broker.
const (
	matcherWorkers  = 16
	notifierWorkers = 256
	scannerWorkers  = 8
)

// A recorder's batch: as many events as arrived in recordWait, at most
// recordMax; one transaction each.
const (
	recordMax  = 256
	recordWait = 20 * time.Millisecond
)

// wiring is what the roles of one process share.
type wiring struct {
	*process.Process
	settings Settings
	catalog  *site.Catalog
	server   *bus.Server // in-process broker; nil with an external one
	twilio   *twilio.Client
	mailgun  *mailgun.Client
	postCall func(r *http.Request, body []byte) (*call.Call, error)
	deaf     bool // to reports on calls, without their secret
	links    *link.Signer
	public   string // URL of the edge
	replay   bool   // the roles work off their replay durable and end

	// slept are told when the machine has slept, and for how long.
	slept []func(ctx context.Context, host string, d time.Duration)
}

// vendors makes the clients; both are safe for concurrent use.
func (j *wiring) vendors(v VendorSettings) {
	if v.OwnerEmail != "" {
		for _, s := range j.catalog.Sites {
			s.Owner.Email = v.OwnerEmail
		}
	}
	j.links, j.public = link.New(string(v.LinkSecret)), v.PublicURL
	j.twilio = twilio.New(twilio.Options{
		AccountSID: v.TwilioAccountSID, AuthToken: string(v.TwilioAuthToken),
		APIKey: v.TwilioAPIKey, APISecret: string(v.TwilioAPISecret),
		APIBase: v.TwilioURL, PublicURL: v.PublicURL,
	})
	j.mailgun = mailgun.New(mailgun.Options{
		APIKey: string(v.MailgunAPIKey), SigningKey: string(v.MailgunSigningKey), APIBase: v.MailgunURL,
	})
	j.deaf = v.ElevenLabsWebhookSecret == ""
	j.postCall = func(r *http.Request, body []byte) (*call.Call, error) {
		signature := r.Header.Get(elevenlabs.SignatureHeader)
		tolerance := cmp.Or(v.ElevenLabsTolerance, time.Hour)
		if err := elevenlabs.Verify(string(v.ElevenLabsWebhookSecret), signature, body, time.Now(), tolerance); err != nil {
			return nil, err
		}
		h, err := elevenlabs.Decode(body)
		if err != nil {
			return nil, err
		}
		return h.Reported(), nil
	}
}

// options reach the broker as one of its users.
func (j *wiring) options(user string) bus.Options {
	o := bus.Options{
		Server: j.server, User: user, SeedFile: bus.SeedFile(j.settings.keys(), user),
		Log: j.Log.With().Str("user", user).Logger(),
	}
	if j.server == nil {
		o.URL = j.settings.natsURL()
	}
	return o
}

// connect opens the connection of one NATS user and waits for the broker.
func (j *wiring) connect(ctx context.Context, user string) (*bus.Conn, error) {
	c, err := bus.Connect(ctx, j.options(user))
	if err != nil {
		return nil, err
	}
	j.OnStop("connection "+user, func(context.Context) error { c.Close(); return nil })
	j.ReadyWhen(c.Connected)
	return c, nil
}

// consume runs a role on its durable, or works its replay off.
func (j *wiring) consume(c *bus.Conn, market, role string, f func(ctx context.Context, durable string) error) {
	durable := role
	if j.replay {
		durable = subjects.Replay(role)
		j.Go("end of the replay", func(ctx context.Context) error {
			if err := c.Emptied(ctx, durable); err != nil || ctx.Err() != nil {
				return err
			}
			j.Log.Info().Str("durable", durable).Msg("the replay is done")
			j.End()
			<-ctx.Done()
			return nil
		})
	}
	j.Go(role+" "+market, func(ctx context.Context) error { return f(ctx, durable) })
}

func (j *wiring) log(market, role string) zerolog.Logger {
	return j.Log.With().Str("market", market).Str("role", role).Logger()
}

// recorder writes one market's events to Postgres and copies its roster to the
// bus.
func (j *wiring) recorder(ctx context.Context, market string, db *store.Store) error {
	c, err := j.connect(ctx, market+"-"+subjects.Recorder)
	if err != nil {
		return err
	}
	roster, err := c.Bucket(ctx, subjects.BucketRoster)
	if err != nil {
		return err
	}
	r := recorder.New(recorder.Options{Market: market, Store: db, Roster: roster, Log: j.log(market, subjects.Recorder)})
	j.Go("roster copy "+market, r.SyncRoster)
	j.consume(c, market, subjects.Recorder, func(ctx context.Context, durable string) error {
		return c.ConsumeBatches(ctx, durable, recordMax, recordWait, r.Handle)
	})
	return nil
}

// matcher decides who gets one market's leads.
func (j *wiring) matcher(ctx context.Context, market string) error {
	c, err := j.connect(ctx, market+"-"+subjects.Matcher)
	if err != nil {
		return err
	}
	roster, err := c.Bucket(ctx, subjects.BucketRoster)
	if err != nil {
		return err
	}
	load, err := c.Bucket(ctx, subjects.BucketLoad)
	if err != nil {
		return err
	}
	m := matcher.New(matcher.Options{
		Catalog: j.catalog, Market: market, Stream: c, Roster: roster, Load: load,
		Now: time.Now, Log: j.log(market, subjects.Matcher),
	})
	j.ReadyWhen(m.Ready)
	j.Go("roster watch "+market, m.Run)
	j.consume(c, market, subjects.Matcher, func(ctx context.Context, durable string) error {
		return c.Consume(ctx, durable, matcherWorkers, m.Handle)
	})
	return nil
}

// notifier tells people about one market's leads.
func (j *wiring) notifier(ctx context.Context, market string) error {
	c, err := j.connect(ctx, market+"-"+subjects.Notifier)
	if err != nil {
		return err
	}
	ledger, err := c.Bucket(ctx, subjects.BucketLedger)
	if err != nil {
		return err
	}
	journal, err := send.OpenJournal(filepath.Join(j.settings.Data, "journal", market))
	if err != nil {
		return err
	}
	j.OnStop("journal "+market, func(context.Context) error { return journal.Close() })
	n, err := notifier.New(notifier.Options{
		Catalog: j.catalog, Market: market, Stream: c, Ledger: ledger, Journal: journal,
		Links: j.links, PublicURL: j.public,
		Vendors: map[string]send.Vendor{lead.SMS: j.twilio, lead.WhatsApp: j.twilio, lead.Email: j.mailgun},
		Now:     time.Now, Log: j.log(market, subjects.Notifier),
	})
	if err != nil {
		return err
	}
	if err := n.Recover(ctx); err != nil {
		return err
	}
	j.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "leadbus_dead_letters", Help: "Events that a role gave up and nobody has retried or dropped.",
		ConstLabels: prometheus.Labels{"market": market},
	}, func() float64 {
		depth, err := c.CountDead(context.Background())
		if err != nil {
			return math.NaN()
		}
		return float64(depth)
	}))
	j.Go("dead letters "+market, func(ctx context.Context) error {
		return c.ConsumeDead(ctx, subjects.Notifier, n.HandleDead)
	})
	j.consume(c, market, subjects.Notifier, func(ctx context.Context, durable string) error {
		return c.Consume(ctx, durable, notifierWorkers, n.Handle)
	})
	return nil
}

// scanner looks at one market's finished calls.
func (j *wiring) scanner(ctx context.Context, market string, v VendorSettings, w WatchSettings) error {
	c, err := j.connect(ctx, market+"-"+subjects.Scanner)
	if err != nil {
		return err
	}
	bucket, err := c.Bucket(ctx, subjects.BucketWatch)
	if err != nil {
		return err
	}
	roster, err := c.Bucket(ctx, subjects.BucketRoster)
	if err != nil {
		return err
	}
	tasks := []watch.Task{j.reconcileTask(market, v, w, c), {Name: "roster", Every: 24 * time.Hour, Run: func(ctx context.Context) ([]alarm.Occurrence, error) {
		return RosterOccurrences(ctx, j.catalog, market, roster, time.Now())
	}}}
	if w.CanaryEvery > 0 {
		if task, err := j.canaryTask(market, w, c); err != nil {
			j.Log.Warn().Err(err).Msg("no test leads are sent")
		} else {
			tasks = append(tasks, task)
		}
	}
	o := watch.Options{
		Catalog: j.catalog, Market: market, Stream: c, Bucket: bucket, AgentsEvery: w.AgentsEvery, Tasks: tasks,
		Now: time.Now, Log: j.log(market, subjects.Scanner),
	}
	if v.ElevenLabsAPIKey != "" {
		o.Agent = elevenlabs.New(string(v.ElevenLabsAPIKey), v.ElevenLabsURL).Agent
	}
	keeper := watch.New(o)
	s := scanner.New(scanner.Options{
		Catalog: j.catalog, Market: market, Stream: c, Watch: keeper, Reach: reach.New(c, bucket).Handle,
		Now: time.Now, Log: o.Log, Registry: j.Registry,
	})
	j.slept = append(j.slept, keeper.Slept)
	if !j.replay {
		j.Go("duty of the scanner "+market, keeper.Run)
	}
	j.consume(c, market, subjects.Scanner, func(ctx context.Context, durable string) error {
		return c.Consume(ctx, durable, scannerWorkers, s.Handle)
	})
	return nil
}

// edge answers the public address. It starts without the bus.
func (j *wiring) edge(ctx context.Context, l net.Listener, s SpoolSettings) error {
	o := j.options(subjects.Edge)
	o.Late = true
	c, err := bus.Connect(ctx, o)
	if err != nil {
		return err
	}
	j.OnStop("connection "+subjects.Edge, func(context.Context) error { c.Close(); return nil })
	dir := filepath.Join(j.settings.Data, "spool")
	unlock, err := lock(dir)
	if err != nil {
		return err
	}
	j.OnStop("lock of the spool", func(context.Context) error { return unlock() })
	spool, err := bus.OpenSpool(ctx, c, bus.SpoolOptions{
		Dir: dir, MaxBytes: s.SpoolBytes, Markets: slices.Collect(maps.Keys(j.catalog.Markets)),
		Log: j.Log.With().Str("role", "edge").Logger(), Registry: j.Registry,
	})
	if err != nil {
		return err
	}
	j.OnStop("spool", func(context.Context) error { spool.Close(); return nil })
	j.Go("drain of the spool", spool.Run)
	if j.deaf {
		j.Log.Warn().Msg("LEADBUS_ELEVENLABS_WEBHOOK_SECRET is not set: reports on finished calls are refused")
	}
	j.ReadyWhen(func() bool { return c.Connected() || spool.Room() })
	secret := j.settings.siteSecrets(j.catalog)
	for domain := range j.catalog.Sites {
		if secret(domain) == "" {
			j.Log.Warn().Str("site", domain).Msg("the site has no secret: its tool calls are refused until DATA/secrets/sites/<domain> holds one")
		}
	}
	for domain, faults := range j.catalog.Broken {
		for _, f := range faults {
			j.Log.Error().Str("site", domain).Str("fault", f.String()).Msg("the site's configuration is broken: it is not served")
		}
	}
	j.Serve("edge", l, edge.New(edge.Options{
		Catalog: j.catalog, Publisher: spool, Twilio: j.twilio, Mailgun: j.mailgun, PostCall: j.postCall,
		Secret: secret, Now: time.Now,
		Links: j.links,
		Log:   j.Log.With().Str("role", "edge").Logger(), Registry: j.Registry,
	}))
	return nil
}

// private serves health, metrics and profiles.
func (j *wiring) private(addr string) (string, error) {
	l, err := j.Bind("private", addr)
	if err != nil {
		return "", err
	}
	j.Serve("private", l, j.Private())
	return "http://" + l.Addr().String(), nil
}

// database opens Postgres and waits for it.
func (j *wiring) database(ctx context.Context, url string) (*store.Store, error) {
	db, err := store.Open(ctx, url, j.Log)
	if err != nil {
		return nil, err
	}
	j.OnStop("database", func(context.Context) error { db.Close(); return nil })
	if err := db.Migrate(ctx); err != nil {
		return nil, fmt.Errorf("migrate the database: %w", err)
	}
	return db, nil
}
