package matcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/roster"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

var errDied = errors.New("the process died")

// mortal is a process that dies at one of its steps: before the step took
// effect, or after, without hearing of it.
type mortal struct {
	event.FirstStream
	Load
	left  int // steps until it dies
	after bool
	died  string // at what
}

func (x *mortal) step(what string, f func() error) error {
	if x.died != "" {
		return errDied
	}
	if x.left--; x.left > 0 {
		return f()
	}
	x.died = "before " + what
	if x.after {
		x.died = "after " + what
		if err := f(); err != nil {
			return err
		}
	}
	return errDied
}

func (x *mortal) Events(ctx context.Context, f subjects.Lead) (found []event.Event, err error) {
	err = x.step("reading events", func() error { found, err = x.FirstStream.Events(ctx, f); return err })
	return found, err
}

func (x *mortal) Publish(ctx context.Context, e event.Event) error {
	return x.step("publishing "+e.Lead.Event, func() error { return x.FirstStream.Publish(ctx, e) })
}

func (x *mortal) PublishFirst(ctx context.Context, e event.Event) error {
	return x.step("publishing "+e.Lead.Event, func() error { return x.FirstStream.PublishFirst(ctx, e) })
}

func (x *mortal) All(ctx context.Context) (found []event.Entry, err error) {
	err = x.step("reading loads", func() error { found, err = x.Load.All(ctx); return err })
	return found, err
}

func (x *mortal) Get(ctx context.Context, key string) (e event.Entry, err error) {
	err = x.step("reading a load", func() error { e, err = x.Load.Get(ctx, key); return err })
	return e, err
}

func (x *mortal) Create(ctx context.Context, key string, v []byte) (rev uint64, err error) {
	err = x.step("reserving", func() error { rev, err = x.Load.Create(ctx, key, v); return err })
	return rev, err
}

func (x *mortal) Update(ctx context.Context, key string, v []byte, r uint64) (rev uint64, err error) {
	err = x.step("reserving", func() error { rev, err = x.Load.Update(ctx, key, v, r); return err })
	return rev, err
}

// A caller corrects and takes it back at once, and two replicas have the calls in
// hand: the last word stands.
func TestACorrectionIsTakenBackWhileAnotherReplicaDecides(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"))
	other, _ := r.start(r.options())
	says := func(address string) event.Delivery { return r.receive("conv_1", lead.Request{AddressLine: address}) }
	first := r.receive("conv_1", leak())
	handle(t, other, first)
	handle(t, other, says("Rue du Lac 3"))

	o := r.options()
	slow := &slowToPublish{FirstStream: o.Stream}
	slow.meanwhile = func() {
		slow.meanwhile = nil
		handle(t, other, says("rue du Lac 3"))
	}
	o.Stream = slow
	m, _ := r.start(o)
	handle(t, m, says("Rue Vautier 12"))
	record := story.Of(r.events(first.Lead.Lead))
	if d := record.Decided(); d.Lead.Request.AddressLine != "rue du Lac 3" || len(record.ToolCalls) != 4 {
		t.Errorf("%d calls, and the lead is at %q", len(record.ToolCalls), d.Lead.Request.AddressLine)
	}
}

// slowToPublish is a stream to which much happens before a decision arrives.
type slowToPublish struct {
	event.FirstStream
	meanwhile func()
}

func (s *slowToPublish) Publish(ctx context.Context, e event.Event) error {
	if s.meanwhile != nil {
		s.meanwhile()
	}
	return s.FirstStream.Publish(ctx, e)
}

