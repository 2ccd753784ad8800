package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"leadbus/internal/app"
	"leadbus/internal/engine/bus"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

type resendCmd struct {
	app.Settings
	Lead    string `arg:"" help:"Lead id."`
	To      string `required:"" enum:"provider,customer,owner,next" help:"Whom to tell once more: provider, customer or owner; next gives the lead to the next provider who can take it."`
	Channel string `enum:",whatsapp,sms,email" default:"" help:"Only on this channel; default: each that was used before."`
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
	catalog, err := site.Load(c.Config)
	if err != nil {
		return err
	}
	for _, market := range slices.Sorted(maps.Keys(catalog.Markets)) {
		if c.Market != "" && c.Market != market {
			continue
		}
		found := false
		if err := operate(ctx, c.Settings, market, func(ctx context.Context, bus *bus.Conn) error {
			events, err := bus.Events(ctx, subjects.Lead{Market: market, Lead: c.Lead})
			if err != nil || len(events) == 0 {
				return err
			}
			found = true
			if c.To == "next" {
				return c.next(ctx, bus, catalog.Markets[market], events)
			}
			return c.resend(ctx, bus, events)
		}); err != nil || found {
			return err
		}
	}
	return fmt.Errorf("no lead %s in the stream of any market", c.Lead)
}

func (c *resendCmd) next(ctx context.Context, bus *bus.Conn, market *site.Market, events []event.Event) error {
	p, err := app.HandOn(ctx, bus, market, events, time.Now())
	if err != nil {
		return err
	}
	fmt.Printf("given to %s (%s); 'leadbus trace %s' shows how it goes\n", p.Name, p.ID, c.Lead)
	return nil
}

func (c *resendCmd) resend(ctx context.Context, bus *bus.Conn, events []event.Event) error {
	const again = "-again-"
	newest, repeats := map[string]event.Event{}, map[string]int{}
	for _, e := range events {
		if e.Lead.Event == subjects.Reassigned && c.To == lead.ToProvider {
			clear(newest) // another provider has it now
		}
		q, ok := e.Body.(*event.Queued)
		if !ok || q.Message.Recipient != c.To || c.Channel != "" && c.Channel != q.Message.Channel || strings.HasPrefix(q.Message.Purpose, "alarm-") {
			continue
		}
		purpose, _, repeated := strings.Cut(q.Message.Purpose, again)
		if repeated {
			repeats[purpose+q.Message.Channel]++
		}
		newest[q.Message.Channel] = e
	}
	if len(newest) == 0 {
		return fmt.Errorf("nothing was ever queued for the %s of lead %s; 'leadbus trace %s' shows what was", c.To, c.Lead, c.Lead)
	}
	for _, channel := range slices.Sorted(maps.Keys(newest)) {
		e := newest[channel]
		m := e.Body.(*event.Queued).Message
		purpose, _, _ := strings.Cut(m.Purpose, again)
		m.Purpose = fmt.Sprint(purpose, again, repeats[purpose+channel]+1)
		m.ID, m.Of = lead.MessageID(m.Lead, m.Purpose, m.Recipient, m.Channel, m.Offer), len(newest)
		e.ID, e.At, e.Body = subjects.MessageQueued+"-"+m.ID, time.Now(), &event.Queued{Message: m}
		if err := bus.Publish(ctx, e); err != nil {
			return err
		}
		fmt.Printf("queued: %s to %s (%s); 'leadbus trace %s' shows how it goes\n", m.Channel, m.Recipient, m.Purpose, m.Lead)
	}
	return nil
}
