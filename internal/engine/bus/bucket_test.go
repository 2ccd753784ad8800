package bus

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/event"
	"leadbus/internal/local/await"
	"leadbus/internal/subjects"
)

func TestBucket(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := t.Context()
	for user, name := range map[string]string{
		"ch-matcher": subjects.BucketLoad, "ch-notifier": subjects.BucketLedger, "ch-recorder": subjects.BucketRoster,
	} {
		b, err := r.connect(t, user).Bucket(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Get(ctx, "p1"); !errors.Is(err, event.ErrNotFound) {
			t.Errorf("%s: absent key: %v", name, err)
		}
		rev, err := b.Create(ctx, "p1", []byte("1"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Create(ctx, "p1", []byte("2")); !errors.Is(err, event.ErrConflict) {
			t.Errorf("%s: second create: %v", name, err)
		}
		if rev, err = b.Update(ctx, "p1", []byte("3"), rev); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Update(ctx, "p1", []byte("4"), rev-1); !errors.Is(err, event.ErrConflict) {
			t.Errorf("%s: stale update: %v", name, err)
		}
		if e, err := b.Get(ctx, "p1"); err != nil || string(e.Value) != "3" || e.Revision != rev {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
		if _, err := b.Put(ctx, "p2", []byte("5")); err != nil {
			t.Error(err)
		}
		if err := errors.Join(b.Delete(ctx, "p1"), b.Delete(ctx, "never-there")); err != nil {
			t.Errorf("%s: delete: %v", name, err)
		}
		if _, err := b.Put(ctx, "with space", nil); err == nil {
			t.Errorf("%s: a key with a space was taken", name)
		}
		if _, err := b.Get(ctx, "p1"); !errors.Is(err, event.ErrNotFound) {
			t.Errorf("%s: deleted key: %v", name, err)
		}
		if all, err := b.All(ctx); err != nil || len(all) != 1 || all[0].Key != "p2" || string(all[0].Value) != "5" {
			t.Errorf("%s: all: %+v, %v", name, all, err)
		}
		if _, err := b.Create(ctx, "p1", []byte("again")); err != nil {
			t.Errorf("%s: create after delete: %v", name, err)
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if all, err := b.All(ended); err == nil {
			t.Errorf("%s: %d keys, as if they were all, from an ended context", name, len(all))
		}
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := t.Context()
	writer, err := r.connect(t, "ch-recorder").Bucket(ctx, subjects.BucketRoster)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 { // more than the library's buffer
		if _, err := writer.Put(ctx, fmt.Sprintf("p%d", i), []byte("one")); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Delete(ctx, "p299"); err != nil {
		t.Fatal(err)
	}
	reader, err := r.connect(t, "ch-matcher").Bucket(ctx, subjects.BucketRoster)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Put(deadline(t, 300*time.Millisecond), "p1", []byte("two")); err == nil {
		t.Error("the matcher writes the roster")
	}
	seen := make(chan string, 10)
	present := map[string]bool{}
	isReady := false
	await.Background(t, func(ctx context.Context) error {
		return reader.Watch(ctx, func(e event.Entry) {
			if isReady {
				seen <- fmt.Sprintf("%s=%s", e.Key, e.Value)
			}
			present[e.Key] = e.Value != nil
		}, func() { isReady = true; seen <- "ready" })
	})
	if s := await.Value(t, "ready", seen); s != "ready" || len(present) != 299 || !present["p0"] {
		t.Errorf("%s with %d keys present", s, len(present))
	}
	if err := writer.Delete(ctx, "p1"); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Put(ctx, "p2", []byte("two")); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"p1=", "p2=two"}, []string{await.Value(t, "a delete", seen), await.Value(t, "a change", seen)}); d != "" {
		t.Error(d)
	}
	closing := r.connect(t, "ch-matcher")
	other, err := closing.Bucket(ctx, subjects.BucketRoster)
	if err != nil {
		t.Fatal(err)
	}
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- other.Watch(ctx, func(event.Entry) {}, func() { close(ready) }) }()
	await.Value(t, "ready", ready)
	closing.Close()
	if err := await.Value(t, "the end", done); err == nil {
		t.Error("a watch on a closed connection ended as if it were asked to")
	}
}

func TestABucketIsWaitedFor(t *testing.T) {
	t.Parallel()
	r := bareRig(t)
	c := r.connect(t, "ch-matcher")
	if _, err := c.Bucket(deadline(t, 200*time.Millisecond), subjects.BucketLoad); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no bucket: %v", err)
	}
	opened := make(chan error)
	go func() { _, err := c.Bucket(t.Context(), subjects.BucketLoad); opened <- err }()
	if err := Provision(t.Context(), r.connect(t, "ch-operator"), "ch", Layout{}); err != nil {
		t.Fatal(err)
	}
	if err := await.Value(t, "the bucket", opened); err != nil {
		t.Error(err)
	}
}
