package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"leadbus/internal/engine/store"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/subjects"
	"leadbus/internal/understand/intake"
)

// texts are what the vendors took for a number, in order.
func (s *system) texts(tb testing.TB, to string) (all []string) {
	tb.Helper()
	messages := s.sandboxMessages(tb)
	slices.Reverse(messages)
	for _, m := range messages {
		if m.To == to && m.Channel == lead.SMS {
			all = append(all, m.Text)
		}
	}
	return all
}

// rows are a market's leads.
func (s *system) rows(tb testing.TB, market string) (all []store.Lead) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), s.DatabaseURL)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close(tb.Context()) }()
	found, err := conn.Query(tb.Context(), "select id from leadbus.lead where market = $1", market)
	if err != nil {
		tb.Fatal(err)
	}
	ids, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		tb.Fatal(err)
	}
	for _, id := range ids {
		all = append(all, s.row(tb, market, id, func(store.Lead) bool { return true }))
	}
	return all
}

// A caller corrects a number and takes it back: the last call counts.
func TestTheLastCorrectionCounts(t *testing.T) {
	s := start(t, settings(t))
	for field, values := range map[string][2]string{
		"callback_number":  {"+41791118867", "+41791118876"},
		"customer_name":    {"Marta Salas", "Martha Sallas"},
		"city":             {"Carouge", "Lancy"},
		"address_line":     {"rue Vautier 12", "rue Vautier 14"},
		"preferred_window": {"demain matin", "ce soir"},
		"issue_summary":    {"L'évier fuit.", "La douche fuit."},
		"language":         {"fr", "de"},
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			body := call(map[string]any{field: values[0]})
			id := s.accept(t, site1, body)
			for _, said := range []string{values[1], values[0], values[1], values[0]} {
				body[field] = said
				s.accept(t, site1, body)
			}
			var stood string
			await.Until(t, func() bool {
				received := 0
				for _, e := range s.events(t, "ch", id) {
					if e.Lead.Event == subjects.Received {
						received++
					}
				}
				l := s.row(t, "ch", id, told)
				stood = map[string]string{
					"callback_number": l.Person.Phone, "customer_name": l.Person.Name, "city": l.PlaceName, "address_line": l.Person.Address,
					"preferred_window": l.Person.PreferredWindow, "issue_summary": l.Person.Summary, "language": l.Language,
				}[field]
				return received == 5 && stood == values[0]
			}, func() string { return fmt.Sprintf("%s stands as %q, want %q", field, stood, values[0]) })
		})
	}
}

// Two callers under one conversation id are two leads, and each is told.
func TestCallersWithOneConversationAreLeadsOfTheirOwn(t *testing.T) {
	s := start(t, settings(t))
	for name, c := range map[string]struct {
		conversation  string
		first, second map[string]any
	}{
		"an id that is none":      {conversation: "unknown"},
		"a template":              {conversation: "system__conversation_id"},
		"an id used twice":        {conversation: "conv_shared"},
		"a call id of a template": {conversation: "conv_unknown", first: map[string]any{"call_sid": "CA1234567890ABCDEF1234567890ABCDEF"}, second: map[string]any{"call_sid": "CA1234567890ABCDEF1234567890ABCDEF"}},
		"without call ids":        {conversation: "conv_shared_too", first: map[string]any{"call_sid": ""}, second: map[string]any{"call_sid": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			with := func(fields map[string]any, name string) map[string]any {
				body := call(fields)
				body["conversation_id"], body["customer_name"] = c.conversation, name
				return body
			}
			first, second := with(c.first, "Marta Salas"), with(c.second, "Urs Keller")
			for _, body := range []map[string]any{first, second} {
				if status, _ := s.post(t, site1, body); status != http.StatusOK {
					t.Fatalf("status %d", status)
				}
			}
			for _, body := range []map[string]any{first, second} {
				number := body["caller_id"].(string)
				await.Until(t, func() bool { return len(s.texts(t, number)) == 1 }, func() string { return fmt.Sprintf("texts to %s: %v", number, s.texts(t, number)) })
			}
			// The second caller corrects, and the first one's lead stays.
			second["address_line"] = "rue Vautier 14"
			if status, _ := s.post(t, site1, second); status != http.StatusOK {
				t.Fatalf("status %d", status)
			}
			var rows []store.Lead
			await.Until(t, func() bool {
				rows = slices.DeleteFunc(s.rows(t, "ch"), func(l store.Lead) bool {
					return l.Person.CallerID != first["caller_id"] && l.Person.CallerID != second["caller_id"]
				})
				return len(rows) == 2 && slices.ContainsFunc(rows, func(l store.Lead) bool { return l.Person.Address == "rue Vautier 14" })
			}, func() string { return fmt.Sprintf("%+v", rows) })
			for _, l := range rows {
				if want := map[any]string{first["caller_id"]: "Marta Salas", second["caller_id"]: "Urs Keller"}[l.Person.CallerID]; l.Person.Name != want {
					t.Errorf("the lead of %s is called %q, want %q", l.Person.CallerID, l.Person.Name, want)
				}
			}
		})
	}
}

