package matcher

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/subjects"
)

const fromMobile = "+41794152233"

// unanswered publishes what the edge makes of a call that nobody heard.
func (r *rig) unanswered(sid, flag, recording string) event.Delivery {
	r.t.Helper()
	req := lead.Request{CallSID: sid, CallerID: fromMobile}
	if recording != "" {
		req = lead.Request{CallSID: sid, IssueSummary: recording}
	}
	id := lead.NewID(domain, "call\x00"+sid)
	at := r.clock()
	e, err := event.NewReceived(subjects.Lead{Market: "ch", Site: domain}, r.reader.Understand(r.catalog.Sites[domain], id, req, at, []string{flag}), req, nil, at, recording)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.edge.Publish(r.t.Context(), e); err != nil {
		r.t.Fatal(err)
	}
	for _, there := range r.events(id) {
		if there.ID == e.ID {
			return event.Delivery{Event: there, Attempt: 1}
		}
	}
	r.t.Fatal("the call is not on the stream")
	return event.Delivery{}
}

// A call that nobody heard waits for the caller to get through, and is then the
// owner's; whatever a site offers, no provider gets it.
func TestACallThatNobodyHeardIsTheOwners(t *testing.T) {
	r := newRig(t)
	// A caller who says nothing of service and place asks for these.
	s := r.catalog.Sites[domain]
	s.Services, s.Places = s.Services[:1], []string{"carouge"}
	r.catalog.Markets["ch"].Places = r.catalog.Markets["ch"].Places[2:]
	r.employ(plumber("a"))
	o := r.options()
	o.Past = r.matcher
	m, _ := r.start(o)

	missed := r.unanswered("CA1", lead.FlagMissed, "")
	if err := m.Handle(t.Context(), missed); !event.Deferred(err) {
		t.Fatalf("handled at once: %v", err)
	}
	voice := r.unanswered("CA2", lead.FlagVoicemail, "")
	recording := r.unanswered("CA2", lead.FlagVoicemail, "Voicemail: https://api.twilio.com/x.mp3")
	handle(t, m, recording) // it does not wait
	r.set(monday.Add(callsAgain + time.Second))
	handle(t, m, missed)
	handle(t, m, missed)
	handle(t, m, voice)
	for _, d := range []event.Delivery{missed, voice} {
		story := r.story(d.Lead.Lead)
		if len(story) != 1 || !strings.HasPrefix(story[0], "review-requested: nobody spoke with the caller") {
			t.Errorf("%q", story)
		}
	}
	for _, e := range r.events(voice.Lead.Lead) {
		if b, ok := e.Body.(*event.Decided); ok && (b.Lead.Phone.E164 != fromMobile || !strings.Contains(b.Lead.Request.IssueSummary, "x.mp3")) {
			t.Errorf("%+v", b.Lead)
		}
	}
}

// Whoever got through needs no call back.
func TestACallerWhoGotThroughIsNotCalledBack(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("a"))
	o := r.options()
	o.Past = r.matcher
	m, _ := r.start(o)

	before := leak() // it was another call
	before.CallerID, before.CallSID = fromMobile, "CA0"
	handle(t, m, r.receive("conv_0", before))
	var waits []event.Delivery
	for _, sid := range []string{"CA1", "CA2", "CA3"} {
		waits = append(waits, r.unanswered(sid, lead.FlagMissed, ""))
	}
	r.set(monday.Add(time.Minute))
	spoken, err := event.NewEnded("ch", domain, call.Call{ID: "conv_2", CallSID: "CA2", StartedAt: monday.Add(-time.Minute)}, nil, r.clock())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.edge.Publish(t.Context(), spoken); err != nil {
		t.Fatal(err)
	}
	r.set(monday.Add(callsAgain + time.Second))
	for _, d := range waits {
		handle(t, m, d)
	}
	again := leak()
	again.CallerID, again.CallSID, again.City = fromMobile, "CA9", "Carouge" // another job
	late := r.unanswered("CA4", lead.FlagMissed, "")
	through := r.receive("conv_9", again)
	handle(t, m, through)
	r.set(monday.Add(3 * callsAgain))
	handle(t, m, late)

	var got []string
	for _, d := range append(waits, late) {
		story := strings.Join(r.story(d.Lead.Lead), ", ")
		of := ""
		for _, e := range r.events(d.Lead.Lead) {
			if b, ok := e.Body.(*event.Decided); ok && b.Of != "" {
				of = " " + b.Of
			}
		}
		got = append(got, strings.SplitN(story, ":", 2)[0]+of)
	}
	want := []string{"review-requested", "merged " + spoken.Lead.Lead, "review-requested", "merged " + through.Lead.Lead}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// An agent who speaks with the caller of the same phone call makes it a request like
// any other.
func TestACallThatIsHeardAfterAll(t *testing.T) {
	r := newRig(t)
	r.employ(plumber("a"))
	o := r.options()
	o.Past = r.matcher
	m, _ := r.start(o)
	waits := r.unanswered("CA1", lead.FlagVoicemail, "")
	req := leak()
	req.ConversationID, req.CallSID, req.CallerID = "", "CA1", fromMobile
	l := r.reader.Understand(r.catalog.Sites[domain], waits.Lead.Lead, req, r.clock(), nil)
	e, err := event.NewReceived(waits.Lead, l, req, nil, r.clock(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.edge.Publish(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	events := r.events(waits.Lead.Lead)
	handle(t, m, event.Delivery{Event: events[len(events)-1], Attempt: 1})
	handle(t, m, waits)
	if d := cmp.Diff([]string{"matched a"}, r.story(waits.Lead.Lead)); d != "" {
		t.Error(d)
	}
}
