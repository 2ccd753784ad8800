package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"leadbus/internal/event"
	"leadbus/internal/local/await"
	"leadbus/internal/subjects"
)

func TestALeadTravelsFromEdgeToMatcher(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	edge := r.connect(t, subjects.Edge)
	want := received("ch", "l1", "Marta")
	for range 3 { // repeats of one fact
		if err := edge.Publish(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
	if err := edge.Publish(t.Context(), received("ch", "l1", "Marta again")); err != nil {
		t.Fatal(err)
	}
	if err := edge.Publish(t.Context(), received("ch", "l2", "Otto")); err != nil {
		t.Fatal(err)
	}
	got := make(chan event.Delivery, 10)
	m := r.connect(t, "ch-matcher")
	consume(t, m, subjects.Matcher, 1, func(_ context.Context, d event.Delivery) error { got <- d; return nil })
	want.Seq = 1
	first := await.Value(t, "a delivery", got)
	want.Wire, want.Stored = first.Wire, first.Stored
	if d := cmp.Diff(event.Delivery{Event: want, Attempt: 1}, first); d != "" {
		t.Error(d)
	}
	if time.Since(first.Stored).Abs() > time.Minute {
		t.Errorf("stored at %s", first.Stored)
	}
	if d := await.Value(t, "a delivery", got); d.Seq != 2 || d.Lead.Lead != "l1" {
		t.Errorf("second delivery is sequence %d: a repeat was stored", d.Seq)
	}
	for name, c := range map[string]struct {
		filter subjects.Lead
		want   []uint64
	}{
		"a lead":           {subjects.Lead{Market: "ch", Lead: "l1"}, []uint64{1, 2}},
		"a lead of a site": {subjects.Lead{Market: "ch", Site: "a.ch", Lead: "l2"}, []uint64{3}},
		"a kind":           {subjects.Lead{Market: "ch", Site: "a.ch", Event: subjects.Matched, Lead: "l1"}, nil},
		"nobody":           {subjects.Lead{Market: "ch", Lead: "l9"}, nil},
	} {
		stored, err := m.Events(t.Context(), c.filter)
		var got []uint64
		for _, e := range stored {
			got = append(got, e.Seq)
		}
		if d := cmp.Diff(c.want, got); err != nil || d != "" {
			t.Errorf("events of %s: %v\n%s", name, err, d)
		}
	}
}

// Two people use an owner's link at the same time, each pressing twice: one
// answer stands, through the edge's own account, and nothing waits in the spool.
func TestAnOwnerAnswersOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	edge := r.late(t)
	spool, _ := openSpool(t, edge, t.TempDir(), 0)
	answered := func(id, answer string) event.Event {
		return event.Event{
			ID: "owner-answered-" + id + "-" + answer, At: time.Now().UTC(),
			Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: subjects.OwnerAnswered, Lead: id},
			Body: &event.Answered{Answer: answer},
		}
	}
	var won atomic.Int64
	done := make(chan error)
	for _, answer := range []string{event.Confirm, event.Drop, event.Confirm, event.Drop} {
		go func() {
			err := spool.PublishOnce(t.Context(), answered("l1", answer))
			if err == nil {
				won.Add(1)
			}
			done <- err
		}()
	}
	for range 4 {
		if err := await.Value(t, "an answer", done); err != nil && !errors.Is(err, event.ErrConflict) {
			t.Error(err)
		}
	}
	there, err := r.connect(t, "ch-operator").Events(t.Context(), subjects.Lead{Market: "ch", Lead: "l1"})
	if err != nil || len(there) != 1 || won.Load() != 1 {
		t.Errorf("%d answers stand, %d were taken, %v", len(there), won.Load(), err)
	}
	r.Close()
	await.True(t, "the loss is seen", func() bool { return !edge.Connected() })
	if err := spool.PublishOnce(t.Context(), answered("l2", event.Drop)); err == nil || spool.waiting() != 0 {
		t.Errorf("without a server: %v, %d in the spool", err, spool.waiting())
	}
}

