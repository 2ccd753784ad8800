package matcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/roster"
	"leadbus/internal/subjects"
)

func TestTheFirstAvailableProviderGetsTheLead(t *testing.T) {
	r := newRig(t)
	r.employ(
		plumber("away", func(p *roster.Provider) { p.Leave = []roster.Leave{{From: "2026-11-20", Until: "2026-11-30"}} }),
		plumber("lac"), plumber("rive"),
		plumber("carouge-only", func(p *roster.Provider) { p.Places = []string{"carouge"} }),
	)
	m, _ := r.start(r.options())
	d := r.receive("conv_1", leak())
	handle(t, m, d)
	events := r.events(d.Lead.Lead)
	if len(events) != 2 {
		t.Fatalf("%d events", len(events))
	}
	got := events[1].Body.(*event.Decided)
	if got.Provider.ID != "lac" || got.Provider.SMS == "" || got.Offer != lead.OfferID(d.Lead.Lead, "lac") || got.Lead.Place.ID != "eaux-vives" {
		t.Errorf("matched %+v", got)
	}
	if d := cmp.Diff(roster.Trace{
		{Provider: "away", Name: "Plombier away", Reason: "on leave until 2026-11-30"},
		{Provider: "lac", Name: "Plombier lac", In: true, Reason: "chosen"},
		{Provider: "rive", Name: "Plombier rive", In: true, Reason: "eligible"},
		{Name: "1 more", Reason: "do not cover eaux-vives"},
	}, got.Trace); d != "" {
		t.Error(d)
	}
	impersonal(t, events[1].ID)

	// The next lead is the next one's turn, in this process and in another.
	handle(t, m, r.receive("conv_2", leak()))
	other, _ := r.start(r.options())
	handle(t, other, r.receive("conv_3", leak()))
	handle(t, m, r.receive("conv_4", leak()))
	for conversation, want := range map[string]string{"conv_2": "matched rive", "conv_3": "matched lac", "conv_4": "matched rive"} {
		if d := cmp.Diff([]string{want}, r.story(lead.NewID(domain, conversation))); d != "" {
			t.Error(conversation, d)
		}
	}
}

// A test lead goes to the market's canary, whoever is at work, and nobody's
// turn or cap is touched by it.
func TestATestLeadIsForTheCanary(t *testing.T) {
	for name, at := range map[string]time.Time{"on a working day": monday, "at night": monday.Add(12 * time.Hour), "when all is closed": monday.AddDate(0, 0, 38)} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.catalog.Markets["ch"].Canary.Email = "canary@mail.example"
			r.employ(plumber("lac"))
			r.set(at)
			m, _ := r.start(r.options())
			e := r.call("conv_1", leak())
			b := e.Body.(*event.Received)
			b.Lead.Flags = append(b.Lead.Flags, lead.FlagTest)
			if err := r.edge.Publish(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			d := event.Delivery{Event: r.events(e.Lead.Lead)[0], Attempt: 1}
			for range 3 {
				handle(t, m, d)
			}
			events := r.events(e.Lead.Lead)
			if d := cmp.Diff([]string{"matched " + roster.Canary}, r.story(e.Lead.Lead)); d != "" {
				t.Fatal(d)
			}
			got := events[1].Body.(*event.Decided)
			if p := got.Provider; p.Email != "canary@mail.example" || p.SMS != "" || p.WhatsApp != "" || !got.Lead.Test() || len(got.Trace) != 1 {
				t.Errorf("matched %+v to %+v", got, p)
			}
			if all, err := r.load.All(t.Context()); err != nil || len(all) != 0 {
				t.Errorf("loads %v, %v", all, err)
			}
		})
	}
}

