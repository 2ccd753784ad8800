package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"leadbus/internal/app"
	"leadbus/internal/engine/bus"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

type leadCmd struct {
	app.Settings
	Order    string `arg:"" enum:"${orders}" help:"What to do: ${enum}."`
	Lead     string `arg:"" help:"Lead id."`
	Provider string `help:"Of assign: the provider's id." placeholder:"ID"`
	Reason   string `help:"Why, for the record."`
	Value    string `help:"Of won: what the job brought, such as '450 CHF'."`
	Of       string `help:"Of duplicate: the other lead." placeholder:"LEAD"`
	Market   string `help:"The lead's market; default: look in all of them." placeholder:"ID"`
}

// Run orders what the owner could order by a link. The matcher carries it out.
func (c *leadCmd) Run(ctx context.Context) error {
	switch {
	case !subjects.ValidToken(c.Lead):
		return fmt.Errorf("%q is no lead id", c.Lead)
	case (c.Order == event.Assign) != (c.Provider != ""):
		return errors.New("assign names a provider with --provider, and nothing else does; 'leadbus roster list' shows them")
	case (c.Order == event.Duplicate) != (c.Of != ""):
		return errors.New("duplicate names the other lead with --of, and nothing else does")
	}
	_, markets, err := configured(c.Config, c.Market)
	if err != nil {
		return err
	}
	return ofLead(ctx, c.Settings, markets, c.Lead, c.order)
}

func (c *leadCmd) order(ctx context.Context, bus *bus.Conn, market string, events []event.Event) error {
	if c.Provider != "" {
		roster, err := bus.Bucket(ctx, subjects.BucketRoster)
		if err != nil {
			return err
		}
		if _, err = roster.Get(ctx, c.Provider); errors.Is(err, event.ErrNotFound) {
			return fmt.Errorf("market %s has no provider %q; 'leadbus roster list' shows them", market, c.Provider)
		} else if err != nil {
			return err
		}
	}
	before := story.Of(events)
	body := &event.Ordered{Order: c.Order, Provider: c.Provider, Reason: c.Reason, Value: c.Value, Of: c.Of}
	e, err := event.NewOrdered(events[0].Lead, *body, before.Turn, time.Now())
	if err != nil {
		return err
	}
	if err := before.Refuses(e); err != nil {
		return err
	}
	if err := bus.Publish(ctx, e); err != nil {
		return err
	}
	fmt.Printf("ordered: %s", c.Order)
	ctx, cancel := context.WithTimeout(ctx, carriedOut)
	defer cancel()
	for ctx.Err() == nil {
		if events, err = bus.Events(ctx, subjects.Lead{Market: e.Lead.Market, Site: e.Lead.Site, Lead: c.Lead}); err != nil {
			return err
		}
		if r := story.Of(events); r.Turn != before.Turn && r.Wants == nil {
			fmt.Printf("; the lead is %s now", r.Lead.Status)
			if r.Lead.Status == string(lead.Matched) || r.Lead.Status == string(lead.Notified) {
				fmt.Printf(", with %s", r.Lead.Provider)
			}
			if r.Lead.Reason != "" {
				fmt.Printf(" (%s)", r.Lead.Reason)
			}
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	fmt.Printf("; 'leadbus trace %s' shows how it goes\n", c.Lead)
	if ctx.Err() != nil {
		return fmt.Errorf("the matcher has not carried it out within %s; is it running? see leadbus dlq list", carriedOut)
	}
	return nil
}

// carriedOut is how long an order may take; one that takes longer is not lost.
const carriedOut = 15 * time.Second
