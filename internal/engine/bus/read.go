package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"leadbus/internal/event"
	"leadbus/internal/subjects"
)

// Events reads the stored events of a lead, or of one kind of them, in stream
// order; filter must name market and lead, and is cheaper with the site. It
// costs one round trip an event and one more. On a replicated stream any
// replica answers, so the youngest event may be missing for a moment. An event
// that cannot be read is passed over.
//
// It looks for the last event first: a search beyond it would go through all
// that was stored since, for milliseconds in a stream of some hundred thousand
// events. Events of one lead that lie far apart still cost that.
func (c *Conn) Events(ctx context.Context, filter subjects.Lead) ([]event.Event, error) {
	return c.events(ctx, filter, time.Time{})
}

// Since reads the events of a kind that the stream took from a time on, in stream
// order; filter may leave site and lead out. It costs what Events costs, and is for
// what is rare.
func (c *Conn) Since(ctx context.Context, filter subjects.Lead, from time.Time) ([]event.Event, error) {
	return c.events(ctx, filter, from)
}

func (c *Conn) events(ctx context.Context, filter subjects.Lead, from time.Time) ([]event.Event, error) {
	stream, err := c.stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	get := func(f func(context.Context) (*jetstream.RawStreamMsg, error)) (*jetstream.RawStreamMsg, error) {
		bounded, cancel := context.WithTimeout(ctx, requestTime)
		defer cancel()
		return f(bounded)
	}
	subject := subjects.Filter(filter)
	last, err := get(func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return stream.GetLastMsgForSubject(ctx, subject)
	})
	var found []event.Event
	next := uint64(1)
	if err == nil && !from.IsZero() {
		next, err = c.first(ctx, subject, from)
	}
	for err == nil && next <= last.Sequence {
		var m *jetstream.RawStreamMsg
		m, err = get(func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
			return stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(subject))
		})
		if err != nil {
			break
		}
		next = m.Sequence + 1
		e, derr := event.Decode(m.Subject, m.Sequence, m.Data)
		e.Stored = m.Time
		if derr != nil { // of a newer version, in a deploy; its own delivery says so
			c.log.Warn().Err(derr).Uint64("seq", m.Sequence).Msg("unreadable event passed over")
			continue
		}
		found = append(found, e)
	}
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) { // not found: there is none, or another replica lags
		return nil, fmt.Errorf("read events: %w", err)
	}
	return found, nil
}

// first is the sequence of the first event of a subject from a time on; the library
// does not ask by time.
func (c *Conn) first(ctx context.Context, subject string, from time.Time) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	request, err := json.Marshal(map[string]any{"next_by_subj": subject, "start_time": from.UTC()})
	if err != nil {
		return 0, err
	}
	m, err := c.nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+subjects.StreamLeads, request)
	if err != nil {
		return 0, err
	}
	switch status := m.Header.Get("Status"); status {
	case "":
		return strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	case "404":
		return 0, jetstream.ErrMsgNotFound
	default:
		return 0, fmt.Errorf("the server answers %s", status)
	}
}

func (c *Conn) stream(ctx context.Context) (jetstream.Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leads == nil {
		bounded, cancel := context.WithTimeout(ctx, requestTime)
		defer cancel()
		s, err := c.js.Stream(bounded, subjects.StreamLeads)
		if err != nil {
			return nil, err
		}
		c.leads = s
	}
	return c.leads, nil
}

// Follow hands over events as they are stored, from a time on (the zero time:
// all of them), until ctx ends or f returns an error. It goes on after a
// reconnect where it was, and leaves nothing on the server.
func (c *Conn) Follow(ctx context.Context, filter subjects.Lead, from time.Time, f func(event.Event) error) error {
	o, err := c.ordered(ctx, filter, from)
	if err != nil {
		return fmt.Errorf("follow events: %w", err)
	}
	return c.handOver(ctx, o, false, f)
}

// ordered makes a consumer for one reader, of the events from a time on (the
// zero time: all of them). The server drops one that nobody reads from.
func (c *Conn) ordered(ctx context.Context, filter subjects.Lead, from time.Time) (jetstream.Consumer, error) {
	cfg := jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subjects.Filter(filter)}, DeliverPolicy: jetstream.DeliverAllPolicy, InactiveThreshold: 30 * time.Second,
	}
	if !from.IsZero() {
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &from
	}
	return c.js.OrderedConsumer(ctx, subjects.StreamLeads, cfg)
}

// handOver passes on the consumer's events, save those that cannot be read, until
// f returns an error. History ends with the last event that is stored; without
// it the end of ctx is no error.
func (c *Conn) handOver(ctx context.Context, o jetstream.Consumer, history bool, f func(event.Event) error) error {
	it, err := o.Messages()
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	// Next waits for a lost server without a look at ctx.
	defer context.AfterFunc(ctx, it.Stop)()
	defer it.Stop()
	next := jetstream.NextContext(ctx)
	if history {
		next = jetstream.NextMaxWait(historyTime)
	}
	for {
		m, err := it.Next(next)
		if err != nil && ctx.Err() != nil && !history {
			return nil
		} else if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		if d, err := decode(m); err != nil {
			c.log.Warn().Err(err).Uint64("seq", d.Seq).Msg("unreadable event passed over")
		} else if err := f(d.Event); err != nil {
			return err
		}
		if meta, err := m.Metadata(); history && err == nil && meta.NumPending == 0 {
			return nil
		}
	}
}

// historyTime is how long an event that is stored may take to come.
const historyTime = 30 * time.Second

// History hands over the events that are stored now, from a time on (the zero
// time: all of them).
func (c *Conn) History(ctx context.Context, filter subjects.Lead, from time.Time, f func(event.Event) error) error {
	o, err := c.ordered(ctx, filter, from)
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	defer func() { // a server would keep it for minutes
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTime)
		defer cancel()
		if info := o.CachedInfo(); info != nil {
			_ = c.js.DeleteConsumer(bounded, subjects.StreamLeads, info.Name)
		}
	}()
	info, err := o.Info(ctx)
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	if info.NumPending == 0 {
		return nil
	}
	return c.handOver(ctx, o, true, f)
}

// decode reads a delivery; one that cannot be read keeps its sequence and
// attempt.
func decode(m jetstream.Msg) (event.Delivery, error) {
	meta, err := m.Metadata()
	if err != nil {
		return event.Delivery{}, err
	}
	e, err := event.Decode(m.Subject(), meta.Sequence.Stream, m.Data())
	e.Seq, e.Stored = meta.Sequence.Stream, meta.Timestamp
	if err != nil {
		e.Lead, _ = subjects.Parse(m.Subject()) // as far as it can be told
	}
	return event.Delivery{Event: e, Attempt: int(min(meta.NumDelivered, 1<<30))}, err
}
