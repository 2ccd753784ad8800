package send

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// Times of a send. The claim, the request and its record together fit into the
// lease; a claim older than the lease has lost its sender. Notifiers on several
// machines need clocks that agree to within a few seconds.
const (
	lease      = 20 * time.Second
	sendTime   = 12 * time.Second
	recordTime = 4 * time.Second
	findTime   = 10 * time.Second
	fresh      = time.Second // a decision that nothing can have overtaken
)

// searches are the ages of a doubtful attempt at which the vendor is asked for it;
// at the first one its lease is over. Then the rule for the purpose decides;
// what must not go twice is looked for again, since a vendor's list may lag by
// half an hour.
var searches = []time.Duration{25 * time.Second, 5 * time.Minute, 35 * time.Minute}

// stale is the age at which a message that was never sent helps nobody any
// more: it goes to the DLQ, and a person decides. What has a time of its own
// (lead.Message.Until) fails.
const stale = 8 * time.Hour

// maxRepeats bounds sends after a doubtful one: with a vendor that never
// answers, one more would help nobody.
const maxRepeats = 4

var (
	errClaimed  = errors.New("another attempt is under way")
	errDoubtful = errors.New("the outcome of the last attempt is not known yet")
	errEarly    = errors.New("the message waits for its time")
)

// repeatable is the rule for a message of unknown outcome that neither a
// receipt nor the vendor settles: providers and the owner may hear twice, a
// customer never.
func repeatable(e entry) bool { return e.Recipient != lead.ToCustomer }

// Send brings one message a step further in the ledger.
func (s *Sender) Send(ctx context.Context, d event.Delivery, m lead.Message) error {
	if !subjects.ValidToken(m.ID) || s.Vendors[m.Channel] == nil || m.Lead != d.Lead.Lead || m.Market != d.Lead.Market || m.Site != d.Lead.Site {
		return event.Permanent(errors.New("the message has no usable id or channel, or belongs to another lead"))
	}
	m.QueuedAt = d.At
	// Nothing stands in the ledger of a message that was queued just now; if
	// something does, the claim meets it.
	if d.Attempt == 1 && s.Now().Sub(d.Stored) < lease {
		if err := s.attempt(ctx, d, m, entry{}, 0); !errors.Is(err, event.ErrConflict) {
			return err
		}
	}
	e, rev, err := s.ledger.get(ctx, m.ID)
	if err != nil {
		return err
	}
	switch e.State {
	case sent, failed:
		return s.finishOnce(ctx, d, m.ID, e)
	case claimed:
		if wait := e.At.Add(lease).Sub(s.Now()); wait > 0 {
			return event.After(wait, errClaimed)
		}
		if m.Recipient == lead.ToTracker { // which knows a repeat by its key
			return s.attempt(ctx, d, m, e, rev)
		}
		e.State, e.At = doubtful, s.Now()
		e.Failure = &lead.Failure{Vendor: "leadbus", Class: lead.Doubtful, Reason: "the sender stopped in the middle"}
		if rev, err = s.ledger.put(ctx, m.ID, e, rev); err != nil {
			return conflictSoon(err)
		}
		return s.resolve(ctx, d, m, e, rev)
	case doubtful:
		return s.resolve(ctx, d, m, e, rev)
	default:
		return s.attempt(ctx, d, m, e, rev)
	}
}

// conflictSoon comes back soon when another notifier was faster.
func conflictSoon(err error) error {
	if errors.Is(err, event.ErrConflict) {
		return event.After(time.Second, err)
	}
	return err
}

