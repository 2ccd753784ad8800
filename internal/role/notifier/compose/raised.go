package compose

import (
	"fmt"
	"strings"

	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
)

// raised notifies the owner of an alarm; from the second time on the site's
// escalation as well. Each call is a message of its own, by its number. Of an
// alarm about one lead the mail has all that is known of it.
func (c *Composer) raised(e event.Event, a alarm.Alarm, about *event.Decided) ([]lead.Message, error) {
	if about == nil {
		about = new(event.Decided)
	}
	w, err := c.writer(e.Lead, *about)
	if err != nil {
		return nil, err
	}
	purpose := fmt.Sprintf("%s-%d", lead.PurposeRaised, a.Notified)
	w.callFor(e, a, purpose, w.site.Owner.Email, w.site.Owner.Phone, false)
	if up := w.site.Owner.Escalation; a.Notified > 1 {
		w.callFor(e, a, purpose+"-escalation", up.Email, up.Phone, true)
	}
	return w.done()
}

// maxAtRisk is how many leads a mail on an alarm names.
const maxAtRisk = 20

// callFor writes to one address and one number; either may be empty.
func (w *writer) callFor(e event.Event, a alarm.Alarm, purpose, email, number string, escalated bool) {
	m, t, _ := w.owner(purpose)
	withMail := email != "" && w.site.Senders.Mail.From != ""
	v, short, known := words{Brand: w.site.Brand, Site: w.site.Domain}, words{Brand: w.site.Brand, Site: w.site.Domain}, w.of.Lead.ID != w.to
	if known {
		v, short = w.words(m.Language), w.open(m.Language, withMail)
	}
	says, advised := t.Causes[a.Cause]
	for _, x := range []*words{&v, &short} {
		x.Times, x.Told, x.Leads, x.Since, x.Last = a.Times, a.Notified, a.AtRisk(), w.moment(a.Since), w.moment(a.Last)
		x.Link, x.Channel, x.Code = w.link(link.Alarm, a.ID, e.At), channelName(a.About), a.About
		if x.Reason = line(strings.ReplaceAll(a.Cause, "-", " "), maxName); advised {
			x.Reason = says.Title.say(*x)
		}
	}
	if withMail {
		m := m
		m.To, m.Subject = email, strings.TrimSpace(t.say("alarm_subject", short))
		w.addMail(m, w.alarmMail(e, a, t, v, known, escalated))
	}
	if number != "" && w.site.Senders.SMS.From != "" {
		text, _, _ := toGSM7(t.say("raised_sms", short))
		text = cut(tidy(text), longest, septet, "...")
		if known {
			text = sms(t, t.of("alarm_sms"), short, withMail)
		}
		w.addSMS(lead.Message{Purpose: purpose, Recipient: lead.ToOwner, Language: m.Language}, number, text)
	}
}

// alarmMail says what the matter is, since when, what is at risk and what to do.
func (w *writer) alarmMail(e event.Event, a alarm.Alarm, t *texts, v words, known, escalated bool) mail {
	c := mail{Title: v.Reason, Intro: t.say("raised_intro", v), Footer: t.say("owner_footer", v)}
	if says, ok := t.Causes[a.Cause]; ok {
		c.Notes = append(c.Notes, says.Next.say(v))
	}
	if known && a.Cause == alarm.Review {
		for _, x := range w.todo(t) {
			c.Notes = append(c.Notes, x.say(v))
		}
	}
	if a.Notified > 1 {
		c.Notes = append(c.Notes, t.say("raised_again", v))
	}
	if escalated {
		c.Notes = append(c.Notes, t.say("raised_escalated", v))
	}
	if v.Link != "" {
		c.Links = append(c.Links, button{Label: t.say("acknowledge_button", v), URL: v.Link})
	}
	lines := facts(
		fact{t.say("label_site", v), w.site.Domain},
		fact{t.say("label_since", v), w.local(a.Since).Format(dateTimeZone)},
		fact{t.say("label_last", v), w.local(a.Last).Format(dateTimeZone)},
		fact{t.say("label_times", v), fmt.Sprint(a.Times)},
		fact{t.say("label_at_risk", v), fmt.Sprint(a.AtRisk())},
		fact{t.say("label_reason", v), line(strings.TrimSpace(a.Cause+" "+a.About), maxLine)},
	)
	for i, f := range a.Facts {
		if i < maxListed && f.Value != "" {
			lines = append(lines, fact{line(f.Label, maxName), line(f.Value, 2*maxLine)})
		}
	}
	for i, id := range a.Leads {
		if i == maxAtRisk {
			lines = append(lines, fact{"…", fmt.Sprintf("+ %d", a.AtRisk()-i)})
			break
		}
		lines = append(lines, fact{lead.Ref(id), "leadbus trace " + id})
		if url := w.link(link.Recover, id, e.At); url != "" && a.Cause == alarm.NotRescued {
			c.Links = append(c.Links, button{Label: t.say("answer_button", words{Ref: lead.Ref(id)}), URL: url, Quiet: true})
		}
	}
	c.Sections = []section{{Facts: lines}}
	if known {
		if url := w.link(link.Lead, w.of.Lead.ID, e.At); url != "" {
			c.Links = append(c.Links, button{Label: t.say("lead_button", v), URL: url, Quiet: true})
		}
		c.Call, c.Notes = w.call(t), append(c.Notes, t.flagTexts(w.of.Lead.Flags)...)
		c.Sections = append(append(c.Sections, w.everything(t, v)...), section{Title: t.say("section_ids", v), Facts: w.supportFacts()})
	}
	return c
}
