package matcher

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/subjects"
)

// memory is a bus that costs nothing.
type memory struct {
	mu       sync.Mutex
	events   map[string][]event.Event // by lead
	loads    map[string]event.Entry
	revision uint64
}

func (m *memory) Events(_ context.Context, filter subjects.Lead) ([]event.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.events[filter.Lead], nil
}

func (m *memory) Publish(_ context.Context, e event.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revision++
	e.Seq = m.revision
	m.events[e.Lead.Lead] = append(m.events[e.Lead.Lead], e)
	return nil
}

func (m *memory) PublishFirst(ctx context.Context, e event.Event) error { return m.Publish(ctx, e) }

func (m *memory) SetTimer(context.Context, subjects.Lead, time.Time) error { return nil }

func (m *memory) All(context.Context) ([]event.Entry, error) { return nil, nil }

func (m *memory) Get(_ context.Context, key string) (event.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loads[key], nil
}

func (m *memory) Create(ctx context.Context, key string, v []byte) (uint64, error) {
	return m.Update(ctx, key, v, 0)
}

func (m *memory) Update(_ context.Context, key string, v []byte, revision uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.loads[key].Revision != revision {
		return 0, event.ErrConflict
	}
	m.revision++
	m.loads[key] = event.Entry{Key: key, Value: v, Revision: m.revision}
	return m.revision, nil
}

// BenchmarkHandle takes new leads through reducer, choice among 200 providers, and
// the match: in memory, what the matcher itself costs; on the bus, with its
// round trips to an embedded server on disk.
func BenchmarkHandle(b *testing.B) {
	r := newRig(b)
	for i := range 200 {
		r.employ(plumber(fmt.Sprintf("p%03d", i), func(p *roster.Provider) {
			p.Priority = 1 + i%3
			if i%4 == 0 {
				p.Places = []string{"carouge"}
			}
		}))
	}
	run := func(b *testing.B, o Options, publish func(event.Event)) {
		b.Helper()
		m, stop := r.start(o)
		defer stop()
		i := 0
		for b.Loop() {
			b.StopTimer()
			e := r.call(fmt.Sprintf("%s_%d_%d", b.Name(), time.Now().UnixNano(), i), leak())
			i++
			publish(e)
			there, err := o.Stream.Events(b.Context(), subjects.Lead{Market: "ch", Lead: e.Lead.Lead})
			if err != nil || len(there) != 1 {
				b.Fatal(len(there), err)
			}
			b.StartTimer()
			handle(b, m, event.Delivery{Event: there[0], Attempt: 1})
		}
	}
	b.Run("memory", func(b *testing.B) {
		mem := &memory{events: map[string][]event.Event{}, loads: map[string]event.Entry{}}
		o := r.options()
		o.Stream, o.Load, o.Timers = mem, mem, mem
		run(b, o, func(e event.Event) {
			clear(mem.events)
			if err := mem.Publish(b.Context(), e); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("bus", func(b *testing.B) {
		run(b, r.options(), func(e event.Event) {
			if err := r.edge.Publish(b.Context(), e); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("understand", func(b *testing.B) {
		s, req := r.catalog.Sites[domain], leak()
		for b.Loop() {
			if l := r.reader.Understand(s, lead.NewID(domain, "x"), req, monday, nil); l.Place.ID == "" {
				b.Fatal("not understood")
			}
		}
	})
}
