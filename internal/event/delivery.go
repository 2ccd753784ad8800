package event

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Delivery is one hand-over of an event to a role.
type Delivery struct {
	Event
	Attempt int // 1 on the first delivery; a replay starts at 1 again
}

// Dead is an event that a role gave up.
type Dead struct {
	Market  string    `json:"market"`
	Role    string    `json:"role"`
	Site    string    `json:"site,omitempty"` // empty, like lead and kind, when the event could not be read
	Lead    string    `json:"lead,omitempty"`
	Kind    string    `json:"kind,omitempty"`
	Seq     uint64    `json:"seq"` // of the event in LEADS
	Reason  string    `json:"reason"`
	Attempt int       `json:"attempt"`
	At      time.Time `json:"at"`

	ID uint64 `json:"id,omitempty"` // sequence in DLQ; zero before it stands there
}

// Handler takes one delivery. Its error decides the delivery's fate, in one
// place for all roles (see Outcome):
//
//	nil             ack
//	Permanent(err)  term: repeating cannot help, the event goes to the DLQ
//	After(d, err)   redeliver after d, as often as it takes
//	any other       redeliver after a growing, jittered delay, for about eight
//	                hours; then the DLQ
type Handler func(ctx context.Context, d Delivery) error

type retryError struct {
	error
	after time.Duration
}

func (e retryError) Unwrap() error { return e.error }

type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// After asks for redelivery after d.
func After(d time.Duration, err error) error { return retryError{err, d} }

// Permanent says that repeating cannot help.
func Permanent(err error) error { return permanentError{err} }

// Deferred reports whether a handler asked for redelivery at a time it chose:
// waiting its turn rather than failing.
func Deferred(err error) bool {
	var retry retryError
	return errors.As(err, &retry)
}

// Fate is what becomes of a delivery.
type Fate int

// Fates of a delivery.
const (
	Ack Fate = iota
	Redeliver
	Terminate
)

// maxAttempts bounds deliveries that fail; with the growing delay it is reached
// after about eight hours. maxCrashes bounds those of an event whose handler
// never comes back, since the process dies of it.
const (
	maxAttempts = 100
	maxCrashes  = 10_000
)

// Hopeless is the error of a delivery that is not worth another try, however
// its handler would end.
func Hopeless(attempt int) error {
	if attempt > maxCrashes {
		return Permanent(fmt.Errorf("delivered %d times and never finished", attempt-1))
	}
	return nil
}

// Outcome maps a handler's error to the delivery's fate; delay is for
// Redeliver.
func Outcome(err error, attempt int) (fate Fate, delay time.Duration) {
	var retry retryError
	var permanent permanentError
	switch {
	case err == nil:
		return Ack, 0
	case errors.As(err, &permanent):
		return Terminate, 0
	case errors.As(err, &retry):
		return Redeliver, retry.after
	case attempt >= maxAttempts:
		return Terminate, 0
	default:
		return Redeliver, backoff(attempt)
	}
}

// backoff grows from 0.5 s to 5 min, with up to a quarter of jitter so that
// failed deliveries do not come back together.
func backoff(attempt int) time.Duration {
	d := 500 * time.Millisecond << min(max(attempt-1, 0), 10)
	d = min(d, 5*time.Minute)
	return d + rand.N(d/4)
}

// Entry is one value of a key-value bucket.
type Entry struct {
	Key      string
	Value    []byte // nil when the key was deleted
	Revision uint64
}

// Bucket is a key-value bucket of a market.
type Bucket interface {
	// Get answers ErrNotFound for a key without a value.
	Get(ctx context.Context, key string) (Entry, error)
	// Create and Update answer ErrConflict when another wrote in between.
	Create(ctx context.Context, key string, value []byte) (revision uint64, err error)
	Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
}

// Write writes a value over a revision; revision 0 stands for no value.
func Write(ctx context.Context, b Bucket, key string, value []byte, revision uint64) (uint64, error) {
	if revision == 0 {
		return b.Create(ctx, key, value)
	}
	return b.Update(ctx, key, value, revision)
}

// ErrUnchanged is what a change answers that has nothing to write.
var ErrUnchanged = errors.New("nothing to change")

// Change brings the JSON under a key up to date by compare-and-set, however many
// others do so at the same time; f may run more than once. A value that cannot
// be read is a permanent error.
func Change[S any](ctx context.Context, b Bucket, key string, f func(S) (S, error)) error {
	for {
		var state S
		there, err := b.Get(ctx, key)
		if err == nil {
			if err = json.Unmarshal(there.Value, &state); err != nil {
				return Permanent(fmt.Errorf("state %s cannot be read: %w", key, err))
			}
		} else if !errors.Is(err, ErrNotFound) {
			return err
		}
		next, err := f(state)
		if errors.Is(err, ErrUnchanged) {
			return nil
		} else if err != nil {
			return err
		}
		value, err := json.Marshal(next)
		if err != nil || string(value) == string(there.Value) {
			return err
		}
		if _, err = Write(ctx, b, key, value, there.Revision); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}
