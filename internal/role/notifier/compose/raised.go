package compose

import (
	"fmt"
	"strings"

	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
)

// raised calls the owner for an alarm; from the second call on the site's
// escalation as well. Each call is a message of its own, by its number.
func (c *Composer) raised(e event.Event, a alarm.Alarm) ([]lead.Message, error) {
	w, err := c.writer(e.Lead, event.Decided{})
	if err != nil {
		return nil, err
	}
	purpose := fmt.Sprintf("%s-%d", purposeRaised, a.Told)
	w.callFor(e, a, purpose, w.site.Owner.Email, w.site.Owner.Phone, false)
	if up := w.site.Owner.Escalation; a.Told > 1 {
		w.callFor(e, a, purpose+"-escalation", up.Email, up.Phone, true)
	}
	return w.done()
}

// maxAtRisk is how many leads a mail on an alarm names.
const maxAtRisk = 20

// callFor writes to one address and one number; either may be empty.
func (w *writer) callFor(e event.Event, a alarm.Alarm, purpose, email, number string, escalated bool) {
	m, t, _ := w.owner(purpose)
	v := words{
		Brand: w.site.Brand, Site: w.site.Domain, Times: a.Times, Told: a.Told, Leads: len(a.Leads),
		Since: w.moment(a.Since), Last: w.moment(a.Last), Link: w.link(link.Alarm, a.ID, e.At),
	}
	says, known := t.Causes[a.Cause]
	if v.Reason = line(strings.ReplaceAll(a.Cause, "-", " "), maxName); known {
		v.Reason = says.Title.say(v)
	}
	if email != "" && w.site.Senders.Mail.From != "" {
		c := mail{Title: v.Reason, Intro: t.RaisedIntro.say(v), Footer: t.OwnerFooter.say(v)}
		if known {
			c.Notes = append(c.Notes, says.Next.say(v))
		}
		if a.Told > 1 {
			c.Notes = append(c.Notes, t.RaisedAgain.say(v))
		}
		if escalated {
			c.Notes = append(c.Notes, t.RaisedEscalated.say(v))
		}
		if v.Link != "" {
			c.Links = append(c.Links, button{Label: t.AcknowledgeButton.say(v), URL: v.Link})
		}
		known := facts(
			fact{t.Site.say(v), w.site.Domain},
			fact{t.Since.say(v), w.local(a.Since).Format(dateTimeZone)},
			fact{t.Last.say(v), w.local(a.Last).Format(dateTimeZone)},
			fact{t.Times.say(v), fmt.Sprint(a.Times)},
			fact{t.AtRisk.say(v), fmt.Sprint(len(a.Leads))},
			fact{t.Reason.say(v), line(strings.TrimSpace(a.Cause+" "+a.About), maxLine)},
		)
		for i, f := range a.Facts {
			if i < maxListed && f.Value != "" {
				known = append(known, fact{line(f.Label, maxName), line(f.Value, 2*maxLine)})
			}
		}
		for i, id := range a.Leads {
			if i == maxAtRisk {
				known = append(known, fact{"…", fmt.Sprintf("+ %d", len(a.Leads)-i)})
				break
			}
			known = append(known, fact{lead.Ref(id), "leadbus trace " + id})
			if url := w.link(link.Recover, id, e.At); url != "" && a.Cause == alarm.NotRescued {
				c.Links = append(c.Links, button{Label: t.AnswerButton.say(words{Ref: lead.Ref(id)}), URL: url, Quiet: true})
			}
		}
		c.Sections = []section{{Facts: known}}
		m := m
		m.To, m.Subject = email, strings.TrimSpace(t.AlarmSubject.say(v))
		w.addMail(m, c)
	}
	if number != "" && w.site.Senders.SMS.From != "" {
		text, _, _ := toGSM7(t.RaisedSMS.say(v))
		w.add(lead.Message{
			Purpose: purpose, Recipient: lead.ToOwner, Language: m.Language,
			Channel: lead.SMS, From: w.site.Senders.SMS.From, To: number, Text: cut(tidy(text), longest, septet, "..."),
		})
	}
}
