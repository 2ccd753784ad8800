package story

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/subjects"
)

var start = time.Date(2026, 11, 23, 8, 0, 0, 123456789, time.UTC)

// story is the events of one lead, a second apart.
type story []event.Event

func (s story) then(kind string, body any) story {
	n := uint64(len(s) + 1)
	return append(slices.Clip(s), event.Event{
		ID: kind + "-" + string(rune('a'+n)), At: start.Add(time.Duration(n) * time.Second), Seq: n * 10,
		Lead: subjects.Lead{Market: "ch", Site: "plombier.example", Event: kind, Lead: "lead1"}, Body: body,
	})
}

func (s story) received(l lead.Lead) story {
	return s.then(subjects.Received, &event.Received{Lead: l})
}

func (s story) decided(kind string, l lead.Lead, reason string) story {
	return s.then(kind, &event.Decided{Lead: l, Reason: reason})
}

func (s story) matched(offer, provider string) story {
	return s.then(subjects.Matched, &event.Decided{Lead: understood(), Offer: offer, Provider: &roster.Provider{ID: provider}})
}

func (s story) reassigned(offer, provider string) story {
	return s.then(subjects.Reassigned, &event.Decided{Lead: understood(), Offer: offer, Provider: &roster.Provider{ID: provider}})
}

func (s story) amended(offer string, l lead.Lead) story {
	return s.then(subjects.Amended, &event.Decided{Lead: l, Offer: offer})
}

func (s story) queued(id, recipient, channel, offer string) story {
	return s.then(subjects.MessageQueued, &event.Queued{Message: lead.Message{
		ID: id, Purpose: "offer", Recipient: recipient, Channel: channel, Offer: offer, Language: "fr", To: "+41781234567", Text: "Bonjour",
	}})
}

func (s story) told(kind, id string, f *lead.Failure) story {
	t := &event.Attempted{Message: id, Attempt: "1", Failure: f}
	if f == nil {
		t.Sent = &lead.Sent{VendorID: "SM" + id, At: start}
	}
	return s.then(kind, t)
}

func (s story) receipt(id string, state lead.MessageState, f *lead.Failure) story {
	return s.then(subjects.ReceiptReceived, &event.Reported{Receipt: lead.Receipt{Message: id, Vendor: "twilio", VendorID: "SM" + id, State: state, Failure: f, At: start}})
}

// understood is a complete lead.
func understood() lead.Lead {
	yes := true
	return lead.Lead{
		ID: "lead1", Ref: "482 913", Market: "ch", Site: "plombier.example", SourceURL: "https://plombier.example", Tracker: "t-1", Language: "fr", ReceivedAt: start,
		Request: lead.Request{ConversationID: "conv_1", CustomerName: "Marta", AddressLine: "rue 1", ContactConsent: &yes, Clicks: map[string]string{"gclid": "x"}},
		Service: lead.Service{Raw: "fuite", ID: "plumbing.leak", Method: "phrase"},
		Place:   lead.Place{Raw: "Carouge", ID: "carouge", Name: "Carouge", Method: "alias", Score: 1},
		Phone:   lead.Phone{Raw: "078", E164: "+41781234567", Source: "dictated", Confidence: "high", Type: "mobile"},
	}
}

var badNumber = &lead.Failure{Vendor: "twilio", Code: "30005", Class: lead.BadRecipient, Reason: "unknown handset"}

// outcome is what a scene checks.
type outcome struct {
	Status, Provider, Reason string
	Offers, Messages         []string
	Refused                  int
}

func outcomeOf(r Record) outcome {
	o := outcome{Status: r.Lead.Status, Provider: r.Lead.Provider, Reason: r.Lead.Reason, Refused: len(r.Lead.Refused)}
	for _, x := range r.Offers {
		o.Offers = append(o.Offers, x.ID+" "+x.State)
	}
	for _, x := range r.Messages {
		o.Messages = append(o.Messages, x.ID+" "+x.State)
	}
	return o
}

