package compose

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/roster"
)

// providerTexts are the names of the texts to a provider, by purpose and for an offer
// that is still to be accepted.
var providerTexts = map[string]struct{ sms, title, intro string }{
	lead.PurposeOffer:     {"provider_sms", "provider_title", "provider_intro"},
	lead.PurposeUpdate:    {"provider_update_sms", "provider_update_title", "provider_update_intro"},
	lead.PurposeWithdrawn: {"provider_withdrawn_sms", "provider_withdrawn_title", "provider_withdrawn_intro"},
	invite:                {"provider_invite_sms", "provider_invite_title", "provider_invite_intro"},
}

const invite = "invite"

// toProvider writes to every channel of the provider that the site can write
// on. Of an offer that is still to be accepted it names no customer.
func (w *writer) toProvider(kind, purpose string) {
	p := w.of.Provider
	if p == nil {
		return
	}
	lang := w.language(p.Languages...)
	t := w.texts[lang]
	m := lead.Message{Purpose: purpose, Recipient: lead.ToProvider, Provider: p.ID, Language: lang}
	withMail := p.Email != "" && w.site.Senders.Mail.From != ""
	withdraws := kind == lead.PurposeWithdrawn
	invites := !withdraws && (w.of.Mode == lead.Exclusive || w.of.Mode == lead.Broadcast)
	hidden, says := invites || withdraws, providerTexts[kind]
	if invites {
		says = providerTexts[invite]
	}
	if p.WhatsApp != "" && w.site.Senders.WhatsApp.From != "" && !withdraws {
		if invites {
			kind = invite
		}
		w.whatsApp(m, kind, p.Languages, withMail, hidden)
	}
	if p.SMS != "" && w.site.Senders.SMS.From != "" {
		w.addSMS(m, p.SMS, sms(t, t.of(says.sms), w.hide(w.open(lang, withMail), hidden), withMail))
	}
	if withMail {
		v := w.hide(w.words(lang), hidden)
		if hidden && w.sensitive() {
			v.Details = ""
		}
		m := m
		m.To, m.Subject = p.Email, t.say("provider_subject", w.hide(w.open(lang, true), hidden))
		c := mail{Title: t.say(says.title, v), Intro: t.say(says.intro, v), Footer: t.say("provider_footer", v)}
		if v.Urgent {
			c.Badge = t.say("urgent", v)
		}
		switch {
		case hidden:
			c.Sections = []section{{Title: t.say("section_request", v), Facts: facts(
				fact{t.say("label_service", v), v.Service}, fact{t.say("label_place", v), v.Place}, fact{t.say("label_window", v), v.Window},
				fact{t.say("label_details", v), v.Details}, fact{t.say("label_ref", v), v.Ref},
			)}}
		default:
			c.Call = w.call(t)
			c.Sections = []section{{Title: t.say("section_request", v), Facts: w.requestFacts(t, v)}}
			if w.of.Lead.Phone.Check {
				c.Notes = []string{t.say("check_phone", v)}
			}
		}
		if v.Link != "" && !withdraws {
			c.Links = []button{{Label: t.say("offer_button", v), URL: v.Link, Quiet: !invites}}
		}
		w.addMail(m, c)
	}
}

// verify asks a provider, on each channel, to confirm that messages arrive.
func (c *Composer) verify(e event.Event, p roster.Provider) ([]lead.Message, error) {
	w, err := c.writer(e.Lead, event.Decided{Provider: &p})
	if err != nil {
		return nil, err
	}
	w.decision = e
	lang := w.language(p.Languages...)
	t := w.texts[lang]
	for _, ch := range p.Channels() {
		m := lead.Message{Purpose: lead.PurposeVerify, Recipient: lead.ToProvider, Provider: p.ID, Language: lang}
		v := words{Brand: w.site.Brand, Site: w.site.Domain, Provider: line(p.Name, maxName), Link: w.linkTo(link.Link{
			ID: w.to, Asks: link.Verify, Offer: roster.AddressKey(p.ID, ch), Until: e.At.Add(link.Life),
		})}
		switch from := w.site.Senders.Of(ch.Channel).From; {
		case from == "" || v.Link == "":
		case ch.Channel == lead.SMS:
			w.addSMS(m, ch.Address, sms(t, t.of("provider_verify_sms"), v, false))
		case ch.Channel == lead.Email:
			m.To, m.Subject = ch.Address, t.say("provider_verify_title", v)+" - "+v.Brand
			w.addMail(m, mail{
				Title: t.say("provider_verify_title", v), Intro: t.say("provider_verify_intro", v), Footer: t.say("provider_footer", v),
				Links: []button{{Label: t.say("verify_button", v), URL: v.Link}},
			})
		default: // WhatsApp takes an approved template only
			if lang, sid := content(w.site.Senders.WhatsApp.Templates[lead.PurposeVerify], p.Languages); sid != "" {
				m.Language, m.Channel, m.From, m.To = language(w.texts, lang), ch.Channel, from, ch.Address
				m.ContentSID, m.ContentVariables = sid, map[string]string{"1": v.Brand, "4": v.Link}
				w.add(m)
			}
		}
	}
	return w.done()
}

