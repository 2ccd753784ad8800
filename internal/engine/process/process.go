// Package process is the life of one program: it starts named parts in order,
// says when all are ready, ends the program when one part is lost, and stops
// the parts last-started-first within a bound.
//
// A part that cannot go on (a lost subscription, a listener that broke) returns
// an error and the whole process ends with it, so that a supervisor restarts
// it: nothing limps on half-alive.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"
)

// stopBound is how long an orderly stop may take in all.
const stopBound = 30 * time.Second

// Process holds the running parts. Its methods are safe for concurrent use.
type Process struct {
	Log      zerolog.Logger
	Registry *prometheus.Registry

	mu    sync.Mutex
	stops []stop
	ready []condition
	lacks []string
	lost  chan error
	ended bool
}

type condition struct {
	unless string // what is said when it does not hold
	holds  func() bool
}

type stop struct {
	name string
	f    func(context.Context) error
}

// New is a process without parts.
func New(log zerolog.Logger) *Process {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Process{Log: log, Registry: r, lost: make(chan error, 1)}
}

// Main runs start under a context that ends on SIGINT or SIGTERM, waits for
// the end or for a lost part, stops everything, and answers what went wrong. A
// second signal ends the process at once.
func Main(p *Process, start func(ctx context.Context, p *Process) error) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	err := start(ctx, p)
	if err == nil {
		err = p.Wait(ctx)
	} else if ctx.Err() != nil {
		err = nil // asked to stop while starting
	}
	cancel() // a second signal now has its default effect
	return errors.Join(err, p.Stop())
}

// OnStop registers the teardown of something that was just opened. Teardowns
// run in reverse order.
func (p *Process) OnStop(name string, f func(context.Context) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stops = append(p.stops, stop{name, f})
}

// Go runs a part until the process stops. Its context is cancelled in its turn
// of the stop order, which then waits for it to return. A part that returns
// before that, with or without an error, ends the process.
func (p *Process) Go(name string, f func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := f(ctx)
		if ctx.Err() == nil {
			if err == nil {
				err = errors.New("ended unasked")
			}
			select {
			case p.lost <- fmt.Errorf("%s: %w", name, err):
			default:
			}
			err = nil // told once, by the process
		}
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		done <- err
	}()
	p.OnStop(name, func(bound context.Context) error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-bound.Done():
			return errors.New("did not stop in time")
		}
	})
}

// End asks for an orderly end: the process has done what it was started for.
func (p *Process) End() {
	select {
	case p.lost <- nil:
	default:
	}
}

// ReadyWhen adds a condition without which the process cannot do its work, and
// what to say when it does not hold.
func (p *Process) ReadyWhen(unless string, f func() bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = append(p.ready, condition{unless, f})
}

// NotReady tells why some part cannot do its work now; with nothing to tell the
// process is ready. It is not as soon as the stop begins.
func (p *Process) NotReady() (why []string) {
	p.mu.Lock()
	ready, ended := p.ready, p.ended
	p.mu.Unlock()
	for _, c := range ready {
		if !c.holds() {
			why = append(why, c.unless)
		}
	}
	if ended {
		why = append(why, "it stops")
	}
	return why
}

// Lack says, in the log and to whoever asks whether the process is ready, what
// it works without.
func (p *Process) Lack(what string) {
	p.Log.Warn().Msg(what)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lacks = append(p.lacks, what)
}

// Lacks is what the process works without.
func (p *Process) Lacks() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lacks)
}

// Wait returns nil when ctx ends and the error of a part that was lost.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-p.lost:
		return err
	}
}

// Stop tears everything down, last-started-first, and joins what went wrong.
// A second call does nothing.
func (p *Process) Stop() error {
	p.mu.Lock()
	stops := p.stops
	p.stops, p.ended = nil, true
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), stopBound)
	defer cancel()
	var errs []error
	for i := len(stops) - 1; i >= 0; i-- {
		if err := stops[i].f(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", stops[i].name, err))
		}
	}
	return errors.Join(errs...)
}
