package daily

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/event/digest"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

var (
	from = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	to   = from.Add(24 * time.Hour)
	noon = from.Add(6 * time.Hour)
)

const plumber, vet = "plombiersgeneve.ch", "veterinaireannecy.example"

func at(t time.Time, site, id, kind string, body any) event.Event {
	return event.Event{
		ID: fmt.Sprint(kind, id, t.UnixNano()), At: t, Stored: t, Body: body,
		Lead: subjects.Lead{Market: "ch", Site: site, Event: kind, Lead: id},
	}
}

func received(t time.Time, id string, flags ...string) event.Event {
	return at(t, plumber, id, subjects.Received, &event.Received{Lead: lead.Lead{ID: id, Flags: flags}})
}

func decided(t time.Time, id, kind string) event.Event {
	d := &event.Decided{Lead: lead.Lead{ID: id, Service: lead.Service{ID: "plumbing.leak"}, Place: lead.Place{ID: "carouge"}}}
	if kind == subjects.Matched {
		d.Offer, d.Provider = "o1", &roster.Provider{ID: "lac"}
	}
	return at(t, plumber, id, kind, d)
}

func queued(t time.Time, id, message, recipient, channel string) event.Event {
	return at(t, plumber, id, subjects.MessageQueued, &event.Queued{Message: lead.Message{
		ID: message, Lead: id, Recipient: recipient, Provider: map[string]string{lead.ToProvider: "lac"}[recipient], Channel: channel,
	}})
}

func accepted(t time.Time, id, message string) event.Event {
	return at(t, plumber, id, subjects.MessageSent, &event.Attempted{Message: message, Sent: &lead.Sent{VendorID: "SM1", At: t}})
}

func refused(t time.Time, id, message string) event.Event {
	return at(t, plumber, id, subjects.MessageFailed, &event.Attempted{Message: message, Failure: &lead.Failure{Vendor: "twilio", Code: "21211"}})
}

func receipt(t time.Time, id, message string, state lead.MessageState) event.Event {
	return at(t, plumber, id, subjects.ReceiptReceived, &event.Reported{Receipt: lead.Receipt{Message: message, State: state}})
}

func ended(t time.Time, id string, cost float64) event.Event {
	return at(t, plumber, id, subjects.CallEnded, &event.Ended{Call: call.Call{ID: id, Cost: cost}})
}

func scanned(t time.Time, id, version string, s call.Scan) event.Event {
	return at(t, plumber, id, subjects.CallScanned, &event.Scanned{Call: call.Call{ID: id, AgentID: "agent_1", Version: version}, Scan: s})
}

// reported is a call as one report has it, and the scan of that.
func reported(t time.Time, id, said string) []event.Event {
	c := call.Call{ID: id, AgentID: "agent_1", Cost: float64(len(said)), Turns: []call.Turn{{Who: call.Caller, Text: said}}}
	return []event.Event{
		at(t, plumber, id, subjects.CallEnded, &event.Ended{Call: c}),
		at(t, plumber, id, subjects.CallScanned, &event.Scanned{Call: c, Scan: call.Scan{Eligible: said != ""}}),
	}
}

func raised(t time.Time, site, id string, telling int) event.Event {
	return at(t, site, id, subjects.AlarmRaised, &event.Raised{Alarm: alarm.Alarm{ID: id, Notified: telling}})
}

func count1(events ...event.Event) digest.Digest {
	d := New("ch", from, to)
	for i, e := range events {
		e.Seq = uint64(i + 1)
		d.Add(e)
	}
	return d.Of([]string{plumber})
}

