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
}

// Choose picks the first eligible provider and says of every other why not. It
// is pure, and indifferent to the order of Providers.
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
	trace := make(Trace, 0, len(turns))
	var chosen *Provider
	for _, t := range turns {
		v := Verdict{Provider: t.ID, Name: t.Name, Reason: q.against(t.Provider, local, day, week)}
		if v.Reason == "" {
			v.In, v.Reason = true, "eligible"
			if chosen == nil {
				p := *t.Provider
				chosen, v.Reason = &p, "chosen"
			}
		}
		trace = append(trace, v)
	}
	return trace, chosen
}

// against is the first reason not to ask a provider; empty for none.
func (q Question) against(p *Provider, local time.Time, day, week string) string {
	load := q.Loads[p.ID].at(day, week)
	switch until := p.onLeave(day); {
	case q.Closed:
		return "market closed today: " + q.Holiday
	case !p.Active:
		return "not active"
	case until != "":
		return "on leave until " + until
	case !slices.Contains(p.Services, q.Service):
		return "does not do " + q.Service
	case !q.Covers(p.Places, q.Place):
		return "does not cover " + q.Place
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
	default:
		return ""
	}
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
