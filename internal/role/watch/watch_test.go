package watch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"leadbus/internal/call"
	"leadbus/internal/engine/bus/bustest"
	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/event/digest"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const domain = "plombiersgeneve.ch"

var monday = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// rig is a real bus with one market, and a clock that tests set.
type rig struct {
	*testing.T
	bus     *bustest.Bus
	catalog *site.Catalog

	mu  sync.Mutex
	now time.Time
}

func newRig(t *testing.T) *rig {
	c, err := site.Load("../../../config")
	if err != nil {
		t.Fatal(err)
	}
	for domain, s := range c.Sites {
		if s.Market != "ch" {
			delete(c.Sites, domain)
		}
	}
	return &rig{T: t, bus: bustest.New(t), catalog: c, now: monday}
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) set(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = at
}

// start makes a watch with the rights of a role that has one.
func (r *rig) start(tasks ...Task) *Watch {
	c := r.bus.Connect(r, "ch-scanner")
	return New(Options{Catalog: r.catalog, Market: "ch", Stream: c, Bucket: bustest.Bucket(r, c, subjects.BucketWatch), Tasks: tasks, Now: r.clock, Log: zerolog.Nop()})
}

// events are those of a kind.
func (r *rig) events(kind string) []event.Event {
	var out []event.Event
	err := r.bus.Operator.History(r.Context(), subjects.Lead{Market: "ch", Event: kind}, time.Time{}, func(e event.Event) error {
		out = append(out, e)
		return nil
	})
	if err != nil {
		r.Fatal(err)
	}
	return out
}

// raised are the calls to the owner, in order.
func (r *rig) raised() (all []alarm.Alarm) {
	for _, e := range r.events(subjects.AlarmRaised) {
		all = append(all, e.Body.(*event.Raised).Alarm)
	}
	return all
}

// Occurrences of one cause that come at the same time begin one alarm.
func TestOccurrencesAtTheSameTimeAreOneAlarm(t *testing.T) {
	r := newRig(t)
	w := r.start()
	const causes, occurrences = 10, 4
	var all sync.WaitGroup
	for n := range causes * occurrences {
		all.Go(func() {
			about := fmt.Sprintf("provider%d/sms", n/occurrences)
			if err := w.Raise(t.Context(), alarm.Occurrence{Site: domain, Cause: alarm.Unreachable, About: about, ID: fmt.Sprint(n), At: monday}); err != nil {
				t.Error(err)
			}
		})
	}
	await.Return(t, "the occurrences are raised", all.Wait)
	if got := r.raised(); len(got) != causes {
		t.Errorf("the owner was notified %d times for %d causes", len(got), causes)
	}
}

// Nobody answers: the owner is notified again, until each lead of the alarm was
// decided on.
func TestCalledUntilAllIsAnswered(t *testing.T) {
	r := newRig(t)
	w := r.start()
	for _, id := range []string{"lead-1", "lead-2"} {
		if err := w.Raise(t.Context(), alarm.Occurrence{Site: domain, Cause: alarm.NotRescued, ID: id, At: monday, Leads: []string{id}}); err != nil {
			t.Fatal(err)
		}
	}
	repeat := func(after time.Duration) []alarm.Alarm {
		r.set(monday.Add(after))
		if _, err := w.Repeat(t.Context()); err != nil {
			t.Fatal(err)
		}
		return r.raised()
	}
	if got := repeat(time.Minute); len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	got := repeat(6 * time.Minute)
	if len(got) != 2 || got[1].ID != got[0].ID || got[1].Notified != 2 || len(got[1].Leads) != 2 {
		t.Fatalf("%+v", got)
	}
	for _, id := range []string{"lead-1", "lead-2"} {
		if err := w.Settle(t.Context(), domain, id, r.clock()); err != nil {
			t.Fatal(err)
		}
	}
	if got := repeat(2 * time.Hour); len(got) != 2 {
		t.Errorf("told %d times, though all was answered", len(got))
	}
}

