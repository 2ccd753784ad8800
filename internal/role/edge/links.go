package edge

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
	"leadbus/internal/text"
	"leadbus/internal/understand/phone"
)

//go:embed links
var linkFiles embed.FS

var linkPage = template.Must(template.ParseFS(linkFiles, "links/page.html"))

// linkTexts are the page's words, by language; see links/en.yaml.
var linkTexts = text.ShippedFiles[map[string]string](linkFiles, "links")

// page is what a link shows.
type page struct {
	Lang   string
	T      map[string]string
	Brand  string
	Ref    string
	Title  string
	Say    string
	Note   string // what an answer did
	Fault  string // what is wrong with what was entered
	Asks   string // a form for this; none when empty
	Drop   bool   // only drop is offered
	Phone  string
	Choice struct{ Service, Place string }

	Services, Places []choice

	View *story.View // of an offer or a lead
	Zone *time.Location
	Now  time.Time
}

type choice struct{ ID, Name string }

// link reads the request's token. Without a usable one it answers itself and
// link is nil. The token names no person; of a recovered lead and an alarm the edge
// knows nothing, and the mail or text with the link says it.
func (e *edge) link(w http.ResponseWriter, r *http.Request, a *access) (*link.Link, *site.Site, page) {
	p := page{Now: e.Now()}
	p.speak("en")
	if e.Links == nil {
		p.show(w, http.StatusNotFound, "forged")
		return nil, nil, p
	}
	l, err := e.Links.Read(r.PathValue("token"), p.Now)
	s := e.Catalog.Sites[l.Site]
	if s != nil {
		p.speak(s.Owner.Language)
		if l.Asks == link.Offer {
			p.speak(s.Languages...)
		}
		p.Brand = s.Brand
	}
	switch {
	case errors.Is(err, link.ErrExpired):
		p.show(w, http.StatusNotFound, "expired")
	case err != nil || s == nil || s.Market != l.Market || (l.Asks == link.Offer || l.Asks == link.Verify) != (l.Offer != ""):
		p.show(w, http.StatusNotFound, "forged")
	default:
		a.market, a.site, a.lead = l.Market, l.Site, l.ID
		p.Asks, p.Zone = l.Asks, e.Catalog.MarketOf(s).Location
		if l.Asks == link.Optout || l.Asks == link.Verify { // a customer's or a provider's
			a.lead = ""
			p.speak(s.Languages...)
		}
		if l.Asks == link.Recover {
			p.Ref = lead.Ref(l.ID)
		}
		return &l, s, p
	}
	return nil, nil, p
}

// speak takes the first of some languages that the page has words in.
func (p *page) speak(languages ...string) {
	for _, lang := range languages {
		if t := linkTexts[lang]; t != nil {
			p.Lang, p.T = lang, t
			return
		}
	}
}

// showLink is GET: it shows what can be answered and does nothing, since mail
// scanners and previews open every link.
func (e *edge) showLink(w http.ResponseWriter, r *http.Request, a *access) *refusal {
	l, s, p := e.link(w, r, a)
	switch {
	case l == nil:
	case l.Asks == link.Offer || l.Asks == link.Lead:
		if e.look(w, r, a, *l, &p, "") {
			p.showView(w, http.StatusOK)
		}
	default:
		p.Drop = r.URL.Query().Get("answer") == event.Drop
		e.ask(w, http.StatusOK, *l, s, p)
	}
	return nil
}

func (e *edge) ask(w http.ResponseWriter, status int, l link.Link, s *site.Site, p page) {
	if l.Asks == link.Recover {
		for _, offered := range s.Services {
			p.Services = append(p.Services, choice{offered.ID, e.serviceName(offered.ID, p.Lang)})
		}
		for _, at := range e.Catalog.MarketOf(s).Places {
			p.Places = append(p.Places, choice{at.ID, at.Name})
		}
	}
	p.show(w, status, l.Asks)
}

func (e *edge) serviceName(id, lang string) string {
	if s := e.Catalog.Services[id]; s != nil && s.Names[lang] != "" {
		return s.Names[lang]
	}
	return id
}

// maxForm is the largest answer.
const maxForm = 8 << 10

// answerLink is POST.
func (e *edge) answerLink(w http.ResponseWriter, r *http.Request, a *access) *refusal {
	l, s, p := e.link(w, r, a)
	if l == nil {
		return nil
	}
	body, refused := read(w, r, maxForm)
	if refused != nil {
		return refused
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return &refusal{http.StatusBadRequest, "the body is not a form"}
	}
	if l.Asks == link.Offer || l.Asks == link.Lead {
		return e.act(w, r, a, *l, p, form)
	}
	return e.answerOnce(w, r, a, *l, s, p, form)
}

