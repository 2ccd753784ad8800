package compose

import (
	"fmt"
	"html"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/role/scanner/quality"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

// scanned is a call whose agent said goodbye first; its lead was saved.
func scanned(change func(*event.Scanned)) event.Event {
	l := exampleLead()
	l.Flags = []string{"recovered", "place_unknown"}
	b := &event.Scanned{
		Lead: &l, Status: "recovered",
		Call: call.Call{
			ID: "conv_01", Site: l.Site, AgentID: "agent_01", Version: "v7", StartedAt: start, Seconds: 75,
			CallSID: "CA01", CallerID: "+41781230042", Called: "+41225394512", Ended: "end_call tool was called", Language: "fr",
			Turns: []call.Turn{
				{Who: call.Agent, Text: "Bonjour, ici l'assistant virtuel.", Second: 0},
				{Who: call.Caller, Text: "L'évier fuit, <b>vite</b> !", Second: 7},
				{Who: call.Agent, Text: "Je m'en occupe,", Second: 15, Interrupted: true},
				{Who: call.Agent, Text: "Merci, au revoir !", Second: 65},
			},
			Tools:     []call.ToolUse{{Name: call.Tool, Second: 16, Turn: 3, Ran: true, Answered: true, Failed: true, ErrorType: "timeout"}},
			Summary:   "Une fuite sous l'évier.",
			Collected: map[string]string{"sentiment": "worried", "next_step": "Call back today.", "city": "Carouge"},
			Criteria:  map[string]call.Criterion{"was_polite": {Result: "success", Rationale: "It greeted."}}, Successful: "failure",
		},
		Scan: call.Scan{Eligible: true, Recovered: true, Findings: []call.Finding{
			{Detector: call.MissedDispatch, Severity: quality.Rescue, Sentence: "L'évier fuit, <b>vite</b> !", Second: 7, Detail: "dispatch_lead failed: timeout"},
			{Detector: call.CloseBeforeDispatch, Severity: quality.Count, Sentence: "Merci, au revoir !", Second: 65},
		}},
	}
	if change != nil {
		change(b)
	}
	return event.Event{
		ID: "call-scanned-" + l.ID, At: start, Body: b,
		Lead: subjects.Lead{Market: l.Market, Site: l.Site, Event: subjects.CallScanned, Lead: l.ID},
	}
}

var tags = regexp.MustCompile(`<[^>]*>`)

// seen is what a reader of the HTML part sees.
func seen(m lead.Message) string { return html.UnescapeString(tags.ReplaceAllString(m.HTML, " ")) }

// both checks that the two parts of a mail say the same.
func both(t *testing.T, name string, m lead.Message, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(m.Text, w) {
			t.Errorf("%s: the text part lacks %q:\n%s", name, w, m.Text)
		}
		if !strings.Contains(seen(m), w) {
			t.Errorf("%s: the HTML part lacks %q:\n%s", name, w, seen(m))
		}
	}
}

func TestTheMailOnACallHoldsEverything(t *testing.T) {
	messages := planned(t, scanned(nil), func(c *site.Catalog) {
		s := c.Sites["plombiersgeneve.ch"]
		s.Owner.Copies = []string{"partner@mail.example", "office@mail.example"}
	})
	if d := cmp.Diff([]string{"owner email call", "owner email call-copy-1", "owner email call-copy-2"}, what(messages)); d != "" {
		t.Fatal(d)
	}
	m := messages[0]
	both(t, "call", m,
		"A request was saved from this call", "Nothing to do.",
		"Une fuite sous l'évier.", "Call back today.", "worried", "failure", "recovered", "23.11.2026 09:00", "1:15", "end_call tool was called",
		"0:07 The agent did not pass the request on", "“L'évier fuit, <b>vite</b> !”", "dispatch_lead failed: timeout",
		"1:05 The agent said goodbye before passing the request on", "“Merci, au revoir !”",
		"Marta Salas", "+41781230042", "Carouge", "The place was not understood.",
		"was_polite", "success: It greeted.", "city",
		"0:00 Agent", "Bonjour, ici l'assistant virtuel.", "0:07 Caller", "0:15 Agent (interrupted)", "0:16 dispatch_lead", "failed: timeout",
		"leadbus trace 7k2mq9xe8tr5wz3hnd6y", "conv_01", "CA01", "agent_01", "v7",
	)
	if strings.Contains(m.HTML, "<b>vite") {
		t.Error("what the caller said is markup")
	}
	for i, to := range []string{"owner@mail.example", "partner@mail.example", "office@mail.example"} {
		if messages[i].To != to || messages[i].Text != m.Text {
			t.Errorf("message %d to %s differs", i, messages[i].To)
		}
	}
	// It stands in one thread with the copies of the lead.
	c := pick(t, planned(t, outcome(subjects.Matched, nil), nil), "owner email copy")
	if c.Thread != m.Thread || c.Subject != m.Subject {
		t.Errorf("thread %q %q, copy %q %q", m.Thread, m.Subject, c.Thread, c.Subject)
	}
}

