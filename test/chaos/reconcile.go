package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"leadbus/internal/app"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/subjects"
)

// row is a lead as it stands in Postgres.
type row struct {
	Market, ID, Status, Address, Offer, Of string
	Accepted                               int // offers
}

// message is a message as it stands in Postgres, with what the vendors have
// of it.
type message struct {
	Market, Lead, ID, Purpose, Recipient, Channel, State string
	PossibleDouble                                       bool   `db:"possible_double"`
	ErrorClass                                           string `db:"error_class"`

	took []taken
}

// name is a message as people say it.
func (m *message) name() string {
	return fmt.Sprintf("%s to %s by %s (%s)", m.Purpose, m.Recipient, m.Channel, m.ID)
}

// alert reports whether a message is one that its recipient may get twice, when
// the second one is marked: what a provider or the owner must not miss.
func (m *message) alert() bool { return m.Recipient != lead.ToCustomer }

// taken is a message as a vendor has it.
type taken struct {
	ID        string            `json:"id"`
	IDs       map[string]string `json:"ids"`
	CreatedAt time.Time         `json:"created_at"`
}

// verdict is what became of everything, seen from outside.
type verdict struct {
	broken  []string       // what must not be
	waiting []string       // what may still come right
	leads   map[string]int // by status
	doubled int            // messages the vendors have more than once, marked so
	marked  int            // messages whose second sending is marked
	unknown []string       // not at the vendors, recorded as doubtful, and the owner was told
	copies  []string       // the same of the owner's own copies
	settled time.Duration  // the slowest lead, from its 200 to its last message
	slowest string         // that lead
	guilty  map[string]bool
	twin    map[string]string // lead → the other one of the same customer for the same job
	has     map[string]string // lead → its offer
}

// answered compares what providers read with who has the leads.
func (v *verdict) answered(p *providers) {
	for _, id := range p.twice {
		v.wrong(id, "two providers read that it is theirs")
	}
	for id, offer := range p.owns {
		if v.has[id] != offer {
			v.wrong(id, "offer %s was told that it is theirs, and %s has it", offer, v.has[id])
		}
	}
}

// doubtful counts messages that keep their event open until the last look.
func (v *verdict) doubtful() int { return len(v.unknown) + len(v.copies) }

func (v *verdict) wrong(lead, format string, args ...any) {
	v.broken = append(v.broken, "lead "+lead+": "+fmt.Sprintf(format, args...))
	v.guilty[lead] = true
}

func (v *verdict) wait(lead, format string, args ...any) {
	v.waiting = append(v.waiting, "lead "+lead+": "+fmt.Sprintf(format, args...))
	v.guilty[lead] = true
}

// expected are the messages of each outcome, by recipient, purpose and channel.
// The owner's belong to the alarm about the lead.
var expected = map[string][]string{
	string(lead.Accepted):  {"provider accepted sms", "provider accepted email", "customer confirmation sms", "owner copy email", "owner copy-accepted email"},
	string(lead.Duplicate): {},
	"told": {
		"provider offer whatsapp", "provider offer sms", "provider offer email",
		"customer confirmation sms", "owner copy email",
	},
	string(lead.NeedsReview): {"owner alarm-raised-1 email", "owner alarm-raised-1 sms"},
	string(lead.Unserved):    {"customer unserved sms"}, // and an alarm, which may be about other leads, too
}

// firstLook is when a notifier has asked a vendor for a message of unknown
// outcome and decided whether it goes again.
const firstLook = 60 * time.Second

// lastRepeat is when what may go again has gone as often as it does.
const lastRepeat = 4 * time.Minute

