package app

import (
	"cmp"
	"context"
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
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/role/edge"
	"leadbus/internal/role/matcher"
	"leadbus/internal/role/notifier"
	"leadbus/internal/role/notifier/send"
	"leadbus/internal/role/recorder"
	"leadbus/internal/role/scanner"
	"leadbus/internal/role/watch"
	"leadbus/internal/role/watch/canary"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
	"leadbus/internal/vendors/elevenlabs"
	"leadbus/internal/vendors/mailgun"
	"leadbus/internal/vendors/tracker"
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
	settings  Settings
	catalog   *site.Catalog
	server    *bus.Server // in-process broker; nil with an external one
	twilio    *twilio.Client
	mailgun   *mailgun.Client
	tracker   *tracker.Client
	postCall  func(r *http.Request, body []byte) (call.Report, error)
	noReports bool // on calls, for want of their secret
	links     *link.Signer
	public    string // URL of the edge
	replay    bool   // the roles work off their replay durable and end
	vendor    VendorSettings
	watch     WatchSettings
	db        *store.Store // of recorders

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
	j.vendor = v
	j.links, j.public = link.New(string(v.LinkSecret)), v.PublicURL
	j.twilio = twilio.New(twilio.Options{
		AccountSID: v.TwilioAccountSID, AuthToken: string(v.TwilioAuthToken),
		APIKey: v.TwilioAPIKey, APISecret: string(v.TwilioAPISecret),
		APIBase: v.TwilioURL, PublicURL: v.PublicURL,
	})
	j.mailgun = mailgun.New(mailgun.Options{
		APIKey: string(v.MailgunAPIKey), SigningKey: string(v.MailgunSigningKey), APIBase: v.MailgunURL,
	})
	j.tracker = tracker.New(tracker.Options{Trackers: j.catalog.Trackers, Secret: j.settings.trackerSecret, Base: v.TrackerURL})
	j.noReports = v.ElevenLabsWebhookSecret == ""
	j.postCall = func(r *http.Request, body []byte) (call.Report, error) {
		signature := r.Header.Get(elevenlabs.SignatureHeader)
		tolerance := cmp.Or(v.ElevenLabsTolerance, time.Hour)
		if err := elevenlabs.Verify(string(v.ElevenLabsWebhookSecret), signature, body, time.Now(), tolerance); err != nil {
			return call.Report{}, err
		}
		h, err := elevenlabs.Decode(body)
		if err != nil {
			return call.Report{}, err
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
	j.ReadyWhen("user "+user+" is not connected to NATS", c.Connected)
	return c, nil
}

// consume runs a role on its durable, or works its replay off.
func (j *wiring) consume(m member, f func(ctx context.Context, durable string) error) {
	durable := m.role
	if j.replay {
		durable = subjects.Replay(m.role)
		j.Go("end of the replay", func(ctx context.Context) error {
			if err := m.Emptied(ctx, durable); err != nil || ctx.Err() != nil {
				return err
			}
			j.Log.Info().Str("durable", durable).Msg("the replay is done")
			j.End()
			<-ctx.Done()
			return nil
		})
	}
	j.Go(m.role+" "+m.market, func(ctx context.Context) error { return f(ctx, durable) })
}

// member is a role's place on a market's bus.
type member struct {
	*bus.Conn
	market, role string
	bucket       map[string]*bus.Bucket // those of the table
	log          zerolog.Logger
}

// starters start the roles of the table.
var starters = map[string]func(*wiring, context.Context, member) error{
	subjects.Recorder: (*wiring).recorder,
	subjects.Matcher:  (*wiring).matcher,
	subjects.Notifier: (*wiring).notifier,
	subjects.Scanner:  (*wiring).scanner,
}

// start runs one market's role: it connects, opens its buckets and starts it.
func (j *wiring) start(ctx context.Context, r subjects.Role, market string) error {
	c, err := j.connect(ctx, market+"-"+r.Name)
	if err != nil {
		return err
	}
	m := member{c, market, r.Name, map[string]*bus.Bucket{}, j.Log.With().Str("market", market).Str("role", r.Name).Logger()}
	for _, bucket := range slices.Concat(r.Writes, r.Reads) {
		if m.bucket[bucket], err = c.Bucket(ctx, bucket); err != nil {
			return err
		}
	}
	return starters[r.Name](j, ctx, m)
}

// recorder writes one market's events to Postgres and copies its roster to the
// bus.
func (j *wiring) recorder(_ context.Context, m member) error {
	r := recorder.New(recorder.Options{Market: m.market, Store: j.db, Roster: m.bucket[subjects.BucketRoster], Log: m.log})
	j.Go("roster copy "+m.market, r.SyncRoster)
	j.consume(m, func(ctx context.Context, durable string) error {
		return m.ConsumeBatches(ctx, durable, recordMax, recordWait, r.Handle)
	})
	return nil
}

// matcher decides who gets one market's leads.
func (j *wiring) matcher(_ context.Context, m member) error {
	r := matcher.New(matcher.Options{
		Catalog: j.catalog, Market: m.market, Stream: m, Roster: m.bucket[subjects.BucketRoster], Load: m.bucket[subjects.BucketLoad],
		Watch: m.bucket[subjects.BucketWatch], People: m.bucket[subjects.BucketPeople], Timers: m, Past: m, Now: time.Now, Log: m.log,
	})
	j.ReadyWhen("the matcher of market "+m.market+" has not read its roster yet", r.Ready)
	j.Go("roster watch "+m.market, r.Run)
	if !j.replay {
		j.Go("timers "+m.market, func(ctx context.Context) error { return m.ConsumeTimers(ctx, m.role, matcherWorkers, r.Route) })
		j.Go("answers "+m.market, func(ctx context.Context) error { return m.Answer(ctx, m.market, matcherWorkers, r.View) })
	}
	j.consume(m, func(ctx context.Context, durable string) error {
		return m.Consume(ctx, durable, matcherWorkers, r.Handle)
	})
	return nil
}

// notifier tells people about one market's leads.
func (j *wiring) notifier(ctx context.Context, m member) error {
	journal, err := send.OpenJournal(filepath.Join(j.settings.Data, "journal", m.market))
	if err != nil {
		return err
	}
	j.OnStop("journal "+m.market, func(context.Context) error { return journal.Close() })
	alarms := watch.New(watch.Options{Catalog: j.catalog, Market: m.market, Stream: m, Bucket: m.bucket[subjects.BucketWatch], Now: time.Now, Log: m.log})
	n, err := notifier.New(notifier.Options{PublishAll: m.PublishAll, Links: j.links, PublicURL: j.public, People: m.bucket[subjects.BucketPeople], Past: m, Options: send.Options{
		Catalog: j.catalog, Market: m.market, Stream: m, Ledger: m.bucket[subjects.BucketLedger], Journal: journal, Raise: alarms.Raise,
		Vendors: map[string]send.Vendor{lead.SMS: j.twilio, lead.WhatsApp: j.twilio, lead.Email: j.mailgun, lead.Postback: j.tracker},
		Now:     time.Now, Log: m.log,
	}})
	if err != nil {
		return err
	}
	for _, st := range j.catalog.Sites {
		if t := j.catalog.Trackers[st.Tracker]; t != nil && t.Secret != "" && st.Market == m.market {
			if secret, err := j.settings.trackerSecret(t.Secret); err != nil || secret == "" {
				j.Lack("tracker " + t.ID + " of site " + st.Domain + " hears of nothing: write its secret to " + j.settings.trackerSecretFile(t.Secret))
			}
		}
	}
	if err := n.Recover(ctx); err != nil {
		return err
	}
	j.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "leadbus_dead_letters", Help: "Dead letters that nobody has retried or dropped.",
		ConstLabels: prometheus.Labels{"market": m.market},
	}, func() float64 {
		depth, err := m.CountDead(context.Background(), subjects.DeadLetters(m.market))
		if err != nil {
			return math.NaN()
		}
		return float64(depth)
	}))
	j.ReadyWhen("the notifier of market "+m.market+" does not know yet who opted out", n.Ready)
	j.Go("opt-outs "+m.market, n.Run)
	j.Go("dead letters "+m.market, func(ctx context.Context) error {
		return m.ConsumeDead(ctx, m.role, n.HandleDead)
	})
	j.consume(m, func(ctx context.Context, durable string) error {
		return m.Consume(ctx, durable, notifierWorkers, n.Handle)
	})
	return nil
}

