package store

import (
	"slices"

	"github.com/jackc/pgx/v5"

	"leadbus/internal/event"
	"leadbus/internal/story"
)

// Prepared are the statements that write what Record writes of batches that
// come in order, with their values: no row is read and nothing is worked out.
func Prepared(market string, batches [][]event.Event) ([]*pgx.Batch, error) {
	known := map[string]*story.Record{}
	var out []*pgx.Batch
	for _, events := range batches {
		b, err := newBatch(market, events)
		if err != nil {
			return nil, err
		}
		for _, e := range b.events {
			b.fresh[keyOf(e)] = true
		}
		for id, r := range known {
			if b.records[id] != nil {
				b.records[id] = &story.Record{Lead: r.Lead, Person: r.Person, Offers: slices.Clone(r.Offers), Messages: slices.Clone(r.Messages)}
			}
		}
		if err := b.reduce(nil, nil); err != nil { //nolint:staticcheck // nothing straggles, nothing is asked
			return nil, err
		}
		q := &pgx.Batch{}
		q.Queue("begin")
		b.queueEvents(q)
		if err := b.queueRows(q); err != nil {
			return nil, err
		}
		q.Queue("commit")
		for id, r := range b.records {
			known[id] = r
		}
		out = append(out, q)
	}
	return out, nil
}
