package bus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/subjects"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a provisioned server with markets ch and id.
type rig struct {
	*Server
	dir, config string
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir()}
	markets := []string{"ch", "id"}
	keys, err := EnsureKeys(r.dir+"/keys", Users(markets))
	if err != nil {
		t.Fatal(err)
	}
	r.config = ConfigText(markets, keys)
	r.Server = r.server(t, "127.0.0.1:0")
	t.Cleanup(func() { r.Close() })
	for _, m := range markets {
		op := r.connect(t, m+"-operator")
		if err := Provision(t.Context(), op, m, Layout{}); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r *rig) server(t testing.TB, addr string) *Server {
	t.Helper()
	s, err := StartServer(ServerOptions{Addr: addr, StoreDir: r.dir + "/store", Config: r.config, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (r *rig) connect(t testing.TB, user string) *Conn {
	t.Helper()
	c, err := Connect(t.Context(), Options{URL: r.URL(), User: user, SeedFile: SeedFile(r.dir+"/keys", user), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func received(market, id, name string) event.Event {
	return event.Event{
		ID: "received-" + id + "-" + name, At: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC),
		Lead: subjects.Lead{Market: market, Site: "a." + market, Event: subjects.Received, Lead: id},
		Body: &event.Received{Lead: lead.Lead{ID: id, Request: lead.Request{CustomerName: name}}},
	}
}

func matched(id, provider string) event.Event {
	return event.Event{
		ID: "matched-" + provider, At: time.Now().UTC(),
		Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: subjects.Matched, Lead: id},
		Body: &event.Decided{Offer: provider},
	}
}

// run consumes until the test ends.
func (r *rig) run(t testing.TB, c *Conn, durable string, workers int, h event.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Consume(ctx, durable, workers, h) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("consume: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestALeadTravelsFromEdgeToMatcher(t *testing.T) {
	r := newRig(t)
	edge := r.connect(t, EdgeUser)
	want := received("ch", "l1", "Marta")
	for range 3 { // repeats of one fact
		if err := edge.Publish(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
	if err := edge.Publish(t.Context(), received("ch", "l1", "Marta again")); err != nil {
		t.Fatal(err)
	}
	got := make(chan event.Delivery, 10)
	m := r.connect(t, "ch-matcher")
	r.run(t, m, subjects.Matcher, 1, func(_ context.Context, d event.Delivery) error { got <- d; return nil })
	want.Seq = 1
	if d := cmp.Diff(event.Delivery{Event: want, Attempt: 1}, <-got); d != "" {
		t.Error(d)
	}
	if d := <-got; d.Seq != 2 {
		t.Errorf("second delivery is sequence %d: a repeat was stored", d.Seq)
	}
	stored, err := m.Events(t.Context(), subjects.Lead{Market: "ch", Lead: "l1"})
	if err != nil || len(stored) != 2 || stored[0].Seq != 1 {
		t.Errorf("stored %v, %v", stored, err)
	}
}

func TestOnlyTheFirstMatchStands(t *testing.T) {
	r := newRig(t)
	a, b := r.connect(t, "ch-matcher"), r.connect(t, "ch-matcher")
	if err := a.PublishFirst(t.Context(), matched("l1", "one")); err != nil {
		t.Fatal(err)
	}
	if err := a.PublishFirst(t.Context(), matched("l1", "one")); err != nil {
		t.Errorf("repeat of the winner: %v", err)
	}
	if err := b.PublishFirst(t.Context(), matched("l1", "two")); !errors.Is(err, event.ErrConflict) {
		t.Errorf("second match: %v", err)
	}
	if err := b.PublishFirst(t.Context(), matched("l2", "two")); err != nil {
		t.Errorf("another lead: %v", err)
	}
}

func TestFatesOfADelivery(t *testing.T) {
	r := newRig(t)
	edge := r.connect(t, EdgeUser)
	for _, id := range []string{"retried", "panics", "poison", "good"} {
		if err := edge.Publish(t.Context(), received("ch", id, "x")); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	attempts := map[string][]int{}
	m := r.connect(t, "ch-matcher")
	r.run(t, m, subjects.Matcher, 2, func(_ context.Context, d event.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		attempts[d.Lead.Lead] = append(attempts[d.Lead.Lead], d.Attempt)
		switch {
		case d.Lead.Lead == "poison":
			return event.Permanent(errors.New("cannot be understood"))
		case d.Attempt == 1 && d.Lead.Lead == "retried":
			return event.After(20*time.Millisecond, errors.New("not yet"))
		case d.Attempt == 1 && d.Lead.Lead == "panics":
			panic("boom")
		}
		return nil
	})
	op := r.connect(t, "ch-operator")
	info := func() *jetstream.ConsumerInfo {
		c, err := op.js.Consumer(t.Context(), subjects.StreamLeads, subjects.Matcher)
		if err != nil {
			t.Fatal(err)
		}
		return c.CachedInfo()
	}
	eventually(t, "all settled", func() bool {
		i := info()
		return i.NumPending == 0 && i.NumAckPending == 0 && i.AckFloor.Stream == 4
	})
	mu.Lock()
	defer mu.Unlock()
	want := map[string][]int{"retried": {1, 2}, "panics": {1, 2}, "poison": {1}, "good": {1}}
	if d := cmp.Diff(want, attempts); d != "" {
		t.Error(d)
	}
	eventually(t, "the terminated event is in the DLQ with its reason", func() bool {
		s, err := op.js.Stream(t.Context(), subjects.StreamDLQ)
		if err != nil || s.CachedInfo().State.Msgs != 1 {
			return false
		}
		m, err := s.GetMsg(t.Context(), s.CachedInfo().State.LastSeq)
		return err == nil && strings.Contains(string(m.Data), "cannot be understood")
	})
}

func TestStopFinishesWhatWasBegunAndGivesTheRestBack(t *testing.T) {
	r := newRig(t)
	edge := r.connect(t, EdgeUser)
	const n = 40
	for i := range n {
		if err := edge.Publish(t.Context(), received("ch", fmt.Sprintf("l%d", i), "x")); err != nil {
			t.Fatal(err)
		}
	}
	var handled sync.Map
	count := func(d event.Delivery) {
		c, _ := handled.LoadOrStore(d.Lead.Lead, new(atomic.Int64))
		c.(*atomic.Int64).Add(1)
	}
	begun, release := make(chan struct{}, n), make(chan struct{})
	first := r.connect(t, "ch-matcher")
	stop := r.run(t, first, subjects.Matcher, 4, func(ctx context.Context, d event.Delivery) error {
		begun <- struct{}{}
		<-release
		if ctx.Err() != nil {
			return ctx.Err()
		}
		count(d)
		return nil
	})
	for range 4 {
		<-begun
	}
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	close(release)
	<-stopped
	r.run(t, r.connect(t, "ch-matcher"), subjects.Matcher, 4, func(_ context.Context, d event.Delivery) error { count(d); return nil })
	eventually(t, "every event was handled", func() bool {
		seen := 0
		handled.Range(func(_, _ any) bool { seen++; return true })
		return seen == n
	})
	handled.Range(func(id, c any) bool {
		if c.(*atomic.Int64).Load() != 1 {
			t.Errorf("%s was handled %d times", id, c.(*atomic.Int64).Load())
		}
		return true
	})
}

func TestBatchesSettleEachDeliveryByItself(t *testing.T) {
	r := newRig(t)
	edge := r.connect(t, EdgeUser)
	for i := range 10 {
		if err := edge.Publish(t.Context(), received("ch", fmt.Sprintf("l%d", i), "x")); err != nil {
			t.Fatal(err)
		}
	}
	rec := r.connect(t, "ch-recorder")
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	var sizes []int
	attempts := map[string]int{}
	done := make(chan error, 1)
	go func() {
		done <- rec.ConsumeBatches(ctx, subjects.Recorder, 10, 500*time.Millisecond, func(_ context.Context, ds []event.Delivery) []error {
			mu.Lock()
			defer mu.Unlock()
			sizes = append(sizes, len(ds))
			errs := make([]error, len(ds))
			for i, d := range ds {
				attempts[d.Lead.Lead]++
				if d.Lead.Lead == "l3" && d.Attempt == 1 {
					errs[i] = event.After(10*time.Millisecond, errors.New("once more"))
				}
			}
			return errs
		})
	}()
	eventually(t, "all handled, one twice", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(attempts) == 10 && attempts["l3"] == 2
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if sizes[0] < 2 {
		t.Errorf("batches of %v", sizes)
	}
	delete(attempts, "l3")
	for id, n := range attempts {
		if n != 1 {
			t.Errorf("%s was handed over %d times", id, n)
		}
	}
}

func TestMarketsCannotReachEachOther(t *testing.T) {
	r := newRig(t)
	edge := r.connect(t, EdgeUser)
	if err := edge.Publish(t.Context(), received("ch", "l1", "x")); err != nil {
		t.Fatal(err)
	}
	short := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	id := r.connect(t, "id-operator")
	if found, err := id.Events(short(), subjects.Lead{Market: "ch", Lead: "l1"}); err != nil || len(found) != 0 {
		t.Errorf("market id reads ch: %v, %v", found, err)
	}
	for name, err := range map[string]error{
		"operator of id publishes into ch":  id.Publish(short(), received("ch", "l2", "x")),
		"edge publishes to unknown market":  edge.Publish(short(), received("xx", "l2", "x")),
		"edge publishes a match":            edge.Publish(short(), matched("l1", "p")),
		"matcher publishes a tool call":     nil,
		"recorder publishes a match":        r.connect(t, "ch-recorder").Publish(short(), matched("l1", "p")),
		"matcher publishes a sent message":  r.connect(t, "ch-matcher").Publish(short(), event.Event{ID: "x", Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: subjects.MessageSent, Lead: "l1"}, Body: &event.Told{}}),
		"notifier takes matcher's durable":  takes(short(), r.connect(t, "ch-notifier"), subjects.Matcher),
		"notifier writes the roster bucket": writes(short(), r.connect(t, "ch-notifier"), subjects.BucketRoster),
	} {
		if err == nil && name != "matcher publishes a tool call" {
			t.Errorf("%s", name)
		}
	}
}

func takes(ctx context.Context, c *Conn, durable string) error {
	consumer, err := c.js.Consumer(ctx, subjects.StreamLeads, durable)
	if err != nil {
		return err
	}
	_, err = consumer.Next(jetstream.FetchMaxWait(300 * time.Millisecond))
	return err
}

func writes(ctx context.Context, c *Conn, bucket string) error {
	kv, err := c.js.KeyValue(ctx, bucket)
	if err != nil {
		return err
	}
	_, err = kv.PutString(ctx, "x", "y")
	return err
}

func TestBucket(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	b, err := r.connect(t, "ch-matcher").Bucket(ctx, subjects.BucketLoad)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(ctx, "p1"); !errors.Is(err, event.ErrNotFound) {
		t.Errorf("absent key: %v", err)
	}
	rev, err := b.Create(ctx, "p1", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create(ctx, "p1", []byte("2")); !errors.Is(err, event.ErrConflict) {
		t.Errorf("second create: %v", err)
	}
	if rev, err = b.Update(ctx, "p1", []byte("3"), rev); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Update(ctx, "p1", []byte("4"), rev-1); !errors.Is(err, event.ErrConflict) {
		t.Errorf("stale update: %v", err)
	}
	if e, err := b.Get(ctx, "p1"); err != nil || string(e.Value) != "3" || e.Revision != rev {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestWatchedByARoleThatMayOnlyRead(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	writer, err := r.connect(t, "ch-recorder").Bucket(ctx, subjects.BucketRoster)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Put(ctx, "p1", []byte("one")); err != nil {
		t.Fatal(err)
	}
	reader, err := r.connect(t, "ch-matcher").Bucket(ctx, subjects.BucketRoster)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Put(withTimeout(t), "p1", []byte("two")); err == nil {
		t.Error("the matcher writes the roster")
	}
	seen := make(chan string, 10)
	done := make(chan error, 1)
	go func() {
		done <- reader.Watch(ctx, func(e event.Entry) { seen <- e.Key + "=" + string(e.Value) }, func() { seen <- "ready" })
	}()
	got := []string{<-seen, <-seen}
	if err := writer.Delete(ctx, "p1"); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Put(ctx, "p2", []byte("two")); err != nil {
		t.Fatal(err)
	}
	got = append(got, <-seen, <-seen)
	if d := cmp.Diff([]string{"p1=one", "ready", "p1=", "p2=two"}, got); d != "" {
		t.Error(d)
	}
	all, err := reader.All(t.Context())
	if err != nil || len(all) != 1 || all[0].Key != "p2" {
		t.Errorf("all: %+v, %v", all, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func withTimeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestARestartedServerGoesOn(t *testing.T) {
	r := newRig(t)
	edge, m := r.connect(t, EdgeUser), r.connect(t, "ch-matcher")
	got := make(chan string, 10)
	r.run(t, m, subjects.Matcher, 1, func(_ context.Context, d event.Delivery) error { got <- d.Lead.Lead; return nil })
	if err := edge.Publish(t.Context(), received("ch", "before", "x")); err != nil {
		t.Fatal(err)
	}
	if id := <-got; id != "before" {
		t.Fatal(id)
	}
	addr := strings.TrimPrefix(r.URL(), "nats://")
	r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := edge.Publish(ctx, received("ch", "while down", "x")); err == nil {
		t.Error("published without a server")
	}
	r.Server = r.server(t, addr)
	if err := edge.Publish(t.Context(), received("ch", "after", "x")); err != nil {
		t.Fatal(err)
	}
	if id := <-got; id != "after" {
		t.Errorf("after the restart came %q", id)
	}
}

func TestTheServerIsWaitedForAndATakenPortIsNamed(t *testing.T) {
	r := newRig(t)
	addr := strings.TrimPrefix(r.URL(), "nats://")
	if _, err := StartServer(ServerOptions{Addr: addr, StoreDir: t.TempDir(), Config: r.config, Log: zerolog.Nop()}); err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("taken port: %v", err)
	}
	r.Close()
	connected := make(chan *Conn)
	go func() {
		c, err := Connect(t.Context(), Options{URL: "nats://" + addr, User: EdgeUser, SeedFile: SeedFile(r.dir+"/keys", EdgeUser), Log: zerolog.Nop()})
		if err != nil {
			t.Error(err)
		}
		connected <- c
	}()
	r.Server = r.server(t, addr)
	c := <-connected
	if !c.Connected() {
		t.Error("not connected")
	}
	c.Close()
}

func TestTheRenderedTextHoldsNoSecret(t *testing.T) {
	r := newRig(t)
	for _, user := range Users([]string{"ch", "id"}) {
		seed, err := os.ReadFile(SeedFile(r.dir+"/keys", user))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(r.config, strings.TrimSpace(string(seed))) {
			t.Errorf("the seed of %s is in the text", user)
		}
		if st, err := os.Stat(SeedFile(r.dir+"/keys", user)); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("seed of %s: %v %v", user, st.Mode(), err)
		}
	}
	keys, err := EnsureKeys(r.dir+"/keys", Users([]string{"ch", "id"}))
	if err != nil || ConfigText([]string{"ch", "id"}, keys) != r.config {
		t.Errorf("rendering again changes the text (%v)", err)
	}
	if !slices.Contains(Users([]string{"ch"}), "ch-operator") {
		t.Error("no operator")
	}
	if nc, err := nats.Connect(r.URL()); err == nil {
		nc.Close()
		t.Error("a client without a key got in")
	}
}

func BenchmarkPublish(b *testing.B) {
	r := newRig(b)
	edge := r.connect(b, EdgeUser)
	i := 0
	for b.Loop() {
		i++
		if err := edge.Publish(b.Context(), received("ch", fmt.Sprintf("l%d", i), "x")); err != nil {
			b.Fatal(err)
		}
	}
}