func TestWhatACallDidNotTellIsSaidToBeMissing(t *testing.T) {
	m := pick(t, planned(t, scanned(func(b *event.Scanned) {
		*b = event.Scanned{Call: call.Call{ID: "conv_01"}, Scan: call.Scan{Why: "fewer than two caller turns"}}
	}), nil), "owner email call")
	both(t, "bare call", m, "A call without a request", "not assessed", "no request (fewer than two caller turns)", "Nothing.")
	for _, label := range []string{"Summary", "Next step, as noted", "Judged", "Began", "Lasted", "Ended", "Caller's number"} {
		if !strings.Contains(m.Text, label+": not reported\n") {
			t.Errorf("%s is not said to be missing:\n%s", label, m.Text)
		}
	}
	if n := strings.Count(m.Text, "\n  not reported\n"); n != 3 { // evaluation, notes, transcript
		t.Errorf("%d sections are said to be missing", n)
	}
	if m.Subject != "[plombiersgeneve.ch] "+lead.Ref(exampleLead().ID)+" Call" || m.Thread != exampleLead().ID {
		t.Errorf("subject %q, thread %q", m.Subject, m.Thread)
	}
	if strings.Contains(m.Text+m.HTML, "0001") {
		t.Error("an unknown time is shown")
	}
}

func TestWhatToDoAfterACall(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*event.Scanned)
		says   []string
		call   bool // a button to call the customer
		ask    bool // links to answer
	}{
		"passed on":      {func(b *event.Scanned) { b.Status, b.Provider = "matched", "Rapide Plomberie" }, []string{"Rapide Plomberie has the request", "Nothing to do"}, false, false},
		"told":           {func(b *event.Scanned) { b.Status, b.Provider = "notified", "Rapide Plomberie" }, []string{"Rapide Plomberie has the request"}, false, false},
		"on its way":     {func(b *event.Scanned) { b.Status = "pending" }, []string{"is on its way"}, false, false},
		"nobody":         {func(b *event.Scanned) { b.Status = "unserved" }, []string{"Nobody can take", "Call the customer"}, true, false},
		"not understood": {func(b *event.Scanned) { b.Status = "needs_review" }, []string{"needs you"}, true, false},
		"saved":          {nil, []string{"was saved", "Nothing to do"}, false, false},
		"asked": {func(b *event.Scanned) { b.Status, b.Lead.Place = "asked", lead.Place{Raw: "Xyzzy"} }, []string{
			"waits for your answer", "confirm or drop", "The place was not understood.", "Confirm the request", "Drop it",
		}, true, true},
		"asked, though a person has the caller": {func(b *event.Scanned) {
			b.Status, b.Lead.Flags = "asked", []string{"recovered", lead.FlagTransferred, lead.FlagNoPhoneCall}
		}, []string{"does not go out without you", "A person took over the call", "by the website"}, true, true},
		"asked, without a number": {func(b *event.Scanned) { b.Status, b.Lead.Phone = "asked", lead.Phone{} }, []string{"call the customer back yourself"}, true, true},
		"missed":                  {func(b *event.Scanned) { b.Status, b.Lead = "", nil }, []string{"not served", "Call the customer back"}, true, false},
		"something new":           {func(b *event.Scanned) { b.Status = "converted" }, []string{"What became of this call: converted"}, false, false},
	} {
		messages := planned(t, scanned(c.change), func(c *site.Catalog) {
			c.Sites["plombiersgeneve.ch"].Owner.Copies = []string{"partner@mail.example"}
		})
		m := messages[0]
		both(t, name, m, c.says...)
		if got := strings.Contains(m.HTML, `href="tel:&#43;41781230042"`); got != c.call {
			t.Errorf("%s: a button to call: %v", name, got)
		}
		if got := strings.Count(m.HTML, link.Path); got != map[bool]int{false: 0, true: 2}[c.ask] {
			t.Errorf("%s: %d links", name, got)
		}
		if strings.Contains(messages[1].Text+messages[1].HTML, link.Path) {
			t.Errorf("%s: a copy can answer for the owner", name)
		}
	}
}