func TestWhereALeadStands(t *testing.T) {
	begun := story{}.received(understood())
	offered := begun.matched("o1", "lac")
	queued := offered.queued("m1", lead.ToProvider, lead.SMS, "o1").queued("m2", lead.ToProvider, lead.Email, "o1")
	for name, tt := range map[string]struct {
		story story
		want  outcome
	}{
		"received": {begun, outcome{Status: "pending"}},
		"nobody is eligible": {
			begun.decided(subjects.Unserved, understood(), "nobody"), outcome{Status: "unserved", Reason: "nobody"},
		},
		"matched after all": {
			begun.decided(subjects.Unserved, understood(), "nobody").matched("o1", "lac"),
			outcome{Status: "matched", Provider: "lac", Offers: []string{"o1 queued"}},
		},
		"reviewed twice, then matched": {
			begun.decided(subjects.ReviewRequested, understood(), "place").decided(subjects.ReviewRequested, understood(), "phone").matched("o1", "lac"),
			outcome{Status: "matched", Provider: "lac", Offers: []string{"o1 queued"}},
		},
		"a late review of a matched lead is refused": {
			offered.decided(subjects.ReviewRequested, understood(), "place"),
			outcome{Status: "matched", Provider: "lac", Offers: []string{"o1 queued"}, Refused: 1},
		},
		"a second match is refused": {
			offered.matched("o2", "rhone"),
			outcome{Status: "matched", Provider: "lac", Offers: []string{"o1 queued"}, Refused: 1},
		},
		"another provider": {
			queued.told(subjects.MessageSent, "m1", nil).reassigned("o2", "rhone"),
			outcome{Status: "matched", Provider: "rhone", Offers: []string{"o1 withdrawn", "o2 queued"}, Messages: []string{"m1 sent", "m2 queued"}},
		},
		"another provider, told": {
			queued.told(subjects.MessageFailed, "m1", badNumber).reassigned("o2", "rhone").queued("m3", lead.ToProvider, lead.SMS, "o2").
				told(subjects.MessageSent, "m2", nil).told(subjects.MessageSent, "m3", nil),
			outcome{Status: "notified", Provider: "rhone", Offers: []string{"o1 withdrawn", "o2 sent"}, Messages: []string{"m1 failed", "m2 sent", "m3 sent"}},
		},
		"what the former one hears late does not count": {
			queued.reassigned("o2", "rhone").told(subjects.MessageSent, "m1", nil),
			outcome{Status: "matched", Provider: "rhone", Offers: []string{"o1 withdrawn", "o2 queued"}, Messages: []string{"m1 sent", "m2 queued"}},
		},
		"an update keeps the other provider": {
			queued.reassigned("o2", "rhone").then(subjects.Amended, &event.Decided{Lead: understood(), Offer: "o1", Provider: &roster.Provider{ID: "lac"}}),
			outcome{Status: "matched", Provider: "rhone", Offers: []string{"o1 withdrawn", "o2 queued"}, Messages: []string{"m1 queued", "m2 queued"}},
		},
		"queued is not notified": {
			queued, outcome{Status: "matched", Provider: "lac", Offers: []string{"o1 queued"}, Messages: []string{"m1 queued", "m2 queued"}},
		},
		"the first channel notifies": {
			queued.told(subjects.MessageSent, "m2", nil),
			outcome{Status: "notified", Provider: "lac", Offers: []string{"o1 sent"}, Messages: []string{"m1 queued", "m2 sent"}},
		},
		"a text to the customer does not": {
			offered.queued("m1", lead.ToCustomer, lead.SMS, "o1").told(subjects.MessageSent, "m1", nil),
			outcome{Status: "matched", Provider: "lac", Offers: []string{"o1 queued"}, Messages: []string{"m1 sent"}},
		},
		"a receipt that overtook the sending notifies": {
			queued.receipt("m1", lead.MessageDelivered, nil).told(subjects.MessageSent, "m1", nil),
			outcome{Status: "notified", Provider: "lac", Offers: []string{"o1 delivered"}, Messages: []string{"m1 delivered", "m2 queued"}},
		},
		"doubtful is not notified": {
			queued.told(subjects.MessageDoubtful, "m1", &lead.Failure{Class: lead.Doubtful}),
			outcome{Status: "matched", Provider: "lac", Offers: []string{"o1 queued"}, Messages: []string{"m1 doubtful", "m2 queued"}},
		},
		"one channel failed, one is open": {
			queued.told(subjects.MessageFailed, "m1", badNumber),
			outcome{Status: "matched", Provider: "lac", Offers: []string{"o1 queued"}, Messages: []string{"m1 failed", "m2 queued"}},
		},
		"every channel failed": {
			queued.told(subjects.MessageFailed, "m1", badNumber).told(subjects.MessageFailed, "m2", badNumber),
			outcome{Status: "matched", Provider: "lac", Offers: []string{"o1 undeliverable"}, Messages: []string{"m1 failed", "m2 failed"}},
		},
		"a channel thought dead delivers": {
			queued.told(subjects.MessageFailed, "m1", badNumber).told(subjects.MessageFailed, "m2", badNumber).receipt("m2", lead.MessageRead, nil),
			outcome{Status: "notified", Provider: "lac", Offers: []string{"o1 delivered"}, Messages: []string{"m1 failed", "m2 read"}},
		},
		"a report on a message nobody knows is kept": {
			begun.receipt("m9", lead.MessageDelivered, nil), outcome{Status: "pending", Messages: []string{"m9 delivered"}},
		},
		"the received event was lost": {
			story{}.matched("o1", "lac"), outcome{Status: "matched", Provider: "lac", Offers: []string{"o1 queued"}},
		},
		"a match without a provider": {
			begun.then(subjects.Matched, &event.Decided{Lead: understood(), Offer: "o1"}), outcome{Status: "matched", Offers: []string{"o1 queued"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, outcomeOf(Of(tt.story))); d != "" {
				t.Error(d)
			}
		})
	}
}