// The process dies before or after each of its steps, and another takes the
// same deliveries again.
func TestADeathBetweenAnyTwoStepsLosesAndDoublesNothing(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"))
	healthy, _ := r.start(r.options())
	night := leak()
	night.City = "Carouge"
	scenes := map[string]struct {
		calls  []lead.Request // the last of them meets the dying process
		first  []string       // what is decided on the lead
		second []string       // and on the lead of its second request
	}{
		"a new lead": {[]lead.Request{leak()}, []string{"matched lac"}, nil},
		"an update":  {[]lead.Request{leak(), {AddressLine: "Rue du Lac 3"}}, []string{"matched lac", "amended lac"}, nil},
		"no phone":   {[]lead.Request{{ServiceType: "fuite", City: "Carouge"}}, []string{"review-requested: no usable phone number"}, nil},
		"another service": {
			[]lead.Request{leak(), {ServiceType: "chaudière"}}, []string{"matched lac"}, []string{"matched lac"},
		},
	}
	conversations := 0
	for name, scene := range scenes {
		deaths := map[string]bool{}
		for _, after := range []bool{false, true} {
			for steps := 1; ; steps++ {
				conversations++
				conversation, before := conversation(conversations), r.offers("lac")
				var last event.Delivery
				for i, req := range scene.calls {
					last = r.receive(conversation, req)
					if i+1 < len(scene.calls) {
						handle(t, healthy, last)
					}
				}
				o := r.options()
				dying := &mortal{FirstStream: o.Stream, Load: o.Load, left: steps + 1, after: after} // one for Run's reading
				o.Stream, o.Load = dying, dying
				m, stop := r.start(o)
				err := m.Handle(t.Context(), last)
				stop()
				if fate, _ := event.Outcome(err, 1); dying.died != "" && fate != event.Redeliver {
					t.Fatalf("%s, dead %s: fate %v", name, dying.died, fate)
				}
				deaths[dying.died] = true

				last.Attempt = 2
				other, stop := r.start(r.options())
				handle(t, other, last)
				handle(t, other, last)
				id := last.Lead.Lead
				matches := 1
				if scene.second != nil {
					second := r.events(lead.SecondID(id, "plumbing.boiler"))
					handle(t, other, event.Delivery{Event: second[0], Attempt: 1})
					matches++
				}
				stop()
				if d := cmp.Diff(scene.first, r.story(id)); d != "" {
					t.Errorf("%s, dead %s: %s", name, dying.died, d)
				}
				if d := cmp.Diff(scene.second, r.story(lead.SecondID(id, "plumbing.boiler"))); d != "" {
					t.Errorf("%s, dead %s: %s", name, dying.died, d)
				}
				if strings.HasPrefix(scene.first[0], "review") {
					matches = 0
				}
				leaks := 0
				if dying.died == "after reserving" || dying.died == "before publishing matched" {
					leaks = 1
				}
				if got := r.offers("lac") - before; got != matches+leaks {
					t.Errorf("%s, dead %s: %d offers counted for %d matches", name, dying.died, got, matches)
				}
				if dying.died == "" {
					break
				}
			}
		}
		for _, step := range map[string][]string{
			"a new lead": {"before reserving", "after reserving", "before publishing matched", "after publishing matched"}, "an update": {"after publishing amended"},
			"no phone": {"after publishing review-requested"}, "another service": {"before publishing received", "after publishing received"},
		}[name] {
			if !deaths[step] {
				t.Errorf("%s: nobody died %s, but %v", name, step, deaths)
			}
		}
	}
}

// faulty is a stream on which one operation goes wrong.
type faulty struct {
	event.FirstStream
	events       func(subjects.Lead, []event.Event) ([]event.Event, error)
	publishFirst func(event.Event) error
	publish      func(event.Event) error
}

func (f *faulty) Events(ctx context.Context, l subjects.Lead) ([]event.Event, error) {
	found, err := f.FirstStream.Events(ctx, l)
	if f.events != nil && err == nil {
		return f.events(l, found)
	}
	return found, err
}

func (f *faulty) Publish(ctx context.Context, e event.Event) error {
	if f.publish != nil {
		return f.publish(e)
	}
	return f.FirstStream.Publish(ctx, e)
}

func (f *faulty) PublishFirst(ctx context.Context, e event.Event) error {
	if f.publishFirst != nil {
		return f.publishFirst(e)
	}
	return f.FirstStream.PublishFirst(ctx, e)
}