// answerOnce takes an answer to a recovered lead or an alarm: the first stands.
func (e *edge) answerOnce(w http.ResponseWriter, r *http.Request, a *access, l link.Link, s *site.Site, p page, form url.Values) *refusal {
	p.Phone, p.Choice.Service, p.Choice.Place = form.Get("phone"), form.Get("service"), form.Get("place")
	if l.Asks == link.Verify && form.Get("answer") == link.Verify {
		return e.verify(w, r, a, l, p)
	}
	if l.Asks == link.Optout && form.Get("answer") == link.Optout {
		return e.optOut(w, r, a, l, s, p)
	}
	answer, fault := e.answer(l, s, form)
	if fault != "" {
		p.Fault = p.T[fault]
		e.ask(w, http.StatusUnprocessableEntity, l, s, p)
		return nil
	}
	p.Asks = ""
	// The same answer again, after one that got lost, is the same event.
	id, err := event.ContentID(subjects.OwnerAnswered, l.ID, answer)
	if err != nil {
		return e.internal(err, a)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), publishTime)
	defer cancel()
	err = e.Publisher.PublishOnce(ctx, event.Event{
		ID: id, At: e.Now().UTC(), Body: &answer,
		Lead: subjects.Lead{Market: l.Market, Site: l.Site, Event: subjects.OwnerAnswered, Lead: l.ID},
	})
	switch {
	case errors.Is(err, event.ErrConflict):
		p.show(w, http.StatusOK, "again")
	case err != nil:
		a.err = err
		p.later(w, "away", "60")
	default:
		p.show(w, http.StatusOK, answer.Answer)
	}
	return nil
}

// verify takes a provider's word that messages arrive.
func (e *edge) verify(w http.ResponseWriter, r *http.Request, a *access, l link.Link, p page) *refusal {
	of, ok := roster.ParseAddressKey(l.Offer)
	if !ok {
		p.show(w, http.StatusNotFound, "forged")
		return nil
	}
	p.Asks = ""
	ev := event.Event{
		ID: subjects.ProviderReplied + "-" + l.ID + "-" + l.Offer, At: e.Now().UTC(),
		Lead: subjects.Lead{Market: l.Market, Site: l.Site, Event: subjects.ProviderReplied, Lead: l.ID},
		Body: &event.Replied{Offer: l.Offer, Provider: of.Provider, Answer: event.Verified},
	}
	if refused := e.publish(r.Context(), ev, a); refused != nil {
		p.later(w, "away", "60")
		return nil
	}
	p.show(w, http.StatusOK, "verified")
	return nil
}

// answer reads the form; a fault is the key of a text.
func (e *edge) answer(l link.Link, s *site.Site, form url.Values) (a event.Answered, fault string) {
	a.Answer = form.Get("answer")
	asked := map[string][]string{link.Recover: {event.Confirm, event.Drop}, link.Alarm: {event.Acknowledge}}[l.Asks]
	if !slices.Contains(asked, a.Answer) {
		return a, "choose"
	}
	if a.Answer != event.Confirm {
		return a, ""
	}
	m := e.Catalog.MarketOf(s)
	if said := strings.TrimSpace(form.Get("phone")); said != "" {
		p := phone.Resolve(said, "", m.Country, m.Neighbours...)
		if p.E164 == "" || p.Check {
			return a, "bad_phone"
		}
		a.Phone = p.E164
	}
	a.Service, a.Place = form.Get("service"), form.Get("place")
	if a.Service != "" && !slices.ContainsFunc(s.Services, func(o site.SiteService) bool { return o.ID == a.Service }) {
		return a, "choose"
	}
	if a.Place != "" && !slices.ContainsFunc(m.Places, func(at site.Place) bool { return at.ID == a.Place }) {
		return a, "choose"
	}
	return a, ""
}

// later asks to try again.
func (p page) later(w http.ResponseWriter, key, seconds string) {
	p.Asks = ""
	w.Header().Set("Retry-After", seconds)
	p.show(w, http.StatusServiceUnavailable, key)
}

// show writes the page with the title and the sentence under a key. Nothing
// keeps it, and it names its address to nobody.
func (p page) show(w http.ResponseWriter, status int, key string) {
	p.Title, p.Say = p.T[key+"_title"], p.T[key+"_say"]
	var b bytes.Buffer
	if err := linkPage.Execute(&b, p); err != nil {
		panic(fmt.Errorf("render a link's page: %w", err))
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client is gone; what was answered is stored all the same
}
