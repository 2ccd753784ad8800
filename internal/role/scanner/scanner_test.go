package scanner

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
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
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/local/scenario"
	"leadbus/internal/role/scanner/quality"
	"leadbus/internal/role/watch"
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
		edge: b.Connect(t, subjects.Edge), operator: b.Operator, watch: bustest.Bucket(t, b.Operator, subjects.BucketWatch),
	}
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// start runs a scanner with its role's rights, until the test ends.
func (r *rig) start() (s *Scanner) {
	c := r.bus.Connect(r, "ch-scanner")
	bucket := bustest.Bucket(r, c, subjects.BucketWatch)
	w := watch.New(watch.Options{Catalog: r.catalog, Market: "ch", Stream: c, Bucket: bucket, Now: r.clock, Log: zerolog.Nop()})
	s = New(Options{Catalog: r.catalog, Market: "ch", Stream: c, Watch: w, Now: r.clock, Log: zerolog.Nop()})
	await.Background(r, func(ctx context.Context) error { return c.Consume(ctx, subjects.Scanner, 4, s.Handle) })
	return s
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
	err := r.operator.History(r.Context(), subjects.Lead{Market: "ch", Event: kind, Lead: id}, time.Time{}, func(e event.Event) error {
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

// alarm is how an alarm stands.
func (r *rig) alarm(a alarm.Alarm) (st alarm.State) {
	e, err := r.watch.Get(r.Context(), "alarm-"+alarm.Key(a.Site, a.Cause, a.About))
	if err == nil {
		err = json.Unmarshal(e.Value, &st)
	}
	if err != nil {
		r.Fatal(err)
	}
	return st
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
	c := r.call("goodbye-before-tool", 1, nil)
	id := r.end(c)

	s := r.scanned(id)
	if !s.Scan.Eligible || s.Scan.Dispatched || !s.Scan.Recovered || s.Status != event.Recovered {
		t.Errorf("scan %+v, status %s", s.Scan, s.Status)
	}
	f, found := s.Scan.Finding(call.CloseBeforeDispatch)
	if !found || f.Sentence == "" || f.Second == 0 {
		t.Errorf("findings %+v", s.Scan.Findings)
	}
	l := r.await(subjects.Received, id, 1)[0].Body.(*event.Received).Lead
	if l.Phone.E164 != "+41781240001" || l.Service.ID != "plumbing.leak" || l.Place.ID != "carouge" || !slices.Contains(l.Flags, lead.FlagRecovered) {
		t.Errorf("lead %+v", l)
	}
	if alarms := r.events(subjects.AlarmRaised, ""); len(alarms) != 0 {
		t.Errorf("the owner is notified for a lead that was saved: %d alarms", len(alarms))
	}
}

// A lead that the agent did pass on is not made a second time.
func TestADispatchedCallMeetsItsLead(t *testing.T) {
	r := newRig(t)
	c := r.call("normal", 1, nil)
	failed := r.call("tool-error", 2, nil) // our answer was lost on its way
	r.dispatch(c)
	r.dispatch(failed)
	id, other := r.end(c), r.end(failed)
	r.start()

	if s := r.scanned(id); !s.Scan.Dispatched || s.Scan.Recovered || len(s.Scan.Findings) != 0 || s.Lead == nil || s.Status != string(lead.Pending) {
		t.Errorf("a call as it should be: %+v, status %q", s.Scan, s.Status)
	}
	if s := r.scanned(other); !s.Scan.Dispatched || s.Scan.Recovered || slices.Contains(detectors(s), call.MissedDispatch) {
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
	r.start()
	lost := func(c *call.Call) {
		c.Collected["city"] = "Trifouilly-les-Oies"
		for i := range c.Turns {
			if c.Turns[i].Who == call.Caller {
				c.Turns[i].Text = "Bonjour, j'ai une fuite d'eau à la cuisine, venez vite s'il vous plaît."
			}
		}
	}
	first, second := r.end(r.call("promise-without-tool", 1, lost)), r.end(r.call("promise-without-tool", 2, lost))
	for _, id := range []string{first, second} {
		if s := r.scanned(id); s.Status != event.Asked || s.Lead == nil || s.Lead.Place.ID != "" {
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
	if a := raised[alarm.NotRescued]; a.Notified != 1 || a.Site != domain {
		t.Errorf("alarms %+v", raised)
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
	if st := r.alarm(raised[alarm.NotRescued]); st.Answered.IsZero() || len(st.Leads) != 0 {
		t.Errorf("the alarm is open, though all was answered: %+v", st)
	}
}

func TestNobodyIsRescuedWhoNeedsNoRescue(t *testing.T) {
	r := newRig(t)
	r.start()
	id := r.end(r.call("spam", 1, nil))
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
		r.scanned(r.end(r.call("goodbye-before-tool", n, nil)))
	}
	r.settled()
	var drifts []alarm.Alarm
	for _, e := range r.events(subjects.AlarmRaised, "") {
		if a := e.Body.(*event.Raised).Alarm; a.Cause == alarm.Drift && a.About == r.catalog.Sites[domain].Agent.ID+"/"+call.MissedDispatch {
			drifts = append(drifts, a)
		}
	}
	if len(drifts) != 1 || drifts[0].Notified != 1 {
		t.Fatalf("alarms %+v", drifts)
	}
	r.publish(subjects.OwnerAnswered, drifts[0].ID, "owner-answered-"+drifts[0].ID, &event.Answered{Answer: event.Acknowledge})
	r.settled()
	before := len(r.events(subjects.AlarmRaised, ""))
	r.scanned(r.end(r.call("goodbye-before-tool", 20, nil)))
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
	r.scanned(r.end(r.call("tool-error", 1, near(0))))
	r.scanned(r.end(r.call("tool-error", 2, near(30))))
	if n := alarms(); n != 0 {
		t.Errorf("%d alarms of failures half an hour apart", n)
	}
	r.scanned(r.end(r.call("tool-error", 3, near(35))))
	if n := alarms(); n != 1 {
		t.Errorf("%d alarms of failures five minutes apart, want 1", n)
	}
}

// report brings a report to the bus as the edge does; the call's site is known.
func (r *rig) report(c call.Call) string {
	e, err := event.NewEnded("ch", domain, c, []byte("{}"), monday.AddDate(0, 0, 1))
	if err != nil {
		r.Fatal(err)
	}
	if err := r.edge.Publish(r.Context(), e); err != nil {
		r.Fatal(err)
	}
	return e.Lead.Lead
}

// thin is the beginning of a call's report: nothing of it is a request.
func thin(c call.Call) call.Call {
	c.Turns, c.Tools, c.Collected, c.Summary = slices.Clone(c.Turns[:2]), nil, nil, ""
	return c
}

// A report that tells more of the call is scanned again and its lead saved, once;
// the same report again, and the thin one after it, change nothing.
func TestAFullerReportIsScannedAgain(t *testing.T) {
	r := newRig(t)
	s := r.start()
	full := r.call("goodbye-before-tool", 1, nil)
	id := r.report(thin(full))
	if s := r.scanned(id); s.Scan.Eligible || s.Status != "" {
		t.Fatalf("the thin report: %+v, status %q", s.Scan, s.Status)
	}
	r.report(full)
	second := r.await(subjects.CallScanned, id, 2)[1].Body.(*event.Scanned)
	if !second.Scan.Recovered || second.Status != event.Recovered || second.Before != 1 || len(second.Call.Turns) != len(full.Turns) {
		t.Errorf("the full report: %+v, status %s, %d before", second.Scan, second.Status, second.Before)
	}
	fuller := full
	fuller.Turns = append(slices.Clone(full.Turns), call.Turn{Who: call.Caller, Text: "Merci, au revoir.", Second: 99})
	r.report(full)
	r.report(fuller)
	third := r.await(subjects.CallScanned, id, 3)[2].Body.(*event.Scanned)
	if third.Status != event.Recovered || third.Before != 2 {
		t.Errorf("the fullest report: status %s, %d before", third.Status, third.Before)
	}
	r.report(thin(full))
	r.settled()
	for _, e := range r.events(subjects.CallEnded, id) {
		if err := s.Handle(t.Context(), event.Delivery{Event: e, Attempt: 1}); err != nil {
			t.Error(err)
		}
	}
	if n := len(r.events(subjects.CallScanned, id)); n != 3 {
		t.Errorf("%d scans, want 3", n)
	}
	if n := len(r.events(subjects.Received, id)); n != 1 {
		t.Errorf("%d rescues, want 1", n)
	}
}

// Reports on one call come at the same time: the fullest stands, and the lead is
// saved once.
func TestReportsAtTheSameTime(t *testing.T) {
	r := newRig(t)
	full := r.call("goodbye-before-tool", 1, nil)
	cut := full
	cut.Turns = full.Turns[:len(full.Turns)-1]
	for _, c := range []call.Call{thin(full), cut, full} {
		r.report(c)
	}
	r.start()
	r.start()
	id := lead.NewID(domain, full.ID)
	await.True(t, "the fullest report is scanned", func() bool {
		scans := r.events(subjects.CallScanned, id)
		return len(scans) > 0 && len(scans[len(scans)-1].Body.(*event.Scanned).Call.Turns) == len(full.Turns)
	})
	r.settled()
	if n := len(r.events(subjects.Received, id)); n != 1 {
		t.Errorf("%d rescues, want 1", n)
	}
}

// What the thin report asked the owner is answered by the full one, until the
// owner has answered.
func TestAFullerReportAnswersForTheOwner(t *testing.T) {
	r := newRig(t)
	r.start()
	var ids []string
	var full []call.Call
	for n := range 2 {
		c := r.call("promise-without-tool", n+1, nil)
		short := c
		short.Collected, short.Turns = nil, slices.Clone(c.Turns)
		for i := range short.Turns {
			if short.Turns[i].Who == call.Caller {
				short.Turns[i].Text = "Bonjour, venez vite."
			}
		}
		full, ids = append(full, c), append(ids, r.report(short))
		if s := r.scanned(ids[n]); s.Status != event.Asked {
			t.Fatalf("status %q", s.Status)
		}
	}
	r.publish(subjects.OwnerAnswered, ids[1], "owner-answered-"+ids[1], &event.Answered{Answer: event.Drop})
	r.settled()
	for _, c := range full {
		r.report(c)
	}
	if s := r.await(subjects.CallScanned, ids[0], 2)[1].Body.(*event.Scanned); s.Status != event.Recovered {
		t.Errorf("status %q", s.Status)
	}
	r.settled()
	if st := r.alarm(alarm.Alarm{Site: domain, Cause: alarm.NotRescued}); st.Answered.IsZero() {
		t.Errorf("the owner is still called: %+v", st)
	}
	if got := r.events(subjects.Received, ids[1]); len(got) != 0 {
		t.Error("a lead that the owner dropped went on")
	}
}

// Who chats on the website, and who was put through to a person, is not sent to a
// provider by itself: the owner is asked.
func TestTheOwnerIsAskedThoughAllIsKnown(t *testing.T) {
	r := newRig(t)
	r.start()
	for n, c := range []struct {
		flag   string
		change func(*call.Call)
	}{
		{lead.FlagNoPhoneCall, func(c *call.Call) {
			c.Direction, c.CallSID, c.CallerID, c.Called, c.Source = "", "", "", "", "widget"
			c.Collected["callback_number"] = "078 124 00 01"
		}},
		{lead.FlagTransferred, func(c *call.Call) {
			c.Tools = append(c.Tools, call.ToolUse{Name: "transfer_to_number", Turn: len(c.Turns), Ran: true, Answered: true})
		}},
	} {
		id := r.report(r.call("promise-without-tool", n+1, func(k *call.Call) {
			if k.Collected == nil {
				k.Collected = map[string]string{}
			}
			c.change(k)
		}))
		s := r.scanned(id)
		if !s.Scan.Eligible || s.Status != event.Asked || s.Lead == nil || s.Lead.Phone.E164 == "" || !slices.Contains(s.Lead.Flags, c.flag) {
			t.Errorf("%s: %+v, status %q, lead %+v", c.flag, s.Scan, s.Status, s.Lead)
		}
		r.settled()
		if got := r.events(subjects.Received, id); len(got) != 0 {
			t.Errorf("%s: a provider hears of it", c.flag)
		}
		r.publish(subjects.OwnerAnswered, id, "owner-answered-"+id, &event.Answered{Answer: event.Confirm})
		r.await(subjects.Received, id, 1)
	}
}

// A voice that goes is an alarm of its own, which says which and when.
func TestAVoiceThatGoes(t *testing.T) {
	r := newRig(t)
	r.start()
	v := call.Voice{ID: r.catalog.Sites[domain].Agent.Voice, Name: "Eric", Goes: time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)}
	for range 2 {
		e, err := event.NewVoice("ch", site.Unknown, v, monday)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.edge.Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	a := r.await(subjects.AlarmRaised, "", 1)[0].Body.(*event.Raised).Alarm
	facts := fmt.Sprint(a.Facts)
	if a.Cause != alarm.VoiceRemoved || a.About != v.ID || a.Times != 1 {
		t.Errorf("%+v", a)
	}
	for _, want := range []string{v.ID, "Eric", "2026-12-31", domain} {
		if !strings.Contains(facts, want) {
			t.Errorf("the alarm does not say %s: %s", want, facts)
		}
	}
	r.settled()
	if n := len(r.events(subjects.AlarmRaised, "")) + len(r.events(subjects.CallScanned, "")); n != 1 {
		t.Errorf("%d events, want the alarm", n)
	}
}

// A call of an agent that no site has is not thrown away in silence.
func TestAnUnknownAgent(t *testing.T) {
	r := newRig(t)
	r.start()
	c := r.call("goodbye-before-tool", 1, func(c *call.Call) { c.AgentID = "agent_elsewhere" })
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
	names := []string{"normal", "goodbye-before-tool", "promise-without-tool", "tool-error", "hang-up", "spam"}
	var ids []string
	for n := range 24 {
		c := r.call(names[n%len(names)], n, nil)
		if names[n%len(names)] == "normal" {
			r.dispatch(c)
		}
		ids = append(ids, r.end(c))
	}
	s := r.start()
	r.start()
	r.settled()
	for i, id := range ids {
		got := r.events(subjects.CallScanned, id)
		if len(got) != 1 {
			t.Fatalf("call %d was scanned %d times", i, len(got))
		}
		want := names[i%len(names)] != "normal" && names[i%len(names)] != "spam"
		if s := got[0].Body.(*event.Scanned); slices.Contains(detectors(*s), call.MissedDispatch) != want {
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
		if key := fmt.Sprint(a.Cause, a.About, a.Notified); told[key] {
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

// A new version that no longer says that it is an AI notifies the owner; an agent
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
		if s := r.scanned(r.end(r.call("normal", n+1, silent(version)))); !slices.Contains(detectors(s), call.NoDisclosure) {
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
