package app

import (
	"context"
	"fmt"
	"os"

	"github.com/rs/zerolog"

	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/process"
	"leadbus/internal/engine/store"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/understand/phone"
)

// What the operator's commands need.

// ProvisionSettings are the flags of a deploy.
type ProvisionSettings struct {
	Settings
	Replicas int `help:"Copies of each stream; 3 on a cluster of three." env:"LEADBUS_REPLICAS" default:"1"`
}

// ProvisionAll makes what a deploy needs: tables in Postgres; streams, durables
// and buckets of every market on the broker. It waits for both.
func ProvisionAll(ctx context.Context, p *process.Process, s ProvisionSettings) error {
	j, err := alone(p, s.Settings, nil)
	if err != nil {
		return err
	}
	url, err := s.databaseURL()
	if err != nil {
		return err
	}
	if err := j.database(ctx, url); err != nil {
		return err
	}
	return j.provision(ctx, s.Replicas)
}

// Operator connects to a market's account with every right in it.
func Operator(ctx context.Context, s Settings, market string, log zerolog.Logger) (*bus.Conn, error) {
	user := market + "-operator"
	return bus.Connect(ctx, bus.Options{URL: s.natsURL(), User: user, SeedFile: bus.SeedFile(s.keys(), user), Log: log})
}

// OpenDatabase opens the database without changing it.
func OpenDatabase(ctx context.Context, s Settings) (*store.Store, error) {
	url, err := s.databaseURL()
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, url, zerolog.Nop())
}

// ReadRoster reads and checks a roster file against the configuration.
func ReadRoster(file string, c *site.Catalog) ([]roster.Provider, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	providers, err := c.ReadRoster(file, data)
	if err != nil {
		return nil, fmt.Errorf("nothing was imported:\n%w", err)
	}
	return providers, nil
}

// LintRoster looks for what is wrong with a market's providers.
func LintRoster(c *site.Catalog, market string, providers []roster.Provider) []roster.Finding {
	s := roster.Surroundings{Country: c.Markets[market].Country, Number: phone.Kind}
	for _, one := range c.Sites {
		if one.Market == market {
			s.Owners = append(s.Owners, one.Owner.Phone, one.Owner.Email, one.Owner.Escalation.Phone, one.Owner.Escalation.Email)
			s.Sites = append(s.Sites, one.DID, one.Senders.SMS.From, one.Senders.WhatsApp.From, one.Senders.Mail.From)
		}
	}
	return roster.Lint(s, providers)
}
