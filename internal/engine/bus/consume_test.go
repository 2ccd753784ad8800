package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"leadbus/internal/event"
	"leadbus/internal/local/await"
	"leadbus/internal/subjects"
)

func TestFatesOfADelivery(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	edge, op := r.connect(t, subjects.Edge), r.connect(t, "ch-operator")
	leads := []string{"retried", "fails", "panics", "poison", "patient", "good"}
	for _, id := range leads {
		if err := edge.Publish(t.Context(), received("ch", id, "x")); err != nil {
			t.Fatal(err)
		}
	}
	garbage := []byte(`{"id":"x","type":"received.v1","market":"ch","site":"a.ch","lead":"garbage","at":"2026-11-23T08:00:00Z","body":{"lead":{"id":41791234567}}}`)
	if _, err := op.js.Publish(t.Context(), "lead.ch.a_ch.received.garbage", garbage); err != nil {
		t.Fatal(err)
	}
	last := uint64(len(leads) + 1)

	var mu sync.Mutex
	attempts, at := map[string][]int{}, map[string][]time.Time{}
	m := r.connect(t, "ch-matcher")
	stop := consume(t, m, subjects.Matcher, 2, func(ctx context.Context, d event.Delivery) error {
		if end, ok := ctx.Deadline(); !ok || time.Until(end) >= ackWait {
			t.Errorf("a handler may take until %v: longer than its lease", end)
		}
		mu.Lock()
		defer mu.Unlock()
		id := d.Lead.Lead
		attempts[id], at[id] = append(attempts[id], d.Attempt), append(at[id], time.Now())
		switch {
		case id == "poison":
			return fmt.Errorf("plan: %w", event.Permanent(errors.New("cannot be understood, "+strings.Repeat("é", 200))))
		case id == "patient" && d.Attempt <= 120:
			return event.After(time.Millisecond, errors.New("its turn is later"))
		case d.Attempt <= 2 && id == "retried":
			return event.After(100*time.Millisecond, errors.New("not yet"))
		case d.Attempt == 1 && id == "fails":
			return errors.New("any error")
		case d.Attempt == 1 && id == "panics":
			panic("boom")
		}
		return nil
	})
	r.settled(t, op, subjects.Matcher, last)
	stop()

	if n := len(attempts["patient"]); n != 121 {
		t.Errorf("what waits its turn was delivered %d times", n)
	}
	delete(attempts, "patient")
	want := map[string][]int{"retried": {1, 2, 3}, "fails": {1, 2}, "panics": {1, 2}, "poison": {1}, "good": {1}}
	if d := cmp.Diff(want, attempts); d != "" {
		t.Error(d)
	}
	for id, least := range map[string]time.Duration{"retried": 100 * time.Millisecond, "fails": 500 * time.Millisecond, "panics": 500 * time.Millisecond} {
		for i := 1; i < len(at[id]); i++ {
			if d := at[id][i].Sub(at[id][i-1]); d < least || d > least+soon {
				t.Errorf("%s: attempt %d after %s", id, i+1, d)
			}
		}
	}

	letters, err := op.DeadLetters(t.Context())
	if err != nil || len(letters) != 2 {
		t.Fatalf("%d dead letters, %v", len(letters), err)
	}
	slices.SortFunc(letters, func(a, b event.Dead) int { return int(a.Seq) - int(b.Seq) }) // two workers gave them up
	if l := letters[0]; l.Lead != "poison" || l.Role != subjects.Matcher || l.Seq != 4 || !strings.Contains(l.Reason, "cannot be understood") ||
		len(l.Reason) > maxReason || strings.ContainsRune(l.Reason, '\uFFFD') {
		t.Errorf("poison: %+v", l)
	}
	if l := letters[1]; l.Seq != 7 || !strings.Contains(l.Reason, "lead.id") || strings.Contains(l.Reason, "4179") {
		t.Errorf("garbage: %+v", l)
	}
}

