package matcher

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// Reassign gives a matched lead, told by its events, to the first provider who
// can take it now and never had it. The choice is the matcher's, and counts for
// the caps alike: the new provider's slot is taken and the former one's given
// back. Roles learn of it from the event, as of a match.
func Reassign(ctx context.Context, o Options, events []event.Event) (*roster.Provider, error) {
	r := story.Of(events)
	match := r.Match()
	if match == nil {
		return nil, errors.New("no provider was ever chosen for this lead; 'leadbus trace' shows why")
	}
	m := New(o)
	watching, read := context.WithCancel(ctx)
	defer read()
	if err := m.follow(watching, read); err != nil {
		return nil, err
	}
	l := r.Decided().Lead
	at, trace, p, err := m.reserve(ctx, l, r.Matches)
	if err != nil {
		return nil, err
	}
	if p == nil {
		var why strings.Builder
		for _, v := range trace {
			fmt.Fprintf(&why, "\n  %s: %s", v.Name, v.Reason)
		}
		return nil, fmt.Errorf("nobody else can take lead %s now:%s", l.ID, why.String())
	}
	to, offer := match.Lead, lead.OfferID(l.ID, p.ID)
	to.Event = subjects.Reassigned
	if err := m.Stream.Publish(ctx, event.Event{
		ID: to.Event + "-" + offer, At: at, Lead: to, Body: &event.Decided{Lead: l, Offer: offer, Provider: p, Trace: trace},
	}); err != nil {
		return nil, err
	}
	if former := match.Body.(*event.Decided).Provider; former != nil {
		if err := m.loads.release(ctx, former.ID, match.At); err != nil {
			return nil, fmt.Errorf("lead %s was given to %s, but still counts for the cap of %s: %w", l.ID, p.ID, former.ID, err)
		}
	}
	return p, nil
}
