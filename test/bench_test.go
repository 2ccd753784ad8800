package test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"leadbus/internal/event"
	"leadbus/internal/local/await"
	"leadbus/internal/subjects"
)

// BenchmarkEdge is the time to accept a tool call, synced to the disk, for
// callers at once, while no role works on the leads; beside it what the same
// server takes for a bare synced publish, one by one and in atomic batches of
// 32, and the disk for one write and sync.
func BenchmarkEdge(b *testing.B) {
	cfg := settings(b)
	for _, market := range []string{"ch", "id", "fr"} {
		for _, role := range subjects.RoleNames() {
			cfg.Without = append(cfg.Without, role+"-"+market)
		}
	}
	s := start(b, cfg)
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 256
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
	if _, err := js.CreateOrUpdateStream(b.Context(), jetstream.StreamConfig{
		Name: "BARE", Subjects: []string{"bare"}, MaxBytes: 256 << 20, Discard: jetstream.DiscardOld, AllowAtomicPublish: true,
	}); err != nil {
		b.Fatal(err)
	}
	body := []byte(strings.Repeat("x", 1500)) // about a received event
	for _, callers := range []int{1, 32, 128} {
		b.Run(fmt.Sprintf("accept/callers=%d", callers), func(b *testing.B) {
			report(b, parallel(b, callers, func() { s.accept(b, site1, call(nil)) }))
		})
		b.Run(fmt.Sprintf("bare-publish/callers=%d", callers), func(b *testing.B) {
			report(b, parallel(b, callers, func() {
				if _, err := js.Publish(b.Context(), "bare", body); err != nil {
					b.Error(err)
				}
			}))
		})
	}
	b.Run("bare-batch", func(b *testing.B) {
		const size = 32
		times := parallel(b, 1, func() {
			id := rand.Text()
			for i := range size {
				m := &nats.Msg{Subject: "bare", Data: body, Header: nats.Header{"Nats-Batch-Id": {id}, "Nats-Batch-Sequence": {fmt.Sprint(i + 1)}}}
				if i < size-1 {
					_ = nc.PublishMsg(m)
					continue
				}
				m.Header.Set("Nats-Batch-Commit", "1")
				if ack, err := nc.RequestMsg(m, patience); err != nil || strings.Contains(string(ack.Data), "error") {
					b.Error(err, string(ack.Data))
				}
			}
		})
		report(b, times)
		b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "msgs-per-s")
	})
	b.Run("disk-sync", func(b *testing.B) {
		f, err := os.Create(filepath.Join(s.settings.Data, "sync"))
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		report(b, parallel(b, 1, func() {
			_, err := f.Write(body)
			if err := errors.Join(err, f.Sync()); err != nil {
				b.Error(err)
			}
		}))
	})
}

// BenchmarkFullLeads is how many leads a second go all the way, each with its
// row, its match and six messages through the ledger, with vendors and callers
// on the same machine.
func BenchmarkFullLeads(b *testing.B) {
	cfg := settings(b)
	cfg.Config = unhurried(b)
	s := start(b, cfg)
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 256
	parallel(b, 32, func() { s.accept(b, site1, call(nil)) })
	b.StartTimer()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.DatabaseURL)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var leads, sent int
	for deadline := time.Now().Add(10 * time.Minute); leads < b.N || sent < 6*b.N; {
		if time.Now().After(deadline) {
			b.Fatalf("%d leads of %d, %d messages sent", leads, b.N, sent)
		}
		<-time.After(250 * time.Millisecond)
		if err := conn.QueryRow(ctx, `select (select count(*) from leadbus.lead where status = 'notified'),
			(select count(*) from leadbus.message where state in ('sent', 'delivered', 'read'))`).Scan(&leads, &sent); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "leads-per-s")
}

// unhurried is the configuration without limits on senders.
func unhurried(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../config")); err != nil {
		b.Fatal(err)
	}
	sites, err := filepath.Glob(filepath.Join(dir, "sites", "*.yaml"))
	if err != nil {
		b.Fatal(err)
	}
	sender := regexp.MustCompile(`(?m)^    from: .*$`)
	for _, file := range sites {
		text, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(file, sender.ReplaceAll(text, []byte("$0\n    per_second: 1000")), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

// BenchmarkWholeWay is one call at a time, from the request to the match and
// to the first request at a vendor.
func BenchmarkWholeWay(b *testing.B) {
	s := start(b, settings(b))
	var match, vendor []time.Duration
	for b.Loop() {
		begun := time.Now()
		id := s.accept(b, site1, call(nil))
		await.Until(b, func() bool {
			var matched, sent time.Time
			for _, e := range s.events(b, "ch", id) {
				switch {
				case e.Lead.Event == subjects.Matched:
					matched = e.At
				case e.Lead.Event == subjects.MessageSent && (sent.IsZero() || e.Body.(*event.Attempted).Sent.At.Before(sent)):
					sent = e.Body.(*event.Attempted).Sent.At
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

func operatorKey(b testing.TB, data, market string) nats.Option {
	b.Helper()
	o, err := nats.NkeyOptionFromSeed(data + "/nats/" + market + "-operator.nk")
	if err != nil {
		b.Fatal(err)
	}
	return o
}
