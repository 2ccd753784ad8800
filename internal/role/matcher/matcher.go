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
//	                    nobody eligible ──────────────────────► unserved
//	                    reserve a slot (compare-and-set) ─────► matched, if first
//
// The stream is the truth: of several matches of a lead the first stands, and
// whoever comes second gives the slot back. An operator may give a matched lead
// to another provider (reassigned); that match stands from then on. A decision's content makes its
// message id, so deciding again, here, in a replica or in a replay, adds
// nothing. A process that dies between reserving and publishing leaves one slot
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
	"leadbus/internal/understand/intake"
	"leadbus/internal/understand/place"
)

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
	leads    stripes // one delivery of a lead at a time

	mu         sync.Mutex
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
		loads: newLoads(o.Load, market.Location, o.Log), providers: map[string]roster.Provider{},
	}
	for _, h := range market.Holidays {
		m.holidays[h.Date] = h
	}
	return m
}

// Run keeps the roster in memory until ctx ends. It returns an error when the
// roster cannot be followed any more; what is known is then growing stale.
func (m *Matcher) Run(ctx context.Context) error { return m.follow(ctx, func() {}) }

// follow reads loads and roster, says when it has, and takes over every change
// of the roster until ctx ends.
func (m *Matcher) follow(ctx context.Context, read func()) error {
	if err := m.loads.refresh(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	err := m.Roster.Watch(ctx, m.change, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.ready, m.emptySince = true, m.Now()
		m.Log.Info().Int("providers", len(m.providers)).Msg("roster read")
		read()
	})
	if err != nil {
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
