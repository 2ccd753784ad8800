package test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/engine/store"
	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

// A caller reaches any of the sites. The lead is recorded, a provider is
// found, and provider, customer and owner are told.
func TestALeadOfEverySiteGoesAllTheWay(t *testing.T) {
	s := start(t, settings(t))
	if len(s.Catalog.Sites) != 9 {
		t.Fatalf("%d sites", len(s.Catalog.Sites))
	}
	for domain, site := range s.Catalog.Sites {
		t.Run(domain, func(t *testing.T) {
			t.Parallel()
			body := call(map[string]any{
				"caller_id": mobile(site.Market), "language": site.Languages[0],
				"service_type": site.Services[0].ID, "city": s.place(site),
			})
			id := s.accept(t, domain, body)
			text := lead.PurposeConfirmation
			if site.Dispatch.Mode != "" { // a provider has to accept it first; several may be asked
				text = lead.PurposeSearching
			}
			row := s.row(t, site.Market, id, func(l store.Lead) bool { return told(l) && len(slices.Compact(outcomes(l))) == 6 })
			if row.Status != string(lead.Notified) || row.Provider == "" {
				t.Errorf("status %q, provider %q", row.Status, row.Provider)
			}
			want := []string{
				"customer sms " + text + " delivered",
				"owner email copy delivered", "owner email copy-" + text + " delivered",
				"provider email offer delivered", "provider sms offer delivered", "provider whatsapp offer delivered",
			}
			if d := cmp.Diff(want, slices.Compact(outcomes(row))); d != "" {
				t.Error(d)
			}
		})
	}
}

// outcomes are the row's messages as sorted words; read counts as delivered.
func outcomes(l store.Lead) []string {
	var out []string
	for _, m := range l.Messages {
		state := m.State
		if state == string(lead.MessageRead) {
			state = string(lead.MessageDelivered)
		}
		out = append(out, strings.Join([]string{m.Recipient, m.Channel, m.Purpose, state}, " "))
	}
	slices.Sort(out)
	return out
}

func (s *system) place(of *site.Site) string {
	for _, p := range s.Catalog.Markets[of.Market].Places {
		if p.ID == of.Places[0] {
			return p.Name
		}
	}
	return ""
}

// mobile is an example mobile number of a market's country.
func mobile(market string) string {
	n := conversations.Add(1)
	switch market {
	case "id":
		return fmt.Sprintf("+628123454%04d", n%10000)
	case "fr":
		return fmt.Sprintf("+3361234%04d", n)
	default:
		return fmt.Sprintf("+4178124%04d", n)
	}
}

// The agent's tool call is repeated: by the model, by an interruption, five
// times at the same moment. It stays one lead with one set of messages.
func TestTheSameCallAgainIsOneLead(t *testing.T) {
	s := start(t, settings(t))
	body := call(nil)
	id := s.accept(t, site1, body)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() { s.accept(t, site1, body) })
	}
	await.Return(t, "the repeats are answered", wg.Wait)
	first := s.row(t, "ch", id, allTold(6))

	// Another lead behind it in every queue: when that one is told, the
	// repeats have been handled too.
	s.row(t, "ch", s.accept(t, site1, call(nil)), told)
	again := s.row(t, "ch", id, allTold(6))
	if d := cmp.Diff(outcomes(first), outcomes(again)); d != "" {
		t.Error(d)
	}
	if n := len(s.sandboxMessages(t)); n != 12 {
		t.Errorf("two leads made %d messages, want 12", n)
	}
	received := 0
	for _, e := range s.events(t, "ch", id) {
		if e.Lead.Event == subjects.Received {
			received++
		}
	}
	if received != 1 {
		t.Errorf("%d received events", received)
	}
}

// The agent fires early and calls again when it knows more: the lead gains
// what was missing, and the provider hears of it.
func TestALaterCallAddsToTheLead(t *testing.T) {
	s := start(t, settings(t))
	body := call(map[string]any{"city": ""})
	status, reply := s.post(t, site1, body)
	if status != http.StatusOK || reply.Ask == "" {
		t.Fatalf("status %d, nothing asked: %+v", status, reply)
	}
	id := lead.NewID(site1, body["conversation_id"].(string))
	s.row(t, "ch", id, func(l store.Lead) bool { return l.Status == string(lead.NeedsReview) && told(l) })

	body["city"] = "Carouge"
	s.accept(t, site1, body)
	row := s.row(t, "ch", id, func(l store.Lead) bool { return l.Status == string(lead.Notified) && told(l) })
	if row.Provider == "" {
		t.Errorf("no provider: %+v", row)
	}
}

// One caller asks for two things in one call.
func TestTwoRequestsInOneCallAreTwoLeads(t *testing.T) {
	s := start(t, settings(t))
	body := call(map[string]any{"service_type": "plumbing.leak"})
	id := s.accept(t, site1, body)
	body["service_type"] = "plumbing.boiler"
	s.accept(t, site1, body)
	first := s.row(t, "ch", id, told)
	second := s.row(t, "ch", lead.SecondID(id, "plumbing.boiler"), told)
	if first.Service != "plumbing.leak" || second.Service != "plumbing.boiler" {
		t.Errorf("services %q and %q", first.Service, second.Service)
	}
}

