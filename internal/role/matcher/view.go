package matcher

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// View answers the question of a page about a lead, a story.Question, by a
// story.View. The customer is in it for the owner, for a provider who accepted, and
// for one who was only notified.
func (m *Matcher) View(ctx context.Context, of subjects.Lead, question []byte) ([]byte, error) {
	var q story.Question
	if err := json.Unmarshal(question, &q); err != nil {
		return nil, fmt.Errorf("the question cannot be read: %w", err)
	}
	of.Event = ""
	var events []event.Event
	var r story.Record
	for range 10 { // a replica of the stream may lag behind what a message has told
		var err error
		if events, err = m.Stream.Events(ctx, of); err != nil {
			return nil, err
		}
		if r = story.Of(events); q.Offer == "" || slices.ContainsFunc(r.Offers, func(o story.Offer) bool { return o.ID == q.Offer }) {
			break
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	l := &r.Lead
	v := story.View{
		Status: l.Status, Mode: r.Mode, Until: r.Until, Turn: r.Turn, Busy: r.Wants != nil, Seq: l.LastSeq, Reason: l.Reason, Value: l.Value, Ref: l.Ref,
		Service: l.Service, Place: cmp.Or(l.PlaceName, l.PlaceRaw), ReceivedAt: l.ReceivedAt,
		Urgent: lead.Request{Urgency: r.Person.Urgency}.Urgent(), Window: r.Person.PreferredWindow,
	}
	if i := slices.IndexFunc(events, func(e event.Event) bool { return e.ID == q.Event }); i >= 0 {
		before := story.Of(events[:i])
		v.Seen, v.Took = true, before.Takes(events[i])
	}
	customer := &story.Contact{
		Name: r.Person.Name, Phone: r.Person.Phone, Second: r.Person.PhoneSecond,
		Address: strings.TrimSpace(r.Person.Address + " " + r.Person.PostalCode), Details: r.Person.Summary,
	}
	if q.Offer == "" {
		v.Customer = customer
		m.forOwner(&r, &v)
	} else {
		m.forProvider(&r, q.Offer, &v, customer)
	}
	return json.Marshal(v)
}

func (m *Matcher) forProvider(r *story.Record, offer string, v *story.View, customer *story.Contact) {
	i := slices.IndexFunc(r.Offers, func(o story.Offer) bool { return o.ID == offer })
	if i < 0 {
		*v = story.View{}
		return
	}
	o := r.Offers[i]
	v.Provider, v.State, v.Outcome, v.Reason, v.Until = o.Provider, o.State, o.Outcome, o.Reason, o.Until
	for _, e := range r.Matches {
		b := e.Body.(*event.Decided)
		for _, p := range append([]roster.Provider{*cmp.Or(b.Provider, new(roster.Provider))}, rivalsOf(b)...) {
			if p.ID == o.Provider {
				v.Languages = p.Languages
			}
		}
	}
	accepted := string(lead.OfferAccepted)
	switch {
	case r.Open(offer):
		v.State = story.OfferOpen
	case o.State != string(lead.OfferWithdrawn):
	case slices.ContainsFunc(r.Offers, func(o story.Offer) bool { return o.State == accepted }):
		v.State = story.OfferTaken
	case r.Lead.Status == string(lead.Cancelled):
		v.State = string(lead.Cancelled)
	}
	if shown := v.State == accepted || v.State == story.OfferOpen && r.Mode == ""; shown {
		v.Customer = customer
		if s := m.Catalog.Services[r.Lead.Service]; s != nil && s.Sensitive && v.State != accepted {
			customer.Details = ""
		}
	}
	for _, answer := range event.Answers {
		outcome, over := answer == event.Done || answer == event.NotDone, lead.Status(r.Lead.Status).Closed()
		early := v.State != accepted && (outcome || answer == event.Reached || answer == event.NotReached)
		if !early && (outcome || !over) && r.Takes(event.Event{ID: "?", Body: &event.Replied{Offer: offer, Provider: o.Provider, Answer: answer}}) {
			v.May = append(v.May, answer)
		}
	}
}

func rivalsOf(b *event.Decided) (all []roster.Provider) {
	for _, rival := range b.Rivals {
		all = append(all, rival.Provider)
	}
	return all
}

func (m *Matcher) forOwner(r *story.Record, v *story.View) {
	names := map[string]string{}
	for _, e := range r.Matches {
		for _, verdict := range e.Body.(*event.Decided).Trace {
			names[verdict.Provider] = verdict.Name
		}
	}
	for _, o := range r.Offers {
		o.Provider = cmp.Or(names[o.Provider], o.Provider)
		v.Offers = append(v.Offers, o)
	}
	if d := r.Decided(); d != nil {
		v.Trace = d.Trace
	}
	providers, _ := m.list() // a roster that was not read yet has none
	health := m.health.snapshot()
	for _, p := range providers {
		if p.Active {
			works := slices.ContainsFunc(p.Channels(), func(c roster.Channel) bool {
				return health[roster.HealthKey(p.ID, c.Channel)].Working(c.Address).State() != roster.Broken
			})
			v.Providers = append(v.Providers, story.Candidate{ID: p.ID, Name: p.Name, Broken: !works})
		}
	}
	slices.SortFunc(v.Providers, func(a, b story.Candidate) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	for _, order := range event.Orders {
		if r.Takes(event.Event{ID: "?", Body: &event.Ordered{Order: order}}) {
			v.May = append(v.May, order)
		}
	}
}
