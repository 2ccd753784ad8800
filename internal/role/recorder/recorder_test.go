package recorder_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/bus/bustest"
	"leadbus/internal/engine/localpg/pgtest"
	"leadbus/internal/engine/store"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/role/recorder"
	"leadbus/internal/roster"
	"leadbus/internal/subjects"
)

// run starts one more recorder of the market, with the rights it has there.
func run(t *testing.T, b *bustest.Bus, db *store.Store) {
	t.Helper()
	c := b.Connect(t, "ch-recorder")
	r := recorder.New(recorder.Options{
		Market: "ch", Store: db, Roster: bustest.Bucket(t, c, subjects.BucketRoster), Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel),
	})
	await.Background(t, r.SyncRoster)
	await.Background(t, func(ctx context.Context) error {
		return c.ConsumeBatches(ctx, subjects.Recorder, 64, 5*time.Millisecond, r.Handle)
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
	db := pgtest.Open(t, url)
	pgtest.Exec(t, url, "alter table leadbus.lead_person add constraint refused check (name <> 'Poison Ivy')")
	b := bustest.New(t)
	c := b.Operator
	for i := range 40 {
		id := fmt.Sprintf("lead%d", i)
		begin(t, c, id, "Marta")
		if i == 20 {
			begin(t, c, "poison", "Poison Ivy")
		}
		publish(t, c, id, subjects.Matched, &event.Decided{Lead: lead.Lead{ID: id, Request: lead.Request{CustomerName: "Marta"}}, Offer: "o" + id, Provider: &roster.Provider{ID: "lac"}})
	}
	run(t, b, db)
	run(t, b, pgtest.Open(t, url))
	for i := range 40 {
		id := fmt.Sprintf("lead%d", i)
		await.True(t, id+" is matched", func() bool { return status(t, db, id) == "matched" })
	}
	if _, err := db.Lead(t.Context(), "ch", "poison"); !errors.Is(err, event.ErrNotFound) {
		t.Errorf("the refused lead: %v", err)
	}
}

// Postgres is away: events wait in the stream, and none is given up.
func TestRowsAppearWhenTheDatabaseIsBack(t *testing.T) {
	t.Parallel()
	dir := pgtest.Dir(t)
	cluster := pgtest.Start(t, dir)
	db := pgtest.Open(t, cluster.URL())
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := bustest.New(t)
	c := b.Operator
	run(t, b, db)
	begin(t, c, "before", "Marta")
	await.True(t, "the first row", func() bool { return status(t, db, "before") == "pending" })

	if err := cluster.Stop(); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		begin(t, c, fmt.Sprintf("meanwhile%d", i), "Marta")
	}
	pgtest.Start(t, dir)
	begin(t, c, "after", "Marta")
	for _, id := range []string{"after", "meanwhile0", "meanwhile50", "meanwhile99"} {
		await.True(t, id+" is recorded", func() bool { return status(t, db, id) == "pending" })
	}
}

// The owner's edits reach the bucket; nothing else changes it.
func TestAnEditReachesTheBucket(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := pgtest.Open(t, url)
	b := bustest.New(t)
	bucket := bustest.Bucket(t, b.Operator, subjects.BucketRoster)
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
	run(t, b, db)
	providers := []roster.Provider{{ID: "lac", Market: "ch", Name: "Lac", Active: true, Priority: 1}, {ID: "rhone", Market: "ch", Name: "Rhône", Active: true, Priority: 2}, {ID: "bali", Market: "id", Name: "Bali", Priority: 1}}
	begin(t, b.Operator, "lead1", "Marta")
	await.True(t, "the recorder works", func() bool { return status(t, db, "lead1") == "pending" })
	if got := keys(); !slices.Equal(got, []string{"old"}) {
		t.Errorf("before any roster the bucket holds %v", got)
	}
	if err := db.ImportRoster(t.Context(), providers); err != nil {
		t.Fatal(err)
	}
	await.True(t, "the import is in the bucket", func() bool { return cmp.Equal(keys(), []string{"lac", "rhone"}) })

	begun := time.Now()
	pgtest.Exec(t, url, `update leadbus.provider set priority = 7, hours = '{"mon": ["08:00-12:00"]}' where market = 'ch' and id = 'lac'`)
	await.True(t, "the edit is in the bucket", holds("lac", `"hours":{"mon":["08:00-12:00"]}`))
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the edit took %s", took)
	}
	if e, err := bucket.Get(t.Context(), "rhone"); err != nil || e.Revision > 3 {
		t.Errorf("a provider that did not change was written again: revision %d, %v", e.Revision, err)
	}
	pgtest.Exec(t, url, "delete from leadbus.provider where market = 'ch' and id = 'rhone'")
	await.True(t, "the deletion is in the bucket", func() bool { return cmp.Equal(keys(), []string{"lac"}) })
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
	await.Background(t, r.SyncRoster)
	for range 2 {
		await.Value(t, "a look at the roster", f.looks)
	}
}
