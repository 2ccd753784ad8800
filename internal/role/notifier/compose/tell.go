package compose

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf16"

	"leadbus/internal/lead"
)

// toProvider writes to every channel of the provider that the site can write
// on.
func (w *writer) toProvider(kind, purpose string) {
	p := w.of.Provider
	if p == nil {
		return
	}
	lang := w.language(p.Languages...)
	t := w.texts[lang]
	m := lead.Message{Purpose: purpose, Recipient: lead.ToProvider, Provider: p.ID, Language: lang}
	withMail := p.Email != "" && w.site.Senders.Mail.From != ""

	if p.WhatsApp != "" && w.site.Senders.WhatsApp.From != "" {
		w.whatsApp(m, kind, p.Languages, withMail)
	}
	if p.SMS != "" && w.site.Senders.SMS.From != "" {
		x := t.of("provider_sms")
		if kind == lead.PurposeUpdate {
			x = t.of("provider_update_sms")
		}
		w.addSMS(m, p.SMS, sms(t, x, w.open(lang, withMail), withMail))
	}
	if withMail {
		v := w.words(lang)
		m := m
		m.To, m.Subject = p.Email, t.say("provider_subject", w.open(lang, true))
		c := mail{
			Title: t.say("provider_title", v), Intro: t.say("provider_intro", v), Footer: t.say("provider_footer", v), Call: w.call(t),
			Sections: []section{{Title: t.say("section_request", v), Facts: w.requestFacts(t, v)}},
		}
		if kind == lead.PurposeUpdate {
			c.Title, c.Intro = t.say("provider_update_title", v), t.say("provider_update_intro", v)
		}
		if v.Urgent {
			c.Badge = t.say("urgent", v)
		}
		if w.of.Lead.Phone.Check {
			c.Notes = []string{t.say("check_phone", v)}
		}
		w.addMail(m, c)
	}
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
func (w *writer) whatsApp(m lead.Message, kind string, languages []string, withMail bool) {
	lang, sid := content(w.site.Senders.WhatsApp.Templates[kind], languages)
	if sid == "" {
		return
	}
	m.Language = language(w.texts, lang)
	v, l := w.open(m.Language, withMail), w.of.Lead
	body := ""
	if t := w.catalog.Templates[sid]; t != nil {
		body = t.Body
	}
	vars := map[string]string{
		"1": v.Service, "2": v.Place, "3": v.Name, "4": v.Phone, "5": l.Ref,
	}
	if v.Details != "" {
		room := longestWhatsApp - length(fill(body, vars), utf16Units) - len(" ()")
		if details := cut(strings.TrimRight(v.Details, " .,;:"), min(room, 600), utf16Units, "…"); details != "" {
			vars["5"] = details + " (" + l.Ref + ")"
		}
	}
	for k, value := range vars {
		switch {
		case body != "" && !strings.Contains(body, "{{"+k+"}}"):
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

// toCustomer confirms by SMS when the number can take one.
func (w *writer) toCustomer(purpose string) {
	l := w.of.Lead
	if !l.Phone.Textable() || l.Request.Refused() || w.site.Senders.SMS.From == "" {
		return
	}
	lang := w.language(l.Language)
	t := w.texts[lang]
	w.addSMS(lead.Message{Purpose: purpose, Recipient: lead.ToCustomer, Language: lang}, l.Phone.E164, sms(t, t.of("customer_sms"), w.open(lang, false), false))
}
