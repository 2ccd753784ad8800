package edge

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// Bounds of what a person enters, in characters, and how long an answer waits until
// the matcher has seen it.
const (
	maxReason = 200
	maxValue  = 40
	seenTime  = 3 * time.Second
	seenWait  = 10 * time.Millisecond // doubles
)

// why are the reasons of an answer or order that asks for one.
var why = map[string][]string{
	event.Decline: {"too_far", "no_time", "wrong_trade", "price", "other"},
	event.NotDone: {"no_answer", "price", "hired_other", "changed_mind", "out_of_area", "other"},
	event.Lost:    {"no_answer", "price", "hired_other", "changed_mind", "out_of_area", "other"},
}

// look asks the matcher for the view of a link's offer or lead, and whether it has
// seen an event. Without it look answers the request itself.
func (e *edge) look(w http.ResponseWriter, r *http.Request, a *access, l link.Link, p *page, id string) bool {
	v, err := e.view(r.Context(), l, id)
	switch {
	case err != nil:
		a.err = err
		p.later(w, "busy", "5")
	case v.Ref == "": // no such lead or offer, or not any more
		p.Asks = ""
		p.show(w, http.StatusNotFound, "forged")
	default:
		p.View, p.Ref = &v, v.Ref
		p.speak(v.Languages...)
		v.Service = e.serviceName(v.Service, p.Lang)
		return true
	}
	return false
}

func (e *edge) view(ctx context.Context, l link.Link, id string) (v story.View, err error) {
	question, err := json.Marshal(story.Question{Offer: l.Offer, Event: id})
	if err != nil {
		return v, err
	}
	answer, err := e.Ask(ctx, subjects.Lead{Market: l.Market, Site: l.Site, Lead: l.ID}, question)
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(answer, &v)
}

// act publishes what a provider or the owner answered, and shows what became of it:
// the reducer decides.
func (e *edge) act(w http.ResponseWriter, r *http.Request, a *access, l link.Link, p page, form url.Values) *refusal {
	said, fault, err := p.said(l, form)
	if err != nil {
		return e.internal(err, a)
	}
	if !e.look(w, r, a, l, &p, said.ID) {
		return nil
	}
	answer, status := form.Get("answer"), http.StatusOK
	order, _ := said.Body.(*event.Ordered)
	if order != nil && order.Order == event.Assign && !slices.ContainsFunc(p.View.Providers, func(c story.Candidate) bool { return c.ID == order.Provider }) {
		fault = "choose"
	}
	switch {
	case p.View.Seen: // the same tap again
	case fault != "":
		p.Fault, status = p.T[fault], http.StatusUnprocessableEntity
	case order != nil && form.Get("turn") != p.View.Turn:
		p.Fault, status = p.T["stale"], http.StatusConflict
	case !slices.Contains(p.View.May, answer):
		if order != nil {
			p.Fault, status = p.T["refused"], http.StatusConflict
		}
	default:
		if b, ok := said.Body.(*event.Replied); ok {
			b.Provider = p.View.Provider
		}
		if e.publish(r.Context(), said, a) != nil {
			p.later(w, "away", "60")
			return nil
		}
		ctx, cancel := context.WithTimeout(r.Context(), seenTime)
		defer cancel()
		for wait := seenWait; ctx.Err() == nil; wait *= 2 {
			if v, err := e.view(ctx, l, said.ID); err == nil && v.Ref != "" {
				v.Service = p.View.Service
				p.View = &v
			}
			if p.View.Seen && (order == nil || !p.View.Busy) {
				break
			}
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}
		if !p.View.Seen {
			p.Note = p.T["stored"]
		}
	}
	switch {
	case p.View.Took && answer == event.Accept: // the page says it
	case p.View.Took:
		p.Note = cmp.Or(p.T["did_"+answer], p.T["noted"])
	case p.View.Seen && order != nil:
		p.Fault, status = p.T["refused"], http.StatusConflict
	}
	p.showView(w, status)
	return nil
}

