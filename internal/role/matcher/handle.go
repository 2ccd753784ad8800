package matcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// Reasons to come back later.
var (
	errRosterUnread = errors.New("the roster was not read yet")
	errRosterEmpty  = errors.New("the roster is empty")
	errRosterMoves  = errors.New("the roster has just changed")
	errUnreadable   = errors.New("the event cannot be read back yet")
)

// Handle takes one delivery of the matcher's durable.
func (m *Matcher) Handle(ctx context.Context, d event.Delivery) error {
	switch b := d.Body.(type) {
	case *event.Received:
		return m.received(ctx, d)
	case *event.Attempted, *event.Reported:
		failed, err := m.health.handle(ctx, d.Event)
		if err != nil || !failed {
			return err
		}
	case *event.Replied:
		if b.Answer == event.Verified {
			return m.health.verified(ctx, d.Event, b.Offer)
		}
		if b.Answer == event.Leave {
			if err := m.loads.leave(ctx, b.Provider, b.Until); err != nil {
				return err
			}
		}
	case *event.Ordered:
	default:
		return event.Permanent(fmt.Errorf("the matcher does not handle %s", d.Lead.Event))
	}
	return m.Route(ctx, d.Lead)
}

// received takes a tool call.
func (m *Matcher) received(ctx context.Context, d event.Delivery) error {
	s := m.Catalog.Sites[d.Lead.Site]
	if s == nil || s.Market != m.market.ID {
		// The lead waits until somebody puts the configuration right, for
		// about 16 hours before it goes to the DLQ.
		err := fmt.Errorf("site %s is not configured in market %s, or its file is broken", d.Lead.Site, m.market.ID)
		if d.Attempt >= 100 {
			return event.Permanent(err)
		}
		return event.After(time.Duration(min(max(d.Attempt, 1), 10))*time.Minute, err)
	}
	defer m.leads.lock(d.Lead.Lead)()
	for {
		overtaken, err := m.decide(ctx, s, d)
		if err != nil || !overtaken {
			return err
		}
	}
}

// decide brings the lead up to date. overtaken says that another replica or an
// operator matched it meanwhile, or that there are more calls.
func (m *Matcher) decide(ctx context.Context, s *site.Site, d event.Delivery) (overtaken bool, err error) {
	filter := subjects.Lead{Market: d.Lead.Market, Site: d.Lead.Site, Lead: d.Lead.Lead}
	events, err := m.Stream.Events(ctx, filter)
	if err != nil {
		return false, err
	}
	r := story.Of(events)
	if !slices.ContainsFunc(r.ToolCalls, func(e event.Event) bool { return e.Seq == d.Seq }) { // a replica of the stream that lags behind
		return false, errUnreadable
	}
	l, others, err := m.understand(s, d.Lead.Lead, r.ToolCalls)
	if err != nil {
		return false, err
	}
	for _, other := range others { // all, so that they stand in their order whichever is delivered first
		if err := event.PublishOnce(ctx, m.Stream, other); err != nil {
			return false, err
		}
	}
	if last := r.Decided(); last != nil && contentOf(last.Lead) == contentOf(l) && !again(&r) {
		return false, nil
	}
	if merged, err := m.unheard(ctx, d, r, l); merged || err != nil {
		return false, err
	}
	switch missing := unusable(l); {
	case r.Lead.Status == string(lead.Duplicate) && r.Decision.Lead.Event == subjects.Merged:
		return false, m.passOn(ctx, r.Lead.Of, d, &r)
	case slices.Contains(settled, lead.Status(r.Lead.Status)) && r.Match() == nil: // a person said so
		return false, nil
	case r.Match() != nil:
		before := r.Match().Body.(*event.Decided)
		return m.publish(ctx, d, r, subjects.Amended, event.Decided{
			Lead: l, Offer: before.Offer, Provider: before.Provider, Trace: before.Trace,
		})
	case missing != "":
		return m.publish(ctx, d, r, subjects.ReviewRequested, event.Decided{Lead: l, Reason: missing})
	case len(r.Matches) > 0 || r.Lead.Status == string(lead.Cancelled): // it left its provider, and goes to the next one as it is now
		if err := m.next(ctx, s, filter, &r, l, r.Left); err != nil {
			return false, err
		}
		return true, m.Timers.SetTimer(ctx, filter, m.Now()) // another may have had the turn, without what is new
	case r.Decision == nil:
		of, err := m.repeats(ctx, l)
		if err != nil {
			return false, err
		}
		if of != "" {
			return false, m.merge(ctx, of, d, &r, l)
		}
	}
	return m.match(ctx, s, d, r, l)
}

