package canary

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"leadbus/internal/engine/bus/bustest"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
	"leadbus/internal/understand/intake"
)

func catalog(t *testing.T) *site.Catalog {
	t.Helper()
	c, err := site.Load("../../../../config")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func secret(string) string { return "s3cret" }

// What a canary says is understood without doubt, in every market.
func TestATestLeadIsUnderstood(t *testing.T) {
	c := catalog(t)
	for market := range c.Markets {
		var body []byte
		var path string
		edge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			path = r.URL.Path
			if r.Header.Get(intake.SecretHeader) == "s3cret" {
				body, _ = io.ReadAll(r.Body)
			}
			_, _ = io.WriteString(w, `{"ok":true}`)
		}))
		defer edge.Close()
		one, err := New(Options{Catalog: c, Market: market, URL: edge.URL + "/", Secret: secret, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if err := one.post(t.Context(), "canary_1", time.Now()); err != nil {
			t.Fatal(err)
		}
		req, flags, err := intake.Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		l := intake.New(c).Understand(one.site, "id", req, time.Now(), flags)
		if !l.Test() || len(l.Flags) != 1 || l.Phone.Confidence != "high" || l.Service.ID == "" || l.Place.ID == "" || path != "/v1/sites/"+one.site.Domain+"/dispatch_lead" {
			t.Errorf("market %s, %s: %+v", market, path, l)
		}
	}
}

func TestWhatAMarketNeeds(t *testing.T) {
	for want, change := range map[string]func(*site.Catalog, *Options){
		"canary.email": func(c *site.Catalog, _ *Options) { c.Markets["ch"].Canary.Email = "" },
		"secret":       func(_ *site.Catalog, o *Options) { o.Secret = func(string) string { return "" } },
		"no mailbox":   func(_ *site.Catalog, o *Options) { o.Market = "xx" },
	} {
		c := catalog(t)
		o := Options{Catalog: c, Market: "ch", Secret: secret, Now: time.Now}
		change(c, &o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %q: %v", want, err)
		}
	}
}

func TestARefusedTestLeadSaysWhy(t *testing.T) {
	for want, answer := range map[string]http.HandlerFunc{
		"503 Service Unavailable: not stored": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_ = json.NewEncoder(w).Encode(intake.Reply{Ask: "not stored"})
		},
		"502 Bad Gateway":              func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"does the address lead to it?": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<h1>parked</h1>") },
		"does not answer":              func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		edge := httptest.NewServer(answer)
		one, err := New(Options{Catalog: catalog(t), Market: "ch", URL: edge.URL, Secret: secret, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		r := one.Beat(t.Context())
		if r.OK() || r.Stage != Refused || r.Lead == "" || !strings.Contains(r.Err.Error(), want) {
			t.Errorf("want %q: %+v", want, r)
		}
		edge.Close()
	}
}

func TestWhereATestLeadSticks(t *testing.T) {
	of := func(kind string, body any) event.Event {
		return event.Event{Lead: subjects.Lead{Event: kind}, Body: body}
	}
	receipt := func(state lead.MessageState) event.Event {
		r := lead.Receipt{Status: "bounced", State: state}
		if state == lead.MessageFailed {
			r.Failure = &lead.Failure{Vendor: "mailgun", Code: "550", Class: lead.BadRecipient, Reason: "no such mailbox"}
		}
		return of(subjects.ReceiptReceived, &event.Reported{Receipt: r})
	}
	received := of(subjects.Received, &event.Received{})
	matched := of(subjects.Matched, &event.Decided{Offer: "o1"})
	queued := of(subjects.MessageQueued, &event.Queued{})
	sent := of(subjects.MessageSent, &event.Attempted{})
	refused := of(subjects.MessageFailed, &event.Attempted{Failure: &lead.Failure{Vendor: "mailgun", Code: "401", Reason: "wrong key"}})
	doubtful := of(subjects.MessageDoubtful, &event.Attempted{Failure: &lead.Failure{Vendor: "mailgun", Reason: "no answer"}})
	for name, c := range map[string]struct {
		events []event.Event
		stage  string
		done   bool
		why    string
	}{
		"nothing":                      {stage: NotStored},
		"received":                     {events: []event.Event{received}, stage: NotMatched},
		"unserved":                     {events: []event.Event{received, of(subjects.Unserved, &event.Decided{Reason: "the roster is empty"})}, stage: NotMatched, done: true, why: "unserved: the roster is empty"},
		"review":                       {events: []event.Event{received, of(subjects.ReviewRequested, &event.Decided{Reason: "no place given"})}, stage: NotMatched, done: true, why: "no place given"},
		"matched":                      {events: []event.Event{received, matched}, stage: NotSent},
		"queued":                       {events: []event.Event{received, matched, queued}, stage: NotSent},
		"doubtful":                     {events: []event.Event{received, matched, queued, doubtful}, stage: NotSent, why: "no answer"},
		"refused":                      {events: []event.Event{received, matched, queued, refused}, stage: NotSent, done: true, why: "wrong key"},
		"sent":                         {events: []event.Event{received, matched, queued, sent}, stage: NoReceipt},
		"a receipt that says little":   {events: []event.Event{received, matched, queued, sent, receipt("")}, stage: NoReceipt},
		"bounced":                      {events: []event.Event{received, matched, queued, sent, receipt(lead.MessageFailed)}, stage: NoReceipt, done: true, why: "no such mailbox"},
		"delivered":                    {events: []event.Event{received, matched, queued, sent, receipt(lead.MessageDelivered)}, done: true},
		"delivered, told too early":    {events: []event.Event{received, matched, queued, receipt(lead.MessageDelivered), sent}, done: true},
		"delivered after a doubt":      {events: []event.Event{received, matched, queued, doubtful, receipt(lead.MessageDelivered)}, done: true},
		"delivered after a bounce":     {events: []event.Event{received, receipt(lead.MessageFailed), receipt(lead.MessageDelivered)}, done: true},
		"given to another by hand":     {events: []event.Event{received, matched, of(subjects.Reassigned, &event.Decided{Offer: "o2"}), queued}, stage: NotSent},
		"a notifier before the stream": {events: []event.Event{matched, received}, stage: NotSent},
	} {
		for i := range c.events {
			c.events[i].ID, c.events[i].Seq, c.events[i].At = fmt.Sprint(i), uint64(i+1), time.Unix(int64(i+1), 0)
		}
		at, done, why := stage(c.events)
		if at != c.stage || done != c.done || (c.why == "") != (why == nil) || why != nil && !strings.Contains(why.Error(), c.why) {
			t.Errorf("%s: at %q, done %v, %v", name, at, done, why)
		}
	}
}

// The edge keeps leads while the bus is away; a test lead says that it is.
func TestATestLeadThatIsNotOnTheStream(t *testing.T) {
	edge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"ok":true}`) }))
	defer edge.Close()
	b := bustest.New(t)
	one, err := New(Options{Catalog: catalog(t), Market: "ch", URL: edge.URL, Secret: secret, Stream: b.Connect(t, "ch-"+subjects.Scanner), Now: time.Now, Lost: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if r := one.Beat(t.Context()); r.Stage != NotStored || r.Err == nil || !strings.Contains(r.Err.Error(), "lost") || r.Late || r.OK() {
		t.Errorf("nothing came: %+v", r)
	}
	b.Close()
	if r := one.Beat(t.Context()); r.Stage != NotStored || r.Err == nil || !strings.Contains(r.Err.Error(), "events") {
		t.Errorf("no broker: %+v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := one.Beat(ctx); !errors.Is(r.Err, context.Canceled) {
		t.Errorf("stopped: %+v", r)
	}
}
