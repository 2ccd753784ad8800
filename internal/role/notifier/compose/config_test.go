package compose

import (
	"strings"
	"testing"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

// Every text to every recipient, for every service of every shipped site, in
// every language: a plain SMS of one segment in which nothing that matters was
// cut, and a WhatsApp message that its template allows.
func TestShippedSitesReadWell(t *testing.T) {
	c, err := site.Load("../../../../config")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range c.Faults() {
		t.Error(f)
	}
	for domain, s := range c.Sites {
		place := ""
		for _, p := range c.MarketOf(s).Places {
			if p.ID == s.Places[0] {
				place = p.Name
			}
		}
		for _, lang := range languages {
			s.Owner.Language = lang
			for _, service := range s.Services {
				for _, kind := range []string{subjects.Matched, subjects.Amended, subjects.Unserved} {
					e := outcome(kind, func(b *event.Decided) {
						l := &b.Lead
						l.Market, l.Site, l.Language = s.Market, domain, lang
						l.Service = lead.Service{ID: service.ID, Name: c.Services[service.ID].Names[lang]}
						l.Place.Name, l.Request.IssueSummary = place, "Depuis ce matin"
						if b.Provider != nil {
							b.Provider.Languages = []string{lang}
						}
					})
					told := map[string]bool{}
					for _, m := range by(t, c, e) {
						told[m.Recipient+m.Channel] = true
						at := strings.Join([]string{domain, lang, service.ID, m.Recipient, m.Channel, m.Purpose}, " ")
						if m.Channel == lead.SMS {
							checkText(t, at, c, s, m, service.ID)
						}
						if m.Channel == lead.WhatsApp {
							if n := length(fill(c.Templates[m.ContentSID].Body, m.ContentVariables), utf16Units); n > longestWhatsApp || len(m.ContentVariables) != 5 {
								t.Errorf("%s: %d characters, %d variables", at, n, len(m.ContentVariables))
							}
						}
					}
					want := []string{"owneremail", "providersms", "providerwhatsapp", "provideremail"}
					if kind == subjects.Unserved {
						want = []string{"owneremail", "ownersms"}
					}
					for _, who := range want {
						if !told[who] {
							t.Errorf("%s %s: no %s", domain, kind, who)
						}
					}
				}
			}
		}
	}
}

func checkText(t *testing.T, at string, c *site.Catalog, s *site.Site, m lead.Message, service string) {
	t.Helper()
	if n, gsm7 := segmentsOf(m.Text); n != 1 || !gsm7 {
		t.Errorf("%s: %d segments, GSM-7 %v: %q", at, n, gsm7, m.Text)
	}
	if strings.Contains(m.Text, "...") {
		t.Errorf("%s: cut: %q", at, m.Text)
	}
	want := []string{"482 913", "+41781230042"}
	if m.Recipient == lead.ToCustomer {
		want = []string{"482 913", s.DID, "Rapide Plomberie"}
	}
	for _, v := range want {
		if !strings.Contains(m.Text, v) {
			t.Errorf("%s: no %q: %q", at, v, m.Text)
		}
	}
	for _, name := range c.Services[service].Names {
		if plain, _, _ := toGSM7(name); c.Services[service].Sensitive && strings.Contains(m.Text, plain) {
			t.Errorf("%s: health in a text: %q", at, m.Text)
		}
	}
}
