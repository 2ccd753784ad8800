package bus_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/bus/bustest"
	"leadbus/internal/event"
	"leadbus/internal/local/await"
	"leadbus/internal/subjects"
)

func on(id, kind string, body any) event.Event {
	return event.Event{
		ID: kind + "-" + id, At: time.Now().UTC(), Body: body,
		Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: kind, Lead: id},
	}
}

func TestOnlyTheFirstMatchStands(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	raceForTheMatch(t, b.Connect(t, "ch-matcher"), b.Connect(t, "ch-matcher"))
}

// raceForTheMatch lets two replicas of the matcher publish different matches of
// the same leads, each of them repeatedly as after a lost ack.
func raceForTheMatch(t *testing.T, replicas ...*bus.Conn) {
	t.Helper()
	for i := range 5 {
		id := fmt.Sprintf("raced%d", i)
		var won, lost atomic.Int64
		done := make(chan error)
		for n, c := range replicas {
			mine := on(id, subjects.Matched, &event.Decided{Offer: fmt.Sprintf("p%d", n)})
			mine.ID += mine.Body.(*event.Decided).Offer
			for range 3 {
				go func() {
					err := c.PublishFirst(t.Context(), mine)
					switch {
					case err == nil:
						won.Add(1)
					case errors.Is(err, event.ErrConflict):
						lost.Add(1)
					}
					done <- err
				}()
			}
		}
		for range 3 * len(replicas) {
			if err := await.Value(t, "an answer", done); err != nil && !errors.Is(err, event.ErrConflict) {
				t.Error(err)
			}
		}
		if won.Load() != 3 || lost.Load() != int64(3*len(replicas)-3) {
			t.Errorf("lead %s: %d published, %d refused: one replica wins, with all its repeats", id, won.Load(), lost.Load())
		}
		there, err := replicas[0].Events(t.Context(), subjects.Lead{Market: "ch", Site: "a.ch", Event: subjects.Matched, Lead: id})
		if err != nil || len(there) != 1 {
			t.Errorf("lead %s holds %d matches, %v", id, len(there), err)
		}
	}
}

func TestAClusterLosesItsLeader(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keys, err := bus.EnsureKeys(dir+"/keys", bus.Users([]string{"ch"}))
	if err != nil {
		t.Fatal(err)
	}
	nodes, url := bustest.Nodes(t, dir, bus.ConfigText([]string{"ch"}, keys), false)
	connect := func(user string) *bus.Conn {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c, err := bus.Connect(ctx, bus.Options{URL: url, User: user, SeedFile: bus.SeedFile(dir+"/keys", user), Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	op := connect("ch-operator")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := bus.Provision(ctx, op, "ch", bus.Layout{Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	raceForTheMatch(t, connect("ch-matcher"), connect("ch-matcher"))

	var mu sync.Mutex
	times := map[string]int{}
	handled := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(times)
	}
	for range 2 {
		c := connect("ch-matcher")
		await.Background(t, func(ctx context.Context) error {
			return c.Consume(ctx, subjects.Matcher, 4, func(_ context.Context, d event.Delivery) error {
				mu.Lock()
				defer mu.Unlock()
				times[d.Lead.Lead]++
				return nil
			})
		})
	}
	const n = 60
	edge := connect(subjects.Edge)
	half, published := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := range n {
			if i == n/2 {
				close(half)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			err := edge.Publish(ctx, on(fmt.Sprintf("l%d", i), subjects.Received, &event.Received{}))
			cancel()
			if err != nil {
				published <- fmt.Errorf("l%d: %w", i, err)
				return
			}
		}
		published <- nil
	}()
	await.Value(t, "half of the leads", half)
	lost := false
	for _, s := range nodes {
		if s.JetStreamIsStreamLeader("M_ch", subjects.StreamLeads) {
			s.Shutdown()
			s.WaitForShutdown()
			lost = true
			break
		}
	}
	if !lost {
		t.Fatal("nobody leads the stream")
	}
	if err := await.Value(t, "the other half", published); err != nil {
		t.Fatal(err)
	}
	await.True(t, "every lead was handled", func() bool { return handled() == n })
	var stored []event.Event
	await.True(t, "the stream can be read", func() bool {
		stored, err = op.Events(t.Context(), subjects.Lead{Market: "ch", Event: subjects.Received})
		return err == nil && len(stored) >= n
	})
	if len(stored) != n {
		t.Errorf("%d events for %d leads", len(stored), n)
	}
}
