package test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

// composeFile loads docker-compose.yml as the engine would, with every
// configured market; the files that `make deploy` makes are stood in for.
func composeFile(t *testing.T) (*types.Project, *site.Catalog) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"docker-compose.yml", "deploy/nats-server.conf"} {
		data, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"host": "LEADBUS_HOST=geneva-1\n", "production": ""} {
		if err := os.WriteFile(filepath.Join(dir, "deploy", name+".env"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o, err := cli.NewProjectOptions([]string{filepath.Join(dir, "docker-compose.yml")}, cli.WithName("leadbus"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := site.Load("../config")
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}

func TestComposeRunsEveryMarketApart(t *testing.T) {
	p, c := composeFile(t)
	want := []string{"edge", "nats", "postgres", "provision"}
	for market := range c.Markets {
		for _, role := range subjects.RoleNames() {
			name := role + "-" + market
			want = append(want, name)
			s, ok := p.Services[name]
			if !ok {
				t.Errorf("market %s has no %s", market, role)
				continue
			}
			if s.Entrypoint[0] != "/"+role || !slices.Equal(s.Command, []string{"--market", market}) {
				t.Errorf("%s runs %v %v", name, s.Entrypoint, s.Command)
			}
			if len(s.Secrets) != 1 || s.Secrets[0].Source != market+"-"+role+".nk" {
				t.Errorf("%s holds the keys %v", name, s.Secrets)
			}
			for dependency := range s.DependsOn {
				if dependency != "provision" {
					t.Errorf("%s cannot start without %s", name, dependency)
				}
			}
			if host := s.Environment["LEADBUS_HOST"]; host == nil || *host != "geneva-1" {
				t.Errorf("%s does not hear where it runs", name)
			}
			if s.HealthCheck == nil || s.HealthCheck.Disable || s.Restart != "unless-stopped" {
				t.Errorf("%s is not watched", name)
			}
			if len(s.Ports) != 0 || s.ContainerName != "" {
				t.Errorf("%s cannot be scaled: it has ports or a fixed name", name)
			}
		}
	}
	slices.Sort(want)
	if got := p.ServiceNames(); !slices.Equal(got, want) {
		t.Errorf("services %v, want %v", got, want)
	}
}

func TestComposeKeepsDataAndOpensOnlyTheEdge(t *testing.T) {
	p, _ := composeFile(t)
	for service, target := range map[string]string{"edge": "/data", "nats": "/data", "postgres": "/var/lib/postgresql/data"} {
		if !slices.ContainsFunc(p.Services[service].Volumes, func(v types.ServiceVolumeConfig) bool {
			return v.Type == types.VolumeTypeVolume && v.Target == target
		}) {
			t.Errorf("%s keeps nothing in a volume", service)
		}
	}
	for name, s := range p.Services {
		for _, port := range s.Ports {
			if name != "edge" && !strings.HasPrefix(port.HostIP, "127.") {
				t.Errorf("%s is open to the world on %s", name, port.Published)
			}
		}
		if s.HealthCheck == nil {
			t.Errorf("%s has no health check", name)
		}
		recorder := strings.HasPrefix(name, "recorder-") || name == "provision" || name == "postgres"
		socket := slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Source == "postgres-socket" })
		if socket != recorder {
			t.Errorf("%s reaches Postgres: %t", name, socket)
		}
	}
	if p.Services["edge"].Ports[0].Published != "8080" {
		t.Errorf("edge ports %v", p.Services["edge"].Ports)
	}
}
