package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
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

// server is the running postgres, restarted when it ends unasked.
type server struct {
	c    *Cluster
	once sync.Once
	quit chan struct{} // closed by stop
	done chan struct{} // closed when the last process is gone

	mu  sync.Mutex
	cmd *exec.Cmd
}

// start waits until the first process takes connections and hands it to a
// keeper.
func (c *Cluster) start(ctx context.Context) (*server, error) {
	if err := c.stopStray(ctx); err != nil {
		return nil, err
	}
	s := &server{c: c, quit: make(chan struct{}), done: make(chan struct{})}
	deadline := time.Now().Add(remains)
	outlive := context.WithoutCancel(ctx)
	for {
		ended, err := s.launch(outlive)
		if err != nil {
			return nil, err
		}
		err = c.awaitReady(ctx, ended)
		if err == nil {
			go s.keep(outlive, ended)
			return s, nil
		}
		select {
		case <-ended:
		default:
			s.signal(syscall.SIGQUIT)
			<-ended
			return nil, err
		}
		// A server that was killed leaves backends behind for some
		// milliseconds, and they hold its shared memory.
		passing := strings.Contains(err.Error(), "is still in use") || strings.Contains(err.Error(), "lock file")
		if !passing || time.Now().After(deadline) || ctx.Err() != nil {
			return nil, err
		}
		time.Sleep(pause)
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
// ctx kills it.
func (s *server) launch(ctx context.Context) (ended <-chan struct{}, err error) {
	started, gone := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(gone)
		cmd := s.command(ctx)
		out, err := os.OpenFile(s.c.logFile, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			started <- err
			return
		}
		defer func() { _ = out.Close() }()
		cmd.Stdout, cmd.Stderr = out, out
		if err = cmd.Start(); err == nil {
			s.mu.Lock()
			s.cmd = cmd
			s.mu.Unlock()
		}
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended stands in its log
		}
	}()
	return gone, <-started
}

func (s *server) command(ctx context.Context) *exec.Cmd {
	args := []string{"-D", s.c.data}
	for _, set := range s.c.settings {
		args = append(args, "-c", set)
	}
	cmd := s.c.bin.command(ctx, "postgres", args...)
	s.c.user.become(cmd)
	endWithParent(cmd.SysProcAttr)
	return cmd
}

func (c *Cluster) awaitReady(ctx context.Context, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, c.url("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ended:
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
func (s *server) keep(ctx context.Context, ended <-chan struct{}) {
	defer close(s.done)
	for {
		select {
		case <-s.quit:
			s.signal(syscall.SIGINT) // it may be newer than the one stop knew
			<-ended
			return
		case <-ended:
		}
		s.c.log.Warn().Str("log", s.c.logTail()).Msg("local Postgres ended unasked; starting it again")
		for {
			select {
			case <-s.quit:
				return
			case <-time.After(calm):
			}
			again, err := s.launch(ctx)
			if err == nil {
				ended = again
				break
			}
			s.c.log.Error().Err(err).Msg("local Postgres did not start")
		}
	}
}

func (s *server) stop() error {
	s.once.Do(func() { close(s.quit) })
	for _, step := range []struct {
		signal syscall.Signal
		within time.Duration
	}{{syscall.SIGINT, fastStop}, {syscall.SIGQUIT, hardStop}, {syscall.SIGKILL, hardStop}} {
		s.signal(step.signal)
		select {
		case <-s.done:
			return nil
		case <-time.After(step.within):
		}
	}
	return errors.New("local Postgres does not stop")
}

func (s *server) signal(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.cmd.Process.Signal(sig) // it may be gone already
}
