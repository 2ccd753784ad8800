// Package send sends one market's messages through the send ledger, each once,
// and publishes what became of it:
//
//	           claim                       vendor took it
//	(nothing) ───────► claimed ───────────────────────────► sent
//	    ▲                │  │  refused for this recipient
//	    │                │  └─────────────────────────────► failed
//	    │ certainly not  │
//	    └── sent: free ──┤  no answer, or the sender died
//	                     └────────────────► doubtful ──► sent, when a receipt
//	                                            │        or the vendor says so
//	                                            └──────► claimed again, marked
//	                                                     as a possible double
//
// A doubtful message is settled by a receipt that names it, then by looking at
// the vendor, then by a rule: what a provider must know and what the owner gets
// is sent again, marked as a possible double, since silence is worse; a
// customer's confirmation never is, it stays doubtful and the owner hears of
// it. Where a killed process left off, its journal says whether a request had
// left at all.
//
// The ledger outlives the stream, so replaying any event sends nothing twice.
// It holds ids and vendor codes, nothing personal.
package send

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

// Vendor sends messages of one channel. An error of Send is a *lead.Failure;
// any other counts as doubtful.
type Vendor interface {
	// Send makes one attempt; the attempt id comes back in the receipts.
	Send(ctx context.Context, m lead.Message, attempt string) (lead.Sent, error)
	// Find looks for the message among those sent since a time, except others
	// that say the same, by the vendor's ids; an id that nobody knows is empty. A message that is not found may have
	// been sent all the same: vendors' lists lag.
	Find(ctx context.Context, m lead.Message, attempt string, since time.Time, others []string) (lead.Sent, bool, error)
}

// Raise notifies the owner where that is due; the same occurrence counts once.
type Raise func(ctx context.Context, occurrences ...alarm.Occurrence) error

// Options are what a sender works with.
type Options struct {
	Catalog *site.Catalog
	Market  string
	Stream  event.Stream
	Ledger  event.Bucket      // of sends
	Vendors map[string]Vendor // one for each channel
	Journal *Journal
	Raise   Raise
	// Texted is told that a text to a customer arrived, or why it did not.
	Texted func(ctx context.Context, l subjects.Lead, message string, why *lead.Failure) error
	// OptedOut reports whether who has an address on a channel wants no messages
	// there; nil: nobody is asked. An error says that it is not known yet.
	OptedOut func(channel, address string) (bool, error)
	Now      func() time.Time
	Log      zerolog.Logger
}

// Sender sends one market's messages. Between deliveries it keeps rate limits,
// its journal and entries of the ledger that are final. It is safe for
// concurrent use and beside other senders.
type Sender struct {
	Options
	ledger *ledger
	rates  *rates
	away   map[string]*breaker // by channel, and of each tracker
}

// New needs a vendor for every channel to people.
func New(o Options) (*Sender, error) {
	s := &Sender{Options: o, ledger: newLedger(o.Ledger), rates: newRates(o.Catalog, o.Market), away: map[string]*breaker{}}
	for _, channel := range lead.Channels {
		if o.Vendors[channel] == nil {
			return nil, fmt.Errorf("no vendor for %s", channel)
		}
		s.away[channel] = newBreaker(mostSends)
	}
	s.away[lead.Postback] = newBreaker(mostPostbacks)
	for id := range o.Catalog.Trackers {
		s.away[lead.Postback+" "+id] = newBreaker(mostPostbacks)
	}
	return s, nil
}

// breaker is that of a message's channel. Each tracker has its own.
func (s *Sender) breaker(m lead.Message) *breaker {
	if b := s.away[m.Channel+" "+m.To]; b != nil {
		return b
	}
	return s.away[m.Channel]
}
