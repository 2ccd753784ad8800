package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"leadbus/internal/app"
	"leadbus/internal/engine/bus"
	"leadbus/internal/role/notifier/send"
	"leadbus/internal/subjects"
)

type replayCmd struct {
	app.Settings
	Market string    `required:"" help:"Market." placeholder:"ID"`
	Site   string    `help:"Only this site's events." placeholder:"DOMAIN"`
	Lead   string    `help:"Only this lead's events." placeholder:"ID"`
	Since  time.Time `help:"Only events stored since, such as 2026-11-23T08:00:00Z." placeholder:"TIME"`
	DryRun bool      `required:"" help:"Say what the replay would do. The replay itself is done with the nats CLI: docs/replay.md."`
	JSON   bool      `name:"json" help:"Print JSON."`
}

func (c *replayCmd) Run(ctx context.Context) error {
	return operate(ctx, c.Settings, c.Market, func(ctx context.Context, bus *bus.Conn) error {
		ledger, err := bus.Bucket(ctx, subjects.BucketLedger)
		if err != nil {
			return err
		}
		f, err := send.NewForecast(ctx, bus, ledger, subjects.Lead{Market: c.Market, Site: c.Site, Lead: c.Lead}, c.Since, time.Now())
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(f)
		}
		fmt.Printf("%d events of %d leads\n", f.Events, f.Leads)
		for _, kind := range slices.Sorted(maps.Keys(f.Kinds)) {
			fmt.Printf("  %6d %s\n", f.Kinds[kind], kind)
		}
		fmt.Printf("recorder: computes these leads' rows anew; they end as they are\n")
		fmt.Printf("matcher:  decides %d leads that have no outcome yet, and leaves %d as they are\n", f.Undecided, f.Leads-f.Undecided)
		fmt.Printf("notifier: sends %d messages that were never sent; %d are suppressed by the ledger, %d are looked for at the vendor first, %d are too old and go to the DLQ\n",
			f.Unsent, f.Suppressed, f.Doubtful, f.TooOld)
		return nil
	})
}