// attempt claims the message, hands it to the vendor and records the outcome.
func (s *Sender) attempt(ctx context.Context, d event.Delivery, m lead.Message, before entry, rev uint64) error {
	if wait := m.NotBefore.Sub(s.Now()); wait > 0 {
		return event.After(wait, errEarly)
	}
	if !m.Until.IsZero() && s.Now().After(m.Until) {
		late := lead.Failure{Vendor: m.Recipient, Class: lead.Transient, Reason: "not taken in time"}
		if before.Failure != nil {
			late.Code = before.Failure.Code
		}
		return s.drop(ctx, d, m, before, rev, late)
	}
	if age := s.Now().Sub(d.Stored); !d.Stored.IsZero() && age > stale && m.Until.IsZero() {
		if m.Provider == roster.Canary {
			return nil // nobody waits for it
		}
		return event.Permanent(fmt.Errorf("not sent within %s, and too old now", stale))
	}
	if superseded, _, err := s.superseded(ctx, d, m); err != nil {
		return err
	} else if superseded {
		return s.drop(ctx, d, m, before, rev, overtaken)
	}
	vendor := s.breaker(m)
	if wait := vendor.rests(s.Now()); wait > 0 {
		return event.After(wait, errAway)
	}
	if err := s.rates.wait(ctx, m); err != nil {
		return err
	}
	leave, err := vendor.enter(ctx, s.Now)
	if err != nil {
		return err
	}
	defer leave()
	if out, err := s.optedOut(m); err != nil {
		return err
	} else if out {
		return s.drop(ctx, d, m, before, rev, refused)
	}
	now := s.Now()
	e := entry{
		State: claimed, At: now, Attempt: strings.ToLower(rand.Text()), Claimed: now, Since: now, Repeats: before.Repeats,
		Label: m.Label(), Ref: m.Ref,
	}
	if e.Repeats > 0 {
		e.Since = before.Since
	}
	if err := s.Journal.begin(m.ID, e.Attempt); err != nil {
		return fmt.Errorf("note the attempt: %w", err)
	}
	claim, cancel := context.WithTimeout(ctx, claimTime)
	rev, err = s.ledger.put(claim, m.ID, e, rev)
	cancel()
	if errors.Is(err, event.ErrConflict) {
		_ = s.Journal.leave(e.Attempt) // else the ledger says that another has it
		return conflictSoon(err)
	} else if err != nil {
		return err
	}
	if err := s.Journal.leave(e.Attempt); err != nil {
		return fmt.Errorf("note the request: %w", err)
	}

	start := time.Now()
	request, cancel := context.WithTimeout(ctx, sendTime)
	taken, err := s.Vendors[m.Channel].Send(request, m, e.Attempt)
	cancel()

	// The vendor's answer is recorded even when the role is being stopped.
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	e.At = s.Now()
	level := zerolog.DebugLevel
	if err == nil {
		e.State, e.Sent = sent, &taken
	} else {
		e.Failure = failureOf(err)
		e.State = afterFailure(e.Failure.Class)
		level, err = zerolog.WarnLevel, e.Failure
	}
	if vendor.result(s.Now(), e.Failure) {
		s.Log.Error().Str("channel", m.Channel).Msg("the vendor fails again and again: its messages wait")
	}
	s.Log.WithLevel(level).Err(err).Str("lead", m.Lead).Str("message", m.ID).Str("attempt", e.Attempt).Str("channel", m.Channel).Str("recipient", m.Recipient).
		Str("purpose", m.Purpose).Str("outcome", e.State).Int("repeats", e.Repeats).Dur("took_ms", time.Since(start)).Msg("send")
	return s.settle(ctx, d, m.ID, e, rev)
}

// overtaken is why a message is dropped that something newer took the place of, or
// that says nothing new.
var overtaken = lead.Failure{Vendor: "leadbus", Class: lead.Superseded, Reason: "something newer took its place, or it says nothing new"}

// drop gives a message up.
func (s *Sender) drop(ctx context.Context, d event.Delivery, m lead.Message, e entry, rev uint64, why lead.Failure) error {
	if e.State == free && e.Repeats == 0 { // it certainly did not go out
		e.Attempt = ""
	}
	e.State, e.At, e.Label, e.Ref = failed, s.Now(), m.Label(), m.Ref
	e.Failure = &why
	return s.settle(ctx, d, m.ID, e, rev)
}

