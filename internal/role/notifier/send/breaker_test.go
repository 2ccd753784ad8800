package send

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/subjects"
)

// A vendor is down for an hour. It is left alone meanwhile, other channels go
// on, and everything goes out by itself soon after its return.
func TestAVendorThatIsDownIsLeftAlone(t *testing.T) {
	const messages, down = 50, time.Hour
	w := newWorld()
	n := w.sender(t)
	asked := 0
	w.send = func(m lead.Message, _ string) (lead.Sent, error) {
		if m.Channel != lead.SMS || w.clock.Sub(start) > down {
			return lead.Sent{}, nil
		}
		asked++
		return lead.Sent{}, &lead.Failure{Vendor: "twilio", Code: "unreachable", Class: lead.Transient}
	}
	type waiting struct {
		event.Event
		attempt int
		at      time.Time
	}
	var line []waiting
	for _, e := range confirmations(messages) {
		line = append(line, waiting{e, 0, start})
	}
	for len(line) > 0 {
		next := slices.MinFunc(line, func(a, b waiting) int { return a.at.Compare(b.at) })
		line = slices.DeleteFunc(line, func(x waiting) bool { return x.Body == next.Body })
		if d := next.at.Sub(w.clock); d > 0 {
			w.pass(d)
		}
		next.attempt++
		err := w.handle(n, event.Delivery{Event: storedAt(next.Event, start), Attempt: next.attempt})
		fate, delay := event.Outcome(err, next.attempt)
		switch fate {
		case event.Redeliver:
			next.at = w.clock.Add(delay)
			line = append(line, next)
		case event.Terminate:
			t.Fatalf("given up: %v", err)
		}
		if next.attempt == 1 && len(line) == 1 {
			mail := queuedEvent(lead.ToOwner, lead.Email, "copy")
			if err := w.handle(n, event.Delivery{Event: mail, Attempt: 1}); err != nil {
				t.Errorf("another channel: %v", err)
			}
		}
	}
	if len(w.took) < messages {
		t.Errorf("%d of %d sent", len(w.took), messages)
	}
	if asked > 90 {
		t.Errorf("the vendor was asked %d times while it was down", asked)
	}
	if late := w.clock.Sub(start) - down; late > 3*time.Minute {
		t.Errorf("all told %s after its return", late)
	}
}

// Too many requests: the whole channel waits as long as the vendor says.
func TestRetryAfterHoldsTheChannel(t *testing.T) {
	w := newWorld()
	n := w.sender(t)
	w.send = func(lead.Message, string) (lead.Sent, error) {
		w.send = nil
		return lead.Sent{}, &lead.Failure{Vendor: "twilio", Code: "429", Class: lead.Transient, RetryAfter: 40 * time.Second}
	}
	for _, e := range []event.Event{toCustomer, toProvider} {
		err := w.handle(n, event.Delivery{Event: e, Attempt: 1})
		if fate, delay := event.Outcome(err, 1); fate != event.Redeliver || delay < 40*time.Second || delay > 42*time.Second {
			t.Errorf("fate %v after %s: %v", fate, delay, err)
		}
	}
	w.pass(41 * time.Second)
	if _, err := w.deliver(t, toCustomer); err != nil || len(w.took) != 1 {
		t.Errorf("took %d, %v", len(w.took), err)
	}
}

// A vendor stops answering while many wait to be sent: no more than a bounded
// number ends in doubt, and the others wait until it works again.
func TestFewSendsEndInDoubt(t *testing.T) {
	const messages = mostSends + 30
	w := newWorld()
	n := w.sender(t)
	release, asked := make(chan struct{}), make(chan struct{}, messages)
	w.send = func(lead.Message, string) (lead.Sent, error) {
		asked <- struct{}{}
		<-release
		return lead.Sent{}, &lead.Failure{Vendor: "twilio", Code: "timeout", Class: lead.Doubtful}
	}
	done := make(chan error, messages)
	for _, e := range confirmations(messages) {
		go func() { done <- w.handle(n, event.Delivery{Event: storedAt(e, start), Attempt: 1}) }()
	}
	for range messages - mostSends {
		if err := await.Value(t, "those without a place come back later", done); !errors.Is(err, errBusy) {
			t.Error(err)
		}
	}
	mail := queuedEvent(lead.ToOwner, lead.Email, "copy")
	go func() { done <- w.handle(n, event.Delivery{Event: storedAt(mail, start), Attempt: 1}) }()
	await.True(t, "another channel's message is at its vendor", func() bool { return len(asked) == mostSends+1 })
	close(release)
	for range mostSends + 1 {
		if err := await.Value(t, "those under way end", done); !errors.Is(err, errDoubtful) {
			t.Error(err)
		}
	}
	for _, e := range confirmations(messages)[:mostSends/2] {
		_ = w.handle(n, event.Delivery{Event: storedAt(e, start), Attempt: 2})
	}
	if len(asked) > mostSends+1 {
		t.Errorf("%d were handed to a vendor that does not answer", len(asked))
	}
}

