package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"leadbus/internal/event"
	"leadbus/internal/subjects"
)

// maxReason bounds the reason in a dead letter, in bytes.
const maxReason = 300

// bury writes the dead letter of an event that role gives up, durably. Advisories
// of the server would be lost when nobody keeps them at that moment.
func (c *Conn) bury(ctx context.Context, role, subject string, d event.Delivery, why error) error {
	reason := why.Error()
	dead := event.Dead{
		Role: role, Site: d.Lead.Site, Lead: d.Lead.Lead, Kind: d.Lead.Event, Seq: d.Seq, Attempt: d.Attempt, At: time.Now().UTC(),
		Reason: strings.ToValidUTF8(reason[:min(len(reason), maxReason)], ""),
	}
	if t := strings.Split(subject, "."); len(t) > 1 {
		dead.Market = t[1]
	}
	data, err := json.Marshal(dead)
	if err != nil {
		return err
	}
	// The handler's time is over when it gave up last of all.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTime)
	defer cancel()
	_, err = c.commit(ctx, subjects.StreamDLQ, &write{
		subject: subjects.DeadLetter(dead.Market, role), data: data,
		header: nats.Header{jetstream.MsgIDHeader: {fmt.Sprintf("%s-%d", role, d.Seq)}},
	})
	return err
}

// ConsumeDead hands each dead letter of the market to h, once it is handled for
// good, until ctx ends; stop and loss are as in Consume.
func (c *Conn) ConsumeDead(ctx context.Context, role string, h func(context.Context, event.Dead) error) error {
	return c.pull(ctx, subjects.StreamDLQ, role, 1, func(work context.Context, s *source) error {
		for {
			m, err := s.next(ctx)
			if err != nil {
				return err
			}
			meta, err := m.Metadata()
			var d event.Dead
			if err == nil {
				err = json.Unmarshal(m.Data(), &d)
			}
			if err != nil {
				c.log.Error().Err(err).Msg("an unreadable dead letter")
				c.sent(m.Term())
				continue
			}
			d.ID = meta.Sequence.Stream
			bounded, cancel := context.WithTimeout(work, handleTime)
			err = c.contain(func() error { return h(bounded, d) })
			cancel()
			if err != nil {
				c.log.Warn().Err(err).Uint64("dead_letter", d.ID).Msg("a dead letter comes again")
				c.sent(m.NakWithDelay(ackWait))
				continue
			}
			c.sent(m.Ack())
		}
	})
}

// DeadLetters lists what stands in the market's DLQ, oldest first.
func (c *Conn) DeadLetters(ctx context.Context) ([]event.Dead, error) {
	s, err := c.js.Stream(ctx, subjects.StreamDLQ)
	if err != nil {
		return nil, fmt.Errorf("read the DLQ: %w", err)
	}
	var all []event.Dead
	for next := uint64(1); ; {
		m, err := s.GetMsg(ctx, next, jetstream.WithGetMsgSubject(">"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("read the DLQ: %w", err)
		}
		next = m.Sequence + 1
		var d event.Dead
		if json.Unmarshal(m.Data, &d) == nil {
			d.ID = m.Sequence
			all = append(all, d)
		}
	}
}

// CountDead counts the dead letters of a subject: of a market, or one role's.
func (c *Conn) CountDead(ctx context.Context, subject string) (n uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	s, err := c.js.Stream(ctx, subjects.StreamDLQ)
	if err != nil {
		return 0, err
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return 0, err
	}
	for _, letters := range info.State.Subjects {
		n += letters
	}
	return n, nil
}

// Stored is an event as it stands in the stream, read or not.
func (c *Conn) Stored(ctx context.Context, seq uint64) (subject string, data []byte, err error) {
	s, err := c.stream(ctx)
	if err != nil {
		return "", nil, err
	}
	m, err := s.GetMsg(ctx, seq)
	if err != nil {
		return "", nil, fmt.Errorf("read event %d: %w", seq, err)
	}
	return m.Subject, m.Data, nil
}

// Retry puts the event of a dead letter into the stream once more, for every
// role, and drops the letter. Roles that had handled it do nothing again.
func (c *Conn) Retry(ctx context.Context, d event.Dead) error {
	subject, data, err := c.Stored(ctx, d.Seq)
	if err != nil {
		return err
	}
	// Its own message id: under the old one the stream would drop it.
	_, err = c.commit(ctx, d.Market, &write{subject: subject, data: data, header: nats.Header{jetstream.MsgIDHeader: {fmt.Sprintf("retry-%d-%d", d.ID, d.Seq)}}})
	if err != nil {
		return fmt.Errorf("put event %d into the stream again: %w", d.Seq, err)
	}
	return c.Drop(ctx, d)
}

// Drop removes a dead letter; its event stays in the stream.
func (c *Conn) Drop(ctx context.Context, d event.Dead) error {
	s, err := c.js.Stream(ctx, subjects.StreamDLQ)
	if err == nil {
		err = s.DeleteMsg(ctx, d.ID)
	}
	if err != nil {
		return fmt.Errorf("drop dead letter %d: %w", d.ID, err)
	}
	return nil
}