// superseded reports whether what was decided since takes the place of a message:
// the offer has ended, the lead was closed, the customer has another number or does
// not want to be contacted, a message of a later decision goes to the same address. It
// reports the same of words that the customer's number was sent before, or that the
// provider's address was sent last, unless a person ordered them once more. The
// first messages about a match go out without a look just after it was decided;
// those about its amendments wait for that long. A message waits for an older one
// that is on its way, and for the messages of a later decision.
//
// Others are the vendor's ids of other messages that say the same to the same
// address; an id is empty when nobody knows it.
func (s *Sender) superseded(ctx context.Context, d event.Delivery, m lead.Message) (superseded bool, others []string, err error) {
	first := m.Purpose == lead.PurposeOffer || m.Purpose == lead.PurposeConfirmation
	if m.Recipient == lead.ToOwner || m.Recipient == lead.ToTracker || first && s.Now().Sub(m.Since) < fresh {
		return false, nil, nil
	}
	events, err := event.Decisions(ctx, s.Stream, d.Lead, subjects.MessageQueued)
	if err != nil {
		return false, nil, err
	}
	r := story.Of(events)
	if r.Decision == nil {
		return false, nil, nil
	}
	place := map[string]uint64{} // of events in the stream
	for _, e := range slices.Backward(events) {
		place[e.ID] = e.Seq // the first time: an event may be stored again
	}
	// A message stands where the decision stands that it tells.
	mine, now := cmp.Or(place[m.Decision], place[d.ID], d.Seq), r.Decided().Lead
	superseded = now.Request.Refused() && r.Decision.Seq > mine
	if m.Recipient == lead.ToProvider {
		superseded = superseded || r.Has(m.Offer) == (m.Purpose == lead.PurposeWithdrawn)
	} else {
		superseded = superseded || r.Lead.Offer != m.Offer || now.Phone.E164 != m.To ||
			slices.Contains([]lead.Status{lead.Cancelled, lead.Spam, lead.Duplicate}, lead.Status(r.Lead.Status))
	}
	match := r.Match()
	waits := match != nil && mine > match.Seq && s.Now().Sub(match.At) < fresh ||
		m.Recipient == lead.ToProvider && r.Decision.Seq > mine && s.Now().Sub(r.Decision.Stored) < lease
	latest, last, again := uint64(0), false, strings.Contains(m.Purpose, lead.PurposeAgain)
	for _, e := range events {
		q, ok := e.Body.(*event.Queued)
		if !ok || q.Message.ID == m.ID || q.Message.Recipient != m.Recipient || q.Message.Channel != m.Channel || q.Message.To != m.To {
			continue
		}
		at, same := cmp.Or(place[q.Message.Decision], place[e.ID]), q.Message.Text == m.Text && maps.Equal(q.Message.ContentVariables, m.ContentVariables)
		newer := at > mine
		other, _, err := s.ledger.get(ctx, q.Message.ID)
		if err != nil {
			return false, nil, err
		}
		superseded = superseded || newer
		waits = waits || !newer && (other.State == claimed || other.State == "" && s.Now().Sub(e.Stored) < lease)
		if !other.left() {
			continue
		}
		id := cmp.Or(other.Sent, new(lead.Sent)).VendorID
		if same {
			others = append(others, id)
		}
		superseded = superseded || same && m.Recipient == lead.ToCustomer && !again
		if at > latest && !newer {
			latest, last = at, same && id != "" // else nobody knows whether it was the last
		}
	}
	superseded = superseded || last && !again
	if waits && !superseded {
		err = event.After(time.Second, errClaimed)
	}
	return superseded, others, err
}

// failureOf reads a vendor's error. One that says nothing may mean anything.
func failureOf(err error) *lead.Failure {
	var f *lead.Failure
	if errors.As(err, &f) {
		return f
	}
	return &lead.Failure{Vendor: "leadbus", Class: lead.Doubtful, Reason: "the adapter gave no reason"}
}

// afterFailure is the state after a failure. A fault of ours must not lose the
// message: it waits for the correction like a vendor's own trouble.
func afterFailure(c lead.FailureClass) string {
	switch c {
	case lead.BadRecipient, lead.OptedOut:
		return failed
	case lead.Transient, lead.OurFault:
		return free
	default:
		return doubtful
	}
}

// settle records the outcome e of an attempt, publishes what stands in the
// ledger then, and decides when to come back.
func (s *Sender) settle(ctx context.Context, d event.Delivery, id string, e entry, rev uint64) error {
	e, err := s.ledger.settle(ctx, id, e, rev)
	if err != nil {
		return err
	}
	switch e.State {
	case sent, failed:
		return s.finish(ctx, d.Lead, id, e)
	case doubtful:
		if err := s.publish(ctx, d.Lead, subjects.MessageDoubtful, id, e); err != nil {
			return err
		}
		return event.After(max(e.Claimed.Add(searches[0]).Sub(s.Now()), time.Second), errDoubtful)
	case free:
		if e.Failure.Class == lead.OurFault {
			// Nothing is published: the message is still to be sent, until
			// the durable gives up on the event. The owner hears of it once
			// it is more than a slip.
			if d.Attempt >= alarmAttempt {
				if err := s.failed(ctx, d.Lead, id, e, *e.Failure); err != nil {
					return err
				}
			}
			return event.After(max(e.Failure.RetryAfter, time.Duration(min(d.Attempt, 5))*time.Minute), e.Failure)
		}
		most := 30 * time.Second
		if e.Recipient == lead.ToTracker { // for which nobody waits
			most = 10 * time.Minute
		}
		return event.After(max(e.Failure.RetryAfter, min(time.Second<<min(d.Attempt, 10), most)), e.Failure)
	default: // another attempt claimed it meanwhile
		return event.After(lease, errClaimed)
	}
}

// alarmAttempt is the delivery at which a fault of ours reaches the owner,
// about three minutes after the first.
const alarmAttempt = 3

