package app

import (
	"context"
	"errors"
	"fmt"

	"leadbus/internal/engine/process"
	"leadbus/internal/subjects"
)

// RoleSettings are the flags of a role that runs on its own.
type RoleSettings struct {
	Settings
	HostSettings
	Market      string `help:"Market this process works for." env:"LEADBUS_MARKET" required:"" placeholder:"ID"`
	PrivateAddr string `help:"Health, metrics and profiles; port 0 picks a free one." env:"LEADBUS_PRIVATE_ADDR" default:"127.0.0.1:0" placeholder:"HOST:PORT"`
	Replay      bool   `help:"Work off the durable ROLE-replay, which 'nats consumer add' makes, and end when it is empty (docs/replay.md)."`
}

// EdgeSettings are the flags of an edge that runs on its own; it serves every
// market unless some are named.
type EdgeSettings struct {
	Settings
	HostSettings
	VendorSettings
	SpoolSettings
	Addr        string   `help:"Public HTTP address." env:"LEADBUS_ADDR" default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	PrivateAddr string   `help:"Health, metrics and profiles; port 0 picks a free one." env:"LEADBUS_PRIVATE_ADDR" default:"127.0.0.1:8081" placeholder:"HOST:PORT"`
	Market      []string `help:"Serve only these markets." env:"LEADBUS_MARKETS" placeholder:"ID"`
}

// NotifierSettings are the flags of a notifier that runs on its own.
type NotifierSettings struct {
	RoleSettings
	VendorSettings
}

// ScannerSettings are the flags of a scanner that runs on its own.
type ScannerSettings struct {
	RoleSettings
	VendorSettings
	WatchSettings
}

// Edge runs the edge alone against an external broker.
func Edge(ctx context.Context, p *process.Process, s EdgeSettings) error {
	if err := errors.Join(s.production(), s.links()); err != nil {
		return err
	}
	if err := fit(ctx, p, s.HostSettings, true); err != nil {
		return err
	}
	j, err := alone(p, s.Settings, s.Market)
	if err != nil {
		return err
	}
	j.vendors(s.VendorSettings)
	l, err := p.Bind("edge", "LEADBUS_ADDR", s.Addr)
	if err != nil {
		return err
	}
	private, err := j.private(s.PrivateAddr)
	if err != nil {
		return err
	}
	if err := j.edge(ctx, l, s.SpoolSettings); err != nil {
		return err
	}
	j.watchSleep()
	p.Log.Info().Str("addr", l.Addr().String()).Str("private", private).Msg("edge answers")
	return nil
}

// Recorder runs one market's recorder alone.
func Recorder(ctx context.Context, p *process.Process, s RoleSettings) error {
	return role(ctx, p, subjects.Recorder, s, func(j *wiring) error {
		url, err := s.databaseURL()
		if err != nil {
			return err
		}
		return j.database(ctx, url)
	})
}

// Matcher runs one market's matcher alone.
func Matcher(ctx context.Context, p *process.Process, s RoleSettings) error {
	return role(ctx, p, subjects.Matcher, s, func(*wiring) error { return nil })
}

// Notifier runs one market's notifier alone.
func Notifier(ctx context.Context, p *process.Process, s NotifierSettings) error {
	if err := errors.Join(s.production(), s.links()); err != nil {
		return err
	}
	return role(ctx, p, subjects.Notifier, s.RoleSettings, func(j *wiring) error {
		j.vendors(s.VendorSettings)
		return nil
	})
}

// Scanner runs one market's scanner alone.
func Scanner(ctx context.Context, p *process.Process, s ScannerSettings) error {
	if err := s.production(); err != nil {
		return err
	}
	return role(ctx, p, subjects.Scanner, s.RoleSettings, func(j *wiring) error {
		j.vendors(s.VendorSettings)
		j.watch = s.WatchSettings
		return nil
	})
}

// role runs one market's role alone, after what it needs is prepared.
func role(ctx context.Context, p *process.Process, name string, s RoleSettings, prepare func(*wiring) error) error {
	if err := fit(ctx, p, s.HostSettings, true); err != nil {
		return err
	}
	j, err := alone(p, s.Settings, []string{s.Market})
	if err != nil {
		return err
	}
	private, err := j.private(s.PrivateAddr)
	if err != nil {
		return err
	}
	j.replay = s.Replay
	if err := prepare(j); err != nil {
		return err
	}
	if err := j.start(ctx, subjects.RoleNamed(name), s.Market); err != nil {
		return err
	}
	j.watchSleep()
	p.Log.Info().Str("market", s.Market).Str("private", private).Msg("at work")
	return nil
}

func alone(p *process.Process, s Settings, markets []string) (*wiring, error) {
	c, err := load(s.Config, markets)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return &wiring{Process: p, settings: s, catalog: c}, nil
}