func TestWhatCannotBeMatchedReachesTheOwnerWithAReason(t *testing.T) {
	for want, change := range map[string]func(*lead.Request, *rig){
		"review-requested: no usable phone number":                                   func(q *lead.Request, _ *rig) { q.CallbackNumber = "trois" },
		"review-requested: service not understood":                                   func(q *lead.Request, _ *rig) { q.ServiceType, q.IssueSummary = "toiture", "" },
		"review-requested: place not understood":                                     func(q *lead.Request, _ *rig) { q.City = "Marta ville" },
		"review-requested: place outside the area served":                            func(q *lead.Request, _ *rig) { q.City = "Lausanne" },
		"review-requested: no usable phone number; no service given; no place given": func(q *lead.Request, _ *rig) { *q = lead.Request{CustomerName: "Marta"} },
		"postponed: everybody is closed until 2026-11-24 08:00":                      func(_ *lead.Request, r *rig) { r.set(monday.Add(12 * time.Hour)) },
		"matched night": func(_ *lead.Request, r *rig) { r.employ(plumber("night", after)); r.set(monday.Add(12 * time.Hour)) },
		"matched noel":  func(_ *lead.Request, r *rig) { r.employ(plumber("noel", after)); r.set(monday.AddDate(0, 0, 32)) },
		"postponed: everybody is closed until 2027-01-01 08:00": func(_ *lead.Request, r *rig) { r.employ(plumber("night", after)); r.set(monday.AddDate(0, 0, 38)) },
	} {
		t.Run(want, func(t *testing.T) {
			r := newRig(t)
			r.employ(plumber("lac"), plumber("inactive", func(p *roster.Provider) { p.Active = false }))
			req := leak()
			change(&req, r)
			m, _ := r.start(r.options())
			d := r.receive("conv_1", req)
			handle(t, m, d)
			handle(t, m, d)
			story := r.story(d.Lead.Lead)
			if d := cmp.Diff([]string{want}, story); d != "" {
				t.Error(d)
			}
			impersonal(t, story...)
			body := r.events(d.Lead.Lead)[1].Body.(*event.Decided)
			if body.Lead.Request.CustomerName == "" || strings.HasPrefix(want, "unserved") && len(body.Trace) < 2 {
				t.Errorf("the owner is told %+v", body)
			}
		})
	}
}

func after(p *roster.Provider) { p.AfterHours = true }

// The same payload five times at once: one event, one match, one slot.
func TestEqualPayloadsAtOnceAreOneLead(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"), plumber("rive"))
	for range 2 {
		m, _ := r.start(r.options())
		r.consume(r.connect("ch-matcher"), m, 8)
	}
	e := r.call("conv_1", leak())
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if err := r.edge.Publish(t.Context(), e); err != nil {
				t.Error(err)
			}
		})
	}
	await.Return(t, "the repeats are published", wg.Wait)
	last := r.receive("conv_2", leak())
	await.True(t, "the lead after it is matched", func() bool { return len(r.story(last.Lead.Lead)) > 0 })
	await.True(t, "matched", func() bool { return len(r.story(e.Lead.Lead)) > 0 })
	if n := len(r.events(e.Lead.Lead)); n != 2 || r.offers("lac")+r.offers("rive") != 2 {
		t.Errorf("%d events, offers %d and %d", n, r.offers("lac"), r.offers("rive"))
	}
}

func TestLaterCallsAmendTheSameOffer(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"), plumber("rive"))
	m, _ := r.start(r.options())
	say := func(change func(*lead.Request)) event.Delivery {
		req := lead.Request{}
		change(&req)
		d := r.receive("conv_1", req)
		handle(t, m, d)
		return d
	}
	first := r.receive("conv_1", leak())
	handle(t, m, first)
	id := first.Lead.Lead

	// Nothing a person would act on differently.
	say(func(q *lead.Request) { q.CustomerName = "marta  ROSSI." })
	say(func(q *lead.Request) { q.CallSID = "CA1"; q.Clicks = map[string]string{"gclid": "x"} })
	if d := cmp.Diff([]string{"matched lac"}, r.story(id)); d != "" {
		t.Fatal(d)
	}
	address := say(func(q *lead.Request) { q.AddressLine = "Rue du Lac 3" })
	say(func(q *lead.Request) { q.AddressLine = "rue du lac, 3" })
	say(func(q *lead.Request) { q.City = "Carouge" }) // lac's offer stays lac's
	say(func(q *lead.Request) { q.AddressLine = "Rue du Lac 5" })
	say(func(q *lead.Request) { q.AddressLine = "3, rue du lac" })
	back := say(func(q *lead.Request) { q.AddressLine, q.City = "Rue du Lac 3", "carouge" }) // as it was two calls ago
	want := []string{"matched lac", "amended lac", "amended lac", "amended lac", "amended lac", "amended lac"}
	if d := cmp.Diff(want, r.story(id)); d != "" {
		t.Fatal(d)
	}
	events := r.events(id)
	last := events[len(events)-1].Body.(*event.Decided)
	if last.Lead.Request.AddressLine != "Rue du Lac 3" || last.Lead.Place.ID != "carouge" || last.Lead.Phone.E164 != "+41794152233" ||
		last.Offer != lead.OfferID(id, "lac") || len(last.Trace) != 2 {
		t.Errorf("amended to %+v", last)
	}

	// Months later somebody replays everything.
	replica, _ := r.start(r.options())
	for _, d := range []event.Delivery{first, address, back, first} {
		handle(t, replica, d)
	}
	if got := r.events(id); len(got) != len(events) || r.offers("lac") != 1 {
		t.Errorf("a replay added %v; %d offers", r.story(id)[len(want):], r.offers("lac"))
	}
}

