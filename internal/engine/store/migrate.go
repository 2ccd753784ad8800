package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	migrations "leadbus/supabase/migrations"
)

const (
	versionTable = "leadbus.schema_version"
	// migrationLock is any number that nobody else locks on.
	migrationLock = 7305431102
)

var errLocked = errors.New("another process migrates it")

// Migrate brings the schema up to date; there is no way down. Processes that
// start together wait for the first one, and a database that goes away meanwhile
// is waited for. Files that the Supabase CLI has applied to this database count
// as applied.
//
// The lock belongs to a transaction that stays open meanwhile, not to a
// session: a session's lock stays behind in a pooler's connection. Those who
// wait hold no connection, or a small pool would have none left for the first.
func (s *Store) Migrate(ctx context.Context) error {
	err := s.persist(ctx, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			mine := false
			if err := tx.QueryRow(ctx, "select pg_try_advisory_xact_lock($1::bigint)", migrationLock).Scan(&mine); err != nil {
				return err
			}
			if !mine {
				return errLocked
			}
			return s.migrate(ctx)
		})
	})
	if err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	return nil
}

func (s *Store) migrate(ctx context.Context) error {
	var schema, cli bool
	err := s.pool.QueryRow(ctx, "select to_regnamespace('leadbus') is not null, to_regclass('supabase_migrations.schema_migrations') is not null").Scan(&schema, &cli)
	if err != nil {
		return err
	}
	if !schema {
		if _, err := s.pool.Exec(ctx, "create schema leadbus"); err != nil {
			return err
		}
	}
	var applied []int64
	if cli {
		rows, err := s.pool.Query(ctx, `select version::bigint from supabase_migrations.schema_migrations where version ~ '^[1-9]\d{0,17}$'`)
		if err != nil {
			return err
		}
		if applied, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
			return err
		}
	}
	db := stdlib.OpenDBFromPool(s.pool)
	provider, err := goose.NewProvider(goose.DialectPostgres, db, migrations.Files,
		goose.WithTableName(versionTable), goose.WithExcludeVersions(applied), goose.WithDisableGlobalRegistry(true))
	if errors.Is(err, goose.ErrNoMigrations) {
		return db.Close() // the CLI has applied them all
	}
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return errors.Join(err, provider.Close())
}
