// Package notifier tells people about one market's leads: provider, customer
// and owner.
//
// A decision of the matcher (matched, amended, reassigned), a finished call
// (call-scanned), an alarm (alarm-raised) and a day (digest-made) are composed:
// every message is rendered and published as one message-queued
// event, under an id that repeats when the event does. Each message-queued event
// is then sent by its own delivery, through the send ledger, and its outcome
// published. The owner is notified by alarms: of a lead that nobody can
// take or that needs a person, a message that failed, an event that a role gave
// up.
package notifier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/role/notifier/compose"
	"leadbus/internal/role/notifier/send"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// Options are what a notifier works with: what its sender does, except Texted,
// and what it composes with.
type Options struct {
	send.Options
	// PublishAll keeps the order. A repeat of an id is a success.
	PublishAll func(ctx context.Context, events []event.Event) error
	// Links makes the links by which owners answer, and PublicURL is the
	// edge's, where they lead. Without either the mails have none.
	Links     *link.Signer
	PublicURL string
	// People keeps who opted out; without it, or Links, nobody can.
	People People
	Past   Past
}

// Notifier handles one market's deliveries. It is safe for concurrent use and
// beside other notifiers.
type Notifier struct {
	*send.Sender
	people     *people
	past       Past
	composer   *compose.Composer
	publishAll func(ctx context.Context, events []event.Event) error
	recent     *lru.Cache[string, []event.Event] // see remember
}

// New fails when a text of a site is broken or a channel has no vendor.
func New(o Options) (*Notifier, error) {
	c, err := compose.New(o.Catalog, o.Market, o.Links, o.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("notifier: %w", err)
	}
	recent, _ := lru.New[string, []event.Event](1000) // only a size below one fails
	n := &Notifier{composer: c, publishAll: o.PublishAll, recent: recent}
	o.Texted = n.texted
	n.past = o.Past
	if o.People != nil && o.Links != nil {
		n.people = &people{bucket: o.People, links: o.Links, out: map[string]bool{}}
		o.OptedOut = n.people.optedOut
	}
	if n.Sender, err = send.New(o.Options); err != nil {
		return nil, fmt.Errorf("notifier: %w", err)
	}
	return n, nil
}

// Handle takes one delivery of the notifier's durable: people first, then the
// tracker.
func (n *Notifier) Handle(ctx context.Context, d event.Delivery) error {
	if err := n.tell(ctx, d); err != nil {
		return err
	}
	return n.outcome(ctx, d.Event)
}

// tell tells people.
func (n *Notifier) tell(ctx context.Context, d event.Delivery) error {
	switch b := d.Body.(type) {
	case *event.Queued:
		return n.Send(ctx, d, b.Message)
	case *event.Reported:
		if err := n.Receipt(ctx, d, b.Receipt); err != nil {
			return err
		}
		return n.retry(ctx, d, b.Receipt)
	case *event.Texted:
		return n.inbound(ctx, d, *b)
	case *event.Decided:
		cause := causes[d.Lead.Event]
		if d.Lead.Event == subjects.Overdue && b.Of == lead.ToOwner {
			cause = alarm.Overdue
		}
		if b.Lead.Test() && d.Lead.Event != subjects.Matched {
			return nil // whoever made the lead misses the receipt
		}
		if cause != "" {
			texts, err := n.composer.Missed(d.Event, *b)
			if err == nil {
				err = n.queue(ctx, d.Lead, texts)
			}
			o := alarm.Occurrence{Site: d.Lead.Site, Cause: cause, About: d.Lead.Lead, ID: d.ID, At: d.At, Leads: []string{d.Lead.Lead}}
			if cause == alarm.Unserved && b.Unreachable() { // one cause, however many leads
				o.Cause, o.About = alarm.NoneReachable, ""
			}
			if err == nil {
				err = n.Raise(ctx, o)
			}
			if err != nil || cause != alarm.Unserved {
				return err
			}
		}
	}
	about, err := n.about(ctx, d.Event)
	if err != nil {
		return err
	}
	messages, err := n.composer.Compose(d.Event, about)
	if err != nil {
		return err
	}
	n.remember(d.Event, messages)
	return n.queue(ctx, d.Lead, messages)
}

// retries are how often a message to a provider goes out once more that failed for a
// reason that may pass, retryAfter apart. The lead waits for them (story.Patience).
const (
	retries    = 2
	retryAfter = time.Minute
	retried    = lead.PurposeAgain + "t" // and which time it is, in a purpose
)

var errRetry = errors.New("the message goes out once more")

// retry queues a message to a provider once more that the vendor could not bring to
// them for now, while the offer stands.
func (n *Notifier) retry(ctx context.Context, d event.Delivery, r lead.Receipt) error {
	if r.State != lead.MessageFailed || r.Failure == nil || r.Failure.Class != lead.Transient || r.Recipient != lead.ToProvider {
		return nil
	}
	purpose, times, _ := strings.Cut(r.Purpose, retried)
	done, _ := strconv.Atoi(times) // none is the first
	if done == retries {
		return nil
	}
	if wait := d.At.Add(retryAfter).Sub(n.Now()); wait > 0 {
		return event.After(wait, errRetry)
	}
	events, err := event.Decisions(ctx, n.Stream, d.Lead, subjects.MessageQueued)
	if err != nil {
		return err
	}
	now := story.Of(events)
	for _, e := range events {
		if q, ok := e.Body.(*event.Queued); ok && q.Message.ID == r.Message && now.Has(q.Message.Offer) {
			m := q.Message
			m.Purpose, m.Of = fmt.Sprint(purpose, retried, done+1), 1
			m.ID = lead.MessageID(m.Lead, m.Purpose, m.Recipient, m.Channel, m.Offer)
			return n.queue(ctx, d.Lead, []lead.Message{m})
		}
	}
	return nil
}

