package app

import (
	"context"
	"errors"

	"leadbus/internal/engine/process"
)

// SandboxSettings are the flags of the sandbox on its own. The credentials are
// those its callers use; EdgeURL stands in for every callback address that is not
// on this machine.
type SandboxSettings struct {
	Settings
	VendorSettings
	Addr    string `help:"Address of the vendors' APIs and of their page." env:"LEADBUS_SANDBOX_ADDR" default:"127.0.0.1:8082" placeholder:"HOST:PORT"`
	Keep    int    `help:"Messages remembered." env:"LEADBUS_SANDBOX_KEEP" default:"50000" placeholder:"N"`
	EdgeURL string `help:"Where the edge takes callbacks." env:"LEADBUS_EDGE_URL" default:"http://127.0.0.1:8080" placeholder:"URL"`
}

// Sandbox runs the sandbox vendors alone and answers the address of their page.
func Sandbox(p *process.Process, s SandboxSettings) (string, error) {
	if ok, err := s.complete(); err != nil {
		return "", err
	} else if !ok {
		return "", errors.New("no vendor credentials: the sandbox checks those of its callers; set LEADBUS_TWILIO_… and LEADBUS_MAILGUN_… as for them")
	}
	j, err := alone(p, s.Settings, nil)
	if err != nil {
		return "", err
	}
	sb, err := j.startSandbox(s.VendorSettings, s.Addr, s.EdgeURL, s.Keep)
	if err != nil {
		return "", err
	}
	p.OnStop("sandbox", func(context.Context) error { sb.Close(); return nil })
	return sb.URL(), nil
}