// A full stream refuses every match. Were the slots kept, the roster would be
// used up by retries before there is room again.
func TestARefusedMatchGivesItsSlotBack(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac", func(p *roster.Provider) { p.Caps.Day = 1 }))
	full := errors.New("maximum bytes exceeded")
	o := r.options()
	stream := &faulty{FirstStream: o.Stream, publishFirst: func(event.Event) error { return full }}
	o.Stream = stream
	m, _ := r.start(o)
	d := r.receive("conv_1", leak())
	for range 3 {
		if err := m.Handle(t.Context(), d); !errors.Is(err, full) {
			t.Fatalf("handle: %v", err)
		}
	}
	if got := r.offers("lac"); got != 0 {
		t.Errorf("%d offers without a match", got)
	}
	stream.publishFirst = nil
	handle(t, m, d)
	if d := cmp.Diff([]string{"matched lac"}, r.story(d.Lead.Lead)); d != "" || r.offers("lac") != 1 {
		t.Error(d, r.offers("lac"))
	}
}

func TestAMatchOfUnknownOutcomeKeepsItsSlot(t *testing.T) {
	for name, stored := range map[string]bool{"stored": true, "not stored": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.employ(plumber("lac", func(p *roster.Provider) { p.Caps.Day = 2 }))
			o := r.options()
			whole := t.Context()
			ctx, cancel := context.WithCancel(whole)
			real := o.Stream
			o.Stream = &faulty{FirstStream: real, publishFirst: func(e event.Event) error {
				if stored {
					if err := real.PublishFirst(whole, e); err != nil {
						t.Error(err)
					}
				}
				cancel() // no ack in time
				return ctx.Err()
			}}
			m, _ := r.start(o)
			d := r.receive("conv_1", leak())
			if fate, _ := event.Outcome(m.Handle(ctx, d), 1); fate != event.Redeliver || r.offers("lac") != 1 {
				t.Fatalf("fate %v, %d offers", fate, r.offers("lac"))
			}
			again, _ := r.start(r.options())
			handle(t, again, d)
			want := 2 // one of them for nothing, on the safe side
			if stored {
				want = 1
			}
			if d := cmp.Diff([]string{"matched lac"}, r.story(d.Lead.Lead)); d != "" || r.offers("lac") != want {
				t.Error(d, r.offers("lac"))
			}
		})
	}
}

func TestALostAckIsFoundOut(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"))
	o := r.options()
	real := o.Stream
	o.Stream = &faulty{FirstStream: real, publishFirst: func(e event.Event) error {
		return errors.Join(real.PublishFirst(t.Context(), e), errors.New("no answer"))
	}}
	m, _ := r.start(o)
	d := r.receive("conv_1", leak())
	handle(t, m, d)
	if d := cmp.Diff([]string{"matched lac"}, r.story(d.Lead.Lead)); d != "" || r.offers("lac") != 1 {
		t.Error(d, r.offers("lac"))
	}
}

// The outcome is unknown and cannot be read back either: the slot stays.
func TestAMatchThatCannotBeReadBackKeepsItsSlot(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"))
	o := r.options()
	real := o.Stream
	broken := errors.New("no answer")
	o.Stream = &faulty{
		FirstStream:  real,
		publishFirst: func(e event.Event) error { return errors.Join(real.PublishFirst(t.Context(), e), broken) },
		events: func(l subjects.Lead, all []event.Event) ([]event.Event, error) {
			if l.Event == subjects.Matched {
				return nil, broken
			}
			return all, nil
		},
	}
	m, _ := r.start(o)
	d := r.receive("conv_1", leak())
	if err := m.Handle(t.Context(), d); !errors.Is(err, broken) {
		t.Errorf("handle: %v", err)
	}
	handle(t, m, d)
	if d := cmp.Diff([]string{"matched lac"}, r.story(d.Lead.Lead)); d != "" || r.offers("lac") != 1 {
		t.Error(d, r.offers("lac"))
	}
}

