package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/app"
	"leadbus/internal/engine/store"
	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/local/await"
	"leadbus/internal/roster"
	"leadbus/internal/subjects"
)

// Providers of the scenes: one is asked before the other.
const first, second = "rapide-plomberie", "chauffage-carouge"

// addresses of a provider, all of which are known to be broken soon.
const broken = "sms = '+41781230005', whatsapp = '+41781263024', email = 'bounce@prov.example'"

// only leaves the two providers of the scenes at work, at any hour, and changes the
// first one.
func (s *system) only(tb testing.TB, change string) {
	tb.Helper()
	s.row(tb, "ch", s.accept(tb, site1, call(nil)), told) // the roster is there
	query := fmt.Sprintf("update leadbus.provider set active = id in ('%s', '%s'), after_hours = true, priority = case id when '%s' then 1 else 2 end where market = 'ch'", first, second, first)
	if err := execSQL(tb.Context(), s.DatabaseURL, query); err != nil {
		tb.Fatal(err)
	}
	if change != "" {
		if err := execSQL(tb.Context(), s.DatabaseURL, "update leadbus.provider set "+change+" where market = 'ch' and id = '"+first+"'"); err != nil {
			tb.Fatal(err)
		}
	}
	s.rosterCopied(tb)
}

// rosterCopied waits until the market's bucket has what Postgres has.
func (s *system) rosterCopied(tb testing.TB) {
	tb.Helper()
	b, err := s.operatorConn(tb).Bucket(tb.Context(), subjects.BucketRoster)
	if err != nil {
		tb.Fatal(err)
	}
	db, err := app.OpenDatabase(tb.Context(), app.Settings{DatabaseURL: s.DatabaseURL})
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	want, err := db.Roster(tb.Context(), "ch")
	if err != nil {
		tb.Fatal(err)
	}
	await.Until(tb, func() bool {
		for _, p := range want {
			var got roster.Provider
			e, err := b.Get(tb.Context(), p.ID)
			if err != nil || json.Unmarshal(e.Value, &got) != nil || got.SMS != p.SMS || got.Email != p.Email || got.Active != p.Active || got.Priority != p.Priority {
				return false
			}
		}
		return true
	}, func() string { return "the roster is not copied" })
}

// with waits until the lead is told to a provider.
func with(provider string) func(store.Lead) bool {
	return func(l store.Lead) bool { return l.Provider == provider && told(l) }
}

// to are the messages of a lead to a provider.
func to(l store.Lead, provider string) (all []store.Message) {
	for _, m := range l.Messages {
		if m.Provider == provider {
			all = append(all, m)
		}
	}
	return all
}

