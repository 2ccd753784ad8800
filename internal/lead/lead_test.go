package lead

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestIdentity(t *testing.T) {
	a := NewID("plombiersgeneve.ch", "conv_1")
	if a != NewID("plombiersgeneve.ch", "conv_1") {
		t.Fatal("the same conversation made two leads")
	}
	others := []string{
		NewID("plombiersgeneve.ch", "conv_2"), NewID("dentiste.example", "conv_1"),
		SecondID(a, "plumbing.leak"), OfferID(a, "p1"), MessageID(a, "offer", ToProvider, SMS, "o"),
		NewID("plombiersgeneve.chconv_", "1"),
	}
	for _, b := range others {
		if a == b {
			t.Fatalf("%s stands for two things", a)
		}
	}
	if len(Ref(a)) != len("482 913") {
		t.Fatalf("Ref = %q", Ref(a))
	}
}

func TestLeadStatusMovesOnlyAlongTheTable(t *testing.T) {
	all := []Status{None, Pending, NeedsReview, Matched, Notified, Accepted, Unserved, Converted, Lost, Duplicate, Spam, Cancelled}
	allowed := 0
	for _, from := range all {
		if from.MayBecome(from) {
			t.Errorf("%s may become itself", from)
		}
		for _, to := range all {
			if from.MayBecome(to) {
				allowed++
			}
		}
	}
	// The trade's table has exactly these many moves; every pair outside it
	// is refused.
	if allowed != 41 {
		t.Errorf("%d moves allowed, want 41", allowed)
	}
	for _, refused := range [][2]Status{{None, Matched}, {Pending, Notified}, {Pending, Accepted}, {Notified, Matched}, {Converted, Pending}, {Unserved, Notified}, {Lost, Matched}} {
		if refused[0].MayBecome(refused[1]) {
			t.Errorf("%s may become %s", refused[0], refused[1])
		}
	}
}

func TestMessageStateIsIndifferentToOrder(t *testing.T) {
	reports := []MessageState{MessageSent, MessageDelivered, MessageRead}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0, 1}} {
		s := MessageQueued
		for _, i := range order {
			s = s.Advance(reports[i])
		}
		if s != MessageRead {
			t.Errorf("order %v ends at %s", order, s)
		}
	}
	if s := MessageDelivered.Advance(MessageFailed); s != MessageDelivered {
		t.Errorf("a late failure took back a delivery: %s", s)
	}
	if s := MessageSent.Advance(MessageFailed); s != MessageFailed {
		t.Errorf("a failure after acceptance was dropped: %s", s)
	}
}

func TestALaterCallKeepsWhatItLeavesOut(t *testing.T) {
	first := Request{CustomerName: "Marta", ServiceType: "leak", City: "Carouge"}
	got := first.Over(Request{City: "Champel", CallbackNumber: "0791234567"})
	if got.CustomerName != "Marta" || got.ServiceType != "leak" || got.City != "Champel" || got.CallbackNumber != "0791234567" {
		t.Fatalf("%+v", got)
	}
}

// What a callback carries comes back as it was, and nothing in it is personal.
func TestALabelTravelsThroughAVendor(t *testing.T) {
	m := Message{
		Recipient: ToProvider, Provider: "lac-2", Channel: WhatsApp, Purpose: "update-1f2e3d", Offer: "7k2mq9", To: "+41781230042",
		QueuedAt: time.Date(2026, 11, 26, 8, 0, 1, 5, time.UTC),
	}
	fields := m.Label().Fields()
	if got := ReadLabel(func(name string) string { return fields[name] }); got != m.Label() {
		t.Errorf("%+v became %+v", m.Label(), got)
	}
	for name, value := range fields {
		if strings.Contains(value, "41781230042") {
			t.Errorf("%s holds the number", name)
		}
	}
	if AddressTag("+41781230042") == AddressTag("+41781230043") {
		t.Error("a corrected number has the tag of the wrong one")
	}
	if empty := (Label{}).Fields(); len(empty) != 0 {
		t.Errorf("an empty label has %v", empty)
	}
	for _, odd := range []string{"a b", "ä", "<script>", strings.Repeat("a", 65), "9e999", "-1"} {
		l := ReadLabel(func(name string) string {
			if name == "queued" {
				return odd
			}
			return odd + "."
		})
		if l != (Label{}) {
			t.Errorf("%q was read as %+v", odd, l)
		}
	}
}

// A corrected place is not held by the postcode of the one before.
func TestAPostcodeGoesWithItsCity(t *testing.T) {
	for name, c := range map[string]struct{ first, later, want Request }{
		"another city":             {Request{City: "Plan-les-Ouates", PostalCode: "1228"}, Request{City: "Lancy"}, Request{City: "Lancy"}},
		"another city and code":    {Request{City: "Plan-les-Ouates", PostalCode: "1228"}, Request{City: "Onex", PostalCode: "1213"}, Request{City: "Onex", PostalCode: "1213"}},
		"the same city":            {Request{City: "Carouge", PostalCode: "1227"}, Request{City: "carouge"}, Request{City: "carouge", PostalCode: "1227"}},
		"a code for the city":      {Request{City: "Carouge"}, Request{PostalCode: "1227"}, Request{City: "Carouge", PostalCode: "1227"}},
		"a city for the code":      {Request{PostalCode: "1227"}, Request{City: "Carouge"}, Request{City: "Carouge", PostalCode: "1227"}},
		"something else corrected": {Request{City: "Carouge", PostalCode: "1227"}, Request{CustomerName: "Marta"}, Request{City: "Carouge", PostalCode: "1227", CustomerName: "Marta"}},
	} {
		if got := c.first.Over(c.later); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// A call is another's when the phone call or the caller is, as far as both are known.
func TestAnotherCaller(t *testing.T) {
	of := func(sid, caller string) Lead {
		return Lead{Request: Request{CallSID: sid}, Phone: Phone{CallerID: caller}}
	}
	for name, c := range map[string]struct {
		first, later Lead
		want         bool
	}{
		"the same":                     {of("CA1", "+41791110001"), of("CA1", "+41791110001"), false},
		"another call":                 {of("CA1", "+41791110001"), of("CA2", "+41791110001"), true},
		"a call's id for every caller": {of("CA1", "+41791110001"), of("CA1", "+41791110002"), true},
		"another caller":               {of("", "+41791110001"), of("", "+41791110002"), true},
		"one without a call":           {of("CA1", "+41791110001"), of("", "+41791110002"), true},
		"withheld":                     {of("CA1", ""), of("CA1", "+41791110002"), false},
		"nothing known":                {of("CA1", "+41791110001"), of("", ""), false},
	} {
		if got := c.first.Another(c.later); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
