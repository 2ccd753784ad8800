package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"leadbus/internal/app"
	"leadbus/internal/engine/process"
	"leadbus/internal/site"
)

type configCmd struct {
	Check checkCmd `cmd:"" help:"Check every file and print all faults, each with file, line and column."`
}

type checkCmd struct {
	app.Settings
	Domains bool `help:"Print only the domains of the sites, one a line."`
}

func (c *checkCmd) Run() error {
	catalog, err := site.Load(c.Config)
	var faults site.Faults
	switch {
	case errors.As(err, &faults):
	case err != nil:
		return err
	default:
		faults = catalog.Faults()
	}
	if len(faults) > 0 {
		fmt.Fprintln(os.Stderr, faults.Error())
		return fmt.Errorf("%d faults in %s", len(faults), c.Config)
	}
	domains := slices.Sorted(maps.Keys(catalog.Sites))
	if c.Domains {
		for _, domain := range domains {
			fmt.Println(domain)
		}
		return nil
	}
	fmt.Printf("%s is good: %d markets, %d sites, %d services\n\n", c.Config, len(catalog.Markets), len(catalog.Sites), len(catalog.Services))
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(out, "SITE\tMARKET\tDID\tAGENT\tSERVICES\tPLACES")
	for _, domain := range domains {
		s := catalog.Sites[domain]
		_, _ = fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%d\t%d\n", s.Domain, s.Market, s.DID, s.Agent.ID, len(s.Services), len(s.Places))
	}
	return out.Flush()
}

type natsConfigCmd struct{ app.Settings }

func (c *natsConfigCmd) Run() error {
	catalog, err := site.Load(c.Config)
	if err != nil {
		return err
	}
	text, err := app.NATSConfig(c.Settings, catalog)
	if err != nil {
		return err
	}
	fmt.Print(text)
	return nil
}

type provisionCmd struct{ app.ProvisionSettings }

func (c *provisionCmd) Run(ctx context.Context) error {
	p := process.New(process.Logger(os.Stderr, c.Level()))
	err := app.ProvisionAll(ctx, p, c.ProvisionSettings)
	return errors.Join(err, p.Stop())
}

// readyCmd is a health check for images without a shell.
type readyCmd struct {
	URL string `arg:"" help:"Private address of a process, such as http://127.0.0.1:8081."`
}

func (c *readyCmd) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(c.URL, "/")+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	said, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if res.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(said)))
	}
	fmt.Print(string(said))
	return err
}

// masked is a database URL without its password.
func masked(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	if _, has := u.User.Password(); !has {
		return raw
	}
	return u.Redacted()
}
