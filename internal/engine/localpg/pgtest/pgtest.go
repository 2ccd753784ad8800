// Package pgtest gives tests a database of their own on a real cluster. A test
// binary starts one cluster, on its first call; a database is a copy of one
// that has been migrated, and takes some tens of milliseconds. The cluster ends
// with the test binary, however that ends, and leaves nothing behind.
package pgtest

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"leadbus/internal/engine/localpg"
	"leadbus/internal/engine/store"
)

const (
	startTime = 3 * time.Minute // a first start on a busy machine
	copyTime  = time.Minute
	template  = "leadbus" // the cluster's own database, migrated
)

// lifeline is closed by the system when the test binary ends, and by nobody
// before that.
var lifeline io.Closer //nolint:unused // held open

var (
	once    sync.Once
	base    string // URL of the template
	failed  error
	copying sync.Mutex // Postgres copies a database for one at a time
	count   atomic.Int64
)

// New makes a migrated database for one test and answers its URL.
func New(tb testing.TB) string {
	tb.Helper()
	once.Do(func() { base, failed = cluster() })
	if failed != nil {
		tb.Fatalf("test database: %v", failed)
	}
	name := fmt.Sprintf("test_%d", count.Add(1))
	copying.Lock()
	defer copying.Unlock()
	Exec(tb, rename(base, "postgres"), "create database "+name+" template "+template)
	return rename(base, name)
}

// Exec runs one statement on a connection of its own, as the database's owner.
func Exec(tb testing.TB, url, sql string, args ...any) {
	tb.Helper()
	connected(tb, url, func(ctx context.Context, conn *pgx.Conn) {
		if _, err := conn.Exec(ctx, sql, args...); err != nil {
			tb.Fatalf("%s: %v", sql, err)
		}
	})
}

// Rows is the whole content of the tables that come from events, a text a row.
func Rows(tb testing.TB, url string) map[string][]string {
	tb.Helper()
	all := map[string][]string{}
	connected(tb, url, func(ctx context.Context, conn *pgx.Conn) {
		for _, table := range []string{"lead", "lead_person", "offer", "message", "message_content", "event", "event_body", "call", "call_person", "call_turn", "call_tool", "call_scan", "finding"} {
			rows, err := conn.Query(ctx, "select t::text from leadbus."+table+" t order by 1")
			if err != nil {
				tb.Fatal(err)
			}
			if all[table], err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
				tb.Fatal(err)
			}
		}
	})
	return all
}

// connected lends f a connection.
func connected(tb testing.TB, url string, f func(context.Context, *pgx.Conn)) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), copyTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	f(ctx, conn)
}

func rename(base, database string) string {
	u, err := url.Parse(base)
	if err != nil {
		panic(err) // it is ours
	}
	u.Path = "/" + database
	return u.String()
}

// cluster starts the cluster and migrates the template.
func cluster() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	dir, err := newDir()
	if err != nil {
		return "", err
	}
	if err := undertaker(dir); err != nil {
		return "", err
	}
	c, err := localpg.Start(ctx, localpg.Options{Dir: dir, NoSync: true, Log: zerolog.Nop()})
	if err != nil {
		return "", err
	}
	db, err := store.Open(ctx, c.URL(), zerolog.Nop())
	if err != nil {
		return "", err
	}
	defer db.Close() // nobody may be connected to a template that is copied
	return c.URL(), db.Migrate(ctx)
}

// Dir is a new directory for a cluster that a test starts itself: Postgres' own
// user, who is not root, can reach it, and a socket's path fits.
func Dir(tb testing.TB) string {
	tb.Helper()
	dir, err := newDir()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Start starts a cluster there, which runs until it is stopped or the test ends.
func Start(tb testing.TB, dir string) *localpg.Cluster {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	c, err := localpg.Start(ctx, localpg.Options{Dir: dir, NoSync: true, Log: zerolog.Nop()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Stop() })
	return c
}

// Open connects to a database until the test ends.
func Open(tb testing.TB, url string) *store.Store {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), copyTime)
	defer cancel()
	db, err := store.Open(ctx, url, zerolog.Nop())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(db.Close)
	return db
}

func newDir() (string, error) {
	dir, err := os.MkdirTemp("/tmp", "leadbus-pg")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755) //nolint:gosec // another user must pass through
}

// undertaker starts a shell that outlives this process: when its standard
// input ends, it ends the cluster and removes its directory.
func undertaker(dir string) error {
	const script = `read -r _
for pid in "$1"/pg*/postmaster.pid; do kill -QUIT "$(head -n 1 "$pid")"; done 2>/dev/null
n=0
while [ $n -lt 20 ] && ! rm -rf "$1" 2>/dev/null; do sleep 0.1; n=$((n+1)); done`
	cmd := exec.Command("/bin/sh", "-c", script, "sh", filepath.Clean(dir)) //nolint:noctx,gosec // it outlives us; the directory is ours
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is not for it
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	lifeline = in
	return cmd.Start()
}
