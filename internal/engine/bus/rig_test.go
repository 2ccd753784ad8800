package bus

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/subjects"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var markets = []string{"ch", "id"}

// rig is a server with markets ch and id, and every user's key.
type rig struct {
	*Server
	addr, dir, config string
	sync              bool
}

// newRig starts a provisioned server.
func newRig(t testing.TB) *rig {
	t.Helper()
	r := bareRig(t)
	for _, m := range markets {
		if err := Provision(t.Context(), r.connect(t, m+"-operator"), m, Layout{}); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// bareRig starts a server without any stream.
func bareRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir(), addr: "127.0.0.1:0"}
	keys, err := EnsureKeys(r.dir+"/keys", Users(markets))
	if err != nil {
		t.Fatal(err)
	}
	r.config = ConfigText(markets, keys)
	r.start(t)
	r.addr = strings.TrimPrefix(r.URL(), "nats://")
	t.Cleanup(func() { r.Close() })
	return r
}

// start starts the server, the first time or again.
func (r *rig) start(t testing.TB) {
	t.Helper()
	s, err := StartServer(ServerOptions{Addr: r.addr, StoreDir: r.dir + "/store", Config: r.config, SyncAlways: r.sync, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	r.Server = s
}

func (r *rig) options(user string) Options {
	return Options{URL: "nats://" + r.addr, User: user, SeedFile: SeedFile(r.dir+"/keys", user), Log: zerolog.Nop()}
}

func (r *rig) connect(t testing.TB, user string) *Conn {
	t.Helper()
	o := r.options(user)
	o.URL = r.URL()
	c, err := Connect(deadline(t, time.Minute), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// consume runs a handler until stop or the end of the test.
func consume(t testing.TB, c *Conn, durable string, workers int, h event.Handler) (stop func()) {
	t.Helper()
	return await.Background(t, func(ctx context.Context) error { return c.Consume(ctx, durable, workers, h) })
}

// state is what the server says about a durable.
func (r *rig) state(t testing.TB, op *Conn, durable string) *jetstream.ConsumerInfo {
	t.Helper()
	c, err := op.js.Consumer(t.Context(), subjects.StreamLeads, durable)
	if err != nil {
		t.Fatal(err)
	}
	return c.CachedInfo()
}

// settled waits until every event up to last was delivered and settled. The ack
// floor says nothing here: it stays below a delivery that was given up.
func (r *rig) settled(t testing.TB, op *Conn, durable string, last uint64) {
	t.Helper()
	await.True(t, "all events are settled", func() bool {
		i := r.state(t, op, durable)
		return i.NumPending == 0 && i.NumAckPending == 0 && i.Delivered.Stream == last
	})
}

// soon is far above what anything takes here, and far below a lease or a
// publish that is tried in vain.
const soon = ackWait / 3

func deadline(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
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
		ID: "matched-" + id + "-" + provider, At: time.Now().UTC(),
		Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: subjects.Matched, Lead: id},
		Body: &event.Decided{Offer: provider},
	}
}

// publish stores n leads l0, l1, … of market ch.
func publish(t testing.TB, c *Conn, n int) {
	t.Helper()
	for i := range n {
		if err := c.Publish(t.Context(), received("ch", fmt.Sprintf("l%d", i), "x")); err != nil {
			t.Fatal(err)
		}
	}
}
