// Package store keeps a market's leads and roster in Postgres.
//
// Every statement that touches rows runs as role leadbus_recorder with the
// market set for its transaction, so that row security holds even when the
// login could bypass it. Nothing outlives a transaction in the session, no
// statement is prepared under a name, JSON travels as text and casts stand in
// the SQL, so the same code works behind a transaction pooler (Supavisor,
// PgBouncer).
//
// Errors carry no personal data and no type of the driver. An error that
// repeating cannot cure (a row that Postgres refuses) is event.Permanent; any
// other means that the database is away or not ready, and will pass.
package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"leadbus/internal/event"
)

const (
	// maxConns is enough for a recorder's batches, its roster copy and a
	// command beside them; a small Supabase project has 60 connections in all.
	maxConns     = 6
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// Store is a database. Its methods are safe for concurrent use.
type Store struct {
	pool *pgxpool.Pool
	log  zerolog.Logger
}

// Open connects to a database and waits for it, with growing pauses, until ctx
// ends. A URL to another machine must ask for TLS (sslmode=require or better).
func Open(ctx context.Context, url string, logger zerolog.Logger) (*Store, error) {
	cfg, err := config(url)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", plain(err))
	}
	s := &Store{pool, logger}
	if err := s.persist(ctx, pool.Ping); err != nil {
		pool.Close()
		return nil, fmt.Errorf("open the database of LEADBUS_DATABASE_URL: %w", err)
	}
	return s, nil
}

// persist repeats f, with growing pauses, for as long as the database is away
// and until ctx ends.
func (s *Store) persist(ctx context.Context, f func(context.Context) error) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := f(ctx)
		if !away(err) {
			return plain(err)
		}
		if pause == firstPause {
			s.log.Warn().Err(plain(err)).Msg("waiting for the database of LEADBUS_DATABASE_URL")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain: %w", plain(err))
		case <-time.After(pause):
		}
	}
}

// away tells what passes by itself: a connection that cannot be had or is lost,
// and a server that starts, stops, is read-only or short of something.
func away(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return isOf(pg.Code, "08", "25006", "40", "53", "57P")
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn) ||
		pgconn.SafeToRetry(err) || errors.Is(err, errLocked)
}

// Close ends all connections; it waits for calls in flight.
func (s *Store) Close() { s.pool.Close() }

func config(url string) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil || strings.Contains(cfg.ConnConfig.Host, "@") { // the host would be a part of the password
		return nil, errors.New("LEADBUS_DATABASE_URL cannot be read: it is postgres://USER:PASSWORD@HOST:PORT/DATABASE; in it write signs such as @ : / # % as %40 %3A %2F %23 %25") // the error repeats it, password and all
	}
	if !strings.Contains(url, "pool_max_conns") {
		cfg.MaxConns = maxConns
	}
	cfg.MaxConns = max(cfg.MaxConns, 3) // a migration takes two at the same time
	c := cfg.ConnConfig
	c.ConnectTimeout = max(c.ConnectTimeout, longestPause) // what takes a connection may be no database
	// A statement that is prepared under a name would not be there on the
	// pooler's next connection. Descriptions stay on our side.
	c.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	ends := []*pgconn.FallbackConfig{{Host: c.Host, TLSConfig: c.TLSConfig}}
	for _, end := range append(ends, c.Fallbacks...) {
		if end.TLSConfig == nil && !local(end.Host) {
			return nil, fmt.Errorf("the database on %s would be reached without encryption: set sslmode=verify-full (or at least require) in its URL", end.Host)
		}
	}
	cfg.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		conn.TypeMap().RegisterType(&pgtype.Type{
			Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
		})
		return nil
	}
	return cfg, nil
}

// local reports whether a host is this machine: a socket's directory or a
// loopback address.
func local(host string) bool {
	if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// become queues what every transaction begins with: the role that row security
// holds for, and the market it may see. Statements are planned at each use: a
// plan made while the tables were young would be kept while they grow.
func become(b *pgx.Batch, market string) {
	b.Queue("begin")
	b.Queue("select set_config('role', 'leadbus_recorder', true), set_config('leadbus.market', $1, true), set_config('plan_cache_mode', 'force_custom_plan', true)", market)
}

// batch runs the statements that queue adds, in one transaction of the market.
func (s *Store) batch(ctx context.Context, market string, queue func(*pgx.Batch)) error {
	return s.within(ctx, func(conn *pgx.Conn) error {
		q := &pgx.Batch{}
		become(q, market)
		queue(q)
		q.Queue("commit")
		return conn.SendBatch(ctx, q).Close()
	})
}

// within runs f in one transaction on one connection. f sends the batches
// itself, the last of which ends with commit; when it fails, what it did is
// rolled back.
func (s *Store) within(ctx context.Context, f func(*pgx.Conn) error) error {
	err := s.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		err := f(c.Conn())
		if err != nil && !c.Conn().IsClosed() {
			_, rerr := c.Exec(context.WithoutCancel(ctx), "rollback")
			err = errors.Join(err, rerr)
		}
		return err
	})
	return plain(err)
}

// plain makes an error of ours from one of the driver. The text of a refused
// row's error can repeat the row, so only its code and place are kept.
func plain(err error) error {
	var pg *pgconn.PgError
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), !errors.As(err, &pg):
		return err
	case isOf(pg.Code, "22", "23", "54"): // data exception, integrity constraint violation, program limit exceeded
		return event.Permanent(fmt.Errorf("postgres refuses the row: %s %s %s %s", pg.Code, pg.TableName, pg.ColumnName, pg.ConstraintName))
	default:
		return fmt.Errorf("postgres: %s: %s", pg.Code, pg.Message)
	}
}

// isOf reports whether an error code of Postgres is of one of the classes.
func isOf(code string, classes ...string) bool {
	return slices.ContainsFunc(classes, func(class string) bool { return strings.HasPrefix(code, class) })
}
