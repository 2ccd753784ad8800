package send

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/subjects"
)

var (
	toProvider = queuedEvent(lead.ToProvider, lead.SMS, "offer")
	toCustomer = queuedEvent(lead.ToCustomer, lead.SMS, "confirmation")
	ownersCopy = queuedEvent(lead.ToOwner, lead.Email, "copy")
	ownerAlarm = queuedEvent(lead.ToOwner, lead.Email, "alarm-unserved-1")
)

func failing(class lead.FailureClass, times int, accept bool) func(*world) {
	return func(w *world) {
		w.send = func(m lead.Message, _ string) (lead.Sent, error) {
			if times--; times < 0 {
				return lead.Sent{}, nil
			}
			if accept {
				w.take(m)
			}
			return lead.Sent{}, &lead.Failure{Vendor: "twilio", Code: "1", Class: class, Reason: "because"}
		}
	}
}

// never is what the vendor's list says while it lags.
func never(w *world) {
	w.find = func(lead.Message) (lead.Sent, bool, error) { return lead.Sent{}, false, nil }
}

func TestOneMessageEndsInOneState(t *testing.T) {
	const q, s, f, d = subjects.AlarmRaised, subjects.MessageSent, subjects.MessageFailed, subjects.MessageDoubtful
	for name, c := range map[string]struct {
		message event.Event
		world   []func(*world)
		took    int
		events  []string
		double  bool
		atLeast time.Duration // the last event is not before
		atMost  time.Duration
	}{
		"taken":                      {message: toProvider, took: 1, events: []string{s}},
		"wrong number of a customer": {message: toCustomer, world: []func(*world){failing(lead.BadRecipient, 9, false)}, events: []string{f}},
		"wrong number of a provider alarms the owner":       {message: toProvider, world: []func(*world){failing(lead.BadRecipient, 9, false)}, events: []string{q, f}},
		"a provider that opted out":                         {message: toProvider, world: []func(*world){failing(lead.OptedOut, 9, false)}, events: []string{q, f}},
		"a vendor in trouble is asked again":                {message: toCustomer, world: []func(*world){failing(lead.Transient, 4, false)}, took: 1, events: []string{s}, atMost: 30 * time.Second},
		"a fault of ours waits for its correction":          {message: toCustomer, world: []func(*world){failing(lead.OurFault, 2, false)}, took: 1, events: []string{s}, atLeast: 2 * time.Minute},
		"and reaches the owner when it lasts":               {message: toCustomer, world: []func(*world){failing(lead.OurFault, 6, false)}, took: 1, events: []string{q, s}},
		"no answer, and the vendor knows it":                {message: toCustomer, world: []func(*world){failing(lead.Doubtful, 1, true)}, took: 1, events: []string{d, s}, atLeast: searches[0], atMost: time.Minute},
		"no answer, never arrived: the provider gets it":    {message: toProvider, world: []func(*world){failing(lead.Doubtful, 1, false)}, took: 1, events: []string{d, s}, double: true, atMost: time.Minute},
		"no answer, list lags: the provider may get two":    {message: toProvider, world: []func(*world){failing(lead.Doubtful, 1, true), never}, took: 2, events: []string{d, s}, double: true},
		"so may the owner of an alarm":                      {message: ownerAlarm, world: []func(*world){failing(lead.Doubtful, 1, true), never}, took: 2, events: []string{d, s}, double: true},
		"a customer never gets two":                         {message: toCustomer, world: []func(*world){failing(lead.Doubtful, 9, true), never}, took: 1, events: []string{d, q}},
		"the owner may get two copies":                      {message: ownersCopy, world: []func(*world){failing(lead.Doubtful, 1, true), never}, took: 2, events: []string{d, s}, double: true},
		"a vendor that never answers is not asked for ever": {message: toProvider, world: []func(*world){failing(lead.Doubtful, 99, false)}, events: []string{d, d, d, d, d, q}, double: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			for _, change := range c.world {
				change(w)
			}
			if _, err := w.deliver(t, c.message); err != nil {
				t.Fatalf("not acked: %v", err)
			}
			if len(w.took) != c.took {
				t.Errorf("the vendor took %d, want %d", len(w.took), c.took)
			}
			if d := cmp.Diff(c.events, w.kinds()); d != "" {
				t.Error(d)
			}
			if last := w.clock.Sub(start); last < c.atLeast || c.atMost > 0 && last > c.atMost {
				t.Errorf("done after %s", last)
			}
			told, _ := w.events[len(w.events)-1].Body.(*event.Attempted)
			if told != nil && told.PossibleDouble != c.double {
				t.Errorf("possible double: %v", told.PossibleDouble)
			}

			// Whatever it was, a replay sends nothing and says nothing new.
			before, published := len(w.events), w.published
			if attempts, err := w.deliver(t, c.message); err != nil || attempts != 1 {
				t.Errorf("replay: %d deliveries, %v", attempts, err)
			}
			if len(w.took) != c.took || len(w.events) != before || w.published != published {
				t.Errorf("replay: the vendor took %d, events %v", len(w.took), w.kinds())
			}
		})
	}
}

