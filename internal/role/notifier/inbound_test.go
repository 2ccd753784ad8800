package notifier_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/bus/bustest"
	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/local/await"
	"leadbus/internal/local/sandbox"
	"leadbus/internal/role/notifier"
	"leadbus/internal/role/notifier/send"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
	"leadbus/internal/vendors/twilio"
)

const (
	twoWay   = "+41781234590"
	customer = "+41781230042"
	provider = "+41791110002"
)

// post is a notifier on a real bus, with its vendors.
type post struct {
	*notifier.Notifier
	bus    *bustest.Bus
	conn   *bus.Conn
	people *bus.Bucket
	links  *link.Signer

	mu   sync.Mutex
	took []lead.Message
	seq  int
}

func (p *post) Send(_ context.Context, m lead.Message, _ string) (lead.Sent, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took = append(p.took, m)
	return lead.Sent{VendorID: "V" + m.ID, At: time.Now()}, nil
}

func (p *post) Find(context.Context, lead.Message, string, time.Time, []string) (lead.Sent, bool, error) {
	return lead.Sent{}, false, nil
}

func newPost(t *testing.T, sms send.Vendor) *post {
	t.Helper()
	b := bustest.New(t)
	p := &post{bus: b, links: link.New("the secret")}
	p.conn = b.Connect(t, "ch-notifier")
	p.people = bustest.Bucket(t, p.conn, subjects.BucketPeople)
	if sms == nil {
		sms = p
	}
	p.Notifier = p.start(t, sms)
	return p
}

// start makes one more notifier of the market.
func (p *post) start(t *testing.T, sms send.Vendor) *notifier.Notifier {
	t.Helper()
	c := p.conn
	journal, err := send.OpenJournal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = journal.Close() })
	n, err := notifier.New(notifier.Options{PublishAll: c.PublishAll, Links: p.links, PublicURL: "https://bus.example", People: p.people, Past: c, Options: send.Options{
		Journal: journal,
		Catalog: &site.Catalog{
			Markets: map[string]*site.Market{"ch": {ID: "ch"}},
			Sites: map[string]*site.Site{
				"a.ch": {
					Domain: "a.ch", Market: "ch", Brand: "A", Languages: []string{"fr"}, Owner: site.Owner{Email: "owner@mail.example", Language: "en"},
					Senders: site.Senders{SMS: site.Sender{From: twoWay, PerSecond: 1e6}, Mail: site.Sender{From: "a@mail.example", PerSecond: 1e6}},
				},
				"one-way.ch": {
					Domain: "one-way.ch", Market: "ch", Brand: "One way", Languages: []string{"de"},
					Senders: site.Senders{SMS: site.Sender{From: "OneWay", PerSecond: 1e6}},
				},
			},
		},
		Market: "ch", Stream: c, Ledger: bustest.Bucket(t, c, subjects.BucketLedger), Now: time.Now, Log: zerolog.Nop(),
		Vendors: map[string]send.Vendor{lead.SMS: sms, lead.WhatsApp: p, lead.Email: p},
		Raise:   func(context.Context, ...alarm.Occurrence) error { return nil },
	}})
	if err != nil {
		t.Fatal(err)
	}
	await.Background(t, n.Run)
	await.True(t, "ready", n.Ready)
	return n
}

