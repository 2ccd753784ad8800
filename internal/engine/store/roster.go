package store

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"leadbus/internal/roster"
)

// provider is a row of the roster.
type provider struct {
	roster.Provider
	CapDay  int `db:"cap_day"`
	CapWeek int `db:"cap_week"`
}

var providers = newTable[provider]("provider", "id")

// Roster reads a market's providers, sorted by id.
func (s *Store) Roster(ctx context.Context, market string) ([]roster.Provider, error) {
	all := []roster.Provider{}
	err := s.batch(ctx, market, func(q *pgx.Batch) {
		q.Queue(providers.all, market).Query(func(rows pgx.Rows) error {
			found, err := pgx.CollectRows(rows, pgx.RowToStructByName[provider])
			for _, r := range found {
				r.Market, r.Caps = market, roster.Caps{Day: r.CapDay, Week: r.CapWeek}
				all = append(all, r.Provider)
			}
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read roster: %w", err)
	}
	return all, nil
}

// RosterVersion is a number that moves with every change of a market's roster;
// 0 means that this database has never had one.
func (s *Store) RosterVersion(ctx context.Context, market string) (version int64, err error) {
	err = s.batch(ctx, market, func(q *pgx.Batch) {
		q.Queue("select coalesce(max(version), 0) from leadbus.roster_version where market = $1", market).QueryRow(func(row pgx.Row) error {
			return row.Scan(&version)
		})
	})
	if err != nil {
		return 0, fmt.Errorf("read roster version: %w", err)
	}
	return version, nil
}

// ImportRoster adds providers, and replaces those of the same market and id;
// others stay. All or nothing. It needs a login that may write to the roster,
// as the schema's owner may; recorders may not.
func (s *Store) ImportRoster(ctx context.Context, all []roster.Provider) error {
	byMarket := map[string][]*provider{}
	for _, p := range all {
		p.Leave = append([]roster.Leave{}, p.Leave...) // a list, though an empty one
		byMarket[p.Market] = append(byMarket[p.Market], &provider{p, p.Caps.Day, p.Caps.Week})
	}
	err := s.within(ctx, func(conn *pgx.Conn) error {
		q := &pgx.Batch{}
		q.Queue("begin")
		for _, market := range slices.Sorted(maps.Keys(byMarket)) {
			q.Queue("select set_config('leadbus.market', $1, true)", market)
			if err := providers.write(q, market, byMarket[market]); err != nil {
				return err
			}
		}
		q.Queue("commit")
		return conn.SendBatch(ctx, q).Close()
	})
	if err != nil {
		return fmt.Errorf("import roster: %w", err)
	}
	return nil
}
