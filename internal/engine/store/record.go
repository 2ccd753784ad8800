package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"leadbus/internal/event"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

var (
	leads    = newTable[story.Lead]("lead", "id")
	persons  = newTable[story.Person]("lead_person", "lead")
	offers   = newTable[story.Offer]("offer", "lead", "id")
	messages = newTable[story.Message]("message", "lead", "id")
	contents = newTable[story.Content]("message_content", "lead", "message")

	calls       = newTable[story.Call]("call", "lead")
	callPersons = newTable[story.CallPerson]("call_person", "lead")
	callTurns   = newTable[story.Turn]("call_turn", "lead", "n")
	callTools   = newTable[story.Tool]("call_tool", "lead", "n")
	callScans   = newTable[story.Scan]("call_scan", "lead")
	findings    = newTable[story.Finding]("finding", "lead", "n")
)

// Record writes events of one market and the rows that follow from them, in
// one transaction: all or nothing. Events may come in any order and again and
// again. Concurrent calls for the same lead wait for each other.
//
// A permanent error (see event.Outcome) means that one of the events can never
// be stored; which one, only smaller batches tell.
func (s *Store) Record(ctx context.Context, market string, events []event.Event) error {
	b, err := newBatch(market, events)
	if err != nil {
		return event.Permanent(err)
	}
	if len(b.events) == 0 {
		return nil
	}
	err = s.within(ctx, func(conn *pgx.Conn) error {
		if err := b.insert(ctx, conn); err != nil {
			return err
		}
		if err := b.reduce(ctx, conn); err != nil {
			return err
		}
		return b.write(ctx, conn)
	})
	if err != nil {
		return fmt.Errorf("record %d events: %w", len(b.events), err)
	}
	return nil
}

// batch is the work of one transaction.
type batch struct {
	market string
	events []event.Event // one for each id, in stream order
	bodies []string
	leads  []string // ids, sorted: the order in which rows are locked

	fresh   map[key]bool // events that were not there
	records map[string]*story.Record
	stored  map[string]story.Record // as records were in Postgres
	calls   story.Calls
	anew    map[string]subjects.Lead // leads with a straggler or with a report on their call, which are read back
}

// key is what makes two events the same fact.
type key struct{ lead, id string }

func keyOf(e event.Event) key { return key{e.Lead.Lead, e.ID} }

