// Package watch notifies the owner, and looks after one market for as long as no
// other process does.
//
// A fault becomes an alarm, one for each cause, repeated until somebody
// acknowledges it or it has come right by itself. Alarms, and how often which
// agent fails at what, stand in the bucket watch; all of it is reduced from events
// that carry ids, so a repeated delivery changes nothing.
//
// Of a market's watches one at a time does the periodic work (Task); another
// takes over when it falls silent. Besides what it is given, that is the repeat
// of alarms, the digest, and a look at the agents: one that was changed at the
// voice vendor is an alarm.
package watch

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/event"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

// Stream holds the market's events.
type Stream interface {
	event.FirstStream
	// History are the stored events from a time on, in stream order.
	History(ctx context.Context, filter subjects.Lead, from time.Time, f func(event.Event) error) error
}

// Bucket is the market's bucket watch.
type Bucket interface {
	event.Bucket
	All(ctx context.Context) ([]event.Entry, error)
	// Purge removes a key that must still have the revision.
	Purge(ctx context.Context, key string, revision uint64) error
}

// Options are what a watch works with.
type Options struct {
	Catalog *site.Catalog
	Market  string
	Stream  Stream
	Bucket  Bucket
	// Dead counts what a role gave up and nobody has retried or dropped; nil
	// where the alarms about it are not repeated.
	Dead func(ctx context.Context, role string) (uint64, error)
	// Agent is how the voice vendor has an agent set up, as JSON; nil without
	// access. The error is an event.ErrNotFound when the vendor does not have it.
	Agent func(ctx context.Context, id string) ([]byte, error)
	// AgentsEvery is how often agents are looked at; default: an hour.
	AgentsEvery time.Duration
	Tasks       []Task // the periodic work beside the watch's own
	Now         func() time.Time
	Log         zerolog.Logger
}

// Watch keeps one market's alarms. Every process raises through one of its own;
// it is safe for concurrent use and beside others of the market.
type Watch struct {
	Options
	first  string     // the site whose owner hears what concerns the whole market
	agents sync.Mutex // one call at a time is counted for its agent
}

// New makes a watch; Run does its periodic work.
func New(o Options) *Watch {
	w := &Watch{Options: o}
	for domain, site := range o.Catalog.Sites {
		if site.Market == o.Market && (w.first == "" || domain < w.first) {
			w.first = domain
		}
	}
	return w
}