// A replica of the stream lags behind: at first the delivered call is not
// there, then the match that another made is not.
func TestALaggingStreamIsNotTakenForTheTruth(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"))
	o := r.options()
	o.Stream = &faulty{FirstStream: o.Stream, events: func(l subjects.Lead, all []event.Event) ([]event.Event, error) {
		if l.Event == subjects.Matched {
			return nil, nil
		}
		return all[:1], nil
	}}
	m, _ := r.start(o)
	first := r.receive("conv_1", leak())
	update := r.receive("conv_1", lead.Request{AddressLine: "Rue du Lac 3"})
	if fate, delay := event.Outcome(m.Handle(t.Context(), update), 1); fate != event.Redeliver || delay <= 0 || r.story(first.Lead.Lead) != nil {
		t.Errorf("fate %v after %s: %v", fate, delay, r.story(first.Lead.Lead))
	}
	other, _ := r.start(r.options())
	handle(t, other, update)
	first.Attempt = 2
	if err := m.Handle(t.Context(), first); !errors.Is(err, event.ErrConflict) {
		t.Errorf("handle: %v", err)
	}
	// Whose match it is that stands was not to be seen: both slots stay.
	if d := cmp.Diff([]string{"matched lac"}, r.story(first.Lead.Lead)); d != "" || r.offers("lac") != 2 {
		t.Error(d, r.offers("lac"))
	}
}

// Another replica matches while this one is about to: with the same calls, to
// the same provider, so that the events differ in nothing but the clock.
func TestTwoReplicasMakeTheSameMatch(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"))
	other, _ := r.start(r.options())
	r.receive("conv_1", leak())
	again := r.receive("conv_2", leak())
	again.Attempt = 2
	for i, d := range []event.Delivery{r.receive("conv_1", lead.Request{AddressLine: "Rue du Lac 3"}), again} {
		o := r.options()
		real := o.Stream
		o.Stream = &faulty{FirstStream: real, publishFirst: func(e event.Event) error {
			handle(t, other, d)
			return real.PublishFirst(t.Context(), e)
		}}
		m, _ := r.start(o)
		handle(t, m, d)
		if d := cmp.Diff([]string{"matched lac"}, r.story(d.Lead.Lead)); d != "" || r.offers("lac") != i+1 {
			t.Error(d, r.offers("lac"))
		}
	}
}

// The stream forgets message ids after a while; the matcher looks.
func TestASecondRequestIsPublishedOnce(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"))
	o := r.options()
	published := 0
	real := o.Stream
	o.Stream = &faulty{FirstStream: real, publish: func(e event.Event) error {
		published++
		return real.Publish(t.Context(), e)
	}}
	m, _ := r.start(o)
	handle(t, m, r.receive("conv_1", leak()))
	for _, d := range []event.Delivery{
		r.receive("conv_1", lead.Request{ServiceType: "boiler"}), r.receive("conv_1", lead.Request{ServiceType: "boiler", Urgency: "urgent"}),
	} {
		handle(t, m, d)
		handle(t, m, d)
	}
	if published != 2 {
		t.Errorf("%d publishes of two calls", published)
	}
}

// Another replica matched with fewer calls than this one knows.
func TestWhoeverComesSecondAmends(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"), plumber("rive"))
	o := r.options()
	real := o.Stream
	first := r.receive("conv_1", leak())
	update := r.receive("conv_1", lead.Request{AddressLine: "Rue du Lac 3"})
	early := r.options()
	early.Stream = &faulty{FirstStream: real, events: func(_ subjects.Lead, all []event.Event) ([]event.Event, error) { return all[:1], nil }}
	o.Stream = &faulty{FirstStream: real, publishFirst: func(e event.Event) error {
		m, _ := r.start(early)
		handle(t, m, first)
		return real.PublishFirst(t.Context(), e)
	}}
	m, _ := r.start(o)
	handle(t, m, update)
	story := r.story(first.Lead.Lead)
	if len(story) != 2 || strings.Replace(story[0], "matched", "amended", 1) != story[1] {
		t.Errorf("story %v", story)
	}
	if got := r.offers("lac") + r.offers("rive"); got != 1 {
		t.Errorf("%d offers", got)
	}
}

