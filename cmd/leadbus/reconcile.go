package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"leadbus/internal/app"
	"leadbus/internal/role/watch/reconcile"
)

type reconcileCmd struct {
	app.Settings
	app.VendorSettings
	Market string        `help:"The market." required:"" placeholder:"ID"`
	Since  time.Duration `help:"How far back." default:"48h" placeholder:"DURATION"`
	Grace  time.Duration `help:"How long after a call or a message its report may still come by itself." default:"2m" placeholder:"DURATION"`
}

// Run prints every gap between the records with what to do about it. It fails
// while there are any.
func (c *reconcileCmd) Run(ctx context.Context) error {
	report, err := app.Reconcile(ctx, c.Settings, c.VendorSettings, c.Market, c.Since, c.Grace)
	if err != nil {
		return err
	}
	kinds := map[string]int{}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, g := range report.Gaps {
		kinds[g.Kind]++
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", g.At.Local().Format(time.DateTime), g.Kind, g.Site, cmp.Or(g.Lead, g.Ref), g.Detail)
	}
	_ = w.Flush()
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		fmt.Printf("%d %s: %s\n", kinds[kind], kind, reconcile.Actions[kind])
	}
	for _, vendor := range slices.Sorted(maps.Keys(report.Missing)) {
		fmt.Printf("not compared: %s: %s\n", vendor, report.Missing[vendor])
	}
	open := len(report.Gaps) - report.Fetched + len(report.Missing)
	if open > 0 {
		return fmt.Errorf("%d gaps, %d records not compared; %d calls and %d receipts fetched", len(report.Gaps)-report.Fetched, len(report.Missing), report.Fetched, report.Receipts)
	}
	fmt.Printf("the records agree; %d calls and %d receipts fetched\n", report.Fetched, report.Receipts)
	return nil
}
