package site

import (
	"fmt"
	"io/fs"
	"maps"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"leadbus/internal/lead"
	"leadbus/internal/subjects"
	"leadbus/internal/text"
)

// site reads and checks one site file. Values the schema has refused are mostly
// empty here and pass.
func (l *loader) site(name, stem string) {
	s := &Site{}
	d := l.read(name, siteFile, s)
	switch {
	case s.Domain != "" && !subjects.ValidDomain(s.Domain):
		d.fault(where{"domain"}, "want a lower-case domain such as plombiersgeneve.ch")
	case s.Domain != "" && s.Domain != stem:
		d.fault(where{"domain"}, "the domain is %s, so the file is %s.yaml%s", s.Domain, s.Domain, l.taken(s.Domain))
	}
	if u, err := url.Parse(s.URL); s.URL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		d.fault(where{"url"}, "want the address of the website, such as https://plombiersgeneve.ch")
	}
	m := l.Markets[s.Market]
	if s.Market != "" && m == nil {
		d.fault(where{"market"}, "no market %q in %s%s", s.Market, l.path("markets"), didYouMean(s.Market, l.Markets))
	}
	l.unique(d, where{"did"}, "number", s.DID, l.dids)
	l.unique(d, where{"agent", "id"}, "agent", s.Agent.ID, l.agents)
	l.agent(d, s)
	l.offered(d, s)
	if m != nil && !l.unsound["markets/"+s.Market+".yaml"] {
		served(d, s, m)
		dialled(d, s, m)
	}
	if s.Tracker != "" && l.Trackers[s.Tracker] == nil && !l.unsound["trackers.yaml"] {
		d.fault(where{"tracker"}, "no tracker %q in trackers.yaml%s", s.Tracker, didYouMean(s.Tracker, l.Trackers))
	}
	l.senders(d, s)
	reachable(d, where{"owner", "email"}, s.Owner.Email)
	callable(d, where{"owner", "phone"}, s.Owner.Phone)
	for i, address := range s.Owner.Copies {
		reachable(d, where{"owner", "copies", i}, address)
	}
	reachable(d, where{"owner", "escalation", "email"}, s.Owner.Escalation.Email)
	callable(d, where{"owner", "escalation", "phone"}, s.Owner.Escalation.Phone)
	if len(d.faults) > 0 {
		l.Broken[stem] = sorted(d.faults)
		return
	}
	l.Sites[s.Domain] = s
}

// taken adds to the message about a misnamed file that another file has the
// domain already.
func (l *loader) taken(domain string) string {
	name := "sites/" + domain + ".yaml"
	if _, err := fs.Stat(l.fsys, name); err != nil {
		return ""
	}
	return fmt.Sprintf("; %s exists, and a domain belongs to one file", l.path(name))
}

// unique refuses what another site has: the first file keeps it.
func (l *loader) unique(d *document, at where, what, value string, owners map[string]string) {
	if value == "" {
		return
	}
	if other, taken := owners[value]; taken {
		d.fault(at, "this %s is that of %s", what, other)
		return
	}
	owners[value] = d.file
}

func (l *loader) agent(d *document, s *Site) {
	if s.Agent.Prompt == "" || !fs.ValidPath("agents/"+s.Agent.Prompt) {
		return
	}
	text, err := fs.ReadFile(l.fsys, "agents/"+s.Agent.Prompt)
	switch {
	case err != nil:
		d.fault(where{"agent", "prompt"}, "no file %s", l.path("agents/"+s.Agent.Prompt))
	case len(strings.TrimSpace(string(text))) == 0:
		d.fault(where{"agent", "prompt"}, "%s is empty", l.path("agents/"+s.Agent.Prompt))
	}
	for _, lang := range s.Languages {
		if _, ok := s.Agent.FirstMessage[lang]; !ok {
			d.fault(where{"agent", "first_message"}, "no first message in %s, a language of the site", lang)
		}
	}
	for lang := range s.Agent.FirstMessage {
		if !slices.Contains(s.Languages, lang) {
			d.keyFault(where{"agent", "first_message", lang}, "%s is not one of the site's languages", lang)
		}
	}
}

// offered checks the site's services, and that nothing a caller may say, in any
// language, means two of them.
func (l *loader) offered(d *document, s *Site) {
	if s.Main != "" && !slices.ContainsFunc(s.Services, func(o SiteService) bool { return o.ID == s.Main }) {
		d.fault(where{"main_service"}, "%q is not one of the site's services", s.Main)
	}
	seen, means := map[string]bool{}, map[string]string{}
	for i, offer := range s.Services {
		at := where{"services", i, "id"}
		service := l.Services[offer.ID]
		switch {
		case offer.ID == "":
			continue
		case seen[offer.ID]:
			d.fault(at, "service %q stands here twice", offer.ID)
			continue
		case service == nil && l.unsound["services.yaml"]:
			continue
		case service == nil:
			d.fault(at, "no service %q in services.yaml%s", offer.ID, didYouMean(offer.ID, l.Services))
			continue
		}
		seen[offer.ID] = true
		for _, lang := range s.Languages {
			if service.Names[lang] == "" {
				d.fault(at, "service %q has no name in %s, a language of the site; add it to services.yaml", offer.ID, lang)
			}
		}
		for _, words := range offer.Said(service) {
			normal := text.Normal(words)
			if other := means[normal]; other != "" && other != offer.ID {
				d.fault(at, "%q means service %q as well; a phrase means one service of a site", words, other)
			}
			means[normal] = offer.ID
		}
	}
}