// deliver publishes an event and hands it to the notifier.
func (p *post) deliver(t *testing.T, n *notifier.Notifier, l subjects.Lead, body any) event.Event {
	t.Helper()
	p.seq++
	e := event.Event{ID: fmt.Sprint(l.Event, "-", p.seq), At: time.Now().UTC(), Lead: l, Body: body}
	if err := p.bus.Operator.Publish(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	there, err := p.conn.Events(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	e = there[len(there)-1]
	if err := n.Handle(t.Context(), event.Delivery{Event: e, Attempt: 1}); err != nil {
		t.Fatalf("%s: %v", l.Event, err)
	}
	return e
}

func (p *post) texted(t *testing.T, b event.Texted) event.Event {
	t.Helper()
	return p.deliver(t, p.Notifier, subjects.Lead{Market: "ch", Site: "a.ch", Event: subjects.TextReceived, Lead: fmt.Sprint("text", p.seq)}, &b)
}

// message sends one, and says whether it failed as opted out.
func (p *post) message(t *testing.T, n *notifier.Notifier, recipient, channel, to string) (m lead.Message, optedOut bool) {
	t.Helper()
	l := subjects.Lead{Market: "ch", Site: "a.ch", Event: subjects.MessageQueued, Lead: fmt.Sprint("lead", p.seq)}
	m = lead.Message{
		ID: lead.NewID("m", fmt.Sprint(p.seq)), Lead: l.Lead, Market: "ch", Site: "a.ch", Purpose: lead.PurposeOffer,
		Recipient: recipient, Channel: channel, From: twoWay, To: to, Text: fmt.Sprint("text ", p.seq),
	}
	p.deliver(t, n, l, &event.Queued{Message: m})
	l.Event = subjects.MessageFailed
	failed, err := p.conn.Events(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range failed {
		f := e.Body.(*event.Attempted).Failure
		optedOut = f.Vendor == "leadbus" && f.Class == lead.OptedOut
	}
	return m, optedOut
}

func (p *post) got(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.took, func(m lead.Message) bool { return m.ID == id })
}

// mails are what was queued for the owner about one text.
func (p *post) mails(t *testing.T, of subjects.Lead) (all []lead.Message) {
	t.Helper()
	of.Event = subjects.MessageQueued
	events, err := p.conn.Events(t.Context(), of)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		all = append(all, e.Body.(*event.Queued).Message)
	}
	return all
}

// Whatever comes in which order, and however often: a message to an address that
// opted out of its channel is never sent, and every other one is.
func TestAMessageToWhoOptedOutIsNeverSent(t *testing.T) {
	t.Parallel()
	p := newPost(t, nil)
	other := p.start(t, p) // a replica
	type on struct{ channel, address string }
	all := []on{{lead.SMS, customer}, {lead.WhatsApp, customer}, {lead.SMS, provider}, {lead.WhatsApp, "ID.42"}}
	out := map[on]bool{}
	var past []event.Event
	r := rand.New(rand.NewPCG(1, 12))
	for i := range 400 {
		who := all[r.IntN(len(all))]
		switch r.IntN(6) {
		case 0:
			past = append(past, p.texted(t, event.Texted{Channel: who.channel, From: who.address, To: twoWay, Text: "STOP", OptOut: "STOP"}))
			out[who] = true
		case 1:
			past = append(past, p.texted(t, event.Texted{Channel: who.channel, From: who.address, To: twoWay, Text: "START", OptOut: "START"}))
			out[who] = false
		case 2:
			past = append(past, p.texted(t, event.Texted{Person: p.links.Person(who.channel, who.address), OptOut: "STOP"}))
			out[who] = true
		case 3: // an old one comes again
			if len(past) > 0 {
				if err := p.Handle(t.Context(), event.Delivery{Event: past[r.IntN(len(past))], Attempt: 2}); err != nil {
					t.Fatal(err)
				}
			}
		default:
			recipient := []string{lead.ToCustomer, lead.ToProvider, lead.ToOwner}[r.IntN(3)]
			n := p.Notifier
			if r.IntN(4) == 0 {
				n = p.restarted(t, i, other, out[who], who.channel, who.address)
			}
			m, optedOut := p.message(t, n, recipient, who.channel, who.address)
			want := out[who] && recipient != lead.ToOwner
			if optedOut != want || p.got(m.ID) == want {
				t.Fatalf("step %d: %s to %s, opted out %v: failed so %v, sent %v", i, who.channel, recipient, out[who], optedOut, p.got(m.ID))
			}
		}
	}
	keys, err := p.people.All(t.Context())
	if err != nil || len(keys) != len(all) {
		t.Errorf("%v, %d keys", err, len(keys))
	}
	for _, e := range keys {
		if strings.Contains(e.Key+string(e.Value), "4178123") || strings.Contains(string(e.Value), "ID.42") {
			t.Errorf("%s %s tells who it is", e.Key, e.Value)
		}
	}
}

// restarted is another notifier, once it has heard what this one has.
func (p *post) restarted(t *testing.T, i int, n *notifier.Notifier, out bool, channel, address string) *notifier.Notifier {
	t.Helper()
	await.True(t, fmt.Sprintf("the replica of step %d has heard", i), func() bool {
		_, got := p.message(t, n, lead.ToCustomer, channel, address)
		return got == out
	})
	return n
}

// Until it is known who opted out, messages wait.
func TestAMessageWaitsUntilItIsKnownWhoOptedOut(t *testing.T) {
	t.Parallel()
	p := newPost(t, nil)
	p.Notifier = nil
	journal, err := send.OpenJournal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = journal.Close() })
	n, err := notifier.New(notifier.Options{Links: p.links, People: p.people, Options: send.Options{
		Journal: journal, Catalog: &site.Catalog{}, Market: "ch", Stream: p.conn, Ledger: bustest.Bucket(t, p.conn, subjects.BucketLedger), Now: time.Now, Log: zerolog.Nop(),
		Vendors: map[string]send.Vendor{lead.SMS: p, lead.WhatsApp: p, lead.Email: p},
	}})
	if err != nil {
		t.Fatal(err)
	}
	m := lead.Message{ID: "m1", Lead: "l1", Market: "ch", Site: "a.ch", Purpose: lead.PurposeOffer, Recipient: lead.ToCustomer, Channel: lead.SMS, To: customer}
	e := event.Event{ID: "q", At: time.Now(), Stored: time.Now(), Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: subjects.MessageQueued, Lead: "l1"}, Body: &event.Queued{Message: m}}
	if err := n.Handle(t.Context(), event.Delivery{Event: e, Attempt: 1}); !event.Deferred(err) || n.Ready() || p.got("m1") {
		t.Errorf("%v", err)
	}
}

