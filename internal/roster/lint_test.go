package roster

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/understand/phone"
)

var geneva = Surroundings{
	Country: "CH", Number: phone.Kind,
	Owners: []string{"+41781234580", "owner@example.com", ""},
	Sites:  []string{"+41225394512", "+41781234590", "PlombiersGE"},
}

func TestLint(t *testing.T) {
	one := func(spoil func(*Provider)) []Provider {
		return []Provider{plumber("lac", func(p *Provider) {
			p.SMS, p.WhatsApp, p.Email = "+41791234567", "+41791234567", "lac@example.com"
		}, spoil)}
	}
	for name, c := range map[string]struct {
		providers []Provider
		want      []string
	}{
		"all is well":            {one(func(*Provider) {}), nil},
		"no such number":         {one(func(p *Provider) { p.SMS = "+4179123" }), []string{"lac sms: is no valid number in international form, such as +41781234567"}},
		"a national number":      {one(func(p *Provider) { p.SMS = "0791234567" }), []string{"lac sms: is no valid number in international form, such as +41781234567"}},
		"a landline":             {one(func(p *Provider) { p.WhatsApp = "+41223101234" }), []string{"lac whatsapp: is a landline: give a mobile number, or leave it out"}},
		"a premium number":       {one(func(p *Provider) { p.SMS = "+41900123456" }), []string{"lac sms: is no mobile number: give one, or leave it out"}},
		"over the border":        {one(func(p *Provider) { p.SMS = "+33612345678" }), []string{"lac sms: is a number of FR, and the market is CH"}},
		"the owner's number":     {one(func(p *Provider) { p.SMS = "+41781234580" }), []string{"lac sms: is the owner's own: requests would come back to the owner"}},
		"the owner's mail":       {one(func(p *Provider) { p.Email = "Owner@example.com" }), []string{"lac email: is the owner's own: requests would come back to the owner"}},
		"the number to dial":     {one(func(p *Provider) { p.WhatsApp = "+41225394512" }), []string{"lac whatsapp: is a landline: give a mobile number, or leave it out", "lac whatsapp: is a site's own: nobody reads there"}},
		"no mail address":        {one(func(p *Provider) { p.Email = "lac@" }), []string{"lac email: is no mail address"}},
		"no channel":             {one(func(p *Provider) { p.WhatsApp, p.SMS, p.Email = "", "", "" }), []string{"lac: has no whatsapp, sms or email: nobody can tell this provider"}},
		"not active, never mind": {one(func(p *Provider) { p.Active, p.SMS = false, "1" }), nil},
		"two with one number": {append(one(func(*Provider) {}), plumber("arve", func(p *Provider) { p.SMS, p.WhatsApp, p.Email = "+41791234567", "", "LAC@example.com" })), []string{
			"lac whatsapp: is the same as provider arve has", "lac sms: is the same as provider arve has", "lac email: is the same as provider arve has",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range Lint(geneva, c.providers) {
				got = append(got, f.Provider+map[bool]string{true: " "}[f.Field != ""]+f.Field+": "+f.Text)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
