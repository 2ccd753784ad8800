package app

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"leadbus/internal/engine/process"
	"leadbus/internal/site"
)

// Every tool call of a site without a secret is refused: readiness names the
// site, and the other sites stay in service. An edge none of whose sites can
// take a call is not ready; it goes on with vendors' reports.
func TestASiteWithoutASecretIsNamed(t *testing.T) {
	catalog, err := site.Load(configFiles)
	if err != nil {
		t.Fatal(err)
	}
	for secrets, want := range map[string]struct {
		status     int
		says, mute string
	}{
		"all":  {status: http.StatusOK, mute: "secret"},
		"some": {http.StatusOK, "site " + tennis + " has no secret", "site " + plumbers},
		"none": {http.StatusServiceUnavailable, "no site has a secret", "\nready"},
	} {
		t.Run(secrets, func(t *testing.T) {
			s := EdgeSettings{Settings: Settings{Config: configFiles, Data: t.TempDir(), NATSURL: "nats://127.0.0.1:1"}, Addr: "127.0.0.1:0", PrivateAddr: "127.0.0.1:0"}
			s.HostSettings = HostSettings{Host: "test", HostOverride: "a test runs anywhere"}
			s.SpoolBytes = 1 << 20
			s.VendorSettings = VendorSettings{
				PublicURL: "https://leads.example", TwilioAccountSID: "AC1", TwilioAuthToken: "t", MailgunAPIKey: "k", MailgunSigningKey: "s",
				LinkSecret: Secret(strings.Repeat("s", 32)), ElevenLabsWebhookSecret: "w",
			}
			if _, err := NATSConfig(s.Settings, catalog); err != nil { // makes the edge's key
				t.Fatal(err)
			}
			for domain := range catalog.Sites {
				file := s.siteSecretFile(domain)
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				text := "secret"
				if secrets == "none" || secrets == "some" && domain == tennis {
					text = "\n"
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			read, logged := io.Pipe()
			private := make(chan string, 1)
			go func() {
				for d := json.NewDecoder(read); ; {
					var line struct{ Private string }
					if d.Decode(&line) != nil {
						return
					}
					if line.Private != "" {
						private <- line.Private
					}
				}
			}()
			p := process.New(zerolog.New(logged))
			defer func() {
				if err := p.Stop(); err != nil {
					t.Error(err)
				}
				_ = logged.Close()
			}()
			if err := Edge(t.Context(), p, s); err != nil {
				t.Fatal(err)
			}
			res, err := http.Get(<-private + "/readyz")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			said, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != want.status || !strings.Contains(string(said), want.says) || strings.Contains("\n"+string(said), want.mute) {
				t.Errorf("%s\n%s", res.Status, said)
			}
			if secrets == "some" && !strings.Contains(string(said), s.siteSecretFile(tennis)) {
				t.Errorf("it does not say where the secret belongs:\n%s", said)
			}
		})
	}
}
