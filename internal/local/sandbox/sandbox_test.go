package sandbox

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadbus/internal/local/await"
)

const (
	account = "AC11112222333344445555666677778888"
	token   = "8899aabbccddeeff0011223344556677"
	mailKey = "key-of-tests"
	patient = time.Minute
)

func begin(t *testing.T, o Options) *Sandbox {
	t.Helper()
	o.Addr, o.AccountSID, o.AuthToken, o.MailgunKey, o.MailgunSigningKey, o.Log = "127.0.0.1:0", account, token, mailKey, "sign", zerolog.Nop()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask makes a request and decodes the JSON answer into v.
func ask(t *testing.T, method, address, user, pass string, form url.Values, v any) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		r.SetBasicAuth(user, pass)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err == nil && v != nil {
		err = json.Unmarshal(body, v)
	}
	if err != nil {
		t.Fatalf("%s %s: %v: %s", method, address, err, body)
	}
	return res.StatusCode
}

type resource struct {
	SID         string  `json:"sid"`
	Status      any     `json:"status"` // a number in an error
	Body        string  `json:"body"`
	To          string  `json:"to"`
	DateCreated string  `json:"date_created"`
	DateSent    *string `json:"date_sent"`
	Code        int     `json:"code"`
	ErrorCode   *int    `json:"error_code"`
}

func sms(to, callback string) url.Values {
	return url.Values{"To": {to}, "From": {"+41225390000"}, "Body": {"hello " + to}, "StatusCallback": {callback}}
}

func (s *Sandbox) messagesURL() string {
	return s.TwilioURL() + "/2010-04-01/Accounts/" + account + "/Messages.json"
}

func create(t *testing.T, s *Sandbox, form url.Values) resource {
	t.Helper()
	var m resource
	if status := ask(t, "POST", s.messagesURL(), account, token, form, &m); status != http.StatusCreated {
		t.Fatalf("status %d, code %d", status, m.Code)
	}
	return m
}

// reaches waits until a message has a status.
func reaches(t *testing.T, s *Sandbox, id, status string) message {
	t.Helper()
	deadline := time.After(patient)
	for rev := uint64(0); ; {
		_, now, _, next := s.store.since(rev, 0)
		rev = now
		m, ok := s.store.get(id)
		if ok && m.Status == status && m.Told == status {
			return m
		}
		select {
		case <-next:
		case <-deadline:
			t.Fatalf("the message is %q (told %q), not %q", m.Status, m.Told, status)
		}
	}
}

