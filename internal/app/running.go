package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Instance is where a running all-in-one can be reached; it stands in
// DATA/run.json while it runs, so that call, trace and roster find it.
type Instance struct {
	PID         int    `json:"pid"`
	EdgeURL     string `json:"edge_url"`
	PrivateURL  string `json:"private_url"`
	SandboxURL  string `json:"sandbox_url,omitempty"` // empty with real vendors
	NATSURL     string `json:"nats_url"`
	DatabaseURL string `json:"database_url"`
}

func runFile(data string) string { return filepath.Join(data, "run.json") }

// Running reads the instance that runs on a data directory.
func Running(data string) (Instance, error) {
	var i Instance
	b, err := os.ReadFile(runFile(data))
	if errors.Is(err, os.ErrNotExist) {
		return i, fmt.Errorf("nothing runs on %s; start it with 'leadbus run' (or 'make run')", data)
	} else if err != nil {
		return i, err
	}
	if err := json.Unmarshal(b, &i); err != nil {
		return i, fmt.Errorf("read %s: %w", runFile(data), err)
	}
	return i, nil
}

// lock takes the data directory for this process. NATS and Postgres stores
// have one owner; a second instance must not touch them.
func lock(data string) (unlock func() error, err error) {
	file := filepath.Join(data, "lock")
	var f *os.File
	if err = os.MkdirAll(data, 0o755); err == nil { //nolint:gosec // the user Postgres drops to walks through it
		f, err = os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; choose a LEADBUS_DATA that this user can write to", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		pid, _ := os.ReadFile(file)
		i, _ := Running(data)
		return nil, fmt.Errorf("leadbus already runs on %s (process %s %s); stop it, or choose another LEADBUS_DATA", data, bytes.TrimSpace(pid), i.EdgeURL)
	}
	_ = f.Truncate(0)
	if _, err := fmt.Fprintln(f, os.Getpid()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		return errors.Join(os.RemoveAll(runFile(data)), f.Close()) // there is no file of a start that failed
	}, nil
}

// announce writes the instance file in one step.
func announce(data string, i Instance) error {
	b, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return err
	}
	tmp := runFile(data) + ".tmp"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, runFile(data))
}
