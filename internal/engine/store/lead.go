package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"leadbus/internal/event"
	"leadbus/internal/story"
)

// Lead is all that Postgres has of a lead.
type Lead struct {
	Market string `json:"market"`
	story.Lead
	Person   story.Person  `json:"person"`
	Offers   []story.Offer `json:"offers"`
	Messages []Message     `json:"messages"`
	Events   []Event       `json:"events"`
}

// Message is one message of a lead, with what it said.
type Message = story.Message

// Event is one event of a lead as it stands in Postgres, without its body.
type Event struct {
	Seq  int64     `json:"seq"` // stream sequence
	ID   string    `json:"id"`
	Kind string    `json:"kind"`
	At   time.Time `json:"at"`
}

// Lead reads a lead by its id, or the newest one with that reference
// ("482 913"); a test lead only when there is no other. With an empty market all markets are searched, which needs a
// login that bypasses row security, as the local cluster's and Supabase's
// postgres do. The error is event.ErrNotFound when there is none.
func (s *Store) Lead(ctx context.Context, market, idOrRef string) (Lead, error) {
	var l Lead
	err := s.within(ctx, func(conn *pgx.Conn) error {
		q := &pgx.Batch{}
		if market == "" {
			q.Queue("begin")
		} else {
			become(q, market)
		}
		var id string
		q.Queue(`select market, id from leadbus.lead
			where (id = $1 or ref = $1) and ($2 = '' or market = $2)
			order by id = $1 desc, 'test' = any(flags), received_at desc limit 1`, idOrRef, market).QueryRow(func(row pgx.Row) error {
			return row.Scan(&l.Market, &id)
		})
		if err := conn.SendBatch(ctx, q).Close(); err != nil {
			return err
		}
		return l.read(ctx, conn, id)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = event.ErrNotFound
	}
	if err != nil {
		return Lead{}, fmt.Errorf("read lead: %w", err)
	}
	return l, nil
}

func (l *Lead) read(ctx context.Context, conn *pgx.Conn, id string) error {
	q := &pgx.Batch{}
	records := map[string]*story.Record{id: {}}
	said := map[string]*story.Content{}
	ids := []string{id}
	leads.read(q, leads.find, l.Market, ids, func(row story.Lead) { l.Lead = row })
	readParts(q, l.Market, ids, records)
	contents.read(q, contents.find, l.Market, ids, func(c story.Content) { said[c.Message] = &c })
	q.Queue("select seq, id, kind, at from leadbus.event where market = $1 and lead = $2 order by seq", l.Market, id).
		Query(func(rows pgx.Rows) (err error) {
			l.Events, err = pgx.CollectRows(rows, pgx.RowToStructByName[Event])
			return err
		})
	q.Queue("commit")
	if err := conn.SendBatch(ctx, q).Close(); err != nil {
		return err
	}
	r := records[id]
	l.Person, l.Offers, l.Messages = r.Person, r.Offers, r.Messages
	slices.SortFunc(l.Messages, func(a, b Message) int { return cmp.Or(a.QueuedAt.Compare(b.QueuedAt), cmp.Compare(a.ID, b.ID)) })
	slices.SortFunc(l.Offers, func(a, b story.Offer) int { return a.OfferedAt.Compare(b.OfferedAt) })
	for i := range l.Messages {
		l.Messages[i].Content = said[l.Messages[i].ID]
	}
	return nil
}
