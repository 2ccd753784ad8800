package compose

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

func TestOutcomes(t *testing.T) {
	say := func(kind string, body any) event.Event {
		return event.Event{At: start, Body: body, Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: kind, Lead: "l1"}}
	}
	decide := func(kind string) event.Event {
		return say(kind, &event.Decided{
			Offer: lead.OfferID("l1", "p"), Provider: &roster.Provider{ID: "p"},
			Lead: lead.Lead{
				ID: "l1", Ref: "482 913", Service: lead.Service{ID: "plumbing.leak"}, Place: lead.Place{ID: "carouge"}, Phone: lead.Phone{E164: "+41781230042"},
				Request: lead.Request{Clicks: map[string]string{"gclid": "G"}},
			},
		})
	}
	decideNone := func(kind string) event.Event {
		return say(kind, &event.Decided{Lead: lead.Lead{ID: "l1", Ref: "482 913"}})
	}
	reply := func(answer, value string) event.Event {
		return say(subjects.ProviderReplied, &event.Replied{Offer: lead.OfferID("l1", "p"), Provider: "p", Answer: answer, Value: value})
	}
	order := func(what string) event.Event {
		return say(subjects.OwnerDecided, &event.Ordered{Order: what, Value: "450.-", Of: "l0"})
	}
	matched, sent := decide(subjects.Matched), say(subjects.MessageSent, &event.Attempted{
		Message: "m1", Sent: &lead.Sent{At: start}, Label: lead.Label{Recipient: lead.ToProvider, Channel: lead.SMS, Offer: lead.OfferID("l1", "p")},
	})
	review := decideNone(subjects.ReviewRequested)
	for name, tt := range map[string]struct {
		events []event.Event
		want   string // outcomes with their values
	}{
		"matched":                  {[]event.Event{matched}, "created:9"},
		"assigned out of a review": {[]event.Event{review, order(event.Assign), decide(subjects.Reassigned)}, "created:9"},
		"nobody":                   {[]event.Event{decideNone(subjects.Unserved)}, ""},
		"accepted, and done":       {[]event.Event{matched, sent, reply(event.Accept, ""), reply(event.Reached, ""), reply(event.Done, "CHF 1'200")}, "created:9 accepted: won:1200"},
		"done without a word":      {[]event.Event{matched, sent, reply(event.Done, "80,5")}, "created:9 won:80.5"},
		"not done":                 {[]event.Event{matched, reply(event.Accept, ""), reply(event.NotDone, "")}, "created:9 accepted: lost:"},
		"declined":                 {[]event.Event{matched, reply(event.Decline, ""), reply(event.Accept, "")}, "created:9"},
		"won, and then lost":       {[]event.Event{matched, sent, order(event.Won), order(event.Won), order(event.Lost)}, "created:9 won:450 lost:"},
		"spam":                     {[]event.Event{matched, order(event.Spam), order(event.Duplicate)}, "created:9 invalid:"},
		"a duplicate":              {[]event.Event{review, order(event.Duplicate)}, "invalid:"},
		"cancelled":                {[]event.Event{matched, order(event.Cancel), order(event.Won)}, "created:9"},
		"the program's duplicate":  {[]event.Event{decideNone(subjects.Merged)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := New(&site.Catalog{
				Sites: map[string]*site.Site{"a.ch": {Domain: "a.ch", Market: "ch", Tracker: "ads"}},
				Trackers: map[string]*site.Tracker{"ads": {
					ID: "ads", Method: "GET", URL: "https://ads.example/", Value: map[string]float64{"created": 9},
					Events: map[string]string{"created": "1", "accepted": "2", "won": "3", "lost": "4", "invalid": "5"},
				}},
			}, "ch", nil, "")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i := range tt.events {
				tt.events[i].ID, tt.events[i].Seq = fmt.Sprint(name, i), uint64(i+1)
			}
			for i, e := range tt.events {
				if c.Tells(e) {
					for _, m := range c.Outcome(e, tt.events[:i+1], tt.events) {
						got = append(got, m.Purpose+":"+m.Conversion.Value)
					}
				}
			}
			if got := strings.Join(got, " "); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// What a tracker is told of a lead.
func TestConversion(t *testing.T) {
	c, err := New(&site.Catalog{
		Services: map[string]*site.Service{"dental.pain": {ID: "dental.pain", Sensitive: true}},
		Sites:    map[string]*site.Site{"a.ch": {Domain: "a.ch", Market: "ch", Tracker: "ads"}, "b.ch": {Domain: "b.ch", Market: "ch"}},
		Trackers: map[string]*site.Tracker{"ads": {
			ID: "ads", Method: "GET", URL: "https://ads.example/?c={{.Clicks.gclid}}&s={{.Secret}}", Secret: "ads", Currency: "CHF", Delay: time.Minute,
			Events: map[string]string{"created": "lead"},
		}},
	}, "ch", nil, "")
	if err != nil {
		t.Fatal(err)
	}
	l := lead.Lead{
		ID: "l1", Ref: "482 913", Service: lead.Service{ID: "plumbing.leak"}, Place: lead.Place{ID: "carouge"}, Phone: lead.Phone{E164: "+41781230042"},
		Request: lead.Request{CustomerName: "Marta", Clicks: map[string]string{"gclid": "G"}},
	}
	e := event.Event{ID: "e", Seq: 1, At: start, Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: subjects.Matched, Lead: "l1"}, Body: &event.Decided{Lead: l}}
	report := event.Event{ID: "r", Seq: 2, Body: &event.Ended{Call: call.Call{Clicks: map[string]string{"gclid": "old", "fbclid": "F"}}}}
	got := c.Outcome(e, []event.Event{e}, []event.Event{e, report})
	key := lead.MessageID("l1", "created", "tracker", "postback", "ads")
	want := lead.Message{
		ID: key, Lead: "l1", Market: "ch", Site: "a.ch", Ref: "482 913", Purpose: "created", Recipient: "tracker", Channel: "postback", To: "ads", Of: 1,
		Text: "GET /?c=G&s=%5Bsecret%5D HTTP/1.1\nHost: ads.example\nIdempotency-Key: " + key + "\n\n", NotBefore: start.Add(time.Minute), Until: start.Add(24 * time.Hour),
		Conversion: &lead.Conversion{
			Event: "lead", Key: key, Lead: "l1", Ref: "482 913", Site: "a.ch", At: start, Service: "plumbing.leak", Place: "carouge", Currency: "CHF",
			Clicks: map[string]string{"gclid": "G", "fbclid": "F"}, PhoneSHA256: "38274578528815658362b084f384c84a00bb4d0b1a8cf5fa237ba807956523fa",
		},
	}
	if d := cmp.Diff([]lead.Message{want}, got); d != "" {
		t.Error(d)
	}
	l.Service.ID = "dental.pain"
	e.Body = &event.Decided{Lead: l}
	if m := c.Outcome(e, []event.Event{e}, nil); len(m) != 1 || m[0].Conversion.Service != "" {
		t.Errorf("a tracker learns of somebody's health: %+v", m)
	}
	if e.Lead.Site = "b.ch"; c.Tells(e) {
		t.Error("a site without a tracker")
	}
}

func TestAmount(t *testing.T) {
	for entered, want := range map[string]string{
		"": "", "a lot": "", "450": "450", "CHF 450.-": "450", "1'250.50 Fr.": "1250.50", "1’250": "1250", "1.250,5 €": "1250.5", "1,250.00": "1250.00",
		"1.250": "1250", "Rp 1.500.000": "1500000", "1 250": "1250", "0.5": "0.5", "12.345,": "12345", "-3": "3",
	} {
		if got := amount(entered); got != want {
			t.Errorf("%q: %q, want %q", entered, got, want)
		}
	}
}