// What people were told about a call or an alarm makes no lead.
func TestMessagesAloneMakeNoLead(t *testing.T) {
	queued := event.Event{
		ID: "q", At: start.Truncate(time.Microsecond), Seq: 1, Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: subjects.MessageQueued, Lead: "l1"},
		Body: &event.Queued{Message: lead.Message{ID: "m1", Recipient: lead.ToOwner, Channel: lead.Email}},
	}
	received := event.Event{
		ID: "r", At: start.Add(time.Second).Truncate(time.Microsecond), Seq: 2, Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: subjects.Received, Lead: "l1"},
		Body: &event.Received{Lead: lead.Lead{ID: "l1", Ref: "123 456"}},
	}
	if r := Of([]event.Event{queued}); r.Lead.Status != string(lead.None) || len(r.Messages) != 1 {
		t.Errorf("%+v", r)
	}
	if r := Of([]event.Event{queued, received}); r.Lead.Status != string(lead.Pending) || r.Lead.Ref != "123 456" || !r.Lead.ReceivedAt.Equal(start.Add(time.Second).Truncate(time.Microsecond)) {
		t.Errorf("a lead that was rescued later: %+v", r.Lead)
	}
}

func TestARefusedMoveIsNoted(t *testing.T) {
	got := Of(story{}.received(understood()).matched("o1", "lac").decided(subjects.ReviewRequested, lead.Lead{Language: "de"}, "place"))
	if want := []string{"30 review-requested: matched to needs_review"}; !slices.Equal(got.Lead.Refused, want) {
		t.Errorf("noted %q, want %q", got.Lead.Refused, want)
	}
	if got.Lead.Language != "fr" || got.Lead.Reason != "" {
		t.Errorf("a refused decision changed the row: %+v", got.Lead)
	}
}

