package sandbox

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxMail       = 25 << 20
	eventsDefault = 100
	eventsMost    = 300
)

// mailgunKnows checks Mailgun's basic authentication.
func (s *Sandbox) mailgunKnows(w http.ResponseWriter, r *http.Request) bool {
	user, key, _ := r.BasicAuth()
	if user != "api" || !equal(key, s.o.MailgunKey) {
		http.Error(w, "Forbidden", http.StatusUnauthorized)
		return false
	}
	return true
}

func mailgunRefuses(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]string{"message": text})
}

// sendMail is POST /v3/{domain}/messages, for one recipient per call.
func (s *Sandbox) sendMail(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxMail)
	if err := r.ParseMultipartForm(1 << 20); err != nil {
		mailgunRefuses(w, http.StatusBadRequest, "the request is not a multipart form")
		return
	}
	f, domain := r.PostForm, r.PathValue("domain")
	to, err := mail.ParseAddress(f.Get("to"))
	_, fromErr := mail.ParseAddress(f.Get("from"))
	switch {
	case !strings.Contains(domain, "."):
		mailgunRefuses(w, http.StatusNotFound, "Domain not found: "+domain)
		return
	case fromErr != nil:
		mailgunRefuses(w, http.StatusBadRequest, "from parameter is not a valid address. please check documentation")
		return
	case err != nil || len(f["to"]) != 1:
		mailgunRefuses(w, http.StatusBadRequest, "to parameter is not a valid address. please check documentation")
		return
	case f.Get("text") == "" && f.Get("html") == "":
		mailgunRefuses(w, http.StatusBadRequest, "Need at least one of 'text', 'html', 'amp-html' or 'template' parameters specified")
		return
	}
	now := time.Now().UTC()
	m := message{
		ID:     now.Format("20060102150405") + ".1." + strings.ToUpper(newToken()[:16]) + "@" + domain,
		Vendor: "mailgun", Channel: "email", From: f.Get("from"), To: to.Address,
		Subject: f.Get("subject"), Text: f.Get("text"), HTML: f.Get("html"), Tags: f["o:tag"],
		IDs: prefixed(f, "v:"), Headers: prefixed(f, "h:"),
		Status: "accepted", Told: "accepted", CreatedAt: now,
		Fate: mailFate(to.Address),
	}
	m.Fate = cmp.Or(s.suppressed(m), m.Fate)
	s.take(m) //nolint:contextcheck // a message outlives the request that made it
	writeJSON(w, http.StatusOK, map[string]string{"id": "<" + m.ID + ">", "message": "Queued. Thank you."})
}

// prefixed are the form's fields with a prefix, without it; of a field with
// several values the first.
func prefixed(f url.Values, prefix string) map[string]string {
	out := map[string]string{}
	for k := range f {
		if name, ok := strings.CutPrefix(k, prefix); ok {
			out[name] = f.Get(k)
		}
	}
	return out
}

// suppressed is why Mailgun will not even try: what the recipient did with an
// earlier mail.
func (s *Sandbox) suppressed(m message) string {
	reasons := map[string]string{"bounce": "suppress-bounce", "complained": "suppress-complaint", "unsubscribed": "suppress-unsubscribe"}
	if reasons[m.Fate] == "" {
		return "" // only the addresses that misbehave are ever suppressed
	}
	earlier := s.store.newest(1, func(e *message) bool {
		return e.To == m.To && reasons[e.ErrorCode] != "" && domainOf(e.ID) == domainOf(m.ID)
	})
	if len(earlier) == 0 {
		return ""
	}
	return reasons[earlier[0].ErrorCode]
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// listEvents is GET /v3/{domain}/events and its further pages, whose token is
// the query with an offset.
func (s *Sandbox) listEvents(w http.ResponseWriter, r *http.Request) {
	q, domain := r.URL.Query(), r.PathValue("domain")
	if page := r.PathValue("page"); page != "" {
		b, err := base64.RawURLEncoding.DecodeString(page)
		if err == nil {
			q, err = url.ParseQuery(string(b))
		}
		if err != nil {
			mailgunRefuses(w, http.StatusBadRequest, "the page is not valid")
			return
		}
	}
	begin, hasBegin := mailgunTime(q.Get("begin"))
	end, hasEnd := mailgunTime(q.Get("end"))
	var events []event
	for _, m := range s.store.newest(s.store.keep, func(m *message) bool {
		return m.Vendor == "mailgun" && domainOf(m.ID) == domain && (q.Get("recipient") == "" || strings.EqualFold(q.Get("recipient"), m.To)) &&
			(q.Get("message-id") == "" || q.Get("message-id") == m.ID)
	}) {
		for status, at := range m.reached() {
			if (hasBegin && at.Before(begin)) || (hasEnd && at.After(end)) {
				continue
			}
			if e := (event{m, status, at}); q.Get("event") == "" || q.Get("event") == e.Name() {
				events = append(events, e)
			}
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.At.Compare(b.At) })
	if q.Get("ascending") != "yes" && (!hasBegin || hasEnd) {
		slices.Reverse(events)
	}
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil || limit <= 0 {
		limit = eventsDefault
	}
	limit = min(limit, eventsMost)
	offset, _ := strconv.Atoi(q.Get("offset"))
	offset = min(max(offset, 0), len(events))
	last := min(offset+limit, len(events))
	link := func(offset int) string {
		q.Set("offset", strconv.Itoa(offset))
		return s.MailgunURL() + "/" + domain + "/events/" + base64.RawURLEncoding.EncodeToString([]byte(q.Encode()))
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"items": each(events[offset:last], func(e event) any { return shape("mailgun-event", e) }),
		"paging": map[string]string{
			"next": link(last), "previous": link(max(offset-limit, 0)), "first": link(0), "last": link(max(len(events)-limit, 0)),
		},
	})
}

// mailgunTime reads the API's two forms, seconds and RFC 2822.
func mailgunTime(v string) (time.Time, bool) {
	if f, err := strconv.ParseFloat(v, 64); err == nil {
		return time.UnixMicro(int64(f * 1e6)), true
	}
	t, err := mail.ParseDate(v)
	return t, err == nil
}

// reached are the statuses a mail has been through, with their times.
func (m message) reached() map[string]time.Time {
	out := map[string]time.Time{"accepted": m.CreatedAt}
	if !m.DeliveredAt.IsZero() {
		out["delivered"] = m.DeliveredAt
	}
	_, fails := numbers.Failures[m.Fate]
	switch {
	case m.FailedAt.IsZero():
	case fails:
		out["failed"] = m.FailedAt
	case m.Fate == "temporary":
		out["temporary_fail"] = m.FailedAt
	default:
		out[m.Fate] = m.FailedAt
	}
	return out
}

// event is what happened to a mail.
type event struct {
	message
	Status string
	At     time.Time
}

// Name is what Mailgun calls the event.
func (e event) Name() string {
	if e.Status == "temporary_fail" {
		return "failed"
	}
	return e.Status
}

// EventID is the event's id.
func (e event) EventID() string {
	id := sha256.Sum256([]byte(e.ID + "\x00" + e.Status))
	return hex.EncodeToString(id[:11])
}

// Timestamp is when it happened, in Unix seconds.
func (e event) Timestamp() float64 { return float64(e.At.UnixMicro()) / 1e6 }

// Size is that of the mail.
func (e event) Size() int { return len(e.Text) + len(e.HTML) }
