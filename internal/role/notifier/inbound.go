package notifier

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
	"leadbus/internal/understand/reply"
)

// People is the bucket of what is known of people by a salted hash.
type People interface {
	event.Bucket
	// Watch hands over what is there, calls ready, and hands over every change
	// until ctx ends.
	Watch(ctx context.Context, f func(event.Entry), ready func()) error
}

// Past reads the events of a kind that the market's stream took from a time on.
type Past interface {
	Since(ctx context.Context, filter subjects.Lead, from time.Time) ([]event.Event, error)
}

// optPrefix begins the keys of who opted out; link.Signer.Person follows.
const optPrefix = "stop-"

// choice is what somebody wanted last; it is kept for ever.
type choice struct {
	Out   bool      `json:"out"`
	Since time.Time `json:"since"`
	Why   string    `json:"why"` // word, vendor or link
}

// people is who opted out, in memory. It is safe for concurrent use.
type people struct {
	bucket People
	links  *link.Signer

	mu    sync.Mutex
	ready bool
	out   map[string]bool // by person
}

var errPeopleUnread = errors.New("who opted out is not known yet")

// optedOut reports whether somebody wants no messages on a channel.
func (p *people) optedOut(channel, address string) (bool, error) {
	person := p.links.Person(channel, address)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ready {
		return false, errPeopleUnread
	}
	return p.out[person], nil
}

func (p *people) learn(person string, out bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out[person] = out; !out {
		delete(p.out, person)
	}
}

// note takes in what somebody wants. The last word counts, in whatever order and
// however often the words come; changed says whether this one changed anything.
func (p *people) note(ctx context.Context, person string, c choice) (changed bool, err error) {
	now := c
	err = event.Change(ctx, p.bucket, optPrefix+person, func(before choice) (choice, error) {
		if changed = before.Out != c.Out; before.Since.After(c.Since) {
			changed, now = false, before
			return before, event.ErrUnchanged
		} else if !changed {
			return before, event.ErrUnchanged
		}
		return c, nil
	})
	if err == nil {
		p.learn(person, now.Out) // else the next message may go before the bucket says so
	}
	return changed, err
}

// Run keeps in memory who opted out until ctx ends. Nobody but the owner gets a
// message before it is Ready.
func (n *Notifier) Run(ctx context.Context) error {
	if n.people == nil {
		<-ctx.Done()
		return nil
	}
	return n.people.bucket.Watch(ctx, func(e event.Entry) {
		person, ours := strings.CutPrefix(e.Key, optPrefix)
		var c choice
		if ours && json.Unmarshal(e.Value, &c) == nil {
			n.people.learn(person, c.Out)
		}
	}, func() {
		n.people.mu.Lock()
		defer n.people.mu.Unlock()
		n.people.ready = true
	})
}

// Ready reports whether it is known who opted out.
func (n *Notifier) Ready() bool {
	if n.people == nil {
		return true
	}
	n.people.mu.Lock()
	defer n.people.mu.Unlock()
	return n.people.ready
}

// inbound takes what somebody wrote to us: an opt-out, an answer to an offer by its
// reference, or something for the owner. The owner hears of an opt-out as well, since
// its words may mean something else.
func (n *Notifier) inbound(ctx context.Context, d event.Delivery, b event.Texted) error {
	if b.OptOut != "" && n.people != nil {
		person, why := b.Person, "link"
		if person == "" {
			person, why = n.people.links.Person(b.Channel, b.From), "word"
		}
		if _, err := n.people.note(ctx, person, choice{Out: b.OptOut == reply.Stop, Since: d.At.UTC(), Why: why}); err != nil {
			return err
		}
	}
	if b.From == "" { // by the link
		return nil
	}
	if answered, err := n.answered(ctx, d, b); answered || err != nil {
		return err
	}
	messages, err := n.composer.Inbound(d.Event, b)
	if err != nil {
		return err
	}
	return n.queue(ctx, d.Lead, messages)
}

// lookBack is how old an offer may be that is answered by its reference.
const lookBack = 7 * 24 * time.Hour

// answered publishes the answer to an offer, when a text between two numbers names
// the reference of one offer that is open to a provider with the sender's number.
func (n *Notifier) answered(ctx context.Context, d event.Delivery, b event.Texted) (bool, error) {
	twoWay := b.Channel == lead.SMS && strings.HasPrefix(b.From, "+") && strings.HasPrefix(b.To, "+")
	said := reply.Read(b.Text, twoWay)
	if !twoWay || said.Answer == "" || n.past == nil {
		return false, nil
	}
	answers := map[string]event.Event{} // by offer
	for _, kind := range []string{subjects.Matched, subjects.Reassigned} {
		decisions, err := n.past.Since(ctx, subjects.Lead{Market: d.Lead.Market, Event: kind}, d.At.Add(-lookBack))
		if err != nil {
			return false, err
		}
		for _, e := range decisions {
			of, ok := e.Body.(*event.Decided)
			if !ok || of.Provider == nil || strings.ReplaceAll(of.Lead.Ref, " ", "") != said.Ref {
				continue
			}
			e.Lead.Event = subjects.ProviderReplied
			for _, one := range append(of.Rivals, event.Rival{Offer: of.Offer, Provider: *of.Provider}) {
				if one.Provider.SMS == b.From {
					answers[one.Offer] = event.Event{
						ID: e.Lead.Event + "-" + d.ID, At: d.At, Lead: e.Lead,
						Body: &event.Replied{Offer: one.Offer, Provider: one.Provider.ID, Answer: said.Answer},
					}
				}
			}
		}
	}
	var open []event.Event
	for offer, answer := range answers {
		of := answer.Lead
		of.Event = ""
		events, err := n.Stream.Events(ctx, of)
		if err != nil {
			return false, err
		}
		before := slices.ContainsFunc(events, func(e event.Event) bool { return e.ID == answer.ID }) // this delivery repeats
		if r := story.Of(events); r.Open(offer) || before {
			open = append(open, answer)
		}
	}
	if len(open) != 1 {
		return false, nil
	}
	return true, n.Stream.Publish(ctx, open[0])
}
