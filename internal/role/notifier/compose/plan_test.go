package compose

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

var eventHash = regexp.MustCompile("-[0-9a-f]{8}$")

// what names the messages, without the hash of their event.
func what(messages []lead.Message) []string {
	var out []string
	for _, m := range messages {
		out = append(out, m.Recipient+" "+m.Channel+" "+eventHash.ReplaceAllString(m.Purpose, "-#"))
	}
	return out
}

func pick(t *testing.T, messages []lead.Message, name string) lead.Message {
	t.Helper()
	for i, w := range what(messages) {
		if w == name {
			return messages[i]
		}
	}
	t.Fatalf("no %q among %v", name, what(messages))
	return lead.Message{}
}

// canary makes the outcome that of a test lead.
func canary(b *event.Decided) {
	b.Lead.Flags = append(b.Lead.Flags, lead.FlagTest)
	b.Provider = &roster.Provider{ID: roster.Canary, Name: "Canary", Email: "canary@mail.example"}
}

func TestWhoIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		e      event.Event
		change func(*site.Catalog)
		want   []string
	}{
		"matched": {e: outcome(subjects.Matched, nil), want: []string{
			"provider whatsapp offer", "provider sms offer", "provider email offer", "customer sms confirmation",
			"owner email copy",
		}},
		"matched, a fixed line": {
			e:    outcome(subjects.Matched, func(b *event.Decided) { b.Lead.Phone.Type = "fixed" }),
			want: []string{"provider whatsapp offer", "provider sms offer", "provider email offer", "owner email copy"},
		},
		"matched, a provider with a mail address only": {
			e:    outcome(subjects.Matched, func(b *event.Decided) { b.Provider.SMS, b.Provider.WhatsApp = "", "" }),
			want: []string{"provider email offer", "customer sms confirmation", "owner email copy"},
		},
		"matched, a site without templates": {
			e:      outcome(subjects.Matched, nil),
			change: func(c *site.Catalog) { c.Sites["plombiersgeneve.ch"].Senders.WhatsApp.Templates = nil },
			want:   []string{"provider sms offer", "provider email offer", "customer sms confirmation", "owner email copy"},
		},
		"amended": {e: outcome(subjects.Amended, nil), want: []string{
			"provider whatsapp update-#", "provider sms update-#", "provider email update-#", "owner email copy-#",
		}},
		"amended by a customer who refuses": {
			e:    outcome(subjects.Amended, func(b *event.Decided) { b.Lead.Request.ContactConsent = new(bool) }),
			want: []string{"owner email copy-#"},
		},
		"reassigned": {e: outcome(subjects.Reassigned, nil), want: []string{
			"provider whatsapp offer", "provider sms offer", "provider email offer", "customer sms confirmation-correction",
			"owner email copy",
		}},
		"unserved":    {e: outcome(subjects.Unserved, nil), want: []string{"owner email alarm-raised-1", "owner sms alarm-raised-1"}},
		"review":      {e: outcome(subjects.ReviewRequested, nil), want: []string{"owner email alarm-raised-1", "owner sms alarm-raised-1"}},
		"a test lead": {e: outcome(subjects.Matched, canary), want: []string{"provider email offer"}},
		"a test lead, matched by a market without a mailbox": {
			e: outcome(subjects.Matched, func(b *event.Decided) { canary(b); b.Provider.Email = "" }),
		},
		"a test lead, amended": {e: outcome(subjects.Amended, canary)},
		"review, an owner without a phone": {
			e:      outcome(subjects.ReviewRequested, nil),
			change: func(c *site.Catalog) { c.Sites["plombiersgeneve.ch"].Owner.Phone = "" },
			want:   []string{"owner email alarm-raised-1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			messages := planned(t, c.e, c.change)
			if d := cmp.Diff(c.want, what(messages)); d != "" {
				t.Error(d)
			}
			ids := map[string]bool{}
			for _, m := range messages {
				if m.Of != len(messages) || m.From == "" || m.To == "" || m.Language == "" || m.Ref != "482 913" || (m.Lead == c.e.Lead.Lead) == strings.HasPrefix(m.Purpose, lead.PurposeRaised) {
					t.Errorf("incomplete: %+v", m)
				}
				if m.Channel == lead.Email && (m.Thread != c.e.Lead.Lead || m.Subject == "" || m.Text == "" || m.HTML == "") {
					t.Errorf("incomplete mail: %+v", m)
				}
				ids[m.ID] = true
			}
			if len(ids) != len(messages) {
				t.Error("two messages share an id")
			}
		})
	}
}

