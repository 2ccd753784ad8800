package test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"leadbus/internal/app"
	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/bus/bustest"
	"leadbus/internal/engine/process"
	"leadbus/internal/subjects"
)

// BenchmarkEdgeOnThreeNodes is BenchmarkEdge's accept against a cluster of
// three nodes that each sync every message, three copies of every stream.
func BenchmarkEdgeOnThreeNodes(b *testing.B) {
	cfg := settings(b)
	cfg.NATSURL = threeNodes(b, cfg.Data)
	if err := app.ProvisionAll(b.Context(), process.New(zerolog.Nop()), app.ProvisionSettings{Settings: cfg.Settings, Replicas: 3}); err != nil {
		b.Fatal(err)
	}
	p := process.New(zerolog.Nop())
	b.Cleanup(func() {
		if err := p.Stop(); err != nil {
			b.Error(err)
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	one := app.EdgeSettings{Settings: cfg.Settings, HostSettings: anywhere, Addr: addr, PrivateAddr: "127.0.0.1:0"}
	one.SiteSecrets = b.TempDir()
	if err := os.WriteFile(filepath.Join(one.SiteSecrets, site1), []byte("bench"), 0o600); err != nil {
		b.Fatal(err)
	}
	one.VendorSettings = app.VendorSettings{
		PublicURL: "https://leads.example", TwilioAccountSID: "AC1", TwilioAuthToken: "t", MailgunAPIKey: "k", MailgunSigningKey: "s",
		LinkSecret: app.Secret(strings.Repeat("s", 32)),
	}
	if err := app.Edge(b.Context(), p, one); err != nil {
		b.Fatal(err)
	}
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 256
	s := &system{Started: &app.Started{Instance: app.Instance{EdgeURL: "http://" + addr, NATSURL: cfg.NATSURL}}, settings: app.RunSettings{Settings: one.Settings}}
	var accepted atomic.Uint64
	for _, callers := range []int{1, 32, 128} {
		b.Run(fmt.Sprintf("accept/callers=%d", callers), func(b *testing.B) {
			report(b, parallel(b, callers, func() { s.accept(b, site1, call(nil)); accepted.Add(1) }))
		})
	}
	leads, err := s.operator(b, "ch").Stream(b.Context(), subjects.StreamLeads)
	if err != nil {
		b.Fatal(err)
	}
	if stored := leads.CachedInfo().State.Msgs; stored != accepted.Load() {
		b.Errorf("the cluster holds %d leads of %d: the others went through the spool", stored, accepted.Load())
	}
}

// threeNodes start in this process and answer the URL of all.
func threeNodes(b *testing.B, data string) string {
	b.Helper()
	markets := []string{"ch", "fr", "id"}
	keys, err := bus.EnsureKeys(filepath.Join(data, "nats"), bus.Users(markets))
	if err != nil {
		b.Fatal(err)
	}
	_, url := bustest.Nodes(b, data, bus.ConfigText(markets, keys), true)
	return url
}