func TestADay(t *testing.T) {
	yesterday := from.Add(-time.Minute)
	for name, c := range map[string]struct {
		events   []event.Event
		want     digest.Site
		canaries digest.Share
		alarms   int
	}{
		"nothing happened": {},
		"a lead on its way": {
			events: []event.Event{
				received(noon, "a"), received(noon.Add(time.Second), "a"), decided(noon, "a", subjects.Matched), decided(noon, "a", subjects.Amended),
				queued(noon, "a", "m1", lead.ToCustomer, lead.SMS), queued(noon, "a", "m2", lead.ToProvider, lead.SMS), queued(noon, "a", "m3", lead.ToProvider, lead.Email),
				accepted(noon.Add(time.Second), "a", "m1"), accepted(noon.Add(2*time.Second), "a", "m2"), accepted(noon.Add(3*time.Second), "a", "m3"),
			},
			want: digest.Site{Leads: 1, Matched: 1, Notify: digest.Times{N: 1, Median: 2, P90: 2}},
		},
		"the last decision counts": {
			events: []event.Event{
				received(noon, "a"), decided(noon, "a", subjects.ReviewRequested), decided(noon, "a", subjects.Unserved), decided(noon, "a", subjects.Matched),
				received(noon, "b"), decided(noon, "b", subjects.ReviewRequested),
			},
			want: digest.Site{Leads: 2, Matched: 1, Review: 1},
		},
		"nobody could": {
			events: []event.Event{received(noon, "a"), decided(noon, "a", subjects.Unserved), received(noon, "b"), decided(noon, "b", subjects.Unserved)},
			want:   digest.Site{Leads: 2, Unserved: 2, Gaps: []digest.Gap{{Service: "plumbing.leak", Place: "carouge", Times: 2}}},
		},
		"calls": {
			events: []event.Event{
				ended(noon, "a", 0.25), ended(noon, "a", 0.25), scanned(noon, "a", "v1", call.Scan{Eligible: true, Dispatched: true}),
				ended(noon, "b", 0.5), scanned(noon, "b", "v2", call.Scan{Eligible: true, Recovered: true, Findings: []call.Finding{{Detector: "missed_dispatch"}, {Detector: "loop"}, {Detector: "loop"}}}),
				received(noon, "b", lead.FlagRecovered),
				ended(noon, "c", 0.25), scanned(noon, "c", "v2", call.Scan{Why: "spam"}),
				ended(noon, "d", 0.25),
				ended(noon, "e", 0), scanned(noon, "e", "v2", call.Scan{Why: "sales pitch"}),
				ended(noon, "f", 0), scanned(noon, "f", "v2", call.Scan{Why: "wrong number"}),
			},
			want: digest.Site{
				Calls: 6, Eligible: 2, Dispatched: digest.Share{Of: 2, Count: 1}, Leads: 1, Rescued: 1, Cost: 1.25, Spam: []string{"c", "e"},
				Findings: map[string]int{"missed_dispatch": 1, "loop": 1},
				Agents: []digest.Agent{
					{Agent: "agent_1", Version: "v1", Dispatched: digest.Share{Of: 1, Count: 1}}, {Agent: "agent_1", Version: "v2", Dispatched: digest.Share{Of: 1}},
				},
			},
		},
		"a call counts once, as the report has it that tells most": {
			events: append(append(append(reported(noon, "a", ""), reported(noon.Add(time.Minute), "a", "J'ai une fuite.")...), reported(noon.Add(2*time.Minute), "a", "")...),
				append(reported(yesterday, "b", ""), reported(noon, "b", "J'ai une fuite.")...)...),
			want: digest.Site{
				Calls: 1, Eligible: 1, Dispatched: digest.Share{Of: 1}, Cost: 15,
				Agents: []digest.Agent{{Agent: "agent_1", Dispatched: digest.Share{Of: 1}}},
			},
		},
		"a channel that fails, once for each message": {
			events: []event.Event{
				queued(noon, "a", "m1", lead.ToProvider, lead.SMS), refused(noon, "a", "m1"), receipt(noon, "a", "m1", lead.MessageFailed),
				queued(noon, "b", "m2", lead.ToProvider, lead.SMS), receipt(noon, "b", "m2", lead.MessageFailed),
				queued(noon, "b", "m3", lead.ToCustomer, lead.SMS), receipt(noon, "b", "m3", lead.MessageFailed),
				queued(noon, "b", "m4", lead.ToProvider, lead.Email), receipt(noon, "b", "m4", lead.MessageDelivered),
			},
			want: digest.Site{Failures: []digest.Failure{{Provider: "lac", Channel: lead.SMS, Times: 2}}},
		},
		"across seven in the morning, each thing on its day": {
			events: []event.Event{
				received(yesterday, "a"), decided(yesterday, "a", subjects.Matched), queued(yesterday, "a", "m1", lead.ToProvider, lead.SMS), ended(yesterday, "a", 1),
				accepted(yesterday.Add(2*time.Minute), "a", "m1"), receipt(noon, "a", "m1", lead.MessageFailed),
				received(noon, "a"),
				received(to, "b"), decided(to, "b", subjects.Unserved), raised(to, plumber, "x", 1),
			},
			want: digest.Site{Notify: digest.Times{N: 1, Median: 120, P90: 120}, Failures: []digest.Failure{{Provider: "lac", Channel: lead.SMS, Times: 1}}},
		},
		"tests are canaries and nothing else": {
			events: []event.Event{
				received(noon, "a", lead.FlagTest), decided(noon, "a", subjects.Unserved), queued(noon, "a", "m1", lead.ToProvider, lead.SMS),
				accepted(noon, "a", "m1"), receipt(noon, "a", "m1", lead.MessageDelivered),
				received(noon, "b", lead.FlagTest), queued(noon, "b", "m2", lead.ToProvider, lead.SMS), receipt(noon, "b", "m2", lead.MessageFailed),
				ended(noon, "c", 3), scanned(noon, "c", "v1", call.Scan{Why: call.Test, Findings: []call.Finding{{Detector: "short"}}}),
			},
			canaries: digest.Share{Of: 2, Count: 1},
		},
		"a canary has its time to arrive": {
			events: []event.Event{
				received(yesterday, "a", lead.FlagTest), queued(yesterday, "a", "m1", lead.ToProvider, lead.SMS), receipt(yesterday, "a", "m1", lead.MessageDelivered),
				received(to.Add(-time.Minute), "b", lead.FlagTest),
				received(from.Add(-time.Hour), "c", lead.FlagTest),
				received(to.Add(-6*time.Minute), "d", lead.FlagTest), queued(to.Add(-6*time.Minute), "d", "m4", lead.ToProvider, lead.SMS), receipt(to.Add(time.Second), "d", "m4", lead.MessageDelivered),
			},
			canaries: digest.Share{Of: 2, Count: 2},
		},
		"alarms, once each, of the owner's sites": {
			events: []event.Event{raised(noon, plumber, "x", 1), raised(noon.Add(time.Hour), plumber, "x", 2), raised(noon, plumber, "y", 1), raised(noon, vet, "z", 1)},
			alarms: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Site = plumber
			want := digest.Digest{Market: "ch", From: from, To: to, Sites: []digest.Site{c.want}, Canaries: c.canaries, Alarms: c.alarms}
			if d := cmp.Diff(want, count1(c.events...), cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(want, count1(append(c.events, c.events...)...), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("delivered twice: %s", d)
			}
		})
	}
}