// The next provider's messages are none that were sent to the first.
func TestTheNextProviderIsToldAnew(t *testing.T) {
	messages := planned(t, outcome(subjects.Matched, nil), nil)
	messages = append(messages, planned(t, outcome(subjects.Reassigned, func(b *event.Decided) {
		b.Offer, b.Provider.ID, b.Provider.Name = "offer2", "lac", "Plomberie du Lac"
	}), nil)...)
	ids := map[string]bool{}
	for _, m := range messages {
		ids[m.ID] = true
	}
	if len(messages) != 10 || len(ids) != 10 {
		t.Fatalf("%v", what(messages))
	}
	if m := pick(t, messages, "customer sms confirmation-correction"); !strings.Contains(m.Text, "Plomberie du Lac") {
		t.Errorf("the customer reads %q", m.Text)
	}
}

// An event that is handled again, after a crash or in a replay, gives the same
// messages.
func TestTheSameEventGivesTheSameMessages(t *testing.T) {
	for _, e := range []event.Event{
		outcome(subjects.Matched, nil), outcome(subjects.Amended, nil), outcome(subjects.Unserved, nil), scanned(nil), raised(alarm.Drift, 2),
	} {
		if d := cmp.Diff(planned(t, e, nil), planned(t, e, nil)); d != "" {
			t.Errorf("%s: %s", e.Lead.Event, d)
		}
	}
}

func TestAnotherChangeIsAnotherUpdate(t *testing.T) {
	first, second := outcome(subjects.Amended, nil), outcome(subjects.Amended, nil)
	second.ID = "amended-2"
	a, b := planned(t, first, nil), planned(t, second, nil)
	for i := range a {
		if a[i].ID == b[i].ID {
			t.Errorf("%s is told once for two changes", what(a)[i])
		}
	}
}

func TestAMissingSiteIsNotGivenUp(t *testing.T) {
	c, err := New(catalog(t), "ch", nil, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Compose(outcome(subjects.Matched, func(b *event.Decided) { b.Lead.Site = "gone.example" }), nil)
	if fate, _ := event.Outcome(err, 1); fate != event.Redeliver {
		t.Errorf("fate %v", fate)
	}
}

func TestHealthStaysOutOfTextsAndSubjects(t *testing.T) {
	dental := func(kind string) event.Event {
		return outcome(kind, func(b *event.Decided) {
			b.Lead.Site = "dentistgeneve.example"
			b.Lead.Service = lead.Service{Raw: "rage de dents", ID: "dental.pain", Name: "Rage de dents"}
			b.Lead.Request.IssueSummary = "molaire infectée"
			b.Lead.Request.PreferredWindow = "avant mon opération"
			if kind != subjects.Matched {
				b.Lead.Service = lead.Service{Raw: "rage de dents"} // not understood, and still health
			}
		})
	}
	for _, kind := range []string{subjects.Matched, subjects.ReviewRequested} {
		mails := 0
		for _, m := range planned(t, dental(kind), nil) {
			short := m.Subject + m.Text
			if m.Channel == lead.Email {
				short = m.Subject
				if strings.Contains(m.Text, "molaire infectée") && strings.Contains(m.HTML, "molaire infectée") {
					mails++
				}
			}
			short = strings.ToLower(short + fmt.Sprint(m.ContentVariables))
			for _, word := range []string{"rage", "toothache", "molaire", "opération", "operation"} {
				if strings.Contains(short, word) {
					t.Errorf("%s %s to %s says %q: %s", m.Channel, m.Purpose, m.Recipient, word, short)
				}
			}
			if m.Recipient == lead.ToProvider && m.Channel != lead.Email && !strings.Contains(short, "nouvelle demande") {
				t.Errorf("no neutral wording: %s", short)
			}
		}
		if mails == 0 {
			t.Errorf("%s: no mail holds the details", kind)
		}
	}
}

func TestWhatsAppTemplateAndVariables(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*site.Catalog)
		lead   func(*event.Decided)
		sid    string
		vars   map[string]string
	}{
		"the provider's first language": {sid: "HXofferfr", vars: map[string]string{
			"1": "Fuite d'eau", "2": "Carouge", "3": "Marta Salas", "4": "+41781230042", "5": "L'évier de la cuisine fuit (482 913)",
		}},
		"English, when there is none": {lead: func(b *event.Decided) { b.Provider.Languages = []string{"de"} }, sid: "HXofferen", vars: map[string]string{
			"1": "Water leak", "2": "Carouge", "3": "Marta Salas", "4": "+41781230042", "5": "L'évier de la cuisine fuit (482 913)",
		}},
		"any, when there is nothing else": {
			change: func(c *site.Catalog) {
				c.Sites["plombiersgeneve.ch"].Senders.WhatsApp.Templates["offer"] = map[string]string{"fr": "HXofferfr"}
			},
			lead: func(b *event.Decided) { b.Provider.Languages = []string{"id"} }, sid: "HXofferfr", vars: map[string]string{
				"1": "Fuite d'eau", "2": "Carouge", "3": "Marta Salas", "4": "+41781230042", "5": "L'évier de la cuisine fuit (482 913)",
			},
		},
		"nothing is empty": {
			lead: func(b *event.Decided) { b.Lead.Request.CustomerName, b.Lead.Request.IssueSummary = "", " \n " }, sid: "HXofferfr",
			vars: map[string]string{"1": "Fuite d'eau", "2": "Carouge", "3": "-", "4": "+41781230042", "5": "482 913"},
		},
		"no more variables than the template has": {
			change: func(c *site.Catalog) { c.Templates["HXofferfr"].Body = "{{1}} {{4}}" }, sid: "HXofferfr",
			vars: map[string]string{"1": "Fuite d'eau", "4": "+41781230042"},
		},
	} {
		m := pick(t, planned(t, outcome(subjects.Matched, c.lead), c.change), "provider whatsapp offer")
		if d := cmp.Diff(c.vars, m.ContentVariables); d != "" || m.ContentSID != c.sid {
			t.Errorf("%s: %s %s", name, m.ContentSID, d)
		}
	}
}