// hide takes the customer out of words.
func (w *writer) hide(v words, hidden bool) words {
	v.Link = w.offerLink()
	if hidden {
		v.Name, v.Phone, v.Until = "", "", w.clock(w.of.Until)
	}
	return v
}

// call is the button that dials the customer; nil without a usable number.
func (w *writer) call(t *texts) *dial {
	number := w.of.Lead.Phone.E164
	if number == "" {
		return nil
	}
	return &dial{t.say("call_button", words{Phone: number}), number}
}

// WhatsApp allows 1024 characters after substitution (Twilio error 63021).
const longestWhatsApp = 1024

// utf16Units is the cost of a character where a vendor may count UTF-16.
func utf16Units(r rune) int { return max(utf16.RuneLen(r), 1) }

// whatsApp fills the site's template for the purpose, in the provider's first
// language that has one, else in English, else in any. Without a template there
// is no message: the vendor refuses free text outside a conversation.
// Of an offer that is still to be accepted the link takes the place of the number.
func (w *writer) whatsApp(m lead.Message, kind string, languages []string, withMail, hidden bool) {
	lang, sid := content(w.site.Senders.WhatsApp.Templates[kind], languages)
	if sid == "" {
		return
	}
	m.Language = language(w.texts, lang)
	v, l := w.hide(w.open(m.Language, withMail), hidden), w.of.Lead
	body, buttons := "", ""
	if t := w.catalog.Templates[sid]; t != nil {
		body, buttons = t.Body, strings.Join(t.Buttons, " ")
	}
	vars := map[string]string{
		"1": v.Service, "2": v.Place, "3": v.Name, "4": v.Phone, "5": l.Ref,
	}
	if hidden {
		vars["4"], vars["6"] = v.Link, v.Link[strings.LastIndex(v.Link, "/")+1:]
	}
	if v.Details != "" {
		room := longestWhatsApp - length(fill(body, vars), utf16Units) - len(" ()")
		if details := cut(strings.TrimRight(v.Details, " .,;:"), min(room, 600), utf16Units, "…"); details != "" {
			vars["5"] = details + " (" + l.Ref + ")"
		}
	}
	for k, value := range vars {
		switch {
		case body != "" && !strings.Contains(body+buttons, "{{"+k+"}}"):
			delete(vars, k) // one too many is refused (63028)
		case value == "":
			vars[k] = "-"
		}
	}
	m.Channel, m.From, m.To = lead.WhatsApp, w.site.Senders.WhatsApp.From, w.of.Provider.WhatsApp
	m.ContentSID, m.ContentVariables = sid, vars
	m.Text = fill(body, vars) // as the vendor's list will show it; not sent
	w.add(m)
}

// content picks a content SID and its language.
func content(byLanguage map[string]string, wanted []string) (lang, sid string) {
	for _, l := range append(wanted[:len(wanted):len(wanted)], fallback) {
		l, _, _ = strings.Cut(strings.ToLower(l), "-")
		if sid := byLanguage[l]; sid != "" {
			return l, sid
		}
	}
	for _, l := range slices.Sorted(maps.Keys(byLanguage)) {
		return l, byLanguage[l]
	}
	return "", ""
}

// fill puts variables into a template's body, in one pass: what a customer
// said is not looked at again.
func fill(body string, vars map[string]string) string {
	var pairs []string
	for k, v := range vars {
		pairs = append(pairs, "{{"+k+"}}", v)
	}
	return strings.NewReplacer(pairs...).Replace(body)
}

// toCustomer writes an SMS when the number can take one.
func (w *writer) toCustomer(purpose, says string) {
	l := w.of.Lead
	if !l.Phone.Textable() || l.Request.Refused() || w.site.Senders.SMS.From == "" {
		return
	}
	lang := w.language(l.Language)
	t, v := w.texts[lang], w.open(lang, false)
	v.By, v.Until = w.clock(w.of.TextAt), w.clock(w.of.Until)
	w.addSMS(lead.Message{Purpose: purpose, Recipient: lead.ToCustomer, Language: lang}, l.Phone.E164, sms(t, t.of(says), v, false))
}

// clock is a time as a short text names it: with the day unless it is that of the
// decision; empty for none.
func (w *writer) clock(at time.Time) string {
	local := w.local(at)
	switch {
	case at.IsZero():
		return ""
	case local.Format(time.DateOnly) == w.local(w.decision.At).Format(time.DateOnly):
		return local.Format("15:04")
	}
	return local.Format("02.01. 15:04")
}

// offerLink is where the provider answers the offer; empty without links.
func (w *writer) offerLink() string {
	if w.of.Offer == "" {
		return ""
	}
	return w.linkTo(link.Link{ID: w.to, Asks: link.Offer, Offer: w.of.Offer, Until: w.of.Lead.ReceivedAt.Add(2 * link.Life)})
}