// Within one process the calls of a lead wait for each other, so that an alarm
// is not overtaken by the match that makes it needless.
func TestOneDeliveryOfALeadAtATime(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"))
	req := leak()
	req.CallbackNumber = ""
	first := r.receive("conv_1", req)
	update := make(chan error, 1)
	overtaken := make(chan struct{}, 8)
	o := r.options()
	real := o.Stream
	var m *Matcher
	o.Stream = &faulty{
		FirstStream: real,
		publish: func(e event.Event) error {
			d := r.receive("conv_1", lead.Request{CallbackNumber: "079 415 22 33"})
			go func() { update <- m.Handle(t.Context(), d) }()
			select {
			case <-overtaken:
				t.Error("a second delivery of the lead was begun")
			case <-time.After(50 * time.Millisecond): // it waits
			}
			return real.Publish(t.Context(), e)
		},
		events: func(_ subjects.Lead, all []event.Event) ([]event.Event, error) {
			if len(all) > 1 {
				overtaken <- struct{}{}
			}
			return all, nil
		},
	}
	m, _ = r.start(o)
	handle(t, m, first)
	if err := await.Value(t, "the update is handled", update); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{"review-requested: no usable phone number", "matched lac"}, r.story(first.Lead.Lead)); d != "" {
		t.Error(d)
	}
}

func TestALateAlarmIsNoNews(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac"))
	m, _ := r.start(r.options())
	d := r.receive("conv_1", leak())
	handle(t, m, d)
	late := d.Event
	late.Lead.Event, late.ID, late.Seq, late.Body = subjects.Unserved, "unserved-late", 0, &event.Decided{Reason: "late"}
	if err := r.matcher.Publish(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	handle(t, m, d)
	if d := cmp.Diff([]string{"matched lac", "unserved: late"}, r.story(d.Lead.Lead)); d != "" {
		t.Error(d)
	}
}

// What another replica gave back, or an operator reset, is seen before a lead
// counts as unserved.
func TestNobodyIsUnservedOnStaleLoads(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("lac", func(p *roster.Provider) { p.Caps.Day = 1 }))
	m, _ := r.start(r.options())
	handle(t, m, r.receive("conv_1", leak()))
	for i, free := range []func() error{
		func() error {
			value, err := json.Marshal(roster.Load{Day: "2026-11-23", Week: "2026-11-23"})
			if err == nil {
				_, err = r.load.Put(t.Context(), "lac", value)
			}
			return err
		},
		func() error { return r.load.Delete(t.Context(), "lac") },
		func() error { _, err := r.load.Put(t.Context(), "lac", []byte("garbage")); return err },
	} {
		full := r.receive(fmt.Sprintf("full_%d", i), leak())
		handle(t, m, full)
		if d := cmp.Diff([]string{"unserved: nobody who does the service there can take it"}, r.story(full.Lead.Lead)); d != "" {
			t.Error(d)
		}
		if err := free(); err != nil {
			t.Fatal(err)
		}
		next := r.receive(fmt.Sprintf("next_%d", i), leak())
		handle(t, m, next)
		if d := cmp.Diff([]string{"matched lac"}, r.story(next.Lead.Lead)); d != "" || r.offers("lac") != 1 {
			t.Error(i, d, r.offers("lac"))
		}
	}
	// The lead that was unserved stays so: it was told to the owner.
	again := r.receive("full_0", leak())
	if err := r.load.Delete(t.Context(), "lac"); err != nil {
		t.Fatal(err)
	}
	handle(t, m, again)
	if got := r.story(again.Lead.Lead); len(got) != 1 {
		t.Errorf("story %v", got)
	}
}
