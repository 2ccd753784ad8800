package compose

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"leadbus/internal/call/drift"
	"leadbus/internal/event"
	"leadbus/internal/event/digest"
	"leadbus/internal/lead"
)

// digested writes an owner's day. It goes out when nothing happened as well:
// that it comes shows that somebody looks.
func (c *Composer) digested(e event.Event, d digest.Digest) ([]lead.Message, error) {
	w, err := c.writer(e.Lead, event.Decided{})
	if err != nil {
		return nil, err
	}
	m, t, ok := w.owner(lead.PurposeDigest + "-" + w.local(d.To).Format("20060102"))
	if !ok {
		return nil, nil
	}
	v := words{
		Brand: w.site.Brand, Site: w.site.Domain, Since: w.moment(d.From), Last: w.moment(d.To),
		Date: w.local(d.From).Format("02.01.2006"),
	}
	v.Reason = headline(t, v, d)
	m.Subject = t.say("digest_subject", v)
	content := mail{Title: t.say("digest_title", v), Intro: t.say("digest_intro", v), Footer: t.say("owner_footer", v)}
	if empty(d) {
		content.Notes = append(content.Notes, t.say("digest_empty", v))
	}
	content.Sections = []section{{Facts: facts(
		fact{t.say("label_alarms", v), fmt.Sprint(d.Alarms)},
		fact{t.say("label_canaries", v), share(d.Canaries)},
	)}}
	for _, s := range d.Sites {
		content.Sections = append(content.Sections, section{Title: line(s.Site, maxLine), Facts: w.day(t, v, m.Language, s)})
	}
	w.addMail(m, content)
	return w.done()
}

// headline is the one number to know: alarms, else requests that nobody
// serves, else requests.
func headline(t *texts, v words, d digest.Digest) string {
	var leads, unserved int
	for _, s := range d.Sites {
		leads += s.Leads
		unserved += s.Unserved + s.Review
	}
	label, n := t.of("label_leads"), leads
	switch {
	case d.Alarms > 0:
		label, n = t.of("label_alarms"), d.Alarms
	case unserved > 0:
		label, n = t.of("label_unserved"), unserved
	}
	return fmt.Sprintf("%s: %d", label.say(v), n)
}

// empty reports whether nothing happened at all.
func empty(d digest.Digest) bool {
	return d.Alarms == 0 && !slices.ContainsFunc(d.Sites, func(s digest.Site) bool {
		return s.Calls+s.Leads+s.Rescued+s.Matched+s.Unserved+s.Review+len(s.Spam)+len(s.Failures)+len(s.Findings)+len(s.Gaps) > 0
	})
}

// day are the figures of a site; those that are mostly zero only when they are
// not.
func (w *writer) day(t *texts, v words, lang string, s digest.Site) []fact {
	out := []fact{
		{t.say("label_calls", v), fmt.Sprint(s.Calls)},
		{t.say("label_leads", v), fmt.Sprint(s.Leads)},
	}
	count := func(label text, n int) {
		if n > 0 {
			out = append(out, fact{label.say(v), fmt.Sprint(n)})
		}
	}
	var values []string
	list := func(label text) { // shows the values, and begins anew
		if more := len(values) - maxListed; more > 0 {
			values = append(values[:maxListed:maxListed], fmt.Sprintf("+ %d", more))
		}
		if len(values) > 0 {
			out = append(out, fact{label.say(v), strings.Join(values, ", ")})
		}
		values = nil
	}
	if s.Dispatched.Of > 0 {
		out = append(out, fact{t.say("label_dispatched", v), share(s.Dispatched)})
	}
	count(t.of("label_rescued"), s.Rescued)
	count(t.of("label_matched"), s.Matched)
	count(t.of("label_unserved"), s.Unserved)
	count(t.of("label_review"), s.Review)
	if s.Notify.N > 0 {
		out = append(out, fact{t.say("label_notify", v), fmt.Sprintf("median %.1f s, p90 %.1f s, n %d", s.Notify.Median, s.Notify.P90, s.Notify.N)})
	}
	for _, name := range slices.SortedFunc(maps.Keys(s.Findings), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.Findings[b], s.Findings[a]), cmp.Compare(a, b))
	}) {
		values = append(values, times(strings.TrimSuffix(t.flag(name), "."), s.Findings[name]))
	}
	list(t.of("section_noticed"))
	for _, f := range s.Failures {
		values = append(values, times(line(f.Provider, maxName)+" "+channelName(f.Channel), f.Times))
	}
	list(t.of("label_failures"))
	for _, g := range s.Gaps {
		values = append(values, times(line(w.serviceName(g.Service, lang)+" "+w.placeName(g.Place), maxLine), g.Times))
	}
	list(t.of("label_gaps"))
	for _, a := range s.Agents {
		values = append(values, line(strings.TrimSpace(a.Agent+" "+a.Version), maxLine)+": "+share(a.Dispatched))
	}
	list(t.of("label_agents"))
	for _, id := range s.Spam {
		values = append(values, "leadbus trace "+id)
	}
	list(t.of("label_spam"))
	if s.Cost > 0 {
		cost := fmt.Sprintf("%.2f USD", s.Cost)
		if s.Leads > 0 {
			cost += fmt.Sprintf(" = %d × %.2f", s.Leads, s.Cost/float64(s.Leads))
		}
		out = append(out, fact{t.say("label_cost", v), cost})
	}
	return out
}

// share is never a bare percentage: of few cases it says little, and the range
// in which the true share lies (95 %) shows how little.
func share(s digest.Share) string {
	if s.Of == 0 {
		return "0 / 0"
	}
	low, high := drift.Wilson(s.Count, s.Of)
	return fmt.Sprintf("%d / %d (%.0f–%.0f %%)", s.Count, s.Of, 100*low, 100*high)
}

func times(what string, n int) string { return fmt.Sprintf("%s ×%d", strings.TrimSpace(what), n) }

func (w *writer) serviceName(id, lang string) string {
	if s := w.catalog.Services[id]; s != nil {
		return cmp.Or(s.Names[lang], id)
	}
	return id
}

func (w *writer) placeName(id string) string {
	if m := w.catalog.MarketOf(w.site); m != nil {
		for _, p := range m.Places {
			if p.ID == id {
				return p.Name
			}
		}
	}
	return id
}