// resolve settles a doubtful message: by the receipt, which changes the entry
// by itself; by a look at the vendor; by the rule for its purpose.
func (s *Sender) resolve(ctx context.Context, d event.Delivery, m lead.Message, e entry, rev uint64) error {
	if e.Searches >= len(searches) {
		return nil // given up; a late receipt still settles it
	}
	if err := s.publish(ctx, d.Lead, subjects.MessageDoubtful, m.ID, e); err != nil {
		return err
	}
	if wait := e.Claimed.Add(searches[e.Searches]).Sub(s.Now()); wait > 0 {
		return event.After(wait, errDoubtful)
	}
	// A vendor's list may show a newer message that says the same.
	superseded, others, err := s.superseded(ctx, d, m)
	if err != nil {
		return err
	} else if superseded && repeatable(e) {
		return s.drop(ctx, d, m, e, rev, overtaken)
	}
	taken, found, err := s.find(ctx, m, e, others)
	switch {
	case err != nil:
		return err
	case found:
		e.State, e.At, e.Sent = sent, s.Now(), &taken
		return s.settle(ctx, d, m.ID, e, rev)
	case repeatable(e) && e.Repeats < maxRepeats:
		e.Repeats++
		return s.attempt(ctx, d, m, e, rev)
	}
	// The alarm comes first: it repeats harmlessly, and a look that is noted
	// does not come again.
	if e.Searches == 0 {
		if err := s.failed(ctx, d.Lead, m.ID, e, *e.Failure); err != nil {
			return err
		}
	}
	e.Searches++
	if _, err := s.ledger.put(ctx, m.ID, e, rev); err != nil {
		return conflictSoon(err)
	}
	if e.Searches == len(searches) {
		s.Log.Warn().Str("lead", m.Lead).Str("message", m.ID).Str("purpose", m.Purpose).Msg("the message stays doubtful: it is not sent again")
		return nil
	}
	return event.After(e.Claimed.Add(searches[e.Searches]).Sub(s.Now()), errDoubtful)
}

// find asks the vendor for a message that is none of the others.
func (s *Sender) find(ctx context.Context, m lead.Message, e entry, others []string) (taken lead.Sent, found bool, err error) {
	looked, err := s.breaker(m).look(s.Now())
	if err != nil {
		return taken, false, err
	}
	defer looked()
	ctx, cancel := context.WithTimeout(ctx, findTime)
	defer cancel()
	if taken, found, err = s.Vendors[m.Channel].Find(ctx, m, e.Attempt, e.Since, others); err != nil {
		err = fmt.Errorf("look for the message at the vendor: %w", err)
	}
	return taken, found, err
}

// finishOnce publishes a final state that stood in the ledger before this
// delivery. A first delivery is a replay, and says nothing again; unless a
// crash came just before the publishing, and the bus lost its count of
// deliveries in the same.
func (s *Sender) finishOnce(ctx context.Context, d event.Delivery, id string, e entry) error {
	if d.Attempt == 1 {
		of := d.Lead
		if of.Event = subjects.MessageSent; e.State == failed {
			of.Event = subjects.MessageFailed
		}
		events, err := s.Stream.Events(ctx, of)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(events, func(there event.Event) bool { return there.ID == of.Event+"-"+id }) {
			return nil
		}
	}
	return s.finish(ctx, d.Lead, id, e)
}

// finish publishes a final state; before it, that a provider was not reached, to
// the owner: once the state is there, nobody finishes the message again.
func (s *Sender) finish(ctx context.Context, l subjects.Lead, id string, e entry) error {
	if e.State == sent {
		return s.publish(ctx, l, subjects.MessageSent, id, e)
	}
	if err := s.failed(ctx, l, id, e, *e.Failure); err != nil {
		return err
	}
	return s.publish(ctx, l, subjects.MessageFailed, id, e)
}

// publish tells the stream where a message stands. The id repeats with the
// fact, so publishing again after a crash adds nothing.
func (s *Sender) publish(ctx context.Context, l subjects.Lead, kind, id string, e entry) error {
	l.Event = kind
	outcome := &event.Attempted{Label: e.Label, Message: id, Attempt: e.Attempt, Failure: e.Failure, PossibleDouble: e.Repeats > 0}
	eventID := kind + "-" + id
	switch kind {
	case subjects.MessageSent:
		outcome.Sent, outcome.Failure = e.Sent, nil
	case subjects.MessageDoubtful:
		eventID += "-" + e.Attempt
	}
	if err := s.Stream.Publish(ctx, event.Event{ID: eventID, At: e.At, Lead: l, Body: outcome}); err != nil {
		return fmt.Errorf("publish %s: %w", kind, err)
	}
	return nil
}
