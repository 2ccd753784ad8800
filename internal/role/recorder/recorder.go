// Package recorder is the role that writes a market's events to Postgres, where
// the owner looks, and copies the roster, which the owner edits there, to the
// market's bus, where the matcher reads. It is the only role that needs
// Postgres: while that is away, rows are late and nobody else notices.
//
// Any number of recorders may work for one market.
package recorder

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/event"
	"leadbus/internal/roster"
)

// Store is what the recorder needs of Postgres.
type Store interface {
	// Record stores events of one market, all or nothing, indifferent to
	// order and repetition. A permanent error means that one of them can
	// never be stored; any other that the database is away.
	Record(ctx context.Context, market string, events []event.Event) error
	Roster(ctx context.Context, market string) ([]roster.Provider, error)
	// RosterVersion moves with every change of the roster; 0 means that
	// there has never been one.
	RosterVersion(ctx context.Context, market string) (int64, error)
}

// Bucket is the market's copy of the roster.
type Bucket interface {
	All(ctx context.Context) ([]event.Entry, error)
	Put(ctx context.Context, key string, value []byte) (uint64, error)
	Delete(ctx context.Context, key string) error
}

// Options are what a recorder works with.
type Options struct {
	Market string
	Store  Store
	Roster Bucket
	Log    zerolog.Logger
}

// Recorder works for one market. Its methods are safe for concurrent use.
type Recorder struct {
	Options
}

// New makes a recorder.
func New(o Options) *Recorder { return &Recorder{o} }

// awayPause is how long a batch waits before it is given back when the database
// is away: the stream keeps what is behind it.
const awayPause = time.Second

// Handle stores a batch of deliveries and answers the fate of each: an event
// that Postgres refuses goes to the DLQ alone, and when the database is away
// all of them come again.
func (r *Recorder) Handle(ctx context.Context, deliveries []event.Delivery) []error {
	events := make([]event.Event, len(deliveries))
	for i, d := range deliveries {
		events[i] = d.Event
	}
	fates := make([]error, len(events))
	if away := r.record(ctx, events, fates); away != nil {
		select {
		case <-time.After(awayPause):
		case <-ctx.Done():
		}
		for i := range fates {
			if fates[i] == nil {
				fates[i] = event.After(awayPause/2+rand.N(awayPause), away)
			}
		}
	}
	return fates
}

// record stores events and leaves nil as the fate of each that is stored. The
// error means that the database is away, and that the fate of those without
// one is open.
func (r *Recorder) record(ctx context.Context, events []event.Event, fates []error) (away error) {
	err := r.Store.Record(ctx, r.Market, events)
	if err == nil {
		return nil
	}
	if fate, _ := event.Outcome(err, 1); fate != event.Terminate {
		return err
	}
	if len(events) == 1 {
		e := events[0]
		r.Log.Error().Err(err).Str("event", e.Lead.Event).Str("site", e.Lead.Site).Str("lead", e.Lead.Lead).Uint64("seq", e.Seq).
			Msg("event cannot be stored")
		fates[0] = fmt.Errorf("store %s: %w", e.Lead.Event, err)
		return nil
	}
	half := len(events) / 2
	if err := r.record(ctx, events[:half], fates[:half]); err != nil {
		return err
	}
	return r.record(ctx, events[half:], fates[half:])
}
