package edge

import (
	_ "embed"
	"encoding/xml"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
	"leadbus/internal/text"
	"leadbus/internal/understand/reply"
)

// Carrier verifies and reads what comes from the carrier of texts and calls. Its
// errors are those of Receipts.
type Carrier interface {
	Receipts
	Text(r *http.Request, body []byte) (lead.Inbound, error)
	Call(r *http.Request, body []byte) (call.Leg, error)
}

//go:embed said.yaml
var saidYAML []byte

// said is what callers hear and people who text are answered, by language.
var said = text.Shipped[map[string]map[string]string](saidYAML)

// say is a text of said for a site, in the first of the languages that there is.
func say(s *site.Site, key string, languages ...string) string {
	for _, lang := range append(languages, "en") {
		if t := said[lang][key]; t != "" {
			return strings.ReplaceAll(t, "{brand}", s.Brand)
		}
	}
	return ""
}

// twiml is an answer to the carrier, see answer.
type (
	twiml struct {
		XMLName xml.Name `xml:"Response"`
		Message string   `xml:",omitempty"`
		Say     []spoken
		Record  *record
		Dial    *dial
	}
	spoken struct {
		Language string `xml:"language,attr"`
		Text     string `xml:",chardata"`
	}
	record struct {
		Action   string `xml:"action,attr"`
		Callback string `xml:"recordingStatusCallback,attr"`
		Longest  int    `xml:"maxLength,attr"`
		Silence  int    `xml:"timeout,attr"`
		Finish   string `xml:"finishOnKey,attr"`
		Beep     bool   `xml:"playBeep,attr"`
	}
	dial struct {
		Timeout int    `xml:"timeout,attr"`
		Number  string `xml:",chardata"`
	}
)

func (t twiml) answer(w http.ResponseWriter) *refusal {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	body, _ := xml.Marshal(t) // texts and numbers always encode
	_, _ = w.Write(append([]byte(xml.Header), body...))
	return nil
}

// from names the site of the number that a request of the carrier's is about; err is
// that of reading it.
func (e *edge) from(r *http.Request, a *access, number string, err error) (*site.Site, *refusal) {
	switch {
	case errors.Is(err, event.ErrUnauthenticated):
		return nil, &refusal{http.StatusForbidden, "the signature does not match"}
	case err != nil:
		return nil, &refusal{http.StatusBadRequest, err.Error()}
	}
	s := e.Catalog.Sites[r.URL.Query().Get("site")] // signed, and so ours
	if s == nil {
		s = e.Catalog.OfNumber(number)
	}
	if s == nil {
		return nil, &refusal{http.StatusNotAcceptable, "no site has this number"}
	}
	a.market, a.site = s.Market, s.Domain
	return s, nil
}

// leg reads what the carrier asks or tells about a call.
func (e *edge) leg(w http.ResponseWriter, r *http.Request, a *access) (leg call.Leg, s *site.Site, refused *refusal) {
	body, refused := read(w, r, maxBody)
	if refused == nil {
		var err error
		leg, err = e.Twilio.Call(r, body)
		s, refused = e.from(r, a, leg.To, err)
	}
	return leg, s, refused
}

// inbound takes a text that somebody wrote to a number of ours. A button with the
// token of an offer is the provider's answer; everything else is kept as it is.
func (e *edge) inbound(w http.ResponseWriter, r *http.Request, a *access) *refusal {
	raw, refused := read(w, r, maxBody)
	if refused != nil {
		return refused
	}
	in, err := e.Twilio.Text(r, raw)
	s, refused := e.from(r, a, in.To, err)
	if refused != nil {
		return refused
	}
	means := reply.Read(in.Text, in.Channel == lead.SMS && strings.HasPrefix(in.To, "+"))
	if in.OptOut != "" {
		means.OptOut, means.Told = in.OptOut, true
	}
	to := subjects.Lead{Market: s.Market, Site: s.Domain, Event: subjects.TextReceived, Lead: lead.NewID(s.Domain, "text\x00"+in.ID)}
	var body any = &event.Texted{
		Channel: in.Channel, From: in.From, To: in.To, Text: in.Text, OptOut: means.OptOut, Told: means.Told,
	}
	if l, answer := e.pressed(in.Button); answer != "" {
		to = subjects.Lead{Market: l.Market, Site: l.Site, Event: subjects.ProviderReplied, Lead: l.ID}
		body = &event.Replied{Offer: l.Offer, Answer: answer}
		means.OptOut = ""
	}
	id, err := event.ContentID(to.Event, to.Lead, in.ID)
	if err != nil {
		return e.internal(err, a)
	}
	a.market, a.site, a.lead = to.Market, to.Site, to.Lead
	if refused := e.publish(r.Context(), event.Event{ID: id, At: e.Now().UTC(), Lead: to, Body: body}, a); refused != nil {
		return refused
	}
	var t twiml
	if means.OptOut == reply.Stop && !means.Told && e.first(in) {
		languages := s.Languages
		if slices.Contains(languages, means.Language) {
			languages = append([]string{means.Language}, languages...)
		}
		t.Message = say(s, "stopped", languages...)
	} else if means.OptOut == reply.Start {
		e.stopped.Remove(in.Channel + in.From + in.To)
	}
	return t.answer(w)
}

// first reports whether an opt-out is the first of its sender that this edge hears,
// or the same once more: an opt-out is confirmed once.
func (e *edge) first(in lead.Inbound) bool {
	before, known, _ := e.stopped.PeekOrAdd(in.Channel+in.From+in.To, in.ID)
	return !known || before == in.ID
}