// An alarm that comes right by itself ends without another call: the lead was
// matched meanwhile, the dead letters were retried. What is over about a lead is
// forgotten.
func TestAnAlarmThatComesRightIsQuiet(t *testing.T) {
	r := newRig(t)
	w := r.start()
	letters := uint64(1)
	w.Dead = func(context.Context, string) (uint64, error) { return letters, nil }
	decide := func(id, kind string) {
		t.Helper()
		err := r.bus.Operator.Publish(t.Context(), event.Event{
			ID: kind + id, At: monday, Lead: subjects.Lead{Market: "ch", Site: domain, Event: kind, Lead: id}, Body: &event.Decided{},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"matched-later", "still-waits"} {
		decide(id, subjects.Unserved)
		if err := w.Raise(t.Context(), alarm.Occurrence{Site: domain, Cause: alarm.Unserved, About: id, ID: id, At: monday, Leads: []string{id}}); err != nil {
			t.Fatal(err)
		}
	}
	decide("matched-later", subjects.Matched)
	if err := w.Raise(t.Context(), alarm.Occurrence{Site: domain, Cause: alarm.DeadLetter, About: subjects.Matcher, ID: "7", At: monday}); err != nil {
		t.Fatal(err)
	}
	repeat := func(after time.Duration) (calls map[string]int) {
		t.Helper()
		r.set(monday.Add(after))
		if _, err := w.Repeat(t.Context()); err != nil {
			t.Fatal(err)
		}
		calls = map[string]int{}
		for _, a := range r.raised() {
			calls[a.About]++
		}
		return calls
	}
	want := map[string]int{"matched-later": 1, "still-waits": 2, subjects.Matcher: 2}
	if d := cmp.Diff(want, repeat(6*time.Minute)); d != "" {
		t.Error(d)
	}
	letters = 0
	for after := time.Hour; after < 24*time.Hour; after += time.Hour {
		repeat(after)
	}
	want["still-waits"] = 5
	if d := cmp.Diff(want, repeat(24*time.Hour)); d != "" {
		t.Error(d)
	}
	left, err := w.Bucket.All(t.Context())
	if err != nil || len(left) != 1 {
		t.Errorf("%d alarms are kept, want that of the role alone: %v", len(left), err)
	}
}

// One watch at a time does the periodic work; when it leaves, the other does.
func TestOneIsOnDuty(t *testing.T) {
	r := newRig(t)
	ran := make(chan int, 100)
	run := func(n int) (stop func()) {
		w := r.start(Task{Name: "count", Every: time.Hour, Run: func(context.Context) ([]alarm.Occurrence, error) {
			ran <- n
			return []alarm.Occurrence{{Cause: alarm.Canary, ID: "beat", At: monday}}, nil
		}})
		return await.Background(t, w.Run)
	}
	stop := run(1)
	if first := await.Value(t, "the first works", ran); first != 1 {
		t.Fatalf("watch %d did the work", first)
	}
	run(2)
	await.True(t, "the owner is notified for what the work found", func() bool { return len(r.raised()) > 0 })
	stop()
	if next := await.Value(t, "the other takes over", ran); next != 2 {
		t.Errorf("watch %d took over", next)
	}
	if len(ran) != 0 {
		t.Error("the work was done twice")
	}
}

// Every owner gets a digest of the day that ended, once, an empty one too; on
// the first day, which nothing was before, there is none.
func TestTheDay(t *testing.T) {
	r := newRig(t)
	w := r.start()
	now := time.Now()
	r.set(now)
	day := func() []event.Event {
		if _, err := w.digest(t.Context()); err != nil {
			t.Fatal(err)
		}
		return r.events(subjects.DigestMade)
	}
	if got := day(); len(got) != 0 {
		t.Fatalf("%d digests of a day before there was anything", len(got))
	}
	err := r.bus.Operator.Publish(t.Context(), event.Event{
		ID: "call-ended-1", At: now, Lead: subjects.Lead{Market: "ch", Site: domain, Event: subjects.CallEnded, Lead: lead.NewID(domain, "1")},
		Body: &event.Ended{Call: call.Call{ID: "conv_1", StartedAt: now}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.set(now.Add(24 * time.Hour))
	day()
	got := day()
	if len(got) != 1 {
		t.Fatalf("%d digests, want one", len(got))
	}
	d := got[0].Body.(*event.Digested).Digest
	i := slices.IndexFunc(d.Sites, func(s digest.Site) bool { return s.Site == domain })
	if i < 0 || d.Sites[i].Calls != 1 {
		t.Errorf("%+v", d.Sites)
	}
	r.set(now.Add(48 * time.Hour))
	if got := day(); len(got) != 2 || got[1].Body.(*event.Digested).Digest.Sites[0].Calls != 0 {
		t.Errorf("%d digests after an empty day, want 2", len(got))
	}
}

// An agent that somebody changed at the vendor notifies the owner once; who
// acknowledges it accepts the agent as it is then.
func TestAnAgentIsChanged(t *testing.T) {
	r := newRig(t)
	w := r.start()
	const as = `{"agent_id": "a", "name": "Plombiers", "metadata": {"updated_at": %d}, "conversation_config": {"agent": {"first_message": %q, "prompt": {"prompt": "p", "tool_ids": ["t1"]}}}}`
	var answer string
	var fails error
	w.Agent = func(_ context.Context, id string) ([]byte, error) {
		if id != r.catalog.Sites[domain].Agent.ID {
			return []byte(`{"name": "another"}`), nil
		}
		return []byte(answer), fails
	}
	looks := 0
	look := func() (raised []alarm.Alarm) {
		looks++
		occurrences, err := w.lookAtAgents(t.Context())
		if (err != nil) != (fails != nil && !errors.Is(fails, event.ErrNotFound)) {
			t.Errorf("look %d: %v", looks, err)
		}
		if err := w.Raise(t.Context(), occurrences...); err != nil {
			t.Fatal(err)
		}
		return r.raised()
	}
	set := func(text string) { answer = fmt.Sprintf(as, looks, text) }

	set("Bonjour")
	look()
	set("Bonjour") // only the vendor's own part moved
	if got := look(); len(got) != 0 {
		t.Fatalf("alarms without a change: %+v", got)
	}
	fails = errors.New("the vendor failed (status 500)")
	if got := look(); len(got) != 0 {
		t.Fatalf("alarms while the vendor fails: %+v", got)
	}
	fails = nil
	set("Salut")
	got := look()
	if got = append(got, look()...); len(got) != 2 || got[0].ID != got[1].ID || got[0].Cause != alarm.ConfigDrift || got[0].Site != domain ||
		got[0].Facts[1].Value != "conversation_config.agent.first_message" {
		t.Fatalf("after a change: %+v", got)
	}
	acknowledge := func(a alarm.Alarm) {
		if err := w.Acknowledge(t.Context(), a.ID, r.clock()); err != nil {
			t.Fatal(err)
		}
	}
	acknowledge(got[0])
	if got := look(); len(got) != 1 {
		t.Errorf("an accepted change: %d alarms, want the first alone", len(got))
	}
	set("Bonjour")
	if got = look(); len(got) != 2 {
		t.Fatalf("changed back after that: %d alarms, want 2", len(got))
	}
	acknowledge(got[1])
	fails = fmt.Errorf("get agent: %w", event.ErrNotFound)
	look()
	if got = look(); len(got) != 3 || got[2].Facts[1].Value != "the vendor does not have this agent" {
		t.Errorf("a deleted agent: %+v", got)
	}
}
