// Package notifier tells people about one market's leads: provider, customer
// and owner.
//
// It is a state machine over events. An outcome of the matcher (matched,
// amended, unserved, review-requested) is planned: every message is rendered
// and published as one message-queued event, under an id that repeats when the
// plan does. So is what the owner reads of a finished call (call-scanned), an
// alarm (alarm-raised) and a day (digest-made). Each message-queued event is then sent by its own delivery,
// through the send ledger, and its outcome published:
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
package notifier

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

// Stream takes events; a repeat of an id it has is a success.
type Stream interface {
	Publish(ctx context.Context, e event.Event) error
	// PublishAll keeps the order.
	PublishAll(ctx context.Context, events []event.Event) error
	// Events are the stored events of a lead, or of one kind of them.
	Events(ctx context.Context, filter subjects.Lead) ([]event.Event, error)
}

// Ledger is the market's bucket of sends, with compare-and-set. Errors are
// event.ErrNotFound and event.ErrConflict.
type Ledger interface {
	Get(ctx context.Context, key string) (event.Entry, error)
	Create(ctx context.Context, key string, value []byte) (uint64, error)
	Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
}

// Vendor sends messages of one channel. An error of Send is a *lead.Failure;
// any other counts as doubtful.
type Vendor interface {
	// Send makes one attempt; the attempt id comes back in the receipts.
	Send(ctx context.Context, m lead.Message, attempt string) (lead.Sent, error)
	// Find looks for the message among those sent since a time. That it is
	// not found does not prove that it was not sent: vendors' lists lag.
	Find(ctx context.Context, m lead.Message, attempt string, since time.Time) (lead.Sent, bool, error)
}

// Options are what a notifier works with.
type Options struct {
	Catalog *site.Catalog
	Market  string
	Stream  Stream
	Ledger  Ledger
	Vendors map[string]Vendor // one for each channel
	Journal *Journal
	// Links makes the links by which owners answer, and PublicURL is the
	// edge's, where they lead. Without either the mails have none.
	Links     *link.Signer
	PublicURL string
	Now       func() time.Time
	Log       zerolog.Logger
}

// Notifier handles one market's deliveries. Between them it keeps rate limits,
// its journal and entries of the ledger that are final. It is safe for
// concurrent use and beside other notifiers.
type Notifier struct {
	catalog *site.Catalog
	links   *link.Signer
	public  string
	texts   map[string]map[string]*texts // by domain and language
	stream  Stream
	ledger  *ledger
	vendors map[string]Vendor
	journal *Journal
	rates   *rates
	away    map[string]*breaker // by channel
	now     func() time.Time
	log     zerolog.Logger
}

// New reads and checks all texts of the market's sites; its error names site,
// language and text of every broken override.
func New(o Options) (*Notifier, error) {
	for _, channel := range []string{lead.WhatsApp, lead.SMS, lead.Email} {
		if o.Vendors[channel] == nil {
			return nil, fmt.Errorf("notifier: no vendor for %s", channel)
		}
	}
	base, err := shippedTexts()
	if err != nil {
		return nil, fmt.Errorf("notifier: %w", err)
	}
	n := &Notifier{
		catalog: o.Catalog, links: o.Links, public: strings.TrimRight(o.PublicURL, "/"), texts: map[string]map[string]*texts{}, stream: o.Stream, ledger: newLedger(o.Ledger),
		vendors: o.Vendors, journal: o.Journal, away: map[string]*breaker{}, rates: newRates(o.Catalog, o.Market), now: o.Now, log: o.Log,
	}
	for channel := range o.Vendors {
		n.away[channel] = newBreaker()
	}
	var faults []error
	for domain, s := range o.Catalog.Sites {
		if s.Market != o.Market {
			continue
		}
		n.texts[domain], err = override(base, s)
		faults = append(faults, err)
	}
	return n, errors.Join(faults...)
}

// Handle takes one delivery of the notifier's durable.
func (n *Notifier) Handle(ctx context.Context, d event.Delivery) error {
	var messages []lead.Message
	var err error
	switch b := d.Body.(type) {
	case *event.Decided:
		messages, err = n.plan(d.Event, *b)
	case *event.Scanned:
		messages, err = n.scanned(d.Event, *b)
	case *event.Raised:
		messages, err = n.raised(d.Event, b.Alarm)
	case *event.Digested:
		messages, err = n.digested(d.Event, b.Digest)
	case *event.Queued:
		return n.send(ctx, d, b.Message)
	case *event.Reported:
		return n.receipt(ctx, d, b.Receipt)
	default:
		return event.Permanent(fmt.Errorf("the notifier does not handle %s", d.Lead.Event))
	}
	if err != nil {
		return err
	}
	return n.queue(ctx, d.Lead, messages)
}

// queue publishes messages and returns when all are durable, in the order in
// which they should go out.
func (n *Notifier) queue(ctx context.Context, l subjects.Lead, messages []lead.Message) error {
	l.Event = subjects.MessageQueued
	events := make([]event.Event, len(messages))
	for i, m := range messages {
		events[i] = event.Event{ID: l.Event + "-" + m.ID, At: n.now(), Lead: l, Body: &event.Queued{Message: m}}
	}
	if err := n.stream.PublishAll(ctx, events); err != nil {
		return fmt.Errorf("queue messages: %w", err)
	}
	return nil
}