// A caller says more in a second call, before anything was decided; the rows
// keep what the second call leaves out.
func TestALaterCallAddsToTheRow(t *testing.T) {
	first := understood()
	first.Place = lead.Place{Raw: "chez moi", Method: "unknown"}
	later := lead.Lead{Ref: first.Ref, Place: lead.Place{Raw: "Carouge", ID: "carouge", Name: "Carouge"}, ReceivedAt: start.Add(time.Minute)}
	got := Of(story{}.received(first).received(later))
	if got.Lead.Place != "carouge" || got.Lead.Service != "plumbing.leak" || got.Person.Name != "Marta" || got.Person.Phone != "+41781234567" || got.Person.Consent == nil {
		t.Errorf("%+v %+v", got.Lead, got.Person)
	}
	if !got.Lead.ReceivedAt.Equal(start.Truncate(time.Microsecond)) {
		t.Errorf("received at %s", got.Lead.ReceivedAt)
	}

	// Once decided, only a decision changes what was understood.
	after := Of(story{}.received(first).matched("o1", "lac").received(later))
	if after.Lead.PlaceRaw != "Carouge" || after.Lead.ServiceRaw != "fuite" {
		t.Errorf("%+v", after.Lead)
	}
	changed := understood()
	changed.Request.AddressLine = "rue 2"
	amended := Of(story{}.received(first).matched("o1", "lac").amended("o1", changed))
	if amended.Person.Address != "rue 2" || amended.Lead.Status != "matched" {
		t.Errorf("%+v %+v", amended.Lead, amended.Person)
	}
}

func TestTheErrorIsThatOfTheState(t *testing.T) {
	sent := story{}.received(understood()).matched("o1", "lac").queued("m1", lead.ToProvider, lead.SMS, "o1").told(subjects.MessageSent, "m1", nil)
	failed := Of(sent.receipt("m1", lead.MessageFailed, badNumber)).Messages[0]
	if failed.ErrorCode != "30005" || failed.ErrorClass != "recipient" || failed.FailedAt.IsZero() || failed.VendorID != "SMm1" {
		t.Errorf("%+v", failed)
	}
	delivered := Of(sent.receipt("m1", lead.MessageFailed, badNumber).receipt("m1", lead.MessageDelivered, nil)).Messages[0]
	if delivered.ErrorCode != "" || delivered.DeliveredAt.IsZero() || delivered.Vendor != "twilio" {
		t.Errorf("%+v", delivered)
	}
	late := Of(sent.receipt("m1", lead.MessageDelivered, nil).receipt("m1", lead.MessageFailed, badNumber)).Messages[0]
	if late.State != "delivered" || late.ErrorCode != "" || !late.FailedAt.IsZero() {
		t.Errorf("a late failure took back a delivery: %+v", late)
	}
	double := Of(sent.then(subjects.MessageSent, &event.Attempted{Message: "m1", PossibleDouble: true})).Messages[0]
	if !double.PossibleDouble {
		t.Error("a possible double is not marked")
	}
}

// stories draws any sequence of events a lead could meet, sensible or not.
func stories(t *rapid.T) story {
	var s story
	message := rapid.SampledFrom([]string{"m1", "m2", "m3"})
	offer := rapid.SampledFrom([]string{"o1", "o2"})
	states := rapid.SampledFrom([]lead.MessageState{"", lead.MessageSent, lead.MessageDelivered, lead.MessageRead, lead.MessageFailed})
	for range rapid.IntRange(1, 25).Draw(t, "events") {
		l := understood()
		l.Language = rapid.SampledFrom([]string{"fr", "de", ""}).Draw(t, "language")
		switch rapid.IntRange(0, 8).Draw(t, "kind") {
		case 0:
			s = s.received(l)
		case 1:
			s = s.decided(rapid.SampledFrom([]string{subjects.Unserved, subjects.ReviewRequested}).Draw(t, "decision"), l, "reason")
		case 8:
			s = s.amended(offer.Draw(t, "offer"), l)
		case 2:
			s = s.matched(offer.Draw(t, "offer"), "lac")
		case 7:
			s = s.reassigned(offer.Draw(t, "offer"), "rhone")
		case 3:
			s = s.queued(message.Draw(t, "message"), rapid.SampledFrom([]string{lead.ToProvider, lead.ToCustomer}).Draw(t, "to"), rapid.SampledFrom([]string{lead.SMS, lead.Email}).Draw(t, "channel"), offer.Draw(t, "offer"))
		case 4:
			s = s.told(subjects.MessageSent, message.Draw(t, "message"), nil)
		case 5:
			s = s.told(rapid.SampledFrom([]string{subjects.MessageFailed, subjects.MessageDoubtful}).Draw(t, "outcome"), message.Draw(t, "message"), badNumber)
		default:
			s = s.receipt(message.Draw(t, "message"), states.Draw(t, "state"), nil)
		}
	}
	return s
}

