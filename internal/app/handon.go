package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"leadbus/internal/engine/bus"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
	"leadbus/internal/understand/place"
)

// HandOn gives a matched lead, told by its events, to the first provider who
// can take it now and never had it. The matcher's choice is made anew, since the
// roster may have been corrected, and it counts for the caps alike: the new
// provider's slot is taken and the former one's given back. Roles learn of it
// from the event, as of a match.
func HandOn(ctx context.Context, c *bus.Conn, market *site.Market, events []event.Event, now time.Time) (*roster.Provider, error) {
	r := story.Of(events)
	if r.Match() == nil {
		return nil, errors.New("no provider was ever chosen for this lead; 'leadbus trace' shows why")
	}
	l := r.Decided().Lead
	loads, err := c.Bucket(ctx, subjects.BucketLoad)
	if err != nil {
		return nil, err
	}
	q, err := question(ctx, c, market, l, now)
	if err != nil {
		return nil, err
	}
	var trace roster.Trace
	var former string
	for _, match := range r.Matches {
		p := match.Body.(*event.Decided).Provider
		if p == nil {
			continue
		}
		former = p.ID
		q.Providers = slices.DeleteFunc(q.Providers, func(other roster.Provider) bool { return other.ID == p.ID })
		trace = append(trace, roster.Verdict{Provider: p.ID, Name: p.Name, Reason: "had it before"})
	}
	for {
		revisions, err := readLoads(ctx, loads, q.Loads)
		if err != nil {
			return nil, err
		}
		others, p := roster.Choose(q)
		if p == nil {
			return nil, fmt.Errorf("nobody else can take lead %s now:%s", l.ID, reasons(append(trace, others...)))
		}
		err = writeLoad(ctx, loads, p.ID, q.Loads[p.ID].Reserve(now, market.Location), revisions[p.ID])
		if errors.Is(err, event.ErrConflict) { // the matcher has just made an offer
			continue
		} else if err != nil {
			return nil, err
		}
		to := r.Match().Lead
		to.Event = subjects.Reassigned
		offer := lead.OfferID(l.ID, p.ID)
		if err := c.Publish(ctx, event.Event{ID: to.Event + "-" + offer, At: now.UTC(), Lead: to, Body: &event.Decided{
			Lead: l, Offer: offer, Provider: p, Trace: append(trace, others...),
		}}); err != nil {
			return nil, err
		}
		if err := release(ctx, loads, former, r.Match().At, market.Location); err != nil {
			return nil, fmt.Errorf("lead %s was given to %s, but still counts for the cap of %s: %w", l.ID, p.ID, former, err)
		}
		return p, nil
	}
}

// question is the matcher's, for a lead and the roster as they are now.
func question(ctx context.Context, c *bus.Conn, market *site.Market, l lead.Lead, now time.Time) (roster.Question, error) {
	q := roster.Question{
		Now: now, Location: market.Location, Service: l.Service.ID, Place: l.Place.ID, Language: l.Language,
		Covers: place.NewGazetteer(market.Places, market.Decoys).Covers, Loads: map[string]roster.Load{},
	}
	for _, h := range market.Holidays {
		if h.Date == now.In(market.Location).Format(time.DateOnly) {
			q.Holiday, q.Closed = h.Name, h.Closed
		}
	}
	bucket, err := c.Bucket(ctx, subjects.BucketRoster)
	if err != nil {
		return q, err
	}
	q.Providers, err = readRoster(ctx, bucket)
	return q, err
}

// readRoster reads the providers that the matcher sees. An entry that cannot be
// read is passed over, as the matcher does.
func readRoster(ctx context.Context, bucket *bus.Bucket) ([]roster.Provider, error) {
	entries, err := bucket.All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the roster: %w", err)
	}
	var providers []roster.Provider
	for _, e := range entries {
		var p roster.Provider
		if json.Unmarshal(e.Value, &p) == nil && p.ID == e.Key {
			providers = append(providers, p)
		}
	}
	return providers, nil
}

func readLoads(ctx context.Context, bucket *bus.Bucket, loads map[string]roster.Load) (revisions map[string]uint64, err error) {
	entries, err := bucket.All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read loads: %w", err)
	}
	revisions = map[string]uint64{}
	for _, e := range entries {
		var l roster.Load
		_ = json.Unmarshal(e.Value, &l) // an unreadable load counts as none, as with the matcher
		loads[e.Key], revisions[e.Key] = l, e.Revision
	}
	return revisions, nil
}

func writeLoad(ctx context.Context, bucket *bus.Bucket, provider string, l roster.Load, revision uint64) error {
	value, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if revision == 0 {
		_, err = bucket.Create(ctx, provider, value)
	} else {
		_, err = bucket.Update(ctx, provider, value, revision)
	}
	return err
}

// release gives the slot back that an offer took at a time.
func release(ctx context.Context, bucket *bus.Bucket, provider string, at time.Time, zone *time.Location) error {
	for {
		loads := map[string]roster.Load{}
		revisions, err := readLoads(ctx, bucket, loads)
		if err != nil || revisions[provider] == 0 {
			return err
		}
		if err = writeLoad(ctx, bucket, provider, loads[provider].Release(at, zone), revisions[provider]); !errors.Is(err, event.ErrConflict) {
			return err
		}
	}
}

func reasons(t roster.Trace) string {
	var b strings.Builder
	for _, v := range t {
		fmt.Fprintf(&b, "\n  %s: %s", v.Name, v.Reason)
	}
	return b.String()
}
