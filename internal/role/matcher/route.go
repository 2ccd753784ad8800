package matcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// rivals is how many providers a broadcast asks.
const rivals = 3

// Route brings a lead that was decided on a step further, where it asks for one: to
// the next provider, to the customer or the owner when it takes long. Else it sets
// the lead's timer. It is safe to call at any time and any number of times: a
// decision that another made first counts for nothing.
func (m *Matcher) Route(ctx context.Context, of subjects.Lead) error {
	of.Event = ""
	s := m.Catalog.Sites[of.Site]
	if s == nil || s.Market != m.market.ID {
		return event.After(time.Minute, fmt.Errorf("site %s is not configured in market %s, or its file is broken", of.Site, m.market.ID))
	}
	defer m.leads.lock(of.Lead)()
	for {
		events, err := m.Stream.Events(ctx, of)
		if err != nil {
			return err
		}
		r := story.Of(events)
		if r.Flagged(lead.FlagTest) {
			return nil
		}
		step, at := r.Due(m.Now())
		switch {
		case step.Next:
			err = m.next(ctx, s, of, &r, r.Decided().Lead, step.Ended)
		case step.Overdue != "":
			err = m.overdue(ctx, of, &r, step.Overdue)
		case at.IsZero():
			return nil
		default:
			return m.Timers.SetTimer(ctx, of, at)
		}
		if err != nil {
			return err
		}
	}
}

// overdue says that a lead is still open, and who is to hear of it.
func (m *Matcher) overdue(ctx context.Context, of subjects.Lead, r *story.Record, whom string) error {
	d := *r.Decided()
	d.Trace, d.Rivals, d.Of = nil, nil, whom
	of.Event = subjects.Overdue
	return m.turn(ctx, event.Event{At: m.Now().UTC(), Lead: of, Body: &d}, r, d.Ended)
}

// turn publishes a decision that was made on the lead's turn, and comes back when
// the stream has it. Its id tells the turn and what people are told: deciding the
// same again gives the same id.
func (m *Matcher) turn(ctx context.Context, e event.Event, r *story.Record, ended lead.OfferState) error {
	_, err := m.turned(ctx, e, r, ended)
	return err
}

// turned is turn, and where the lead stands after it.
func (m *Matcher) turned(ctx context.Context, e event.Event, r *story.Record, ended lead.OfferState) (now story.Record, err error) {
	b := e.Body.(*event.Decided)
	b.Turn, b.Ended = r.Turn, ended
	e.ID, err = event.ContentID(e.Lead.Event, e.Lead.Lead, struct {
		Told            content
		Turn, Of, Offer string
	}{contentOf(b.Lead), r.Turn, b.Of, b.Offer})
	if err != nil {
		return now, err
	}
	return m.store(ctx, e)
}

// next gives a lead to the next provider, the one that the owner chose, or nobody.
func (m *Matcher) next(ctx context.Context, s *site.Site, of subjects.Lead, r *story.Record, l lead.Lead, ended lead.OfferState) error {
	order := cmp.Or(r.Wants, new(event.Ordered))
	if missing := unusable(l); missing != "" && order.Order != event.Assign {
		of.Event = subjects.ReviewRequested
		return m.turn(ctx, event.Event{At: m.Now().UTC(), Lead: of, Body: &event.Decided{Lead: l, Reason: missing}}, r, ended)
	}
	mode, class := s.DispatchOf(l)
	c, err := m.reserve(ctx, l, had(r, order), order.Provider, wanted(mode))
	if errors.Is(err, errRosterUnread) || errors.Is(err, errRosterEmpty) {
		return event.After(time.Second, err)
	} else if err != nil {
		return err
	}
	hops := len(r.Offers)
	if mode == lead.Broadcast {
		hops = (hops + rivals - 1) / rivals
	}
	if c.chosen == nil || order.Order == "" && hops >= class.Hops {
		if err := m.giveBack(ctx, c); err != nil {
			return err
		}
		return m.nobody(ctx, of, r, c, l, ended)
	}
	e := m.offers(of, s, l, c, func(provider string) string {
		id := lead.OfferID(l.ID, provider)
		if slices.ContainsFunc(r.Offers, func(o story.Offer) bool { return o.ID == id }) {
			id = lead.SecondID(id, r.Turn)
		}
		return id
	})
	e.Lead.Event = subjects.Reassigned
	now, err := m.turned(ctx, e, r, ended)
	if err != nil {
		return err
	}
	offer := e.Body.(*event.Decided).Offer
	if !slices.ContainsFunc(now.Matches, func(there event.Event) bool {
		return there.Body.(*event.Decided).Offer == offer && there.At.Equal(e.At)
	}) {
		return m.giveBack(ctx, c)
	}
	if ended == "" || ended == lead.OfferExpired || len(r.Matches) == 0 {
		return nil
	}
	former := r.Matches[len(r.Matches)-1] // the slot is free again
	if p := former.Body.(*event.Decided).Provider; p != nil {
		return m.loads.release(ctx, p.ID, former.At)
	}
	return nil
}

// had are the providers whom a lead is not offered again: all who were asked, or
// after an order of the owner's those who declined.
func had(r *story.Record, order *event.Ordered) (ids []string) {
	for _, o := range r.Offers {
		if order.Order == "" || order.Order == event.Next || o.State == string(lead.OfferDeclined) {
			ids = append(ids, o.Provider)
		}
	}
	return ids
}

