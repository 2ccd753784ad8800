package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"leadbus/internal/app"
	"leadbus/internal/roster"
	"leadbus/internal/site"
)

type rosterCmd struct {
	Import rosterImportCmd `cmd:"" help:"Read providers from a YAML or CSV file into the database; a file with faults changes nothing."`
	List   rosterListCmd   `cmd:"" help:"List the providers in the database."`
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
	return nil
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
		for _, ch := range []struct{ name, address string }{{"whatsapp", p.WhatsApp}, {"sms", p.SMS}, {"email", p.Email}} {
			if ch.address != "" {
				channels = append(channels, ch.name)
			}
		}
		_, _ = fmt.Fprintf(out, "%s\t%s\t%s\t%t\t%d\t%s\t%d\t%s\n", p.Market, p.ID, p.Name, p.Active, p.Priority,
			strings.Join(p.Services, " "), len(p.Places), strings.Join(channels, " "))
	}
	return out.Flush()
}
