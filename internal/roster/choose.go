package roster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Question is everything the choice depends on.
type Question struct {
	Now      time.Time
	Location *time.Location // the market's

	Holiday string // the market's holiday on the local day of Now; empty for none
	Closed  bool   // nothing happens on it at all (Nyepi)

	Service  string
	Place    string
	Language string // the lead's

	// Covers reports whether a place is one of ids or part of one.
	Covers func(ids []string, id string) bool

	Providers []Provider      // of the market, with distinct ids
	Loads     map[string]Load // by provider id; none means no offer yet
	// Health is what is known of channels, by HealthKey.
	Health map[string]Health
	Had    []string              // ids of providers who had the lead before
	Off    func(day string) bool // a holiday of the market
}

// Choose picks the first eligible provider, with the channels that work, and says of
// every other who does the service there why not. It is pure, and indifferent to the
// order of Providers.
//
// Providers are asked by priority; within one priority whoever has waited
// longest since the last offer comes first, and who never had one before all.
// The lead's language only settles who goes first among those who waited
// equally long, in practice those without an offer yet: a provider's turn is
// worth more than their language, which the lead's texts carry in any case. The
// id settles the rest.
//
// A holiday is a whole local day and counts as outside hours.
func Choose(q Question) (Trace, *Provider) {
	type turn struct {
		*Provider
		last    time.Time
		foreign int // 1 unless the lead's language is spoken
	}
	turns := make([]turn, len(q.Providers))
	for i := range q.Providers {
		p := &q.Providers[i]
		turns[i] = turn{Provider: p, last: q.Loads[p.ID].LastOfferAt}
		if !slices.Contains(p.Languages, q.Language) {
			turns[i].foreign = 1
		}
	}
	slices.SortFunc(turns, func(a, b turn) int {
		return cmp.Or(
			cmp.Compare(a.Priority, b.Priority),
			a.last.Compare(b.last),
			cmp.Compare(a.foreign, b.foreign),
			strings.Compare(a.ID, b.ID),
		)
	})
	local := q.Now.In(q.Location)
	day, week := calendar(local)
	var trace Trace
	others, elsewhere := 0, 0
	var chosen *Provider
	for _, t := range turns {
		v := Verdict{Provider: t.ID, Name: t.Name, Reason: q.against(t.Provider, local, day, week)}
		switch v.Reason {
		case otherTrade:
			others++
			continue
		case otherPlace:
			elsewhere++
			continue
		case "":
			p, without := q.working(*t.Provider)
			v.In, v.Reason = true, "eligible"
			if chosen == nil {
				v.Reason = "chosen"
			}
			if without != "" {
				v.Reason += ", without " + without
			}
			if chosen == nil {
				chosen = &p
			}
		}
		trace = append(trace, v)
	}
	if others > 0 {
		trace = append(trace, Verdict{Name: fmt.Sprintf("%d more", others), Reason: "do not do " + q.Service})
	}
	if elsewhere > 0 {
		trace = append(trace, Verdict{Name: fmt.Sprintf("%d more", elsewhere), Reason: "do not cover " + q.Place})
	}
	return trace, chosen
}

// Others are up to n more eligible providers of a trace, in its order, with the
// channels that work.
func (q Question) Others(trace Trace, chosen Provider, n int) (others []Provider) {
	for _, v := range trace {
		i := slices.IndexFunc(q.Providers, func(p Provider) bool { return p.ID == v.Provider })
		if v.In && i >= 0 && v.Provider != chosen.ID && len(others) < n {
			p, _ := q.working(q.Providers[i])
			others = append(others, p)
		}
	}
	return others
}

// CannotBeReached begins the reason of a provider none of whose channels works.
const CannotBeReached = "cannot be reached: "

// Reasons of which a trace counts the providers and names none, so that it grows
// with who could have been chosen.
const (
	otherTrade = "other trade"
	otherPlace = "other place"
)

// working is a provider with the channels that work, and the others with what is
// known of them.
func (q Question) working(p Provider) (_ Provider, without string) {
	var broken []string
	for _, c := range p.Channels() {
		if h := q.Health[HealthKey(p.ID, c.Channel)].Working(c.Address); h.State() == Broken {
			broken = append(broken, c.Channel+": "+h.String())
			*p.Address(c.Channel) = ""
		}
	}
	return p, strings.Join(broken, ", ")
}

// Opens is the first time at which somebody is open who is not now and whom nothing
// else is against; zero for never.
func (q Question) Opens() time.Time {
	local := q.Now.In(q.Location)
	day, week := calendar(local)
	var first time.Time
	for i := range q.Providers {
		p := q.Providers[i]
		hours, holiday, closed := p.Hours, q.Holiday, q.Closed
		if p.AfterHours {
			continue
		}
		open := q
		open.Holiday, open.Closed = "", false
		if p.AfterHours = true; open.against(&p, local, day, week) != "" || !closed && holiday == "" && hours.open(local) {
			continue
		}
		if at := hours.Next(local, q.Off); !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first.UTC()
}

// against is the first reason not to ask a provider; empty for none.
func (q Question) against(p *Provider, local time.Time, day, week string) string {
	load := q.Loads[p.ID].at(day, week)
	switch until := max(p.onLeave(day), load.AwayUntil); {
	case !slices.Contains(p.Services, q.Service):
		return otherTrade
	case !q.Covers(p.Places, q.Place):
		return otherPlace
	case slices.Contains(q.Had, p.ID):
		return "had it before"
	case q.Closed:
		return "market closed today: " + q.Holiday
	case !p.Active:
		return "not active"
	case until >= day:
		return "on leave until " + until
	case !p.AfterHours && q.Holiday != "":
		return "closed today: " + q.Holiday
	case !p.AfterHours && !p.Hours.open(local):
		return p.Hours.closed(local)
	case p.Caps.Day > 0 && load.DayOffers >= p.Caps.Day:
		return fmt.Sprintf("day cap %d reached", p.Caps.Day)
	case p.Caps.Week > 0 && load.WeekOffers >= p.Caps.Week:
		return fmt.Sprintf("week cap %d reached", p.Caps.Week)
	case len(p.Channels()) == 0:
		return "has no channel: no whatsapp, sms or email"
	}
	if left, without := q.working(*p); len(left.Channels()) == 0 {
		return CannotBeReached + without
	}
	return ""
}

// onLeave is the last day of the leave a day falls in; empty for none.
func (p *Provider) onLeave(day string) string {
	until := ""
	for _, l := range p.Leave {
		if l.From <= day && day <= l.Until {
			until = max(until, l.Until)
		}
	}
	return until
}
