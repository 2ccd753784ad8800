// Package matcher decides who gets one market's leads.
//
// Every tool call of a conversation is one received event on the same lead. For
// each delivery the matcher reads all events of the lead, lays its calls over
// each other in stream order, understands the whole anew, and compares that
// with what was decided before:
//
//	received ─► all calls ─► known already? ───────────────────────► nothing
//	                    matched before, content differs now ───► amended, same offer
//	                    no phone, service or place ───────────► review-requested
//	                    the same caller for the same job ─────► merged into that lead
//	                    nobody open now ──────────────────────► postponed
//	                    nobody eligible ──────────────────────► unserved
//	                    reserve a slot (compare-and-set) ─────► matched, if first
//
// From then on Route brings the lead further: after each failed message, answer of a
// provider and order of the owner, and when its timer is due, it goes to the next
// provider (reassigned, unserved, postponed), or somebody hears that it takes longer
// (overdue).
//
// The stream is the truth: of several decisions that were made on the same turn of a
// lead the first stands, and whoever comes second gives the slot back. A decision's
// content makes its message id, so deciding again, here, in a replica or in a replay,
// adds nothing. A process that dies between reserving and publishing leaves one slot
// counted; a cap is never exceeded.
//
// A test lead waits for the roster like any other and is then matched to the
// market's canary, whom no load counts.
//
// A later call that asks for another service is a request of its own: it is
// published once more as the first call of a second lead.
package matcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/event"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
	"leadbus/internal/understand/intake"
	"leadbus/internal/understand/place"
)

// Watched is a bucket that is followed.
type Watched interface {
	event.Bucket
	Roster
}

// Timers hold at most one for each lead.
type Timers interface {
	// SetTimer takes the place of the lead's timer; one in the past is due at once.
	SetTimer(ctx context.Context, of subjects.Lead, at time.Time) error
}

// Roster is the market's bucket of providers.
type Roster interface {
	// Watch hands over what is there, calls ready, and hands over every change
	// until ctx ends.
	Watch(ctx context.Context, f func(event.Entry), ready func()) error
}

// Load is the market's bucket of offers taken, by provider.
type Load interface {
	event.Bucket
	All(ctx context.Context) ([]event.Entry, error)
}

// Options are what a matcher works with.
type Options struct {
	Catalog *site.Catalog
	Market  string // one of the catalog's
	Stream  event.FirstStream
	Roster  Roster
	Load    Load
	Watch   Watched      // keeps the health of channels
	People  event.Bucket // keeps who called before
	Timers  Timers
	Past    Past // nil: a call that nobody heard waits for nothing
	Now     func() time.Time
	Log     zerolog.Logger
}

// emptyTime is how long a roster must have been empty before a lead counts as
// unserved for it: a new deployment fills its roster while leads may wait.
const emptyTime = time.Minute

// restTime is how long a roster must not have changed before a lead counts as
// unserved: an import arrives provider by provider.
const restTime = 3 * time.Second

// Matcher handles one market's deliveries. It is safe for concurrent use and
// beside other matchers of the market.
type Matcher struct {
	Options
	market   *site.Market
	holidays map[string]site.Holiday // by local date
	reader   *intake.Reader
	places   *place.Gazetteer
	loads    *loads
	health   *health
	leads    stripes // one delivery of a lead at a time

	mu         sync.Mutex
	salt       []byte // of the keys in People
	ready      bool
	providers  map[string]roster.Provider
	listed     []roster.Provider // the same; nil after a change
	emptySince time.Time
	changed    time.Time
}

// New makes a matcher; Run must run for it to decide anything.
func New(o Options) *Matcher {
	market := o.Catalog.Markets[o.Market]
	m := &Matcher{
		Options: o, market: market, holidays: map[string]site.Holiday{},
		reader: intake.New(o.Catalog), places: place.NewGazetteer(market.Places, market.Decoys),
		loads: newLoads(o.Load, market.Location, o.Log), health: &health{stream: o.Stream, bucket: o.Watch}, providers: map[string]roster.Provider{},
	}
	for _, h := range market.Holidays {
		m.holidays[h.Date] = h
	}
	return m
}

// Run keeps roster and health of channels in memory until ctx ends. It returns an
// error when they cannot be followed any more; what is known is then growing stale.
func (m *Matcher) Run(ctx context.Context) error {
	if err := m.loads.refresh(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	fault := make(chan error, 1)
	known := make(chan struct{})
	go func() {
		defer cancel()
		fault <- m.health.run(ctx, func() { close(known) })
	}()
	select {
	case <-known:
	case <-ctx.Done():
	}
	err := m.Roster.Watch(ctx, m.change, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.ready, m.emptySince = true, m.Now()
		m.Log.Info().Int("providers", len(m.providers)).Msg("roster read")
	})
	cancel()
	if err = errors.Join(err, <-fault); err != nil {
		return fmt.Errorf("follow the roster: %w", err)
	}
	return nil
}

// Ready reports whether the roster was read.
func (m *Matcher) Ready() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ready
}

// change takes over one provider. One that cannot be read stays as it was.
func (m *Matcher) change(e event.Entry) {
	var p roster.Provider
	if e.Value != nil {
		if err := json.Unmarshal(e.Value, &p); err != nil || p.ID != e.Key {
			m.Log.Error().Err(err).Str("provider", e.Key).Msg("unreadable provider passed over")
			return
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	had := len(m.providers)
	if e.Value == nil {
		delete(m.providers, e.Key)
	} else {
		m.providers[e.Key] = p
	}
	if had > 0 && len(m.providers) == 0 {
		m.emptySince = m.Now()
	}
	if m.listed = nil; m.ready {
		m.changed = m.Now()
	}
}

// atRest reports whether the roster has not changed for a moment.
func (m *Matcher) atRest() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.Now().Sub(m.changed) >= restTime
}

// list is the roster now; it must not be changed. An error says that it cannot
// be relied on yet.
func (m *Matcher) list() ([]roster.Provider, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ready {
		return nil, errRosterUnread
	}
	if len(m.providers) == 0 && m.Now().Sub(m.emptySince) < emptyTime {
		return nil, errRosterEmpty
	}
	if m.listed == nil {
		m.listed = slices.Collect(maps.Values(m.providers))
	}
	return m.listed, nil
}

// stripes are locks by key. Two keys may share one, so a goroutine holds at
// most one of a set.
type stripes [64]sync.Mutex

var seed = maphash.MakeSeed()

func (s *stripes) lock(key string) (unlock func()) {
	mu := &s[maphash.String(seed, key)%uint64(len(s))]
	mu.Lock()
	return mu.Unlock
}
