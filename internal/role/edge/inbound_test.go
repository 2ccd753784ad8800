package edge_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/bus/bustest"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/local/sandbox"
	"leadbus/internal/role/edge"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
	"leadbus/internal/vendors/twilio"
)

// phones are an edge on a real bus, and Twilio's sandbox before it.
type phones struct {
	desk
	sandbox *sandbox.Sandbox
}

const (
	account  = "AC0123456789abcdef0123456789abcdef"
	did      = "+41225394512"
	twoWay   = "+41781234590"
	customer = "+41781230042"
)

func newPhones(t *testing.T) *phones {
	t.Helper()
	p := &phones{desk: desk{bus: bustest.New(t), links: link.New("the secret")}}
	spool, err := bus.OpenSpool(t.Context(), p.bus.Connect(t, subjects.Edge), bus.SpoolOptions{
		Dir: t.TempDir(), Markets: []string{"ch"}, Log: zerolog.Nop(), Registry: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(spool.Close)
	p.Server = httptest.NewUnstartedServer(nil)
	public := "http://" + p.Listener.Addr().String()
	senders := site.Senders{SMS: site.Sender{From: twoWay}, WhatsApp: site.WhatsAppSender{From: twoWay}}
	owner := site.Owner{Email: "owner@mail.example", Phone: "+41791234500", Language: "en"}
	p.Config.Handler = edge.New(edge.Options{
		Catalog: &site.Catalog{
			Markets: map[string]*site.Market{"ch": {ID: "ch", Country: "CH", Places: []site.Place{{ID: "carouge", Name: "Carouge"}}}},
			Sites: map[string]*site.Site{
				"b.ch": {Domain: "b.ch", Market: "ch", Brand: "Plombiers <&> Cie", DID: did, Languages: []string{"fr", "de"}, Senders: senders, Owner: owner, Places: []string{"carouge"}, Services: []site.SiteService{{ID: "plumbing.leak"}}},
				"z.ch": {Domain: "z.ch", Market: "ch", Brand: "Zweite", DID: "+41225394513", Languages: []string{"de"}, Senders: senders, Owner: owner},
			},
			Services: map[string]*site.Service{"plumbing.leak": {ID: "plumbing.leak", Names: map[string]string{"en": "Water leak"}}},
		},
		Publisher: spool, Links: p.links, Secret: func(string) string { return "" },
		Twilio: twilio.New(twilio.Options{AccountSID: account, AuthToken: "token", PublicURL: public}),
		Now:    func() time.Time { return now }, Log: zerolog.Nop(), Registry: prometheus.NewRegistry(),
	})
	p.Start()
	t.Cleanup(p.Close)
	if p.sandbox, err = sandbox.Start(sandbox.Options{Addr: "127.0.0.1:0", EdgeURL: public, AccountSID: account, AuthToken: "token", Log: zerolog.Nop()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.sandbox.Close)
	return p
}

// at does something on the sandbox.
func (p *phones) at(t *testing.T, path string, body map[string]any) (answer struct {
	SID        string
	Status     int
	Answers    []string
	Heard      []string
	PutThrough string `json:"put_through"`
},
) {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.sandbox.URL()+path, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := p.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != http.StatusCreated {
		t.Fatal(res.Status, err)
	}
	return answer
}

// events are those of a kind, the oldest first.
func (p *phones) events(t *testing.T, kind string) (all []event.Event) {
	t.Helper()
	if err := p.bus.Operator.History(t.Context(), subjects.Lead{Market: "ch", Event: kind}, time.Time{}, func(e event.Event) error {
		all = append(all, e)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestATextIsKept(t *testing.T) {
	t.Parallel()
	p := newPhones(t)
	got := p.at(t, "/api/texts", map[string]any{"from": customer, "to": twoWay, "text": "Merci, après 18 h"})
	if got.Status != http.StatusOK || len(got.Answers) > 0 {
		t.Fatal(got)
	}
	p.at(t, "/api/texts", map[string]any{"channel": "whatsapp", "from": "ID.1000000000000042", "to": twoWay, "text": "Halo", "button": "accept:forged"})
	events := p.events(t, subjects.TextReceived)
	if len(events) != 2 || events[0].Lead.Site != "b.ch" || events[0].Lead.Lead != lead.NewID("b.ch", "text\x00"+got.SID) {
		t.Fatalf("%+v", events)
	}
	if d := cmp.Diff(&event.Texted{Channel: lead.SMS, From: customer, To: twoWay, Text: "Merci, après 18 h"}, events[0].Body); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(&event.Texted{Channel: lead.WhatsApp, From: "ID.1000000000000042", To: twoWay, Text: "Halo"}, events[1].Body); d != "" {
		t.Error(d)
	}
	for _, e := range events {
		if strings.Contains(e.ID+e.Lead.String(), "4178") {
			t.Errorf("%s tells who wrote", e.ID)
		}
	}
}

// The same text once more is the same event, and a forged one is none.
func TestATextIsTakenOnceAndOnlyFromTwilio(t *testing.T) {
	t.Parallel()
	p := newPhones(t)
	form := url.Values{"MessageSid": {"SM1"}, "AccountSid": {account}, "From": {customer}, "To": {twoWay}, "Body": {"a & b"}}
	post := func(path, signature string, form url.Values) (status int, kind, body string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("X-Twilio-Signature", signature)
		res, err := p.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		var b bytes.Buffer
		_, _ = b.ReadFrom(res.Body)
		return res.StatusCode, res.Header.Get("Content-Type"), b.String()
	}
	for range 3 {
		status, kind, body := post("/v1/twilio/inbound", signed(p.URL+"/v1/twilio/inbound", form), form)
		if status != http.StatusOK || !strings.HasPrefix(kind, "text/xml") || !strings.Contains(body, "<Response></Response>") {
			t.Fatal(status, body)
		}
	}
	for _, path := range []string{"inbound", "voice-fallback", "voice-fallback/recording", "call-status"} {
		form := url.Values{"MessageSid": {"SM2"}, "CallSid": {"CA2"}, "AccountSid": {account}, "From": {customer}, "To": {twoWay}, "CallStatus": {"busy"}}
		for _, signature := range []string{"", signed(p.URL+"/v1/twilio/other", form)} {
			if status, _, _ := post("/v1/twilio/"+path, signature, form); status != http.StatusForbidden {
				t.Errorf("%s: %d", path, status)
			}
		}
		form.Set("To", "+41220000000")
		if status, _, _ := post("/v1/twilio/"+path, signed(p.URL+"/v1/twilio/"+path, form), form); status != http.StatusNotAcceptable {
			t.Errorf("%s of a number that no site has: %d", path, status)
		}
	}
	if all := slices.Concat(p.events(t, subjects.TextReceived), p.events(t, subjects.Received)); len(all) != 1 {
		t.Errorf("%d events", len(all))
	}
}

func TestAButtonIsTheProvidersAnswer(t *testing.T) {
	t.Parallel()
	p := newPhones(t)
	offer := func(change func(*link.Link)) string {
		return p.token(func(l *link.Link) {
			l.Site, l.Asks, l.Offer = "b.ch", link.Offer, "offer1"
			if change != nil {
				change(l)
			}
		})
	}
	for _, payload := range []string{"accept:" + offer(nil), "decline:" + offer(func(l *link.Link) { l.Offer = "offer2" })} {
		p.at(t, "/api/texts", map[string]any{"channel": "whatsapp", "from": "ID.42", "to": twoWay, "text": "Accept", "button": payload})
	}
	var got []any
	for _, e := range p.events(t, subjects.ProviderReplied) {
		if e.Lead.Lead != leadID {
			t.Error(e.Lead)
		}
		got = append(got, e.Body)
	}
	if d := cmp.Diff([]any{&event.Replied{Offer: "offer1", Answer: event.Accept}, &event.Replied{Offer: "offer2", Answer: event.Decline}}, got); d != "" {
		t.Error(d)
	}
	// Nothing else is an answer; it is a text.
	odd := []string{
		"accept:", "leave:" + offer(nil), "accept:" + p.token(nil), "accept:" + offer(func(l *link.Link) { l.Until = now.Add(-time.Hour) }),
		"accept:" + offer(func(l *link.Link) { l.Site = "other.ch" }), "accept:" + offer(func(l *link.Link) { l.Offer = "" }), "accept:x" + offer(nil),
	}
	for _, payload := range odd {
		p.at(t, "/api/texts", map[string]any{"channel": "whatsapp", "from": "+6281200000042", "to": twoWay, "text": "Accept", "button": payload})
	}
	if n, m := len(p.events(t, subjects.ProviderReplied)), len(p.events(t, subjects.TextReceived)); n != 2 || m != len(odd) {
		t.Errorf("%d answers and %d texts", n, m)
	}
}

func TestAnOptOutIsConfirmedOnce(t *testing.T) {
	t.Parallel()
	p := newPhones(t)
	write := func(fields map[string]any) []string {
		body := map[string]any{"from": customer, "to": twoWay}
		for k, v := range fields {
			body[k] = v
		}
		return p.at(t, "/api/texts", body).Answers
	}
	for _, c := range []struct {
		fields map[string]any
		answer string // begins so
		optOut string
		told   bool
	}{
		{map[string]any{"text": "STOP"}, "", "STOP", true}, // Twilio answers by itself
		{map[string]any{"text": "START"}, "", "START", true},
		{map[string]any{"text": "ARRET"}, "Plombiers <&> Cie : c'est noté", "STOP", false},
		{map[string]any{"text": "arrêt"}, "", "STOP", false},
		{map[string]any{"text": "Abmelden", "channel": "whatsapp"}, "Plombiers <&> Cie: Sie erhalten", "STOP", false},
		{map[string]any{"text": "Stop", "channel": "whatsapp", "from": "ID.42"}, "Plombiers <&> Cie : c'est noté", "STOP", false},
		{map[string]any{"text": "Basta", "channel": "whatsapp", "from": "ID.43", "opt_out": "STOP"}, "", "STOP", true},
		{map[string]any{"text": "cancel", "channel": "whatsapp"}, "", "", false},
	} {
		answers := write(c.fields)
		if (c.answer == "") != (len(answers) == 0) || len(answers) > 0 && !strings.HasPrefix(answers[0], c.answer) {
			t.Errorf("%v: answered %q", c.fields, answers)
		}
		all := p.events(t, subjects.TextReceived)
		if b := all[len(all)-1].Body.(*event.Texted); b.OptOut != c.optOut || b.Told != c.told {
			t.Errorf("%v: %+v", c.fields, b)
		}
	}
}

func TestTheLinkOfAnOptOut(t *testing.T) {
	t.Parallel()
	p := newPhones(t)
	person := p.links.Person(lead.SMS, customer)
	token := p.token(func(l *link.Link) {
		l.Site, l.Asks, l.ID, l.Until = "b.ch", link.Optout, person, now.Add(link.OptoutLife)
	})
	if len(token) > 90 || strings.Contains(person, "4178") {
		t.Errorf("%d characters: %s", len(token), token)
	}
	if res, body := p.do(t, http.MethodGet, token, nil); res.StatusCode != http.StatusOK || !strings.Contains(body, "Arrêter les messages") {
		t.Error(res.Status, body)
	}
	if n := len(p.events(t, subjects.TextReceived)); n != 0 {
		t.Fatal("a look at the page opts out")
	}
	if res, body := p.do(t, http.MethodPost, token, url.Values{"answer": {"other"}}); res.StatusCode == http.StatusOK {
		t.Error(body)
	}
	for range 2 {
		if res, body := p.do(t, http.MethodPost, token, url.Values{"answer": {"stop"}}); res.StatusCode != http.StatusOK || !strings.Contains(body, "C&#39;est fait") {
			t.Error(res.Status, body)
		}
	}
	all := p.events(t, subjects.TextReceived)
	if len(all) != 1 {
		t.Fatalf("%d events", len(all))
	}
	if d := cmp.Diff(&event.Texted{Person: person, OptOut: "STOP", Told: true}, all[0].Body); d != "" {
		t.Error(d)
	}
}

func TestACallThatNoAgentTakesIsALead(t *testing.T) {
	t.Parallel()
	p := newPhones(t)
	got := p.at(t, "/api/rings", map[string]any{"from": customer, "to": did, "down": true, "says": "a leak"})
	if got.Status != http.StatusOK || len(got.Heard) != 2 || !strings.Contains(got.Heard[0], "Plombiers <&> Cie") || !strings.Contains(got.Heard[1], "aufgezeichnet") || got.PutThrough != "+41791234500" {
		t.Errorf("%+v", got)
	}
	silent := p.at(t, "/api/rings", map[string]any{"from": "anonymous", "to": did, "down": true})
	if silent.PutThrough != "+41791234500" {
		t.Errorf("%+v", silent)
	}
	missed := p.at(t, "/api/rings", map[string]any{"from": customer, "to": did, "status": "busy"})
	p.at(t, "/api/rings", map[string]any{"from": customer, "to": did, "status": "busy", "sid": missed.SID}) // told twice
	leads := map[string][]string{}
	recordings := 0
	for _, e := range p.events(t, subjects.Received) {
		b := e.Body.(*event.Received)
		flag := lead.FlagVoicemail
		if slices.Contains(b.Lead.Flags, lead.FlagMissed) {
			flag = lead.FlagMissed
		}
		leads[e.Lead.Lead] = append(leads[e.Lead.Lead], flag+" "+b.Lead.Phone.E164)
		if strings.HasPrefix(b.Lead.Request.IssueSummary, "Voicemail: https://api.twilio.com/") {
			recordings++
		}
	}
	id := func(sid string) string { return lead.NewID("b.ch", "call\x00"+sid) }
	want := map[string][]string{
		id(got.SID):    {"voicemail " + customer, "voicemail "}, // the recording comes twice, as one event
		id(silent.SID): {"voicemail "},
		id(missed.SID): {"missed_call " + customer},
	}
	if d := cmp.Diff(want, leads); d != "" || recordings != 1 {
		t.Errorf("%d recordings; %s", recordings, d)
	}
}

// signed is Twilio's rule for a form whose keys come once.
func signed(address string, form url.Values) string {
	for _, k := range slices.Sorted(maps.Keys(form)) {
		address += k + form.Get(k)
	}
	h := hmac.New(sha1.New, []byte("token"))
	h.Write([]byte(address))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}