// Whatever happened, in whatever order and however often it is told: the rows
// are the same.
func TestOrderAndRepetitionChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := stories(t)
		want := Of(s)
		shuffled := append(slices.Clone(s), s[rapid.IntRange(0, len(s)-1).Draw(t, "again"):]...)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if d := cmp.Diff(want, Of(shuffled)); d != "" {
			t.Fatal(d)
		}
		// One by one on top of a prefix.
		n := rapid.IntRange(0, len(s)).Draw(t, "prefix")
		got := Of(s[:n])
		for _, e := range s[n:] {
			got.Apply(e)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

// Statuses move only along the tables, and message states never go back.
func TestNothingMovesOutsideTheTables(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Record
		for _, e := range stories(t) {
			was, states := r.Lead, map[string]string{}
			for _, m := range r.Messages {
				states[m.ID] = m.State
			}
			r.Apply(e)
			from, to := lead.Status(was.Status), lead.Status(r.Lead.Status)
			if from == lead.None && to != from { // its first call or decision makes it a lead
				from = lead.Pending
			}
			// A match may be reached by a receipt in the same step.
			direct := from == to || from.MayBecome(to) || from.MayBecome(lead.Matched) && lead.Matched.MayBecome(to)
			if _, decides := decided[e.Lead.Event]; decides { // by way of pending
				direct = direct || from.MayBecome(lead.Pending)
			}
			if was.LastSeq > 0 && !direct {
				t.Fatalf("%s: %s became %s", e.Lead.Event, from, to)
			}
			for _, m := range r.Messages {
				old, now := lead.MessageState(states[m.ID]), lead.MessageState(m.State)
				bounced := m.Channel == lead.Email && now == lead.MessageFailed
				if old != "" && old.Advance(now) != now && !bounced {
					t.Fatalf("message went back from %s to %s", old, now)
				}
			}
		}
	})
}

// Who asks for the match, for the newest decision or for the rows gets one
// answer, whatever happened.
func TestEveryReaderSeesTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := stories(t)
		r := Of(s)
		var first, decisions, calls int
		for _, e := range s {
			switch e.Lead.Event {
			case subjects.Received:
				calls++
			case subjects.Matched:
				first++
				decisions++
			case subjects.Reassigned, subjects.Amended, subjects.Unserved, subjects.ReviewRequested:
				decisions++
			}
		}
		switch d := r.Decided(); {
		case len(r.ToolCalls) != calls:
			t.Fatalf("%d of %d tool calls", len(r.ToolCalls), calls)
		case (d == nil) != (decisions == 0):
			t.Fatalf("%d decisions, and the newest is %+v", decisions, d)
		case d == nil:
		case r.Match() != nil && d.Offer != r.Match().Body.(*event.Decided).Offer:
			t.Fatalf("the newest decision is about offer %q, the match about another", d.Offer)
		case d.Lead.Language != r.Lead.Language:
			t.Fatalf("the row is in %q, the newest decision in %q", r.Lead.Language, d.Lead.Language)
		}
		matched := slices.Contains([]lead.Status{lead.Matched, lead.Notified}, lead.Status(r.Lead.Status))
		if matched && (r.Match() == nil || r.Match().Body.(*event.Decided).Offer != r.Lead.Offer) {
			t.Fatalf("the row has offer %q, the match another", r.Lead.Offer)
		}
		if first > 0 && r.Match() == nil {
			t.Fatal("a match did not take effect")
		}
	})
}

