package bus_test

import (
	"testing"
	"time"

	"leadbus/internal/engine/bus/bustest"
	"leadbus/internal/event"
	"leadbus/internal/subjects"
)

// A role that reads no history sees the events of a kind from a time on.
func TestSince(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	put := func(kind, lead string, body any) time.Time {
		e := event.Event{ID: kind + lead, At: time.Now(), Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: kind, Lead: lead}, Body: body}
		if err := b.Operator.Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		there, err := b.Operator.Events(t.Context(), e.Lead)
		if err != nil || len(there) != 1 {
			t.Fatal(err, there)
		}
		return there[0].Stored
	}
	put(subjects.Matched, "l1", &event.Decided{})
	put(subjects.Received, "l1", &event.Received{})
	from := put(subjects.Matched, "l2", &event.Decided{})
	put(subjects.Matched, "l3", &event.Decided{})
	c := b.Connect(t, "ch-notifier")
	for want, at := range map[int]time.Time{3: from.Add(-time.Hour), 2: from, 0: from.Add(time.Hour)} {
		got, err := c.Since(t.Context(), subjects.Lead{Market: "ch", Event: subjects.Matched}, at)
		if err != nil || len(got) != want {
			t.Errorf("from %s: %v, %d events, want %d", at, err, len(got), want)
		}
	}
	if got, err := c.Since(t.Context(), subjects.Lead{Market: "ch", Event: subjects.Merged}, from); err != nil || len(got) != 0 {
		t.Error(err, got)
	}
}