// While a vendor refuses for a time, a correction arrives: nobody reads what was
// corrected since, and the new number gets its text.
func TestWhatWasCorrectedMeanwhileIsNotSent(t *testing.T) {
	s := start(t, settings(t))
	s.send(t, http.MethodPut, s.SandboxURL+"/api/faults", `{"twilio": {"too_many": 1, "retry_after": 1}}`)
	body := call(map[string]any{"callback_number": "+41791118867", "address_line": "rue Vautier 12"})
	id := s.accept(t, site1, body)
	s.row(t, "ch", id, func(l store.Lead) bool { return l.Status == string(lead.Matched) || l.Status == string(lead.Notified) })
	body["callback_number"], body["address_line"] = "+41791118876", "rue Vautier 14"
	s.accept(t, site1, body)
	await.Until(t, func() bool {
		queued := 0
		for _, e := range s.events(t, "ch", id) {
			if e.Lead.Event == subjects.MessageQueued {
				queued++
			}
		}
		return queued >= 10
	}, func() string { return "the correction is not queued" })
	s.send(t, http.MethodDelete, s.SandboxURL+"/api/faults", "")
	var row store.Lead
	await.Until(t, func() bool {
		row = s.row(t, "ch", id, func(store.Lead) bool { return true })
		return told(row) && len(s.texts(t, "+41791118876")) == 1
	}, func() string { return fmt.Sprint(outcomes(row), s.texts(t, "+41791118876")) })
	if wrong := s.texts(t, "+41791118867"); len(wrong) != 0 {
		t.Errorf("the wrong number was texted: %v", wrong)
	}
	for _, m := range s.sandboxMessages(t) {
		if m.Channel != lead.Email && strings.Contains(m.Text, "+41791118867") {
			t.Errorf("somebody reads the wrong number on %s: %s", m.Channel, m.Text)
		}
	}
	if !slices.ContainsFunc(row.Messages, func(m store.Message) bool { return m.ErrorClass == string(lead.Superseded) }) {
		t.Errorf("%v", outcomes(row))
	}
}

// Who does not want to be contacted is not, and neither is a provider: the owner
// decides.
func TestWithoutConsentNobodyIsTold(t *testing.T) {
	s := start(t, settings(t))
	id := s.accept(t, site1, call(map[string]any{"contact_consent": false}))
	st := s.raised(t, alarm.Review, id, func(alarm.State) bool { return true })
	s.ownerTold(t, st.ID, 2)
	row := s.row(t, "ch", id, told)
	if row.Status != string(lead.NeedsReview) || len(row.Messages) != 0 {
		t.Errorf("%s: %v", row.Status, outcomes(row))
	}
}

// The owner hears that a customer was told when the text arrived, and that it did
// not when it did not.
func TestTheOwnerHearsWhetherTheCustomerWasReached(t *testing.T) {
	s := start(t, settings(t))
	for number, want := range map[string]string{
		"+41781230042": "The customer was told",
		"+41781230006": "The customer was not reached", // not delivered
		"+41781221610": "The customer was not reached", // refused at once
	} {
		id := s.accept(t, site1, call(map[string]any{"caller_id": number}))
		ref := s.row(t, "ch", id, func(l store.Lead) bool {
			return slices.ContainsFunc(l.Messages, func(m store.Message) bool {
				return strings.HasPrefix(m.Purpose, "copy-confirmation") && lead.MessageState(m.State).Final()
			})
		}).Ref
		var mails []string
		for _, m := range s.sandboxMessages(t) {
			if m.Channel == lead.Email && strings.Contains(m.Subject, ref) && strings.Contains(m.Text, "The customer was ") {
				mails = append(mails, m.Text)
			}
		}
		if len(mails) != 1 || !strings.Contains(mails[0], want) {
			t.Errorf("%s: %q, want %q", number, mails, want)
		}
	}
}

