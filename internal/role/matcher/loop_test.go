package matcher

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// dialled is a complete request from a caller whose number is known.
func dialled(from string) lead.Request {
	req := leak()
	req.CallerID, req.CallbackNumber = from, ""
	return req
}

// The same number for the same service and place is the same job: it reaches the
// provider who has it as an update, and counts once. Another place, and a withheld
// number, are jobs of their own.
func TestARepeatedCallIsTheSameJob(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"), plumber("rive"))
	m, _ := r.start(r.options())
	handle(t, m, r.receive(conversation(1), dialled("+41794152233")))
	same := dialled("+41794152233")
	same.CallSID = "CA2"
	handle(t, m, r.receive(conversation(2), same))
	one, two := lead.NewID(domain, conversation(1)), lead.NewID(domain, conversation(2))
	if d := cmp.Diff([]string{"merged: the same customer called again for the same job"}, r.story(two)); d != "" {
		t.Error(d)
	}
	pass := func() { // as the durable delivers what was passed on
		t.Helper()
		events := r.events(one)
		for _, e := range events {
			if e.Lead.Event == subjects.Received {
				handle(t, m, event.Delivery{Event: e, Attempt: 1})
			}
		}
	}
	pass()
	if d := cmp.Diff([]string{"matched lac"}, r.story(one)); d != "" {
		t.Error("a redial that says nothing new:", d)
	}
	same.AddressLine = "Rue du Lac 3"
	handle(t, m, r.receive(conversation(2), same)) // the agent tells more
	pass()
	if d := cmp.Diff([]string{"matched lac", "amended lac"}, r.story(one)); d != "" {
		t.Error(d)
	}
	got := story.Of(r.events(one))
	if got.Decided().Lead.Request.AddressLine != "Rue du Lac 3" || got.Lead.ConversationID != conversation(1) || r.offers("lac")+r.offers("rive") != 1 {
		t.Errorf("%+v, %d and %d offers", got.Lead, r.offers("lac"), r.offers("rive"))
	}
	if merged := story.Of(r.events(two)); merged.Lead.Status != string(lead.Duplicate) || merged.Lead.Of != one {
		t.Errorf("%+v", merged.Lead)
	}
	r.set(monday.Add(time.Hour))
	handle(t, m, r.receive(conversation(3), dialled("+41794152233")))
	pass()
	if d := cmp.Diff([]string{"matched lac", "amended lac", "amended lac"}, r.story(one)); d != "" {
		t.Error("nobody called the customer, who calls again:", d)
	}
	elsewhere := dialled("+41794152233")
	elsewhere.City = "Carouge"
	withheld := leak()
	for i, req := range []lead.Request{elsewhere, withheld, withheld} {
		handle(t, m, r.receive(conversation(10+i), req))
		if s := r.story(lead.NewID(domain, conversation(10+i))); len(s) != 1 || s[0] == "merged: the same customer called again for the same job" {
			t.Errorf("%d: %v", i, s)
		}
	}
	r.set(monday.AddDate(0, 0, 2))
	handle(t, m, r.receive(conversation(20), dialled("+41794152233")))
	if s := r.story(lead.NewID(domain, conversation(20))); len(s) != 1 || s[0] == "merged: the same customer called again for the same job" {
		t.Errorf("two days later: %v", s)
	}
}

// offering makes the site offer its leads, with a window of a minute.
func offering(r *rig, mode string) {
	r.catalog.Sites[domain].Dispatch = site.Dispatch{Mode: mode, Classes: map[string]site.Class{"standard": {Window: time.Minute, Hops: 3}}}
}

// say publishes what somebody answered or ordered, and handles it.
func (r *rig) say(m *Matcher, id, kind string, body any) {
	r.t.Helper()
	e := event.Event{ID: fmt.Sprintf("%s-%v", kind, body), At: r.clock(), Lead: subjects.Lead{Market: "ch", Site: domain, Event: kind, Lead: id}, Body: body}
	if err := r.edge.Publish(r.t.Context(), e); err != nil {
		r.t.Fatal(err)
	}
	handle(r.t, m, event.Delivery{Event: e, Attempt: 1})
}

// route looks at a lead as its timer does.
func (r *rig) route(m *Matcher, id string) {
	r.t.Helper()
	if err := m.Route(r.t.Context(), subjects.Lead{Market: "ch", Site: domain, Lead: id}); err != nil {
		r.t.Fatal(err)
	}
}

