// Package intake turns the voice agent's tool call into a lead, and the lead
// into what the agent should say and ask next.
//
//	body ─ Decode ─ lead.Request ─ Reader.Understand ─ lead.Lead ─ Reader.Reply ─ {ok, ref, say, ask}
//
// A caller's words are kept as they were said beside what they were taken for, and
// doubt becomes a flag and a question, never a refusal. Understanding is pure:
// the same request gives the same lead, so the matcher can repeat it on all the
// calls of a conversation.
package intake

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"

	"leadbus/internal/lead"
	"leadbus/internal/site"
	"leadbus/internal/text"
	"leadbus/internal/understand/phone"
	"leadbus/internal/understand/place"
)

// Flags that Reply asks about.
const (
	flagMissingName = "missing_name"
	flagPlaceholder = "placeholder"
)

// Reader understands requests. It is built once and safe for concurrent use.
type Reader struct {
	catalog *site.Catalog
	places  map[string]*place.Gazetteer // by market
	sites   map[string]index            // by domain
}

// index is what is looked up for each request of a site.
type index struct {
	services  *place.Services
	languages language.Matcher
}

// New indexes the places of every market and the services and languages of
// every site.
func New(c *site.Catalog) *Reader {
	r := &Reader{catalog: c, places: map[string]*place.Gazetteer{}, sites: map[string]index{}}
	for id, m := range c.Markets {
		r.places[id] = place.NewGazetteer(m.Places, m.Decoys)
	}
	for domain, s := range c.Sites {
		var offered []place.Offered
		for _, own := range s.Services {
			offered = append(offered, place.Offered{ID: own.ID, Phrases: own.Said(c.Services[own.ID])})
		}
		trade, _, _ := strings.Cut(s.Main, ".")
		r.sites[domain] = index{place.NewServices(offered, s.Main, append([]string{trade}, c.Trades[trade]...)), newMatcher(s.Languages)}
	}
	return r
}

// Understand makes the lead with the given id of what was said to a site of the
// catalog, received at at. Flags are those of Decode and of whoever names the
// lead; to them it adds, or takes away where they no longer hold:
//
//	phone_check      a person should confirm the number
//	no_phone         no number is usable
//	place_unknown    not understood where
//	out_of_area      a known place the site does not serve
//	service_unknown  not understood what
//	service_assumed  the site's main service, for a word that names the trade
//	missing_name     nobody's name
//	placeholder      a word for no name, such as "unknown"
//	agent_mismatch   another agent than the site's called
//	no_consent       the customer does not want to be contacted
func (r *Reader) Understand(s *site.Site, id string, req lead.Request, at time.Time, flags []string) lead.Lead {
	ix := r.sites[s.Domain]
	l := lead.Lead{
		ID: id, Ref: lead.Ref(id), Market: s.Market, Site: s.Domain, SourceURL: s.URL, Tracker: s.Tracker,
		Language: match(s.Languages, ix.languages, req.Language), ReceivedAt: at, Request: req,
		Place: r.where(s, req), Phone: r.number(s, req),
	}
	l.Service = lead.Service{Raw: req.ServiceType}
	l.Service.ID, l.Service.Method = ix.services.Resolve(req.ServiceType, req.IssueSummary)
	l.Service.Name = r.serviceName(l.Service.ID, l.Language)

	l.Flags = slices.Clone(flags)
	for flag, holds := range map[string]bool{
		"phone_check":     l.Phone.Check,
		"no_phone":        l.Phone.E164 == "",
		"place_unknown":   l.Place.Method == "unknown",
		"out_of_area":     l.Place.Method == "out_of_area",
		"service_unknown": l.Service.ID == "",
		"service_assumed": l.Service.Method == "trade",
		flagMissingName:   req.CustomerName == "",
		flagPlaceholder:   req.CustomerName != "" && text.NoName(req.CustomerName),
		"no_consent":      req.Refused(),
		"agent_mismatch":  req.AgentID != "" && req.AgentID != s.Agent.ID,
	} {
		l.Flags = slices.DeleteFunc(l.Flags, func(f string) bool { return f == flag })
		if holds {
			l.Flags = append(l.Flags, flag)
		}
	}
	slices.Sort(l.Flags)
	l.Flags = slices.Compact(l.Flags)
	return l
}

// where resolves the place from the city and postcode, and where those tell
// nothing, or less, from an exact name or postcode in the address.
func (r *Reader) where(s *site.Site, req lead.Request) lead.Place {
	places := r.places[s.Market]
	p := places.Resolve(req.City, req.PostalCode, s.Places)
	a := places.Resolve(req.AddressLine, "", s.Places)
	exact := a.Method == "postcode" || a.Method == "alias"
	known := p.Method != "unknown" && p.Method != "assumed"
	if known && exact && places.Narrower(a.ID, p.ID) || !known && (exact || p.Raw == "" && a.Method != "assumed") {
		return a
	}
	return p
}

// number resolves the customer's number. The site's own number, which an agent
// may take for the caller's, is never it.
func (r *Reader) number(s *site.Site, req lead.Request) lead.Phone {
	m := r.catalog.MarketOf(s)
	caller := req.CallerID
	p := phone.Resolve(req.CallbackNumber, caller, m.Country, m.Neighbours...)
	if p.CallerID == s.DID {
		caller = ""
		p = phone.Resolve(req.CallbackNumber, caller, m.Country, m.Neighbours...)
	}
	if p.E164 == s.DID || p.Second == s.DID {
		said := p.Raw
		p = phone.Resolve("", caller, m.Country)
		p.Raw, p.Check = said, true
	}
	return p
}

// serviceName is the name of a service in a language, or the nearest to it.
func (r *Reader) serviceName(id, lang string) string {
	if id == "" {
		return ""
	}
	names := r.catalog.Services[id].Names
	return cmp.Or(names[lang], names["en"], strings.ReplaceAll(id, ".", " "))
}
