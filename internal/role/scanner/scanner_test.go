package scanner

import (
	"context"
	"encoding/json"
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
	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/bus/bustest"
	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/event/digest"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/local/scenario"
	"leadbus/internal/role/scanner/quality"
	"leadbus/internal/role/watch/reach"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
	"leadbus/internal/understand/intake"
	"leadbus/internal/vendors/elevenlabs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const domain = "plombiersgeneve.ch"

var monday = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// rig is a real bus with one market, and a clock that tests set.
type rig struct {
	*testing.T
	bus            *bustest.Bus
	catalog        *site.Catalog
	edge, operator *bus.Conn
	watch          *bus.Bucket

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
	b := bustest.New(t)
	return &rig{
		T: t, bus: b, catalog: c, now: monday,
		edge: b.Connect(t, bus.EdgeUser), operator: b.Operator, watch: bustest.Bucket(t, b.Operator, subjects.BucketWatch),
	}
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

// start runs a scanner with its role's rights, until the test or
// stop ends it.
func (r *rig) start(tasks ...Task) (s *Scanner, stop func()) {
	c := r.bus.Connect(r, "ch-scanner")
	watch := bustest.Bucket(r, c, subjects.BucketWatch)
	s = New(Options{Catalog: r.catalog, Market: "ch", Stream: c, Watch: watch, Reach: reach.New(c, watch).Handle, Tasks: tasks, Now: r.clock, Log: zerolog.Nop()})
	return s, await.Background(r, func(ctx context.Context) error { return c.Consume(ctx, subjects.Scanner, 4, s.Handle) })
}

// call makes up a phone call; n tells calls apart.
func (r *rig) call(name string, n int, change func(*call.Call)) call.Call {
	st := r.catalog.Sites[domain]
	at := monday.Add(time.Duration(n) * time.Hour)
	play, err := scenario.Build(name, scenario.Site{
		Language: "fr", AgentID: st.Agent.ID, DID: st.DID, Brand: st.Brand, Greeting: st.Agent.FirstMessage["fr"], Service: "fuite d'eau", Place: "Carouge",
	}, scenario.Call{ConversationID: fmt.Sprintf("conv_%s_%d", name, n), Caller: fmt.Sprintf("+4178124%04d", n), Ended: at})
	if err != nil {
		r.Fatal(err)
	}
	c, err := elevenlabs.Conversation(play.Conversation())
	if err != nil {
		r.Fatal(err)
	}
	if change != nil {
		change(&c)
	}
	return c
}

// end reports a call on the bus, as the edge does, and is its lead's id.
func (r *rig) end(c call.Call) string {
	id := lead.NewID(domain, c.ID)
	r.publish(subjects.CallEnded, id, subjects.CallEnded+"-"+id, &event.Ended{Call: c})
	return id
}

func (r *rig) publish(kind, id, eventID string, body any) {
	err := r.edge.Publish(r.Context(), event.Event{
		ID: eventID, At: monday, Lead: subjects.Lead{Market: "ch", Site: domain, Event: kind, Lead: id}, Body: body,
	})
	if err != nil {
		r.Fatal(err)
	}
}

// dispatch is the agent's tool call reaching us.
func (r *rig) dispatch(c call.Call) {
	id := lead.NewID(domain, c.ID)
	l := intake.New(r.catalog).Understand(r.catalog.Sites[domain], id, lead.Request{
		ConversationID: c.ID, CallbackNumber: c.CallerID, ServiceType: "fuite d'eau", City: "Carouge", CustomerName: "Marta Salas",
	}, monday, nil)
	r.publish(subjects.Received, id, "received-"+id, &event.Received{Lead: l})
}

// events are those of a kind, of one lead or all.
func (r *rig) events(kind, id string) []event.Event {
	var out []event.Event
	err := r.operator.History(r.Context(), subjects.Lead{Market: "ch", Event: kind, Lead: id}, time.Time{}, func(e event.Event, _ time.Time) error {
		out = append(out, e)
		return nil
	})
	if err != nil {
		r.Fatal(err)
	}
	return out
}

// await waits until a lead, or any, has so many events of a kind.
func (r *rig) await(kind, id string, n int) (got []event.Event) {
	r.Helper()
	await.True(r, fmt.Sprintf("%d %s of %q", n, kind, id), func() bool {
		got = r.events(kind, id)
		return len(got) >= n
	})
	return got
}

func (r *rig) scanned(id string) event.Scanned {
	return *r.await(subjects.CallScanned, id, 1)[0].Body.(*event.Scanned)
}

// settled waits until the scanner's durable has nothing left.
func (r *rig) settled() {
	r.Helper()
	var err error
	await.Return(r, "nothing is left for the scanner", func() { err = r.operator.Emptied(r.Context(), subjects.Scanner) })
	if err != nil {
		r.Fatal(err)
	}
}

func detectors(s event.Scanned) []string {
	var out []string
	for _, f := range s.Scan.Findings {
		out = append(out, f.Detector)
	}
	return out
}

// The agent said goodbye and never called its tool: the finding shows the
// sentence, and the lead goes the way of every other.
func TestGoodbyeBeforeTheTool(t *testing.T) {
	r := newRig(t)
	r.start()
	c := r.call(scenario.Goodbye, 1, nil)
	id := r.end(c)

	s := r.scanned(id)
	if !s.Scan.Eligible || s.Scan.Dispatched || !s.Scan.Recovered || s.Status != recovered {
		t.Errorf("scan %+v, status %s", s.Scan, s.Status)
	}
	f, found := finding(s.Scan, quality.CloseBeforeDispatch)
	if !found || f.Sentence == "" || f.Second == 0 {
		t.Errorf("findings %+v", s.Scan.Findings)
	}
	l := r.await(subjects.Received, id, 1)[0].Body.(*event.Received).Lead
	if l.Phone.E164 != "+41781240001" || l.Service.ID != "plumbing.leak" || l.Place.ID != "carouge" || !slices.Contains(l.Flags, lead.FlagRecovered) {
		t.Errorf("lead %+v", l)
	}
	if alarms := r.events(subjects.AlarmRaised, ""); len(alarms) != 0 {
		t.Errorf("the owner is called for a lead that was saved: %d alarms", len(alarms))
	}
}

// A lead that the agent did pass on is not made a second time.
func TestADispatchedCallMeetsItsLead(t *testing.T) {
	r := newRig(t)
	c := r.call(scenario.Normal, 1, nil)
	failed := r.call(scenario.ToolError, 2, nil) // our answer was lost on its way
	r.dispatch(c)
	r.dispatch(failed)
	id, other := r.end(c), r.end(failed)
	r.start()

	if s := r.scanned(id); !s.Scan.Dispatched || s.Scan.Recovered || len(s.Scan.Findings) != 0 || s.Lead == nil || s.Status != string(lead.Pending) {
		t.Errorf("a call as it should be: %+v, status %q", s.Scan, s.Status)
	}
	if s := r.scanned(other); !s.Scan.Dispatched || s.Scan.Recovered || slices.Contains(detectors(s), quality.MissedDispatch) {
		t.Errorf("a call whose lead came all the same: %+v", s.Scan)
	}
	r.settled()
	if got := r.events(subjects.Received, ""); len(got) != 2 {
		t.Errorf("%d leads, want 2", len(got))
	}
}

// What cannot be sent on waits for the owner, who is called until they answer.
func TestTheOwnerIsAsked(t *testing.T) {
	r := newRig(t)
	s, _ := r.start()
	lost := func(c *call.Call) {
		c.Collected["city"] = "Trifouilly-les-Oies"
		for i := range c.Turns {
			if c.Turns[i].Who == call.Caller {
				c.Turns[i].Text = "Bonjour, j'ai une fuite d'eau à la cuisine, venez vite s'il vous plaît."
			}
		}
	}
	first, second := r.end(r.call(scenario.Promise, 1, lost)), r.end(r.call(scenario.Promise, 2, lost))
	for _, id := range []string{first, second} {
		if s := r.scanned(id); s.Status != asked || s.Lead == nil || s.Lead.Place.ID != "" {
			t.Fatalf("status %s, lead %+v", s.Status, s.Lead)
		}
	}
	r.settled()
	if got := r.events(subjects.Received, ""); len(got) != 0 {
		t.Fatalf("%d leads went on without their place", len(got))
	}
	raised := map[string]alarm.Alarm{}
	for _, e := range r.events(subjects.AlarmRaised, "") {
		a := e.Body.(*event.Raised).Alarm
		raised[a.Cause] = a
	}
	if a := raised[alarm.NotRescued]; a.Told != 1 || a.Site != domain {
		t.Errorf("alarms %+v", raised)
	}

	// Nobody answers for a while.
	r.set(monday.Add(6 * time.Minute))
	if _, err := s.repeat(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := r.await(subjects.AlarmRaised, raised[alarm.NotRescued].ID, 2)[1].Body.(*event.Raised).Alarm
	if again.Told != 2 || len(again.Leads) != 2 {
		t.Errorf("told again: %+v", again)
	}

	r.publish(subjects.OwnerAnswered, first, "owner-answered-"+first, &event.Answered{Answer: event.Confirm, Place: "carouge", Phone: "+41781240009"})
	l := r.await(subjects.Received, first, 1)[0].Body.(*event.Received).Lead
	if l.Place.ID != "carouge" || l.Phone.E164 != "+41781240009" || l.Service.ID != "plumbing.leak" || !slices.Contains(l.Flags, confirmed) {
		t.Errorf("confirmed lead %+v", l)
	}
	r.publish(subjects.OwnerAnswered, second, "owner-answered-"+second, &event.Answered{Answer: event.Drop})
	r.settled()
	if got := r.events(subjects.Received, second); len(got) != 0 {
		t.Error("a lead that the owner dropped went on")
	}
	r.set(monday.Add(2 * time.Hour))
	if _, err := s.repeat(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.events(subjects.AlarmRaised, raised[alarm.NotRescued].ID); len(got) != 2 {
		t.Errorf("told %d times, though all was answered", len(got))
	}
}

// Occurrences of one cause that come at the same time begin one alarm.
func TestStrikesAtTheSameTimeAreOneAlarm(t *testing.T) {
	r := newRig(t)
	s, _ := r.start()
	const causes, occurrences = 10, 4
	var all sync.WaitGroup
	for n := range causes * occurrences {
		all.Go(func() {
			about := fmt.Sprintf("provider%d/sms", n/occurrences)
			if err := s.raise(t.Context(), alarm.Occurrence{Site: domain, Cause: alarm.Unreachable, About: about, ID: fmt.Sprint(n), At: monday}); err != nil {
				t.Error(err)
			}
		})
	}
	await.Return(t, "the occurrences are raised", all.Wait)
	if got := r.events(subjects.AlarmRaised, ""); len(got) != causes {
		t.Errorf("the owner was called %d times for %d causes", len(got), causes)
	}
}

func TestNobodyIsRescuedWhoNeedsNoRescue(t *testing.T) {
	r := newRig(t)
	r.start()
	id := r.end(r.call(scenario.Spam, 1, nil))
	if s := r.scanned(id); s.Scan.Eligible || s.Scan.Why == "" || s.Status != "" || s.Lead != nil {
		t.Errorf("spam: %+v, status %q", s.Scan, s.Status)
	}
	r.settled()
	if got := r.events(subjects.Received, ""); len(got) != 0 {
		t.Error("spam became a lead")
	}
}

// An agent that begins to miss is called about once, and again only after the
// owner acknowledged it.
func TestAnAgentGetsWorse(t *testing.T) {
	r := newRig(t)
	r.start()
	for n := range 12 {
		r.scanned(r.end(r.call(scenario.Goodbye, n, nil)))
	}
	r.settled()
	var drifts []alarm.Alarm
	for _, e := range r.events(subjects.AlarmRaised, "") {
		if a := e.Body.(*event.Raised).Alarm; a.Cause == alarm.Drift && a.About == r.catalog.Sites[domain].Agent.ID+"/"+quality.MissedDispatch {
			drifts = append(drifts, a)
		}
	}
	if len(drifts) != 1 || drifts[0].Told != 1 {
		t.Fatalf("alarms %+v", drifts)
	}
	r.publish(subjects.OwnerAnswered, drifts[0].ID, "owner-answered-"+drifts[0].ID, &event.Answered{Answer: event.Acknowledge})
	r.settled()
	before := len(r.events(subjects.AlarmRaised, ""))
	r.scanned(r.end(r.call(scenario.Goodbye, 20, nil)))
	r.settled()
	if after := len(r.events(subjects.AlarmRaised, "")); after != before {
		t.Errorf("%d alarms after one more miss, %d before", after, before)
	}
}

func TestAToolThatFailsTwice(t *testing.T) {
	r := newRig(t)
	r.start()
	near := func(minutes int) func(*call.Call) {
		return func(c *call.Call) { c.StartedAt = monday.Add(time.Duration(minutes) * time.Minute) }
	}
	alarms := func() (n int) {
		r.settled()
		for _, e := range r.events(subjects.AlarmRaised, "") {
			if e.Body.(*event.Raised).Alarm.Cause == alarm.ToolError {
				n++
			}
		}
		return n
	}
	r.scanned(r.end(r.call(scenario.ToolError, 1, near(0))))
	r.scanned(r.end(r.call(scenario.ToolError, 2, near(30))))
	if n := alarms(); n != 0 {
		t.Errorf("%d alarms of failures half an hour apart", n)
	}
	r.scanned(r.end(r.call(scenario.ToolError, 3, near(35))))
	if n := alarms(); n != 1 {
		t.Errorf("%d alarms of failures five minutes apart, want 1", n)
	}
}

// A call of an agent that no site has is not thrown away in silence.
func TestAnUnknownAgent(t *testing.T) {
	r := newRig(t)
	r.start()
	c := r.call(scenario.Goodbye, 1, func(c *call.Call) { c.AgentID = "agent_elsewhere" })
	to := subjects.Lead{Market: "ch", Site: "unknown.invalid", Event: subjects.CallEnded, Lead: lead.NewID("unknown.invalid", c.ID)}
	if err := r.edge.Publish(t.Context(), event.Event{ID: "x", At: monday, Lead: to, Body: &event.Ended{Call: c}}); err != nil {
		t.Fatal(err)
	}
	a := r.await(subjects.AlarmRaised, "", 1)[0].Body.(*event.Raised).Alarm
	if a.Cause != alarm.UnknownAgent || a.About != "agent_elsewhere" || r.catalog.Sites[a.Site] == nil {
		t.Errorf("%+v", a)
	}
}

// Scanners that were away for an hour, two of them then, and a replay of
// everything: no finding missing, none doubled, no alarm doubled.
func TestAwayAndReplayed(t *testing.T) {
	r := newRig(t)
	names := []string{scenario.Normal, scenario.Goodbye, scenario.Promise, scenario.ToolError, scenario.HangUp, scenario.Spam}
	var ids []string
	for n := range 24 {
		c := r.call(names[n%len(names)], n, nil)
		if names[n%len(names)] == scenario.Normal {
			r.dispatch(c)
		}
		ids = append(ids, r.end(c))
	}
	s, _ := r.start()
	r.start()
	r.settled()
	for i, id := range ids {
		got := r.events(subjects.CallScanned, id)
		if len(got) != 1 {
			t.Fatalf("call %d was scanned %d times", i, len(got))
		}
		want := names[i%len(names)] != scenario.Normal && names[i%len(names)] != scenario.Spam
		if s := got[0].Body.(*event.Scanned); slices.Contains(detectors(*s), quality.MissedDispatch) != want {
			t.Errorf("call %d, %s: %v", i, names[i%len(names)], detectors(*s))
		}
	}
	state := func() map[string]string {
		all, err := r.watch.All(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, e := range all {
			out[e.Key] = string(e.Value)
		}
		return out
	}
	count := func() []int {
		return []int{len(r.events(subjects.CallScanned, "")), len(r.events(subjects.Received, "")), len(r.events(subjects.AlarmRaised, ""))}
	}
	told := map[string]bool{}
	for _, e := range r.events(subjects.AlarmRaised, "") {
		a := e.Body.(*event.Raised).Alarm
		if key := fmt.Sprint(a.Cause, a.About, a.Told); told[key] {
			t.Errorf("alarm %s about %s doubled", a.Cause, a.About)
		} else {
			told[key] = true
		}
	}
	before, beforeState := count(), state()
	for _, kind := range []string{subjects.CallEnded, subjects.OwnerAnswered} {
		for _, e := range r.events(kind, "") {
			if err := s.Handle(t.Context(), event.Delivery{Event: e, Attempt: 1}); err != nil {
				t.Error(err)
			}
		}
	}
	if diff := cmp.Diff(before, count()); diff != "" {
		t.Errorf("scans, leads and alarms after the replay:\n%s", diff)
	}
	if diff := cmp.Diff(beforeState, state()); diff != "" {
		t.Errorf("what is watched after the replay:\n%s", diff)
	}
}

// One scanner at a time does the periodic work; when it leaves, the other does.
func TestOneIsOnDuty(t *testing.T) {
	r := newRig(t)
	ran := make(chan int, 100)
	run := func(n int) (stop func()) {
		s, _ := r.start(Task{Name: "count", Every: time.Hour, Run: func(context.Context) ([]alarm.Occurrence, error) {
			ran <- n
			return []alarm.Occurrence{{Cause: alarm.Canary, ID: "beat", At: monday}}, nil
		}})
		return await.Background(t, s.Run)
	}
	stop := run(1)
	if first := await.Value(t, "the first scanner works", ran); first != 1 {
		t.Fatalf("scanner %d did the work", first)
	}
	run(2)
	r.await(subjects.AlarmRaised, "", 1)
	stop()
	if next := await.Value(t, "the other takes over", ran); next != 2 {
		t.Errorf("scanner %d took over", next)
	}
	if len(ran) != 0 {
		t.Error("the work was done twice")
	}
}

// Whatever an authentic report holds, the scanner lives on.
func FuzzReport(f *testing.F) {
	c, err := site.Load("../../../config")
	if err != nil {
		f.Fatal(err)
	}
	s := New(Options{Catalog: c, Market: "ch", Now: time.Now, Log: zerolog.Nop()})
	for _, name := range scenario.Names() {
		play, err := scenario.Build(name, scenario.Site{Language: "de", AgentID: "a", Service: "Rohrbruch", Place: "Genf"}, scenario.Call{ConversationID: "c", Ended: monday})
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(play.Conversation()))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := elevenlabs.Conversation(data)
		if err != nil {
			return
		}
		st := s.Catalog.Sites[domain]
		_ = quality.Scan(c, quality.Context{Languages: st.Languages, Recorded: true})
		l := s.rebuild(st, "x", c, monday)
		if _, err := json.Marshal(l); err != nil {
			t.Error(err)
		}
	})
}

// Every owner gets a digest of the day that ended, once, an empty one too; on
// the first day, which nothing was before, there is none.
func TestTheDay(t *testing.T) {
	r := newRig(t)
	s, _ := r.start()
	now := time.Now()
	r.set(now)
	day := func() []event.Event {
		if _, err := s.digest(t.Context()); err != nil {
			t.Fatal(err)
		}
		return r.events(subjects.DigestMade, "")
	}
	if got := day(); len(got) != 0 {
		t.Fatalf("%d digests of a day before there was anything", len(got))
	}
	c := r.call(scenario.Goodbye, 1, nil)
	r.scanned(r.end(c))
	r.settled()
	r.set(now.Add(24 * time.Hour))
	day()
	got := day()
	if len(got) != 1 {
		t.Fatalf("%d digests, want one", len(got))
	}
	d := got[0].Body.(*event.Digested).Digest
	i := slices.IndexFunc(d.Sites, func(s digest.Site) bool { return s.Site == domain })
	if i < 0 || d.Sites[i].Calls != 1 || d.Sites[i].Rescued != 1 || d.Sites[i].Dispatched.Of != 1 || d.Sites[i].Dispatched.Count != 0 {
		t.Errorf("%+v", d.Sites)
	}
	r.set(now.Add(48 * time.Hour))
	if got := day(); len(got) != 2 || got[1].Body.(*event.Digested).Digest.Sites[0].Calls != 0 {
		t.Errorf("%d digests after an empty day, want 2", len(got))
	}
}

// An agent that somebody changed at the vendor calls the owner once; who
// acknowledges it accepts the agent as it is then.
func TestAnAgentIsChanged(t *testing.T) {
	r := newRig(t)
	s, _ := r.start()
	const as = `{"agent_id": "a", "name": "Plombiers", "metadata": {"updated_at": %d}, "conversation_config": {"agent": {"first_message": %q, "prompt": {"prompt": "p", "tool_ids": ["t1"]}}}}`
	var answer string
	var fails error
	s.Agent = func(_ context.Context, id string) ([]byte, error) {
		if id != r.catalog.Sites[domain].Agent.ID {
			return []byte(`{"name": "another"}`), nil
		}
		return []byte(answer), fails
	}
	looks := 0
	look := func() (raised []alarm.Alarm) {
		looks++
		occurrences, err := s.lookAtAgents(t.Context())
		if (err != nil) != (fails != nil && !errors.Is(fails, event.ErrNotFound)) {
			t.Errorf("look %d: %v", looks, err)
		}
		if err := s.raise(t.Context(), occurrences...); err != nil {
			t.Fatal(err)
		}
		for _, e := range r.events(subjects.AlarmRaised, "") {
			raised = append(raised, e.Body.(*event.Raised).Alarm)
		}
		return raised
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
		r.publish(subjects.OwnerAnswered, a.ID, "owner-answered-"+a.ID, &event.Answered{Answer: event.Acknowledge})
		r.settled()
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

// A new version that no longer says that it is an AI calls the owner; an agent
// that never did is in the digest.
func TestANewVersionHidesThatItIsAnAI(t *testing.T) {
	r := newRig(t)
	r.start()
	n := 0
	silent := func(version string) func(*call.Call) {
		n++
		return func(c *call.Call) {
			c.Version, c.StartedAt = version, monday.Add(time.Duration(n)*time.Minute)
			c.Turns[0].Text = "Bonjour, que puis-je faire pour vous ?"
		}
	}
	for _, version := range []string{"v1", "v1", "v2", "v2"} {
		if s := r.scanned(r.end(r.call(scenario.Normal, n+1, silent(version)))); !slices.Contains(detectors(s), quality.NoDisclosure) {
			t.Fatalf("findings %v", detectors(s))
		}
	}
	r.settled()
	var about []string
	for _, e := range r.events(subjects.AlarmRaised, "") {
		about = append(about, e.Body.(*event.Raised).Alarm.Cause+" "+e.Body.(*event.Raised).Alarm.About)
	}
	if want := []string{alarm.NoDisclosure + " " + r.catalog.Sites[domain].Agent.ID + "/v2"}; !slices.Equal(about, want) {
		t.Errorf("alarms %v, want %v", about, want)
	}
}