// said is the event of an answer, without the provider; a fault is the key of a text.
// The same tap twice is one event.
func (p page) said(l link.Link, form url.Values) (e event.Event, fault string, err error) {
	answer, reason, value := form.Get("answer"), form.Get("reason"), tidy(form.Get("value"))
	to := subjects.Lead{Market: l.Market, Site: l.Site, Event: subjects.ProviderReplied, Lead: l.ID}
	if reasons := why[answer]; reasons == nil {
		reason = ""
	} else if !slices.Contains(reasons, reason) {
		return e, "choose", nil
	}
	if more := tidy(form.Get("text")); more != "" && reason != "" {
		reason += ": " + more
		if utf8.RuneCountInString(more) > maxReason {
			return e, "too_long", nil
		}
	}
	if answer != event.Done && answer != event.Won {
		value = ""
	} else if utf8.RuneCountInString(value) > maxValue {
		return e, "too_long", nil
	}
	if l.Asks == link.Lead {
		b := event.Ordered{Order: answer, Reason: reason, Value: value}
		switch {
		case !slices.Contains(event.Orders, answer):
			return e, "choose", nil
		case answer == event.Assign:
			b.Provider = form.Get("provider")
		case answer == event.Duplicate:
			if b.Of = strings.ToLower(strings.TrimSpace(form.Get("of"))); !subjects.ValidToken(b.Of) || b.Of == l.ID {
				return e, "bad_lead", nil
			}
		}
		e, err = event.NewOrdered(to, b, form.Get("turn"), p.Now.UTC())
		return e, "", err
	}
	b := event.Replied{Offer: l.Offer, Answer: answer, Reason: reason, Value: value}
	content := struct {
		event.Replied
		Seq string // of the page: what was reported may change to and fro
	}{Replied: b}
	switch answer {
	case event.Leave:
		b.Until = form.Get("until")
		if _, err := time.Parse(time.DateOnly, b.Until); err != nil || b.Until < p.Today(0) || b.Until > p.Today(1) {
			return e, "bad_date", nil
		}
		content.Until = b.Until
	case event.Reached, event.NotReached:
		content.Seq = form.Get("seq")
	default:
		if !slices.Contains(event.Answers, answer) {
			return e, "choose", nil
		}
	}
	id, err := event.ContentID(to.Event, to.Lead, content)
	return event.Event{ID: id, At: p.Now.UTC(), Lead: to, Body: &b}, "", err
}

// tidy is what was entered on one line without what cannot be printed.
func tidy(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
}

func (p page) showView(w http.ResponseWriter, status int) {
	key := link.Lead
	if p.Asks == link.Offer {
		switch key = "offer_" + p.View.State; p.View.State {
		case story.OfferOpen:
			if p.View.Mode == "" {
				key = "offer_notify"
			}
		case string(lead.OfferUndeliverable):
			key = "offer_withdrawn"
		}
	}
	p.show(w, status, key)
}

// form is one thing that a page offers.
type form struct {
	P      page
	Answer string
}

// Forms are what the page offers.
func (p page) Forms() (all []form) {
	for _, answer := range p.View.May {
		all = append(all, form{p, answer})
	}
	return all
}

// Why are the reasons that an answer may have.
func (page) Why(answer string) []string { return why[answer] }

// Word is a text by its key; without one it is what follows the prefix.
func (p page) Word(prefix, key string) string {
	key, more, found := strings.Cut(key, ": ")
	if t := p.T[prefix+key]; t != "" {
		key = t
	}
	if found {
		key += ": " + more
	}
	return key
}

// Today is the market's date, so many years from now.
func (p page) Today(years int) string {
	return p.local(p.Now).AddDate(years, 0, 0).Format(time.DateOnly)
}

// At is a time for people: the hour alone stands for today.
func (p page) At(t time.Time) string {
	if t = p.local(t); t.Format(time.DateOnly) == p.Today(0) {
		return t.Format("15:04")
	}
	return t.Format("02.01. 15:04")
}

func (p page) local(t time.Time) time.Time {
	if p.Zone == nil {
		return t.UTC()
	}
	return t.In(p.Zone)
}
