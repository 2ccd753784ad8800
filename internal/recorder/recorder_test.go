package recorder_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadbus/internal/bus"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/localpg"
	"leadbus/internal/localpg/pgtest"
	"leadbus/internal/recorder"
	"leadbus/internal/roster"
	"leadbus/internal/store"
	"leadbus/internal/subjects"
)

const patience = 30 * time.Second

// market is a real broker with one provisioned market.
type market struct {
	*bus.Server
	keys string
}

func newMarket(t *testing.T) market {
	t.Helper()
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys")
	public, err := bus.EnsureKeys(keys, bus.Users([]string{"ch"}))
	if err != nil {
		t.Fatal(err)
	}
	s, err := bus.StartServer(bus.ServerOptions{
		Addr: "127.0.0.1:0", StoreDir: filepath.Join(dir, "store"), Config: bus.ConfigText([]string{"ch"}, public), Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	m := market{s, keys}
	if err := bus.Provision(t.Context(), m.connect(t, "ch-operator"), "ch", bus.Layout{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m market) connect(t *testing.T, user string) *bus.Conn {
	t.Helper()
	c, err := bus.Connect(t.Context(), bus.Options{Server: m.Server, User: user, SeedFile: bus.SeedFile(m.keys, user), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func open(t *testing.T, url string) *store.Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db, err := store.Open(ctx, url, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// run starts one more recorder of the market, with the rights it has there.
func (m market) run(t *testing.T, db *store.Store) {
	t.Helper()
	c := m.connect(t, "ch-recorder")
	bucket, err := c.Bucket(t.Context(), subjects.BucketRoster)
	if err != nil {
		t.Fatal(err)
	}
	r := recorder.New(recorder.Options{Market: "ch", Store: db, Roster: bucket, Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel)})
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 2)
	go func() { stopped <- r.SyncRoster(ctx) }()
	go func() { stopped <- c.ConsumeBatches(ctx, subjects.Recorder, 64, 5*time.Millisecond, r.Handle) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-stopped; err != nil {
				t.Errorf("recorder ended: %v", err)
			}
		}
	})
}

// begin publishes the first event of a lead, with the customer's name.
func begin(t *testing.T, c *bus.Conn, id, name string) {
	t.Helper()
	l := lead.Lead{ID: id, Ref: lead.Ref(id), Market: "ch", Site: "a.ch", Language: "fr", ReceivedAt: time.Now(), Request: lead.Request{CustomerName: name}}
	publish(t, c, id, subjects.Received, &event.Received{Lead: l})
}

func publish(t *testing.T, c *bus.Conn, id, kind string, body any) {
	t.Helper()
	eventID, err := event.ContentID(kind, id, body)
	if err != nil {
		t.Fatal(err)
	}
	e := event.Event{ID: eventID, At: time.Now(), Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: kind, Lead: id}, Body: body}
	if err := c.Publish(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline, tick := time.After(patience), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("did not happen within %s: %s", patience, what)
		}
	}
}

func status(t *testing.T, db *store.Store, id string) string {
	t.Helper()
	l, err := db.Lead(t.Context(), "ch", id)
	if err != nil {
		return err.Error()
	}
	return l.Status
}

// Two recorders share a market's events, among them one that Postgres refuses:
// every other one is recorded.
func TestTheStreamBecomesRows(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := open(t, url)
	pgtest.Exec(t, url, "alter table leadbus.lead_person add constraint refused check (name <> 'Poison Ivy')")
	m := newMarket(t)
	c := m.connect(t, "ch-operator")
	for i := range 40 {
		id := fmt.Sprintf("lead%d", i)
		begin(t, c, id, "Marta")
		if i == 20 {
			begin(t, c, "poison", "Poison Ivy")
		}
		publish(t, c, id, subjects.Matched, &event.Decided{Lead: lead.Lead{ID: id, Request: lead.Request{CustomerName: "Marta"}}, Offer: "o" + id, Provider: &roster.Provider{ID: "lac"}})
	}
	m.run(t, db)
	m.run(t, open(t, url))
	for i := range 40 {
		id := fmt.Sprintf("lead%d", i)
		eventually(t, id+" is matched", func() bool { return status(t, db, id) == "matched" })
	}
	if _, err := db.Lead(t.Context(), "ch", "poison"); !errors.Is(err, event.ErrNotFound) {
		t.Errorf("the refused lead: %v", err)
	}
}

// Postgres is away: events wait in the stream, and none is given up.
func TestRowsAppearWhenTheDatabaseIsBack(t *testing.T) {
	t.Parallel()
	dir := pgtest.Dir(t)
	start := func() *localpg.Cluster {
		cluster, err := localpg.Start(context.Background(), localpg.Options{Dir: dir, NoSync: true, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cluster.Stop() })
		return cluster
	}
	cluster := start()
	db := open(t, cluster.URL())
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := newMarket(t)
	c := m.connect(t, "ch-operator")
	m.run(t, db)
	begin(t, c, "before", "Marta")
	eventually(t, "the first row", func() bool { return status(t, db, "before") == "pending" })

	if err := cluster.Stop(); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		begin(t, c, fmt.Sprintf("meanwhile%d", i), "Marta")
	}
	start()
	begin(t, c, "after", "Marta")
	for _, id := range []string{"after", "meanwhile0", "meanwhile50", "meanwhile99"} {
		eventually(t, id+" is recorded", func() bool { return status(t, db, id) == "pending" })
	}
}

// The owner's edits reach the bucket; nothing else changes it.
func TestAnEditReachesTheBucket(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := open(t, url)
	m := newMarket(t)
	bucket, err := m.connect(t, "ch-operator").Bucket(t.Context(), subjects.BucketRoster)
	if err != nil {
		t.Fatal(err)
	}
	keys := func() (all []string) {
		entries, err := bucket.All(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			all = append(all, e.Key)
		}
		slices.Sort(all)
		return all
	}
	holds := func(key, part string) func() bool {
		return func() bool {
			e, err := bucket.Get(t.Context(), key)
			return err == nil && strings.Contains(string(e.Value), part)
		}
	}
	// A database that is new here does not empty what a former one filled.
	if _, err := bucket.Put(t.Context(), "old", []byte(`{"id":"old"}`)); err != nil {
		t.Fatal(err)
	}
	m.run(t, db)
	providers := []roster.Provider{{ID: "lac", Market: "ch", Name: "Lac", Active: true, Priority: 1}, {ID: "rhone", Market: "ch", Name: "Rhône", Active: true, Priority: 2}, {ID: "bali", Market: "id", Name: "Bali", Priority: 1}}
	begin(t, m.connect(t, "ch-operator"), "lead1", "Marta")
	eventually(t, "the recorder works", func() bool { return status(t, db, "lead1") == "pending" })
	if got := keys(); !slices.Equal(got, []string{"old"}) {
		t.Errorf("before any roster the bucket holds %v", got)
	}
	if err := db.ImportRoster(t.Context(), providers); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the import is in the bucket", func() bool { return cmp.Equal(keys(), []string{"lac", "rhone"}) })

	begun := time.Now()
	pgtest.Exec(t, url, `update leadbus.provider set priority = 7, hours = '{"mon": ["08:00-12:00"]}' where market = 'ch' and id = 'lac'`)
	eventually(t, "the edit is in the bucket", holds("lac", `"hours":{"mon":["08:00-12:00"]}`))
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("the edit took %s", took)
	}
	if e, err := bucket.Get(t.Context(), "rhone"); err != nil || e.Revision > 3 {
		t.Errorf("a provider that did not change was written again: revision %d, %v", e.Revision, err)
	}
	pgtest.Exec(t, url, "delete from leadbus.provider where market = 'ch' and id = 'rhone'")
	eventually(t, "the deletion is in the bucket", func() bool { return cmp.Equal(keys(), []string{"lac"}) })
}

