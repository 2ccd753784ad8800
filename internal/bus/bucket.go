package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"leadbus/internal/event"
)

// Bucket is a key-value bucket of the market. Errors are event.ErrNotFound and
// event.ErrConflict where a caller branches on them.
type Bucket struct {
	kv jetstream.KeyValue
	c  *Conn
}

// Bucket opens a provisioned bucket and waits for it until ctx ends.
func (c *Conn) Bucket(ctx context.Context, name string) (*Bucket, error) {
	for warned := false; ; warned = true {
		kv, err := c.js.KeyValue(ctx, name)
		if err == nil {
			return &Bucket{kv, c}, nil
		}
		if !warned {
			c.log.Warn().Err(err).Str("bucket", name).Msg("waiting for the bucket; 'leadbus provision' makes it")
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("open bucket %s: %w", name, err)
		case <-time.After(time.Second):
		}
	}
}

// Get reads a key.
func (b *Bucket) Get(ctx context.Context, key string) (event.Entry, error) {
	e, err := b.kv.Get(ctx, key)
	if err != nil {
		return event.Entry{}, b.wrap("read", err)
	}
	return event.Entry{Key: key, Value: e.Value(), Revision: e.Revision()}, nil
}

// Create writes a key that must not exist.
func (b *Bucket) Create(ctx context.Context, key string, value []byte) (uint64, error) {
	rev, err := b.kv.Create(ctx, key, value)
	return rev, b.wrap("create", err)
}

// Update writes a key that must still have the revision.
func (b *Bucket) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	rev, err := b.kv.Update(ctx, key, value, revision)
	return rev, b.wrap("update", err)
}

// Put writes a key.
func (b *Bucket) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	rev, err := b.kv.Put(ctx, key, value)
	return rev, b.wrap("write", err)
}

// Delete removes a key.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	return b.wrap("delete", b.kv.Delete(ctx, key))
}

// All reads every key.
func (b *Bucket) All(ctx context.Context) ([]event.Entry, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all []event.Entry
	err := b.Watch(ctx, func(e event.Entry) { all = append(all, e) }, cancel)
	return all, err
}

// Watch hands over every key and then every change until ctx ends; ready is
// called once the present keys were handed over. It survives reconnects, and
// returns an error when the watch is lost for good.
func (b *Bucket) Watch(ctx context.Context, f func(event.Entry), ready func()) error {
	w, err := b.kv.WatchAll(ctx)
	if err != nil {
		return b.wrap("watch", err)
	}
	defer func() { _ = w.Stop() }()
	for present := true; ; {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("watch bucket %s: the watch ended", b.kv.Bucket())
			case e == nil:
				present = false
				ready()
			case e.Operation() == jetstream.KeyValuePut:
				f(event.Entry{Key: e.Key(), Value: e.Value(), Revision: e.Revision()})
			case !present:
				f(event.Entry{Key: e.Key(), Revision: e.Revision()})
			}
		}
	}
}

func (b *Bucket) wrap(what string, err error) error {
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrKeyNotFound):
		err = event.ErrNotFound
	case errors.Is(err, jetstream.ErrKeyExists),
		errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == wrongLastSequenceR3):
		err = event.ErrConflict
	}
	return fmt.Errorf("%s in bucket %s: %w", what, b.kv.Bucket(), err)
}