// The process ends at every point at which it can: before and after each call
// it makes. What people get is the same, and the stream ends up knowing it.
func TestACrashAnywhereNeitherLosesNorDoubles(t *testing.T) {
	for name, message := range map[string]event.Event{"provider": toProvider, "customer": toCustomer, "owner": ownersCopy, "alarm": ownerAlarm} {
		for _, around := range []struct{ receipts, lag, forgets bool }{
			{false, false, false}, {true, false, false}, {false, true, false}, {true, true, false}, {false, false, true}, {true, false, true},
		} {
			for crashAt := 1; ; crashAt++ {
				crashed := ""
				for _, effectFirst := range []bool{false, true} {
					w := newWorld()
					w.forgets = around.forgets
					if around.lag {
						never(w)
					}
					steps := 0
					w.step = func(name string, effect func()) {
						if steps++; steps != crashAt {
							effect()
							return
						}
						crashed = name
						if effectFirst {
							effect()
						}
						// A vendor's receipt comes while the notifier is down.
						if w.step = func(_ string, effect func()) { effect() }; around.receipts && len(w.took) > 0 {
							if _, err := w.deliver(t, receiptOf(message, lead.MessageDelivered, nil)); err != nil {
								t.Fatal(err)
							}
						}
						panic(errCrash)
					}
					at := fmt.Sprintf("%s, %+v, crash at %d (%s), after its effect %v", name, around, crashAt, crashed, effectFirst)
					_, err := w.deliver(t, message)
					last := w.events[len(w.events)-1].Lead.Event
					told, _ := w.events[len(w.events)-1].Body.(*event.Attempted)
					once := message.ID == toCustomer.ID
					blind := around.lag && !around.receipts // nothing proves that it was sent
					switch {
					case err != nil:
						t.Errorf("%s: %v", at, err)
					case len(w.took) == 1 && last == subjects.MessageSent:
					// It was about to leave, and nobody can know whether it did:
					// silence is the rule for a customer, and the owner's alarm.
					case once && len(w.took) <= 1 && slices.Equal(w.kinds(), []string{subjects.MessageDoubtful, subjects.AlarmRaised}) && (len(w.took) == 0 || blind):
						if crashed != "send" && crashed != "update" {
							t.Errorf("%s: doubtful without need", at)
						}
					case !once && blind && len(w.took) == 2 && told.PossibleDouble:
					default:
						t.Errorf("%s: the vendor took %d, events %v", at, len(w.took), w.kinds())
					}
					if w.clock.Sub(start) > time.Minute && last == subjects.MessageSent {
						t.Errorf("%s: told only after %s", at, w.clock.Sub(start))
					}
				}
				if crashed == "" {
					if crashAt < 5 {
						t.Fatalf("only %d steps", crashAt)
					}
					break
				}
			}
		}
	}
}

// The owner hears that a customer may not have been told, and that a provider
// was not, wherever the process ends meanwhile.
func TestTheAlarmSurvivesACrash(t *testing.T) {
	for name, c := range map[string]struct {
		message event.Event
		class   lead.FailureClass
	}{
		"a customer in doubt":    {toCustomer, lead.Doubtful},
		"a provider not reached": {toProvider, lead.BadRecipient},
	} {
		for _, forgets := range []bool{false, true} {
			for crashAt := 1; ; crashAt++ {
				crashed := false
				for _, effectFirst := range []bool{false, true} {
					w := newWorld()
					w.forgets = forgets
					never(w)
					failing(c.class, 9, false)(w)
					steps := 0
					w.step = func(_ string, effect func()) {
						if steps++; steps != crashAt {
							effect()
							return
						}
						crashed = true
						if effectFirst {
							effect()
						}
						panic(errCrash)
					}
					if _, err := w.deliver(t, c.message); err != nil {
						t.Fatal(err)
					}
					if q := w.alarms(); len(q) != 1 {
						t.Errorf("%s, crash at step %d, forgotten %v: alarms %v, want one", name, crashAt, forgets, q)
					}
				}
				if !crashed {
					break
				}
			}
		}
	}
}

