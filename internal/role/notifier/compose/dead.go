package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/subjects"
)

// Dead tells the owner that a role gave up an event: one mail for each site,
// role and hour, since one cause mostly concerns many leads.
func (c *Composer) Dead(d event.Dead) (subjects.Lead, []lead.Message, error) {
	l := subjects.Lead{Market: d.Market, Site: d.Site, Lead: d.Lead}
	if c.catalog.Sites[l.Site] == nil { // unreadable, or a site that is gone: any owner of the market
		for _, domain := range slices.Sorted(maps.Keys(c.catalog.Sites)) {
			if c.catalog.Sites[domain].Market == d.Market {
				l.Site = domain
				break
			}
		}
	}
	if l.Lead == "" {
		l.Lead = lead.NewID("unreadable", fmt.Sprint(d.Market, d.Seq))
	}
	w, err := c.writer(l, event.Decided{Lead: lead.Lead{ID: l.Lead, Market: l.Market, Site: l.Site, Ref: lead.Ref(l.Lead)}})
	if err != nil {
		return l, nil, err
	}
	w.gaveUp(d)
	messages, err := w.done()
	for i := range messages {
		messages[i].ID = lead.MessageID(l.Site, messages[i].Purpose, lead.ToOwner, lead.Email, d.At.UTC().Format("2006010215"))
	}
	return l, messages, err
}

func (w *writer) gaveUp(d event.Dead) {
	m, t, ok := w.owner(purposeGaveUp + "-" + d.Role)
	if !ok {
		return
	}
	v := words{Brand: w.site.Brand, Site: w.site.Domain, Lead: w.of.Lead.ID, Ref: w.of.Lead.Ref, Code: d.Role}
	v.Reason = t.GaveUpReason.say(v)
	m.Subject = strings.TrimSpace(t.AlarmSubject.say(v))
	w.addMail(m, mail{
		Title: v.Reason, Intro: t.GaveUpIntro.say(v), Footer: t.OwnerFooter.say(v),
		Sections: []section{{Facts: facts(
			fact{t.Reason.say(v), line(d.Reason, 2*maxLine)},
			fact{"event", fmt.Sprintf("%s, LEADS sequence %d, %s", d.Kind, d.Seq, d.At.UTC().Format(time.RFC3339))},
			fact{"list", "leadbus dlq list --market " + d.Market},
			fact{"retry", fmt.Sprintf("leadbus dlq retry --market %s %d", d.Market, d.ID)},
			fact{"trace", "leadbus trace " + w.of.Lead.ID},
		)}},
	})
}