// judge compares what was answered with what is in Postgres and at the vendors.
// Calm is how long there have been no faults.
func judge(ctx context.Context, w *world, c *client, calm time.Duration) (*verdict, error) {
	rows, messages, err := recorded(ctx, w.database)
	if err != nil {
		return nil, err
	}
	alarms, err := raised(ctx, w)
	if err != nil {
		return nil, err
	}
	var vendors []taken
	if err := get(w.sandbox+"/api/messages?brief", &vendors); err != nil {
		return nil, err
	}
	for id, l := range c.leads {
		if rows[id].ID == "" && rows[l.instead].ID != "" {
			delete(c.leads, id)
			c.leads[l.instead] = l
		}
	}
	v := &verdict{leads: map[string]int{}, guilty: map[string]bool{}, twin: map[string]string{}, has: map[string]string{}}
	for _, t := range vendors {
		m := messages[t.IDs["message"]]
		switch {
		case rows[t.IDs["lead"]].Status == string(lead.None): // an alarm
			if m != nil {
				m.took = append(m.took, t)
			}
		case c.leads[t.IDs["lead"]] == nil:
			v.wrong(t.IDs["lead"], "the vendors have %s of a lead that nobody called in", t.ID)
		case m == nil:
			v.wait(t.IDs["lead"], "the vendors have %s, and Postgres does not know the message", t.ID)
		default:
			m.took = append(m.took, t)
		}
	}
	byLead := map[string][]*message{}
	for _, m := range messages {
		byLead[m.Lead] = append(byLead[m.Lead], m)
		if rows[m.Lead].Status != string(lead.None) {
			v.message(m)
		}
	}
	// Of which leads the owner was told that they are at risk, and the messages
	// of the alarm about each.
	alarmed := map[string]bool{}
	for _, a := range alarms {
		if slices.ContainsFunc(byLead[a.ID], func(m *message) bool { return len(m.took) > 0 }) {
			for _, id := range a.Leads {
				alarmed[id] = true
			}
		}
		if alarm.OfLead(a.Cause) {
			byLead[a.About] = append(byLead[a.About], byLead[a.ID]...)
		}
	}
	for id, r := range rows {
		if c.leads[id] == nil && r.Status != string(lead.None) {
			v.wrong(id, "is in Postgres and nobody called it in")
		}
	}
	for id, l := range c.leads {
		if l.repeats == "" || l.accepted.IsZero() || c.leads[l.repeats] == nil || c.leads[l.repeats].accepted.IsZero() {
			continue
		}
		v.twin[id], v.twin[l.repeats] = l.repeats, id
		one, other := rows[id], rows[l.repeats]
		duplicate := string(lead.Duplicate)
		open := func(r row) bool { return r.Status != duplicate && r.Status != string(lead.Unserved) && r.Status != "" }
		if one.Status == duplicate && one.Of != l.repeats || other.Status == duplicate && other.Of != id || one.Status == duplicate && other.Status == duplicate {
			v.wrong(id, "is %s of %q, and the other one is %s of %q", one.Status, one.Of, other.Status, other.Of)
		} else if open(one) && open(other) && one.Status != string(lead.Pending) && other.Status != string(lead.Pending) {
			v.wrong(id, "and %s are two leads of the same customer for the same job", l.repeats)
		}
	}
	for id, l := range c.leads {
		v.lead(id, l, rows[id], byLead[id], alarmed[id], calm)
	}
	return v, nil
}

// message judges one message by itself.
func (v *verdict) message(m *message) {
	state := lead.MessageState(m.State)
	if m.PossibleDouble {
		v.marked++
	}
	switch n := len(m.took); {
	case n > 1 && m.PossibleDouble && m.alert():
		v.doubled++
	case n > 1:
		v.wrong(m.Lead, "%s is at the vendors %d times, possible double %v", m.name(), n, m.PossibleDouble)
	case n == 1 && (state == lead.MessageQueued || state == lead.MessageDoubtful):
		v.wait(m.Lead, "%s is at the vendors and recorded as %s", m.name(), state)
	case n == 0 && m.ErrorClass == string(lead.Superseded):
	case n == 0 && state != lead.MessageQueued && state != lead.MessageDoubtful:
		v.wrong(m.Lead, "%s is recorded as %s and not at the vendors", m.name(), state)
	}
}

