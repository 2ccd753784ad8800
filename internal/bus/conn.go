package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"leadbus/internal/event"
	"leadbus/internal/subjects"
)

const (
	ackTimeout  = time.Second      // one wait for a PubAck
	drainTime   = 10 * time.Second // for acks on their way out
	connectWait = 500 * time.Millisecond
)

// Options say which server to connect to, and as whom.
type Options struct {
	URL      string
	Server   *Server // in-process when set; URL is then unused
	User     string  // see Users
	SeedFile string
	Log      zerolog.Logger
}

// Conn is one user's connection. It reconnects for ever; it is safe for
// concurrent use.
type Conn struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	log    zerolog.Logger
	closed chan struct{}

	mu    sync.Mutex
	leads jetstream.Stream // looked up once
}

// Connect waits for the server until ctx ends.
func Connect(ctx context.Context, o Options) (*Conn, error) {
	key, err := nats.NkeyOptionFromSeed(o.SeedFile)
	if err != nil {
		return nil, fmt.Errorf("nats key of %s: %w; 'leadbus nats-config' makes it", o.User, err)
	}
	c := &Conn{log: o.Log, closed: make(chan struct{})}
	opts := []nats.Option{
		key, nats.Name(o.User), nats.CustomInboxPrefix(inbox(o.User)),
		nats.MaxReconnects(-1), nats.ReconnectWait(connectWait), nats.IgnoreAuthErrorAbort(),
		// With the default buffer a publish that reported an error would go
		// out later all the same.
		nats.ReconnectBufSize(-1),
		nats.DrainTimeout(drainTime), nats.Timeout(2 * time.Second),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				c.log.Warn().Err(err).Msg("bus lost")
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { c.log.Info().Msg("bus is back") }),
		// A denied request shows here and nowhere else.
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.log.Warn().Err(err).Msg("bus") }),
		nats.ClosedHandler(func(*nats.Conn) { close(c.closed) }),
	}
	if o.Server != nil {
		opts = append(opts, nats.InProcessServer(o.Server.s))
	}
	for warned := false; ; warned = true {
		if c.nc, err = nats.Connect(o.URL, opts...); err == nil {
			break
		}
		if !warned {
			o.Log.Warn().Err(err).Msg("waiting for the bus")
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to the bus as %s: %w", o.User, errors.Join(ctx.Err(), err))
		case <-time.After(connectWait):
		}
	}
	if c.js, err = jetstream.New(c.nc, jetstream.WithDefaultTimeout(5*time.Second)); err != nil {
		c.nc.Close()
		return nil, err
	}
	return c, nil
}

// Connected reports whether the server can be reached now.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// Close lets acks on their way out leave, for at most ten seconds.
func (c *Conn) Close() {
	if err := c.nc.Drain(); err != nil {
		c.nc.Close()
	}
	<-c.closed
}

// Publish makes the event durable: it returns nil after the stream's ack. It
// repeats itself under the same message id until ctx ends, so an ack that was
// lost costs nothing; a repeat the stream already has is a success.
func (c *Conn) Publish(ctx context.Context, e event.Event) error {
	_, err := c.publish(ctx, e)
	return err
}

// PublishFirst is Publish if no event stands on the subject yet, else
// event.ErrConflict. A repeat of the event that stands there is a success.
func (c *Conn) PublishFirst(ctx context.Context, e event.Event) error {
	_, err := c.publish(ctx, e, jetstream.WithExpectLastSequencePerSubject(0))
	var api *jetstream.APIError
	if !errors.As(err, &api) || (api.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence && api.ErrorCode != wrongLastSequenceR3) {
		return err
	}
	// A single server looks at the sequence before the message id: the event
	// in our way may be our own.
	there, err := c.Events(ctx, e.Lead)
	if err != nil {
		return err
	}
	if len(there) > 0 && there[0].ID == e.ID {
		return nil
	}
	return fmt.Errorf("publish %s: %w", e.Lead.Event, event.ErrConflict)
}

// wrongLastSequenceR3 is the code of concurrent conflicts on replicated
// streams.
const wrongLastSequenceR3 jetstream.ErrorCode = 10164

func (c *Conn) publish(ctx context.Context, e event.Event, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	data, err := event.Encode(e)
	if err != nil {
		return nil, event.Permanent(err)
	}
	opts = append(opts, jetstream.WithMsgID(e.ID), jetstream.WithRetryAttempts(0))
	for {
		attempt, cancel := context.WithTimeout(ctx, ackTimeout)
		ack, err := c.js.PublishMsg(attempt, &nats.Msg{Subject: e.Lead.String(), Data: data}, opts...)
		cancel()
		var api *jetstream.APIError
		if err == nil || errors.As(err, &api) {
			return ack, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("publish %s: %w", e.Lead.Event, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Events reads the stored events of a lead, or of one kind of them, in stream
// order; filter must name market and lead. It costs one round trip an event
// and one more.
func (c *Conn) Events(ctx context.Context, filter subjects.Lead) ([]event.Event, error) {
	stream, err := c.stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	var found []event.Event
	subject, next := subjects.Filter(filter), uint64(1)
	for {
		m, err := stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return found, nil
		} else if err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		e, err := event.Decode(m.Subject, m.Sequence, m.Data)
		if err != nil {
			return nil, event.Permanent(fmt.Errorf("read events: sequence %d: %w", m.Sequence, err))
		}
		found, next = append(found, e), m.Sequence+1
	}
}

func (c *Conn) stream(ctx context.Context) (jetstream.Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leads == nil {
		s, err := c.js.Stream(ctx, subjects.StreamLeads)
		if err != nil {
			return nil, err
		}
		c.leads = s
	}
	return c.leads, nil
}

// Follow hands over events as they are stored, from a time on, until ctx ends
// or f returns an error. It leaves no trace on the server.
func (c *Conn) Follow(ctx context.Context, filter subjects.Lead, from time.Time, f func(event.Event) error) error {
	o, err := c.js.OrderedConsumer(ctx, subjects.StreamLeads, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subjects.Filter(filter)}, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &from,
	})
	if err != nil {
		return fmt.Errorf("follow events: %w", err)
	}
	it, err := o.Messages()
	if err != nil {
		return fmt.Errorf("follow events: %w", err)
	}
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("follow events: %w", err)
		}
		e, err := decode(m)
		if err != nil {
			c.log.Warn().Err(err).Msg("unreadable event passed over")
			continue
		}
		if err := f(e.Event); err != nil {
			return err
		}
	}
}

func decode(m jetstream.Msg) (event.Delivery, error) {
	meta, err := m.Metadata()
	if err != nil {
		return event.Delivery{}, err
	}
	e, err := event.Decode(m.Subject(), meta.Sequence.Stream, m.Data())
	return event.Delivery{Event: e, Attempt: int(min(meta.NumDelivered, 1<<30))}, err
}