// Said is everything that names the service on the site, in a fixed order.
func (offer SiteService) Said(service *Service) []string {
	var all []string
	for _, lang := range slices.Sorted(maps.Keys(service.Names)) {
		all = append(all, service.Names[lang])
	}
	for _, phrases := range []map[string][]string{service.Phrases, offer.Phrases} {
		for _, lang := range slices.Sorted(maps.Keys(phrases)) {
			all = append(all, phrases[lang]...)
		}
	}
	return all
}

// served checks what refers to the market's file.
func served(d *document, s *Site, m *Market) {
	known := map[string]bool{}
	for _, p := range m.Places {
		known[p.ID] = true
	}
	for i, id := range s.Places {
		if !known[id] {
			d.fault(where{"places", i}, "no place %q in market %s%s", id, m.ID, didYouMean(id, known))
		}
	}
	for i, lang := range s.Languages {
		if !slices.Contains(m.Languages, lang) {
			d.fault(where{"languages", i}, "%s is not a language of market %s", lang, m.ID)
		}
	}
}

// dialled checks that the DID is a number of the market's country. A number
// reserved for fiction has no region, and then its country code decides.
func dialled(d *document, s *Site, m *Market) {
	n, err := phonenumbers.Parse(s.DID, "")
	switch {
	case s.DID == "":
	case err != nil || !phonenumbers.IsPossibleNumber(n):
		d.fault(where{"did"}, "not a telephone number")
	default:
		region := phonenumbers.GetRegionCodeForNumber(n)
		if int(n.GetCountryCode()) != phonenumbers.GetCountryCodeForRegion(m.Country) || region != "" && region != m.Country {
			d.fault(where{"did"}, "not a number of %s, the country of market %s", m.Country, m.ID)
		}
	}
}

var alphanumeric = regexp.MustCompile(`^[A-Za-z0-9 ]{1,11}$`)

func (l *loader) senders(d *document, s *Site) {
	switch from := s.Senders.SMS.From; {
	case from == "":
	case strings.HasPrefix(from, "+"):
		callable(d, where{"senders", "sms", "from"}, from)
	case !alphanumeric.MatchString(from) || !strings.ContainsFunc(from, func(r rune) bool { return r >= 'A' }):
		d.fault(where{"senders", "sms", "from"}, "want a number in E.164 form, or up to 11 letters (at least one), digits and spaces without accents")
	}
	callable(d, where{"senders", "whatsapp", "from"}, s.Senders.WhatsApp.From)
	reachable(d, where{"senders", "mail", "from"}, s.Senders.Mail.From)

	templates := s.Senders.WhatsApp.Templates
	for _, purpose := range []string{"offer", "update", "invite", "verify"} {
		at := where{"senders", "whatsapp", "templates"}
		if needed := purpose == "offer" || purpose == "update" || purpose == "invite" && s.offers(); needed && len(s.Languages) > 0 && templates[purpose][s.Languages[0]] == "" {
			d.fault(at, "no %s template in %s, the site's default language", purpose, s.Languages[0])
		}
		for lang, sid := range templates[purpose] {
			at := append(slices.Clone(at), purpose, lang)
			switch t := l.Templates[sid]; {
			case t == nil:
				if !l.unsound["templates.yaml"] {
					d.fault(at, "no template with this content SID in templates.yaml")
				}
			case t.Purpose != purpose || t.Language != lang:
				d.fault(at, "template %q is for %s in %s, not for %s in %s", t.Name, t.Purpose, t.Language, purpose, lang)
			}
		}
	}
}

// offers reports whether a lead of the site may be offered for acceptance.
func (s *Site) offers() bool {
	offers := func(mode string) bool { return mode != "" && mode != lead.Notify }
	return offers(s.Dispatch.Mode) || slices.ContainsFunc(s.Services, func(o SiteService) bool { return offers(o.Mode) })
}

// callable refuses what is no telephone number; the fault does not repeat it.
func callable(d *document, at where, number string) {
	if number == "" {
		return
	}
	n, err := phonenumbers.Parse(number, "")
	if err != nil || !phonenumbers.IsPossibleNumber(n) || phonenumbers.Format(n, phonenumbers.E164) != number {
		d.fault(at, "not a telephone number in E.164 form")
	}
}

// reachable refuses what is no mail address; the fault does not repeat it.
func reachable(d *document, at where, address string) {
	if a, err := mail.ParseAddress(address); address != "" && (err != nil || a.Address != address) {
		d.fault(at, "not a mail address")
	}
}
