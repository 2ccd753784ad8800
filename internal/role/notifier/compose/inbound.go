package compose

import (
	"slices"
	"strings"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/understand/reply"
)

// Inbound writes the owner a mail with what somebody texted us.
func (c *Composer) Inbound(e event.Event, b event.Texted) ([]lead.Message, error) {
	w, err := c.writer(e.Lead, event.Decided{})
	if err != nil {
		return nil, err
	}
	m, t, ok := w.owner(lead.PurposeInbound)
	if !ok {
		return nil, nil
	}
	v := w.words(m.Language)
	v.Phone, v.Channel = line(b.From, maxName), channelName(b.Channel)
	m.Subject = t.say("inbound_subject", v)
	content := mail{Title: t.say("inbound_title", v), Intro: t.say("inbound_intro", v), Footer: t.say("owner_footer", v)}
	switch b.OptOut {
	case reply.Stop:
		content.Notes = []string{t.say("inbound_stop", v)}
	case reply.Start:
		content.Notes = []string{t.say("inbound_start", v)}
	}
	if strings.HasPrefix(b.From, "+") {
		content.Call = &dial{t.say("call_button", v), v.Phone}
	}
	var lines []string
	for l := range strings.Lines(b.Text) {
		lines = append(lines, line(l, maxDetails))
	}
	content.Sections = []section{
		{Title: t.say("section_texts", v), Texts: []quote{{channelName(b.Channel) + " ← " + v.Phone, lines}}},
		{Title: t.say("section_ids", v), Facts: facts(fact{"trace", "leadbus trace " + e.Lead.Lead}, fact{"to", line(b.To, maxName)}, fact{"at", w.moment(e.At)})},
	}
	w.addMail(m, content)
	return w.done()
}

// Missed writes a text to a caller whom nobody answered, when the number can take
// one. Who was asked for a message on the voicemail knows already.
func (c *Composer) Missed(e event.Event, decided event.Decided) ([]lead.Message, error) {
	l := decided.Lead
	if !slices.Contains(l.Flags, lead.FlagMissed) || slices.Contains(l.Flags, lead.FlagVoicemail) || !l.Phone.Textable() || l.Request.Refused() {
		return nil, nil
	}
	w, err := c.writer(e.Lead, decided)
	if err != nil || w.site.Senders.SMS.From == "" {
		return nil, err
	}
	w.decision = e
	lang := w.language(l.Language)
	t, v := w.texts[lang], w.open(lang, false)
	v.Link = w.optOut(lead.SMS, l.Phone.E164, e)
	w.addSMS(lead.Message{Purpose: lead.PurposeMissed, Recipient: lead.ToCustomer, Language: lang}, l.Phone.E164, sms(t, t.of("missed_sms"), v, false))
	return w.done()
}

// optOut is the link by which who gets a message stops them on its channel; empty
// where they can text back, and without links.
func (w *writer) optOut(channel, to string, e event.Event) string {
	if w.links == nil || strings.HasPrefix(w.site.Senders.Of(channel).From, "+") {
		return ""
	}
	return w.linkTo(link.Link{ID: w.links.Person(channel, to), Asks: link.Optout, Until: e.At.Add(link.OptoutLife)})
}
