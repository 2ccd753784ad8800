package roster

import (
	"cmp"
	"fmt"
	"net/mail"
	"slices"
	"strings"

	"leadbus/internal/lead"
	"leadbus/internal/subjects"
)

// Surroundings are what a market's roster is checked against.
type Surroundings struct {
	Country string // of the market, ISO 3166 alpha-2
	// Number says what a number in E.164 is (see lead.Phone.Type) and its
	// country; kind is empty when it is not valid.
	Number func(number string) (kind, country string)
	Owners []string // numbers and mail addresses of the sites' owners
	Sites  []string // numbers and mail addresses of the sites themselves
}

// Finding is something wrong with a provider's entry, or likely to be. It names
// no number and no address.
type Finding struct {
	Provider string `json:"provider"`        // id
	Field    string `json:"field,omitempty"` // whatsapp, sms, email; empty when it is about all of them
	Text     string `json:"text"`
	// ID is the same as long as the same is wrong with the same address.
	ID string `json:"id"`
}

// Lint looks at the active providers of one market, of which the importer may
// have refused some, but not one that was edited in the database.
func Lint(s Surroundings, providers []Provider) []Finding {
	providers = slices.Clone(providers)
	slices.SortFunc(providers, func(a, b Provider) int { return cmp.Compare(a.ID, b.ID) })
	var found []Finding
	first := map[string]string{} // who has an address
	for _, p := range providers {
		if !p.Active {
			continue
		}
		note := func(field, address, format string, args ...any) {
			f := Finding{Provider: p.ID, Field: field, Text: fmt.Sprintf(format, args...)}
			f.ID = lead.NewID(p.ID, strings.Join([]string{"roster", field, f.Text, address}, "\x00"))
			found = append(found, f)
		}
		channels := p.Channels()
		if len(channels) == 0 {
			note("", "", "has no whatsapp, sms or email: nobody can tell this provider")
		}
		for _, c := range channels {
			kind, country := s.Number(c.Address)
			switch {
			case c.Channel == lead.Email && validEmail(c.Address):
			case c.Channel == lead.Email:
				note(c.Channel, c.Address, "is no mail address")
			case kind == "":
				note(c.Channel, c.Address, "is no valid number in international form, such as +41781234567")
			case kind == "fixed":
				note(c.Channel, c.Address, "is a landline: give a mobile number, or leave it out")
			case kind != "mobile" && kind != "fixed_or_mobile":
				note(c.Channel, c.Address, "is no mobile number: give one, or leave it out")
			case country != s.Country:
				note(c.Channel, c.Address, "is a number of %s, and the market is %s", cmp.Or(country, "no country"), s.Country)
			}
			same := func(other string) bool { return strings.EqualFold(other, c.Address) }
			if slices.ContainsFunc(s.Owners, same) {
				note(c.Channel, c.Address, "is the owner's own: requests would come back to the owner")
			}
			if slices.ContainsFunc(s.Sites, same) {
				note(c.Channel, c.Address, "is a site's own: nobody reads there")
			}
			key := strings.ToLower(c.Address)
			if other, taken := first[key]; !taken {
				first[key] = p.ID
			} else if other != p.ID {
				note(c.Channel, c.Address, "is the same as provider %s has", other)
			}
		}
	}
	return found
}

func validEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && subjects.ValidDomain(strings.ToLower(s[strings.LastIndexByte(s, '@')+1:]))
}
