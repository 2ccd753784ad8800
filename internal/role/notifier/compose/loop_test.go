package compose

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// tale is a lead's events, one after the other.
type tale []event.Event

func (s tale) then(kind string, body any) tale {
	e := event.Event{
		ID: fmt.Sprint(kind, "-", len(s)), Seq: uint64(len(s) + 1), At: start.Add(time.Duration(len(s)) * time.Minute), Body: body,
		Lead: subjects.Lead{Market: "ch", Site: "plombiersgeneve.ch", Event: kind, Lead: exampleLead().ID},
	}
	return append(s[:len(s):len(s)], e)
}

// decides adds a decision on the turn that stands.
func (s tale) decides(kind string, change func(*event.Decided)) tale {
	r := story.Of(s)
	b := *outcome(kind, change).Body.(*event.Decided)
	b.Turn = r.Turn
	return s.then(kind, &b)
}

// calls are the messages that the newest event calls for.
func (s tale) calls(t *testing.T) []lead.Message {
	t.Helper()
	c, err := New(catalog(t), "ch", links, "https://leads.mail.example/")
	if err != nil {
		t.Fatal(err)
	}
	messages, err := c.Compose(s[len(s)-1], &Standing{Before: story.Of(s[:len(s)-1]), After: story.Of(s)})
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

// asks offers the lead to a provider.
func asks(id string) func(*event.Decided) {
	return func(b *event.Decided) {
		b.Mode, b.Offer, b.Until, b.TextAt = lead.Exclusive, "offer-"+id, start.Add(15*time.Minute), start.Add(30*time.Minute)
		b.Provider = &roster.Provider{ID: id, Name: "Plombier " + id, Languages: []string{"fr"}, SMS: "+41791110002", Email: id + "@mail.example"}
	}
}

func rival(b *event.Decided) {
	asks("a")(b)
	b.Mode = lead.Broadcast
	b.Rivals = []event.Rival{{Offer: "offer-b", Provider: roster.Provider{ID: "b", Name: "Plombier b", Languages: []string{"en"}, Email: "b@mail.example"}}}
}

// Who hears what while a lead goes on.
func TestTheLoopTells(t *testing.T) {
	accept := func(offer string) *event.Replied { return &event.Replied{Offer: offer, Answer: event.Accept} }
	ended := func(how lead.OfferState, and func(*event.Decided)) func(*event.Decided) {
		return func(b *event.Decided) { and(b); b.Ended = how }
	}
	whole := func(b *event.Decided) { b.Provider, b.Offer = nil, "" }
	offered := tale{}.decides(subjects.Matched, asks("a"))
	both := tale{}.decides(subjects.Matched, rival)
	accepted := offered.then(subjects.ProviderReplied, accept("offer-a"))
	for name, c := range map[string]struct {
		story tale
		want  []string
	}{
		"offered":   {offered, []string{"provider sms offer a", "provider email offer a", "customer sms searching", "owner email copy"}},
		"broadcast": {both, []string{"provider sms offer a", "provider email offer a", "provider email offer b", "customer sms searching", "owner email copy"}},
		"amended in a broadcast": {
			both.then(subjects.Amended, &event.Decided{Lead: exampleLead(), Offer: "offer-a", Provider: both[0].Body.(*event.Decided).Provider}),
			[]string{"provider sms update-# a", "provider email update-# a", "provider email update-# b", "owner email copy-#"},
		},
		"expired":     {offered.decides(subjects.Reassigned, ended(lead.OfferExpired, asks("b"))), []string{"provider sms offer b", "provider email offer b", "provider sms withdrawn a", "provider email withdrawn a", "owner email copy"}},
		"unreachable": {offered.decides(subjects.Reassigned, ended(lead.OfferUndeliverable, asks("b"))), []string{"provider sms offer b", "provider email offer b", "owner email copy"}},
		"a decision on an old turn": {
			offered.then(subjects.ProviderReplied, accept("offer-a")).then(subjects.Reassigned, &event.Decided{Lead: exampleLead(), Turn: "matched-0", Offer: "offer-b", Provider: &roster.Provider{ID: "b", Email: "b@mail.example"}}), nil,
		},
		"accepted":                {accepted, []string{"provider sms accepted a", "provider email accepted a", "customer sms confirmation", "owner email copy-accepted"}},
		"accepted by a rival":     {both.then(subjects.ProviderReplied, accept("offer-b")), []string{"provider email accepted b", "customer sms confirmation", "provider sms withdrawn a", "provider email withdrawn a", "owner email copy-accepted"}},
		"accepted too late":       {both.then(subjects.ProviderReplied, accept("offer-b")).then(subjects.ProviderReplied, accept("offer-a")), []string{"provider sms withdrawn a", "provider email withdrawn a"}},
		"accepted again":          {accepted.then(subjects.ProviderReplied, accept("offer-a")), nil},
		"accepted in mode notify": {tale{}.decides(subjects.Matched, nil).then(subjects.ProviderReplied, accept("offer1")), []string{"owner email copy-accepted"}},
		"declined":                {offered.then(subjects.ProviderReplied, &event.Replied{Offer: "offer-a", Answer: event.Decline}), nil},
		"postponed":               {offered.decides(subjects.Postponed, func(b *event.Decided) { whole(b); b.Until = start.Add(8 * time.Hour) }), []string{"customer sms postponed"}},
		"unserved":                {offered.decides(subjects.Unserved, ended(lead.OfferExpired, whole)), []string{"customer sms unserved", "provider sms withdrawn a", "provider email withdrawn a"}},
		"overdue":                 {offered.decides(subjects.Overdue, func(b *event.Decided) { asks("a")(b); b.Of = lead.ToCustomer }), []string{"customer sms delayed"}},
		"cancelled":               {accepted.then(subjects.OwnerDecided, &event.Ordered{Order: event.Cancel}), []string{"provider sms withdrawn a", "provider email withdrawn a"}},
		"won":                     {accepted.then(subjects.OwnerDecided, &event.Ordered{Order: event.Won}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, m := range c.story.calls(t) {
				purpose := regexp.MustCompile("-[0-9a-f]{8}$").ReplaceAllString(m.Purpose, "-#")
				got = append(got, strings.TrimSpace(m.Recipient+" "+m.Channel+" "+purpose+" "+m.Provider))
				hidden := m.Recipient == lead.ToProvider && (m.Purpose == lead.PurposeOffer || m.Purpose == lead.PurposeWithdrawn)
				if known := strings.Contains(m.Text+m.HTML, "Marta") || strings.Contains(m.Text+m.HTML, "78123"); hidden && known {
					t.Errorf("who has not accepted reads who called:\n%s", m.Text)
				} else if m.Purpose == lead.PurposeAccepted && !known {
					t.Errorf("who accepted does not read who called:\n%s", m.Text)
				}
				if m.Purpose == lead.PurposeWithdrawn && m.Channel == lead.SMS && !strings.Contains(m.Text, exampleLead().ID[:4]) {
					t.Errorf("two leads with one reference have one text: %q", m.Text)
				}
				if m.Purpose == lead.PurposeOffer && m.Recipient == lead.ToProvider && !strings.Contains(m.Text, "/v1/links/") {
					t.Errorf("an offer without a link:\n%s", m.Text)
				}
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
	for story, want := range map[*tale]string{
		new(accepted): "Plombier a vous appelle avant",
		new(offered.decides(subjects.Postponed, func(b *event.Decided) { whole(b); b.Until = start.Add(24 * time.Hour) })): "part à 24.11. 09:00",
	} {
		m := pick(t, story.calls(t), "customer sms "+map[bool]string{true: lead.PurposeConfirmation, false: lead.PurposePostponed}[strings.HasPrefix(want, "Plombier")])
		if !strings.Contains(m.Text, want) {
			t.Errorf("%q does not say %q", m.Text, want)
		}
	}
}
