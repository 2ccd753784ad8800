package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// proc is one process under a supervisor that starts it again.
type proc struct {
	name   string
	argv   []string
	env    []string
	log    string
	health string        // URL that answers 200 when it can work
	ended  chan struct{} // closed when the supervisor gave up

	mu       sync.Mutex
	cmd      *exec.Cmd
	extra    []string      // environment of the next start
	asked    bool          // its end is ours
	pause    time.Duration // before the next start
	stopping bool
	unasked  []string // ends that were not ours
}

// supervisorPause is how soon a supervisor starts what ended by itself.
const supervisorPause = 300 * time.Millisecond

// keep runs the process until it is stopped.
func (p *proc) keep() {
	defer close(p.ended)
	for {
		gone := p.launch()
		if gone == nil {
			return
		}
		how := <-gone
		p.mu.Lock()
		pause := p.pause
		if !p.asked {
			pause = supervisorPause
			p.unasked = append(p.unasked, fmt.Sprintf("%s %s: %s", time.Now().Format(time.TimeOnly), p.name, how))
		}
		p.asked, p.pause = false, 0
		stopping := p.stopping
		p.mu.Unlock()
		if stopping {
			return
		}
		time.Sleep(pause)
	}
}

// launch starts the process; nil when it shall not run any more.
func (p *proc) launch() <-chan string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping {
		return nil
	}
	gone := make(chan string, 1)
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		gone <- err.Error()
		return gone
	}
	cmd := exec.Command(p.argv[0], p.argv[1:]...) //nolint:gosec,noctx // our own; the supervisor ends it
	cmd.Env = append(p.env[:len(p.env):len(p.env)], p.extra...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endWithParent(cmd.SysProcAttr)
	err = onMainThread(cmd.Start)
	_ = out.Close()
	if err != nil {
		gone <- err.Error()
		return gone
	}
	p.cmd = cmd
	go func() {
		_ = cmd.Wait() // its state says how it ended
		gone <- cmd.ProcessState.String()
	}()
	return gone
}

// starts are run by one thread that lives as long as the program.
var starts = make(chan func())

func init() {
	go func() {
		runtime.LockOSThread()
		for f := range starts {
			f()
		}
	}()
}

func onMainThread(f func() error) error {
	done := make(chan error)
	starts <- func() { done <- f() }
	return <-done
}

// signal reaches the process and its children.
func (p *proc) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = syscall.Kill(-p.cmd.Process.Pid, s) // it may be gone
	}
}

// end ends the process and has it started again after a pause, with an
// addition to its environment.
func (p *proc) end(s syscall.Signal, pause time.Duration, extra ...string) {
	p.mu.Lock()
	p.asked, p.pause, p.extra = true, pause, extra
	p.mu.Unlock()
	p.signal(s)
}

// ready reports whether the process can work.
func (p *proc) ready() bool {
	res, err := local.Get(p.health) //nolint:noctx // bounded by the client
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// stop ends the process for good.
func (p *proc) stop() {
	p.mu.Lock()
	p.stopping, p.asked = true, true
	p.mu.Unlock()
	p.signal(syscall.SIGCONT)
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		p.signal(syscall.SIGKILL)
		<-p.ended
	}
}
