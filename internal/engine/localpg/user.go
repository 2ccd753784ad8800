package localpg

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

// rootDir is where root's clusters and caches live when their place in the
// checkout cannot be reached by an unprivileged user (/root is closed).
const rootDir = "/var/lib/leadbus"

// user is whom the cluster runs as: the caller, or someone without rights when
// the caller is root, which Postgres refuses.
type user struct {
	name     string
	uid, gid int
	dropped  bool
}

func runAs() (*user, error) {
	if os.Geteuid() != 0 {
		return &user{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := osuser.Lookup(name)
		if err != nil {
			continue
		}
		uid, uerr := strconv.Atoi(u.Uid)
		gid, gerr := strconv.Atoi(u.Gid)
		if err := errors.Join(uerr, gerr); err != nil {
			return nil, err
		}
		return &user{name: name, uid: uid, gid: gid, dropped: true}, nil
	}
	return nil, errors.New("root may not run Postgres, and there is no user postgres or nobody to run it as")
}

// become makes cmd run as u, apart from our process group.
func (u *user) become(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if u.dropped {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(u.uid), Gid: uint32(u.gid)} //nolint:gosec // ids of the system
	}
}

// walks reports whether u can enter dir and all above it. Directories that do
// not exist will be made so that it can.
func (u *user) walks(dir string) bool {
	if !u.dropped {
		return true
	}
	for {
		if info, err := os.Stat(dir); err == nil && info.Mode()&0o001 == 0 && !u.owns(info) {
			return false
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
		dir = filepath.Dir(dir)
	}
}

func (u *user) owns(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == u.uid
}

// reachable is dir, or its substitute when u cannot walk there.
func (u *user) reachable(dir string) string {
	if u.walks(dir) {
		return dir
	}
	return filepath.Join(rootDir, short(dir))
}

// short is a name for a path: the same path, the same name.
func short(dir string) string {
	h := sha256.Sum256([]byte(dir))
	return hex.EncodeToString(h[:6])
}

// mkdir makes a directory for u alone, in a place that exists.
func (u *user) mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no directory", dir)
	}
	if !u.owns(info) {
		if !u.dropped || !(&user{uid: 0}).owns(info) {
			return fmt.Errorf("%s belongs to another user", dir)
		}
		if err := os.Chown(dir, u.uid, u.gid); err != nil {
			return err
		}
	}
	return os.Chmod(dir, 0o700) //nolint:gosec // a directory
}

// socketDir makes the directory of the socket: in dir, or in /tmp where the
// path would be too long for a socket.
func (u *user) socketDir(dir string) (string, error) {
	limit := 107
	if runtime.GOOS == "darwin" {
		limit = 103
	}
	socket := filepath.Join(dir, "socket")
	if len(filepath.Join(socket, ".s.PGSQL."+port)) > limit {
		socket = filepath.Join("/tmp", fmt.Sprintf("leadbus-%d-%s", u.uid, short(dir)))
	}
	return socket, u.mkdir(socket)
}
