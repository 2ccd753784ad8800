package scanner

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
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
func (s *Scanner) Run(ctx context.Context) error {
	w := watcher{me: rand.Text()}
	tick := time.NewTicker(dutyBeat)
	defer tick.Stop()
	stop := func() {}
	working := false
	for {
		mine, err := s.beat(ctx, &w)
		if err != nil && ctx.Err() == nil {
			s.Log.Warn().Err(err).Msg("it is not known which scanner is on duty")
			mine = working && time.Since(w.said) < dutySilence // nobody takes over before that
		}
		switch {
		case mine && !working:
			stop = s.work(ctx)
			s.Log.Info().Msg("on duty")
		case !mine && working:
			stop()
			s.Log.Info().Msg("off duty")
		}
		working = mine
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
		}
		if working {
			stop()
			s.leave(context.WithoutCancel(ctx), w.me)
		}
		return nil
	}
}

// watcher is what a scanner has seen of the duty.
type watcher struct {
	me       string
	revision uint64
	changed  time.Time // when the revision was seen first
	said     time.Time // that this scanner is on duty
}

// beat says that this scanner is on duty, unless another does.
func (s *Scanner) beat(ctx context.Context, w *watcher) (mine bool, err error) {
	held, d, err := s.duty(ctx)
	if err != nil {
		return false, err
	}
	if held.Revision != w.revision {
		w.revision, w.changed = held.Revision, time.Now()
	}
	if d.Holder != w.me && d.Holder != "" && time.Since(w.changed) < dutySilence {
		return false, nil
	}
	switch err := s.hold(ctx, held, duty{w.me, d.N + 1}); {
	case errors.Is(err, event.ErrConflict):
		return false, nil
	case err != nil:
		return false, err
	}
	w.said = time.Now()
	return true, nil
}

// leave gives the duty back, so that another need not wait for a silence.
func (s *Scanner) leave(ctx context.Context, me string) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if held, d, err := s.duty(ctx); err == nil && d.Holder == me {
		_ = s.hold(ctx, held, duty{"", d.N + 1}) // else another waits a little longer
	}
}

func (s *Scanner) duty(ctx context.Context) (event.Entry, duty, error) {
	var d duty
	held, err := s.Watch.Get(ctx, dutyKey)
	if errors.Is(err, event.ErrNotFound) {
		return held, d, nil
	} else if err != nil {
		return held, d, err
	}
	if err := json.Unmarshal(held.Value, &d); err != nil {
		s.Log.Error().Err(err).Msg("the duty cannot be read and is written anew")
	}
	return held, d, nil
}

func (s *Scanner) hold(ctx context.Context, held event.Entry, d duty) error {
	value, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if held.Revision == 0 {
		_, err = s.Watch.Create(ctx, dutyKey, value)
	} else {
		_, err = s.Watch.Update(ctx, dutyKey, value, held.Revision)
	}
	return err
}

// work starts every task; stop ends and awaits them.
func (s *Scanner) work(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	own := []Task{{"repeat of alarms", repeatEvery, s.repeat}, {"digest", digestEvery, s.digest}}
	if s.Agent != nil {
		own = append(own, Task{"agents", cmp.Or(s.AgentsEvery, agentsEvery), s.lookAtAgents})
	}
	for _, t := range append(own, s.Tasks...) {
		all.Go(func() { s.periodic(ctx, t) })
	}
	return func() { cancel(); all.Wait() }
}

// periodic runs a task at once and then whenever it is due.
func (s *Scanner) periodic(ctx context.Context, t Task) {
	tick := time.NewTicker(t.Every)
	defer tick.Stop()
	for ctx.Err() == nil {
		occurrences, err := t.Run(ctx)
		if err == nil {
			err = s.raise(ctx, occurrences...)
		}
		if err != nil && ctx.Err() == nil {
			s.Log.Error().Err(err).Str("task", t.Name).Msg("a periodic task failed; it comes again")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}