// remember keeps a decision with its texts to the customer: their receipts come
// soon, and the stream need not be read for them.
func (n *Notifier) remember(e event.Event, messages []lead.Message) {
	b, decided := e.Body.(*event.Decided)
	if !decided || e.Lead.Event == subjects.Overdue {
		return
	}
	alone := *b
	alone.Turn, e.Body = "", &alone // it counts without what came before
	for _, m := range messages {
		if m.Recipient == lead.ToCustomer {
			n.recent.Add(m.ID, []event.Event{e, {Lead: e.Lead, Body: &event.Queued{Message: m}}})
		}
	}
}

// causes are the decisions for which the owner is notified.
var causes = map[string]string{subjects.Unserved: alarm.Unserved, subjects.ReviewRequested: alarm.Review}

// texted tells the owner what became of a text to the customer.
func (n *Notifier) texted(ctx context.Context, l subjects.Lead, message string, why *lead.Failure) error {
	events, ok := n.recent.Get(message)
	if !ok {
		var err error
		if events, err = event.Decisions(ctx, n.Stream, l, subjects.MessageQueued); err != nil {
			return err
		}
	}
	r := story.Of(events)
	for _, e := range events {
		if q, ok := e.Body.(*event.Queued); ok && q.Message.ID == message && r.Decision != nil {
			messages, err := n.composer.Texted(e, *r.Decided(), q.Message, why)
			if err != nil {
				return err
			}
			return n.queue(ctx, l, messages)
		}
	}
	return nil // gone from the stream, with the lead
}

// about is what an event is composed with: of an alarm the lead that it is about, of
// an event that changes who has a lead, where the lead stood before it; else nil.
func (n *Notifier) about(ctx context.Context, e event.Event) (*compose.Standing, error) {
	switch b := e.Body.(type) {
	case *event.Decided:
		if e.Lead.Event == subjects.Matched {
			return nil, nil
		}
	case *event.Replied, *event.Ordered:
	case *event.Raised:
		if !alarm.OfLead(b.Alarm.Cause) {
			return nil, nil
		}
		events, err := n.Stream.Events(ctx, subjects.Lead{Market: e.Lead.Market, Site: e.Lead.Site, Lead: b.Alarm.About})
		r := story.Of(events)
		if err == nil && r.Decision == nil && n.Now().Sub(e.At) < time.Minute { // a replica of the stream that lags behind
			err = event.After(time.Second, errUnread)
		}
		return &compose.Standing{Before: r}, err
	default:
		return nil, nil
	}
	events, err := event.Decisions(ctx, n.Stream, e.Lead)
	i := slices.IndexFunc(events, func(there event.Event) bool { return there.ID == e.ID })
	if i >= 0 {
		e = events[i] // an event may be stored again
	} else if err == nil && n.Now().Sub(e.At) < time.Minute && e.Lead.Event != subjects.Overdue {
		err = event.After(time.Second, errUnread)
	}
	before := slices.DeleteFunc(slices.Clone(events), func(there event.Event) bool { return there.Seq >= e.Seq })
	return &compose.Standing{Before: story.Of(before), After: story.Of(append(before, e))}, err
}

var errUnread = errors.New("the lead of an alarm cannot be read yet")

// HandleDead raises that a role gave up an event.
func (n *Notifier) HandleDead(ctx context.Context, d event.Dead) error {
	o := alarm.Occurrence{
		Site: d.Site, Cause: alarm.DeadLetter, About: d.Role, ID: fmt.Sprint(d.Seq), At: d.At,
		Facts: []alarm.Fact{
			{Label: "reason", Value: d.Reason},
			{Label: "event", Value: fmt.Sprintf("%s, LEADS sequence %d, %s", d.Kind, d.Seq, d.At.UTC().Format(time.RFC3339))},
			{Label: "list", Value: "leadbus dlq list --market " + d.Market},
			{Label: "retry", Value: fmt.Sprintf("leadbus dlq retry --market %s %d", d.Market, d.ID)},
		},
	}
	if d.Lead != "" {
		o.Leads = []string{d.Lead}
	}
	return n.Raise(ctx, o)
}

// queue publishes messages and returns when all are durable, in the order in
// which they should go out.
func (n *Notifier) queue(ctx context.Context, l subjects.Lead, messages []lead.Message) error {
	l.Event = subjects.MessageQueued
	events := make([]event.Event, len(messages))
	for i, m := range messages {
		events[i] = event.Event{ID: l.Event + "-" + m.ID, At: n.Now(), Lead: l, Body: &event.Queued{Message: m}}
	}
	if err := n.publishAll(ctx, events); err != nil {
		return fmt.Errorf("queue messages: %w", err)
	}
	return nil
}
