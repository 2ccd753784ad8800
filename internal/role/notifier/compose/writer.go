package compose

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/roster"
	"leadbus/internal/site"
)

// writer writes the messages of one event. Its messages depend on the event
// and the configuration only.
type writer struct {
	*Composer
	site  *site.Site
	texts map[string]*texts // of the site, by language
	of    event.Decided
	to    string // id of the lead, or of the alarm, that the messages belong to

	decision event.Event // that the messages tell; its zero value is none

	messages []lead.Message
	err      error
}

// add completes a message with what all messages of the event share.
func (w *writer) add(m lead.Message) {
	l := w.of.Lead
	m.Lead, m.Market, m.Site, m.Ref, m.Offer = w.to, l.Market, l.Site, l.Ref, w.of.Offer
	m.Decision, m.Since = w.decision.ID, w.decision.At
	m.ID = lead.MessageID(w.to, m.Purpose, m.Recipient, m.Channel, m.Offer)
	w.messages = append(w.messages, m)
}

// addMail renders a mail and adds it.
func (w *writer) addMail(m lead.Message, content mail) {
	content.Lang, content.Brand, content.Ref = m.Language, w.site.Brand, w.of.Lead.Ref
	content.Title, content.Intro = line(content.Title, maxLine), line(content.Intro, 2*maxLine)
	m.Channel, m.From, m.Thread = lead.Email, w.site.Senders.Mail.From, w.of.Lead.ID
	m.Subject = line(m.Subject, maxLine)
	var err error
	if m.Text, m.HTML, err = content.parts(); err != nil && w.err == nil {
		w.err = fmt.Errorf("render mail: %w", err)
	}
	w.add(m)
}

// addSMS adds an SMS.
func (w *writer) addSMS(m lead.Message, to, text string) {
	m.Channel, m.From, m.To, m.Text = lead.SMS, w.site.Senders.SMS.From, to, text
	w.add(m)
}

// language is the first of the wanted languages, and of the site's, in which
// there are texts.
func (w *writer) language(wanted ...string) string {
	return language(w.texts, slices.Concat(wanted, w.site.Languages)...)
}

// link asks the owner about a lead or an alarm; empty when there are no links.
// Made again for the same event it is the same.
func (w *writer) link(asks, id string, at time.Time) string {
	return w.linkTo(link.Link{ID: id, Asks: asks, Until: at.Add(link.Life)})
}

// linkTo is the address of a question about something of the site's.
func (w *writer) linkTo(l link.Link) string {
	if w.links == nil || w.public == "" {
		return ""
	}
	l.Market, l.Site = w.site.Market, w.site.Domain
	return w.public + link.Path + w.links.Token(l)
}

// Forms of a time for people.
const (
	dateTime     = "02.01.2006 15:04"
	dateTimeZone = dateTime + " MST"
)

// local is a time in the site's zone.
func (w *writer) local(at time.Time) time.Time {
	if m := w.catalog.MarketOf(w.site); m != nil && m.Location != nil {
		return at.In(m.Location)
	}
	return at
}

// moment is a time in the site's zone as a text names it; empty for none.
func (w *writer) moment(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return w.local(at).Format(dateTime)
}

// done numbers the messages.
func (w *writer) done() ([]lead.Message, error) {
	for i := range w.messages {
		w.messages[i].Of = len(w.messages)
	}
	return w.messages, w.err
}

// sensitive reports whether the lead may be about health. While the service is
// unknown, one sensitive service of the site is enough.
func (w *writer) sensitive() bool {
	if s := w.catalog.Services[w.of.Lead.Service.ID]; s != nil {
		return s.Sensitive
	}
	return slices.ContainsFunc(w.site.Services, func(s site.SiteService) bool {
		known := w.catalog.Services[s.ID]
		return known != nil && known.Sensitive
	})
}

// words are the lead's, for a mail body in a language.
func (w *writer) words(lang string) words {
	l := w.of.Lead
	service := ""
	if s := w.catalog.Services[l.Service.ID]; s != nil {
		service = s.Names[lang]
	}
	out := words{
		Brand: w.site.Brand, Site: w.site.Domain, Dial: w.site.DID, Lead: l.ID, Ref: l.Ref,
		Service: line(cmp.Or(service, l.Service.Name, l.Service.Raw, "?"), maxName),
		Place:   line(cmp.Or(l.Place.Name, l.Place.Raw), maxName),
		Name:    line(l.Request.CustomerName, maxName),
		Phone:   line(cmp.Or(l.Phone.E164, l.Phone.Raw, "?"), maxName),
		Details: line(l.Request.IssueSummary, maxDetails),
		Window:  line(l.Request.PreferredWindow, maxLine),
		Urgent:  l.Request.Urgent(),
	}
	if slices.Contains(l.Flags, "placeholder") {
		out.Name = "" // the fact sheet still shows it
	}
	out.Provider = line(cmp.Or(w.of.Provider, new(roster.Provider)).Name, maxName)
	return out
}

// open are the words for what strangers may read over a shoulder: texts, and
// subjects, which lie on lock screens. withMail says whether the recipient gets
// the rest by e-mail.
func (w *writer) open(lang string, withMail bool) words {
	out := w.words(lang)
	if w.sensitive() {
		t := w.texts[lang]
		out.Private, out.Service, out.Details, out.Window = true, t.say("new_request", out), "", ""
		if withMail {
			out.Details = t.say("see_mail_details", out)
		}
	}
	return out
}

