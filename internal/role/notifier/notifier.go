// Package notifier tells people about one market's leads: provider, customer
// and owner.
//
// What the matcher decided (matched, amended, unserved, review-requested), what
// the owner reads of a finished call (call-scanned), an alarm (alarm-raised) and
// a day (digest-made) are composed: every message is rendered and published as
// one message-queued event, under an id that repeats when the event does. Each
// message-queued event is then sent by its own delivery, through the send
// ledger, and its outcome published.
package notifier

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/role/notifier/compose"
	"leadbus/internal/role/notifier/send"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

// Stream takes events; a repeat of an id it has is a success.
type Stream interface {
	send.Stream
	// PublishAll keeps the order.
	PublishAll(ctx context.Context, events []event.Event) error
}

// Options are what a notifier works with.
type Options struct {
	Catalog *site.Catalog
	Market  string
	Stream  Stream
	Ledger  send.Ledger
	Vendors map[string]send.Vendor // one for each channel
	Journal *send.Journal
	// Links makes the links by which owners answer, and PublicURL is the
	// edge's, where they lead. Without either the mails have none.
	Links     *link.Signer
	PublicURL string
	Now       func() time.Time
	Log       zerolog.Logger
}

// Notifier handles one market's deliveries. It is safe for concurrent use and
// beside other notifiers.
type Notifier struct {
	*send.Sender
	composer *compose.Composer
	stream   Stream
	now      func() time.Time
}

// New fails when a text of a site is broken or a channel has no vendor.
func New(o Options) (*Notifier, error) {
	c, err := compose.New(o.Catalog, o.Market, o.Links, o.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("notifier: %w", err)
	}
	n := &Notifier{composer: c, stream: o.Stream, now: o.Now}
	n.Sender, err = send.New(send.Options{
		Catalog: o.Catalog, Market: o.Market, Stream: o.Stream, Ledger: o.Ledger, Vendors: o.Vendors, Journal: o.Journal,
		Alarm: n.failed, Now: o.Now, Log: o.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("notifier: %w", err)
	}
	return n, nil
}

// Handle takes one delivery of the notifier's durable.
func (n *Notifier) Handle(ctx context.Context, d event.Delivery) error {
	switch b := d.Body.(type) {
	case *event.Queued:
		return n.Send(ctx, d, b.Message)
	case *event.Reported:
		return n.Receipt(ctx, d, b.Receipt)
	}
	messages, err := n.composer.Compose(d.Event)
	if err != nil {
		return err
	}
	return n.queue(ctx, d.Lead, messages)
}

// HandleDead tells the owner that a role gave up an event.
func (n *Notifier) HandleDead(ctx context.Context, d event.Dead) error {
	l, messages, err := n.composer.Dead(d)
	if err != nil {
		return err
	}
	return n.queue(ctx, l, messages)
}

func (n *Notifier) failed(ctx context.Context, l subjects.Lead, m lead.Message, f *lead.Failure) error {
	messages, err := n.composer.Failed(l, m, f)
	if err != nil {
		return err
	}
	return n.queue(ctx, l, messages)
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
