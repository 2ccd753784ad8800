package compose

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/event/digest"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

var causes = []string{
	alarm.Drift, alarm.ConfigDrift, alarm.NoDisclosure, alarm.ToolError, alarm.NotRescued, alarm.UnknownAgent, alarm.VoiceRemoved, alarm.CallWithoutConversation, alarm.CallWithoutEnd,
	alarm.LeadWithoutOffer, alarm.MessageWithoutReceipt, alarm.Unreachable, alarm.Roster, alarm.Canary, alarm.HostSlept, alarm.Reconcile,
	alarm.Unserved, alarm.NoneReachable, alarm.Overdue, alarm.Review, alarm.Account, alarm.Tracker, alarm.Uncertain, alarm.DeadLetter,
}

// raised is a call to the owner for the n-th time.
func raised(cause string, told int) event.Event {
	a := alarm.Alarm{
		ID: alarm.NewID(alarm.Occurrence{Site: "plombiersgeneve.ch", Cause: cause, ID: "1"}), Site: "plombiersgeneve.ch",
		Cause: cause, About: "agent_01/missed_dispatch", Since: start, Last: start.Add(40 * time.Minute), Times: 3, Notified: told,
		Leads: []string{lead.NewID("x", "1"), lead.NewID("x", "2")}, Facts: []alarm.Fact{{Label: "calls", Value: "5 of 20 (11-47 %)"}},
	}
	return event.Event{
		ID: fmt.Sprintf("alarm-raised-%s-%d", a.ID, told), At: start.Add(time.Hour), Body: &event.Raised{Alarm: a},
		Lead: subjects.Lead{Market: "ch", Site: a.Site, Event: subjects.AlarmRaised, Lead: a.ID},
	}
}