// What customers say, or what a caller makes the agent say, stays text.
func TestInjection(t *testing.T) {
	for name, said := range map[string]string{
		"line breaks":       "Marta\nSalas\r\n\r\nHello",
		"header":            "x\r\nBcc: victim@mail.example",
		"template":          "{{.}} {{.Phone}} {{1}} {{5}} {{define \"x\"}}",
		"script":            "<script>alert(1)</script><img src=x onerror=alert(1)>",
		"attribute":         `" onmouseover="alert(1)`,
		"10,000 characters": strings.Repeat("Ā long ", 1429),
		"10,000 in a row":   strings.Repeat("x", 10000),
		"emoji":             strings.Repeat("🔧🚿", 500),
		"right to left":     "مرتا سالاس \u202etxet\u202c",
		"NUL and bells":     "Mar\x00ta\a\x1b[31m",
		"broken UTF-8":      "Mar\xff\xfeta",
		"line separators":   "a\u2028b\u2029c\u0085d",
		"many spaces":       "a" + strings.Repeat(" ", 40) + "b\t\t\t\t\t\tc",
		"printf":            "%s%d%n ${jndi:ldap://x}",
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range []string{subjects.Matched, subjects.Amended, subjects.Reassigned, subjects.Unserved, subjects.ReviewRequested} {
				e := outcome(kind, func(b *event.Decided) {
					r := &b.Lead.Request
					r.CustomerName, r.IssueSummary, r.AddressLine, r.City, r.PreferredWindow, r.Urgency = said, said, said, said, said, said
					b.Lead.Service, b.Lead.Place = lead.Service{Raw: said, Name: said}, lead.Place{Raw: said, Name: said}
					b.Lead.Phone.Raw, b.Lead.Phone.Second = said, said
					b.Lead.Flags = []string{said}
				})
				for _, m := range planned(t, e, nil) {
					checkSafe(t, kind+" "+m.Channel+" "+m.Purpose, m)
				}
			}
		})
	}
}