// Another notifier works on the message: this one waits and does not interfere.
func TestAYoungClaimIsLeftAlone(t *testing.T) {
	w := newWorld()
	other := w.sender(t)
	w.send = func(lead.Message, string) (lead.Sent, error) {
		w.send = nil
		// While the first waits for the vendor, the same event reaches another.
		err := w.handle(other, event.Delivery{Event: toProvider, Attempt: 1})
		if fate, delay := event.Outcome(err, 1); fate != event.Redeliver || delay <= 0 || delay > lease {
			t.Errorf("fate %v after %s: %v", fate, delay, err)
		}
		return lead.Sent{}, nil
	}
	if _, err := w.deliver(t, toProvider); err != nil {
		t.Fatal(err)
	}
	if len(w.took) != 1 {
		t.Errorf("sent %d times", len(w.took))
	}
}

// A sender was so slow that its lease ended and another resolved the message;
// its late result still stands, and nothing is sent again.
func TestALateResultStands(t *testing.T) {
	w := newWorld()
	other := w.sender(t)
	w.send = func(lead.Message, string) (lead.Sent, error) {
		w.send = nil
		w.pass(lease)
		if err := w.handle(other, event.Delivery{Event: toProvider, Attempt: 2}); err == nil {
			t.Error("acked while the outcome is unknown")
		}
		return lead.Sent{}, nil
	}
	if _, err := w.deliver(t, toProvider); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{subjects.MessageDoubtful, subjects.MessageSent}, w.kinds()); d != "" || len(w.took) != 1 {
		t.Errorf("took %d %s", len(w.took), d)
	}
	if attempts, err := w.deliver(t, toProvider); err != nil || attempts != 1 || len(w.took) != 1 {
		t.Errorf("afterwards: %d deliveries, %v", attempts, err)
	}
}

// While the vendor's answer is on its way, its receipt proves the sending: a
// failure that follows cannot undo it.
func TestAFailureDoesNotUndoAReceipt(t *testing.T) {
	for _, class := range []lead.FailureClass{lead.Transient, lead.Doubtful, lead.OurFault, lead.BadRecipient} {
		w := newWorld()
		w.send = func(m lead.Message, _ string) (lead.Sent, error) {
			w.take(m)
			if _, err := w.deliver(t, receiptOf(toCustomer, lead.MessageDelivered, nil)); err != nil {
				t.Fatal(err)
			}
			return lead.Sent{}, &lead.Failure{Vendor: "twilio", Class: class}
		}
		attempts, err := w.deliver(t, toCustomer)
		if err != nil || attempts != 1 || len(w.took) != 1 || !slices.Equal(w.kinds(), []string{subjects.MessageSent}) {
			t.Errorf("%s: %d deliveries, took %d, events %v, %v", class, attempts, len(w.took), w.kinds(), err)
		}
	}
}

// A sender that lost its lease comes back while another attempt is under way.
// Its failure does not free what the other holds; its success stands, even when
// the other fails.
func TestALateOutcomeMeetsANewerAttempt(t *testing.T) {
	failure := &lead.Failure{Vendor: "twilio", Class: lead.Transient}
	for name, c := range map[string]struct{ slow, fast error }{
		"slow fails, fast sends": {slow: failure},
		"slow sends, fast fails": {fast: failure},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			never(w)
			slow, fast, third := w.sender(t), w.sender(t), w.sender(t)
			underWay, late := make(chan struct{}), make(chan struct{})
			var wg sync.WaitGroup
			sends := 0
			w.send = func(lead.Message, string) (lead.Sent, error) {
				if sends++; sends == 1 {
					w.pass(searches[0])
					wg.Go(func() { _ = w.handle(fast, event.Delivery{Event: toProvider, Attempt: 2}) })
					await.Value(t, "the faster one asks the vendor", underWay)
					return lead.Sent{}, c.slow
				}
				close(underWay)
				<-late
				return lead.Sent{}, c.fast
			}
			_ = w.handle(slow, event.Delivery{Event: toProvider, Attempt: 1})
			_ = w.handle(third, event.Delivery{Event: toProvider, Attempt: 3})
			if sends != 2 {
				t.Errorf("%d sends while one is under way", sends)
			}
			close(late)
			await.Return(t, "the faster one ends", wg.Wait)
			w.send = nil
			if _, err := w.deliver(t, toProvider); err != nil || len(w.took) != 1 {
				t.Errorf("took %d, %v", len(w.took), err)
			}
			if want := []string{subjects.MessageDoubtful, subjects.MessageSent}; !slices.Equal(w.kinds(), want) {
				t.Errorf("events %v", w.kinds())
			}
		})
	}
}