func TestAnOfferGoesFromOneToTheNext(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("a"), plumber("b", func(p *roster.Provider) { p.Priority = 2 }), plumber("c", func(p *roster.Provider) { p.Priority = 3 }))
	offering(r, lead.Exclusive)
	m, _ := r.start(r.options())
	d := r.receive(conversation(1), leak())
	handle(t, m, d)
	id := d.Lead.Lead
	r.route(m, id) // too early
	r.say(m, id, subjects.ProviderReplied, &event.Replied{Offer: lead.OfferID(id, "a"), Provider: "a", Answer: event.Decline, Reason: "too far"})
	if d := cmp.Diff([]string{"matched a", "reassigned b"}, r.story(id)); d != "" {
		t.Fatal(d)
	}
	r.set(monday.Add(2 * time.Minute))
	r.route(m, id)
	r.route(m, id)
	if d := cmp.Diff([]string{"matched a", "reassigned b", "reassigned c"}, r.story(id)); d != "" {
		t.Fatal(d)
	}
	r.say(m, id, subjects.ProviderReplied, &event.Replied{Offer: lead.OfferID(id, "b"), Provider: "b", Answer: event.Accept})
	if got := story.Of(r.events(id)); got.Lead.Status != string(lead.Matched) {
		t.Errorf("an offer that has expired was accepted: %+v", got.Lead)
	}
	r.set(monday.Add(4 * time.Minute))
	r.route(m, id)
	want := []string{"matched a", "reassigned b", "reassigned c", "unserved: 3 providers had it, and nobody else can take it"}
	if d := cmp.Diff(want, r.story(id)); d != "" {
		t.Fatal(d)
	}
	states := map[string]string{}
	for _, o := range story.Of(r.events(id)).Offers {
		states[o.Provider] = o.State
	}
	if d := cmp.Diff(map[string]string{"a": "declined", "b": "expired", "c": "expired"}, states); d != "" {
		t.Error(d)
	}
	r.say(m, id, subjects.OwnerDecided, &event.Ordered{Order: event.Assign, Provider: "b"})
	r.say(m, id, subjects.ProviderReplied, &event.Replied{Offer: story.Of(r.events(id)).Lead.Offer, Provider: "b", Answer: event.Accept})
	if got := story.Of(r.events(id)); got.Lead.Status != string(lead.Accepted) || got.Lead.Provider != "b" {
		t.Errorf("%+v", got.Lead)
	}
	r.set(monday.Add(24 * time.Hour))
	r.route(m, id)
	if got := r.story(id); len(got) != 5 || got[4] != "reassigned b" {
		t.Errorf("%v", got)
	}
}

func TestABroadcastHasOneWinner(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("a"), plumber("b"), plumber("c"), plumber("d"))
	offering(r, lead.Broadcast)
	m, _ := r.start(r.options())
	d := r.receive(conversation(1), leak())
	handle(t, m, d)
	id := d.Lead.Lead
	matched := r.events(id)[1].Body.(*event.Decided)
	if len(matched.Rivals) != 2 {
		t.Fatalf("%d rivals", len(matched.Rivals))
	}
	winner := matched.Rivals[1]
	r.say(m, id, subjects.ProviderReplied, &event.Replied{Offer: matched.Offer, Provider: "a", Answer: event.Decline})
	r.say(m, id, subjects.ProviderReplied, &event.Replied{Offer: winner.Offer, Provider: winner.Provider.ID, Answer: event.Accept})
	r.say(m, id, subjects.ProviderReplied, &event.Replied{Offer: matched.Rivals[0].Offer, Provider: matched.Rivals[0].Provider.ID, Answer: event.Accept})
	got := story.Of(r.events(id))
	if got.Lead.Status != string(lead.Accepted) || got.Lead.Offer != winner.Offer || got.Match().Body.(*event.Decided).Provider.ID != winner.Provider.ID {
		t.Errorf("%+v", got.Lead)
	}
	accepted := 0
	for _, o := range got.Offers {
		if o.State == string(lead.OfferAccepted) {
			accepted++
		}
	}
	if accepted != 1 || len(r.story(id)) != 1 {
		t.Errorf("%+v, %v", got.Offers, r.story(id))
	}
}

// Who says that they are on leave is asked for nothing until then.
func TestALeavePausesTheProvider(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("a"), plumber("b", func(p *roster.Provider) { p.Priority = 2 }))
	m, _ := r.start(r.options())
	d := r.receive(conversation(1), leak())
	handle(t, m, d)
	id := d.Lead.Lead
	r.say(m, id, subjects.ProviderReplied, &event.Replied{Offer: lead.OfferID(id, "a"), Provider: "a", Answer: event.Leave, Until: "2026-11-24"})
	handle(t, m, r.receive(conversation(2), leak()))
	r.set(monday.AddDate(0, 0, 2))
	handle(t, m, r.receive(conversation(3), leak()))
	for i, want := range [][]string{{"matched a", "reassigned b"}, {"matched b"}, {"matched a"}} {
		if d := cmp.Diff(want, r.story(lead.NewID(domain, conversation(i+1)))); d != "" {
			t.Error(d)
		}
	}
}

