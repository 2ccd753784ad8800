package matcher

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

const (
	// sameJob is how long the same number for the same service and place is the
	// same job.
	sameJob = 24 * time.Hour
	// calledAgain is the age of the last decision at which a repeated call that
	// says nothing new is told to the provider all the same.
	calledAgain = 10 * time.Minute
	saltKey     = "salt"
)

// caller is the newest lead of a caller for a job.
type caller struct {
	Lead string    `json:"lead"`
	At   time.Time `json:"at"` // of the newest call
}

// repeats is the lead of the same customer on the same site for the same job that is
// still open; empty for none, which makes this lead the one for later calls. Who
// withholds the number is never taken for somebody else.
func (m *Matcher) repeats(ctx context.Context, l lead.Lead) (of string, err error) {
	if l.Phone.CallerID == "" || l.Test() {
		return "", nil
	}
	key, err := m.callerKey(ctx, l)
	if err != nil {
		return "", err
	}
	for {
		var known caller
		there, err := m.People.Get(ctx, key)
		if err != nil && !errors.Is(err, event.ErrNotFound) {
			return "", err
		}
		if err == nil && json.Unmarshal(there.Value, &known) == nil && known.Lead != l.ID && l.ReceivedAt.Sub(known.At).Abs() < sameJob {
			events, err := m.Stream.Events(ctx, subjects.Lead{Market: m.market.ID, Site: l.Site, Lead: known.Lead})
			if err != nil {
				return "", err
			}
			r := story.Of(events)
			if status := lead.Status(r.Lead.Status); len(r.ToolCalls) > 0 && !status.Closed() && status != lead.Unserved {
				return known.Lead, nil
			}
		}
		if known.Lead == l.ID {
			return "", nil
		}
		value, err := json.Marshal(caller{l.ID, l.ReceivedAt})
		if err != nil {
			return "", err
		}
		if _, err = event.Write(ctx, m.People, key, value, there.Revision); !errors.Is(err, event.ErrConflict) {
			return "", err
		}
	}
}

// callerKey tells a caller's job from others without naming anybody: a salted hash.
func (m *Matcher) callerKey(ctx context.Context, l lead.Lead) (string, error) {
	m.mu.Lock()
	salt := m.salt
	m.mu.Unlock()
	for salt == nil {
		e, err := m.People.Get(ctx, saltKey)
		if errors.Is(err, event.ErrNotFound) {
			if _, err = m.People.Create(ctx, saltKey, []byte(rand.Text())); err == nil || errors.Is(err, event.ErrConflict) {
				continue
			}
		}
		if err != nil {
			return "", err
		}
		salt = e.Value
	}
	m.mu.Lock()
	m.salt = salt
	m.mu.Unlock()
	h := hmac.New(sha256.New, salt)
	for _, part := range []string{l.Site, l.Phone.E164, l.Service.ID, l.Place.ID} {
		h.Write([]byte(part + "\x00"))
	}
	return "caller-" + hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// merge passes the calls of a lead on to the one that it repeats, and closes it.
func (m *Matcher) merge(ctx context.Context, of string, d event.Delivery, r *story.Record, l lead.Lead) error {
	if err := m.passOn(ctx, of, d, r); err != nil {
		return err
	}
	to := d.Lead
	to.Event = subjects.Merged
	return m.turn(ctx, event.Event{At: m.Now().UTC(), Lead: to, Body: &event.Decided{Lead: l, Of: of, Reason: "the same customer called again for the same job"}}, r, "")
}

// passOn publishes the calls of a lead as calls of the one that it repeats.
func (m *Matcher) passOn(ctx context.Context, of string, d event.Delivery, r *story.Record) error {
	for _, c := range r.ToolCalls {
		b, to := c.Body.(*event.Received), d.Lead
		if b.Repeats != "" {
			continue
		}
		said := b.Lead
		said.ID, said.Request.ConversationID, said.Request.CallSID = of, "", "" // the other lead keeps its own
		again, err := event.NewReceived(to, said, said.Request, b.Raw, c.At, c.ID)
		if err != nil {
			return err
		}
		again.Body.(*event.Received).Repeats = d.Lead.Lead
		if err := event.PublishOnce(ctx, m.Stream, again); err != nil {
			return err
		}
	}
	return nil
}

// again reports whether the newest call is one that the customer made once more, so
// late that the provider is to hear of it.
func again(r *story.Record) bool {
	last := r.ToolCalls[len(r.ToolCalls)-1]
	newest := slices.MaxFunc(r.ToolCalls, func(a, b event.Event) int { return a.At.Compare(b.At) })
	return last.Body.(*event.Received).Repeats != "" && r.Decision != nil && newest.At.Sub(r.Decision.At) > calledAgain
}
