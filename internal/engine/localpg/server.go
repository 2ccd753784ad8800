package localpg

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	startTime = time.Minute            // a start, with recovery after a crash
	remains   = 20 * time.Second       // how long a dead server's backends may hold its memory
	pause     = 50 * time.Millisecond  // between attempts
	calm      = 500 * time.Millisecond // between restarts of a server that keeps dying
	fastStop  = 15 * time.Second       // for an orderly stop; then a hard one
	hardStop  = 5 * time.Second
)

// start waits until the first process takes connections and hands it to a
// keeper.
func (c *Cluster) start(ctx context.Context) error {
	if err := c.stopStray(ctx); err != nil {
		return err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	c.end, c.ended = end, make(chan struct{})
	for deadline := time.Now().Add(remains); ; time.Sleep(pause) {
		gone, err := c.launch(life)
		if err != nil {
			return err
		}
		if err = c.awaitReady(ctx, gone); err == nil {
			go c.keep(life, gone)
			return nil
		}
		// A server that was killed leaves backends behind for some
		// milliseconds, and they hold its shared memory.
		passing := strings.Contains(err.Error(), "is still in use") || strings.Contains(err.Error(), "lock file")
		if !passing || time.Now().After(deadline) || ctx.Err() != nil {
			end()
			<-gone
			return err
		}
	}
}

// stopStray ends a server of our own data directory that outlived its program,
// where the system does not do that for us.
func (c *Cluster) stopStray(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(c.data, "postmaster.pid")); err != nil {
		return nil //nolint:nilerr // nothing to stop
	}
	status := c.bin.command(ctx, "pg_ctl", "status", "-D", c.data)
	c.user.become(status)
	if status.Run() != nil {
		return nil // the file is stale; postgres clears it away itself
	}
	stop := c.bin.command(ctx, "pg_ctl", "stop", "-D", c.data, "-m", "fast", "-w")
	c.user.become(stop)
	if out, err := stop.CombinedOutput(); err != nil {
		return fmt.Errorf("stop the server that still runs on %s: %w: %s", c.data, err, lastLines(out))
	}
	return nil
}

// launch starts a process. The system ends it when the thread that started it
// ends, so that thread is kept for as long as the process lives. The end of
// ctx stops it.
func (c *Cluster) launch(ctx context.Context) (gone <-chan struct{}, err error) {
	out, err := os.OpenFile(c.logFile, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	started, exited := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(exited)
		defer func() { _ = out.Close() }()
		cmd := c.command(ctx)
		cmd.Stdout, cmd.Stderr = out, out
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended stands in its log
		}
	}()
	return exited, <-started
}

// command is the server. The end of ctx asks it for an orderly stop, then for a
// hard one, and then kills it.
func (c *Cluster) command(ctx context.Context) *exec.Cmd {
	args := []string{"-D", c.data}
	for _, set := range c.settings {
		args = append(args, "-c", set)
	}
	cmd := c.bin.command(ctx, "postgres", args...)
	c.user.become(cmd)
	endWithParent(cmd.SysProcAttr)
	cmd.Cancel = func() error {
		time.AfterFunc(fastStop, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) }) // it may be gone already
		return cmd.Process.Signal(syscall.SIGINT)
	}
	cmd.WaitDelay = fastStop + hardStop
	return cmd
}

func (c *Cluster) awaitReady(ctx context.Context, gone <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, c.url("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-gone:
			return fmt.Errorf("it ended at once: %s", c.logTail())
		case <-ctx.Done():
			return fmt.Errorf("it does not take connections: %w: %s", ctx.Err(), c.logTail())
		case <-time.After(pause / 5):
		}
	}
}

func (c *Cluster) logTail() string {
	out, err := os.ReadFile(c.logFile)
	if err != nil {
		return err.Error()
	}
	return lastLines(out)
}

// keep restarts the server until it is stopped.
func (c *Cluster) keep(ctx context.Context, gone <-chan struct{}) {
	defer close(c.ended)
	for {
		<-gone
		if ctx.Err() != nil {
			return
		}
		c.log.Warn().Str("log", c.logTail()).Msg("local Postgres ended unasked; starting it again")
		select {
		case <-ctx.Done():
			return
		case <-time.After(calm):
		}
		if again, err := c.launch(ctx); err == nil {
			gone = again
		} else {
			c.log.Error().Err(err).Msg("local Postgres did not start")
		}
	}
}