// A place nobody serves and a service nobody offers reach the owner at once.
func TestWhatCannotBeRoutedReachesTheOwner(t *testing.T) {
	s := start(t, settings(t))
	for name, fields := range map[string]map[string]any{
		"unknown place":    {"city": "Xyzzy"},
		"out of area":      {"city": "Lausanne"},
		"unknown service":  {"service_type": "elephant grooming", "issue_summary": ""},
		"no usable number": {"caller_id": "anonymous", "callback_number": "12"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := s.accept(t, site1, call(fields))
			row := s.row(t, "ch", id, told)
			if row.Status != string(lead.NeedsReview) {
				t.Errorf("status %q", row.Status)
			}
			st := s.raised(t, alarm.Review, id, func(alarm.State) bool { return true })
			s.ownerTold(t, st.ID, 2)
		})
	}
}

// Everything is stopped while leads pour in, and started again on the same
// data: every accepted lead ends recorded, matched and told once.
func TestStopInTheMiddleAndStartAgain(t *testing.T) {
	cfg := settings(t)
	s := start(t, cfg)
	const leads = 60
	var ids []string
	for range leads {
		ids = append(ids, s.accept(t, site1, call(nil)))
	}
	s.stop(t)
	early := len(ids)

	// At the same addresses: vendors post receipts where they were told to.
	cfg.Addr, cfg.SandboxAddr = strings.TrimPrefix(s.EdgeURL, "http://"), strings.TrimPrefix(s.SandboxURL, "http://")
	s = start(t, cfg)
	for range 5 {
		ids = append(ids, s.accept(t, site1, call(nil)))
	}
	for _, id := range ids {
		row := s.row(t, "ch", id, allTold(6))
		if row.Status != string(lead.Notified) {
			t.Fatalf("lead %s: %q, %v", id, row.Status, outcomes(row))
		}
	}
	if n := len(s.sandboxMessages(t)); n != 6*len(ids) {
		t.Errorf("%d leads (%d before the stop) made %d messages", len(ids), early, n)
	}
}

// An owner edits a provider in the database; the matcher follows.
func TestARosterEditReachesTheMatcher(t *testing.T) {
	s := start(t, settings(t))
	row := s.row(t, "ch", s.accept(t, site1, call(nil)), told)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := execSQL(ctx, s.DatabaseURL, "update leadbus.provider set active = false where id = $1", row.Provider); err != nil {
		t.Fatal(err)
	}
	await.Until(t, func() bool {
		next := s.row(t, "ch", s.accept(t, site1, call(nil)), told)
		return next.Provider != row.Provider
	}, func() string { return "the provider still gets leads" })
}

// Numbers that fail later are shown as failed, with the vendor's code, and the
// owner hears that a provider was not reached.
func TestAFailedDeliveryIsSeen(t *testing.T) {
	s := start(t, settings(t))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := execSQL(ctx, s.DatabaseURL, "update leadbus.provider set sms = '+41781230005', whatsapp = '+41781263024' where market = $1", "ch"); err != nil {
		t.Fatal(err)
	}
	var row store.Lead
	await.Until(t, func() bool {
		row = s.row(t, "ch", s.accept(t, site1, call(nil)), told)
		return slices.Contains(outcomes(row), "provider sms offer failed")
	}, func() string { return fmt.Sprint(outcomes(row)) })
	s.raised(t, alarm.Unreachable, row.Provider, func(st alarm.State) bool { return slices.Contains(st.Leads, row.ID) })
	for _, m := range row.Messages {
		if m.Recipient == lead.ToProvider && m.Channel == lead.SMS && m.ErrorCode != "30005" {
			t.Errorf("sms failed with code %q", m.ErrorCode)
		}
	}
	if row.Status != string(lead.Notified) {
		t.Errorf("e-mail still reached the provider, but the lead is %q", row.Status)
	}
}

// Nothing personal leaves the event bodies: not in subjects, ids or headers.
func TestSubjectsAndIDsHoldNothingPersonal(t *testing.T) {
	s := start(t, settings(t))
	id := s.accept(t, site1, call(map[string]any{"customer_name": "Zebulon Quux"}))
	s.row(t, "ch", id, told)
	for _, e := range s.events(t, "ch", id) {
		for _, outside := range []string{e.Lead.String(), e.ID} {
			for _, personal := range []string{"zebulon", "quux", "4178124", "carouge", "@"} {
				if strings.Contains(strings.ToLower(outside), personal) {
					t.Errorf("%q holds %q", outside, personal)
				}
			}
		}
	}
	if _, ok := s.events(t, "ch", id)[0].Body.(*event.Received); !ok {
		t.Error("the first event is not the tool call")
	}
}