func TestWhoIsCalledForAnAlarm(t *testing.T) {
	for name, c := range map[string]struct {
		told  int
		owner site.Owner
		want  []string
	}{
		"first": {1, site.Owner{Email: "o@mail.example", Phone: "+41791234500", Escalation: site.Escalation{Phone: "+41791234599"}}, []string{
			"owner email alarm-raised-1 o@mail.example", "owner sms alarm-raised-1 +41791234500",
		}},
		"again, with nobody above": {2, site.Owner{Email: "o@mail.example", Phone: "+41791234500"}, []string{
			"owner email alarm-raised-2 o@mail.example", "owner sms alarm-raised-2 +41791234500",
		}},
		"again": {2, site.Owner{Email: "o@mail.example", Phone: "+41791234500", Escalation: site.Escalation{Email: "up@mail.example", Phone: "+41791234599"}}, []string{
			"owner email alarm-raised-2 o@mail.example", "owner sms alarm-raised-2 +41791234500",
			"owner email alarm-raised-2-escalation up@mail.example", "owner sms alarm-raised-2-escalation +41791234599",
		}},
		"again, a number above": {3, site.Owner{Email: "o@mail.example", Escalation: site.Escalation{Phone: "+41791234599"}}, []string{
			"owner email alarm-raised-3 o@mail.example", "owner sms alarm-raised-3-escalation +41791234599",
		}},
	} {
		messages := planned(t, raised(alarm.Drift, c.told), func(of *site.Catalog) { of.Sites["plombiersgeneve.ch"].Owner = c.owner })
		var got []string
		ids := map[string]bool{}
		for _, m := range messages {
			got = append(got, m.Recipient+" "+m.Channel+" "+m.Purpose+" "+m.To)
			ids[m.ID] = true
			if m.Lead != raised(alarm.Drift, 1).Lead.Lead || m.Of != len(c.want) {
				t.Errorf("%s: %+v", name, m)
			}
		}
		if d := cmp.Diff(c.want, got); d != "" || len(ids) != len(got) {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// The alarm says what broke, since when, how often, what is at risk and what to
// do, and can be acknowledged, in every language.
func TestWhatAnAlarmSays(t *testing.T) {
	for _, lang := range languages {
		texts := loaded(t)[lang]
		for _, cause := range causes {
			says, ok := texts.Causes[cause]
			if !ok {
				t.Errorf("%s: no text for %s", lang, cause)
				continue
			}
			about := words{Channel: channelName("agent_01/missed_dispatch"), Code: "agent_01/missed_dispatch"}
			title, next := says.Title.say(about), says.Next.say(about)
			for told := 1; told <= 2; told++ {
				e := raised(cause, told)
				messages := planned(t, e, func(c *site.Catalog) { c.Sites["plombiersgeneve.ch"].Owner.Language = lang })
				name := fmt.Sprint(lang, " ", cause, " ", told)
				m, text := messages[0], messages[1].Text
				both(t, name, m, title, next, "23.11.2026 09:00 CET", "23.11.2026 09:40 CET", "3", "5 of 20 (11-47 %)", "agent_01/missed_dispatch",
					"leadbus trace "+lead.NewID("x", "1"), "leadbus trace "+lead.NewID("x", "2"))
				if !strings.Contains(m.Subject, title) || !strings.Contains(m.Subject, "[plombiersgeneve.ch]") || m.Thread != e.Lead.Lead {
					t.Errorf("%s: subject %q, thread %q", name, m.Subject, m.Thread)
				}
				if again := texts.say("raised_again", words{Told: told}); strings.Contains(m.Text, again) != (told > 1) {
					t.Errorf("%s: says that it is repeated: %v", name, told == 1)
				}
				if n, gsm7 := segmentsOf(text); n > 2 || !gsm7 {
					t.Errorf("%s: %d segments, GSM-7 %v: %q", name, n, gsm7, text)
				}
				plain, _, _ := toGSM7(title)
				for _, want := range []string{plain, "Plombiers", "23.11.2026 09:00", "3x", ": 2"} {
					if !strings.Contains(text, want) {
						t.Errorf("%s: no %q in %q", name, want, text)
					}
				}
				for _, body := range []string{m.Text, m.HTML, text} {
					found := linked.FindAllStringSubmatch(body, -1)
					if len(found) == 0 {
						t.Fatalf("%s: no link in %q", name, body)
					}
					l, err := links.Read(found[0][1], e.At)
					if err != nil || l.Asks != link.Alarm || l.ID != e.Lead.Lead {
						t.Errorf("%s: %+v, %v", name, l, err)
					}
				}
			}
		}
		if len(texts.Causes) != len(causes) {
			t.Errorf("%s: %d causes", lang, len(texts.Causes))
		}
	}
}

// The alarm about one lead has all that is known of it: whoever reads it can call
// the customer. It stands in the lead's thread.
func TestAnAlarmAboutALead(t *testing.T) {
	for _, kind := range []string{subjects.Unserved, subjects.ReviewRequested} {
		e := outcome(kind, func(b *event.Decided) { b.Lead.Place.ID = "" })
		messages := planned(t, e, nil)
		m, text := messages[0], messages[1].Text
		both(t, kind, m, "Marta Salas", "+41781230042", "L'évier de la cuisine fuit.", "“Carouche” → Carouge", "closed now, and takes no leads outside opening hours",
			"leadbus trace "+e.Lead.Lead, "conv_01", "Acknowledge", "Since")
		if strings.Contains(m.Text, "The place was not understood or") != (kind == subjects.ReviewRequested) {
			t.Errorf("%s: says what is to be done:\n%s", kind, m.Text)
		}
		if m.Thread != e.Lead.Lead || !strings.Contains(m.Subject, "482 913") || !strings.Contains(m.HTML, `href="tel:&#43;41781230042"`) {
			t.Errorf("%s: %q in thread %s", kind, m.Subject, m.Thread)
		}
		if !strings.Contains(text, "Marta Salas") || !strings.Contains(text, "+41781230042") {
			t.Errorf("%s: %q", kind, text)
		}
	}
}

func TestAMissedLeadIsAnsweredFromItsAlarm(t *testing.T) {
	e := raised(alarm.NotRescued, 1)
	found := linked.FindAllStringSubmatch(planned(t, e, nil)[0].Text, -1)
	var asks []string
	for _, f := range found {
		l, err := links.Read(f[1], start)
		if err != nil {
			t.Fatal(err)
		}
		asks = append(asks, l.Asks+" "+l.ID)
	}
	want := []string{"alarm " + e.Lead.Lead, "recover " + lead.NewID("x", "1"), "recover " + lead.NewID("x", "2")}
	if d := cmp.Diff(want, asks); d != "" {
		t.Error(d)
	}
}

func TestAnAlarmNobodyKnowsIsToldAllTheSame(t *testing.T) {
	e := raised("moon-fell", 1)
	b := &e.Body.(*event.Raised).Alarm
	b.Facts, b.Leads = []alarm.Fact{{Label: "<script>", Value: "<script>\r\n"}}, nil
	for range 100 {
		b.Leads = append(b.Leads, lead.NewID("x", fmt.Sprint(len(b.Leads))))
	}
	messages := planned(t, e, nil)
	both(t, "unknown", messages[0], "moon fell", "+ 80")
	if strings.Contains(messages[0].HTML, "<script") || !strings.Contains(messages[1].Text, "moon fell") {
		t.Errorf("%s", messages[1].Text)
	}
}

func digested(d digest.Digest) event.Event {
	d.Market, d.From, d.To = "ch", start.Add(-26*time.Hour), start.Add(-2*time.Hour)
	return event.Event{
		ID: "digest-made-1", At: start, Body: &event.Digested{Digest: d},
		Lead: subjects.Lead{Market: "ch", Site: "plombiersgeneve.ch", Event: subjects.DigestMade, Lead: lead.NewID("digest", "1")},
	}
}

func TestTheDay(t *testing.T) {
	busy := digest.Digest{
		Canaries: digest.Share{Of: 288, Count: 288},
		Sites: []digest.Site{
			{
				Site: "plombiersgeneve.ch", Calls: 14, Eligible: 10, Dispatched: digest.Share{Of: 10, Count: 9}, Leads: 10, Rescued: 1, Matched: 9,
				Notify: digest.Times{N: 9, Median: 0.84, P90: 2.1}, Spam: []string{"spamid"}, Cost: 1.234,
				Failures: []digest.Failure{{Provider: "rapide", Channel: lead.WhatsApp, Times: 2}},
				Findings: map[string]int{"dead_air": 1, "missed_dispatch": 2}, Gaps: []digest.Gap{{Service: "plumbing.leak", Place: "carouge", Times: 3}},
				Agents: []digest.Agent{{Agent: "agent_01", Version: "v7", Dispatched: digest.Share{Of: 4, Count: 4}}},
			},
			{Site: "dentistgeneve.example"},
		},
	}
	m := pick(t, planned(t, digested(busy), nil), "owner email digest-#")
	both(t, "busy", m,
		"The day of 22.11.2026", "22.11.2026 07:00", "23.11.2026 07:00", "288 / 288 (99–100 %)",
		"plombiersgeneve.ch", "14", "9 / 10 (60–98 %)", "median 0.8 s, p90 2.1 s, n 9", "rapide WhatsApp ×2",
		"The agent did not pass the request on ×2, Nobody spoke for more than 10 s ×1", "Water leak carouge ×3", "agent_01 v7: 4 / 4 (51–100 %)",
		"leadbus trace spamid", "1.23 USD = 10 × 0.12", "dentistgeneve.example",
	)
	for _, c := range []struct {
		change func(*digest.Digest)
		want   string
	}{
		{func(*digest.Digest) {}, "22.11.2026 Requests: 10 (plombiersgeneve.ch)"},
		{func(d *digest.Digest) { d.Sites[0].Unserved, d.Sites[1].Review = 1, 1 }, "22.11.2026 Nobody could take: 2 (plombiersgeneve.ch)"},
		{func(d *digest.Digest) { d.Alarms = 4 }, "22.11.2026 Alarms: 4 (plombiersgeneve.ch)"},
	} {
		c.change(&busy)
		if m := planned(t, digested(busy), nil)[0]; m.Subject != c.want {
			t.Errorf("subject %q, want %q", m.Subject, c.want)
		}
	}
}

func TestAnEmptyDayArrivesAndSaysSo(t *testing.T) {
	for _, lang := range languages {
		e := digested(digest.Digest{Sites: []digest.Site{{Site: "plombiersgeneve.ch"}, {Site: "dentistgeneve.example"}}})
		m := planned(t, e, func(c *site.Catalog) { c.Sites["plombiersgeneve.ch"].Owner.Language = lang })[0]
		both(t, lang, m, loaded(t)[lang].say("digest_empty", words{}), "plombiersgeneve.ch", "dentistgeneve.example")
		if !strings.HasPrefix(m.Subject, "22.11.2026 ") || !strings.Contains(m.Subject, ": 0") {
			t.Errorf("%s: subject %q", lang, m.Subject)
		}
	}
}

func TestEveryLanguageHasTheSameAdvice(t *testing.T) {
	all := loaded(t)
	for lang, x := range all {
		for state := range all["en"].Calls {
			if says, ok := x.Calls[state]; !ok || says.Title.say(words{}) == "" || says.Next.say(words{}) == "" {
				t.Errorf("%s: nothing is said of a call that is %s", lang, state)
			}
		}
		if len(x.Calls) != len(all["en"].Calls) {
			t.Errorf("%s: says more than English", lang)
		}
	}
}