// nobody says that a lead has no provider now: one will be open later, or the owner
// is called.
func (m *Matcher) nobody(ctx context.Context, of subjects.Lead, r *story.Record, c choice, l lead.Lead, ended lead.OfferState) error {
	e := m.without(of, c, l)
	b := e.Body.(*event.Decided)
	if len(r.Offers) > 0 && e.Lead.Event == subjects.Unserved {
		b.Reason = fmt.Sprintf("%d providers had it, and nobody else can take it", len(r.Offers))
	}
	return m.turn(ctx, e, r, ended)
}

// without is the decision on a lead that nobody can take now.
func (m *Matcher) without(of subjects.Lead, c choice, l lead.Lead) event.Event {
	s := m.Catalog.Sites[of.Site]
	_, class := s.DispatchOf(l)
	b := &event.Decided{Lead: l, Trace: c.trace}
	of.Event = subjects.Unserved
	if !class.Always && !c.opens.IsZero() {
		of.Event = subjects.Postponed
		b.Until = c.opens
		b.Reason = "everybody is closed until " + c.opens.In(m.market.Location).Format("2006-01-02 15:04")
		b.PageAt = c.opens.Add(30 * time.Minute)
	} else {
		b.Reason = m.unserved(c.at, c.trace)
	}
	return event.Event{At: c.at, Lead: of, Body: b}
}

// wanted is how many providers are asked at once.
func wanted(mode string) int {
	if mode == lead.Broadcast {
		return rivals
	}
	return 1
}

// offers is the match of a lead with whom was chosen, with its times.
func (m *Matcher) offers(of subjects.Lead, s *site.Site, l lead.Lead, c choice, id func(provider string) string) event.Event {
	mode, class := s.DispatchOf(l)
	b := &event.Decided{
		Lead: l, Offer: id(c.chosen.ID), Provider: c.chosen, Trace: c.trace,
		TextAt: m.market.After(class, c.at, class.Text), PageAt: m.market.After(class, c.at, class.Page),
	}
	for _, p := range c.rivals {
		b.Rivals = append(b.Rivals, event.Rival{Offer: id(p.ID), Provider: p})
	}
	if mode != lead.Notify {
		b.Mode, b.Until = mode, m.market.After(class, c.at, class.Window)
	}
	return event.Event{At: c.at, Lead: of, Body: b}
}

// choice is whom a lead goes to, and why.
type choice struct {
	at     time.Time
	trace  roster.Trace
	chosen *roster.Provider // nil for nobody
	rivals []roster.Provider
	opens  time.Time // when somebody is open who is not now
}

// giveBack gives the slots of a choice back that was not made.
func (m *Matcher) giveBack(ctx context.Context, c choice) error {
	var faults []error
	for _, p := range c.rivals {
		faults = append(faults, m.loads.release(ctx, p.ID, c.at))
	}
	if c.chosen != nil {
		faults = append(faults, m.loads.release(ctx, c.chosen.ID, c.at))
	}
	return errors.Join(faults...)
}

// reserve chooses a provider, none of those who had the lead, and counts the offer;
// a test lead is for the canary. With only set it is that provider, whatever speaks
// against it but that no channel is known. A choice made on loads that turn out to
// be stale is made again; that nobody is eligible is only believed of fresh loads.
func (m *Matcher) reserve(ctx context.Context, l lead.Lead, had []string, only string, most int) (choice, error) {
	for fresh := false; ; {
		providers, err := m.list()
		if err != nil {
			return choice{}, err
		}
		c := choice{at: m.Now().UTC()}
		if l.Test() {
			c.trace, c.chosen = m.canary()
			return c, nil
		}
		holiday := m.holidays[c.at.In(m.market.Location).Format(time.DateOnly)]
		known, revisions := m.loads.snapshot()
		q := roster.Question{
			Now: c.at, Location: m.market.Location, Holiday: holiday.Name, Closed: holiday.Closed,
			Service: l.Service.ID, Place: l.Place.ID, Language: l.Language, Covers: m.places.Covers,
			Providers: providers, Loads: known, Health: m.health.snapshot(), Had: had, Off: m.market.Off,
		}
		c.trace, c.chosen = roster.Choose(q)
		switch {
		case only != "":
			if c.chosen, err = ordered(providers, only); err != nil {
				return c, err
			}
			c.trace = append(roster.Trace{{Provider: only, Name: c.chosen.Name, In: true, Reason: "chosen by the owner"}},
				slices.DeleteFunc(c.trace, func(v roster.Verdict) bool { return v.Provider == only })...)
		case c.chosen == nil && !fresh:
			if err := m.loads.refresh(ctx); err != nil {
				return c, err
			}
			fresh = true
			continue
		case c.chosen == nil:
			c.opens = q.Opens()
			return c, nil
		}
		err = m.loads.reserve(ctx, c.chosen.ID, revisions[c.chosen.ID], c.at)
		if errors.Is(err, event.ErrConflict) {
			continue
		} else if err != nil {
			return c, err
		}
		for _, p := range q.Others(c.trace, *c.chosen, most-1) {
			if err := m.loads.reserve(ctx, p.ID, revisions[p.ID], c.at); err == nil { // one rival less is no harm
				c.rivals = append(c.rivals, p)
			}
		}
		return c, nil
	}
}

// ordered is the provider that the owner chose.
func ordered(providers []roster.Provider, id string) (*roster.Provider, error) {
	i := slices.IndexFunc(providers, func(p roster.Provider) bool { return p.ID == id })
	if i < 0 || len(providers[i].Channels()) == 0 {
		return nil, event.Permanent(fmt.Errorf("the owner gave the lead to provider %q, who is not in the roster or has no address", id))
	}
	p := providers[i]
	return &p, nil
}
