package matcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/event"
	"leadbus/internal/roster"
)

// loads are the offers taken, as far as this process knows. Other replicas take
// offers too: nothing counts until the bucket accepted it at the revision it
// was decided on, and then what was known of that provider was true.
type loads struct {
	bucket Load
	loc    *time.Location
	log    zerolog.Logger
	turns  stripes // one write to a provider's load at a time

	mu        sync.Mutex
	known     map[string]roster.Load // replaced, never changed
	revisions map[string]uint64      // likewise; none for a load that was never written
}

func newLoads(bucket Load, loc *time.Location, log zerolog.Logger) *loads {
	return &loads{bucket: bucket, loc: loc, log: log, known: map[string]roster.Load{}, revisions: map[string]uint64{}}
}

// refresh reads all loads anew.
func (l *loads) refresh(ctx context.Context) error {
	entries, err := l.bucket.All(ctx)
	if err != nil {
		return fmt.Errorf("read loads: %w", err)
	}
	known, revisions := make(map[string]roster.Load, len(entries)), make(map[string]uint64, len(entries))
	for _, e := range entries {
		known[e.Key], revisions[e.Key] = l.decode(e), e.Revision
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known, l.revisions = known, revisions
	return nil
}

// decode reads a load. One that cannot be read counts as none: to hold back
// every lead of a provider would be worse than a cap that starts anew.
func (l *loads) decode(e event.Entry) roster.Load {
	var load roster.Load
	if err := json.Unmarshal(e.Value, &load); err != nil {
		l.log.Error().Err(err).Str("provider", e.Key).Msg("unreadable load counts as none")
		return roster.Load{}
	}
	return load
}

// snapshot is what is known of all providers, and at which revisions. Neither
// may be changed.
func (l *loads) snapshot() (map[string]roster.Load, map[string]uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known, l.revisions
}

// reserve counts an offer at a time, if the load is still at the revision that
// the choice was made on; else it answers event.ErrConflict, and the truth is
// known then.
func (l *loads) reserve(ctx context.Context, id string, revision uint64, at time.Time) error {
	defer l.turns.lock(id)()
	known, revisions := l.snapshot()
	if revisions[id] != revision {
		return event.ErrConflict // another worker of this process was faster
	}
	err := l.write(ctx, id, known[id].Reserve(at, l.loc), revision)
	if errors.Is(err, event.ErrConflict) {
		if err := l.read(ctx, id); err != nil {
			return err
		}
	}
	return err
}

// release takes an offer reserved at a time back.
func (l *loads) release(ctx context.Context, id string, at time.Time) error {
	defer l.turns.lock(id)()
	err := event.Change(ctx, l.bucket, id, func(load roster.Load) (roster.Load, error) {
		if load.LastOfferAt.IsZero() {
			return load, event.ErrUnchanged
		}
		return load.Release(at, l.loc), nil
	})
	if err == nil {
		err = l.read(ctx, id)
	}
	return err
}

// leave notes the last day of a leave that a provider announced.
func (l *loads) leave(ctx context.Context, id, until string) error {
	defer l.turns.lock(id)()
	err := event.Change(ctx, l.bucket, id, func(load roster.Load) (roster.Load, error) {
		load.AwayUntil = until
		return load, nil
	})
	if err == nil {
		err = l.read(ctx, id)
	}
	return err
}

func (l *loads) read(ctx context.Context, id string) error {
	e, err := l.bucket.Get(ctx, id)
	switch {
	case err == nil:
		l.learn(id, l.decode(e), e.Revision)
	case errors.Is(err, event.ErrNotFound):
		l.learn(id, roster.Load{}, 0)
	default:
		return fmt.Errorf("read load: %w", err)
	}
	return nil
}

func (l *loads) write(ctx context.Context, id string, load roster.Load, revision uint64) error {
	value, err := json.Marshal(load)
	if err != nil {
		return err
	}
	if revision, err = event.Write(ctx, l.bucket, id, value, revision); err != nil {
		return fmt.Errorf("count an offer: %w", err)
	}
	l.learn(id, load, revision)
	return nil
}

func (l *loads) learn(id string, load roster.Load, revision uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known, l.revisions = maps.Clone(l.known), maps.Clone(l.revisions)
	l.known[id], l.revisions[id] = load, revision
}