// What is closed now goes out when somebody opens; the timer may be late.
func TestAPostponedLeadGoesOutWhenSomebodyOpens(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("a"))
	r.set(monday.Add(12 * time.Hour))
	m, _ := r.start(r.options())
	d := r.receive(conversation(1), leak())
	handle(t, m, d)
	id := d.Lead.Lead
	r.route(m, id)
	r.set(monday.Add(22*time.Hour + 10*time.Minute))
	r.route(m, id)
	r.route(m, id)
	if d := cmp.Diff([]string{"postponed: everybody is closed until 2026-11-24 08:00", "reassigned a"}, r.story(id)); d != "" {
		t.Error(d)
	}
}

// Replicas that route a lead at the same time give it to one provider.
func TestReplicasRouteTogether(t *testing.T) {
	r := newRig(t)
	for i := range 8 {
		r.employ(plumber(fmt.Sprint("p", i)))
	}
	offering(r, lead.Exclusive)
	m, _ := r.start(r.options())
	others := []*Matcher{m}
	for range 3 {
		other, _ := r.start(r.options())
		others = append(others, other)
	}
	for n := range 10 {
		d := r.receive(conversation(n), leak())
		handle(t, m, d)
		of := subjects.Lead{Market: "ch", Site: domain, Lead: d.Lead.Lead}
		r.set(r.clock().Add(2 * time.Minute))
		faults := make(chan error)
		for _, other := range others {
			go func() { faults <- other.Route(t.Context(), of) }()
		}
		for range others {
			if err := <-faults; err != nil {
				t.Fatal(err)
			}
		}
		got := story.Of(r.events(d.Lead.Lead))
		if len(got.Offers) != 2 || len(got.Matches) != 2 {
			t.Errorf("%d offers, %d matches", len(got.Offers), len(got.Matches))
		}
	}
	total := 0
	for i := range 8 {
		total += r.offers(fmt.Sprint("p", i))
	}
	if total != 20 {
		t.Errorf("%d slots are counted for 20 offers", total)
	}
}

// A correction that a slow replica gave to the provider who was asked first, while
// another one accepted, reaches who accepted.
func TestACorrectionReachesWhoAccepted(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("a"), plumber("b"))
	offering(r, lead.Broadcast)
	m, _ := r.start(r.options())
	d := r.receive(conversation(1), leak())
	handle(t, m, d)
	id := d.Lead.Lead
	before := story.Of(r.events(id))
	rival := before.Match().Body.(*event.Decided).Rivals[0]
	more := leak()
	more.AddressLine = "Rue du Lac 3"
	later := r.receive(conversation(1), more)
	l, _, err := m.understand(r.catalog.Sites[domain], id, story.Of(r.events(id)).ToolCalls)
	if err != nil {
		t.Fatal(err)
	}
	r.say(m, id, subjects.ProviderReplied, &event.Replied{Offer: rival.Offer, Provider: rival.Provider.ID, Answer: event.Accept})
	slow, err := decided(later, subjects.Amended, r.clock(), before.Decision.ID+before.Turn, event.Decided{Lead: l, Offer: before.Lead.Offer, Provider: before.Decided().Provider})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.matcher.Publish(t.Context(), slow); err != nil {
		t.Fatal(err)
	}
	handle(t, m, later)
	if got := story.Of(r.events(id)); got.Decided().Lead.Request.AddressLine != "Rue du Lac 3" || got.Decided().Offer != rival.Offer || got.Lead.Status != string(lead.Accepted) {
		t.Errorf("%+v, %+v", got.Lead, got.Decided().Lead.Request)
	}
}

// A correction that comes while the lead is on its way to the next provider is not
// lost to a decision that was made without it.
func TestACorrectionOnTheWayToTheNextIsKept(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("a"))
	offering(r, lead.Exclusive)
	quick, _ := r.start(r.options())
	d := r.receive(conversation(1), leak())
	id := d.Lead.Lead
	handle(t, quick, d)
	r.declines(id, 0)
	more := leak()
	more.AddressLine = "Rue du Lac 3"
	later := r.receive(conversation(1), more)
	o := r.options()
	stream := &slowToPublish{FirstStream: r.matcher, meanwhile: func() { r.route(quick, id) }}
	o.Stream = stream
	slow, _ := r.start(o)
	handle(t, slow, later)
	if got := story.Of(r.events(id)); got.Decided().Lead.Request.AddressLine != "Rue du Lac 3" || got.Person.Address != "Rue du Lac 3" || got.Lead.Status != string(lead.Unserved) {
		t.Errorf("%+v, %+v", got.Lead, got.Decided().Lead.Request)
	}
}

// declines publishes that the provider of an offer declined, and leaves it to others.
func (r *rig) declines(id string, offer int) {
	r.t.Helper()
	o := story.Of(r.events(id)).Offers[offer]
	e := event.Event{ID: "declined-" + id, At: r.clock(), Lead: subjects.Lead{Market: "ch", Site: domain, Event: subjects.ProviderReplied, Lead: id}, Body: &event.Replied{Offer: o.ID, Provider: o.Provider, Answer: event.Decline}}
	if err := r.edge.Publish(r.t.Context(), e); err != nil {
		r.t.Fatal(err)
	}
}
