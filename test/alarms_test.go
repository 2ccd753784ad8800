package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/app"
	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/store"
	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/local/await"
	"leadbus/internal/role/watch"
	"leadbus/internal/subjects"
)

// alarms opens the bucket of the market ch in which alarms stand.
func (s *system) alarms(tb testing.TB) (*bus.Conn, *bus.Bucket) {
	tb.Helper()
	c := s.scanner(tb, "ch")
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	b, err := c.Bucket(ctx, subjects.BucketWatch)
	if err != nil {
		tb.Fatal(err)
	}
	return c, b
}

// raised waits until an alarm of the market ch satisfies ok.
func (s *system) raised(tb testing.TB, cause, about string, ok func(alarm.State) bool) (st alarm.State) {
	tb.Helper()
	_, b := s.alarms(tb)
	await.Until(tb, func() bool {
		e, err := b.Get(tb.Context(), "alarm-"+alarm.Key(site1, cause, about))
		return err == nil && json.Unmarshal(e.Value, &st) == nil && st.Notified > 0 && ok(st)
	}, func() string { return fmt.Sprintf("alarm %s about %s: %+v", cause, about, st) })
	return st
}

// ownerTold waits until the owner has so many messages of an alarm.
func (s *system) ownerTold(tb testing.TB, id string, messages int) {
	tb.Helper()
	s.row(tb, "ch", id, func(l store.Lead) bool {
		return len(l.Messages) == messages && !slices.ContainsFunc(l.Messages, func(m store.Message) bool { return !lead.MessageState(m.State).Final() })
	})
}

// called are the calls of alarms in the sandbox's mailboxes and handsets.
func (s *system) called(tb testing.TB) (mails, texts []sent) {
	tb.Helper()
	for _, m := range s.sandboxMessages(tb) {
		switch {
		case m.Channel == lead.Email && strings.HasPrefix(m.Subject, "ACTION"):
			mails = append(mails, m)
		case m.Channel == lead.SMS && strings.HasPrefix(m.Text, "ACTION"):
			texts = append(texts, m)
		}
	}
	return mails, texts
}