func TestAVainPublishEndsSoon(t *testing.T) {
	t.Parallel()
	r := bareRig(t)
	if err := Provision(t.Context(), r.connect(t, "ch-operator"), "ch", Layout{MaxBytes: 64 << 10}); err != nil {
		t.Fatal(err)
	}
	edge, closed := r.connect(t, subjects.Edge), r.connect(t, subjects.Edge)
	closed.Close()
	told := matched("l1", "p")
	told.Lead.Event, told.Body = subjects.MessageSent, &event.Attempted{}
	fill := func(context.Context) error {
		for i := range 100 {
			if err := edge.Publish(t.Context(), received("ch", fmt.Sprintf("l%d", i), strings.Repeat("x", 8<<10))); err != nil {
				return err
			}
		}
		return nil
	}
	for name, c := range map[string]struct {
		publish   func(context.Context) error
		says      string
		permanent bool
	}{
		"too large": {func(ctx context.Context) error {
			return edge.Publish(ctx, received("ch", "l1", strings.Repeat("x", 2<<20)))
		}, "maximum payload", true},
		"not encodable":     {func(ctx context.Context) error { return edge.Publish(ctx, received("ch", "a.b", "x")) }, "lead is not a token", true},
		"stream full":       {fill, "maximum bytes", false},
		"connection closed": {func(ctx context.Context) error { return closed.Publish(ctx, received("ch", "l1", "x")) }, "closed", false},
		"edge tells":        {func(ctx context.Context) error { return edge.Publish(ctx, told) }, "denies", false},
		"edge matches":      {func(ctx context.Context) error { return edge.Publish(ctx, matched("l1", "p")) }, "denies", false},
		"matcher tells":     {func(ctx context.Context) error { return r.connect(t, "ch-matcher").Publish(ctx, told) }, "denies", false},
		"notifier matches": {func(ctx context.Context) error {
			return r.connect(t, "ch-notifier").PublishFirst(ctx, matched("l1", "p"))
		}, "denies", false},
		"recorder matches": {func(ctx context.Context) error { return r.connect(t, "ch-recorder").Publish(ctx, matched("l1", "p")) }, "denies", false},
		"into another market": {func(ctx context.Context) error {
			return r.connect(t, "id-matcher").Publish(ctx, matched("l1", "p"))
		}, "denies", false},
	} {
		begun := time.Now()
		err := c.publish(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if took := time.Since(begun); took > soon {
			t.Errorf("%s: refused after %s only", name, took)
		}
		if fate, _ := event.Outcome(err, 1); (fate == event.Terminate) != c.permanent {
			t.Errorf("%s: permanent is %v", name, !c.permanent)
		}
	}
}

func TestAPublishIsTriedUntilItsContextEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	edge := r.connect(t, subjects.Edge)
	begun := time.Now()
	err := edge.Publish(deadline(t, 300*time.Millisecond), received("xx", "l1", "x"))
	if took := time.Since(begun); err == nil || took > soon || !strings.Contains(err.Error(), "market xx") {
		t.Errorf("market nobody serves: %v after %s", err, took)
	}
	r.Close()
	await.True(t, "the loss is seen", func() bool { return !edge.Connected() })
	if err := edge.Publish(deadline(t, 300*time.Millisecond), received("ch", "while-down", "x")); err == nil {
		t.Error("published without a server")
	}
	done := make(chan error)
	go func() { done <- edge.Publish(t.Context(), received("ch", "patient", "x")) }()
	r.start(t)
	if err := await.Value(t, "the server's return", done); err != nil {
		t.Error(err)
	}
	stored, err := r.connect(t, "ch-operator").Events(t.Context(), subjects.Lead{Market: "ch", Lead: "while-down"})
	if err != nil || len(stored) != 0 {
		t.Errorf("a publish that reported an error was sent later: %v, %v", stored, err)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	edge, op := r.connect(t, subjects.Edge), r.connect(t, "ch-operator")
	if err := edge.Publish(t.Context(), received("ch", "old", "x")); err != nil {
		t.Fatal(err)
	}
	if err := op.nc.PublishMsg(&nats.Msg{Subject: "lead.ch.a_ch.received.garbage", Data: []byte("{")}); err != nil {
		t.Fatal(err)
	}
	await.True(t, "two events stand in the stream", func() bool {
		s, err := op.js.Stream(t.Context(), subjects.StreamLeads)
		return err == nil && s.CachedInfo().State.LastSeq == 2
	})
	since := time.Now()
	all, live := make(chan string, 10), make(chan string, 10)
	for c, from := range map[chan string]time.Time{all: {}, live: since} {
		await.Background(t, func(ctx context.Context) error {
			return op.Follow(ctx, subjects.Lead{Market: "ch"}, from, func(e event.Event) error { c <- e.Lead.Lead; return nil })
		})
	}
	if err := edge.Publish(t.Context(), received("ch", "new", "x")); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"old", "new"}, []string{await.Value(t, "old", all), await.Value(t, "new", all)}); d != "" {
		t.Error(d)
	}
	if id := await.Value(t, "new", live); id != "new" {
		t.Errorf("live came %s", id)
	}
	boom := errors.New("boom")
	if err := op.Follow(t.Context(), subjects.Lead{Market: "ch"}, time.Time{}, func(event.Event) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("the caller's error came back as %v", err)
	}
}
