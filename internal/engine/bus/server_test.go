package bus

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"leadbus/internal/event"
	"leadbus/internal/local/await"
	"leadbus/internal/subjects"
)

func TestARestartedServerGoesOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	edge, m, rec, op := r.connect(t, subjects.Edge), r.connect(t, "ch-matcher"), r.connect(t, "ch-recorder"), r.connect(t, "ch-operator")
	writer, err := rec.Bucket(t.Context(), subjects.BucketRoster)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Put(t.Context(), "gone", []byte("x")); err != nil {
		t.Fatal(err)
	}
	reader, err := m.Bucket(t.Context(), subjects.BucketRoster)
	if err != nil {
		t.Fatal(err)
	}
	handled, recorded, followed, watched := make(chan string, 10), make(chan string, 10), make(chan string, 10), make(chan string, 100)
	readies := make(chan struct{}, 10)
	consume(t, m, subjects.Matcher, 2, func(_ context.Context, d event.Delivery) error { handled <- d.Lead.Lead; return nil })
	await.Background(t, func(ctx context.Context) error {
		return rec.ConsumeBatches(ctx, subjects.Recorder, 10, time.Millisecond, func(_ context.Context, ds []event.Delivery) []error {
			for _, d := range ds {
				recorded <- d.Lead.Lead
			}
			return make([]error, len(ds))
		})
	})
	await.Background(t, func(ctx context.Context) error {
		return op.Follow(ctx, subjects.Lead{Market: "ch"}, time.Time{}, func(e event.Event) error { followed <- e.Lead.Lead; return nil })
	})
	await.Background(t, func(ctx context.Context) error {
		return reader.Watch(ctx, func(e event.Entry) { watched <- e.Key + "=" + string(e.Value) }, func() { readies <- struct{}{} })
	})
	await.Value(t, "ready", readies)
	check := func(id string) {
		t.Helper()
		if err := edge.Publish(t.Context(), received("ch", id, "x")); err != nil {
			t.Fatal(err)
		}
		for what, c := range map[string]chan string{"handled": handled, "recorded": recorded, "followed": followed} {
			if got := await.Value(t, id+" "+what, c); got != id {
				t.Errorf("%s: %s instead of %s", what, got, id)
			}
		}
	}
	check("before")
	for _, c := range []string{"after", "again"} {
		r.Close()
		await.True(t, "the loss is seen", func() bool { return !m.Connected() && !rec.Connected() })
		r.start(t)
		begun := time.Now()
		check(c)
		if took := time.Since(begun); took > soon {
			t.Errorf("all were at work again after %s only", took)
		}
	}
	begun := time.Now()
	if err := writer.Delete(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Put(t.Context(), "new", []byte("y")); err != nil {
		t.Fatal(err)
	}
	present := map[string]string{}
	for present["new"] == "" {
		key, value, _ := strings.Cut(await.Value(t, "a change after the restart", watched), "=")
		present[key] = value
	}
	if d := cmp.Diff(map[string]string{"gone": "", "new": "y"}, present); d != "" {
		t.Error(d)
	}
	if took := time.Since(begun); took > soon {
		t.Errorf("the change came after %s only", took)
	}
	if len(readies) != 0 {
		t.Error("ready was called again")
	}
}

func TestTheServerIsWaitedFor(t *testing.T) {
	t.Parallel()
	r := bareRig(t)
	r.Close()
	if _, err := Connect(deadline(t, 200*time.Millisecond), r.options(subjects.Edge)); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), subjects.Edge) {
		t.Errorf("no server: %v", err)
	}
	connected := make(chan *Conn)
	go func() {
		c, err := Connect(t.Context(), r.options(subjects.Edge))
		if err != nil {
			t.Error(err)
		}
		connected <- c
	}()
	r.start(t)
	c := await.Value(t, "the connection", connected)
	defer c.Close()

	// A server that has yet to learn of this user is waited for as well.
	good := r.config
	keys, err := EnsureKeys(t.TempDir(), Users(markets))
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	r.config = ConfigText(markets, keys)
	r.start(t)
	if late, err := Connect(deadline(t, 1200*time.Millisecond), r.options(subjects.Edge)); err == nil {
		late.Close()
		t.Error("a stranger got in")
	}
	if c.Connected() {
		t.Error("a stranger stayed connected")
	}
	r.Close()
	r.config = good
	r.start(t)
	await.True(t, "the old connection is back", c.Connected)

	if _, err := Connect(t.Context(), Options{URL: r.URL(), User: "x", SeedFile: "none"}); err == nil || !strings.Contains(err.Error(), "nats-config") {
		t.Errorf("no seed: %v", err)
	}
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	r := bareRig(t)
	for name, c := range map[string]struct{ addr, config, says string }{
		"port taken":    {r.addr, r.config, r.addr},
		"no port":       {"127.0.0.1", r.config, "address"},
		"odd port":      {"127.0.0.1:nats", r.config, "address"},
		"broken config": {"127.0.0.1:0", "accounts {", "configuration"},
	} {
		s, err := StartServer(ServerOptions{Addr: c.addr, StoreDir: filepath.Join(t.TempDir(), "x"), Config: c.config, Log: zerolog.Nop()})
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var out lines
	s, err := StartServer(ServerOptions{Addr: "127.0.0.1:0", StoreDir: t.TempDir(), Config: r.config, SyncAlways: true, Log: zerolog.New(&out)})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if !out.has("Server is ready") {
		t.Errorf("the server's log was lost: %s", out.String())
	}
}

