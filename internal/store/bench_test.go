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

	"leadbus/internal/event"
	"leadbus/internal/localpg"
	"leadbus/internal/localpg/pgtest"
)

const benchBatch = 256

// BenchmarkRecord writes whole leads (eleven events each) in batches of 256 to
// a cluster that syncs every commit, with the events of one or many leads mixed.
// The ceiling is the same events in the same two tables and batches, without
// the rows that follow from them and without row security: the least that
// Postgres has to do.
func BenchmarkRecord(b *testing.B) {
	c, err := localpg.Start(b.Context(), localpg.Options{Dir: pgtest.Dir(b), Log: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Stop() })
	db := open(b, c.URL())
	if err := db.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, writers := range []int{1, 3} {
		b.Run(fmt.Sprintf("ceiling/writers=%d", writers), func(b *testing.B) { benchCeiling(b, c.URL(), writers) })
		for _, open := range []int{1, 64, 1024} {
			b.Run(fmt.Sprintf("leads-at-once=%d/writers=%d", open, writers), func(b *testing.B) {
				benchRecord(b, db, c.URL(), open, writers)
			})
		}
	}
}

func benchRecord(b *testing.B, db interface {
	Record(context.Context, string, []event.Event) error
}, url string, open, writers int,
) {
	share(b, url, writers, func(w int) func() error {
		batches := benchBatches(fmt.Sprintf("%s-%d-%d", strings.ToLower(strings.NewReplacer("/", "-", "=", "-").Replace(b.Name())), b.N, w), open, b.N/writers+1)
		return func() error {
			batch := batches[0]
			batches = batches[1:]
			return db.Record(context.Background(), "ch", batch)
		}
	})
}

// share lets writers work b.N batches off between them, each with its own.
func share(b *testing.B, url string, writers int, make func(w int) func() error) {
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
	defer pool.Close()
	for _, sql := range []string{
		"create table if not exists bare_event (like leadbus.event including all)",
		"create table if not exists bare_body (like leadbus.event_body including all)",
	} {
		if _, err := pool.Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
	share(b, url, writers, func(w int) func() error {
		batches := benchBatches(fmt.Sprintf("bare-%d-%d", b.N, w), 64, b.N/writers+1)
		return func() error {
			var ids, leads, kinds, bodies []string
			var seqs []int64
			for _, e := range batches[0] {
				body, err := event.Encode(e)
				if err != nil {
					return err
				}
				ids, leads, kinds = append(ids, e.ID), append(leads, e.Lead.Lead), append(kinds, e.Lead.Event)
				seqs, bodies = append(seqs, int64(e.Seq)), append(bodies, string(body))
			}
			batches = batches[1:]
			_, err := pool.Exec(context.Background(), `with e as (
				insert into bare_event select 'ch', u.*, now() from unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) as u on conflict do nothing)
				insert into bare_body select 'ch', u.lead, u.id, u.seq, u.body::json from unnest($1::text[], $2::text[], $3::bigint[], $5::text[]) as u (lead, id, seq, body) on conflict do nothing`,
				leads, ids, seqs, kinds, bodies)
			return err
		}
	})
}
