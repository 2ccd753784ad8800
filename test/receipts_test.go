package test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/engine/store"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/subjects"
)

// No vendor calls back: people are told, and the scanner's passes find out what
// became of each message. The callbacks that come after all change nothing.
func TestNoCallbacksCome(t *testing.T) {
	cfg := settings(t)
	cfg.ReconcileEvery, cfg.Market = 500*time.Millisecond, []string{"ch"}
	s := start(t, cfg)
	s.send(t, http.MethodPut, s.SandboxURL+"/api/faults", `{"callbacks": {"held": 1}}`)
	well := s.accept(t, site1, call(nil))
	unwell := s.accept(t, site1, call(map[string]any{"caller_id": "+41781230005"}))
	ids := []string{well, unwell}
	rows := map[string][]string{}
	for _, id := range ids {
		rows[id] = outcomes(s.row(t, "ch", id, allTold(6)))
	}
	want := []string{
		"customer sms confirmation delivered", "owner email copy delivered", "owner email copy-confirmation delivered",
		"provider email offer delivered", "provider sms offer delivered", "provider whatsapp offer delivered",
	}
	if d := cmp.Diff(want, rows[well]); d != "" {
		t.Error(d)
	}
	want[0], want[2] = "customer sms confirmation failed", "owner email copy-confirmation-failed delivered"
	if d := cmp.Diff(want, rows[unwell]); d != "" {
		t.Error(d)
	}
	// receipts are the stored ones of both leads, each of which is there once.
	receipts := func() (all []string) {
		for _, id := range ids {
			seen := map[string]bool{}
			for _, e := range s.events(t, "ch", id) {
				if seen[e.ID] {
					t.Errorf("%s is stored twice", e.ID)
				}
				seen[e.ID] = true
				if b, ok := e.Body.(*event.Reported); ok && e.Lead.Event == subjects.ReceiptReceived {
					all = append(all, b.Receipt.Message+" "+string(b.Receipt.State))
				}
			}
		}
		slices.Sort(all)
		return all
	}
	fetched := receipts()
	for _, r := range fetched {
		if strings.HasSuffix(r, " "+string(lead.MessageSent)) {
			t.Errorf("a callback came: %s", r)
		}
	}
	out, stderr, err := s.leadbus(t, "reconcile", "--market", "ch", "--grace", "1ms")
	if err != nil || !strings.Contains(out, "0 calls and 0 receipts fetched") {
		t.Errorf("%v\n%s%s", err, out, stderr)
	}

	var faults struct {
		Struck struct{ Callbacks struct{ Held float64 } }
	}
	s.getJSON(t, s.SandboxURL+"/api/faults", &faults)
	const answered = "leadbus_edge_request_seconds_count"
	before, messages := s.metric(t, answered), len(s.sandboxMessages(t))
	s.send(t, http.MethodDelete, s.SandboxURL+"/api/faults", "")
	await.Until(t, func() bool { return s.metric(t, answered) >= before+faults.Struck.Callbacks.Held },
		func() string { return fmt.Sprintf("%v callbacks are answered", faults.Struck.Callbacks.Held) })

	// Another lead behind them in every queue.
	s.row(t, "ch", s.accept(t, site1, call(nil)), allTold(6))
	for _, id := range ids {
		if d := cmp.Diff(rows[id], outcomes(s.row(t, "ch", id, func(store.Lead) bool { return true }))); d != "" {
			t.Errorf("after the callbacks: %s", d)
		}
	}
	if n := len(s.sandboxMessages(t)); n != messages+6 {
		t.Errorf("%d messages, want %d and the last lead's 6", n, messages)
	}
	late := slices.DeleteFunc(receipts(), func(r string) bool { return slices.Contains(fetched, r) })
	if len(late) == 0 || slices.ContainsFunc(late, func(r string) bool { return strings.HasSuffix(r, " "+string(lead.MessageFailed)) }) {
		t.Errorf("receipts that came late: %v", late)
	}
}
