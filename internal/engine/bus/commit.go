package bus

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Bounds of a batch; the server takes 1,000 messages. Larger ones gain little
// and delay those that come next. A single server keeps each batch in a store
// of its own first, which costs it about as much as a dozen synced messages,
// or forty where files are slow to make: fewer go one by one.
const (
	batchLeast = 24
	batchMost  = 256
	batchBytes = 512 << 10
)

var errLost = errors.New("the connection to the bus was lost")

// lane is the group commit of one stream. A server that syncs every message
// syncs an atomic batch once, so what callers hand in while a write is under
// way goes together with the next one. Alone, a message does not wait.
type lane struct {
	c *Conn

	mu      sync.Mutex
	waiting []*write
	busy    bool
}

// write is one message on its way.
type write struct {
	subject string
	header  nats.Header
	data    []byte

	// Its caller's: when it has ended, the message must not go out any more.
	ctx  context.Context
	done chan written // has room for the answer
}

type written struct {
	seq uint64
	err error
}

// commit stores a message and answers its sequence in the stream. Messages of
// one lane are stored in the order they came. When ctx ends first, the message
// may still be stored if it had left.
func (c *Conn) commit(ctx context.Context, stream string, w *write) (uint64, error) {
	c.hand(ctx, stream, w)
	return w.wait()
}

// hand puts a message into its lane.
func (c *Conn) hand(ctx context.Context, stream string, w *write) {
	w.ctx, w.done = ctx, make(chan written, 1)
	l := c.lane(stream)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, w)
	if !l.busy {
		l.busy = true
		c.lanesBusy.Go(l.run)
	}
}

func (w *write) wait() (uint64, error) {
	select {
	case r := <-w.done:
		return r.seq, r.err
	case <-w.ctx.Done():
		return 0, w.ctx.Err()
	}
}

func (c *Conn) lane(stream string) *lane {
	c.lanesMu.Lock()
	defer c.lanesMu.Unlock()
	l := c.lanes[stream]
	if l == nil {
		l = &lane{c: c}
		c.lanes[stream] = l
	}
	return l
}

// run stores what waits until nothing does. After a batch it waits a little for
// those who hand in again: two small batches cost more than a large one.
func (l *lane) run() {
	for batch := l.next(); len(batch) > 0; batch = l.next() {
		start := time.Now()
		if l.store(batch); len(batch) >= batchLeast {
			time.Sleep(time.Since(start) / 4)
		}
	}
}

// next takes what goes together; nothing when the lane falls idle.
func (l *lane) next() []*write {
	l.mu.Lock()
	defer l.mu.Unlock()
	var batch []*write
	n, size := 0, 0
	for _, w := range l.waiting {
		if len(batch) == batchMost || len(batch) > 0 && size+len(w.data) > batchBytes {
			break
		}
		n++
		if w.ctx.Err() == nil {
			batch, size = append(batch, w), size+len(w.data)
		}
	}
	l.waiting = append([]*write(nil), l.waiting[n:]...)
	l.busy = len(batch) > 0
	return batch
}

// store answers each of the writes. A batch is refused whole, for a repeat or a
// conflict in it; its messages then go one by one, each for its own answer.
func (l *lane) store(batch []*write) {
	if len(batch) == 1 {
		seq, err := l.c.one(batch[0])
		batch[0].done <- written{seq, err}
		return
	}
	if len(batch) < batchLeast {
		l.c.each(batch)
		return
	}
	last, err := l.c.all(batch)
	var api *jetstream.APIError
	if errors.As(err, &api) && !again(api) {
		l.c.each(batch)
		return
	}
	first := last - uint64(len(batch)) + 1
	for i, w := range batch {
		w.done <- written{first + uint64(i), err}
	}
}

func (c *Conn) one(w *write) (uint64, error) {
	ctx, cancel := context.WithTimeout(c.link(), ackTimeout)
	defer cancel()
	defer context.AfterFunc(w.ctx, cancel)() // nobody waits for the answer
	ack, err := c.js.PublishMsg(ctx, &nats.Msg{Subject: w.subject, Header: w.header, Data: w.data}, jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, c.linkError(ctx, err)
	}
	return ack.Sequence, nil
}

// each stores messages in their order without waiting for one before the next.
func (c *Conn) each(batch []*write) {
	ctx, cancel := context.WithTimeout(c.link(), ackTimeout)
	defer cancel()
	acks := make([]jetstream.PubAckFuture, len(batch))
	for i, w := range batch {
		var err error
		if acks[i], err = c.js.PublishMsgAsync(&nats.Msg{Subject: w.subject, Header: w.header, Data: w.data}, jetstream.WithRetryAttempts(0)); err != nil {
			w.done <- written{0, err}
		}
	}
	for i, w := range batch {
		if acks[i] == nil {
			continue
		}
		select {
		case ack := <-acks[i].Ok():
			w.done <- written{ack.Sequence, nil}
		case err := <-acks[i].Err():
			w.done <- written{0, err}
		case <-ctx.Done():
			w.done <- written{0, c.linkError(ctx, ctx.Err())}
		}
	}
}

// all stores messages as one atomic batch (nats-server ADR-50) and answers the
// sequence of the last; they stand side by side in the stream.
func (c *Conn) all(batch []*write) (uint64, error) {
	ctx, cancel := context.WithTimeout(c.link(), ackTimeout)
	defer cancel()
	id := rand.Text()
	for i, w := range batch {
		h := nats.Header{"Nats-Batch-Id": {id}, "Nats-Batch-Sequence": {strconv.Itoa(i + 1)}}
		for k, v := range w.header {
			h[k] = v
		}
		m := &nats.Msg{Subject: w.subject, Header: h, Data: w.data}
		if i < len(batch)-1 {
			if err := c.nc.PublishMsg(m); err != nil {
				return 0, err
			}
			continue
		}
		h.Set("Nats-Batch-Commit", "1")
		answer, err := c.nc.RequestMsgWithContext(ctx, m)
		if err != nil {
			return 0, c.linkError(ctx, err)
		}
		var ack struct {
			Error *jetstream.APIError `json:"error"`
			Seq   uint64              `json:"seq"`
			Count int                 `json:"count"`
		}
		switch err := json.Unmarshal(answer.Data, &ack); {
		case err != nil:
			return 0, fmt.Errorf("read the answer to a batch: %w", err)
		case ack.Error != nil:
			return 0, ack.Error
		case ack.Count != len(batch):
			return 0, fmt.Errorf("a batch of %d was stored as %d", len(batch), ack.Count)
		}
		return ack.Seq, nil
	}
	return 0, nil
}

// link ends when the connection is lost: what waits for an answer then waits in
// vain.
func (c *Conn) link() context.Context {
	c.lanesMu.Lock()
	defer c.lanesMu.Unlock()
	return c.linked
}

func (c *Conn) linkUp() {
	c.lanesMu.Lock()
	defer c.lanesMu.Unlock()
	if c.linked == nil || c.linked.Err() != nil {
		c.linked, c.unlink = context.WithCancelCause(context.Background())
	}
}

func (c *Conn) linkDown() {
	c.lanesMu.Lock()
	defer c.lanesMu.Unlock()
	c.unlink(errLost)
}

// linkError names the loss of the connection, which shows as an ended context.
func (c *Conn) linkError(ctx context.Context, err error) error {
	switch {
	case c.nc.IsClosed():
		return nats.ErrConnectionClosed
	case errors.Is(context.Cause(ctx), errLost):
		return errLost
	}
	return err
}