// repeat does the periodic work of alarms as if so much time had passed.
func (s *system) repeat(tb testing.TB, later time.Duration) {
	tb.Helper()
	c, b := s.alarms(tb)
	w := watch.New(watch.Options{
		Catalog: s.Catalog, Market: "ch", Stream: c, Bucket: b, Now: func() time.Time { return time.Now().Add(later) }, Log: zerolog.Nop(),
		Dead: func(ctx context.Context, role string) (uint64, error) {
			return c.CountDead(ctx, subjects.DeadLetter("ch", role))
		},
	})
	if _, err := w.Repeat(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

var linked = regexp.MustCompile(regexp.QuoteMeta(link.Path) + `([\w-]+)`)

// acknowledge answers the alarm of a mail by its link.
func (s *system) acknowledge(tb testing.TB, mail sent) {
	tb.Helper()
	found := linked.FindStringSubmatch(mail.Text)
	if found == nil {
		tb.Fatalf("no link in:\n%s", mail.Text)
	}
	res, err := http.PostForm(s.EdgeURL+link.Path+found[1], url.Values{"answer": {event.Acknowledge}})
	if err != nil {
		tb.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		tb.Fatalf("the link answers %s", res.Status)
	}
}

// A provider none of whose addresses work: one mail and one text to the owner,
// however many leads were on their way there. Acknowledged by its link the alarm is
// silent.
func TestAProviderThatCannotBeReachedIsOneAlarm(t *testing.T) {
	s := start(t, settings(t))
	s.only(t, broken)
	s.send(t, http.MethodPut, s.SandboxURL+"/api/faults", `{"callbacks": {"held": 1}}`)
	var leads []string
	for range 4 {
		leads = append(leads, s.accept(t, site1, call(nil)))
	}
	for _, id := range leads {
		s.row(t, "ch", id, func(l store.Lead) bool {
			sent := 0
			for _, m := range to(l, first) {
				if m.State == string(lead.MessageSent) {
					sent++
				}
			}
			return sent == 3
		})
	}
	s.send(t, http.MethodDelete, s.SandboxURL+"/api/faults", "")
	for _, id := range leads {
		s.row(t, "ch", id, with(second))
	}
	st := s.raised(t, alarm.Unreachable, first, func(st alarm.State) bool { return len(st.Facts) == 3 && len(st.Leads) == 4 })
	s.ownerTold(t, st.ID, 2)
	missing := slices.DeleteFunc(slices.Clone(leads), func(id string) bool { return slices.Contains(st.Leads, id) })
	if st.Notified != 1 || len(missing) > 0 {
		t.Errorf("%+v, leads %v", st, leads)
	}
	mails, texts := s.called(t)
	if len(mails) != 1 || len(texts) != 1 {
		t.Fatalf("%d mails and %d texts", len(mails), len(texts))
	}
	if !strings.Contains(mails[0].Text, first) || !slices.ContainsFunc(leads, func(id string) bool { return strings.Contains(mails[0].Text, "leadbus trace "+id) }) {
		t.Errorf("the mail does not say whom it is about:\n%s", mails[0].Text)
	}
	for _, want := range []string{"Requests at risk", "leadbus lead next"} {
		if !strings.Contains(mails[0].Text, want) {
			t.Errorf("the mail does not say %q:\n%s", want, mails[0].Text)
		}
	}
	s.acknowledge(t, mails[0])
	s.raised(t, alarm.Unreachable, first, func(st alarm.State) bool { return !st.Answered.IsZero() })
	s.repeat(t, time.Hour)
	if mails, texts := s.called(t); len(mails) != 1 || len(texts) != 1 {
		t.Errorf("after the acknowledgement: %d mails and %d texts", len(mails), len(texts))
	}
}

// A lead nobody can take, and nobody acknowledges it: the owner is notified again,
// and whoever stands above them.
func TestAnUnservedLeadIsRepeatedAndEscalated(t *testing.T) {
	cfg := settings(t)
	cfg.Config = t.TempDir()
	if err := os.CopyFS(cfg.Config, os.DirFS("../config")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(cfg.Config, "sites", site1+".yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), "\nowner:\n", "\nowner:\n  escalation: {email: above@leadbus.example, phone: \"+41781234581\"}\n", 1))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, cfg)
	s.row(t, "ch", s.accept(t, site1, call(nil)), told)
	if err := execSQL(t.Context(), s.DatabaseURL, "update leadbus.provider set active = false where market = 'ch'"); err != nil {
		t.Fatal(err)
	}
	id := ""
	await.Until(t, func() bool {
		id = s.accept(t, site1, call(map[string]any{"customer_name": "Zoé Reichmuth"}))
		return s.row(t, "ch", id, told).Status == string(lead.Unserved)
	}, func() string { return "leads are still taken" })

	st := s.raised(t, alarm.Unserved, id, func(alarm.State) bool { return true })
	s.ownerTold(t, st.ID, 2)
	mails, texts := s.called(t)
	if len(mails) != 1 || len(texts) != 1 || !strings.Contains(texts[0].Text, "Zo") {
		t.Fatalf("%d mails and %d texts: %+v", len(mails), len(texts), texts)
	}
	for _, want := range []string{"Zoé Reichmuth", "leadbus trace " + id, "Who was asked, and why", link.Path} {
		if !strings.Contains(mails[0].Text, want) {
			t.Errorf("the mail does not say %q:\n%s", want, mails[0].Text)
		}
	}
	s.repeat(t, 6*time.Minute)
	s.ownerTold(t, st.ID, 6)
	above := 0
	for _, m := range s.sandboxMessages(t) {
		if m.To == "above@leadbus.example" || m.To == "+41781234581" {
			above++
		}
	}
	if above != 2 {
		t.Errorf("whoever stands above the owner got %d messages, want a mail and a text", above)
	}
	// Somebody takes it after all.
	e := s.events(t, "ch", id)[0]
	e.Lead.Event, e.ID, e.At = subjects.Matched, "matched-by-hand", time.Now()
	e.Body = &event.Decided{Lead: e.Body.(*event.Received).Lead, Reason: "by hand"}
	if err := s.operatorConn(t).Publish(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	s.repeat(t, time.Hour)
	if st := s.raised(t, alarm.Unserved, id, func(st alarm.State) bool { return !st.Answered.IsZero() }); st.Notified != 2 {
		t.Errorf("%+v", st)
	}
}

// operatorConn reaches the market ch with every right in it.
func (s *system) operatorConn(tb testing.TB) *bus.Conn {
	tb.Helper()
	settings := s.settings.Settings
	settings.NATSURL = s.NATSURL
	c, err := app.Operator(tb.Context(), settings, "ch", zerolog.Nop())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}
