package test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"leadbus/internal/event"
	"leadbus/internal/subjects"
)

// BenchmarkEdge is the time to accept a tool call, durably, for 1 and 32
// callers at once, beside what the same server's bare publish takes.
func BenchmarkEdge(b *testing.B) {
	s := start(b, settings(b))
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 64
	for _, callers := range []int{1, 32} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			report(b, parallel(b, callers, func() { s.accept(b, site1, call(nil)) }))
		})
		b.Run(fmt.Sprintf("bare-publish=%d", callers), func(b *testing.B) {
			nc, err := nats.Connect(s.NATSURL, operatorKey(b, s.settings.Data, "ch"), nats.CustomInboxPrefix("_INBOX_ch-operator"))
			if err != nil {
				b.Fatal(err)
			}
			defer nc.Close()
			js, err := jetstream.New(nc)
			if err != nil {
				b.Fatal(err)
			}
			// A stream of its own: nobody consumes it.
			if _, err := js.CreateOrUpdateStream(b.Context(), jetstream.StreamConfig{Name: "BARE", Subjects: []string{"bare"}, MaxBytes: 64 << 20}); err != nil {
				b.Fatal(err)
			}
			body := []byte(strings.Repeat("x", 1500)) // about a received event
			report(b, parallel(b, callers, func() {
				if _, err := js.Publish(b.Context(), "bare", body); err != nil {
					b.Error(err)
				}
			}))
		})
	}
}

// BenchmarkWholeWay is one call at a time, from the request to the match and
// to the first request at a vendor.
func BenchmarkWholeWay(b *testing.B) {
	s := start(b, settings(b))
	var match, vendor []time.Duration
	for b.Loop() {
		begun := time.Now()
		id := s.accept(b, site1, call(nil))
		eventually(b, func() bool {
			var matched, sent time.Time
			for _, e := range s.events(b, "ch", id) {
				switch {
				case e.Lead.Event == subjects.Matched:
					matched = e.At
				case e.Lead.Event == subjects.MessageSent && (sent.IsZero() || e.Body.(*event.Told).Sent.At.Before(sent)):
					sent = e.Body.(*event.Told).Sent.At
				}
			}
			if sent.IsZero() {
				return false
			}
			match, vendor = append(match, matched.Sub(begun)), append(vendor, sent.Sub(begun))
			return true
		}, func() string { return "no message sent" })
	}
	b.ReportMetric(ms(match, .5), "match-p50-ms")
	b.ReportMetric(ms(match, .99), "match-p99-ms")
	b.ReportMetric(ms(vendor, .5), "vendor-p50-ms")
	b.ReportMetric(ms(vendor, .99), "vendor-p99-ms")
}

// parallel runs f b.N times from a number of callers and answers each time.
func parallel(b *testing.B, callers int, f func()) []time.Duration {
	b.Helper()
	times := make([]time.Duration, b.N)
	next := make(chan int)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	go func() {
		defer close(next)
		for i := range b.N {
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	}()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := range next {
				start := time.Now()
				f()
				times[i] = time.Since(start)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	return times
}

func report(b *testing.B, times []time.Duration) {
	b.Helper()
	b.ReportMetric(float64(len(times))/b.Elapsed().Seconds(), "per-s")
	b.ReportMetric(ms(times, .5), "p50-ms")
	b.ReportMetric(ms(times, .99), "p99-ms")
}

func ms(times []time.Duration, quantile float64) float64 {
	slices.Sort(times)
	return float64(times[int(float64(len(times)-1)*quantile)].Microseconds()) / 1000
}

func operatorKey(b *testing.B, data, market string) nats.Option {
	b.Helper()
	o, err := nats.NkeyOptionFromSeed(data + "/nats/" + market + "-operator.nk")
	if err != nil {
		b.Fatal(err)
	}
	return o
}