func TestStopFinishesWhatWasBegunAndGivesTheRestBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	edge := r.connect(t, subjects.Edge)
	const n = 40
	publish(t, edge, n)
	var handled sync.Map
	count := func(d event.Delivery) {
		c, _ := handled.LoadOrStore(d.Lead.Lead, new(atomic.Int64))
		c.(*atomic.Int64).Add(1)
	}
	begun, release := make(chan struct{}, n), make(chan struct{})
	stop := consume(t, r.connect(t, "ch-matcher"), subjects.Matcher, 4, func(ctx context.Context, d event.Delivery) error {
		begun <- struct{}{}
		<-release
		if ctx.Err() != nil {
			t.Errorf("a handler at work was cut off: %v", ctx.Err())
		}
		count(d)
		return nil
	})
	for range 4 {
		await.Value(t, "a handler begins", begun)
	}
	op := r.connect(t, "ch-operator")
	if held := r.state(t, op, subjects.Matcher).NumAckPending; held > 8 {
		t.Errorf("4 workers hold %d deliveries: the leases of most run out unhandled", held)
	}
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	// Another replica gets what was given back while the first still works.
	again := time.Now()
	consume(t, r.connect(t, "ch-matcher"), subjects.Matcher, 4, func(_ context.Context, d event.Delivery) error { count(d); return nil })
	seen := func() (seen int) {
		handled.Range(func(_, _ any) bool { seen++; return true })
		return seen
	}
	await.True(t, "all but what is at work was handled", func() bool { return seen() == n-4 })
	if took := time.Since(again); took > soon {
		t.Errorf("what was given back came after %s", took)
	}
	close(release)
	await.Value(t, "the stop", stopped)
	r.settled(t, op, subjects.Matcher, n)
	handled.Range(func(id, c any) bool {
		if got := c.(*atomic.Int64).Load(); got != 1 {
			t.Errorf("%s was handled %d times", id, got)
		}
		return true
	})
	if seen() != n {
		t.Errorf("%d of %d were handled", seen(), n)
	}
}

func TestAPrefetchedBatchIsGivenBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const n = 40
	publish(t, r.connect(t, subjects.Edge), n)
	op := r.connect(t, "ch-operator")
	var mu sync.Mutex
	attempts := map[string]int{}
	begun, release := make(chan int, n), make(chan struct{})
	first, second := r.connect(t, "ch-recorder"), r.connect(t, "ch-recorder")
	stop := await.Background(t, func(ctx context.Context) error {
		return first.ConsumeBatches(ctx, subjects.Recorder, 8, 20*time.Millisecond, func(_ context.Context, ds []event.Delivery) []error {
			begun <- len(ds)
			<-release
			return make([]error, len(ds))
		})
	})
	size := await.Value(t, "a batch begins", begun)
	await.True(t, "the next batch is fetched meanwhile", func() bool { return r.state(t, op, subjects.Recorder).NumAckPending > size })
	if held := r.state(t, op, subjects.Recorder).NumAckPending; held > 2*8 {
		t.Errorf("a replica with batches of 8 holds %d deliveries", held)
	}
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	again := time.Now()
	await.Background(t, func(ctx context.Context) error {
		return second.ConsumeBatches(ctx, subjects.Recorder, 8, 20*time.Millisecond, func(_ context.Context, ds []event.Delivery) []error {
			mu.Lock()
			defer mu.Unlock()
			for _, d := range ds {
				attempts[d.Lead.Lead]++
			}
			return make([]error, len(ds))
		})
	})
	await.True(t, "all but the first batch was handled", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(attempts) == n-size
	})
	if took := time.Since(again); took > soon {
		t.Errorf("what was prefetched came after %s", took)
	}
	close(release)
	await.Value(t, "the stop", stopped)
	r.settled(t, op, subjects.Recorder, n)
	mu.Lock()
	defer mu.Unlock()
	for id, times := range attempts {
		if times != 1 {
			t.Errorf("%s was handled %d times", id, times)
		}
	}
}

func TestReplicasShareADurableThroughStopsAndStarts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	edge, op := r.connect(t, subjects.Edge), r.connect(t, "ch-operator")
	const n = 200
	var mu sync.Mutex
	times, by := map[string]int{}, [2]int{}
	replica := func(i int, c *Conn) (stop func()) {
		return consume(t, c, subjects.Matcher, 4, func(_ context.Context, d event.Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			times[d.Lead.Lead]++
			by[i]++
			return nil
		})
	}
	replica(0, r.connect(t, "ch-matcher"))
	second := r.connect(t, "ch-matcher")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 15 {
			replica(1, second)()
		}
		replica(1, second)
	}()
	publish(t, edge, n)
	await.Value(t, "the restarts", done)
	begun := time.Now()
	r.settled(t, op, subjects.Matcher, n)
	if took := time.Since(begun); took > soon {
		t.Errorf("deliveries were left lying for %s", took)
	}
	mu.Lock()
	defer mu.Unlock()
	for id, n := range times {
		if n != 1 {
			t.Errorf("%s was handled %d times", id, n)
		}
	}
	if len(times) != n || by[0] == 0 || by[1] == 0 {
		t.Errorf("%d handled, by replica %v", len(times), by)
	}
}