// pressed reads the payload of a button, "accept:<token>" or "decline:<token>" with
// the token of an offer's link; the answer is empty for any other.
func (e *edge) pressed(payload string) (l link.Link, answer string) {
	answer, token, _ := strings.Cut(payload, ":")
	if e.Links == nil || answer != event.Accept && answer != event.Decline {
		return l, ""
	}
	l, err := e.Links.Read(token, e.Now())
	if s := e.Catalog.Sites[l.Site]; err != nil || l.Asks != link.Offer || l.Offer == "" || s == nil || s.Market != l.Market {
		return l, ""
	}
	return l, answer
}

// optOut is the form of an opt-out link that was sent: the person gets no more texts
// on the channel. It can be done again, after they opted in.
func (e *edge) optOut(w http.ResponseWriter, r *http.Request, a *access, l link.Link, s *site.Site, p page) *refusal {
	now := e.Now().UTC()
	to := subjects.Lead{Market: s.Market, Site: s.Domain, Event: subjects.TextReceived, Lead: lead.NewID(s.Domain, "stop\x00"+l.ID)}
	id, err := event.ContentID(to.Event, to.Lead, now.Truncate(time.Minute)) // pressed twice is once
	if err != nil {
		return e.internal(err, a)
	}
	ev := event.Event{ID: id, At: now, Lead: to, Body: &event.Texted{Person: l.ID, OptOut: reply.Stop, Told: true}}
	if refused := e.publish(r.Context(), ev, a); refused != nil {
		w.Header().Set("Retry-After", "60")
		p.show(w, http.StatusServiceUnavailable, "away")
		return nil
	}
	p.show(w, http.StatusOK, "stopped")
	return nil
}

// Bounds of a message on the voicemail, in seconds, and of a ring at the owner's.
const (
	longestMessage = 120
	silence        = 6
	rings          = 25
)

// voiceFallback answers a caller for whom the agent's platform is away. What comes
// first loses least: the call is a lead before the caller hears a word, and the
// message is recorded before the owner's phone rings. For a mobile that is off
// answers with a mailbox of its own, which would swallow the message; and who waits
// for a ring may hang up. A caller who says nothing is put through at once. When
// the lead cannot be stored, the caller still can leave a message: that is stored
// with its recording.
func (e *edge) voiceFallback(w http.ResponseWriter, r *http.Request, a *access) *refusal {
	leg, s, refused := e.leg(w, r, a)
	if refused != nil {
		return refused
	}
	_ = e.unheard(r, a, s, caller(leg), lead.FlagVoicemail, "") // a.err says why
	t := twiml{Record: &record{
		Action: "voice-fallback/recording?site=" + s.Domain, Callback: "voice-fallback/recording?site=" + s.Domain,
		Longest: longestMessage, Silence: silence, Finish: "#", Beep: true,
	}}
	for _, lang := range s.Languages {
		if said[lang] != nil {
			t.Say = append(t.Say, spoken{locales[lang], say(s, "announce", lang)})
		}
	}
	t.through(s)
	return t.answer(w)
}

// recorded takes the recording of a message: from the call, which goes on with the
// owner's phone, and once more when the carrier has stored it.
func (e *edge) recorded(w http.ResponseWriter, r *http.Request, a *access) *refusal {
	leg, s, refused := e.leg(w, r, a)
	if refused != nil {
		return refused
	}
	if leg.Recording != "" {
		req := lead.Request{CallSID: leg.SID, IssueSummary: "Voicemail: " + leg.Recording + ".mp3"}
		if refused := e.unheard(r, a, s, req, lead.FlagVoicemail, leg.RecordingID); refused != nil {
			return refused
		}
	}
	var t twiml
	if !leg.HungUp {
		t.through(s)
	}
	return t.answer(w)
}

// through rings at the owner's.
func (t *twiml) through(s *site.Site) {
	if s.Owner.Phone != "" {
		t.Dial = &dial{rings, s.Owner.Phone}
	}
}

// callStatus takes the end of a call. One that nobody answered is a lead; the matcher
// drops it when the caller was heard after all.
func (e *edge) callStatus(w http.ResponseWriter, r *http.Request, a *access) *refusal {
	leg, s, refused := e.leg(w, r, a)
	if refused != nil {
		return refused
	}
	if leg.Unanswered {
		if refused := e.unheard(r, a, s, caller(leg), lead.FlagMissed, "missed"); refused != nil {
			return refused
		}
	}
	return twiml{}.answer(w)
}

func caller(leg call.Leg) lead.Request {
	return lead.Request{CallSID: leg.SID, CallerID: leg.From, CalledNumber: leg.To}
}

// unheard stores a call that no agent heard as a lead. Its id is that of a tool call
// of the same phone call that names no conversation.
func (e *edge) unheard(r *http.Request, a *access, s *site.Site, req lead.Request, flag, from string) *refusal {
	now := e.Now().UTC()
	req.CalledAt = now
	l := e.reader.Understand(s, lead.NewID(s.Domain, "call\x00"+req.CallSID), req, now, []string{flag})
	a.lead = l.ID
	received, err := event.NewReceived(subjects.Lead{Market: s.Market, Site: s.Domain}, l, req, nil, now, from)
	if err != nil {
		return e.internal(err, a)
	}
	return e.publish(r.Context(), received, a)
}

// locales are the voices of the carrier; another language is its own.
var locales = map[string]string{"fr": "fr-FR", "de": "de-DE", "it": "it-IT", "en": "en-GB", "id": "id-ID"}
