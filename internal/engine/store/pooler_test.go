package store_test

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"leadbus/internal/engine/localpg/pgtest"
	"leadbus/internal/engine/store"
	"leadbus/internal/event"
	"leadbus/internal/local/await"
	"leadbus/internal/roster"
)

// A statement's next use meets another connection of the server, or one that
// another client has used, and no URL tells a pooler from a database.
func TestEverythingWorksBehindATransactionPooler(t *testing.T) {
	t.Parallel()
	pooled := pooler(t, empty(t))
	var stores []*store.Store
	var wg sync.WaitGroup
	for _, more := range []string{"", "", "&default_query_exec_mode=cache_statement"} {
		db := pgtest.Open(t, pooled+more)
		stores = append(stores, db)
		wg.Go(func() {
			if err := db.Migrate(context.Background()); err != nil {
				t.Errorf("migrate: %v", err)
			}
		})
	}
	await.Return(t, "all have migrated", wg.Wait)
	if t.Failed() {
		return
	}
	provider := roster.Provider{ID: "lac", Market: "ch", Name: "Lac", Priority: 1, Services: []string{"plumbing.leak"}, Places: []string{"carouge"}, Languages: []string{"fr"}}
	if err := stores[0].ImportRoster(t.Context(), []roster.Provider{provider}); err != nil {
		t.Fatal(err)
	}
	for n := range 12 {
		db := stores[n%len(stores)]
		wg.Go(func() {
			for round := range 4 {
				s, id := stream{market: "ch"}, fmt.Sprintf("lead%d-%d", n, round)
				s.whole(id, `{"name":"Marta"}`)
				for _, events := range [][]event.Event{s.events[4:], s.events[:6]} { // the first ones straggle
					if err := db.Record(context.Background(), "ch", events); err != nil {
						t.Errorf("record: %v", err)
					}
				}
				if l, err := db.Lead(context.Background(), "ch", id); err != nil || l.Status != "notified" || len(l.Messages) != 3 {
					t.Errorf("lead %s is %q with %d messages, %v", id, l.Status, len(l.Messages), err)
				}
				for market, providers := range map[string]int{"ch": 1, "id": 0} {
					if all, err := db.Roster(context.Background(), market); err != nil || len(all) != providers {
						t.Errorf("roster of %s: %v, %v", market, all, err)
					}
				}
				if v, err := db.RosterVersion(context.Background(), "ch"); err != nil || v == 0 {
					t.Errorf("roster version %d, %v", v, err)
				}
			}
		})
	}
	await.Return(t, "all have recorded", wg.Wait)
	if left := leftBehind(t, pooled); left != "" {
		t.Errorf("a transaction left behind in the pooler's connections: %s", left)
	}
}

// leftBehind tells what outlived the transactions on the connections that
// the pooler keeps.
func leftBehind(t *testing.T, pooled string) (left string) {
	t.Helper()
	conn := connect(t, pooled+"&default_query_exec_mode=exec")
	for range 20 {
		if err := conn.QueryRow(t.Context(), `select concat((select count(*) || ' locks' from pg_locks join pg_database d on d.oid = database
				where locktype = 'advisory' and datname = current_database() having count(*) > 0),
			nullif(current_setting('role'), 'none'), current_setting('leadbus.market', true), nullif(current_setting('plan_cache_mode'), 'auto'))`).Scan(&left); err != nil {
			t.Fatal(err)
		}
		if left != "" {
			break
		}
	}
	return left
}

// pooler starts PgBouncer in transaction mode before a database, with fewer
// connections to it than clients, and answers the URL through it.
func pooler(t *testing.T, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	socket := u.Query().Get("host")
	info, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	owner, _ := info.Sys().(*syscall.Stat_t) // PgBouncer runs as no root either, and the socket is for its owner alone
	dir := pgtest.Dir(t)
	config := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf(`[databases]
* = host=%s port=%s user=%s
[pgbouncer]
unix_socket_dir = %s
listen_addr =
listen_port = 6432
auth_type = any
pool_mode = transaction
default_pool_size = 3
`, socket, u.Query().Get("port"), u.User.Username(), dir)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
		t.Fatal(err)
	}
	program, libs := pgbouncer(t)
	cmd := exec.Command(program, config)
	cmd.Dir, cmd.Env = "/", []string{"LD_LIBRARY_PATH=" + libs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("PgBouncer: %s", said.String())
		}
	})
	q := u.Query()
	q.Set("host", dir)
	q.Set("port", "6432")
	u.RawQuery = q.Encode()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	db, err := store.Open(ctx, u.String(), zerolog.Nop())
	if err != nil {
		t.Fatalf("PgBouncer does not answer: %v", err)
	}
	db.Close()
	return u.String()
}

// pgbouncer finds what scripts/postgres.sh has found or fetched.
func pgbouncer(t *testing.T) (program, libs string) {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if p, err := exec.LookPath("pgbouncer"); err == nil {
		return p, ""
	}
	places := []string{"/", "/var/lib/leadbus/cache"}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		places = append(places, filepath.Join(dir, ".cache/postgres"))
	}
	for _, place := range places {
		if p, err := exec.LookPath(filepath.Join(place, "usr/sbin/pgbouncer")); err == nil {
			found, _ := filepath.Glob(filepath.Join(place, "usr/lib/*-linux-gnu*"))
			more, _ := filepath.Glob(filepath.Join(place, "lib/*-linux-gnu*"))
			return p, strings.Join(append(found, more...), ":")
		}
	}
	t.Fatal("no pgbouncer on this machine: run 'make postgres'")
	return "", ""
}
