package sandbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const whatsAppPrefix = "whatsapp:"

var (
	e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	// A sender name has at most 11 letters, digits and spaces, one of them a
	// letter (Twilio documentation, "Alphanumeric Sender ID").
	senderName  = regexp.MustCompile(`^[0-9 ]*[A-Za-z][A-Za-z0-9 ]*$`)
	placeholder = regexp.MustCompile(`\{\{\s*([0-9A-Za-z_]+)\s*\}\}`)
)

// twilioError is Twilio's error answer.
type twilioError struct {
	Code     int    `json:"code"`
	Message  string `json:"message"`
	MoreInfo string `json:"more_info"`
	Status   int    `json:"status"`
}

func refuse(w http.ResponseWriter, status, code int, message string) {
	writeJSON(w, status, twilioError{code, message, "https://www.twilio.com/docs/errors/" + strconv.Itoa(code), status})
}

// twilioKnows checks the account's credentials; the path must name the account.
func (s *Sandbox) twilioKnows(w http.ResponseWriter, r *http.Request) bool {
	user, token, _ := r.BasicAuth()
	if !equal(user, s.o.AccountSID) || !equal(token, s.o.AuthToken) || r.PathValue("account") != s.o.AccountSID {
		refuse(w, http.StatusUnauthorized, 20003, "Authenticate")
		return false
	}
	return true
}

// createMessage is POST …/Messages.json.
func (s *Sandbox) createMessage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 256<<10)
	if err := r.ParseForm(); err != nil {
		refuse(w, http.StatusBadRequest, 20001, "Unparseable form")
		return
	}
	m, refusal := s.compose(r.PostForm)
	if refusal != nil {
		refuse(w, http.StatusBadRequest, refusal.Code, refusal.Message)
		return
	}
	m.CreatedAt = time.Now().UTC()
	s.take(m) //nolint:contextcheck // a message outlives the request that made it
	writeJSON(w, http.StatusCreated, s.resource(m))
}

// compose checks a create in Twilio's manner and makes the message.
func (s *Sandbox) compose(f url.Values) (message, *twilioError) {
	no := func(code int, text string) (message, *twilioError) {
		return message{}, &twilioError{Code: code, Message: text}
	}
	to, toWhatsApp := strings.CutPrefix(f.Get("To"), whatsAppPrefix)
	from, fromWhatsApp := strings.CutPrefix(f.Get("From"), whatsAppPrefix)
	body, sid, variables := f.Get("Body"), f.Get("ContentSid"), f.Get("ContentVariables")
	switch {
	case to == "":
		return no(21604, "A 'To' phone number is required.")
	case from == "" && f.Get("MessagingServiceSid") != "":
		return no(21705, "The Messaging Service Sid is invalid") // this account has none
	case from == "":
		return no(21603, "A 'From' phone number is required.")
	case toWhatsApp != fromWhatsApp:
		return no(21910, "Invalid From and To pair. From and To should be of the same channel")
	case !e164.MatchString(to):
		return no(21211, "Invalid 'To' Phone Number: "+to)
	case !e164.MatchString(from) && (toWhatsApp || len(from) > 11 || !senderName.MatchString(from)):
		return no(21212, "Invalid 'From' Phone Number: "+from)
	case !validCallback(f.Get("StatusCallback")):
		return no(21609, "The 'StatusCallback' URL is not a valid URL.")
	case sid == "" && variables != "":
		return no(21654, "ContentSid Required")
	case sid == "" && body == "":
		return no(21602, "Message body is required.")
	case len([]rune(body)) > 1600:
		return no(21617, "The concatenated message body exceeds the 1600 character limit")
	}
	m := message{
		ID: newSID("SM"), Vendor: "twilio", Channel: "sms", From: from, To: to, Text: body,
		Status: "queued", Told: "queued", // a first status has no callback
		Callback: f.Get("StatusCallback"),
	}
	if u, err := url.Parse(m.Callback); err == nil {
		m.IDs = prefixed(u.Query(), "")
	}
	if toWhatsApp {
		m.Channel = "whatsapp"
		m.Fate = "63016"
	} else if s.stopped(from, to) {
		return no(21610, "Attempt to send to unsubscribed recipient")
	} else if code, ok := refusalOf(from, to); ok {
		return no(code, fmt.Sprintf("%s: 'From' %s, 'To' %s", meaningOf(strconv.Itoa(code)), from, to))
	}
	if sid != "" {
		template, ok := s.o.Templates[sid]
		if !ok {
			return no(21655, "The ContentSid is Invalid")
		}
		values := map[string]string{}
		if variables != "" && json.Unmarshal([]byte(variables), &values) != nil {
			return no(21656, "The ContentVariables Parameter is invalid")
		}
		m.ID, m.ContentSID = newSID("MM"), sid
		m.Text, m.Fate = render(template, values)
		for _, payload := range s.o.Buttons[sid] {
			payload, _ = render(payload, values)
			label, _, _ := strings.Cut(payload, ":")
			m.Buttons = append(m.Buttons, button{label, payload})
		}
	}
	m.Fate = cmp.Or(unreachable(numbers.Failing, m.Channel, to), m.Fate)
	return m, nil
}

