package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"leadbus/internal/app"
	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/store"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

type rosterCmd struct {
	Import rosterImportCmd `cmd:"" help:"Read providers from a YAML or CSV file into the database; a file with faults changes nothing."`
	List   rosterListCmd   `cmd:"" help:"List the providers in the database."`
	Lint   rosterLintCmd   `cmd:"" help:"Look for wrong numbers and addresses of the providers in the database; ends with 1 when something is found."`
}

type rosterImportCmd struct {
	app.Settings
	File   string `arg:"" type:"existingfile" help:"YAML or CSV file."`
	Verify bool   `help:"Ask the providers of the file, on every channel on which nothing arrived yet, to confirm by a link that messages arrive."`
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
	markets = slices.Compact(markets)
	if _, err = lintRoster(ctx, catalog, db, markets); err != nil || !c.Verify {
		return err
	}
	for _, market := range markets {
		if err := c.verify(ctx, catalog, market, providers); err != nil {
			return err
		}
	}
	return nil
}

// verify asks a market's providers to confirm the addresses of which nothing is known.
func (c *rosterImportCmd) verify(ctx context.Context, catalog *site.Catalog, market string, providers []roster.Provider) error {
	return operate(ctx, c.Settings, market, func(ctx context.Context, conn *bus.Conn) error {
		bucket, err := conn.Bucket(ctx, subjects.BucketWatch)
		if err != nil {
			return err
		}
		for _, p := range providers {
			if p.Market != market {
				continue
			}
			var asked []string
			key := ""
			for _, ch := range p.Channels() {
				h, err := known(ctx, bucket, p.ID, ch)
				if err != nil {
					return err
				}
				if h.State() == roster.Healthy {
					*p.Address(ch.Channel) = ""
					continue
				}
				asked, key = append(asked, ch.Channel), key+roster.AddressKey(p.ID, ch)
			}
			domain := siteOf(catalog, p)
			if len(asked) == 0 || domain == "" {
				continue
			}
			to := subjects.Lead{Market: market, Site: domain, Event: subjects.VerifyAsked, Lead: lead.NewID(domain, "verify\x00"+key)}
			if err := conn.Publish(ctx, event.Event{ID: to.Event + "-" + to.Lead, At: time.Now(), Lead: to, Body: &event.Verifying{Provider: p}}); err != nil {
				return err
			}
			fmt.Printf("asked to confirm: %s (%s)\n", p.ID, strings.Join(asked, ", "))
		}
		return nil
	})
}

// siteOf is the first site for which a provider works; empty for none.
func siteOf(c *site.Catalog, p roster.Provider) (first string) {
	for domain, s := range c.Sites {
		works := slices.ContainsFunc(s.Services, func(o site.SiteService) bool { return slices.Contains(p.Services, o.ID) })
		if s.Market == p.Market && works && (first == "" || domain < first) {
			first = domain
		}
	}
	return first
}

// known is what is known of a provider's channel.
func known(ctx context.Context, bucket *bus.Bucket, provider string, ch roster.Channel) (roster.Health, error) {
	e, err := bucket.Get(ctx, roster.HealthKey(provider, ch.Channel))
	if err != nil && !errors.Is(err, event.ErrNotFound) {
		return roster.Health{}, err
	}
	h, err := roster.ReadHealth(e.Value)
	return h.Working(ch.Address), err
}

// stored are the markets whose providers in the database are looked at.
type stored struct {
	app.Settings
	Market string `help:"Only this market." placeholder:"ID"`
}

func (s stored) open(ctx context.Context) (c *site.Catalog, markets []string, db *store.Store, err error) {
	if c, markets, err = configured(s.Config, s.Market); err == nil {
		db, err = app.OpenDatabase(ctx, s.Settings)
	}
	return c, markets, db, err
}

type rosterLintCmd struct{ stored }

func (c *rosterLintCmd) Run(ctx context.Context) error {
	catalog, markets, db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
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
	stored
	JSON bool `name:"json" help:"Print JSON."`
}

func (c *rosterListCmd) Run(ctx context.Context) error {
	_, markets, db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	listed := []listedProvider{}
	for _, market := range markets {
		providers, err := db.Roster(ctx, market)
		if err != nil {
			return err
		}
		here := make([]listedProvider, len(providers))
		for i, p := range providers {
			here[i].Provider = p
		}
		if err := c.health(ctx, market, here); err != nil {
			fmt.Fprintf(os.Stderr, "market %s: it is not known which channels work: %v\n", market, err)
		}
		listed = append(listed, here...)
	}
	if c.JSON {
		return printJSON(listed)
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(out, "MARKET\tPROVIDER\tNAME\tACTIVE\tPRIORITY\tSERVICES\tPLACES\tCHANNELS")
	for _, p := range listed {
		var channels []string
		for _, ch := range p.Channels() {
			channels = append(channels, strings.TrimSpace(ch.Channel+" "+p.Health[ch.Channel]))
		}
		_, _ = fmt.Fprintf(out, "%s\t%s\t%s\t%t\t%d\t%s\t%d\t%s\n", p.Market, p.ID, p.Name, p.Active, p.Priority,
			strings.Join(p.Services, " "), len(p.Places), strings.Join(channels, ", "))
	}
	return out.Flush()
}

// listedProvider is a provider with what is known of each channel; nothing is
// when the broker does not answer.
type listedProvider struct {
	roster.Provider
	Health map[string]string `json:"health,omitempty"`
}

// healthTime bounds the wait for a broker: the list itself needs none.
const healthTime = 3 * time.Second

// health reads what is known of the channels of a market's providers.
func (c *rosterListCmd) health(ctx context.Context, market string, listed []listedProvider) error {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	return operate(ctx, c.Settings, market, func(ctx context.Context, conn *bus.Conn) error {
		bucket, err := conn.Bucket(ctx, subjects.BucketWatch)
		if err != nil {
			return err
		}
		for i, p := range listed {
			health := map[string]string{}
			for _, ch := range p.Channels() {
				h, err := known(ctx, bucket, p.ID, ch)
				if err != nil {
					return err
				}
				health[ch.Channel] = h.String()
			}
			listed[i].Health = health
		}
		return nil
	})
}