// settled are the statuses that another call does not change.
var settled = []lead.Status{lead.Converted, lead.Lost, lead.Spam, lead.Duplicate}

// unusable says why nobody can be sent; empty when somebody can.
func unusable(l lead.Lead) string {
	var why []string
	if l.Request.Refused() {
		why = append(why, "the customer does not want to be contacted")
	}
	if l.Unheard() {
		why = append(why, "nobody spoke with the caller")
	}
	if l.Phone.E164 == "" {
		why = append(why, "no usable phone number")
	}
	switch {
	case l.Service.ID != "":
	case l.Service.Raw == "":
		why = append(why, "no service given")
	default:
		why = append(why, "service not understood")
	}
	switch {
	case l.Place.ID != "":
	case l.Place.Method == "out_of_area":
		why = append(why, "place outside the area served")
	case l.Place.Raw == "":
		why = append(why, "no place given")
	default:
		why = append(why, "place not understood")
	}
	return strings.Join(why, "; ")
}

// match offers the lead to the first provider who can take it.
func (m *Matcher) match(ctx context.Context, s *site.Site, d event.Delivery, r story.Record, l lead.Lead) (overtaken bool, err error) {
	mode, _ := s.DispatchOf(l)
	c, err := m.reserve(ctx, l, nil, "", wanted(mode))
	if errors.Is(err, errRosterUnread) || errors.Is(err, errRosterEmpty) {
		return false, event.After(min(time.Duration(max(d.Attempt, 1))*500*time.Millisecond, 30*time.Second), err)
	} else if err != nil {
		return false, err
	}
	if c.chosen == nil {
		if !m.atRest() {
			return false, event.After(restTime, errRosterMoves)
		}
		e := m.without(d.Lead, c, l)
		if overtaken, err = m.publish(ctx, d, r, e.Lead.Event, *e.Body.(*event.Decided)); err == nil && !overtaken && e.Lead.Event == subjects.Postponed {
			err = m.Timers.SetTimer(ctx, d.Lead, e.Body.(*event.Decided).Until)
		}
		return overtaken, err
	}
	body := m.offers(d.Lead, s, l, c, func(provider string) string { return lead.OfferID(l.ID, provider) }).Body.(*event.Decided)
	e, err := decided(d, subjects.Matched, c.at, c.chosen.ID, *body)
	if err != nil {
		return false, err
	}
	err = m.Stream.PublishFirst(ctx, e)
	if err != nil || len(r.ToolCalls) > 1 || d.Attempt > 1 { // somebody else may have had cause to decide
		if overtaken, err = m.settle(ctx, e, c, err); err != nil || overtaken {
			return overtaken, err
		}
	} else {
		m.note(e)
	}
	if l.Test() {
		return false, nil
	}
	first := body.TextAt
	if !body.Until.IsZero() && body.Until.Before(first) {
		first = body.Until
	}
	return false, m.Timers.SetTimer(ctx, d.Lead, first)
}