func checkSafe(t *testing.T, name string, m lead.Message) {
	t.Helper()
	for _, header := range []string{m.Subject, m.From, m.To, m.Thread} {
		if strings.ContainsAny(header, "\r\n\x00\u2028\u2029\u0085") || utf8.RuneCountInString(header) > maxLine {
			t.Errorf("%s: header %q", name, header)
		}
	}
	for _, body := range []string{m.Subject, m.Text, m.HTML} {
		if !utf8.ValidString(body) || strings.ContainsAny(body, "\x00\a\x1b\u202e\r") {
			t.Errorf("%s: control characters in %.200q", name, body)
		}
		if len(body) > 100_000 {
			t.Errorf("%s: %d bytes", name, len(body))
		}
	}
	for _, tag := range []string{"<script", "<img", `" onmouseover`} {
		if strings.Contains(m.HTML, tag) {
			t.Errorf("%s: markup %q", name, tag)
		}
	}
	switch m.Channel {
	case lead.SMS:
		if n, gsm7 := segmentsOf(m.Text); !gsm7 || n > 2 || len([]rune(m.Text)) > longest {
			t.Errorf("%s: %d segments, GSM-7 %v: %q", name, n, gsm7, m.Text)
		}
		if !strings.Contains(m.Text, "482 913") || m.Recipient != lead.ToCustomer && !strings.Contains(m.Text, "+41781230042") {
			t.Errorf("%s: reference or phone lost: %q", name, m.Text)
		}
	case lead.WhatsApp:
		rendered := fill(catalog(t).Templates[m.ContentSID].Body, m.ContentVariables)
		if n := length(rendered, utf16Units); n > longestWhatsApp {
			t.Errorf("%s: %d characters", name, n)
		}
		for k, v := range m.ContentVariables {
			if v == "" || strings.ContainsAny(v, "\r\n\t") || strings.Contains(v, "     ") {
				t.Errorf("%s: variable %s is %q", name, k, v)
			}
		}
		if !strings.Contains(m.ContentVariables["5"], "482 913") || m.ContentVariables["4"] != "+41781230042" {
			t.Errorf("%s: reference or phone lost: %v", name, m.ContentVariables)
		}
	case lead.Email:
		if !strings.Contains(m.Text, "482 913") || !strings.Contains(m.HTML, "482 913") {
			t.Errorf("%s: no reference", name)
		}
	}
}

func TestWhatAnSMSCannotSayIsInTheMail(t *testing.T) {
	e := outcome(subjects.Matched, func(b *event.Decided) {
		b.Lead.Request.CustomerName, b.Lead.Request.IssueSummary = "مرتا سالاس", "Утечка воды на кухне"
	})
	messages := planned(t, e, nil)
	if d := cmp.Diff("URGENT Fuite d'eau, Carouge\n(nom dans l'e-mail) +41781230042\ndétails dans l'e-mail\nRéf 482 913 Plombiers Genève", pick(t, messages, "provider sms offer").Text); d != "" {
		t.Error(d)
	}
	m := pick(t, messages, "provider email offer")
	for _, want := range []string{"مرتا سالاس", "Утечка воды на кухне"} {
		if !strings.Contains(m.Text, want) || !strings.Contains(m.HTML, want) {
			t.Errorf("the mail lacks %q", want)
		}
	}
	// Without a mail address the number alone has to do.
	e.Body.(*event.Decided).Provider.Email = ""
	if text := pick(t, planned(t, e, nil), "provider sms offer").Text; strings.Contains(text, "mail") || !strings.Contains(text, "\n+41781230042\n") {
		t.Errorf("SMS %q", text)
	}
}

// The owner's copy lets the owner answer "why him, and what did you tell him?".
func TestTheOwnersCopyHoldsEverything(t *testing.T) {
	messages := planned(t, outcome(subjects.Matched, nil), nil)
	m := pick(t, messages, "owner email copy")
	if m.Subject != "[plombiersgeneve.ch] 482 913 Water leak, Carouge" {
		t.Errorf("subject %q", m.Subject)
	}
	for _, want := range []string{
		"Marta Salas", "+41781230042", "L'évier de la cuisine fuit.", "Rue Ancienne 12", "1227", "urgent",
		"“Carouche” → Carouge (carouge, fuzzy, 0.96)", "“fuite” → Fuite d'eau (plumbing.leak, phrase)", "“078 123 00 42” → +41781230042 (both, high, mobile)",
		"The phone number is not certain.", "23.11.2026 09:00",
		"Rapide Plomberie", "Plomberie du Lac Sàrl", "closed now, and takes no leads outside opening hours",
		"conv_01", "CA01", "agent_01", "offer1", "ch-plumbing", "gclid=abc utm_source=ads", "leadbus trace 7k2mq9xe8tr5wz3hnd6y",
	} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("the text part lacks %q", want)
		}
		escaped := strings.NewReplacer("'", "&#39;", "+", "&#43;").Replace(want)
		if !strings.Contains(m.HTML, escaped) {
			t.Errorf("the HTML part lacks %q", escaped)
		}
	}
	for _, sent := range messages[:4] {
		for l := range strings.Lines(sent.Text) {
			if l = strings.TrimSpace(l); l != "" && !strings.Contains(m.Text, l) {
				t.Errorf("the copy lacks %q of the %s to %s", l, sent.Channel, sent.Recipient)
			}
		}
	}
	if want := "Nouvelle demande : Fuite d'eau, Carouge. Marta Salas, +41781230042. L'évier de la cuisine fuit (482 913). Merci de rappeler."; !strings.Contains(m.Text, want) {
		t.Error("the WhatsApp message is not in it as the provider reads it")
	}
	fixed := outcome(subjects.Matched, func(b *event.Decided) { b.Lead.Phone.Type = "fixed" })
	if m := pick(t, planned(t, fixed, nil), "owner email copy"); !strings.Contains(m.Text, "not texted: no mobile number") {
		t.Error("the copy does not say why the customer got no text")
	}
}

