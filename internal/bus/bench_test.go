package bus

import (
	"context"
	"fmt"
	"testing"

	"leadbus/internal/event"
	"leadbus/internal/subjects"
)

// One publisher, waiting for each ack, through the edge's import over TCP.
func BenchmarkPublish(b *testing.B) {
	r := newRig(b)
	edge := r.connect(b, EdgeUser)
	i := 0
	for b.Loop() {
		i++
		if err := edge.Publish(b.Context(), received("ch", fmt.Sprintf("l%d", i), "x")); err != nil {
			b.Fatal(err)
		}
	}
}

// An old lead and the youngest must cost the same: replays read old ones.
func BenchmarkEvents(b *testing.B) {
	r := newRig(b)
	edge, m := r.connect(b, EdgeUser), r.connect(b, "ch-matcher")
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
	publish(b, r.connect(b, EdgeUser), b.N)
	done := make(chan struct{}, b.N)
	m := r.connect(b, "ch-matcher")
	b.ResetTimer()
	consume(b, m, subjects.Matcher, 16, func(context.Context, event.Delivery) error { done <- struct{}{}; return nil })
	for range b.N {
		<-done
	}
	b.StopTimer()
}