// scanner looks at one market's finished calls.
func (j *wiring) scanner(_ context.Context, m member) error {
	v, w, bucket := j.vendor, j.watch, m.bucket[subjects.BucketWatch]
	lint := func(all []roster.Provider) []roster.Finding { return LintRoster(j.catalog, m.market, all) }
	tasks := []watch.Task{j.reconcileTask(m, v, w), watch.RosterTask(m.bucket[subjects.BucketRoster].All, lint, time.Now)}
	if w.CanaryEvery > 0 {
		beats, err := canary.NewBeats(canary.Options{
			Catalog: j.catalog, Market: m.market, URL: j.public, Secret: j.settings.siteSecrets(j.catalog), Stream: m, Now: time.Now,
		}, string(w.HeartbeatURL), w.CanaryEvery, m.log, j.Registry)
		if err != nil {
			m.log.Warn().Err(err).Msg("no test leads are sent")
		} else {
			tasks = append(tasks, watch.Task{Name: "canary", Every: w.CanaryEvery, Run: beats.Run})
		}
	}
	o := watch.Options{
		Catalog: j.catalog, Market: m.market, Stream: m, Bucket: bucket, AgentsEvery: w.AgentsEvery, Tasks: tasks,
		Dead: func(ctx context.Context, role string) (uint64, error) {
			return m.CountDead(ctx, subjects.DeadLetter(m.market, role))
		},
		Now: time.Now, Log: m.log,
	}
	if v.ElevenLabsAPIKey != "" {
		o.Agent = elevenlabs.New(string(v.ElevenLabsAPIKey), v.ElevenLabsURL).Agent
	}
	keeper := watch.New(o)
	s := scanner.New(scanner.Options{
		Catalog: j.catalog, Market: m.market, Stream: m, Watch: keeper,
		Now: time.Now, Log: o.Log, Registry: j.Registry,
	})
	j.slept = append(j.slept, keeper.Slept)
	if !j.replay {
		j.Go("duty of the scanner "+m.market, keeper.Run)
	}
	j.consume(m, func(ctx context.Context, durable string) error {
		return m.Consume(ctx, durable, scannerWorkers, s.Handle)
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
	if j.noReports {
		j.Lack("LEADBUS_ELEVENLABS_WEBHOOK_SECRET is not set: reports on finished calls are refused")
	}
	j.ReadyWhen("NATS is away and the spool is full", func() bool { return c.Connected() || spool.Room() })
	secret := j.settings.siteSecrets(j.catalog)
	without := 0
	for _, domain := range slices.Sorted(maps.Keys(j.catalog.Sites)) {
		if secret(domain) == "" {
			without++
			j.Lack("site " + domain + " has no secret, and all its tool calls are refused: write one to " + j.settings.siteSecretFile(domain) + " and start again")
		}
	}
	j.ReadyWhen("no site has a secret", func() bool { return without == 0 || without < len(j.catalog.Sites) })
	for _, domain := range slices.Sorted(maps.Keys(j.catalog.Broken)) {
		for _, f := range j.catalog.Broken[domain] {
			j.Lack("site " + domain + " is not served, since its configuration is broken: " + f.String())
		}
	}
	j.Serve("edge", l, edge.New(edge.Options{
		Catalog: j.catalog, Publisher: spool, Twilio: j.twilio, Mailgun: j.mailgun, PostCall: j.postCall,
		Secret: secret, Now: time.Now,
		Links: j.links, Ask: c.Ask,
		Log: j.Log.With().Str("role", "edge").Logger(), Registry: j.Registry,
	}))
	return nil
}

// private serves health, metrics and profiles.
func (j *wiring) private(addr string) (string, error) {
	l, err := j.Bind("private", "LEADBUS_PRIVATE_ADDR", addr)
	if err != nil {
		return "", err
	}
	j.Serve("private", l, j.Private())
	return "http://" + l.Addr().String(), nil
}

// database opens Postgres and waits for it.
func (j *wiring) database(ctx context.Context, url string) error {
	db, err := store.Open(ctx, url, j.Log)
	if err != nil {
		return err
	}
	j.OnStop("database", func(context.Context) error { db.Close(); return nil })
	j.db = db
	return db.Migrate(ctx)
}