func TestBatchesSettleEachDeliveryByItself(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	publish(t, r.connect(t, subjects.Edge), 10)
	op, rec := r.connect(t, "ch-operator"), r.connect(t, "ch-recorder")
	if _, err := op.js.Publish(t.Context(), "lead.ch.a_ch.received.garbage", []byte("{")); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var sizes []int
	attempts := map[string]int{}
	stop := await.Background(t, func(ctx context.Context) error {
		return rec.ConsumeBatches(ctx, subjects.Recorder, 6, 300*time.Millisecond, func(_ context.Context, ds []event.Delivery) []error {
			mu.Lock()
			defer mu.Unlock()
			sizes = append(sizes, len(ds))
			errs := make([]error, len(ds))
			for i, d := range ds {
				attempts[d.Lead.Lead]++
				if d.Lead.Lead == "l3" && d.Attempt == 1 {
					errs[i] = event.After(10*time.Millisecond, errors.New("once more"))
				}
			}
			return errs
		})
	})
	r.settled(t, op, subjects.Recorder, 11)
	stop()
	if sizes[0] != 6 {
		t.Errorf("batches of %v", sizes)
	}
	if attempts["l3"] != 2 {
		t.Errorf("a failed event was handed over %d times", attempts["l3"])
	}
	delete(attempts, "l3")
	for id, n := range attempts {
		if n != 1 {
			t.Errorf("%s was handed over %d times", id, n)
		}
	}
	if len(attempts) != 9 {
		t.Errorf("handed over: %v", attempts)
	}
}

func TestAFaultyBatchHandlerLosesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	publish(t, r.connect(t, subjects.Edge), 4)
	rec := r.connect(t, "ch-recorder")
	var calls int
	stop := await.Background(t, func(ctx context.Context) error {
		return rec.ConsumeBatches(ctx, subjects.Recorder, 100, 100*time.Millisecond, func(_ context.Context, ds []event.Delivery) []error {
			switch calls++; calls {
			case 1:
				panic("boom")
			case 2:
				return make([]error, len(ds)+1)
			}
			return make([]error, len(ds))
		})
	})
	r.settled(t, r.connect(t, "ch-operator"), subjects.Recorder, 4)
	stop()
	if calls < 3 {
		t.Errorf("%d calls", calls)
	}
}

func TestALostDurableEndsTheRole(t *testing.T) {
	t.Parallel()
	ignore := func(context.Context, event.Delivery) error { return nil }
	run := func(t *testing.T, c *Conn) <-chan error {
		done := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		handled := make(chan struct{}, 1)
		go func() {
			done <- c.Consume(ctx, subjects.Matcher, 2, func(context.Context, event.Delivery) error { handled <- struct{}{}; return nil })
		}()
		await.Value(t, "a first delivery", handled)
		return done
	}
	t.Run("deleted", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		publish(t, r.connect(t, subjects.Edge), 1)
		done := run(t, r.connect(t, "ch-matcher"))
		if err := r.connect(t, "ch-operator").js.DeleteConsumer(t.Context(), subjects.StreamLeads, subjects.Matcher); err != nil {
			t.Fatal(err)
		}
		if err := await.Value(t, "the end", done); err == nil || !strings.Contains(err.Error(), "consume matcher") {
			t.Error(err)
		}
	})
	t.Run("deleted while the connection was away", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		publish(t, r.connect(t, subjects.Edge), 1)
		done := run(t, r.connect(t, "ch-matcher"))
		addr := r.addr
		r.Close()
		r.addr = "127.0.0.1:0"
		r.start(t)
		if err := r.connect(t, "ch-operator").js.DeleteConsumer(t.Context(), subjects.StreamLeads, subjects.Matcher); err != nil {
			t.Fatal(err)
		}
		r.Close()
		r.addr = addr
		r.start(t)
		if err := await.Value(t, "the end", done); !errors.Is(err, jetstream.ErrConsumerNotFound) {
			t.Error(err)
		}
	})
	t.Run("connection closed", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		publish(t, r.connect(t, subjects.Edge), 1)
		c := r.connect(t, "ch-matcher")
		done := run(t, c)
		c.Close()
		if err := await.Value(t, "the end", done); err == nil {
			t.Error("ended as if it were asked to")
		}
	})
	t.Run("not there yet", func(t *testing.T) {
		t.Parallel()
		r := bareRig(t)
		var out lines
		o := r.options("ch-matcher")
		o.Log = zerolog.New(&out)
		c, err := Connect(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		stopped := consume(t, c, subjects.Matcher, 2, ignore)
		await.True(t, "the wait is logged", func() bool { return out.has("waiting for the durable") })
		stopped() // a stop while waiting is orderly too
		got := make(chan string, 1)
		consume(t, c, subjects.Matcher, 2, func(_ context.Context, d event.Delivery) error { got <- d.Lead.Lead; return nil })
		if err := Provision(t.Context(), r.connect(t, "ch-operator"), "ch", Layout{}); err != nil {
			t.Fatal(err)
		}
		publish(t, r.connect(t, subjects.Edge), 1)
		await.Value(t, "a delivery once it is provisioned", got)
	})
}

