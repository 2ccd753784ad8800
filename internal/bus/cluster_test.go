package bus

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"leadbus/internal/event"
	"leadbus/internal/subjects"
)

// cluster starts three nodes from one configuration text, as three machines
// would, and returns them with the URL of all.
func cluster(t *testing.T, dir, config string) (nodes []*server.Server, url string) {
	t.Helper()
	var routes, urls []string
	var ports []int
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
		routes = append(routes, "nats://"+l.Addr().String())
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		o := &server.Options{}
		if err := o.ProcessConfigString(config); err != nil {
			t.Fatal(err)
		}
		o.ServerName, o.Host, o.Port = fmt.Sprintf("n%d", i), "127.0.0.1", server.RANDOM_PORT
		o.JetStream, o.StoreDir = true, filepath.Join(dir, o.ServerName)
		o.JetStreamMaxMemory, o.JetStreamMaxStore = 64<<20, 1<<40
		o.NoSigs, o.NoLog = true, true
		o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i]}
		o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
		s, err := server.NewServer(o)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		nodes = append(nodes, s)
	}
	for _, s := range nodes {
		if !s.ReadyForConnections(20 * time.Second) {
			t.Fatal("a node did not start")
		}
		urls = append(urls, s.ClientURL())
	}
	return nodes, strings.Join(urls, ",")
}

func TestAClusterLosesItsLeader(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keys, err := EnsureKeys(dir+"/keys", Users(markets))
	if err != nil {
		t.Fatal(err)
	}
	nodes, url := cluster(t, dir, ConfigText(markets, keys))
	connect := func(user string) *Conn {
		c, err := Connect(t.Context(), Options{URL: url, User: user, SeedFile: SeedFile(dir+"/keys", user), Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	op := connect("ch-operator")
	if err := Provision(deadline(t, 30*time.Second), op, "ch", Layout{Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	raceForTheMatch(t, connect("ch-matcher"), connect("ch-matcher"))

	var mu sync.Mutex
	times := map[string]int{}
	handled := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(times)
	}
	for range 2 {
		consume(t, connect("ch-matcher"), subjects.Matcher, 4, func(_ context.Context, d event.Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			times[d.Lead.Lead]++
			return nil
		})
	}
	const n = 60
	edge := connect(EdgeUser)
	half, published := make(chan struct{}), make(chan error)
	go func() {
		for i := range n {
			if i == n/2 {
				close(half)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			err := edge.Publish(ctx, received("ch", fmt.Sprintf("l%d", i), "x"))
			cancel()
			if err != nil {
				published <- fmt.Errorf("l%d: %w", i, err)
				return
			}
		}
		published <- nil
	}()
	within(t, "half of the leads", half)
	lost := false
	for _, s := range nodes {
		if s.JetStreamIsStreamLeader(account("ch"), subjects.StreamLeads) {
			s.Shutdown()
			s.WaitForShutdown()
			lost = true
			break
		}
	}
	if !lost {
		t.Fatal("nobody leads the stream")
	}
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	eventually(t, "every lead was handled", func() bool { return handled() == n })
	var stored []event.Event
	eventually(t, "the stream can be read", func() bool {
		stored, err = op.Events(t.Context(), subjects.Lead{Market: "ch", Event: subjects.Received})
		return err == nil && len(stored) >= n
	})
	if len(stored) != n {
		t.Errorf("%d events for %d leads", len(stored), n)
	}
}