// confirmations are as many messages to customers.
func confirmations(many int) (line []event.Event) {
	for i := range many {
		e := queuedEvent(lead.ToCustomer, lead.SMS, "confirmation")
		m := &e.Body.(*event.Queued).Message
		m.ID = lead.MessageID(m.Lead, "confirmation", strings.Repeat("x", i), m.Channel, "")
		line = append(line, e)
	}
	return line
}

// Many sends end without an answer at once. A vendor lists slowly, so it is
// asked for a few at a time, and not at all while it does not work; the others
// keep no worker waiting.
func TestTheVendorIsAskedForFewAtATime(t *testing.T) {
	const messages = 3 * mostLooks
	w := newWorld()
	n := w.sender(t)
	w.send = func(lead.Message, string) (lead.Sent, error) {
		return lead.Sent{}, &lead.Failure{Vendor: "twilio", Code: "timeout", Class: lead.Doubtful}
	}
	line := confirmations(messages)
	for i, e := range line {
		if _, delay := event.Outcome(w.handle(n, event.Delivery{Event: storedAt(e, w.now()), Attempt: 1}), 1); i >= tripAfter {
			w.pass(delay + longRest) // it is being left alone
			_ = w.handle(n, event.Delivery{Event: storedAt(e, start), Attempt: 2})
		}
	}

	w.find = func(lead.Message) (lead.Sent, bool, error) {
		t.Error("the vendor was asked while it does not work")
		return lead.Sent{}, false, nil
	}
	if err := w.handle(n, event.Delivery{Event: storedAt(line[0], start), Attempt: 2}); !errors.Is(err, errAway) {
		t.Error(err)
	}

	w.pass(2 * longRest)
	release, asked := make(chan struct{}), make(chan struct{}, messages)
	w.find = func(lead.Message) (lead.Sent, bool, error) {
		asked <- struct{}{}
		<-release
		return lead.Sent{VendorID: "SM1", At: w.now()}, true, nil
	}
	done := make(chan error, messages)
	for _, e := range line {
		go func() { done <- w.handle(n, event.Delivery{Event: storedAt(e, start), Attempt: 3}) }()
	}
	for range messages - mostLooks {
		if err := await.Value(t, "those beyond the few are put off", done); !errors.Is(err, errDoubtful) {
			t.Error(err)
		}
	}
	close(release)
	for range mostLooks {
		if err := await.Value(t, "the few are settled", done); err != nil {
			t.Error(err)
		}
	}
	if len(asked) != mostLooks {
		t.Errorf("asked for %d at once", len(asked))
	}
	for _, e := range line {
		if _, err := w.deliver(t, e); err != nil {
			t.Error(err)
		}
	}
	sent := 0
	for _, kind := range w.kinds() {
		if kind == subjects.MessageSent {
			sent++
		}
	}
	if sent != messages {
		t.Errorf("%d of %d settled", sent, messages)
	}
}

// A message that could not be sent for hours is not sent late: it goes to the
// DLQ.
func TestAStaleMessageIsGivenUp(t *testing.T) {
	w := newWorld()
	n := w.sender(t)
	err := w.handle(n, event.Delivery{Event: storedAt(toCustomer, start.Add(-stale-time.Minute)), Attempt: 1})
	if fate, _ := event.Outcome(err, 1); fate != event.Terminate || len(w.took) != 0 {
		t.Errorf("fate %v, took %d: %v", fate, len(w.took), err)
	}
}