func TestALaterCallMakesALeadMatchable(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"))
	m, _ := r.start(r.options())
	req := leak()
	req.CallbackNumber, req.City = "", ""
	first := r.receive("conv_1", req)
	handle(t, m, first)
	handle(t, m, r.receive("conv_1", lead.Request{CallbackNumber: "079 415 22 33"}))
	handle(t, m, r.receive("conv_1", lead.Request{City: "Genève"}))
	handle(t, m, first)
	if d := cmp.Diff([]string{
		"review-requested: no usable phone number; no place given", "review-requested: no place given", "matched lac",
	}, r.story(first.Lead.Lead)); d != "" {
		t.Error(d)
	}
}

// A caller with a leak asks for the boiler as well. The second request is a
// lead of its own, whichever of the two is handled first.
func TestAnotherServiceIsAnotherLead(t *testing.T) {
	for name, order := range map[string][]int{"in order": {0, 1, 2, 3, 4}, "backwards": {4, 3, 2, 1, 0}, "twice": {1, 0, 4, 1, 2, 3, 2, 0}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.employ(plumber("lac"), plumber("rive"))
			m, _ := r.start(r.options())
			urgentLeak := leak()
			urgentLeak.Urgency = "urgent"
			calls := []event.Delivery{
				r.receive("conv_1", urgentLeak),
				r.receive("conv_1", lead.Request{ServiceType: "chaudière"}),
				r.receive("conv_1", lead.Request{ServiceType: "quelque chose", AddressLine: "Rue du Lac 3"}), // a further word on the leak
				r.receive("conv_1", lead.Request{ServiceType: "leak", PreferredWindow: "demain"}),
				r.receive("conv_1", lead.Request{ServiceType: "chaudière", IssueSummary: "plus d'eau chaude"}),
			}
			for _, i := range order {
				handle(t, m, calls[i])
			}
			first := calls[0].Lead.Lead
			second := lead.SecondID(first, "plumbing.boiler")
			events := r.events(second)
			if len(events) != 2 {
				t.Fatalf("%d calls of the second lead", len(events))
			}
			if l := events[0].Body.(*event.Received).Lead; l.Request.IssueSummary+l.Request.Urgency+l.Request.PreferredWindow != "" {
				t.Errorf("the boiler took over from the leak: %+v", l.Request)
			}
			for _, e := range events {
				handle(t, m, event.Delivery{Event: e, Attempt: 1})
			}

			newest := func(id string) lead.Lead {
				events := r.events(id)
				return events[len(events)-1].Body.(*event.Decided).Lead
			}
			a, b := newest(first), newest(second)
			if a.Service.ID != "plumbing.leak" || a.Request.IssueSummary != "le lavabo fuit" || a.Request.AddressLine != "Rue du Lac 3" || a.Request.PreferredWindow != "demain" {
				t.Errorf("first lead %+v", a)
			}
			if b.Service.ID != "plumbing.boiler" || b.Request.IssueSummary != "plus d'eau chaude" || b.Phone.E164 != a.Phone.E164 ||
				b.Request.CustomerName != "Marta Rossi" || b.Place.ID != "eaux-vives" || b.Ref != a.Ref || b.ID != second ||
				b.Request.Urgency != "" || b.Request.PreferredWindow != "" {
				t.Errorf("second lead %+v", b)
			}
			if got := r.offers("lac") + r.offers("rive"); got != 2 {
				t.Errorf("%d offers", got)
			}
		})
	}
}

func TestTheServiceIsTheFirstThatWasUnderstood(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"))
	m, _ := r.start(r.options())
	first := leak()
	first.ServiceType, first.IssueSummary = "urgence", ""
	for _, req := range []lead.Request{first, {IssueSummary: "la chaudière coule"}, {IssueSummary: "c'est au troisième"}} {
		handle(t, m, r.receive("conv_1", req))
	}
	id := lead.NewID(domain, "conv_1")
	if d := cmp.Diff([]string{"review-requested: service not understood", "matched lac", "amended lac"}, r.story(id)); d != "" {
		t.Error(d)
	}
	events := r.events(id)
	if l := events[len(events)-1].Body.(*event.Decided).Lead; l.Service.ID != "plumbing.boiler" || slices.Contains(l.Flags, "service_unknown") {
		t.Errorf("%+v %v", l.Service, l.Flags)
	}
}