// A later call asks only for what is missing in the whole, in the call's language.
func TestALaterCallAsksForNothingAgain(t *testing.T) {
	s := start(t, settings(t))
	body := call(map[string]any{"language": "en", "city": "", "customer_name": "Marta Salas", "service_type": "leak"})
	_, first := s.post(t, site1, body)
	if !strings.Contains(first.Ask, "town") {
		t.Fatalf("%+v", first)
	}
	_, second := s.post(t, site1, map[string]any{"conversation_id": body["conversation_id"], "city": "Lancy"})
	if second.Ask != "" || second.Ref != first.Ref || !strings.Contains(second.Say, "That is noted") {
		t.Errorf("%+v after %+v", second, first)
	}
}

// Whatever one field a later call brings, or with what nothing it fills the
// others, no question comes back that an earlier call answered.
func TestOneFieldAtATime(t *testing.T) {
	s := start(t, settings(t))
	for code, c := range map[string]struct{ nothing, noted string }{
		"fr": {"Non précisé par l'appelant", "C'est noté"}, "de": {"vom Kunden nicht genannt", "Ist notiert"},
		"it": {"non specificato dal cliente", "Ho preso nota"}, "en": {"not provided by the caller", "That is noted"},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			all := map[string]any{"language": code, "customer_name": "Marta Salas", "service_type": "leak", "city": "Carouge", "callback_number": "+41791118867"}
			conversation := call(nil)["conversation_id"]
			for i, field := range []string{"language", "service_type", "customer_name", "callback_number", "city"} {
				body := map[string]any{"conversation_id": conversation, "caller_id": "+41791118867", "preferred_window": c.nothing, "issue_summary": c.nothing, "address_line": c.nothing}
				for other := range all {
					body[other] = c.nothing
				}
				body[field] = all[field]
				_, reply := s.post(t, site1, body)
				if !strings.Contains(reply.Say, c.noted) || i == 4 && reply.Ask != "" {
					t.Errorf("%s: %+v", field, reply)
				}
			}
			row := s.row(t, "ch", lead.NewID(site1, conversation.(string)), func(l store.Lead) bool { return l.Status == string(lead.Notified) })
			if row.Person.Address != "" || row.Person.Summary != "" || row.Person.PreferredWindow != "" || row.PlaceName != "Carouge" {
				t.Errorf("%+v", row)
			}
		})
	}
}

// A corrected city is the lead's place, also when the first one had a postcode,
// and back again.
func TestACityIsCorrectedWithItsPostcode(t *testing.T) {
	s := start(t, settings(t))
	body := call(map[string]any{"city": "Plan-les-Ouates", "postal_code": "1228"})
	id := s.accept(t, site1, body)
	later := map[string]any{"conversation_id": body["conversation_id"]}
	for _, city := range []string{"Carouge", "Plan-les-Ouates", "Lancy"} {
		later["city"] = city
		s.accept(t, site1, later)
	}
	s.row(t, "ch", id, func(l store.Lead) bool { return l.PlaceName == "Lancy" })
}

// A byte order mark and white space around a call are no part of it.
func TestAByteOrderMarkIsSkipped(t *testing.T) {
	s := start(t, settings(t))
	for name, around := range map[string][2]string{
		"before": {"\ufeff", ""}, "twice": {"\ufeff\ufeff", ""}, "after white space": {" \r\n\ufeff", "\n"}, "after": {"", "\ufeff"}, "around": {"\ufeff\t", " \ufeff\r\n"},
	} {
		body := call(nil)
		said, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r, err := intake.Request(t.Context(), s.EdgeURL, site1, s.settings.SiteSecret(site1), []byte(around[0]+string(said)+around[1]))
		if err != nil {
			t.Fatal(err)
		}
		if _, reply, err := intake.Do(http.DefaultClient, r); err != nil || !reply.OK {
			t.Errorf("%s: %+v, %v", name, reply, err)
			continue
		}
		s.row(t, "ch", lead.NewID(site1, body["conversation_id"].(string)), told)
	}
}
