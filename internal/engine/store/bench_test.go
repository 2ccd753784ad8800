package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"leadbus/internal/engine/localpg"
	"leadbus/internal/engine/localpg/pgtest"
	"leadbus/internal/engine/store"
	"leadbus/internal/event"
)

const benchBatch = 256

// BenchmarkRecord writes whole leads (eleven events each) in batches of 256 to
// a cluster that syncs every commit, with the events of one or many leads mixed.
// The ceiling is the same rows written by the same statements with their values
// prepared, as pgbench runs a script: nothing decoded, read or worked out, and
// no row security.
func BenchmarkRecord(b *testing.B) {
	c, err := localpg.Start(b.Context(), localpg.Options{Dir: pgtest.Dir(b), Log: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Stop() })
	db := pgtest.Open(b, c.URL())
	if err := db.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, writers := range []int{1, 4} {
		b.Run(fmt.Sprintf("ceiling/writers=%d", writers), func(b *testing.B) { benchCeiling(b, c.URL(), writers) })
		for _, open := range []int{1, 64, 1024} {
			b.Run(fmt.Sprintf("leads-at-once=%d/writers=%d", open, writers), func(b *testing.B) {
				benchRecord(b, c.URL(), open, writers)
			})
		}
	}
}

func benchRecord(b *testing.B, url string, leads, writers int) {
	db := pgtest.Open(b, url)
	share(b, url, writers, db.Close, func(w int) func() error {
		batches := benchBatches(fmt.Sprintf("%s-%d-%d", strings.ToLower(strings.NewReplacer("/", "-", "=", "-").Replace(b.Name())), b.N, w), leads, b.N/writers+1)
		return func() error {
			batch := batches[0]
			batches = batches[1:]
			return db.Record(context.Background(), "ch", batch)
		}
	})
}

// share lets writers work b.N batches off between them, each with its own. What
// a connection has written Postgres counts at the latest when it is closed.
func share(b *testing.B, url string, writers int, close func(), make func(w int) func() error) {
	work := []func() error{}
	for w := range writers {
		work = append(work, make(w))
	}
	before := rowsWritten(b, url)
	b.ResetTimer()
	var wg sync.WaitGroup
	for _, step := range work {
		wg.Go(func() {
			for range b.N/writers + 1 {
				if err := step(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	close()
	done := float64((b.N/writers + 1) * writers * benchBatch)
	b.ReportMetric((rowsWritten(b, url)-before)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(done/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(0, "ns/op")
}

// rowsWritten is Postgres' own count, once it stands still: its processes report
// with a delay.
func rowsWritten(b *testing.B, url string) float64 {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close(b.Context()) }()
	end := time.Now().Add(time.Minute)
	for last, same := -1.0, 0; ; {
		var n float64
		if err := conn.QueryRow(b.Context(), "select tup_inserted + tup_updated from pg_stat_database where datname = current_database()").Scan(&n); err != nil {
			b.Fatal(err)
		}
		if same++; n != last {
			last, same = n, 0
		}
		if same == 15 {
			return n
		}
		if time.Now().After(end) {
			b.Fatalf("Postgres still counts, %v by now", n)
		}
		<-time.After(100 * time.Millisecond)
	}
}

// benchBatches are batches of events of which those of open leads come mixed.
func benchBatches(name string, open, n int) [][]event.Event {
	var batches [][]event.Event
	var all []event.Event
	raw := `{"customer_name":"Marta Salas","issue_summary":"` + strings.Repeat("l'évier fuit ", 20) + `"}`
	s := stream{market: "ch"}
	for lead := 0; len(batches) < n; {
		from := len(s.events)
		for range open {
			s.whole(fmt.Sprintf("%s-%d", name, lead), raw)
			lead++
		}
		group := slices.Clone(s.events[from:])
		each := len(group) / open
		for i := range each {
			for l := range open {
				e := group[l*each+i]
				e.Seq = uint64(from + i*open + l + 1)
				e.Wire, _ = event.Encode(e)
				all = append(all, e)
			}
		}
		for len(all) >= benchBatch && len(batches) < n {
			batches = append(batches, all[:benchBatch:benchBatch])
			all = all[benchBatch:]
		}
	}
	return batches
}

func benchCeiling(b *testing.B, url string, writers int) {
	pool, err := pgxpool.New(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	share(b, url, writers, pool.Close, func(w int) func() error {
		prepared, err := store.Prepared("ch", benchBatches(fmt.Sprintf("bare-%d-%d-%d", writers, b.N, w), 64, b.N/writers+1))
		if err != nil {
			b.Fatal(err)
		}
		return func() error {
			q := prepared[0]
			prepared = prepared[1:]
			return pool.SendBatch(context.Background(), q).Close()
		}
	})
}
