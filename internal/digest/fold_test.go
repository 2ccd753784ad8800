package digest

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/call"
	"leadbus/internal/lead"
)

const domain = "plombiersgeneve.ch"

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestWindow(t *testing.T) {
	zurich := zone(t, "Europe/Zurich")
	for name, c := range map[string]struct {
		now   time.Time
		to    time.Time
		hours float64
	}{
		"at seven":             {time.Date(2026, 11, 23, 7, 0, 0, 0, zurich), time.Date(2026, 11, 23, 7, 0, 0, 0, zurich), 24},
		"just before seven":    {time.Date(2026, 11, 23, 6, 59, 59, 0, zurich), time.Date(2026, 11, 22, 7, 0, 0, 0, zurich), 24},
		"in the evening":       {time.Date(2026, 11, 23, 22, 0, 0, 0, zurich), time.Date(2026, 11, 23, 7, 0, 0, 0, zurich), 24},
		"another zone asks":    {time.Date(2026, 11, 23, 5, 30, 0, 0, time.UTC), time.Date(2026, 11, 22, 7, 0, 0, 0, zurich), 24},
		"summer ends":          {time.Date(2026, 10, 25, 8, 0, 0, 0, zurich), time.Date(2026, 10, 25, 7, 0, 0, 0, zurich), 25},
		"summer begins":        {time.Date(2027, 3, 28, 8, 0, 0, 0, zurich), time.Date(2027, 3, 28, 7, 0, 0, 0, zurich), 23},
		"the first of a month": {time.Date(2026, 12, 1, 8, 0, 0, 0, zurich), time.Date(2026, 12, 1, 7, 0, 0, 0, zurich), 24},
	} {
		from, to := Window(c.now, zurich)
		if !to.Equal(c.to) || to.Sub(from).Hours() != c.hours || from.Hour() != Hour {
			t.Errorf("%s: %s to %s, want %g hours to %s", name, from, to, c.hours, c.to)
		}
	}
}

func TestADay(t *testing.T) {
	from := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	to := from.Add(24 * time.Hour)
	d := NewDay()
	tell := func(site, id, provider string, after time.Duration, end lead.MessageState, flags ...string) {
		at := from.Add(time.Hour)
		l := lead.Lead{ID: id, Flags: flags, Service: lead.Service{Name: "leak"}, Place: lead.Place{Name: "Carouge"}}
		for range 2 { // whatever happens twice counts once
			d.Received(site, l, at)
			d.Decided(site, matched, l)
			d.Queued(site, id, lead.Message{ID: id + "-m", Recipient: lead.ToProvider, Provider: provider, Channel: lead.SMS})
			d.Sent(site, id, id+"-m", at.Add(after))
			d.Reported(site, id, id+"-m", end)
		}
	}
	tell(domain, "l1", "p1", time.Second, lead.MessageDelivered)
	tell(domain, "l2", "p1", 2*time.Second, lead.MessageFailed, "recovered")
	tell(domain, "l3", "p2", 9*time.Second, lead.MessageDelivered)
	tell("other.example", "l4", "p2", time.Second, lead.MessageDelivered)
	tell(domain, "t1", "canary", time.Second, lead.MessageDelivered, "test")
	tell(domain, "t2", "canary", time.Second, lead.MessageSent, "test")
	nobody := lead.Lead{ID: "l5", Service: lead.Service{Name: "boiler"}, Place: lead.Place{Name: "Meyrin"}}
	d.Received(domain, nobody, from)
	d.Decided(domain, unserved, nobody)
	doubtful := lead.Lead{ID: "l6"}
	d.Received(domain, doubtful, from)
	d.Decided(domain, review, doubtful)
	c := call.Call{AgentID: "a", Version: "v1", Cost: .25}
	for range 2 {
		d.Call(domain, "l1", c, call.Scan{Eligible: true, Dispatched: true})
		d.Call(domain, "l2", c, call.Scan{Eligible: true, Findings: []call.Finding{{Detector: "missed_dispatch"}}})
		d.Call(domain, "s1", c, call.Scan{Why: "spam"})
		d.Call(domain, "t1", c, call.Scan{Why: "test"})
		d.Alarm("x")
	}
	want := Digest{
		Market: "ch", From: from, To: to, Canaries: Share{Of: 2, Count: 1}, Alarms: 1,
		Sites: []Site{
			{Site: "empty.example", Findings: map[string]int{}},
			{
				Site: domain, Calls: 3, Eligible: 2, Dispatched: Share{Of: 2, Count: 1}, Leads: 5, Rescued: 1, Matched: 3, Unserved: 1, Review: 1,
				Spam: []string{"s1"}, Notify: Times{N: 3, Median: 2, P90: 9}, Findings: map[string]int{"missed_dispatch": 1},
				Failures: []Failure{{Provider: "p1", Channel: lead.SMS, Times: 1}}, Gaps: []Gap{{Service: "boiler", Place: "Meyrin", Times: 1}},
				Cost: .75, Agents: []Agent{{Agent: "a", Version: "v1", Dispatched: Share{Of: 2, Count: 1}}},
			},
		},
	}
	if diff := cmp.Diff(want, d.Of("ch", from, to, []string{domain, "empty.example"})); diff != "" {
		t.Error(diff)
	}
}