// An update overtakes, or is overtaken by, the first call in another replica.
func TestAnUpdateRacesTheFirstCall(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"), plumber("rive"))
	replicas := make([]*Matcher, 2)
	for i := range replicas {
		o := r.options()
		o.Stream = r.connect("ch-matcher")
		replicas[i], _ = r.start(o)
	}
	const rounds = 40
	for i := range rounds {
		first := r.receive(conversation(i), leak())
		var update event.Delivery
		late := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			if i%2 == 0 {
				<-late
			}
			if err := replicas[0].Handle(t.Context(), first); err != nil {
				t.Error(err)
			}
		})
		update = r.receive(conversation(i), lead.Request{AddressLine: "Rue du Lac 3"})
		close(late)
		wg.Go(func() {
			if err := replicas[1].Handle(t.Context(), update); err != nil {
				t.Error(err)
			}
		})
		await.Return(t, "both are handled", wg.Wait)
		story := r.story(first.Lead.Lead)
		events := r.events(first.Lead.Lead)
		newest := events[len(events)-1].Body.(*event.Decided)
		if len(story) > 2 || !strings.HasPrefix(story[0], "matched") || len(story) == 2 && story[1] != "amended "+newest.Provider.ID ||
			newest.Lead.Request.AddressLine != "Rue du Lac 3" {
			t.Fatalf("round %d: %v, told %q", i, story, newest.Lead.Request.AddressLine)
		}
	}
	if got := r.offers("lac") + r.offers("rive"); got != rounds {
		t.Errorf("%d offers counted for %d leads", got, rounds)
	}
}

func TestTheSameFoldGivesTheSameID(t *testing.T) {
	ids := map[string]bool{}
	for i := range 2 {
		r := newRig(t)
		r.set(monday.Add(time.Duration(i) * time.Hour)) // another clock
		r.employ(plumber("lac"))
		if i == 1 {
			r.employ(plumber("zz")) // another trace
		}
		m, _ := r.start(r.options())
		d := r.receive("conv_1", leak())
		handle(t, m, d)
		ids[r.events(d.Lead.Lead)[1].ID] = true
	}
	if len(ids) != 1 {
		t.Errorf("ids %v", ids)
	}
}

// Two replicas, forty leads at once, and one provider with a cap of five.
func TestCapsHoldOverReplicas(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("capped", func(p *roster.Provider) { p.Caps.Day = 5 }))
	for range 2 {
		c := r.connect("ch-matcher")
		o := r.options()
		o.Stream, o.Load = c, r.bucket(c, subjects.BucketLoad)
		m, _ := r.start(o)
		r.consume(c, m, 16)
	}
	const leads = 40
	var wg sync.WaitGroup
	for i := range leads {
		e := r.call(conversation(i), leak())
		wg.Go(func() {
			if err := r.edge.Publish(t.Context(), e); err != nil {
				t.Error(err)
			}
		})
	}
	await.Return(t, "the leads are published", wg.Wait)
	count := map[string]int{}
	for i := range leads {
		id := lead.NewID(domain, conversation(i))
		await.True(t, "decided", func() bool { return len(r.story(id)) > 0 })
		for _, line := range r.story(id) {
			count[line]++
		}
	}
	if d := cmp.Diff(map[string]int{"matched capped": 5, "unserved: nobody who does the service there can take it": 35}, count); d != "" {
		t.Error(d)
	}
	if got := r.offers("capped"); got != 5 {
		t.Errorf("%d offers counted", got)
	}
}

// Work is shared evenly however many leads come at once to however many
// replicas.
func TestTurnsAreTakenOverReplicas(t *testing.T) {
	r := newRig(t)
	ids := []string{"a", "b", "c", "d"}
	for _, id := range ids {
		r.employ(plumber(id))
	}
	for range 2 {
		c := r.connect("ch-matcher")
		o := r.options()
		o.Stream, o.Load = c, r.bucket(c, subjects.BucketLoad)
		m, _ := r.start(o)
		r.consume(c, m, 16)
	}
	const leads = 40
	for i := range leads {
		r.receive(conversation(i), leak())
	}
	for i := range leads {
		await.True(t, "decided", func() bool { return len(r.story(lead.NewID(domain, conversation(i)))) > 0 })
	}
	for _, id := range ids {
		if got := r.offers(id); got != leads/len(ids) {
			t.Errorf("%s has %d offers of %d", id, got, leads)
		}
	}
}

