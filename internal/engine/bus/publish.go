package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"leadbus/internal/event"
)

const (
	ackTimeout  = time.Second // one wait for a PubAck
	publishWait = 100 * time.Millisecond
	// publishTime bounds a publish whose caller set no deadline; an election
	// in a cluster takes less than ten seconds.
	publishTime = 30 * time.Second
	maxPayload  = 1 << 20 // the server's default
)

// Error codes that nats.go has no name for (nats-server errors.json).
const (
	clusterNotAvailable jetstream.ErrorCode = 10008 // no leader at the moment
	duplicateInProcess  jetstream.ErrorCode = 10158 // our own earlier attempt is being replicated
)

var errDenied = errors.New("the server denies this user the subject")

// Publish makes the event durable: it returns nil after the stream's ack. It
// repeats itself under the same message id until ctx ends, so an ack that was
// lost costs nothing; a repeat the stream already has is a success. It ends
// early where repeating is vain: the stream refuses the event or is full, the
// user may not publish it, or the connection is closed. A market the server
// does not know looks like a stream without a leader, and is tried until ctx
// ends.
func (c *Conn) Publish(ctx context.Context, e event.Event) error {
	return c.publish(ctx, e, nats.Header{})
}

// PublishAll is Publish of events of one market, in their order, without a
// round trip for each. When it fails, some may be stored.
func (c *Conn) PublishAll(ctx context.Context, events []event.Event) error {
	writes := make([]*write, len(events))
	for i, e := range events {
		w, err := message(e, nats.Header{})
		if err != nil {
			return err
		}
		writes[i] = w
	}
	for i, w := range writes {
		c.hand(ctx, events[i].Lead.Market, w)
	}
	for i, w := range writes {
		if _, err := w.wait(); err == nil {
			continue
		}
		if err := c.Publish(ctx, events[i]); err != nil {
			return err
		}
	}
	return nil
}

// PublishFirst is Publish if no event stands on the subject yet, else
// event.ErrConflict. A repeat of the event that stands there is a success.
func (c *Conn) PublishFirst(ctx context.Context, e event.Event) error {
	for {
		err := c.publish(ctx, e, nats.Header{jetstream.ExpectedLastSubjSeqHeader: {"0"}})
		if !conflicts(err) {
			return err
		}
		// A single server looks at the sequence before the message id, a
		// cluster the other way round: the event in our way may be our own.
		there, rerr := c.Events(ctx, e.Lead)
		switch {
		case rerr != nil:
			return errors.Join(rerr, fmt.Errorf("publish %s: outcome unknown", e.Lead.Event))
		case len(there) > 0 && there[0].ID == e.ID:
			return nil
		case len(there) > 0:
			return fmt.Errorf("publish %s: %w", e.Lead.Event, event.ErrConflict)
		}
		// The message in our way is not replicated yet, and may still be ours.
		if !pause(ctx, publishWait) {
			return fmt.Errorf("publish %s: outcome unknown: %w", e.Lead.Event, ctx.Err())
		}
	}
}

// PublishOnce is PublishFirst for a user who may not read the stream: a repeat
// of the event that stands there may be event.ErrConflict as well. It fails at
// once while the bus is away.
func (c *Conn) PublishOnce(ctx context.Context, e event.Event) error {
	for c.Connected() {
		err := c.publish(ctx, e, nats.Header{jetstream.ExpectedLastSubjSeqHeader: {"0"}})
		var api *jetstream.APIError
		switch {
		case !conflicts(err):
			return err
		case errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence:
			return fmt.Errorf("publish %s: %w", e.Lead.Event, event.ErrConflict)
		}
		// The message in our way is not replicated yet, and may never be.
		if !pause(ctx, publishWait) {
			return fmt.Errorf("publish %s: outcome unknown: %w", e.Lead.Event, ctx.Err())
		}
	}
	return fmt.Errorf("publish %s: %w", e.Lead.Event, errLost)
}

// conflicts reports whether a sequence was not as expected; a replicated stream
// has a code of its own for conflicts between messages in flight.
func conflicts(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// attempt is one Publish at work.
type attempt struct {
	subject string
	cancel  context.CancelCauseFunc
}

// denied ends the publishes to the subject that a permission error names: the
// server does not answer them.
func (c *Conn) denied(err error) {
	c.publishing.Range(func(a, _ any) bool {
		if a := a.(*attempt); strings.Contains(err.Error(), `"`+a.subject+`"`) {
			a.cancel(errDenied)
		}
		return true
	})
}

func (c *Conn) publish(ctx context.Context, e event.Event, header nats.Header) error {
	w, err := message(e, header)
	if err != nil {
		return err
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, publishTime)
		defer cancel()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a := &attempt{w.subject, cancel}
	c.publishing.Store(a, nil)
	defer c.publishing.Delete(a)

	for {
		_, err := c.commit(ctx, e.Lead.Market, w)
		switch {
		case err == nil:
			return nil
		case isFinal(err):
			return fmt.Errorf("publish %s: %w", e.Lead.Event, err)
		case ctx.Err() == nil && pause(ctx, publishWait):
			continue
		case errors.Is(context.Cause(ctx), errDenied):
			err = errDenied
		}
		return fmt.Errorf("publish %s in market %s: %w", e.Lead.Event, e.Lead.Market, err)
	}
}

// message is the event as it travels; an error is permanent.
func message(e event.Event, h nats.Header) (*write, error) {
	data, err := event.Encode(e)
	if err == nil && len(data) > maxPayload {
		err = nats.ErrMaxPayload
	}
	if err != nil {
		return nil, event.Permanent(fmt.Errorf("publish %s: %w", e.Lead.Event, err))
	}
	h.Set(jetstream.MsgIDHeader, e.ID)
	return &write{subject: e.Lead.String(), header: h, data: data}, nil
}

// isFinal reports whether repeating a publish is vain.
func isFinal(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return !again(api)
	}
	return errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionDraining)
}

// again reports whether a refusal may be gone in a moment.
func again(e *jetstream.APIError) bool {
	return e.ErrorCode == clusterNotAvailable || e.ErrorCode == duplicateInProcess
}
