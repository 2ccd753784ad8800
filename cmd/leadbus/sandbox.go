package main

import (
	"context"
	"fmt"
	"os"

	"leadbus/internal/app"
	"leadbus/internal/engine/process"
)

type sandboxCmd struct{ app.SandboxSettings }

func (c *sandboxCmd) Run() error {
	log := process.Logger(os.Stderr, c.Level())
	return process.Main(process.New(log), func(_ context.Context, p *process.Process) error {
		url, err := app.Sandbox(p, c.SandboxSettings)
		if err != nil {
			return err
		}
		fmt.Printf("sandbox vendors: %s\nroles reach them with LEADBUS_TWILIO_URL=%s LEADBUS_MAILGUN_URL=%s/v3\n", url, url, url)
		return nil
	})
}
