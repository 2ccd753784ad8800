// Package drift decides from single calls, a few a day, whether an agent has
// become worse at one thing. It is a Bernoulli CUSUM with a run rule beside it,
// kept for each agent and detector:
//
//	S ← max(0, S + w)   w = ln(p1/p0) of a bad call, ln((1−p1)/(1−p0)) of a good one
//	p0 = (bad+1)/(n+10) over the last 200 calls, within 0.05–0.30; p1 = p0 + 0.20
//
// S at 3.0 is amber. S at 4.5 is a page, which stays until it is acknowledged;
// so are 3 bad calls in a row where p0 was at most 0.10 before them, and 4 where
// it was at most 0.20.
//
// A State is a value and plain JSON. It is the result of a reducer: the same observations in the
// same order give the same state, and one that was seen changes nothing.
package drift

import (
	"math"
	"slices"
	"time"
)

const (
	window = 200 // observations remembered
	page   = 4.5
	amber  = 3.0
	shift  = 0.20 // p1 − p0
)

// Level says how bad it looks.
type Level string

// The levels.
const (
	Calm  Level = ""
	Amber Level = "amber"
	Page  Level = "page"
)

// Observation is one eligible call: bad when the detector found something.
type Observation struct {
	ID  string    `json:"id"`
	At  time.Time `json:"at"` // when the call began
	Bad bool      `json:"bad,omitempty"`
}

// State is what is known of one agent and detector. The zero value knows
// nothing.
type State struct {
	Sum    float64       `json:"sum"`              // S
	Run    int           `json:"run,omitempty"`    // bad calls in a row
	Recent []Observation `json:"recent,omitempty"` // at most 200, in order of arrival
	Alarm  *Alarm        `json:"alarm,omitempty"`  // a page not yet acknowledged

	Config   string    `json:"config,omitempty"` // of the last Restart
	ConfigAt time.Time `json:"config_at,omitzero"`
}

// Alarm is a page.
type Alarm struct {
	ID   string    `json:"id"` // of the observation that raised it
	At   time.Time `json:"at"` // of that call
	Rule string    `json:"rule"`
	P0   float64   `json:"p0"` // the share of bad calls that was usual
}

// Rules of an alarm.
const (
	RuleSum = "cusum"
	RuleRun = "run"
)

// Observe adds a call. One that is remembered, or that is older than all that
// are when 200 are, changes nothing: it may have been counted before.
func (s State) Observe(o Observation) State {
	full := len(s.Recent) >= window
	for _, r := range s.Recent {
		full = full && o.At.Before(r.At)
		if r.ID == o.ID {
			return s
		}
	}
	if full {
		return s
	}
	p0 := usual(s.Recent)
	w, worse := weights(p0)
	if s.Run++; o.Bad {
		w = worse
	} else {
		s.Run = 0
	}
	s.Sum = max(0, s.Sum+w)
	// The run itself must not raise the p0 that it is judged by.
	before := usual(s.Recent[:max(0, len(s.Recent)-max(0, s.Run-1))])
	if s.Alarm == nil {
		switch {
		case s.Run >= 3 && before <= 0.10, s.Run >= 4 && before <= 0.20:
			s.Alarm = &Alarm{o.ID, o.At, RuleRun, before}
		case s.Sum >= page:
			s.Alarm = &Alarm{o.ID, o.At, RuleSum, p0}
		}
	}
	s.Recent = append(slices.Clone(s.Recent[max(0, len(s.Recent)-window+1):]), o)
	return s
}

// Acknowledge ends the alarm with the given id and begins anew, unless a Restart
// after it already did. Any other id changes nothing.
func (s State) Acknowledge(alarm string) State {
	if s.Alarm == nil || s.Alarm.ID != alarm {
		return s
	}
	if !s.Alarm.At.Before(s.ConfigAt) {
		s.Sum, s.Run = 0, 0
	}
	s.Alarm = nil
	return s
}

// Restart begins anew half way to a page, since the agent's configuration
// changed. A repeat, or a change older than the last one, changes nothing, and
// an alarm stays until it is acknowledged.
func (s State) Restart(config string, at time.Time) State {
	if config != s.Config && at.After(s.ConfigAt) {
		s.Config, s.ConfigAt, s.Sum, s.Run = config, at, page/2, 0
	}
	return s
}

// Level is how bad it looks now.
func (s State) Level() Level {
	switch {
	case s.Alarm != nil:
		return Page
	case s.Sum >= amber:
		return Amber
	}
	return Calm
}

// Count is how many of the calls remembered were bad.
func (s State) Count() (bad, n int) {
	for _, o := range s.Recent {
		if o.Bad {
			bad++
		}
	}
	return bad, len(s.Recent)
}

// usual is p0.
func usual(recent []Observation) float64 {
	bad, n := State{Recent: recent}.Count()
	return min(max(float64(bad+1)/float64(n+10), 0.05), 0.30)
}

// weights are what a good and a bad call add to the sum.
func weights(p0 float64) (good, bad float64) {
	p1 := p0 + shift
	return math.Log((1 - p1) / (1 - p0)), math.Log(p1 / p0)
}

// Wilson is the 95 % interval of a share of which bad of n were seen: 0 to 1
// when nothing was.
func Wilson(bad, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959963984540054
	p, m := float64(bad)/float64(n), float64(n)
	mid := p + z*z/(2*m)
	half := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	scale := 1 + z*z/m
	return max(0, (mid-half)/scale), min(1, (mid+half)/scale)
}
