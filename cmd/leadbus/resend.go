package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/app"
	"leadbus/internal/engine/bus"
	"leadbus/internal/event"
	"leadbus/internal/role/matcher"
	"leadbus/internal/role/notifier/compose"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

type resendCmd struct {
	app.Settings
	Lead    string `arg:"" help:"Lead id."`
	To      string `required:"" enum:"provider,customer,owner,next" help:"Whom to tell once more: provider, customer or owner; next gives the lead to the next provider who can take it."`
	Channel string `enum:",${channels}" default:"" help:"Only on this channel; default: each that was used before."`
	Market  string `help:"The lead's market; default: look in all of them." placeholder:"ID"`
}

// Run sends once more what the recipient was sent last, under ledger keys of
// its own: the one way to send something twice. Or it gives the lead to the next
// provider.
func (c *resendCmd) Run(ctx context.Context) error {
	if !subjects.ValidToken(c.Lead) {
		return fmt.Errorf("%q is no lead id", c.Lead)
	}
	if c.To == "next" && c.Channel != "" {
		return errors.New("the next provider is told on every channel: leave --channel out")
	}
	catalog, markets, err := configured(c.Config, c.Market)
	if err != nil {
		return err
	}
	return ofLead(ctx, c.Settings, markets, c.Lead, func(ctx context.Context, bus *bus.Conn, market string, events []event.Event) error {
		if c.To == "next" {
			return c.next(ctx, bus, catalog, market, events)
		}
		return c.resend(ctx, bus, events)
	})
}

func (c *resendCmd) next(ctx context.Context, bus *bus.Conn, catalog *site.Catalog, market string, events []event.Event) error {
	roster, err := bus.Bucket(ctx, subjects.BucketRoster)
	if err != nil {
		return err
	}
	load, err := bus.Bucket(ctx, subjects.BucketLoad)
	if err != nil {
		return err
	}
	p, err := matcher.Reassign(ctx, matcher.Options{Catalog: catalog, Market: market, Stream: bus, Roster: roster, Load: load, Now: time.Now, Log: zerolog.Nop()}, events)
	if err != nil {
		return err
	}
	fmt.Printf("given to %s (%s); 'leadbus trace %s' shows how it goes\n", p.Name, p.ID, c.Lead)
	return nil
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