// Over the real vendor: it takes nothing for who opted out.
func TestOptedOutAtTheVendor(t *testing.T) {
	t.Parallel()
	s, err := sandbox.Start(sandbox.Options{Addr: "127.0.0.1:0", AccountSID: "AC1", AuthToken: "token", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	p := newPost(t, twilio.New(twilio.Options{AccountSID: "AC1", AuthToken: "token", APIBase: s.TwilioURL(), PublicURL: "https://bus.example"}))
	p.texted(t, event.Texted{Channel: lead.SMS, From: customer, To: twoWay, Text: "arrêt", OptOut: "STOP"})
	if _, out := p.message(t, p.Notifier, lead.ToCustomer, lead.SMS, customer); !out {
		t.Error("sent to who opted out")
	}
	if _, out := p.message(t, p.Notifier, lead.ToProvider, lead.SMS, provider); out {
		t.Error("not sent to who did not")
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/api/messages", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var all []struct{ To string }
	if err := json.NewDecoder(res.Body).Decode(&all); err != nil || len(all) != 1 || all[0].To != provider {
		t.Errorf("%v %v", err, all)
	}
	http.DefaultClient.CloseIdleConnections()
}

// The owner reads whatever is no answer, from whomever.
func TestTheOwnerReadsWhatPeopleText(t *testing.T) {
	t.Parallel()
	p := newPost(t, nil)
	for _, b := range []event.Texted{
		{Channel: lead.SMS, From: customer, To: twoWay, Text: "Merci, <b>après</b> 18 h\nrue Vautier"},
		{Channel: lead.WhatsApp, From: "ID.42", To: twoWay, Text: "Halo"},
		{Channel: lead.SMS, From: customer, To: twoWay, Text: "CANCEL", OptOut: "STOP", Told: true},
		{Channel: lead.SMS, From: customer, To: twoWay, Text: "OUI 482 913"},
	} {
		e := p.texted(t, b)
		if err := p.Handle(t.Context(), event.Delivery{Event: e, Attempt: 2}); err != nil {
			t.Fatal(err)
		}
		mails := p.mails(t, e.Lead)
		if len(mails) != 1 {
			t.Fatalf("%q: %d mails", b.Text, len(mails))
		}
		m := mails[0]
		for l := range strings.Lines(b.Text) {
			if !strings.Contains(m.Text, strings.TrimSpace(l)) {
				t.Errorf("%q is not in the mail", l)
			}
		}
		if m.To != "owner@mail.example" || !strings.Contains(m.Text, b.From) || strings.Contains(m.Subject, "4178") || strings.Contains(m.HTML, "<b>après") ||
			strings.Contains(m.Text, "opted out") != (b.OptOut != "") {
			t.Errorf("%+v", m)
		}
	}
}

// An answer by text counts with the reference of an open offer, from its provider's
// number, to a number.
func TestAnAnswerByText(t *testing.T) {
	t.Parallel()
	p := newPost(t, nil)
	of := subjects.Lead{Market: "ch", Site: "a.ch", Lead: lead.NewID("a.ch", "conversation")}
	ref := lead.Ref(of.Lead)
	offer := lead.OfferID(of.Lead, "p")
	to := of
	to.Event = subjects.Matched
	if err := p.bus.Operator.Publish(t.Context(), event.Event{ID: "m1", At: time.Now(), Lead: to, Body: &event.Decided{
		Offer: offer, Lead: lead.Lead{ID: of.Lead, Ref: ref}, Provider: &roster.Provider{ID: "p", Name: "P", SMS: provider},
	}}); err != nil {
		t.Fatal(err)
	}
	answers := func() (all []string) {
		events, err := p.conn.Since(t.Context(), subjects.Lead{Market: "ch", Event: subjects.ProviderReplied}, time.Now().Add(-time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			b := e.Body.(*event.Replied)
			all = append(all, e.Lead.Lead+" "+b.Offer+" "+b.Provider+" "+b.Answer)
		}
		return all
	}
	yes := event.Texted{Channel: lead.SMS, From: provider, To: twoWay, Text: "OUI " + ref}
	wrong := func(change func(*event.Texted)) event.Texted { b := yes; change(&b); return b }
	digits := strings.ReplaceAll(ref, " ", "")
	other := digits[1:] + fmt.Sprint((digits[0]-'0'+1)%10)
	for _, b := range []event.Texted{
		wrong(func(b *event.Texted) { b.From = customer }),
		wrong(func(b *event.Texted) { b.To = "OneWay" }),
		wrong(func(b *event.Texted) { b.Channel = lead.WhatsApp }),
		wrong(func(b *event.Texted) { b.Text = "OUI" }),
		wrong(func(b *event.Texted) { b.Text = "OUI " + other }),
	} {
		if e := p.texted(t, b); len(p.mails(t, e.Lead)) != 1 || len(answers()) > 0 {
			t.Errorf("%+v: %v", b, answers())
		}
	}
	e := p.texted(t, yes)
	want := []string{of.Lead + " " + offer + " p " + event.Accept}
	if got := answers(); !slices.Equal(got, want) || len(p.mails(t, e.Lead)) > 0 {
		t.Fatalf("%v", got)
	}
	if err := p.Handle(t.Context(), event.Delivery{Event: e, Attempt: 2}); err != nil || len(p.mails(t, e.Lead)) > 0 || len(answers()) != 1 {
		t.Errorf("once more: %v %v", err, answers())
	}
	// The offer is accepted: a further answer is for the owner.
	if e := p.texted(t, wrong(func(b *event.Texted) { b.Text = "NON " + ref })); len(p.mails(t, e.Lead)) != 1 || len(answers()) != 1 {
		t.Errorf("%v", answers())
	}
}

func TestAMissedCallerIsTextedOnce(t *testing.T) {
	t.Parallel()
	p := newPost(t, nil)
	missed := func(domain string, l lead.Lead) []lead.Message {
		of := subjects.Lead{Market: "ch", Site: domain, Event: subjects.ReviewRequested, Lead: fmt.Sprint("call", p.seq)}
		for range 2 {
			p.deliver(t, p.Notifier, of, &event.Decided{Lead: l, Reason: "nobody spoke with the caller"})
		}
		return p.mails(t, of)
	}
	mobile := lead.Phone{E164: customer, Type: "mobile"}
	flags := []string{lead.FlagMissed}
	if all := missed("a.ch", lead.Lead{Language: "fr", Phone: mobile, Flags: flags}); len(all) != 1 || all[0].To != customer || !strings.Contains(all[0].Text, "manqué votre appel") || strings.Contains(all[0].Text, "http") {
		t.Errorf("%+v", all)
	}
	if all := missed("one-way.ch", lead.Lead{Phone: mobile, Flags: flags}); len(all) != 1 || !strings.Contains(all[0].Text, "https://bus.example/v1/links/") {
		t.Errorf("%+v", all)
	} else {
		_, token, _ := strings.Cut(all[0].Text, link.Path)
		l, err := p.links.Read(strings.TrimSpace(token), time.Now())
		if err != nil || l.Asks != link.Optout || l.ID != p.links.Person(lead.SMS, customer) {
			t.Errorf("%v %+v", err, l)
		}
	}
	for _, l := range []lead.Lead{
		{Phone: lead.Phone{E164: "+41225394512", Type: "fixed"}, Flags: flags},
		{Flags: flags},
		{Phone: mobile, Flags: []string{lead.FlagVoicemail, lead.FlagMissed}},
		{Phone: mobile},
	} {
		if all := missed("a.ch", l); len(all) != 0 {
			t.Errorf("%+v: %+v", l, all)
		}
	}
}
