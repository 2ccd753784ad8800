package localpg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"leadbus/internal/local/await"
)

const patience = time.Minute

// childDir makes this test binary a program with a cluster of its own, to be
// killed.
const childDir = "LOCALPG_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		c, err := Start(context.Background(), Options{Dir: dir, Log: zerolog.Nop()})
		if err != nil {
			_, _ = fmt.Fprintln(os.Stdout, err)
			os.Exit(1)
		}
		_, _ = fmt.Fprintln(os.Stdout, c.URL())
		select {}
	}
	goleak.VerifyTestMain(m)
}

// scratch is an empty directory that Postgres' own user can reach too.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "localpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func start(t *testing.T, dir string) *Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := Start(ctx, Options{Dir: dir, Log: zerolog.New(zerolog.NewTestWriter(t))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, c) })
	return c
}

func stop(t *testing.T, c *Cluster) {
	t.Helper()
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
}

// run executes statements on a new connection, and answers the last one's
// value.
func run(t *testing.T, url string, statements ...string) (value string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, s := range statements {
		rows, err := conn.Query(ctx, s)
		if err != nil {
			return "", err
		}
		for rows.Next() {
			if err := rows.Scan(&value); err != nil {
				return "", err
			}
		}
		if err := rows.Err(); err != nil {
			return "", err
		}
	}
	return value, nil
}

func mustRun(t *testing.T, url string, statements ...string) string {
	t.Helper()
	v, err := run(t, url, statements...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// pid is the process id of the server that runs in c.
func pid(t *testing.T, c *Cluster) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(c.data, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	p, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheNextStartContinues(t *testing.T) {
	dir := scratch(t)
	c := start(t, dir)
	mustRun(t, c.URL(), "create table kept (v text)", "insert into kept values ('héllo ✓')")
	stop(t, c)
	stop(t, c) // again does nothing
	if _, err := run(t, c.URL(), "select 1"); err == nil {
		t.Fatal("the server answers after its stop")
	}

	again := start(t, dir)
	if again.URL() != c.URL() {
		t.Errorf("the address moved from %s to %s", c.URL(), again.URL())
	}
	if v := mustRun(t, again.URL(), "select v from kept"); v != "héllo ✓" {
		t.Errorf("read %q", v)
	}
}

func TestOnlyTheSocketLeadsIn(t *testing.T) {
	c := start(t, scratch(t))
	if v := mustRun(t, c.URL(), "show listen_addresses"); v != "" {
		t.Errorf("listens on %q", v)
	}
	if v := mustRun(t, c.URL(), "show fsync"); v != "on" {
		t.Errorf("fsync is %s", v)
	}
	info, err := os.Stat(c.socket)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's directory is open: %s", info.Mode())
	}
}

// The server is killed; what it had acknowledged is there when it is back, and
// it comes back by itself.
func TestAKilledServerComesBack(t *testing.T) {
	c := start(t, scratch(t))
	mustRun(t, c.URL(), "create table kept (v text)")
	for i := range 3 {
		mustRun(t, c.URL(), fmt.Sprintf("insert into kept values ('%d')", i))
		if err := syscall.Kill(pid(t, c), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		want := strconv.Itoa(i + 1)
		await.True(t, "an answer after the kill", func() bool {
			v, err := run(t, c.URL(), "select count(*)::text from kept")
			return err == nil && v == want
		})
	}
}

// The program is killed; its server does not stay behind to block the next
// start.
func TestAKilledProgramTakesItsServerAlong(t *testing.T) {
	dir := scratch(t)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill() })
	var url string
	await.Return(t, "the program says where its cluster is", func() { url, err = bufio.NewReader(out).ReadString('\n') })
	if err != nil || !strings.HasPrefix(url, "postgres://") {
		t.Fatalf("the program did not start its cluster: %s%v", url, err)
	}
	url = strings.TrimSpace(url)
	mustRun(t, url, "create table kept (v text)", "insert into kept values ('here')")
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	await.Return(t, "the program is gone", func() { _ = child.Wait() })

	c := start(t, dir)
	if v := mustRun(t, c.URL(), "select v from kept"); v != "here" {
		t.Errorf("read %q", v)
	}
}

func TestALongPathStillHasASocket(t *testing.T) {
	dir := filepath.Join(scratch(t), strings.Repeat("long/", 30))
	c := start(t, dir)
	mustRun(t, c.URL(), "select 1::text")
	if err := os.RemoveAll(c.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestAnOddPath(t *testing.T) {
	c := start(t, filepath.Join(scratch(t), "a b+c%20&d=é"))
	mustRun(t, c.URL(), "select 1::text")
}

func TestAnInterruptedFirstStartIsDoneAgain(t *testing.T) {
	dir := scratch(t)
	for major := 15; major < 30; major++ {
		unfinished := filepath.Join(dir, fmt.Sprintf("pg%d.new", major))
		if err := os.MkdirAll(filepath.Join(unfinished, "base"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	mustRun(t, start(t, dir).URL(), "select 1::text")
}

func TestDataOfAnotherVersionIsNotPassedOver(t *testing.T) {
	dir := scratch(t)
	if err := os.MkdirAll(filepath.Join(dir, "pg99"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pg99", "PG_VERSION"), []byte("99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{Dir: dir, Log: zerolog.Nop()})
	if err == nil || !strings.Contains(err.Error(), "the data is of Postgres 99") {
		t.Errorf("got %v", err)
	}
}

func TestMissingBinariesSayWhatToDo(t *testing.T) {
	t.Setenv(dirVariable, scratch(t))
	_, err := Start(t.Context(), Options{Dir: scratch(t), Log: zerolog.Nop()})
	if err == nil || !strings.Contains(err.Error(), dirVariable) {
		t.Errorf("got %v", err)
	}

	t.Setenv(dirVariable, "")
	t.Setenv("PATH", "")
	wasPlaces, wasCached := places, cached
	places, cached = nil, nil
	t.Cleanup(func() { places, cached = wasPlaces, wasCached })
	if _, err := find(t.Context(), &user{uid: 1}, "", nil); !errors.Is(err, errNone) || !strings.Contains(err.Error(), "make postgres") {
		t.Errorf("got %v", err)
	}
}

// A cluster under root's closed home goes where its user can reach it; anybody
// else's stays where it was asked for.
func TestAClosedDirectoryIsReplacedForRoot(t *testing.T) {
	closed := scratch(t)
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(closed, "checkout", "postgres")
	dropped := &user{uid: os.Geteuid() + 1, dropped: true}
	if got := dropped.reachable(dir); filepath.Dir(got) != rootDir || got == dropped.reachable(dir+"2") {
		t.Errorf("as root: %s", got)
	}
	if got := (&user{uid: os.Geteuid()}).reachable(dir); got != dir {
		t.Errorf("as oneself: %s", got)
	}
}

func TestStartAndStopManyTimes(t *testing.T) {
	dir := scratch(t)
	for range 5 {
		stop(t, start(t, dir))
	}
}