func TestALeadOfAnUnknownSiteWaits(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"))
	m, _ := r.start(r.options())
	d := r.receive("conv_1", leak())
	known := r.catalog.Sites[domain]
	delete(r.catalog.Sites, domain)
	for attempt, want := range map[int]time.Duration{1: time.Minute, 3: 3 * time.Minute, 99: 10 * time.Minute} {
		d.Attempt = attempt
		if fate, delay := event.Outcome(m.Handle(t.Context(), d), attempt); fate != event.Redeliver || delay != want {
			t.Errorf("attempt %d: fate %v after %s", attempt, fate, delay)
		}
	}
	elsewhere := *known
	elsewhere.Market = "id"
	r.catalog.Sites[domain] = &elsewhere
	if fate, _ := event.Outcome(m.Handle(t.Context(), d), 1); fate != event.Redeliver {
		t.Error("a site of another market was served")
	}
	r.catalog.Sites[domain] = known
	handle(t, m, d)
	if d := cmp.Diff([]string{"matched lac"}, r.story(d.Lead.Lead)); d != "" {
		t.Error(d)
	}
}

func TestNobodyIsUnservedBeforeTheRosterIsThere(t *testing.T) {
	r := newRig(t)
	o := r.options()
	unread := New(o)
	if unread.Ready() {
		t.Error("ready without a roster")
	}
	d := r.receive("conv_1", leak())
	waits := func(m *Matcher, attempt int, want time.Duration) {
		t.Helper()
		d.Attempt = attempt
		if fate, delay := event.Outcome(m.Handle(t.Context(), d), attempt); fate != event.Redeliver || delay != want {
			t.Errorf("fate %v after %s, want %s", fate, delay, want)
		}
	}
	waits(unread, 1, 500*time.Millisecond)
	waits(unread, 99, 30*time.Second)

	m, _ := r.start(o)
	waits(m, 1, 500*time.Millisecond) // ready, but empty: it may be on its way
	if got := r.story(d.Lead.Lead); got != nil {
		t.Fatalf("decided %v", got)
	}
	r.set(monday.Add(emptyTime + time.Second))
	handle(t, m, d)
	if d := cmp.Diff([]string{"unserved: the roster is empty"}, r.story(d.Lead.Lead)); d != "" {
		t.Error(d)
	}

	// A roster that is taken away for a moment is no empty roster.
	r.employ(plumber("lac"))
	d = r.receive("conv_2", leak())
	await.True(t, "employed", func() bool { all, err := m.list(); return err == nil && len(all) == 1 })
	if err := r.roster.Delete(t.Context(), "lac"); err != nil {
		t.Fatal(err)
	}
	await.True(t, "dismissed", func() bool { _, err := m.list(); return errors.Is(err, errRosterEmpty) })
	waits(m, 1, 500*time.Millisecond)
	r.employ(plumber("lac"))
	await.True(t, "employed again", func() bool { _, err := m.list(); return err == nil })
	handle(t, m, d)
	if d := cmp.Diff([]string{"matched lac"}, r.story(d.Lead.Lead)); d != "" {
		t.Error(d)
	}
}

// A new roster arrives provider by provider: nobody is unserved for the part of
// it that is there first.
func TestNobodyIsUnservedWhileTheRosterArrives(t *testing.T) {
	r := newRig(t)
	inactive := func(p *roster.Provider) { p.Active = false }
	r.employ(plumber("rive", inactive))
	m, _ := r.start(r.options())
	r.employ(plumber("rive", inactive), plumber("arve", inactive))
	await.True(t, "two providers", func() bool { all, err := m.list(); return err == nil && len(all) == 2 })
	d := r.receive("conv_1", leak())
	if fate, delay := event.Outcome(m.Handle(t.Context(), d), 1); fate != event.Redeliver || delay != restTime {
		t.Errorf("fate %v after %s", fate, delay)
	}
	r.employ(plumber("lac"))
	await.True(t, "three providers", func() bool { all, err := m.list(); return err == nil && len(all) == 3 })
	handle(t, m, d)
	if d := cmp.Diff([]string{"matched lac"}, r.story(d.Lead.Lead)); d != "" {
		t.Error(d)
	}
}