func TestTheMiddleAndTheSlowest(t *testing.T) {
	for _, c := range []struct {
		seconds     []float64
		median, p90 float64
	}{
		{[]float64{3}, 3, 3},
		{[]float64{4, 2}, 3, 4},
		{[]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 100}, 5.5, 9},
		{[]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 100}, 6, 10},
	} {
		if got := times(c.seconds); got != (digest.Times{N: len(c.seconds), Median: c.median, P90: c.p90}) {
			t.Errorf("%v: %+v", c.seconds, got)
		}
	}
}

func TestOwners(t *testing.T) {
	sites := map[string]*site.Site{}
	for domain, s := range map[string]struct{ market, email string }{
		"a.ch": {"ch", "one@example.com"}, "b.ch": {"ch", "two@example.com"}, "c.ch": {"ch", "One@example.com"},
		"d.fr": {"fr", "one@example.com"}, "e.ch": {"ch", ""},
	} {
		sites[domain] = &site.Site{Domain: domain, Market: s.market, Owner: site.Owner{Email: s.email}}
	}
	want := []Owner{{"one@example.com", []string{"a.ch", "c.ch"}}, {"two@example.com", []string{"b.ch"}}}
	if d := cmp.Diff(want, Owners(&site.Catalog{Sites: sites}, "ch")); d != "" {
		t.Error(d)
	}
}

// The event of a day can be published again and stays one.
func TestOneDayIsOneEvent(t *testing.T) {
	first, again := Made(count1(), noon), Made(count1(received(noon, "a")), noon.Add(time.Hour))
	tomorrow := Made(New("ch", to, to.Add(24*time.Hour)).Of([]string{plumber}), noon)
	if first.ID != again.ID || first.ID == tomorrow.ID {
		t.Errorf("%s, %s, %s", first.ID, again.ID, tomorrow.ID)
	}
	if _, err := event.Encode(first); err != nil {
		t.Error(err)
	}
}
