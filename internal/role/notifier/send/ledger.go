package send

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"leadbus/internal/event"
	"leadbus/internal/lead"
)

// States of a ledger entry; without an entry nothing was tried.
const (
	claimed  = "claimed"  // an attempt is under way, or its sender died
	free     = "free"     // the last attempt certainly did not send; claim at once
	doubtful = "doubtful" // the last attempt may have sent
	sent     = "sent"     // the vendor took it; final
	failed   = "failed"   // refused for this recipient; final
)

// entry is what the ledger knows of one message.
type entry struct {
	State   string    `json:"state"`
	At      time.Time `json:"at"`      // when the state began
	Attempt string    `json:"attempt"` // id of the newest attempt
	Claimed time.Time `json:"claimed"` // when the newest attempt began
	// Since is when the first attempt began that may have sent.
	Since time.Time `json:"since"`
	// Repeats counts attempts after a doubtful one: each may be a double.
	Repeats int `json:"repeats,omitempty"`
	// Searches counts how often the newest attempt was looked for in vain.
	Searches int           `json:"looks,omitempty"`
	Sent     *lead.Sent    `json:"sent,omitempty"`
	Failure  *lead.Failure `json:"failure,omitempty"`

	// What an outcome and an alarm say of the message.
	lead.Label
	Ref string `json:"ref,omitempty"`
}

// left reports whether the message may have reached its recipient.
func (e entry) left() bool {
	return e.Sent != nil || e.State == doubtful || e.Repeats > 0 || e.State == failed && e.Failure.Class == lead.Superseded && e.Attempt != ""
}

// ledger reads and writes entries; revision 0 stands for no entry. It remembers
// some that are final, and so never change any more: a message's receipts come
// soon after it.
type ledger struct {
	bucket event.Bucket
	final  *lru.Cache[string, entry]
}

func newLedger(b event.Bucket) *ledger {
	final, _ := lru.New[string, entry](10_000) // only a size below one fails
	return &ledger{b, final}
}

func (l *ledger) remember(id string, e entry) {
	if e.State == sent || e.State == failed {
		l.final.Add(id, e)
	}
}

// Times for the ledger. A write is repeated within its bound, so that one
// answer lost on the way does not leave a claim nobody works on.
const (
	writeTry  = 1500 * time.Millisecond
	claimTime = 4 * time.Second
)

// get reads an entry; a zero entry means there is none. A final one has no
// revision, as nobody writes it again.
func (l *ledger) get(ctx context.Context, id string) (entry, uint64, error) {
	if e, ok := l.final.Get(id); ok {
		return e, 0, nil
	}
	v, err := l.bucket.Get(ctx, id)
	if errors.Is(err, event.ErrNotFound) {
		return entry{}, 0, nil
	}
	if err != nil {
		return entry{}, 0, fmt.Errorf("read ledger: %w", err)
	}
	var e entry
	if err := json.Unmarshal(v.Value, &e); err != nil {
		return entry{}, 0, event.Permanent(fmt.Errorf("read ledger: %w", err))
	}
	l.remember(id, e)
	return e, v.Revision, nil
}

// put writes e over revision rev, trying until ctx ends. event.ErrConflict
// means another wrote in between; every other error leaves open whether e was
// written.
func (l *ledger) put(ctx context.Context, id string, e entry, rev uint64) (uint64, error) {
	value, err := json.Marshal(e)
	if err != nil {
		return 0, event.Permanent(err)
	}
	for {
		next, err := l.try(ctx, id, value, rev)
		if err == nil {
			return next, nil
		}
		// The write may have arrived and its answer been lost: attempt ids
		// make values distinct.
		there, gerr := l.bucket.Get(ctx, id)
		switch {
		case gerr == nil && bytes.Equal(there.Value, value):
			return there.Revision, nil
		case errors.Is(err, event.ErrConflict):
			return 0, fmt.Errorf("write ledger: %w", err)
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("write ledger: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (l *ledger) try(ctx context.Context, id string, value []byte, rev uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTry)
	defer cancel()
	return event.Write(ctx, l.bucket, id, value, rev)
}

// settle records the outcome e of an attempt, or what a receipt or a look at
// the vendor proved, and answers the entry that stands: a final state that
// another wrote first stays, and so does a newer attempt unless e proves that
// the message was sent.
func (l *ledger) settle(ctx context.Context, id string, e entry, rev uint64) (entry, error) {
	for {
		_, err := l.put(ctx, id, e, rev)
		if err == nil {
			l.remember(id, e)
		}
		if !errors.Is(err, event.ErrConflict) {
			return e, err
		}
		there, now, err := l.get(ctx, id)
		switch {
		case err != nil:
			return entry{}, err
		case there.State == sent || there.State == failed:
			return there, nil
		case there.Attempt != e.Attempt && e.State != sent:
			return there, nil
		}
		e.Repeats, rev = max(e.Repeats, there.Repeats), now
	}
}
