package main

import (
	"context"
	"fmt"
	"time"

	"leadbus/internal/app"
	"leadbus/internal/engine/bus"
	"leadbus/internal/event"
	"leadbus/internal/role/notifier/compose"
	"leadbus/internal/subjects"
)

type resendCmd struct {
	app.Settings
	Lead    string `arg:"" help:"Lead id."`
	To      string `required:"" enum:"provider,customer,owner" help:"Whom to tell once more: ${enum}."`
	Channel string `enum:",${channels}" default:"" help:"Only on this channel; default: each that was used before."`
	Market  string `help:"The lead's market; default: look in all of them." placeholder:"ID"`
}

// Run sends once more what the recipient was sent last, under ledger keys of
// its own: the one way to send something twice.
func (c *resendCmd) Run(ctx context.Context) error {
	if !subjects.ValidToken(c.Lead) {
		return fmt.Errorf("%q is no lead id", c.Lead)
	}
	_, markets, err := configured(c.Config, c.Market)
	if err != nil {
		return err
	}
	return ofLead(ctx, c.Settings, markets, c.Lead, func(ctx context.Context, bus *bus.Conn, _ string, events []event.Event) error {
		return c.resend(ctx, bus, events)
	})
}

func (c *resendCmd) resend(ctx context.Context, bus *bus.Conn, events []event.Event) error {
	again, err := compose.Resend(events, c.To, c.Channel, time.Now())
	if err != nil {
		return err
	}
	for _, e := range again {
		if err := bus.Publish(ctx, e); err != nil {
			return err
		}
		m := e.Body.(*event.Queued).Message
		fmt.Printf("queued: %s to %s (%s); 'leadbus trace %s' shows how it goes\n", m.Channel, m.Recipient, m.Purpose, m.Lead)
	}
	return nil
}