func TestCredentialsAreChecked(t *testing.T) {
	s := begin(t, Options{})
	defer s.Close()
	for name, c := range map[string]struct{ method, address, user, pass string }{
		"twilio without":            {"POST", s.messagesURL(), "", ""},
		"twilio wrong token":        {"POST", s.messagesURL(), account, "x"},
		"twilio wrong user":         {"GET", s.messagesURL(), "ACx", token},
		"twilio another account":    {"GET", s.TwilioURL() + "/2010-04-01/Accounts/ACother/Messages.json", account, token},
		"twilio fetch without":      {"GET", strings.Replace(s.messagesURL(), ".json", "/SM1.json", 1), "", ""},
		"mailgun with Twilio's":     {"POST", s.MailgunURL() + "/mg.example.net/messages", account, token},
		"mailgun wrong key":         {"GET", s.MailgunURL() + "/mg.example.net/events", "api", "x"},
		"mailgun without, on pages": {"GET", s.MailgunURL() + "/mg.example.net/events/abc", "", ""},
	} {
		var code resource
		var into any = &code
		if strings.HasPrefix(name, "mailgun") {
			into = nil // plain text, as Mailgun does
		}
		if status := ask(t, c.method, c.address, c.user, c.pass, nil, into); status != http.StatusUnauthorized {
			t.Errorf("%s: status %d", name, status)
		}
		if into != nil && code.Code != 20003 {
			t.Errorf("%s: code %d", name, code.Code)
		}
	}
	none, err := Start(Options{Addr: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer none.Close()
	if status := ask(t, "GET", none.MailgunURL()+"/a.b/events", "api", "", nil, nil); status != http.StatusUnauthorized {
		t.Errorf("an unset key is a key: %d", status)
	}
}

func TestListAndFetch(t *testing.T) {
	s := begin(t, Options{})
	defer s.Close()
	var sids []string
	for i := range 5 {
		sids = append(sids, create(t, s, sms(fmt.Sprintf("+4179000010%d", i/4), "")).SID)
	}
	var got []string
	next := s.messagesURL() + "?PageSize=3&To=%2B41790000100"
	for pages := 0; next != ""; pages++ {
		var page struct {
			Messages []resource `json:"messages"`
			Next     *string    `json:"next_page_uri"`
		}
		ask(t, "GET", next, account, token, nil, &page)
		for _, m := range page.Messages {
			got = append(got, m.SID)
		}
		next = ""
		if page.Next != nil {
			next = s.TwilioURL() + *page.Next
		}
	}
	if d := cmp.Diff([]string{sids[3], sids[2], sids[1], sids[0]}, got); d != "" {
		t.Errorf("newest first, over two pages: %s", d)
	}
	reaches(t, s, sids[0], "delivered")
	var m resource
	ask(t, "GET", strings.Replace(s.messagesURL(), ".json", "/"+sids[0]+".json", 1), account, token, nil, &m)
	if m.SID != sids[0] || m.Status != "delivered" || m.DateSent == nil || m.ErrorCode != nil {
		t.Errorf("%+v", m)
	}
	if _, err := time.Parse(time.RFC1123Z, m.DateCreated); err != nil {
		t.Error(err)
	}
	if status := ask(t, "GET", strings.Replace(s.messagesURL(), ".json", "/SM0.json", 1), account, token, nil, &m); status != 404 || m.Code != 20404 {
		t.Errorf("unknown message: %d, code %d", status, m.Code)
	}
}

func TestCreatesThatTheAdapterNeverMakes(t *testing.T) {
	s := begin(t, Options{Templates: map[string]string{"HX1": "{{1}}"}})
	defer s.Close()
	with := func(pairs ...string) url.Values {
		f := sms("+41790000007", "")
		for i := 0; i+1 < len(pairs); i += 2 {
			f.Set(pairs[i], pairs[i+1])
		}
		return f
	}
	for want, form := range map[int]url.Values{
		21910: with("To", "whatsapp:+41790000007"),
		21609: with("StatusCallback", "https://my_host/x"),
		21654: with("ContentVariables", "{}"),
		21656: with("ContentSid", "HX1", "ContentVariables", "[1]"),
		21705: with("From", "", "MessagingServiceSid", "MG1"),
	} {
		var e struct {
			Code, Status int
			MoreInfo     string `json:"more_info"`
		}
		status := ask(t, "POST", s.messagesURL(), account, token, form, &e)
		if status != 400 || e.Code != want || e.Status != 400 || !strings.HasSuffix(e.MoreInfo, fmt.Sprint(want)) {
			t.Errorf("%d: status %d, %+v", want, status, e)
		}
	}
}

// A recipient who blocked us: WhatsApp says nothing.
func TestBlockedStaysSent(t *testing.T) {
	s := begin(t, Options{Templates: map[string]string{"HX1": "{{1}}"}})
	defer s.Close()
	m := create(t, s, url.Values{
		"To": {"whatsapp:+41790063033"}, "From": {"whatsapp:+41225390000"}, "ContentSid": {"HX1"}, "ContentVariables": {`{"1":"a"}`},
	})
	if kept := reaches(t, s, m.SID, "sent"); kept.next() != "" {
		t.Errorf("after sent comes %q", kept.next())
	}
}

func TestAPIForTests(t *testing.T) {
	s := begin(t, Options{})
	defer s.Close()
	var none []any
	if ask(t, "GET", s.URL()+"/api/messages", "", "", nil, &none); none == nil || len(none) != 0 {
		t.Errorf("at first: %v", none)
	}
	first := create(t, s, sms("+41790000001", "https://bus.example.com/x?lead=l1&attempt=a1"))
	second := create(t, s, sms("+41790030003", ""))
	reaches(t, s, first.SID, "delivered")
	reaches(t, s, second.SID, "undelivered")
	var all []message
	ask(t, "GET", s.URL()+"/api/messages", "", "", nil, &all)
	if len(all) != 2 || all[0].ID != first.SID || all[1].ID != second.SID {
		t.Fatalf("%+v", all)
	}
	m := all[0]
	if m.Vendor != "twilio" || m.Channel != "sms" || m.From != "+41225390000" || m.To != "+41790000001" || m.Text != "hello +41790000001" ||
		m.Status != "delivered" || m.ErrorCode != "" || m.IDs["lead"] != "l1" || m.IDs["attempt"] != "a1" ||
		m.CreatedAt.IsZero() || m.SentAt.Before(m.CreatedAt) || m.DeliveredAt.Before(m.SentAt) {
		t.Errorf("%+v", m)
	}
	if m := all[1]; m.Status != "undelivered" || m.ErrorCode != "30003" || m.Error == "" || m.FailedAt.IsZero() {
		t.Errorf("%+v", m)
	}
	var requests map[string]map[string]int
	ask(t, "GET", s.URL()+"/api/requests", "", "", nil, &requests)
	want := map[string]map[string]int{"twilio": {"POST /2010-04-01/Accounts/{account}/Messages.json": 2}, "mailgun": {}, "elevenlabs": {}, "tracker": {}}
	if d := cmp.Diff(want, requests); d != "" {
		t.Error(d)
	}
}

// The vendors' memory outlives a restart, and so do the messages under way:
// the callback that was cut off is made again.
func TestARestartGoesOn(t *testing.T) {
	dir := t.TempDir()
	arrived, release := make(chan string, 10), make(chan struct{})
	open := sync.OnceFunc(func() { close(release) })
	edge := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		arrived <- r.PostForm.Get("MessageStatus")
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer edge.Close()
	defer open() // else a failed test waits for its own edge
	expect := func(status string) {
		t.Helper()
		if got := await.Value(t, "callback "+status, arrived); got != status {
			t.Fatalf("callback %q, want %q", got, status)
		}
	}
	s := begin(t, Options{Dir: dir})
	done := create(t, s, sms("+41790030003", ""))
	reaches(t, s, done.SID, "undelivered")
	m := create(t, s, sms("+41790000007", edge.URL+"/?lead=l1"))
	expect("sent")
	s.Close()

	file := filepath.Join(dir, "messages.jsonl")
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"id":"` + m.SID + `","status":"deliv`); err != nil { // killed while writing
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	open()
	again := begin(t, Options{Dir: dir})
	defer again.Close()
	expect("sent")
	expect("delivered")
	got := reaches(t, again, m.SID, "delivered")
	if got.Text != "hello +41790000007" || got.IDs["lead"] != "l1" || got.SentAt.IsZero() {
		t.Errorf("%+v", got)
	}
	if kept, ok := again.store.get(done.SID); !ok || kept.Status != "undelivered" || kept.ErrorCode != "30003" {
		t.Errorf("%+v", kept)
	}
}

func TestAnAddressInUse(t *testing.T) {
	s := begin(t, Options{})
	defer s.Close()
	_, err := Start(Options{Addr: strings.TrimPrefix(s.URL(), "http://"), Log: zerolog.Nop()})
	if err == nil || !strings.Contains(err.Error(), "choose another LEADBUS_SANDBOX_ADDR") {
		t.Error(err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	s, err := openStore("", 0)
	if err != nil {
		t.Fatal(err)
	}
	const keep, n = keepMost, keepMost + keepMost/2
	for i := range n {
		s.add(message{ID: fmt.Sprint(i), Vendor: "mailgun", HTML: "<p>", Status: "delivered"})
	}
	if len(s.messages) > keep+keep/10 || len(s.byID) != len(s.messages) {
		t.Errorf("%d messages, %d ids", len(s.messages), len(s.byID))
	}
	if _, _, total, _ := s.since(0, 1); total != n {
		t.Errorf("counted %d", total)
	}
	html := 0
	for _, m := range s.messages {
		if m.HTML != "" {
			html++
		}
	}
	if last, ok := s.get(fmt.Sprint(n - 1)); html != keepHTML || !ok || last.HTML == "" {
		t.Errorf("%d with HTML", html)
	}
	if _, ok := s.get("0"); ok {
		t.Error("the oldest is still known")
	}
	s.update("0", func(*message) { t.Error("a forgotten message was changed") })
}

// The page runs and loads nothing that came with a message.
func TestThePageIsSafe(t *testing.T) {
	s := begin(t, Options{})
	defer s.Close()
	get := func(path string) (string, http.Header, int) {
		res, err := http.Get(s.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		return string(body), res.Header, res.StatusCode
	}
	body, header, _ := get("/")
	for _, want := range []string{"sandbox: nothing leaves this machine", "…30003", "…63024", "soft-bounce@"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if csp := header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
	for _, asset := range []string{"/page/page.js", "/page/page.css"} {
		if text, _, status := get(asset); status != 200 || strings.Contains(text, "innerHTML") || strings.Contains(text, "http") {
			t.Errorf("%s: status %d", asset, status)
		}
	}
	s.take(message{ID: "m@x.y", Vendor: "mailgun", HTML: "<script>alert(1)</script>", Status: "delivered", Told: "delivered"})
	body, header, _ = get("/mail/m@x.y")
	if csp := header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "sandbox; default-src 'none'") || !strings.Contains(body, "<script>") {
		t.Errorf("policy %q for %q", csp, body)
	}
	if _, _, status := get("/mail/other"); status != http.StatusNotFound {
		t.Errorf("unknown mail: %d", status)
	}
}

func TestThePageIsLive(t *testing.T) {
	s := begin(t, Options{})
	live := http.Client{Timeout: patient}
	res, err := live.Get(s.URL() + "/api/live")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewScanner(res.Body)
	event := func() (name string, total int, statuses map[string]string) {
		t.Helper()
		var data struct {
			Total    int
			Messages []struct{ ID, Status, Thread string }
		}
		for lines.Scan() && lines.Text() != "" {
			if v, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				name = v
			}
			if v, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(v), &data); err != nil {
					t.Fatal(err)
				}
			}
		}
		statuses = map[string]string{}
		for _, m := range data.Messages {
			statuses[m.ID] = m.Status
		}
		return name, data.Total, statuses
	}
	if name, total, _ := event(); name != "start" || total != 0 {
		t.Fatalf("%s, %d messages", name, total)
	}
	m := create(t, s, sms("+41790000007", ""))
	for status := ""; status != "delivered"; {
		name, total, statuses := event()
		if name != "change" || total != 1 {
			t.Fatalf("%s, %d messages", name, total)
		}
		status = statuses[m.SID]
	}
	s.Close() // ends the stream
	for lines.Scan() {
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream did not end: %v", err)
	}
}
