package watch

import (
	"cmp"
	"context"
	"crypto/rand"
	"sync"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
)

// Task is a piece of periodic work; what it finds alarming is raised. It may
// run twice at the same time for a moment, when one scanner takes over from
// another, and must not mind.
type Task struct {
	Name  string
	Every time.Duration
	Run   func(ctx context.Context) ([]alarm.Occurrence, error)
}

// How often the scanner on duty says that it is, and after how long a silence
// another takes over.
const (
	dutyBeat    = 5 * time.Second
	dutySilence = 20 * time.Second
	dutyKey     = "duty"
)

// repeatEvery is how often unanswered alarms are looked at, agentsEvery how the
// agents are set up.
const (
	repeatEvery = 15 * time.Second
	agentsEvery = time.Hour
)

// duty says who does the periodic work; N moves with every beat, so nobody has
// to agree on a clock.
type duty struct {
	Holder string `json:"holder"` // empty when it was given back
	N      uint64 `json:"n"`
}

// Run does the periodic work while no other scanner of the market does, until
// ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	seen := watcher{me: rand.Text()}
	tick := time.NewTicker(dutyBeat)
	defer tick.Stop()
	var stop func() // nil while off duty
	for {
		mine, err := w.beat(ctx, &seen)
		if err != nil && ctx.Err() == nil {
			w.Log.Warn().Err(err).Msg("it is not known which scanner is on duty")
			mine = stop != nil && time.Since(seen.said) < dutySilence // nobody takes over before that
		}
		switch {
		case mine && stop == nil:
			stop = w.work(ctx)
			w.Log.Info().Msg("on duty")
		case !mine && stop != nil:
			stop()
			stop = nil
			w.Log.Info().Msg("off duty")
		}
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
		}
		if stop != nil {
			stop()
			w.leave(context.WithoutCancel(ctx), seen.me)
		}
		return nil
	}
}

// watcher is what a scanner has seen of the duty.
type watcher struct {
	me      string
	n       uint64
	changed time.Time // when n was seen first
	said    time.Time // that this scanner is on duty
}

// beat says that this scanner is on duty, unless another does.
func (w *Watch) beat(ctx context.Context, seen *watcher) (mine bool, err error) {
	err = event.Change(ctx, w.Bucket, dutyKey, func(d duty) (duty, error) {
		if d.N != seen.n {
			seen.n, seen.changed = d.N, time.Now()
		}
		if mine = d.Holder == seen.me || d.Holder == "" || time.Since(seen.changed) >= dutySilence; mine {
			d = duty{seen.me, d.N + 1}
		}
		return d, nil
	})
	if err != nil || !mine {
		return false, err
	}
	seen.said = time.Now()
	return true, nil
}

// leave gives the duty back, so that another need not wait for a silence.
func (w *Watch) leave(ctx context.Context, me string) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = event.Change(ctx, w.Bucket, dutyKey, func(d duty) (duty, error) { // else another waits a little longer
		if d.Holder == me {
			d = duty{"", d.N + 1}
		}
		return d, nil
	})
}

// work starts every task; stop ends and awaits them.
func (w *Watch) work(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	own := []Task{{"repeat of alarms", repeatEvery, w.Repeat}, {"digest", digestEvery, w.digest}}
	if w.Agent != nil {
		own = append(own, Task{"agents", cmp.Or(w.AgentsEvery, agentsEvery), w.lookAtAgents})
	}
	for _, t := range append(own, w.Tasks...) {
		all.Go(func() { w.periodic(ctx, t) })
	}
	return func() { cancel(); all.Wait() }
}

// periodic runs a task at once and then whenever it is due.
func (w *Watch) periodic(ctx context.Context, t Task) {
	tick := time.NewTicker(t.Every)
	defer tick.Stop()
	for ctx.Err() == nil {
		occurrences, err := t.Run(ctx)
		if err == nil {
			err = w.Raise(ctx, occurrences...)
		}
		if err != nil && ctx.Err() == nil {
			w.Log.Error().Err(err).Str("task", t.Name).Msg("a periodic task failed; it comes again")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}