// A provider whose every address fails: the next one has the job, the customer hears
// of it once, the owner gets one alarm, and the next leads go straight to the next
// one. A corrected address is asked again.
func TestALeadGoesOnWhenItsProviderCannotBeReached(t *testing.T) {
	s := start(t, settings(t))
	s.only(t, broken)
	id := s.accept(t, site1, call(nil))
	l := s.row(t, "ch", id, with(second))
	if got := to(l, first); len(got) != 3 {
		t.Errorf("the first provider was written to on %d channels: %+v", len(got), got)
	}
	var lastReceipt, matched time.Time
	for _, e := range s.events(t, "ch", id) {
		switch b := e.Body.(type) {
		case *event.Reported:
			if b.Receipt.State == lead.MessageFailed && matched.IsZero() {
				lastReceipt = e.Stored
			}
		case *event.Decided:
			if b.Provider != nil && b.Provider.ID == second {
				matched = e.Stored
			}
		}
	}
	if took := matched.Sub(lastReceipt); matched.IsZero() || took > 10*time.Second {
		t.Errorf("the second provider had it %s after the last receipt", took)
	}
	texts := map[string]int{}
	for _, m := range l.Messages {
		if m.Recipient == lead.ToCustomer {
			texts[m.Purpose]++
		}
	}
	if texts[lead.PurposeConfirmation] != 1 || texts[lead.PurposeCorrection] != 1 || len(texts) != 2 {
		t.Errorf("texts to the customer: %v", texts)
	}
	st := s.raised(t, alarm.Unreachable, first, func(st alarm.State) bool { return len(st.Facts) == 3 })
	s.ownerTold(t, st.ID, 2)

	for range 3 {
		l := s.row(t, "ch", s.accept(t, site1, call(nil)), with(second))
		if tried := to(l, first); len(l.Offers) != 1 || len(tried) > 0 {
			t.Errorf("offers %+v, messages to the first: %+v", l.Offers, tried)
		}
		trace := ""
		for _, e := range s.events(t, "ch", l.ID) {
			if b, ok := e.Body.(*event.Decided); ok {
				for _, v := range b.Trace {
					trace += v.Provider + ": " + v.Reason + "\n"
				}
			}
		}
		if !strings.Contains(trace, first+": cannot be reached: whatsapp: broken (twilio 63024), sms: broken (twilio 30005), email: broken (mailgun ") {
			t.Errorf("the trace does not say why:\n%s", trace)
		}
	}
	if mails, texts := s.called(t); len(mails) != 1 || len(texts) != 1 {
		t.Errorf("the owner got %d mails and %d texts", len(mails), len(texts))
	}

	file := filepath.Join(t.TempDir(), "roster.yaml")
	text, err := os.ReadFile("../config/roster.yaml")
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, stderr, err := s.leadbus(t, "roster", "import", file); err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr)
	}
	if err := execSQL(t.Context(), s.DatabaseURL, fmt.Sprintf("update leadbus.provider set active = id in ('%s', '%s') where market = 'ch'", first, second)); err != nil {
		t.Fatal(err)
	}
	s.rosterCopied(t)
	if l := s.row(t, "ch", s.accept(t, site1, call(nil)), with(first)); len(l.Offers) != 1 {
		t.Errorf("offers %+v", l.Offers)
	}
}

// Nobody of the market can be reached: no lead is lost, the customers hear it, and
// the owner is called once, whatever the number of leads.
func TestNobodyCanBeReached(t *testing.T) {
	s := start(t, settings(t))
	s.only(t, "")
	if err := execSQL(t.Context(), s.DatabaseURL, "update leadbus.provider set "+broken+" where market = 'ch'"); err != nil {
		t.Fatal(err)
	}
	s.rosterCopied(t)
	var ids []string
	for range 3 {
		ids = append(ids, s.accept(t, site1, call(nil)))
	}
	for _, id := range ids {
		s.row(t, "ch", id, func(l store.Lead) bool {
			reached := map[string]bool{}
			for _, m := range l.Messages {
				if m.State == string(lead.MessageDelivered) {
					reached[m.Recipient+" "+m.Purpose] = true
				}
			}
			return l.Status == string(lead.Unserved) && told(l) && reached["customer "+lead.PurposeUnserved] && len(l.Offers) <= 2
		})
	}
	st := s.raised(t, alarm.NoneReachable, "", func(st alarm.State) bool { return len(st.Leads) == 3 })
	s.ownerTold(t, st.ID, 2)
	if st.Notified != 1 {
		t.Errorf("the owner was called %d times", st.Notified)
	}
	mails, _ := s.called(t)
	if n := len(slices.DeleteFunc(mails, func(m sent) bool { return !strings.Contains(m.Subject, "No provider can be reached") })); n != 1 {
		t.Errorf("%d mails say that nobody can be reached", n)
	}

	// The owner corrects an address, and gives the leads to that provider.
	if err := execSQL(t.Context(), s.DatabaseURL, "update leadbus.provider set sms = '+41781234503' where market = 'ch' and id = $1", second); err != nil {
		t.Fatal(err)
	}
	s.rosterCopied(t)
	for _, id := range ids {
		if out, stderr, err := s.leadbus(t, "lead", "assign", id, "--provider", second); err != nil || !strings.Contains(out, ", with "+second) {
			t.Fatalf("%v\n%s%s", err, out, stderr)
		}
		s.row(t, "ch", id, func(l store.Lead) bool { return l.Status == string(lead.Notified) && told(l) })
	}
	s.repeat(t, time.Hour)
	s.raised(t, alarm.NoneReachable, "", func(st alarm.State) bool { return !st.Answered.IsZero() })
}

