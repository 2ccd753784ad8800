package bustest

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// Nodes starts a cluster of three from one configuration text, as three
// machines would, and answers them with the URL of all.
func Nodes(tb testing.TB, dir, config string, syncAlways bool) (nodes []*server.Server, url string) {
	tb.Helper()
	var routes, urls []string
	var ports []int
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
		if err != nil {
			tb.Fatal(err)
		}
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
		routes = append(routes, "nats://"+l.Addr().String())
		if err := l.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	for i := range 3 {
		o := &server.Options{}
		if err := o.ProcessConfigString(config); err != nil {
			tb.Fatal(err)
		}
		o.ServerName, o.Host, o.Port = fmt.Sprintf("n%d", i), "127.0.0.1", server.RANDOM_PORT
		o.JetStream, o.StoreDir, o.SyncAlways = true, filepath.Join(dir, o.ServerName), syncAlways
		o.JetStreamMaxMemory, o.JetStreamMaxStore = 64<<20, 1<<40
		o.NoSigs, o.NoLog = true, true
		o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i]}
		o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
		s, err := server.NewServer(o)
		if err != nil {
			tb.Fatal(err)
		}
		s.Start()
		tb.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		nodes = append(nodes, s)
	}
	for _, s := range nodes {
		if !s.ReadyForConnections(patience) {
			tb.Fatal("a node did not start")
		}
		urls = append(urls, s.ClientURL())
	}
	return nodes, strings.Join(urls, ",")
}
