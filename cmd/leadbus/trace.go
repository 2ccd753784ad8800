package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"leadbus/internal/app"
	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/store"
	"leadbus/internal/event"
	"leadbus/internal/roster"
	"leadbus/internal/subjects"
)

type traceCmd struct {
	app.Settings
	Lead   string `arg:"" help:"Lead id, as 'call' and the owner's mails print it, or the reference a person was given, such as 482913."`
	Market string `help:"The lead's market; default: look in all of them." placeholder:"ID"`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// traced is what is known of a lead: the stream says what happened, Postgres
// what came of it.
type traced struct {
	Events []event.Event `json:"events"`
	Rows   *store.Lead   `json:"rows"` // nil while it is not in Postgres
}

func (c *traceCmd) Run(ctx context.Context) error {
	if joined := strings.ReplaceAll(c.Lead, " ", ""); reference(joined) == c.Lead {
		c.Lead = joined
	}
	if !subjects.ValidToken(c.Lead) {
		return fmt.Errorf("%q is no lead id, and no reference of six digits", c.Lead)
	}
	_, markets, err := configured(c.Config, c.Market)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	var out traced
	db, err := app.OpenDatabase(ctx, c.Settings)
	if err == nil {
		defer db.Close()
		l, rerr := db.Lead(ctx, c.Market, reference(c.Lead))
		if err = rerr; err == nil {
			out.Rows, c.Lead = &l, l.ID
		}
	}
	if err != nil && !errors.Is(err, event.ErrNotFound) {
		fmt.Fprintln(os.Stderr, "no rows:", err)
	}
	if err := ofLead(ctx, c.Settings, markets, c.Lead, func(_ context.Context, _ *bus.Conn, _ string, events []event.Event) error {
		out.Events = events
		return nil
	}); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(out)
	}
	c.print(out)
	return nil
}

// reference writes six digits as a reference is kept; a lead id stays what it
// is.
func reference(s string) string {
	if _, err := strconv.ParseUint(s, 10, 32); err == nil && len(s) == 6 {
		return s[:3] + " " + s[3:]
	}
	return s
}

// ofLead runs f with the lead's events and every right in the market that has
// them.
func ofLead(ctx context.Context, s app.Settings, markets []string, id string, f func(context.Context, *bus.Conn, string, []event.Event) error) error {
	found := false
	for _, market := range markets {
		err := operate(ctx, s, market, func(ctx context.Context, bus *bus.Conn) error {
			events, err := bus.Events(ctx, subjects.Lead{Market: market, Lead: id})
			if found = len(events) > 0; err != nil || !found {
				return err
			}
			return f(ctx, bus, market, events)
		})
		if err != nil || found {
			return err
		}
	}
	return fmt.Errorf("no lead %s in the stream of any market", id)
}

func (c *traceCmd) print(t traced) {
	first := t.Events[0]
	fmt.Printf("lead %s of %s (market %s)\n\n", c.Lead, first.Lead.Site, first.Lead.Market)
	p := &progress{start: first.At}
	var trace roster.Trace
	for _, e := range t.Events {
		p.print(os.Stdout, e.At, p.take(e))
		if d, ok := e.Body.(*event.Decided); ok {
			trace = d.Trace
		}
	}
	if len(trace) > 0 {
		fmt.Println("\nproviders, in the order they are asked:")
		for _, v := range trace {
			mark := " "
			if v.In {
				mark = "+"
			}
			fmt.Printf("  %s %-28s %s\n", mark, v.Name, v.Reason)
		}
	}
	if t.Rows == nil {
		fmt.Println("\nnot in Postgres yet")
		return
	}
	fmt.Printf("\nin Postgres: %s\n", t.Rows.Status)
	for _, m := range slices.SortedFunc(slices.Values(t.Rows.Messages), func(a, b store.Message) int { return a.QueuedAt.Compare(b.QueuedAt) }) {
		fmt.Printf("  %-9s %-9s %-18s %-10s %s\n", m.Recipient, m.Channel, m.Purpose, m.State, m.VendorID)
	}
}