// The role stops while the vendor answers: what the vendor said is recorded.
func TestAStopDuringASendLosesNothing(t *testing.T) {
	w := newWorld()
	ctx, stop := context.WithCancel(t.Context())
	w.send = func(lead.Message, string) (lead.Sent, error) { stop(); return lead.Sent{}, nil }
	if err := w.sender(t).Send(ctx, event.Delivery{Event: toCustomer, Attempt: 1}, toCustomer.Body.(*event.Queued).Message); err != nil {
		t.Fatal(err)
	}
	if len(w.took) != 1 || !slices.Equal(w.kinds(), []string{subjects.MessageSent}) {
		t.Errorf("took %d, events %v", len(w.took), w.kinds())
	}
}

// After a repeat the vendor is asked for either attempt.
func TestTheFirstAttemptIsLookedForToo(t *testing.T) {
	w := newWorld()
	never(w)
	failing(lead.Doubtful, 2, false)(w)
	if _, err := w.deliver(t, toProvider); err != nil {
		t.Fatal(err)
	}
	if !w.since.Equal(start) {
		t.Errorf("looked since %s, the first attempt was at %s", w.since, start)
	}
}

// A correction that is taken back says what was said before. The vendor's list
// shows no attempts, so the earlier message is not taken for the later one. Words
// that an address was sent last are not sent there again.
func TestAMessageIsNotTakenForAnotherThatSaysTheSame(t *testing.T) {
	cut := func(accept bool) func(*world) { return failing(lead.Doubtful, 1, accept) }
	for name, c := range map[string]struct {
		earlier, later func(*world) // what becomes of the first attempt at each
		dropped        bool         // the earlier one is doubtful when the later one is queued
		took           int
		sent           string
	}{
		"neither is lost":                {cut(true), cut(true), false, 3, "SM3"},
		"the later never arrived":        {func(*world) {}, cut(false), false, 3, "SM3"},
		"nobody knows about the earlier": {cut(true), cut(false), true, 2, "SM2"},
		"none arrived":                   {cut(false), cut(false), true, 1, "SM1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			update := func(n int) event.Event {
				q := queuedEvent(lead.ToProvider, lead.SMS, fmt.Sprintf("update-%d", n))
				q.Seq, q.Stored = 2*uint64(n), w.now()
				return q
			}
			between := queuedEvent(lead.ToProvider, lead.SMS, "update-between")
			between.Seq = 3
			between.Body.(*event.Queued).Message.Text = "another number"
			match := event.Event{ID: "matched", Seq: 1, Lead: update(1).Lead, Body: &event.Decided{Lead: exampleLead(), Offer: "offer1"}}
			match.Lead.Event = subjects.Matched
			w.events = []event.Event{match, update(1)}
			c.earlier(w)
			if c.dropped {
				n := w.sender(t)
				if err := w.handle(n, event.Delivery{Event: update(1), Attempt: 1}); err == nil {
					t.Fatal("the request was not cut")
				}
				_ = n.Journal.Close()
				w.events = append(w.events, update(2))
			}
			if _, err := w.deliver(t, update(1)); err != nil {
				t.Fatal(err)
			}
			w.send = nil
			if !c.dropped {
				w.events = append(w.events, between)
				if _, err := w.deliver(t, between); err != nil {
					t.Fatal(err)
				}
				w.events = append(w.events, update(2))
			}
			c.later(w)
			if _, err := w.deliver(t, update(2)); err != nil {
				t.Fatal(err)
			}
			last := w.events[len(w.events)-1].Body.(*event.Attempted)
			if len(w.took) != c.took || last.Message != update(2).Body.(*event.Queued).Message.ID || last.Sent == nil || last.Sent.VendorID != c.sent {
				t.Errorf("the vendor took %d; %+v", len(w.took), last.Sent)
			}
		})
	}
}

