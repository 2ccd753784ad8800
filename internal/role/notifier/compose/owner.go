package compose

import (
	"cmp"
	"strings"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
)

// owner starts a mail to the owner; ok is false when the site has nobody to
// write to.
func (w *writer) owner(purpose string) (m lead.Message, t *texts, ok bool) {
	lang := w.language(w.site.Owner.Language)
	t = w.texts[lang]
	m = lead.Message{
		Purpose: purpose, Recipient: lead.ToOwner, Language: lang, To: w.site.Owner.Email,
		Subject: t.say("owner_subject", w.open(lang, true)),
	}
	return m, t, w.site.Owner.Email != "" && w.site.Senders.Mail.From != ""
}

// toOwner copies everything known and everything written so far to the owner.
func (w *writer) toOwner(purpose string, head func(*texts) (title, intro text)) {
	m, t, ok := w.owner(purpose)
	if !ok {
		return
	}
	v := w.words(m.Language)
	title, intro := head(t)
	sent := w.quotes(w.messages...)
	if purpose == lead.PurposeCopy && !w.of.Lead.Phone.Textable() {
		sent = append(sent, quote{Head: "SMS", Lines: []string{t.say("not_texted", v)}})
	}
	var open []button
	if url := w.link(link.Lead, w.of.Lead.ID, w.decision.At); url != "" {
		open = []button{{Label: t.say("lead_button", v), URL: url, Quiet: true}}
	}
	w.addMail(m, mail{
		Title: title.say(v), Intro: intro.say(v), Footer: t.say("owner_footer", v),
		Notes: t.flagTexts(w.of.Lead.Flags), Links: open,
		Sections: append(w.everything(t, v),
			section{Title: t.say("section_texts", v), Texts: sent},
			section{Title: t.say("section_ids", v), Facts: w.supportFacts()}),
	})
}

// everything shows the request, how it was understood, and who was asked.
func (w *writer) everything(t *texts, v words) []section {
	all := []section{
		{Title: t.say("section_request", v), Facts: w.requestFacts(t, v)},
		{Title: t.say("section_understood", v), Facts: w.understoodFacts(t, v)},
	}
	if len(w.of.Trace) > 0 {
		all = append(all, section{Title: t.say("section_trace", v), Trace: w.of.Trace})
	}
	return all
}

// Texted tells the owner what became of a text to the customer: it arrived, or why
// it did not. Decided is the newest decision on the lead.
func (c *Composer) Texted(e event.Event, decided event.Decided, sent lead.Message, why *lead.Failure) ([]lead.Message, error) {
	decided.Offer = sent.Offer
	w, err := c.writer(e.Lead, decided)
	if err != nil {
		return nil, err
	}
	m, t, ok := w.owner(lead.PurposeCopyOfText + strings.TrimSuffix(sent.Purpose, "-correction"))
	if !ok {
		return nil, nil
	}
	v := w.words(m.Language)
	content := mail{
		Title: t.say("confirmation_title", v), Intro: t.say("confirmation_intro", v), Footer: t.say("owner_footer", v),
		Sections: []section{{Title: t.say("section_texts", v), Texts: w.quotes(sent)}, {Title: t.say("section_ids", v), Facts: w.supportFacts()}},
	}
	if why != nil {
		m.Purpose += "-failed" // whichever is reported first, the other is told too
		v.Reason = line(strings.TrimSpace(why.Vendor+" "+why.Code+" "+why.Reason), maxLine)
		content.Title, content.Intro, content.Call = t.say("unreached_title", v), t.say("unreached_intro", v), w.call(t)
	}
	w.addMail(m, content)
	return w.done()
}

// quotes show messages as their recipients see them.
func (w *writer) quotes(messages ...lead.Message) []quote {
	var out []quote
	for _, m := range messages {
		body := m.Text
		if m.Channel == lead.WhatsApp {
			if t := w.catalog.Templates[m.ContentSID]; t != nil {
				body = fill(t.Body, m.ContentVariables)
			}
		}
		head := channelName(m.Channel) + " → " + m.To
		if m.Subject != "" {
			head += ": " + m.Subject
		}
		out = append(out, quote{head, strings.Split(strings.TrimSpace(body), "\n")})
	}
	return out
}

// channelName is the channel as people write it.
func channelName(channel string) string {
	return cmp.Or(map[string]string{lead.WhatsApp: "WhatsApp", lead.Email: "e-mail"}[channel], strings.ToUpper(channel))
}

// todo says what a person has to look at before the lead can go on.
func (w *writer) todo(t *texts) []text {
	l := w.of.Lead
	var out []text
	if l.Request.Refused() {
		out = append(out, t.of("todo_consent"))
	}
	if l.Phone.E164 == "" {
		out = append(out, t.of("todo_phone"))
	}
	if l.Service.ID == "" {
		out = append(out, t.of("todo_service"))
	}
	if l.Place.ID == "" {
		out = append(out, t.of("todo_place"))
	}
	return out
}