func newBatch(market string, events []event.Event) (*batch, error) {
	b := &batch{
		market: market, fresh: map[key]bool{}, records: map[string]*story.Record{}, stored: map[string]story.Record{},
		anew: map[string]subjects.Lead{},
	}
	b.events = slices.Clone(events)
	slices.SortStableFunc(b.events, func(a, b event.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	seen := map[key]bool{}
	b.events = slices.DeleteFunc(b.events, func(e event.Event) bool {
		again := seen[keyOf(e)]
		seen[keyOf(e)] = true
		return again
	})
	for _, e := range b.events {
		if e.Lead.Market != market {
			return nil, errors.New("the event is of another market")
		}
		body, err := e.Wire, error(nil)
		if body == nil {
			body, err = event.Encode(e)
		}
		if err != nil {
			return nil, err
		}
		b.bodies = append(b.bodies, clean(string(body)))
		if story.ReportOf(e) != nil {
			b.anew[e.Lead.Lead] = e.Lead
		}
		// A call or an alarm makes no lead's row.
		if b.records[e.Lead.Lead] == nil && !story.NoLead(e.Body) {
			b.records[e.Lead.Lead] = &story.Record{}
			b.leads = append(b.leads, e.Lead.Lead)
		}
	}
	slices.Sort(b.leads)
	return b, nil
}

const (
	// The lead's row is there before its lock is taken, so that two
	// recorders meet on it from its first event on. Rows are inserted and
	// locked in the order of their ids: no two calls wait for each other.
	insertStubs = `insert into leadbus.lead (market, id, site)
		select $1::text, u.id, u.site from unnest($2::text[], $3::text[]) as u (id, site)
		on conflict (market, id) do nothing`
	// A call may have no lead's row to meet on.
	lockCalls = `select pg_advisory_xact_lock(hashtextextended($1 || ' ' || u.id, 0)) from unnest($2::text[]) as u (id)`
	// An event published again after the stream forgot its id has two
	// places in the stream; the first one counts, whichever arrived first.
	insertEvents = `insert into leadbus.event as e (market, lead, id, seq, kind, at)
		select $1::text, u.* from unnest($2::text[], $3::text[], $4::bigint[], $5::text[], $6::timestamptz[]) as u
		on conflict (market, lead, id) do update set seq = excluded.seq, at = excluded.at where excluded.seq < e.seq
		returning lead, id`
	insertBodies = `insert into leadbus.event_body as b (market, lead, id, seq, body)
		select $1::text, u.lead, u.id, u.seq, u.body::json from unnest($2::text[], $3::text[], $4::bigint[], $5::text[]) as u (lead, id, seq, body)
		on conflict (market, lead, id) do update set seq = excluded.seq, body = excluded.body where excluded.seq < b.seq`
	selectEvents = `select t.* from unnest($2::text[]) as k (lead) cross join lateral (
			select e.lead, e.kind, e.seq, b.body::text
			from leadbus.event e join leadbus.event_body b using (market, lead, id)
			where e.market = $1 and e.lead = k.lead offset 0) as t`
)

// insert stores the events and reads the rows of their leads, in one round
// trip.
func (b *batch) insert(ctx context.Context, conn *pgx.Conn) error {
	var sites []string
	site := map[string]string{}
	for _, e := range b.events {
		site[e.Lead.Lead] = e.Lead.Site
	}
	for _, id := range b.leads {
		sites = append(sites, site[id])
	}
	q := &pgx.Batch{}
	become(q, b.market)
	q.Queue(insertStubs, b.market, b.leads, sites)
	if len(b.anew) > 0 {
		q.Queue(lockCalls, b.market, slices.Sorted(maps.Keys(b.anew)))
	}
	leads.read(q, leads.lock, b.market, b.leads, func(l story.Lead) { b.records[l.ID].Lead = l })
	b.queueEvents(q).Query(func(rows pgx.Rows) error {
		var k key
		_, err := pgx.ForEachRow(rows, []any{&k.lead, &k.id}, func() error { b.fresh[k] = true; return nil })
		return err
	})
	readParts(q, b.market, b.leads, b.records)
	return conn.SendBatch(ctx, q).Close()
}

// queueEvents queues the events with their bodies; the first statement answers
// which of them are new.
func (b *batch) queueEvents(q *pgx.Batch) *pgx.QueuedQuery {
	var ids, ofLead, kinds []string
	var seqs []int64
	var ats []time.Time
	for _, e := range b.events {
		ids, ofLead, kinds = append(ids, e.ID), append(ofLead, e.Lead.Lead), append(kinds, e.Lead.Event)
		seqs, ats = append(seqs, int64(e.Seq)), append(ats, e.At) //nolint:gosec // a stream is not that long
	}
	fresh := q.Queue(insertEvents, b.market, ofLead, ids, seqs, kinds, ats)
	q.Queue(insertBodies, b.market, ofLead, ids, seqs, b.bodies)
	return fresh
}

// readParts queues the reading of what belongs to leads into their records.
func readParts(q *pgx.Batch, market string, ids []string, records map[string]*story.Record) {
	persons.read(q, persons.find, market, ids, func(p story.Person) { records[p.Lead].Person = p })
	offers.read(q, offers.find, market, ids, func(o story.Offer) {
		r := records[o.Lead]
		r.Offers = append(r.Offers, o)
	})
	messages.read(q, messages.find, market, ids, func(m story.Message) {
		r := records[m.Lead]
		r.Messages = append(r.Messages, m)
	})
}

// reduce brings the records up to date. Events younger than all that a lead's
// rows rest on are applied to them; a lead with a straggler, or with an event that
// depends on more than the rows keep, is reduced anew from all its events.
func (b *batch) reduce(ctx context.Context, conn *pgx.Conn) error {
	straggling := map[string]bool{}
	for _, e := range b.events {
		if b.fresh[keyOf(e)] && !story.NoLead(e.Body) && (e.Seq <= b.records[e.Lead.Lead].Lead.LastSeq || story.Whole(e)) {
			straggling[e.Lead.Lead] = true
			b.anew[e.Lead.Lead] = e.Lead
		}
	}
	touched := map[string]bool{}
	for id, r := range b.records {
		b.stored[id] = story.Record{Person: r.Person, Offers: slices.Clone(r.Offers), Messages: slices.Clone(r.Messages)}
	}
	for _, e := range b.events {
		if b.fresh[keyOf(e)] && !story.NoLead(e.Body) {
			touched[e.Lead.Lead] = true
			if !straggling[e.Lead.Lead] {
				b.records[e.Lead.Lead].Apply(e)
			}
		}
	}
	b.leads = slices.DeleteFunc(b.leads, func(id string) bool { return !touched[id] })
	if len(b.anew) == 0 {
		return nil
	}
	rows, err := conn.Query(ctx, selectEvents, b.market, slices.Collect(maps.Keys(b.anew)))
	if err != nil {
		return err
	}
	all := map[string][]event.Event{}
	var id, kind, body string
	var seq uint64
	_, err = pgx.ForEachRow(rows, []any{&id, &kind, &seq, &body}, func() error {
		subject := b.anew[id]
		subject.Event = kind
		e, err := event.Decode(subject.String(), seq, []byte(body))
		if err != nil {
			return event.Permanent(fmt.Errorf("read event %d back: %w", seq, err))
		}
		all[id] = append(all[id], e)
		return nil
	})
	if err != nil {
		return err
	}
	for id, events := range all {
		slices.SortFunc(events, func(a, b event.Event) int { return cmp.Compare(a.Seq, b.Seq) })
		b.calls.Add(events)
		if straggling[id] {
			*b.records[id] = story.Of(events)
			delete(b.stored, id) // all of it is written
		}
	}
	return nil
}

// write stores the rows that changed, and commits.
func (b *batch) write(ctx context.Context, conn *pgx.Conn) error {
	q := &pgx.Batch{}
	if err := b.queueRows(q); err != nil {
		return event.Permanent(err)
	}
	q.Queue("commit")
	return conn.SendBatch(ctx, q).Close()
}

func (b *batch) queueRows(q *pgx.Batch) error {
	var l []*story.Lead
	var p []*story.Person
	var o []*story.Offer
	var m []*story.Message
	var c []*story.Content
	for _, id := range b.leads {
		r, stored := b.records[id], b.stored[id]
		l = append(l, &r.Lead)
		if r.Person != stored.Person {
			p = append(p, &r.Person)
		}
		for i := range r.Messages {
			if content := r.Messages[i].Content; content != nil {
				c = append(c, content)
				r.Messages[i].Content = nil
			}
		}
		o = append(o, changed(r.Offers, stored.Offers)...)
		m = append(m, changed(r.Messages, stored.Messages)...)
	}
	if len(b.anew) > 0 { // fewer rows may follow from the heavier report
		for _, t := range []string{"call_turn", "call_tool", "finding"} {
			q.Queue("delete from leadbus."+t+" where market = $1 and lead = any($2)", b.market, slices.Collect(maps.Keys(b.anew)))
		}
	}
	return errors.Join(
		leads.write(q, b.market, l), persons.write(q, b.market, p), offers.write(q, b.market, o),
		messages.write(q, b.market, m), contents.write(q, b.market, c),
		calls.write(q, b.market, b.calls.Calls), callPersons.write(q, b.market, b.calls.Persons), callTurns.write(q, b.market, b.calls.Turns),
		callTools.write(q, b.market, b.calls.Tools), callScans.write(q, b.market, b.calls.Scans), findings.write(q, b.market, b.calls.Findings),
	)
}

// changed are the rows that differ from those stored, which stand first and in
// the same order.
func changed[T comparable](rows, stored []T) (out []*T) {
	for i := range rows {
		if i >= len(stored) || rows[i] != stored[i] {
			out = append(out, &rows[i])
		}
	}
	return out
}