// A stream that cannot be read back is not started without: it would be
// provisioned anew, and empty.
func TestADamagedStreamIsNotLeftOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Close()
	found, err := filepath.Glob(filepath.Join(r.dir, "store", "*", "*", "streams", subjects.StreamLeads, "meta.inf"))
	if err != nil || len(found) != len(markets) {
		t.Fatalf("%v, %v", found, err)
	}
	if err := os.WriteFile(found[0], []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := StartServer(ServerOptions{Addr: "127.0.0.1:0", StoreDir: r.dir + "/store", Config: r.config, Log: zerolog.Nop()})
	if err == nil {
		s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), found[0]) || !strings.Contains(err.Error(), "backup") {
		t.Error(err)
	}
}

func TestProvisionIsSafeToRepeat(t *testing.T) {
	t.Parallel()
	r := bareRig(t)
	operators := []*Conn{r.connect(t, "ch-operator"), r.connect(t, "ch-operator"), r.connect(t, "ch-operator")}
	done := make(chan error)
	for _, op := range operators {
		go func() { done <- Provision(t.Context(), op, "ch", Layout{}) }()
	}
	for range operators {
		if err := await.Value(t, "provisioned", done); err != nil {
			t.Error(err)
		}
	}
	publish(t, r.connect(t, subjects.Edge), 3)
	op := operators[0]
	if err := Provision(t.Context(), op, "ch", Layout{MaxBytes: 1 << 30}); err != nil {
		t.Errorf("to another layout: %v", err)
	}
	s, err := op.js.Stream(t.Context(), subjects.StreamLeads)
	if err != nil {
		t.Fatal(err)
	}
	leads := s.CachedInfo()
	if leads.State.Msgs != 3 || leads.Config.MaxBytes != 1<<30 || leads.Config.Discard != jetstream.DiscardNew ||
		leads.Config.Duplicates != time.Hour || !leads.Config.AllowDirect || !leads.Config.AllowAtomicPublish {
		t.Errorf("LEADS: %d events, %+v", leads.State.Msgs, leads.Config)
	}
	var names []string
	for s := range op.js.ListStreams(t.Context()).Info() {
		names = append(names, s.Config.Name)
		if s.Config.MaxBytes <= 0 || s.Config.Storage != jetstream.FileStorage {
			t.Errorf("stream %s: %d bytes on %s", s.Config.Name, s.Config.MaxBytes, s.Config.Storage)
		}
	}
	if len(names) != 8 {
		t.Errorf("streams %v", names)
	}
	for durable, pending := range map[string]uint64{subjects.Recorder: 3, subjects.Matcher: 3, subjects.Notifier: 0} {
		i := r.state(t, op, durable)
		if i.NumPending != pending || i.Config.AckWait <= handleTime || i.Config.AckPolicy != jetstream.AckExplicitPolicy {
			t.Errorf("%s: %d events wait, %+v", durable, i.NumPending, i.Config)
		}
		if i.Config.MaxDeliver != -1 {
			t.Errorf("%s gives up after %d deliveries", durable, i.Config.MaxDeliver)
		}
	}
	if _, err := op.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "GREEDY"}); err == nil {
		t.Error("a stream without a size was made")
	}
	if err := Provision(deadline(t, time.Second), r.connect(t, "id-matcher"), "id", Layout{}); err == nil {
		t.Error("a role provisions")
	}
}