// settle finds out which match of the lead stands, after one was published with
// err, and gives the slots back only if it is certain that this one does not.
func (m *Matcher) settle(ctx context.Context, e event.Event, c choice, err error) (overtaken bool, _ error) {
	there, readErr := m.Stream.Events(ctx, e.Lead)
	switch {
	case readErr != nil:
		return false, errors.Join(err, readErr)
	case len(there) == 0 && (err == nil || errors.Is(err, event.ErrConflict)): // read from a replica that lags behind
		return false, err
	case len(there) > 0 && there[0].ID == e.ID && there[0].At.Equal(e.At):
		m.note(e)
		return false, nil
	}
	if rerr := m.giveBack(ctx, c); rerr != nil {
		m.Log.Warn().Err(rerr).Str("lead", e.Lead.Lead).Msg("a slot stays counted without an offer")
	}
	if len(there) == 0 { // the stream refused it
		return false, err
	}
	return true, nil
}

// canary is who gets a test lead. Nobody of the roster is asked, and nothing is
// counted.
func (m *Matcher) canary() (roster.Trace, *roster.Provider) {
	p := &roster.Provider{ID: roster.Canary, Market: m.market.ID, Name: "Canary", Active: true, Email: m.market.Canary.Email}
	return roster.Trace{{Provider: p.ID, Name: p.Name, In: true, Reason: "a test lead: nobody of the roster is asked"}}, p
}

func (m *Matcher) unserved(at time.Time, trace roster.Trace) string {
	holiday := m.holidays[at.In(m.market.Location).Format(time.DateOnly)]
	switch {
	case holiday.Closed:
		return "market closed today: " + holiday.Name
	case len(trace) == 0:
		return errRosterEmpty.Error()
	default:
		return "nobody who does the service there can take it"
	}
}

// publish makes a decision that may stand beside earlier ones. Meanwhile another
// replica may have seen one call more, which takes back what this decision says,
// and have found nothing new in it; and an operator may have given the lead to
// another provider, who has to hear of it as well.
func (m *Matcher) publish(ctx context.Context, d event.Delivery, r story.Record, kind string, body event.Decided) (overtaken bool, err error) {
	after := ""
	if r.Decision != nil {
		after = r.Decision.ID + r.Turn // the same words to another provider are another decision
	}
	e, err := decided(d, kind, m.Now().UTC(), after, body)
	if err != nil {
		return false, err
	}
	now, err := m.store(ctx, e)
	return len(now.ToolCalls) > len(r.ToolCalls) || now.Lead.Offer != r.Lead.Offer, err
}

// store publishes a decision, and is where the lead stands once the stream has it.
func (m *Matcher) store(ctx context.Context, e event.Event) (story.Record, error) {
	if err := m.Stream.Publish(ctx, e); err != nil {
		return story.Record{}, err
	}
	m.note(e)
	e.Lead.Event = ""
	events, err := m.Stream.Events(ctx, e.Lead)
	if err == nil && !slices.ContainsFunc(events, func(there event.Event) bool { return there.ID == e.ID }) { // a replica of the stream that lags behind
		err = errUnreadable
	}
	return story.Of(events), err
}

// decided is the event of a decision. Its id tells what people are told and
// what else identifies the decision: the provider of a match, and of any other
// the decision it follows, since a lead may go back to what it was. Clocks and
// trace are left out: deciding the same again gives the same id.
func decided(d event.Delivery, kind string, at time.Time, by string, body event.Decided) (event.Event, error) {
	id, err := event.ContentID(kind, d.Lead.Lead, struct { // the names are part of the id
		Told content
		By   string
	}{contentOf(body.Lead), by})
	if err != nil {
		return event.Event{}, err
	}
	to := d.Lead
	to.Event = kind
	return event.Event{ID: id, At: at, Lead: to, Body: &body}, nil
}

// note logs a decision.
func (m *Matcher) note(e event.Event) {
	b := e.Body.(*event.Decided)
	line := m.Log.Info().Str("event", e.Lead.Event).Str("site", e.Lead.Site).Str("lead", e.Lead.Lead)
	if b.Provider != nil {
		line = line.Str("provider", b.Provider.ID)
	}
	if b.Reason != "" {
		line = line.Str("reason", b.Reason)
	}
	line.Msg("decided")
}
