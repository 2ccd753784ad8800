package app

import (
	"context"
	"errors"
	"time"

	"leadbus/internal/engine/bus"
	"leadbus/internal/event"
	"leadbus/internal/role/notifier/send"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// Foreseen is what a replay of stored events would do. By design it repeats
// nothing that was done: it says what was not done yet.
type Foreseen struct {
	Events int            `json:"events"`
	Kinds  map[string]int `json:"kinds"`
	Leads  int            `json:"leads"`
	// Undecided leads have calls and no outcome: the matcher decides them.
	Undecided int `json:"undecided"`
	// Messages by what the ledger says of them. Suppressed ones are not sent
	// again; a doubtful one is looked for at the vendor first; an unsent one
	// goes out, unless it is so old that it goes to the DLQ.
	Suppressed int `json:"suppressed"`
	Doubtful   int `json:"doubtful"`
	Unsent     int `json:"unsent"`
	TooOld     int `json:"too_old"`
}

// Foresee reads the events of a filter since a time, and the ledger, and tells
// what a replay of them onto every role would do. It changes nothing.
func Foresee(ctx context.Context, c *bus.Conn, filter subjects.Lead, since, now time.Time) (Foreseen, error) {
	f := Foreseen{Kinds: map[string]int{}}
	ledger, err := c.Bucket(ctx, subjects.BucketLedger)
	if err != nil {
		return f, err
	}
	leads := map[string]story.Record{}
	err = c.History(ctx, filter, since, func(e event.Event) error {
		f.Events++
		f.Kinds[e.Lead.Event]++
		switch b := e.Body.(type) {
		case *event.Received, *event.Decided:
			r := leads[e.Lead.Lead]
			r.Apply(e)
			leads[e.Lead.Lead] = r
		case *event.Queued:
			entry, err := ledger.Get(ctx, b.Message.ID)
			if err != nil && !errors.Is(err, event.ErrNotFound) {
				return err
			}
			switch stale, err := send.Foresee(entry.Value, now.Sub(e.Stored)); {
			case err != nil:
				return err
			case stale == send.WillSend:
				f.Unsent++
			case stale == send.WillLook:
				f.Doubtful++
			case stale == send.TooOld:
				f.TooOld++
			default:
				f.Suppressed++
			}
		}
		return nil
	})
	f.Leads = len(leads)
	for id, r := range leads {
		if r.Decision != nil {
			continue
		}
		// Its outcome may lie outside the filter.
		all, err := c.Events(ctx, subjects.Lead{Market: filter.Market, Site: filter.Site, Lead: id})
		if err != nil {
			return f, err
		}
		if r = story.Of(all); r.Decision == nil {
			f.Undecided++
		}
	}
	return f, err
}
