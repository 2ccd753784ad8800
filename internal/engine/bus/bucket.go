package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"leadbus/internal/event"
	"leadbus/internal/subjects"
)

// Bucket is a key-value bucket of the market. Errors are event.ErrNotFound and
// event.ErrConflict where a caller branches on them. The outcome of a write
// that ended with any other error is unknown. On a replicated bucket a read may
// be a moment behind.
type Bucket struct {
	kv jetstream.KeyValue
	c  *Conn
}

// Bucket opens a provisioned bucket and waits for it until ctx ends.
func (c *Conn) Bucket(ctx context.Context, name string) (*Bucket, error) {
	b := &Bucket{c: c}
	err := c.insist(ctx, "bucket "+name, func(ctx context.Context) (err error) {
		b.kv, err = c.js.KeyValue(ctx, name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", name, err)
	}
	return b, nil
}

// Get reads a key.
func (b *Bucket) Get(ctx context.Context, key string) (event.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	e, err := b.kv.Get(ctx, key)
	if err != nil {
		return event.Entry{}, b.wrap("read", err)
	}
	return event.Entry{Key: key, Value: e.Value(), Revision: e.Revision()}, nil
}

// Create writes a key that must not exist; one that was deleted does not.
func (b *Bucket) Create(ctx context.Context, key string, value []byte) (uint64, error) {
	rev, err := b.swap(ctx, key, value, 0)
	if errors.Is(err, event.ErrConflict) { // with a value, or with the mark of a deletion
		ctx, cancel := context.WithTimeout(ctx, requestTime)
		defer cancel()
		rev, err = b.kv.Create(ctx, key, value)
		err = b.wrap("create", err)
	}
	return rev, err
}

// Update writes a key that must still have the revision.
func (b *Bucket) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return b.swap(ctx, key, value, revision)
}

// swap is the library's Update, together with others that come at the same
// time.
func (b *Bucket) swap(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if !subjects.ValidToken(key) {
		return 0, b.wrap("write", jetstream.ErrInvalidKey)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	rev, err := b.c.commit(ctx, bucketStream(b.kv.Bucket()), &write{
		subject: "$KV." + b.kv.Bucket() + "." + key, data: value,
		header: nats.Header{jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(revision, 10)}},
	})
	return rev, b.wrap("write", err)
}

// Put writes a key.
func (b *Bucket) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	rev, err := b.kv.Put(ctx, key, value)
	return rev, b.wrap("write", err)
}

// Delete removes a key; one that is not there is no error.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	return b.wrap("delete", b.kv.Delete(ctx, key))
}

// Purge removes a key that must still have the revision; the mark of it goes
// too, in a bucket whose keys are purged.
func (b *Bucket) Purge(ctx context.Context, key string, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	return b.wrap("purge", b.kv.Purge(ctx, key, jetstream.LastRevision(revision), jetstream.PurgeTTL(dupeWindow)))
}

// All reads every key.
func (b *Bucket) All(ctx context.Context) ([]event.Entry, error) {
	var all []event.Entry
	whole := false
	err := b.watch(ctx, func(e event.Entry) { all = append(all, e) }, false, nil, func() (goOn bool) {
		whole = true
		return false
	})
	if !whole {
		return nil, b.wrap("read all", errors.Join(ctx.Err(), err))
	}
	return all, nil
}

var errWatchLost = errors.New("the watch was lost")

// Watch hands over every key and then every change until ctx ends; ready is
// called once, when the present keys were handed over. After a reconnect the
// keys come once more, deleted ones included, so that no change is missed. It
// returns an error when the connection is closed.
func (b *Bucket) Watch(ctx context.Context, f func(event.Entry), ready func()) error {
	back := b.c.nc.StatusChanged(nats.CONNECTED)
	defer b.c.nc.RemoveStatusListener(back)
	for warned, deletes := false, false; ; {
		err := b.watch(ctx, f, deletes, back, func() (goOn bool) {
			if !deletes {
				ready()
			}
			warned, deletes = false, true
			return true
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case b.c.nc.IsClosed():
			return b.wrap("watch", nats.ErrConnectionClosed)
		case err != nil && !warned:
			warned = true
			b.c.log.Warn().Err(err).Str("bucket", b.kv.Bucket()).Msg("watch lost: watching anew")
		}
		if err != nil {
			pause(ctx, connectWait)
		}
	}
}

// watch watches until the connection was away or ready says so, which is no
// error, or the watch is lost.
func (b *Bucket) watch(ctx context.Context, f func(event.Entry), deletes bool, back <-chan nats.Status, ready func() (goOn bool)) error {
	w, discard, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer discard()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-back:
			// The library notices by itself, after missed heartbeats, and
			// gives up when it cannot send at that moment.
			return nil
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				return errWatchLost
			case e == nil:
				deletes = true
				if !ready() {
					return nil
				}
			case e.Operation() == jetstream.KeyValuePut || deletes:
				f(entry(e))
			}
		}
	}
}

// open starts a watch within requestTime. discard ends it, and reads what it
// still holds, or its sender would wait for ever.
func (b *Bucket) open(ctx context.Context) (w jetstream.KeyWatcher, discard func(), err error) {
	ctx, cancel := context.WithCancel(ctx) // the watch lives as long as it
	late := time.AfterFunc(requestTime, cancel)
	w, err = b.kv.WatchAll(ctx)
	if !late.Stop() {
		err = errors.Join(err, context.DeadlineExceeded)
	}
	discard = func() {
		cancel()
		if w == nil {
			return
		}
		_ = w.Stop()
		go func() {
			for range w.Updates() {
			}
		}()
	}
	if err != nil {
		discard()
	}
	return w, discard, err
}

// entry has no value when the key was deleted.
func entry(e jetstream.KeyValueEntry) event.Entry {
	if e.Operation() != jetstream.KeyValuePut {
		return event.Entry{Key: e.Key(), Revision: e.Revision()}
	}
	return event.Entry{Key: e.Key(), Value: e.Value(), Revision: e.Revision()}
}

func (b *Bucket) wrap(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrKeyNotFound):
		err = event.ErrNotFound
	case errors.Is(err, jetstream.ErrKeyExists), conflicts(err):
		err = event.ErrConflict
	}
	return fmt.Errorf("%s bucket %s: %w", what, b.kv.Bucket(), err)
}