func TestTheRosterIsFollowed(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"))
	m, _ := r.start(r.options())
	r.employ(plumber("lac", func(p *roster.Provider) { p.Active = false }), plumber("rive"))
	await.True(t, "two providers", func() bool { all, err := m.list(); return err == nil && len(all) == 2 })
	if _, err := r.roster.Put(t.Context(), "rive", []byte(`{"id":"rive","hours":"never"}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.roster.Put(t.Context(), "broken", []byte(`{"id":"other"}`)); err != nil {
		t.Fatal(err)
	}
	r.employ(plumber("zz"))
	await.True(t, "the last change", func() bool { all, err := m.list(); return err == nil && len(all) == 3 })
	d := r.receive("conv_1", leak())
	handle(t, m, d)
	if d := cmp.Diff([]string{"matched rive"}, r.story(d.Lead.Lead)); d != "" {
		t.Error(d)
	}
}

// lostRoster is a watch that breaks.
type lostRoster struct{}

func (lostRoster) Watch(context.Context, func(event.Entry), func()) error {
	return errors.New("the watch ended")
}

func TestALostRosterEndsTheMatcher(t *testing.T) {
	r := newRig(t)
	o := r.options()
	o.Roster = lostRoster{}
	var err error
	await.Return(t, "the matcher ends", func() { err = New(o).Run(t.Context()) })
	if err == nil || err.Error() != "follow the roster: the watch ended" {
		t.Errorf("run: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(r.options()).Run(ended); err != nil {
		t.Errorf("an orderly stop: %v", err)
	}
}

// The matcher is stopped, leads come, and it starts again: they waited.
func TestLeadsWaitForTheMatcher(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"))
	m, stopRun := r.start(r.options())
	stop := r.consume(r.matcher, m, 4)
	r.receive("conv_0", leak())
	await.True(t, "matched", func() bool { return len(r.story(lead.NewID(domain, "conv_0"))) > 0 })
	stop()
	stopRun()
	for i := 1; i <= 20; i++ {
		r.receive(conversation(i), leak())
	}
	m, _ = r.start(r.options())
	r.consume(r.matcher, m, 4)
	for i := 1; i <= 20; i++ {
		id := lead.NewID(domain, conversation(i))
		await.True(t, fmt.Sprintf("lead %d is matched", i), func() bool { return len(r.story(id)) == 1 })
	}
}

func TestOtherEventsAreRefused(t *testing.T) {
	m := New(newRig(t).options())
	d := event.Delivery{Event: event.Event{Lead: subjects.Lead{Event: subjects.Matched}, Body: &event.Decided{}}, Attempt: 1}
	if fate, _ := event.Outcome(m.Handle(t.Context(), d), 1); fate != event.Terminate {
		t.Errorf("fate %v", fate)
	}
}

// What a caller adds after an operator gave the lead to another provider is
// told to that one, also when an update to the former came in between.
func TestAnUpdateGoesToWhoHasTheLeadNow(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"))
	m, _ := r.start(r.options())
	first := r.receive(conversation(1), leak())
	handle(t, m, first)
	id := first.Lead.Lead
	matched := r.events(id)[1]

	operator := r.connect("ch-operator")
	publish := func(kind string, change func(*event.Decided)) {
		b := *matched.Body.(*event.Decided)
		change(&b)
		e := matched
		e.ID, e.At, e.Lead.Event, e.Body = kind+"-by-hand", r.clock(), kind, &b
		if err := operator.Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	next := plumber("rhone")
	publish(subjects.Reassigned, func(b *event.Decided) { b.Offer, b.Provider = lead.OfferID(id, next.ID), &next })
	handle(t, m, first)
	more := leak()
	more.AddressLine = "Rue du Lac 3"
	publish(subjects.Amended, func(b *event.Decided) { b.Lead.Request.AddressLine = more.AddressLine }) // decided before, stored after
	later := r.receive(conversation(1), more)
	for range 2 {
		handle(t, m, first)
		handle(t, m, later)
	}
	if d := cmp.Diff([]string{"matched lac", "reassigned rhone", "amended lac", "amended rhone"}, r.story(id)); d != "" {
		t.Error(d)
	}
	if e := r.events(id); e[len(e)-1].Body.(*event.Decided).Offer != lead.OfferID(id, next.ID) {
		t.Error("the update is about another offer")
	}
}
