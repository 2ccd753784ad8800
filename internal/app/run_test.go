package app

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/engine/localpg/pgtest"
	"leadbus/internal/engine/process"
)

// A start that cannot be says the cause, where it lies, and what to do.
func TestAStartThatCannotBeSaysWhy(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	port := taken.Addr().String()
	write := func(t *testing.T, path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		spoil func(t *testing.T, s *RunSettings)
		says  []string
	}{
		"the edge's port is taken":      {func(_ *testing.T, s *RunSettings) { s.Addr = port }, []string{port, "in use", "LEADBUS_ADDR"}},
		"the sandbox's port is taken":   {func(_ *testing.T, s *RunSettings) { s.SandboxAddr = port }, []string{port, "in use", "LEADBUS_SANDBOX_ADDR"}},
		"the broker's port is taken":    {func(_ *testing.T, s *RunSettings) { s.NATSAddr = port }, []string{port, "in use", "LEADBUS_NATS_ADDR"}},
		"half of the credentials":       {func(_ *testing.T, s *RunSettings) { s.TwilioAccountSID = "AC1" }, []string{"LEADBUS_TWILIO_AUTH_TOKEN", "LEADBUS_MAILGUN_API_KEY", "none of them"}},
		"no configuration":              {func(_ *testing.T, s *RunSettings) { s.Config = "/nowhere" }, []string{"/nowhere", "LEADBUS_CONFIG"}},
		"the database's URL is garbled": {func(_ *testing.T, s *RunSettings) { s.DatabaseURL = "postgres://u:pa@ss@localhost/x" }, []string{"LEADBUS_DATABASE_URL", "%40"}},
		"a faulty configuration": {func(t *testing.T, s *RunSettings) {
			s.Config = t.TempDir()
			if err := os.CopyFS(s.Config, os.DirFS(configFiles)); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(s.Config, "sites", plumbers+".yaml"), "colour: red\n")
		}, []string{plumbers + ".yaml:1:", "colour", "leadbus config check"}},
		"a data directory that cannot be": {func(t *testing.T, s *RunSettings) {
			file := filepath.Join(t.TempDir(), "file")
			write(t, file, "")
			s.Data = filepath.Join(file, "data")
		}, []string{"not a directory", "LEADBUS_DATA"}},
		"a data directory in use": {func(t *testing.T, s *RunSettings) {
			unlock, err := lock(s.Data)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unlock() })
		}, []string{"already runs", strconv.Itoa(os.Getpid()), "stop it", "LEADBUS_DATA"}},
		"no Postgres there": {func(t *testing.T, s *RunSettings) {
			s.DatabaseURL = ""
			t.Setenv("LEADBUS_PG_BIN", "/nowhere")
		}, []string{"LEADBUS_PG_BIN=/nowhere", "initdb", "name another"}},
		"data of another Postgres": {func(t *testing.T, s *RunSettings) {
			s.DatabaseURL, s.Data = "", pgtest.Dir(t)
			write(t, filepath.Join(s.Data, "postgres", "pg99", "PG_VERSION"), "99\n")
		}, []string{"Postgres 99", "install 99", "/postgres away"}},
		"a broker's store that is none": {func(t *testing.T, s *RunSettings) {
			write(t, filepath.Join(s.Data, "jetstream"), "")
		}, []string{"jetstream", "not a directory", "backup"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := RunSettings{
				Settings: Settings{Config: configFiles, Data: t.TempDir(), DatabaseURL: "postgres://u:pass@127.0.0.1:1/x"},
				Addr:     "127.0.0.1:0", PrivateAddr: "127.0.0.1:0", SandboxAddr: "127.0.0.1:0", NATSAddr: "127.0.0.1:0",
			}
			c.spoil(t, &s)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			p := process.New(zerolog.Nop())
			_, err := Run(ctx, p, s)
			if serr := p.Stop(); serr != nil {
				t.Error(serr)
			}
			if err == nil || ctx.Err() != nil {
				t.Fatal(err)
			}
			for _, says := range c.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%q lacks %q", err, says)
				}
			}
			if strings.Contains(err.Error(), "ss@") {
				t.Errorf("it tells a part of the password: %v", err)
			}
		})
	}
}