// The ledger's answers get lost: the claim is recognised as one's own.
func TestALostAnswerOfTheLedgerDoesNotStrandTheMessage(t *testing.T) {
	w := newWorld()
	lossy := &lossyLedger{world: w}
	n := w.sender(t)
	n.ledger = newLedger(lossy)
	if err := w.handle(n, event.Delivery{Event: toCustomer, Attempt: 1}); err != nil {
		t.Fatal(err)
	}
	if len(w.took) != 1 || !slices.Equal(w.kinds(), []string{subjects.MessageSent}) {
		t.Errorf("took %d, events %v", len(w.took), w.kinds())
	}
	if lossy.lost != 2 {
		t.Errorf("%d answers lost", lossy.lost)
	}
}

// lossyLedger writes and then says it could not.
type lossyLedger struct {
	*world
	lost int
}

func (l *lossyLedger) write(rev uint64, err error) (uint64, error) {
	if err == nil && l.lost < 2 {
		l.lost++
		return 0, errors.New("no response")
	}
	return rev, err
}

func (l *lossyLedger) Create(ctx context.Context, key string, v []byte) (uint64, error) {
	return l.write(l.world.Create(ctx, key, v))
}

func (l *lossyLedger) Update(ctx context.Context, key string, v []byte, rev uint64) (uint64, error) {
	return l.write(l.world.Update(ctx, key, v, rev))
}

func TestEveryChannelNeedsAVendor(t *testing.T) {
	w := newWorld()
	_, err := New(Options{Catalog: catalog(), Market: "ch", Stream: w, Ledger: w, Vendors: map[string]Vendor{lead.SMS: w, lead.Email: w}})
	if err == nil || !strings.Contains(err.Error(), lead.WhatsApp) {
		t.Errorf("%v", err)
	}
}

func TestUnusableMessagesAreTerminated(t *testing.T) {
	for name, change := range map[string]func(*lead.Message){
		"no id":           func(m *lead.Message) { m.ID = "" },
		"wildcard id":     func(m *lead.Message) { m.ID = "a.>" },
		"unknown channel": func(m *lead.Message) { m.Channel = "pigeon" },
		"another lead":    func(m *lead.Message) { m.Lead = "other" },
		"another market":  func(m *lead.Message) { m.Market = "id" },
	} {
		w := newWorld()
		e := queuedEvent(lead.ToProvider, lead.SMS, "offer")
		change(&e.Body.(*event.Queued).Message)
		attempts, err := w.deliver(t, e)
		if fate, _ := event.Outcome(err, 1); fate != event.Terminate || attempts != 1 || len(w.took) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestErrorsAndLedgerHoldNothingPersonal(t *testing.T) {
	w := newWorld()
	failing(lead.BadRecipient, 9, false)(w)
	if _, err := w.deliver(t, toProvider); err != nil {
		t.Fatal(err)
	}
	for key, e := range w.entries {
		for _, personal := range []string{"+41", "hello", "Marta"} {
			if strings.Contains(key+string(e.Value), personal) {
				t.Errorf("the ledger holds %q: %s", personal, e.Value)
			}
		}
	}
	for _, e := range w.events {
		if strings.ContainsAny(e.ID, "+@ ") {
			t.Errorf("message id %q", e.ID)
		}
	}
}

// A sender dies while it tells a tracker. The tracker is told again at once when the
// lease is over: it knows the repeat by its key.
func TestAPostbackIsRepeatedAfterACrash(t *testing.T) {
	w, sends := newWorld(), 0
	w.send = func(lead.Message, string) (lead.Sent, error) {
		if sends++; sends == 1 {
			panic(errCrash)
		}
		return lead.Sent{}, nil
	}
	if _, err := w.deliver(t, queuedEvent(lead.ToTracker, lead.Postback, lead.OutcomeWon)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{subjects.MessageSent}, w.kinds()); d != "" || sends != 2 || w.now().Sub(start) > time.Minute {
		t.Errorf("%d sends in %s: %s", sends, w.now().Sub(start), d)
	}
}