// offering is a configuration in which the site of the scenes offers its leads, with
// windows that a scene can wait for, and in which no hour is quiet.
func offering(tb testing.TB, dispatch string) app.RunSettings {
	tb.Helper()
	cfg := settings(tb)
	cfg.Config = filepath.Join(tb.TempDir(), "config")
	if err := os.CopyFS(cfg.Config, os.DirFS("../config")); err != nil {
		tb.Fatal(err)
	}
	for name, change := range map[string]func(string) string{
		"sites/" + site1 + ".yaml": func(text string) string { return text + "\ndispatch: " + dispatch + "\n" },
		"markets/ch.yaml":          func(text string) string { return regexp.MustCompile("(?m)^quiet:.*$").ReplaceAllString(text, "") },
	} {
		file := filepath.Join(cfg.Config, filepath.FromSlash(name))
		text, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(file, []byte(change(string(text))), 0o600)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return cfg
}

// answer presses a button of the page that a mail about a lead links to.
func (s *system) answer(tb testing.TB, id, address string, form url.Values) string {
	tb.Helper()
	all := s.sandboxMessages(tb)
	i := slices.IndexFunc(all, func(m sent) bool {
		return m.To == address && m.Channel == lead.Email && strings.Contains(m.Subject, lead.Ref(id)) && linked.MatchString(m.Text)
	})
	if i < 0 {
		tb.Fatalf("no mail with a link to %s", address)
	}
	return s.page(tb, linked.FindStringSubmatch(all[i].Text)[1], form)
}

// turned is the turn of the lead on the owner's page.
var turned = regexp.MustCompile(`name="turn" value="([^"]+)"`)

// page opens a link, or answers by it.
func (s *system) page(tb testing.TB, token string, form url.Values) (page string) {
	tb.Helper()
	await.True(tb, "the page is shown", func() bool {
		res, err := http.Get(s.EdgeURL + link.Path + token)
		if form != nil {
			res, err = http.PostForm(s.EdgeURL+link.Path+token, form)
		}
		if err != nil {
			tb.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		page = string(text)
		if res.StatusCode == http.StatusServiceUnavailable { // the matcher has no time to answer
			return false
		}
		if err != nil || res.StatusCode != http.StatusOK {
			tb.Fatalf("%s %v: %s", res.Status, err, page)
		}
		return true
	})
	return page
}

// standing are the offers of a lead, in order.
func standing(l store.Lead) (all []string) {
	for _, o := range l.Offers {
		all = append(all, o.Provider+" "+o.State)
	}
	return all
}

// Offered leads: who declines passes the lead on at once, who is silent when the
// window is over; the list ends with the owner, who assigns it by a tap; and who
// accepts has it, and is told name and number only then.
func TestAnOfferedLeadGoesOnByItself(t *testing.T) {
	s := start(t, offering(t, `{mode: offer, class: standard, classes: {standard: {window: 2s, page: 3s, text: 1s}, same_day: {window: 1h, page: 2h, text: 1h}}}`))
	s.only(t, "")
	mailTo := func(p string) string {
		return map[string]string{first: "demandes@rapide-plomberie.example", second: "service@chauffage-carouge.example"}[p] //nolint:misspell // French
	}

	// Silent providers.
	id := s.accept(t, site1, call(nil))
	l := s.row(t, "ch", id, func(l store.Lead) bool {
		return l.Status == string(lead.Unserved) && told(l) && slices.ContainsFunc(l.Messages, func(m store.Message) bool { return m.Purpose == lead.PurposeUnserved }) &&
			slices.ContainsFunc(l.Messages, func(m store.Message) bool { return m.Purpose == lead.PurposeWithdrawn })
	})
	if d := cmp.Diff([]string{first + " expired", second + " expired"}, standing(l)); d != "" {
		t.Error(d)
	}
	texts := map[string]int{}
	for _, m := range l.Messages {
		texts[m.Recipient+" "+m.Purpose+" "+m.Channel]++
	}
	for _, want := range []string{"customer searching sms", "customer delayed sms", "customer unserved sms", "provider withdrawn sms", "owner copy email"} {
		if texts[want] == 0 {
			t.Errorf("no %s: %v", want, texts)
		}
	}
	if texts["customer confirmation sms"] > 0 || texts["customer delayed sms"] != 1 {
		t.Errorf("%v", texts)
	}
	st := s.raised(t, alarm.Unserved, id, func(alarm.State) bool { return true })
	s.ownerTold(t, st.ID, 2)

	// The owner assigns it by the link of the alarm, and the provider accepts.
	for _, m := range s.sandboxMessages(t) {
		if m.Channel != lead.Email || !strings.HasPrefix(m.Subject, "ACTION") {
			continue
		}
		for _, found := range linked.FindAllStringSubmatch(m.Text, -1) {
			page := s.page(t, found[1], nil)
			if turn := turned.FindStringSubmatch(page); turn != nil { // the link to the lead
				s.page(t, found[1], url.Values{"answer": {event.Assign}, "provider": {second}, "turn": {turn[1]}})
			}
		}
	}
	s.row(t, "ch", id, func(l store.Lead) bool { return len(l.Offers) > 2 && l.Offers[2].Provider == second })

	// An urgent one, with an hour to answer: declined, then accepted.
	id = s.accept(t, site1, call(map[string]any{"urgency": "urgent", "customer_name": "Zebulon Quux"}))
	s.row(t, "ch", id, func(l store.Lead) bool { return len(to(l, first)) == 3 && l.Status == string(lead.Notified) })
	for _, m := range s.sandboxMessages(t) {
		if strings.HasPrefix(m.To, "+4178123450") && (strings.Contains(m.Text, "Zebulon") || strings.Contains(m.Text, "78124")) {
			t.Errorf("a provider who has not accepted reads %q", m.Text)
		}
	}
	if page := s.answer(t, id, mailTo(first), url.Values{"answer": {event.Decline}, "reason": {"no_time"}}); strings.Contains(page, "Zebulon") {
		t.Error("who declines reads who called")
	}
	s.row(t, "ch", id, func(l store.Lead) bool {
		return l.Provider == second && l.Status == string(lead.Notified) && len(to(l, second)) == 3
	})
	if page := s.answer(t, id, mailTo(second), url.Values{"answer": {event.Accept}}); !strings.Contains(page, "Zebulon") {
		t.Errorf("who accepts does not read who called:\n%s", page)
	}
	l = s.row(t, "ch", id, func(l store.Lead) bool {
		return l.Status == string(lead.Accepted) && told(l) && slices.ContainsFunc(l.Messages, func(m store.Message) bool { return m.Purpose == lead.PurposeConfirmation })
	})
	if d := cmp.Diff([]string{first + " declined", second + " accepted"}, standing(l)); d != "" {
		t.Error(d)
	}
	s.answer(t, id, mailTo(second), url.Values{"answer": {event.Done}, "value": {"450 CHF"}})
	if l = s.row(t, "ch", id, func(l store.Lead) bool { return l.Status == string(lead.Converted) }); l.Value != "450 CHF" {
		t.Errorf("%+v", l.Lead)
	}
}

// A provider accepts by the button below the WhatsApp message; a late tap on the same
// button changes nothing.
func TestAnOfferIsAcceptedByAButton(t *testing.T) {
	s := start(t, offering(t, `{mode: offer, classes: {standard: {window: 1h, page: 2h, text: 1h}}}`))
	s.only(t, "")
	id := s.accept(t, site1, call(nil))
	s.row(t, "ch", id, func(l store.Lead) bool { return len(to(l, first)) == 3 && told(l) })
	var all []struct {
		Channel, From, To string
		IDs               map[string]string
		Buttons           []struct{ Text, Payload string }
	}
	s.getJSON(t, s.SandboxURL+"/api/messages", &all)
	pressed := false
	for _, m := range all {
		if m.Channel != lead.WhatsApp || m.IDs["lead"] != id || len(m.Buttons) != 2 {
			continue
		}
		body, err := json.Marshal(map[string]string{"channel": lead.WhatsApp, "from": m.To, "to": m.From, "text": m.Buttons[0].Text, "button": m.Buttons[0].Payload})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			s.send(t, http.MethodPost, s.SandboxURL+"/api/texts", string(body))
		}
		pressed = true
	}
	if !pressed {
		t.Fatalf("no message with buttons: %+v", all)
	}
	l := s.row(t, "ch", id, func(l store.Lead) bool { return l.Status == string(lead.Accepted) && told(l) })
	if d := cmp.Diff([]string{first + " accepted"}, standing(l)); d != "" {
		t.Error(d)
	}
}

// A provider confirms by the links of an import that messages arrive; until then
// nothing is known of the addresses.
func TestAProviderConfirmsTheAddresses(t *testing.T) {
	s := start(t, settings(t))
	s.only(t, "")
	s.send(t, http.MethodPut, s.SandboxURL+"/api/faults", `{"callbacks": {"held": 1}}`)
	file := filepath.Join(t.TempDir(), "roster.csv")
	const row = "new-plumber,ch,Nouveau Plombier,true,1,plumbing.leak,geneve,fr,mon-fri 08:00-18:00,true,+41781234599,neuf@plombier.example\n"
	if err := os.WriteFile(file, []byte("id,market,name,active,priority,services,places,languages,hours,after_hours,sms,email\n"+row), 0o600); err != nil {
		t.Fatal(err)
	}
	out, stderr, err := s.leadbus(t, "roster", "import", file, "--verify")
	if err != nil || !strings.Contains(out, "asked to confirm: new-plumber (sms, email)") {
		t.Fatalf("%v\n%s%s", err, out, stderr)
	}
	list := func() string {
		out, stderr, err := s.leadbus(t, "roster", "list", "--market", "ch")
		if err != nil {
			t.Fatalf("%v\n%s", err, stderr)
		}
		i := strings.Index(out, "new-plumber")
		return out[i : i+strings.IndexByte(out[i:], '\n')]
	}
	links := map[string]string{}
	await.Until(t, func() bool {
		for _, m := range s.sandboxMessages(t) {
			if found := linked.FindStringSubmatch(m.Text); found != nil && (m.To == "+41781234599" || m.To == "neuf@plombier.example") {
				links[m.Channel] = found[1]
			}
		}
		return len(links) == 2
	}, func() string { return fmt.Sprint(links) })
	if l := list(); strings.Count(l, "unverified") != 2 {
		t.Error(l)
	}
	s.page(t, links[lead.SMS], nil)
	if l := list(); strings.Count(l, "unverified") != 2 {
		t.Error("a look at the page confirms: ", l)
	}
	s.page(t, links[lead.SMS], url.Values{"answer": {"verify"}})
	await.Until(t, func() bool {
		l := list()
		return strings.Contains(l, "sms healthy") && strings.Contains(l, "email unverified")
	}, list)
	if out, _, err := s.leadbus(t, "roster", "import", file, "--verify"); err != nil || !strings.Contains(out, "asked to confirm: new-plumber (email)") {
		t.Errorf("%v %s", err, out)
	}
}