// lead judges one lead with all its messages.
func (v *verdict) lead(id string, l *heard, r row, messages []*message, alarmed bool, calm time.Duration) {
	if r.ID == "" {
		if !l.accepted.IsZero() {
			v.wait(id, "was answered 200 and is not in Postgres")
		}
		return // never answered 200: it may be there or not
	}
	v.leads[r.Status]++
	if l.says != "" && l.says != "?" && !l.open && l.says != r.Address {
		v.wait(id, "is at %q, and the caller said %q last", r.Address, l.says)
	}
	want := r.Status
	if notified := want == string(lead.Matched) || want == string(lead.Notified); notified && offered[l.domain] != "" {
		v.wait(id, "is %s, and an offer is open", r.Status)
	} else if notified {
		want = "told"
	}
	if expected[want] == nil {
		v.wait(id, "is %s", r.Status)
	}
	if want == string(lead.Unserved) && !alarmed {
		v.wait(id, "is unserved, and the owner was not called")
	}
	switch {
	case l.review || want == "told" || want == string(lead.Pending):
	case want == string(lead.Accepted) && offered[l.domain] != "":
	case want == string(lead.Unserved) && (offered[l.domain] != "" || short[l.domain]):
	case want == string(lead.Duplicate) && v.twin[id] != "":
	case offered[l.domain] == "" || want != string(lead.Matched) && want != string(lead.Notified):
		v.wrong(id, "is %s, though somebody can take it", r.Status)
	}
	if (r.Status == string(lead.Accepted)) != (r.Accepted == 1) || r.Accepted > 1 {
		v.wrong(id, "is %s, and %d providers have accepted it", r.Status, r.Accepted)
	}
	v.has[id] = r.Offer
	there := map[string]*message{}
	told := time.Time{}
	for _, m := range messages {
		there[m.Recipient+" "+m.Purpose+" "+m.Channel] = m
	}
	for _, name := range expected[want] {
		if m := there[name]; m == nil {
			v.wait(id, "is %s, and there is no message %q", r.Status, name)
		} else if len(m.took) > 0 && m.took[0].CreatedAt.After(told) {
			told = m.took[0].CreatedAt
		}
	}
	for _, m := range messages {
		stays := m.State == string(lead.MessageDoubtful) && calm > firstLook && (!m.alert() || calm > lastRepeat)
		switch {
		case len(m.took) > 0:
		case stays && m.Recipient == lead.ToOwner:
			v.copies = append(v.copies, "lead "+id+": "+m.name())
		case stays && alarmed:
			v.unknown = append(v.unknown, "lead "+id+": "+m.name())
		case m.State == string(lead.MessageQueued), m.State == string(lead.MessageDoubtful):
			v.wait(id, "%s is %s and not at the vendors", m.name(), m.State)
		}
	}
	if took := told.Sub(l.accepted); !l.accepted.IsZero() && !told.IsZero() && took > v.settled {
		v.settled, v.slowest = took, id
	}
}

// raised are the alarms of every market as they stand.
func raised(ctx context.Context, w *world) (all []alarm.State, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for _, market := range w.markets {
		c, err := app.Operator(ctx, app.Settings{NATSURL: strings.Join(w.brokers, ","), NATSKeys: w.path("keys")}, market, zerolog.Nop())
		if err != nil {
			return nil, err
		}
		defer c.Close()
		bucket, err := c.Bucket(ctx, subjects.BucketWatch)
		if err != nil {
			return nil, err
		}
		entries, err := bucket.All(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			var st alarm.State
			if strings.HasPrefix(e.Key, "alarm-") && json.Unmarshal(e.Value, &st) == nil {
				all = append(all, st)
			}
		}
	}
	return all, nil
}

// recorded reads leads and messages, by id.
func recorded(ctx context.Context, database string) (map[string]row, map[string]*message, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	found, _ := conn.Query(ctx, `select l.market, l.id, l.status, coalesce(p.address, '') as address, l.offer_id as offer, l.duplicate_of as of,
		(select count(*) from leadbus.offer o where o.market = l.market and o.lead = l.id and o.state = 'accepted') as accepted
		from leadbus.lead l left join leadbus.lead_person p on p.market = l.market and p.lead = l.id`)
	leads, err := pgx.CollectRows(found, pgx.RowToStructByName[row]) // tells the query's error too
	if err != nil {
		return nil, nil, err
	}
	found, _ = conn.Query(ctx, "select market, lead, id, purpose, recipient, channel, state, possible_double, error_class from leadbus.message")
	told, err := pgx.CollectRows(found, pgx.RowToAddrOfStructByNameLax[message])
	if err != nil {
		return nil, nil, err
	}
	rows, messages := map[string]row{}, map[string]*message{}
	for _, l := range leads {
		rows[l.ID] = l
	}
	for _, m := range told {
		messages[m.ID] = m
	}
	return rows, messages, nil
}

