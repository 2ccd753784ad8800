package bus

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"leadbus/internal/event"
	"leadbus/internal/local/await"
	"leadbus/internal/subjects"
)

// Publishers that wait for each ack, through the edge's import over TCP, at a
// server that syncs before it acks.
func BenchmarkPublish(b *testing.B) {
	r := bareRig(b)
	r.Close()
	r.sync = true
	r.start(b)
	if err := Provision(b.Context(), r.connect(b, "ch-operator"), "ch", Layout{}); err != nil {
		b.Fatal(err)
	}
	edge := r.connect(b, subjects.Edge)
	var n atomic.Int64
	for _, publishers := range []int{1, 32, 128} {
		b.Run(fmt.Sprint(publishers), func(b *testing.B) {
			b.SetParallelism((publishers + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if err := edge.Publish(b.Context(), received("ch", fmt.Sprintf("l%d", n.Add(1)), "x")); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// An old lead and the youngest must cost the same: replays read old ones.
func BenchmarkEvents(b *testing.B) {
	r := newRig(b)
	edge, m := r.connect(b, subjects.Edge), r.connect(b, "ch-matcher")
	publish(b, edge, 5000)
	for name, id := range map[string]string{"oldest": "l0", "youngest": "l4999"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if found, err := m.Events(b.Context(), subjects.Lead{Market: "ch", Site: "a.ch", Lead: id}); err != nil || len(found) != 1 {
					b.Fatal(len(found), err)
				}
			}
		})
	}
}

// A backlog, handled by as many workers as the matcher has.
func BenchmarkConsume(b *testing.B) {
	r := newRig(b)
	publish(b, r.connect(b, subjects.Edge), b.N)
	done := make(chan struct{}, b.N)
	m := r.connect(b, "ch-matcher")
	b.ResetTimer()
	consume(b, m, subjects.Matcher, 16, func(context.Context, event.Delivery) error { done <- struct{}{}; return nil })
	for range b.N {
		await.Value(b, "a delivery", done)
	}
	b.StopTimer()
}