// sms renders an SMS text in the GSM-7 alphabet. It stays in one segment as
// long as cutting free words does it; phone number and reference are never cut.
func sms(t *texts, x text, w words, withMail bool) string {
	name, _, lost := toGSM7(w.Name)
	if lost > 0 { // half a name is worse than none
		name = ""
		if withMail {
			name = t.say("see_mail", w)
		}
	}
	details, kept, lost := toGSM7(w.Details)
	if lost > kept {
		details = ""
		if withMail {
			details = t.say("see_mail_details", w)
		}
	}
	w.Name, w.Details = name, details
	free := []struct {
		value *string
		least int // septets that are still worth reading
	}{
		{&w.Details, 0}, {&w.Window, 0}, {&w.Name, 12}, {&w.Provider, 14}, {&w.Place, 14}, {&w.Service, 14}, {&w.Reason, 14}, {&w.Brand, 11},
	}
	for _, f := range free {
		*f.value, _, _ = toGSM7(*f.value)
		*f.value = strings.Join(strings.Fields(*f.value), " ")
	}
	render := func() string {
		s, _, _ := toGSM7(x.say(w))
		return tidy(s)
	}
	out := render()
	for _, f := range free {
		over := length(out, septet) - oneSegment
		if over <= 0 {
			break
		}
		left := length(*f.value, septet) - over
		if f.least == 0 && left < 12 {
			left = 0
		}
		*f.value = cut(*f.value, max(left, f.least), septet, "...")
		out = render()
	}
	return cut(out, longest, septet, "...")
}

// requestFacts are what whoever calls the customer needs.
func (w *writer) requestFacts(t *texts, v words) []fact {
	l := w.of.Lead
	r := l.Request
	return facts(
		fact{t.say("label_reason", v), line(w.of.Reason, maxLine)},
		fact{t.say("label_service", v), v.Service},
		fact{t.say("label_urgency", v), line(r.Urgency, maxLine)},
		fact{t.say("label_place", v), v.Place},
		fact{t.say("label_address", v), line(strings.Join(slices.DeleteFunc([]string{r.AddressLine, strings.TrimSpace(r.PostalCode + " " + r.City)}, isEmpty), ", "), maxLine)},
		fact{t.say("label_name", v), line(r.CustomerName, maxLine)},
		fact{t.say("label_phone", v), v.Phone},
		fact{t.say("label_second", v), line(l.Phone.Second, maxName)},
		fact{t.say("label_window", v), v.Window},
		fact{t.say("label_details", v), v.Details},
		fact{t.say("label_language", v), line(l.Language, maxName)},
		fact{t.say("label_received", v), w.local(l.ReceivedAt).Format(dateTimeZone)},
		fact{t.say("label_ref", v), l.Ref},
		fact{t.say("label_site", v), line(cmp.Or(l.SourceURL, w.site.URL, w.site.Domain), maxLine)},
	)
}

func isEmpty(s string) bool { return s == "" }

// understoodFacts set what was said beside what it was taken for.
func (w *writer) understoodFacts(t *texts, v words) []fact {
	l := w.of.Lead
	taken := func(said, as string, how ...string) string {
		how = slices.DeleteFunc(how, isEmpty)
		s := cmp.Or(as, "?")
		if len(how) > 0 {
			s += " (" + strings.Join(how, ", ") + ")"
		}
		if said != "" {
			s = "“" + said + "” → " + s
		}
		return line(s, 2*maxLine)
	}
	score, suggestion := "", ""
	if l.Place.Score > 0 {
		score = fmt.Sprintf("%.2f", l.Place.Score)
	}
	if l.Place.Suggestion != "" {
		suggestion = l.Place.Suggestion + "?"
	}
	consent := ""
	if c := l.Request.ContactConsent; c != nil {
		consent = t.say("label_no", v)
		if *c {
			consent = t.say("label_yes", v)
		}
	}
	return facts(
		fact{t.say("label_service", v), taken(l.Service.Raw, l.Service.Name, l.Service.ID, l.Service.Method)},
		fact{t.say("label_place", v), taken(l.Place.Raw, l.Place.Name, l.Place.ID, l.Place.Method, score, suggestion)},
		fact{t.say("label_phone", v), taken(l.Phone.Raw, l.Phone.E164, l.Phone.Source, l.Phone.Confidence, l.Phone.Type)},
		fact{t.say("label_caller", v), line(cmp.Or(l.Phone.CallerID, l.Request.CallerID), maxName)},
		fact{t.say("label_consent", v), consent},
	)
}

// supportFacts are the ids under which the lead is found elsewhere.
func (w *writer) supportFacts() []fact {
	l := w.of.Lead
	var clicks []string
	for _, k := range slices.Sorted(maps.Keys(l.Request.Clicks)) {
		clicks = append(clicks, k+"="+l.Request.Clicks[k])
	}
	return facts(
		fact{"trace", "leadbus trace " + l.ID},
		fact{"offer", w.of.Offer},
		fact{"provider", cmp.Or(w.of.Provider, new(roster.Provider)).ID},
		fact{"conversation", line(l.Request.ConversationID, maxLine)},
		fact{"call", line(l.Request.CallSID, maxLine)},
		fact{"agent", line(l.Request.AgentID, maxLine)},
		fact{"called", line(l.Request.CalledNumber, maxName)},
		fact{"tracker", l.Tracker},
		fact{"clicks", line(strings.Join(clicks, " "), 4*maxLine)},
		fact{"received", l.ReceivedAt.UTC().Format(time.RFC3339)},
	)
}