// backlog is what stands in the streams: events that a role has not settled,
// by role and market; pointers to those that were given up and providers, by
// market.
type backlog struct {
	open, dead, roster map[string]int
}

// backlog asks every node; no follower says less than its leader.
func (w *world) backlog() (backlog, error) {
	b := backlog{map[string]int{}, map[string]int{}, map[string]int{}}
	for _, monitor := range w.monitors {
		if err := w.streams(monitor, func(market string, s stream) {
			switch s.Name {
			case "DLQ":
				b.dead[market] = max(b.dead[market], s.State.Messages)
			case "KV_roster":
				b.roster[market] = max(b.roster[market], s.State.Messages)
			case "LEADS":
				for _, c := range s.Consumers {
					if slices.Contains(subjects.RoleNames(), c.Name) { // others read the past
						b.open[c.Name+"-"+market] = max(b.open[c.Name+"-"+market], c.Pending+c.AckPending)
					}
				}
			}
		}); err != nil {
			return b, err
		}
	}
	return b, nil
}

// stream is one of a market's streams as a node's monitoring shows it.
type stream struct {
	Name  string `json:"name"`
	State struct {
		Messages int `json:"messages"`
	} `json:"state"`
	Cluster struct {
		Leader string `json:"leader"`
	} `json:"cluster"`
	Consumers []struct {
		Name       string `json:"name"`
		Pending    int    `json:"num_pending"`
		AckPending int    `json:"num_ack_pending"`
	} `json:"consumer_detail"`
}

// streams hands over the streams of the markets that a node knows.
func (w *world) streams(monitor string, take func(market string, s stream)) error {
	var answer struct {
		Accounts []struct {
			Name    string   `json:"name"`
			Streams []stream `json:"stream_detail"`
		} `json:"account_details"`
	}
	if err := get(monitor+"/jsz?accounts=true&streams=true&consumers=true", &answer); err != nil {
		return err
	}
	for _, a := range answer.Accounts {
		if market := strings.TrimPrefix(a.Name, "M_"); slices.Contains(w.markets, market) {
			for _, s := range a.Streams {
				take(market, s)
			}
		}
	}
	return nil
}

// total counts events that are not settled.
func (b backlog) total() int {
	n := 0
	for _, open := range b.open {
		n += open
	}
	return n
}

// settle waits until everything has come right or bound is over; then what is
// still waiting is broken. A market that has gone quiet is looked at once more,
// so that a late double shows.
func settle(ctx context.Context, w *world, c *client, bound time.Duration) (v *verdict, took time.Duration) {
	begun := time.Now()
	quiet, judging := 0, time.Duration(0)
	for quiet < 3 {
		if time.Since(begun) > bound || !sleep(ctx, max(time.Second, 2*judging)) {
			break
		}
		asked := time.Now()
		now, err := judge(ctx, w, c, time.Since(begun))
		if err != nil {
			quiet = 0
			continue
		}
		judging = time.Since(asked)
		v = now
		open, err := w.backlog()
		if err != nil || len(v.waiting) > 0 || open.total() > v.doubtful() {
			quiet = 0
			continue
		}
		if quiet++; quiet == 1 {
			took = time.Since(begun)
		}
	}
	if v == nil {
		return &verdict{broken: []string{"Postgres or the sandbox did not answer"}, guilty: map[string]bool{}}, time.Since(begun)
	}
	if quiet == 0 {
		took = time.Since(begun)
		v.broken = append(v.broken, v.waiting...)
	}
	open, err := w.backlog()
	if err != nil {
		v.broken = append(v.broken, "the broker does not say what is open: "+err.Error())
	}
	if n := open.total(); quiet == 0 && n > v.doubtful() {
		v.broken = append(v.broken, fmt.Sprintf("%d events are not settled: %v", n, open.open))
	}
	for market, n := range open.dead {
		if n > 0 {
			v.broken = append(v.broken, fmt.Sprintf("market %s has given up %d events", market, n))
		}
	}
	slices.Sort(v.broken)
	return v, took
}
