// Package localpg runs a private Postgres cluster from real Postgres binaries,
// for one program on one machine: the default when no database is given, and
// the database of the tests.
//
// The cluster listens on a Unix socket in a directory that only its user may
// enter: the directory is the authentication, and nothing can clash on a port.
// It lives in a process group of its own, so that Ctrl-C ends the program
// first and the cluster when the program says so; if the program dies, so does
// the cluster (at once on Linux, at the next start elsewhere). A cluster that
// dies is started again.
package localpg

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
)

const (
	owner    = "leadbus" // the cluster's superuser, and the database's name
	port     = "5432"    // part of the socket's name, nothing more
	initTime = 2 * time.Minute
)

// Options say where a cluster lives and how.
type Options struct {
	// Dir holds the data, in a directory for each major version, and the
	// socket. As root, when the unprivileged user that Postgres insists on
	// cannot reach it, a directory below /var/lib/leadbus takes its place.
	Dir string
	// NoSync gives up durability for speed: a power cut or a crash of the
	// machine may ruin the cluster. For tests.
	NoSync bool
	Log    zerolog.Logger
}

// Cluster is a running cluster. Its methods are safe for concurrent use.
type Cluster struct {
	bin      binaries
	user     *user
	data     string // data directory
	socket   string // socket directory
	logFile  string
	settings []string
	log      zerolog.Logger
	end      context.CancelFunc // asks the server to stop
	ended    chan struct{}      // closed when its last process is gone
}

// Start makes the cluster if there is none, starts it, and answers when it
// takes connections and has the database. It takes about a second the first
// time and a tenth of that later; a start waits for the remains of a crashed
// server to go.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	c, err := prepare(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("local Postgres: %w", err)
	}
	if err := c.start(ctx); err != nil {
		return nil, fmt.Errorf("start local Postgres: %w", err)
	}
	if err := c.createDatabase(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("create database: %w", err), c.Stop())
	}
	return c, nil
}

// URL is the database's address for pgx; it is the same after every start on
// the same directory.
func (c *Cluster) URL() string { return c.url(owner) }

func (c *Cluster) url(database string) string {
	q := url.Values{"host": {c.socket}, "port": {port}, "sslmode": {"disable"}}
	query := strings.ReplaceAll(q.Encode(), "+", "%20") // in a Postgres URL a plus is a plus
	return (&url.URL{Scheme: "postgres", User: url.User(owner), Path: "/" + database, RawQuery: query}).String()
}

// Stop ends the cluster: open transactions are rolled back, what was committed
// is on disk. A second call does nothing.
func (c *Cluster) Stop() error {
	c.end()
	select {
	case <-c.ended:
		return nil
	case <-time.After(fastStop + 2*hardStop):
		return errors.New("local Postgres does not stop")
	}
}

func prepare(ctx context.Context, o Options) (*Cluster, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	u, err := runAs()
	if err != nil {
		return nil, err
	}
	if reached := u.reachable(dir); reached != dir {
		o.Log.Info().Str("dir", reached).Msg("Postgres keeps its data where its own user can reach it")
		dir = reached
	}
	majors, err := majorsIn(dir)
	if err != nil {
		return nil, err
	}
	bin, err := find(ctx, u, dir, majors)
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		bin: bin, user: u, log: o.Log,
		data:    filepath.Join(dir, "pg"+strconv.Itoa(bin.major)),
		logFile: filepath.Join(dir, "postgres.log"),
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // another user must pass through
		return nil, err
	}
	if c.socket, err = u.socketDir(dir); err != nil {
		return nil, err
	}
	c.settings = []string{
		"listen_addresses=", "unix_socket_directories=" + c.socket, "port=" + port,
		"shared_buffers=32MB", "max_connections=60", "jit=off",
		"wal_level=minimal", "max_wal_senders=0", "max_wal_size=256MB",
	}
	if o.NoSync {
		c.settings = append(c.settings, "fsync=off", "full_page_writes=off", "synchronous_commit=off")
	}
	return c, c.initialise(ctx)
}

// majorsIn lists the versions that have data in dir.
func majorsIn(dir string) ([]int, error) {
	found, err := filepath.Glob(filepath.Join(dir, "pg*", "PG_VERSION"))
	if err != nil {
		return nil, err
	}
	var majors []int
	for _, f := range found {
		if m, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(filepath.Dir(f)), "pg")); err == nil {
			majors = append(majors, m)
		}
	}
	return majors, nil
}

// initialise makes the data directory in one step, so that a start that was
// interrupted leaves none or a whole one.
func (c *Cluster) initialise(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(c.data, "PG_VERSION")); err == nil {
		return nil
	}
	unfinished := c.data + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	if err := c.user.mkdir(unfinished); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, initTime)
	defer cancel()
	args := []string{"-D", unfinished, "-U", owner, "-A", "trust", "-E", "UTF8", "--locale=C"}
	if slices.Contains(c.settings, "fsync=off") {
		args = append(args, "--no-sync")
	}
	cmd := c.bin.command(ctx, "initdb", args...)
	c.user.become(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLines(out))
	}
	return os.Rename(unfinished, c.data)
}

func (c *Cluster) createDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var there bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", owner).Scan(&there); err != nil || there {
		return err
	}
	_, err = conn.Exec(ctx, "create database "+pgx.Identifier{owner}.Sanitize())
	return err
}

// lastLines is the end of a log, for an error.
func lastLines(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "; ")
}