var linked = regexp.MustCompile(`https://leads\.mail\.example/v1/links/([A-Za-z0-9_-]+)`)

func TestTheLinkAsksAboutTheLead(t *testing.T) {
	e := scanned(func(b *event.Scanned) { b.Status = "asked" })
	m := pick(t, planned(t, e, nil), "owner email call")
	found := linked.FindAllStringSubmatch(m.Text, -1)
	if len(found) != 2 || found[0][1] != found[1][1] || !strings.Contains(m.Text, found[1][0]+"?answer=drop\n") {
		t.Fatalf("links %v in %s", found, m.Text)
	}
	got, err := links.Read(found[0][1], start)
	want := link.Link{Market: "ch", Site: "plombiersgeneve.ch", ID: e.Lead.Lead, Asks: link.Recover, Until: start.Add(link.Life)}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}

// What a fuller report shows is another mail, and the same twice is not.
func TestAFullerReportIsAnotherMail(t *testing.T) {
	ids := map[string]bool{}
	for _, before := range []int{0, 1, 1, 2} {
		for _, m := range planned(t, scanned(func(b *event.Scanned) { b.Before = before }), nil) {
			ids[m.ID] = true
		}
	}
	if len(ids) != 3 {
		t.Errorf("%d mails on three reports", len(ids))
	}
}

func TestCallsThatAreNotMailed(t *testing.T) {
	elsewhere := scanned(func(b *event.Scanned) { b.Lead, b.Status = nil, "" })
	elsewhere.Lead.Site = "unknown.invalid"
	for name, e := range map[string]event.Event{
		"a test":             scanned(func(b *event.Scanned) { b.Scan.Eligible, b.Scan.Why = false, "test" }),
		"a test's lead":      scanned(func(b *event.Scanned) { b.Lead.Flags = []string{"test"} }),
		"of no site of ours": elsewhere,
	} {
		if got := planned(t, e, nil); len(got) != 0 {
			t.Errorf("%s: %v", name, what(got))
		}
	}
}

func TestHealthStaysOutOfASubjectOnACall(t *testing.T) {
	for name, change := range map[string]func(*event.Scanned){
		"with a lead": func(b *event.Scanned) {
			b.Lead.Service = lead.Service{ID: "dental.pain", Name: "Rage de dents"}
		},
		"without": func(b *event.Scanned) { b.Lead, b.Status = nil, "" },
	} {
		e := scanned(change)
		e.Lead.Site = "dentistgeneve.example"
		m := pick(t, planned(t, e, nil), "owner email call")
		if s := strings.ToLower(m.Subject); strings.Contains(s, "dents") || strings.Contains(s, "toothache") || strings.Contains(s, "leak") {
			t.Errorf("%s: %q", name, m.Subject)
		}
	}
}

// However long a call was and whatever was said in it, its mail fits the bus.
func TestTheLongestCallFits(t *testing.T) {
	for name, said := range map[string]string{
		"words": strings.Repeat("un deux trois ", 400), "quotes": strings.Repeat(`"'<&`, 1400), "turns": "oui", "one word": strings.Repeat("x", 300_000),
		"control characters": strings.Repeat("\x00\u202e\r\n", 1000), "script": "<script>alert(1)</script>",
	} {
		e := scanned(func(b *event.Scanned) {
			b.Call.Turns = nil
			for i := range 5000 {
				b.Call.Turns = append(b.Call.Turns, call.Turn{Who: call.Caller, Text: said, Second: i})
			}
			for i := range 200 {
				b.Call.Criteria[fmt.Sprint(i, said)] = call.Criterion{Result: said, Rationale: said}
				b.Call.Collected[fmt.Sprint(i, said)] = said
			}
			b.Call.Summary, b.Call.Ended, b.Call.CallerID, b.Scan.Findings[0].Sentence = said, said, "+"+said, said
		})
		m := pick(t, planned(t, e, nil), "owner email call")
		queued := e
		queued.Lead.Event, queued.Body = subjects.MessageQueued, &event.Queued{Message: m}
		data, err := event.Encode(queued)
		if err != nil || len(data) > 900_000 {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
		if !strings.Contains(m.Text, "The rest is too long for an e-mail") || !strings.Contains(m.Text, "leadbus trace") {
			t.Errorf("%s: cut, and not said so", name)
		}
		if strings.Contains(m.HTML, "<script") || strings.ContainsAny(m.Text+m.HTML, "\x00\u202e\r") {
			t.Errorf("%s: not clean", name)
		}
	}
}
