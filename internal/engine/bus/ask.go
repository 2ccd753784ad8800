package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"leadbus/internal/subjects"
)

// askTime is how long a question waits for its answer.
const askTime = 2 * time.Second

// Ask asks the market's matcher about a lead.
func (c *Conn) Ask(ctx context.Context, of subjects.Lead, question []byte) ([]byte, error) {
	of.Event = subjects.Received // any: a question has no kind
	if err := of.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	m, err := c.nc.RequestWithContext(ctx, of.Ask(), question)
	if err != nil {
		return nil, fmt.Errorf("ask about a lead of market %s: %w", of.Market, err)
	}
	return m.Data, nil
}

// Answer hands what is asked about a market's leads to f, up to workers questions at
// a time, until ctx ends. Of several who answer, one gets each question. A question
// whose f fails stays without an answer.
func (c *Conn) Answer(ctx context.Context, market string, workers int, f func(ctx context.Context, of subjects.Lead, question []byte) ([]byte, error)) error {
	asked := make(chan *nats.Msg, 1024) // what does not fit is not answered
	sub, err := c.nc.ChanQueueSubscribe(subjects.Asked(market), subjects.Matcher, asked)
	if err != nil {
		return fmt.Errorf("answer questions: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection is gone, and the subscription with it
	var busy errgroup.Group
	busy.SetLimit(workers)
	for {
		select {
		case <-ctx.Done():
			return busy.Wait()
		case <-c.closed:
			return errLost
		case m := <-asked:
			busy.Go(func() error {
				bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTime)
				defer cancel()
				of, err := subjects.ParseAsk(m.Subject)
				if err == nil {
					err = c.contain(func() error {
						answer, err := f(bounded, of, m.Data)
						if err == nil {
							err = m.Respond(answer)
						}
						return err
					})
				}
				if err != nil {
					c.log.Warn().Err(err).Str("site", of.Site).Str("lead", of.Lead).Msg("a question stays without an answer")
				}
				return nil
			})
		}
	}
}