func TestUrgent(t *testing.T) {
	for said, want := range map[string]bool{
		"urgent": true, "EMERGENCY": true, "très urgent": true, "dringend": true, "mendesak": true, "urgenza": true,
		"": false, "not urgent": false, "pas urgent": false, "nicht dringend": false, "tidak mendesak": false, "normal": false, "this week": false,
	} {
		if r := (lead.Request{Urgency: said}); r.Urgent() != want {
			t.Errorf("urgent(%q) = %v", said, !want)
		}
	}
}

// The owner reads what became of a text to the customer: once that it arrived, and
// once that it did not.
func TestTheOwnerReadsWhatBecameOfAText(t *testing.T) {
	e := outcome(subjects.Matched, nil)
	decided := *e.Body.(*event.Decided)
	text := pick(t, planned(t, e, nil), "customer sms confirmation")
	told := pick(t, texted(t, e, decided, text, nil), "owner email copy-confirmation")
	if !strings.Contains(told.Text, "The customer was told") || !strings.Contains(told.Text, "Rapide Plomberie vous appelle") {
		t.Errorf("%s", told.Text)
	}
	failed := pick(t, texted(t, e, decided, text, &lead.Failure{Vendor: "twilio", Code: "30006", Reason: "a landline"}), "owner email copy-confirmation-failed")
	if !strings.Contains(failed.Text, "The customer was not reached") || !strings.Contains(failed.Text, "twilio 30006 a landline") || failed.ID == told.ID {
		t.Errorf("%s", failed.Text)
	}
}

// A corrected number is texted; the same number is not texted again.
func TestACorrectedNumberIsTexted(t *testing.T) {
	match := outcome(subjects.Matched, nil)
	match.Seq = 1
	after := func(match, amended event.Event) *Standing {
		amended.Seq = 2
		return &Standing{Before: story.Of([]event.Event{match}), After: story.Of([]event.Event{match, amended})}
	}
	amended := outcome(subjects.Amended, func(b *event.Decided) { b.Lead.Phone.E164 = "+41781230076" })
	c, err := New(catalog(t), "ch", links, "https://leads.mail.example/")
	if err != nil {
		t.Fatal(err)
	}
	messages, err := c.Compose(amended, after(match, amended))
	if err != nil {
		t.Fatal(err)
	}
	customer := func(m lead.Message) bool { return m.Recipient == lead.ToCustomer }
	i := slices.IndexFunc(messages, customer)
	if i < 0 || messages[i].To != "+41781230076" {
		t.Fatalf("%v", what(messages))
	}
	first := messages[i].ID
	third := amended
	third.ID += "-third"
	if messages, err = c.Compose(third, after(match, third)); err != nil || messages[i].To != "+41781230076" || messages[i].ID == first {
		t.Errorf("a number corrected again has no text of its own: %v, %v", what(messages), err)
	}
	same, withdrawn := outcome(subjects.Amended, nil), match
	refused := *match.Body.(*event.Decided)
	refused.Lead.Request.ContactConsent = new(bool)
	withdrawn.Body = &refused
	if messages, err = c.Compose(same, after(withdrawn, same)); err != nil || !slices.ContainsFunc(messages, customer) {
		t.Errorf("who allows contact again is not texted: %v, %v", what(messages), err)
	}
	if messages, err = c.Compose(same, after(match, same)); err != nil || slices.ContainsFunc(messages, customer) {
		t.Errorf("%v, %v", what(messages), err)
	}
}
