package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"leadbus/internal/app"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/store"
)

type rosterCmd struct {
	Import rosterImportCmd `cmd:"" help:"Read providers from a YAML or CSV file into the database; a file with faults changes nothing."`
	List   rosterListCmd   `cmd:"" help:"List the providers in the database."`
	Lint   rosterLintCmd   `cmd:"" help:"Look for wrong numbers and addresses of the providers in the database; ends with 1 when something is found."`
}

type rosterImportCmd struct {
	app.Settings
	File string `arg:"" type:"existingfile" help:"YAML or CSV file."`
}

func (c *rosterImportCmd) Run(ctx context.Context) error {
	catalog, err := site.Load(c.Config)
	if err != nil {
		return err
	}
	providers, err := app.ReadRoster(c.File, catalog)
	if err != nil {
		return err
	}
	db, err := app.OpenDatabase(ctx, c.Settings)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.ImportRoster(ctx, providers); err != nil {
		return err
	}
	fmt.Printf("imported %d providers; matchers see them within 5 s\n", len(providers))
	var markets []string
	for _, p := range providers {
		markets = append(markets, p.Market)
	}
	slices.Sort(markets)
	_, err = lintRoster(ctx, catalog, db, slices.Compact(markets))
	return err
}

type rosterLintCmd struct {
	app.Settings
	Market string `help:"Only this market." placeholder:"ID"`
}

func (c *rosterLintCmd) Run(ctx context.Context) error {
	catalog, err := site.Load(c.Config)
	if err != nil {
		return err
	}
	if c.Market != "" && catalog.Markets[c.Market] == nil {
		return fmt.Errorf("there is no market %q", c.Market)
	}
	db, err := app.OpenDatabase(ctx, c.Settings)
	if err != nil {
		return err
	}
	defer db.Close()
	markets := slices.Sorted(maps.Keys(catalog.Markets))
	if c.Market != "" {
		markets = []string{c.Market}
	}
	found, err := lintRoster(ctx, catalog, db, markets)
	if err == nil && found > 0 {
		err = fmt.Errorf("%d findings; correct them in the roster", found)
	}
	return err
}

// lintRoster prints what is wrong with the rosters of markets, and counts it.
// Providers are looked at together: two may have one number.
func lintRoster(ctx context.Context, catalog *site.Catalog, db *store.Store, markets []string) (int, error) {
	n := 0
	for _, market := range markets {
		providers, err := db.Roster(ctx, market)
		if err != nil {
			return n, err
		}
		for _, f := range app.LintRoster(catalog, market, providers) {
			n++
			fmt.Printf("warning: %s: %s\n", strings.Join(slices.DeleteFunc([]string{market, f.Provider, f.Field}, func(s string) bool { return s == "" }), " "), f.Text)
		}
	}
	return n, nil
}

type rosterListCmd struct {
	app.Settings
	Market string `help:"Only this market." placeholder:"ID"`
	JSON   bool   `name:"json" help:"Print JSON."`
}

func (c *rosterListCmd) Run(ctx context.Context) error {
	catalog, err := site.Load(c.Config)
	if err != nil {
		return err
	}
	db, err := app.OpenDatabase(ctx, c.Settings)
	if err != nil {
		return err
	}
	defer db.Close()
	all := []roster.Provider{}
	for market := range catalog.Markets {
		if c.Market != "" && c.Market != market {
			continue
		}
		providers, err := db.Roster(ctx, market)
		if err != nil {
			return err
		}
		all = append(all, providers...)
	}
	slices.SortFunc(all, func(a, b roster.Provider) int {
		return strings.Compare(a.Market+"\x00"+a.ID, b.Market+"\x00"+b.ID)
	})
	if c.JSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(all)
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(out, "MARKET\tPROVIDER\tNAME\tACTIVE\tPRIORITY\tSERVICES\tPLACES\tCHANNELS")
	for _, p := range all {
		var channels []string
		for _, ch := range p.Channels() {
			channels = append(channels, ch.Channel)
		}
		_, _ = fmt.Fprintf(out, "%s\t%s\t%s\t%t\t%d\t%s\t%d\t%s\n", p.Market, p.ID, p.Name, p.Active, p.Priority,
			strings.Join(p.Services, " "), len(p.Places), strings.Join(channels, " "))
	}
	return out.Flush()
}