// lines is a log that is read while it is written.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) has(s string) bool { return strings.Contains(l.String(), s) }

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestADeliveryIsOneLineWithoutPersonalData(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	edge := r.connect(t, subjects.Edge)
	if err := edge.Publish(t.Context(), received("ch", "l1", "Marta")); err != nil {
		t.Fatal(err)
	}
	var out lines
	o := r.options("ch-matcher")
	o.Log = zerolog.New(&out)
	c, err := Connect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	stop := consume(t, c, subjects.Matcher, 1, func(_ context.Context, d event.Delivery) error {
		switch d.Attempt {
		case 1:
			panic("who is " + d.Body.(*event.Received).Lead.Request.CustomerName)
		case 2:
			return event.After(time.Millisecond, fmt.Errorf("index: %w", errors.New("not yet")))
		}
		return nil
	})
	r.settled(t, r.connect(t, "ch-operator"), subjects.Matcher, 1)
	stop()
	var outcomes []string
	for l := range strings.Lines(out.String()) {
		var line struct {
			Message, Outcome, Event, Site, Lead string
			Seq, Attempt                        int
			Took                                *float64 `json:"took_ms"`
		}
		if err := json.Unmarshal([]byte(l), &line); err != nil {
			t.Fatal(err)
		}
		if line.Message == "handled" {
			outcomes = append(outcomes, line.Outcome)
			if line.Event != "received" || line.Site != "a.ch" || line.Lead != "l1" || line.Seq != 1 || line.Attempt != len(outcomes) || line.Took == nil {
				t.Errorf("line %s", l)
			}
		}
	}
	if d := cmp.Diff([]string{"redeliver", "redeliver", "ack"}, outcomes); d != "" {
		t.Error(d)
	}
	if !out.has("stack") || out.has("Marta") {
		t.Errorf("no stack of the panic, or a name, in\n%s", out.String())
	}
}

func TestAHandlerThatDoesNotEndIsLeftBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		cut := make(chan time.Duration, 1)
		begun := time.Now()
		s.busy.Go(func() {
			<-ctx.Done()
			cut <- time.Since(begun)
			<-release
		})
		if s.finish(cancel) {
			t.Error("finished with a handler at work")
		}
		if cut := <-cut; cut != stopTime || time.Since(begun) != stopTime+cancelTime {
			t.Errorf("cut off after %s, left behind after %s", cut, time.Since(begun))
		}
		close(release)
	})
}

// leased is a delivery that counts how often its lease was renewed.
type leased struct {
	jetstream.Msg
	renewed int
}

func (l *leased) InProgress() error { l.renewed++; return nil }

func TestALeaseIsRenewedForWhatWaitedInTheBuffer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		s := &source{c: &Conn{}, taken: []time.Time{now, now}}
		for i, c := range []struct {
			after   time.Duration // since the delivery before
			renewed int
		}{{0, 0}, {time.Second, 0}, {handleTime, 1}, {0, 1}, {0, 0}, {time.Second, 0}} {
			<-time.After(c.after)
			m := &leased{}
			s.extend(m)
			if m.renewed != c.renewed {
				t.Errorf("delivery %d: renewed %d times", i, m.renewed)
			}
		}
	})
}