// fake is a Postgres that can be away, that refuses some leads, and remembers
// the others.
type fake struct {
	mu      sync.Mutex
	away    bool
	refuses map[string]bool
	stored  map[string]bool
	version int64
	looks   chan struct{}
}

func (f *fake) Record(_ context.Context, _ string, events []event.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return errors.New("connection refused")
	}
	for _, e := range events {
		if f.refuses[e.Lead.Lead] {
			return event.Permanent(errors.New("refused"))
		}
	}
	for _, e := range events {
		f.stored[e.Lead.Lead] = true
	}
	return nil
}

func (f *fake) RosterVersion(context.Context, string) (int64, error) {
	select {
	case f.looks <- struct{}{}:
	default:
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.version, nil
}

func (f *fake) Roster(context.Context, string) ([]roster.Provider, error) {
	return nil, errors.New("connection refused")
}

func TestEveryDeliveryHasItsFate(t *testing.T) {
	t.Parallel()
	deliveries := make([]event.Delivery, 37)
	for i := range deliveries {
		deliveries[i].Lead = subjects.Lead{Market: "ch", Site: "a.ch", Event: subjects.Received, Lead: fmt.Sprintf("lead%d", i)}
	}
	f := &fake{stored: map[string]bool{}, refuses: map[string]bool{"lead0": true, "lead17": true, "lead18": true, "lead36": true}}
	r := recorder.New(recorder.Options{Market: "ch", Store: f, Log: zerolog.Nop()})
	fates := r.Handle(t.Context(), deliveries)
	if len(fates) != len(deliveries) {
		t.Fatalf("%d fates", len(fates))
	}
	for i, err := range fates {
		id, want := deliveries[i].Lead.Lead, event.Ack
		if f.refuses[id] {
			want = event.Terminate
		}
		if fate, _ := event.Outcome(err, 1); fate != want || f.stored[id] == f.refuses[id] {
			t.Errorf("%s: fate %d, stored %t", id, fate, f.stored[id])
		}
	}

	f.away, f.stored = true, map[string]bool{}
	for i, err := range r.Handle(t.Context(), deliveries) {
		if fate, delay := event.Outcome(err, 1_000_000); fate != event.Redeliver || delay > 5*time.Second {
			t.Errorf("delivery %d while the database is away: fate %d after %s", i, fate, delay)
		}
	}
}

// A roster that cannot be read leaves the bucket alone: a touch would panic.
func TestADatabaseErrorDoesNotTouchTheBucket(t *testing.T) {
	t.Parallel()
	f := &fake{version: 3, looks: make(chan struct{})}
	r := recorder.New(recorder.Options{Market: "ch", Store: f, Log: zerolog.Nop()})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.SyncRoster(ctx) }()
	for range 2 {
		select {
		case <-f.looks:
		case <-time.After(patience):
			t.Fatal("the roster is not looked at again")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
