package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/app"
	"leadbus/internal/engine/bus"
	"leadbus/internal/event"
	"leadbus/internal/site"
)

type dlqCmd struct {
	List  dlqListCmd  `cmd:"" help:"List dead letters: events that roles gave up, with the reason."`
	Show  dlqShowCmd  `cmd:"" help:"Print dead letters with their events."`
	Retry dlqRetryCmd `cmd:"" help:"Put the events back into the stream, for every role; those that had handled them do nothing again."`
	Drop  dlqDropCmd  `cmd:"" help:"Forget dead letters; their events stay in the stream."`
}

type dlqListCmd struct {
	app.Settings
	Market string `help:"Only this market." placeholder:"ID"`
	JSON   bool   `name:"json" help:"Print JSON."`
}

func (c *dlqListCmd) Run(ctx context.Context) error {
	_, markets, err := configured(c.Config, c.Market)
	if err != nil {
		return err
	}
	all := []event.Dead{}
	for _, market := range markets {
		if err := operate(ctx, c.Settings, market, func(ctx context.Context, bus *bus.Conn) error {
			letters, err := bus.DeadLetters(ctx)
			all = append(all, letters...)
			return err
		}); err != nil {
			return err
		}
	}
	if c.JSON {
		return printJSON(all)
	}
	if len(all) == 0 {
		fmt.Println("there are no dead letters")
		return nil
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(out, "MARKET\tID\tSINCE\tROLE\tEVENT\tLEAD\tREASON")
	for _, d := range all {
		_, _ = fmt.Fprintf(out, "%s\t%d\t%s\t%s\t%s\t%s\t%s\n", d.Market, d.ID, d.At.Format(time.DateTime), d.Role, cmp.Or(d.Kind, "unreadable"), cmp.Or(d.Lead, "-"), d.Reason)
	}
	return out.Flush()
}

type dlqPick struct {
	app.Settings
	Market string   `required:"" help:"Market of the dead letters." placeholder:"ID"`
	IDs    []uint64 `arg:"" optional:"" name:"id" help:"Ids, as 'dlq list' prints them."`
	All    bool     `help:"Every dead letter of the market."`
}

// each runs f on the chosen letters and says what it did.
func (c *dlqPick) each(ctx context.Context, did string, f func(context.Context, *bus.Conn, event.Dead) error) error {
	if len(c.IDs) == 0 && !c.All {
		return fmt.Errorf("name the ids, or --all")
	}
	return operate(ctx, c.Settings, c.Market, func(ctx context.Context, bus *bus.Conn) error {
		letters, err := bus.DeadLetters(ctx)
		if err != nil {
			return err
		}
		for _, id := range c.IDs {
			if !slices.ContainsFunc(letters, func(d event.Dead) bool { return d.ID == id }) {
				return fmt.Errorf("no dead letter %d in market %s; nothing was done", id, c.Market)
			}
		}
		n := 0
		for _, d := range letters {
			if !c.All && !slices.Contains(c.IDs, d.ID) {
				continue
			}
			if err := f(ctx, bus, d); err != nil {
				return fmt.Errorf("after %d: %w", n, err)
			}
			n++
		}
		if did != "" {
			fmt.Printf("%d %s\n", n, did)
		}
		return nil
	})
}

type dlqShowCmd struct{ dlqPick }

func (c *dlqShowCmd) Run(ctx context.Context) error {
	return c.each(ctx, "", func(ctx context.Context, bus *bus.Conn, d event.Dead) error {
		subject, data, err := bus.Stored(ctx, d.Seq)
		if err != nil {
			return err
		}
		var body any = string(data)
		if json.Valid(data) {
			body = json.RawMessage(data)
		}
		return printJSON(map[string]any{"dead": d, "subject": subject, "event": body})
	})
}

type dlqRetryCmd struct{ dlqPick }

func (c *dlqRetryCmd) Run(ctx context.Context) error {
	return c.each(ctx, "put back into the stream", func(ctx context.Context, bus *bus.Conn, d event.Dead) error { return bus.Retry(ctx, d) })
}

type dlqDropCmd struct{ dlqPick }

func (c *dlqDropCmd) Run(ctx context.Context) error {
	return c.each(ctx, "dropped", func(ctx context.Context, bus *bus.Conn, d event.Dead) error { return bus.Drop(ctx, d) })
}

func printJSON(v any) error {
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// configured reads the configuration; markets are all of it, sorted, or the only
// one that was asked for.
func configured(dir, only string) (c *site.Catalog, markets []string, err error) {
	c, err = site.Load(dir)
	switch {
	case err != nil:
		return nil, nil, err
	case only == "":
		return c, slices.Sorted(maps.Keys(c.Markets)), nil
	case c.Markets[only] == nil:
		return nil, nil, fmt.Errorf("there is no market %q", only)
	}
	return c, []string{only}, nil
}

// operate runs f with every right in a market.
func operate(ctx context.Context, s app.Settings, market string, f func(context.Context, *bus.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c, err := app.Operator(ctx, s, market, zerolog.Nop())
	if err != nil {
		return err
	}
	defer c.Close()
	return f(ctx, c)
}