func (s *Sandbox) stopped(from, to string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blocked[from+" "+to]
}

// refusalOf is the code with which Twilio refuses an SMS between two numbers.
func refusalOf(from, to string) (int, bool) {
	n, err := strconv.Atoi(cmp.Or(numbers.From[from], numbers.To[to], unreachable(numbers.Refused, "sms", to)))
	return n, err == nil
}

// render fills a content template, and tells with which code WhatsApp will
// refuse the outcome.
func render(template string, values map[string]string) (text, fate string) {
	text = placeholder.ReplaceAllStringFunc(template, func(p string) string {
		v, ok := values[placeholder.FindStringSubmatch(p)[1]]
		switch {
		case !ok:
			fate = "63028"
		case fate == "" && (strings.ContainsAny(v, "\n\r\t") || strings.Contains(v, "     ")):
			fate = "63013"
		}
		return v
	})
	if fate == "" && len([]rune(text)) > 1024 {
		fate = "63021"
	}
	return text, fate
}

// validCallback: a host name has no underscore (Twilio error 21609).
func validCallback(address string) bool {
	if address == "" {
		return true
	}
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && !strings.Contains(u.Host, "_")
}

// listMessages is GET …/Messages.json, newest first.
func (s *Sandbox) listMessages(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.twilioList(w, r, "messages", func(m *message) bool {
		return m.Vendor == "twilio" &&
			(q.Get("To") == "" || q.Get("To") == m.Address(m.To)) &&
			(q.Get("From") == "" || q.Get("From") == m.Address(m.From))
	})
}

// twilioList answers a list in Twilio's manner, newest first.
func (s *Sandbox) twilioList(w http.ResponseWriter, r *http.Request, name string, ok func(*message) bool) {
	q := r.URL.Query()
	size, _ := strconv.Atoi(q.Get("PageSize"))
	if size <= 0 {
		size = 50
	}
	size = min(size, 1000)
	page, _ := strconv.Atoi(q.Get("Page"))
	page = min(max(page, 0), s.store.keep)
	matches := s.store.newest((page+1)*size+1, ok)
	start := min(page*size, len(matches))
	end := min(start+size, len(matches))
	answer := map[string]any{
		"page": page, "page_size": size, "start": start, "end": max(end-1, start), "uri": r.URL.RequestURI(),
		"first_page_uri": r.URL.RequestURI(), "next_page_uri": nil, "previous_page_uri": nil,
	}
	if len(matches) > end {
		q.Set("Page", strconv.Itoa(page+1))
		q.Set("PageToken", "PA"+matches[end-1].ID)
		answer["next_page_uri"] = r.URL.Path + "?" + q.Encode()
	}
	answer[name] = each(matches[start:end], s.resource)
	writeJSON(w, http.StatusOK, answer)
}

// fetchMessage is GET …/Messages/{sid}.json.
func (s *Sandbox) fetchMessage(w http.ResponseWriter, r *http.Request) {
	m, ok := s.store.get(strings.TrimSuffix(r.PathValue("sid"), ".json"))
	if !ok || m.Vendor != "twilio" {
		refuse(w, http.StatusNotFound, 20404, "The requested resource "+r.URL.Path+" was not found")
		return
	}
	writeJSON(w, http.StatusOK, s.resource(m))
}

// resource is a message or a call as Twilio's API shows it.
func (s *Sandbox) resource(m message) json.RawMessage {
	name := "twilio-message"
	if m.Call != nil {
		name = "twilio-call"
	}
	return shape(name, struct {
		message
		Account string
	}{m, s.o.AccountSID})
}

// Address is a number as the API writes it.
func (m message) Address(number string) string {
	if m.Channel == "whatsapp" {
		return whatsAppPrefix + number
	}
	return number
}