func TestAnAmendmentOvertakenByAnOperatorDoesNotCount(t *testing.T) {
	late := understood()
	late.Request.AddressLine = "rue 2"
	s := story{}.received(understood()).matched("o1", "lac").reassigned("o2", "rhone")
	r := Of(s.amended("o1", late))
	if r.Decided().Offer != "o2" || r.Person.Address != "rue 1" || r.Lead.Provider != "rhone" || len(r.Matches) != 2 {
		t.Errorf("%+v, %d matches, address %s", r.Decided(), len(r.Matches), r.Person.Address)
	}
	if r = Of(s.amended("o2", late)); r.Decided().Lead.Request.AddressLine != "rue 2" || r.Person.Address != "rue 2" {
		t.Errorf("an amendment for the new provider: %+v", r.Decided())
	}
}

// A mailbox may take a mail and send it back hours later, and the reports on that
// come in any order. On other channels a delivery is the last word.
func TestABounceOutranksADelivery(t *testing.T) {
	complaint := &lead.Failure{Vendor: "mailgun", Code: "complained", Class: lead.OptedOut}
	for channel, want := range map[string]lead.MessageState{lead.Email: lead.MessageFailed, lead.SMS: lead.MessageDelivered, lead.WhatsApp: lead.MessageDelivered} {
		queued := story{}.received(understood()).matched("o1", "lac").queued("m1", lead.ToProvider, channel, "o1")
		for _, reports := range permutations("sent", "delivered", "failed", "complained") {
			s := queued
			for _, report := range reports {
				switch report {
				case "sent":
					s = s.told(subjects.MessageSent, "m1", nil)
				case "delivered":
					s = s.receipt("m1", lead.MessageDelivered, nil)
				case "failed":
					s = s.receipt("m1", lead.MessageFailed, badNumber)
				case "complained":
					s = s.receipt("m1", "", complaint)
				}
			}
			offer := lead.OfferDelivered
			code := ""
			if want == lead.MessageFailed {
				offer, code = lead.OfferUndeliverable, "30005"
			}
			if r := Of(s); r.Messages[0].State != string(want) || r.Messages[0].ErrorCode != code || r.Offers[0].State != string(offer) {
				t.Errorf("%s, %v: %+v %+v", channel, reports, r.Messages[0], r.Offers[0])
			}
		}
	}
	// What was refused and arrived all the same, as an attempt before had left, did arrive.
	s := story{}.received(understood()).matched("o1", "lac").queued("m1", lead.ToProvider, lead.Email, "o1").
		told(subjects.MessageDoubtful, "m1", badNumber).told(subjects.MessageFailed, "m1", badNumber).receipt("m1", lead.MessageDelivered, nil)
	if m := Of(s).Messages[0]; m.State != string(lead.MessageDelivered) {
		t.Errorf("%+v", m)
	}
}

// permutations are the texts in every order.
func permutations(texts ...string) (all [][]string) {
	if len(texts) == 0 {
		return [][]string{nil}
	}
	for i, first := range texts {
		for _, rest := range permutations(slices.Delete(slices.Clone(texts), i, i+1)...) {
			all = append(all, append([]string{first}, rest...))
		}
	}
	return all
}

// An outcome says by itself what its message was.
func TestAnOutcomeNeedsNoLookUp(t *testing.T) {
	label := lead.Label{Recipient: lead.ToProvider, Provider: "lac", Channel: lead.SMS, Purpose: "offer", Offer: "o1"}
	for name, s := range map[string]story{
		"an attempt": story{}.then(subjects.MessageSent, &event.Attempted{Label: label, Message: "m1"}),
		"a receipt":  story{}.then(subjects.ReceiptReceived, &event.Reported{Receipt: lead.Receipt{Label: label, Message: "m1", State: lead.MessageSent}}),
	} {
		m := Of(s).Messages[0]
		if m.Recipient != lead.ToProvider || m.Provider != "lac" || m.Channel != lead.SMS || m.Purpose != "offer" || m.Offer != "o1" {
			t.Errorf("%s: %+v", name, m)
		}
	}
}
