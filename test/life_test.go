package test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"leadbus/internal/app"
	"leadbus/internal/engine/process"
	"leadbus/internal/engine/store"
	"leadbus/internal/lead"
)

// The whole program starts and stops, with work under way, and is stopped at
// any moment of its start: nothing runs on, and the next start works.
func TestStartsAndStopsLeaveNothing(t *testing.T) {
	cfg := settings(t)
	http.DefaultClient.CloseIdleConnections()
	before := goleak.IgnoreCurrent()
	for _, patience := range []time.Duration{time.Minute, 10 * time.Millisecond, 60 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Minute} {
		p := process.New(zerolog.Nop())
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		st, err := app.Run(ctx, p, cfg)
		switch {
		case err == nil:
			s := &system{Started: st, settings: cfg, process: p}
			for range 20 {
				s.accept(t, site1, call(nil))
			}
		case ctx.Err() == nil:
			t.Errorf("start: %v", err)
		}
		if err := p.Stop(); err != nil {
			t.Errorf("stop after %s: %v", patience, err)
		}
		cancel()
	}
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

// A start that fails half-way leaves nothing behind either.
func TestAStartThatFailsLeavesNothing(t *testing.T) {
	cfg := settings(t)
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cfg.Data, "spool"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := goleak.IgnoreCurrent()
	p := process.New(zerolog.Nop())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := app.Run(ctx, p, cfg); err == nil {
		t.Error("started without a spool")
	}
	if err := p.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	goleak.VerifyNone(t, before)
}

// One market alone starts with its own part of the example roster.
func TestOneMarketAlone(t *testing.T) {
	cfg := settings(t)
	cfg.Market = []string{"ch"}
	s := start(t, cfg)
	id := s.accept(t, site1, call(nil))
	s.row(t, "ch", id, func(l store.Lead) bool { return l.Status == string(lead.Notified) })
}
