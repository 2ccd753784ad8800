package send

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// Forecast is what a replay of stored events would do. By design it repeats
// nothing that was done: it says what was not done yet.
type Forecast struct {
	Events int            `json:"events"`
	Kinds  map[string]int `json:"kinds"`
	Leads  int            `json:"leads"`
	// Undecided leads have calls and no outcome: the matcher decides them.
	Undecided int `json:"undecided"`
	// Messages by what the ledger says of them. Suppressed ones are not sent
	// again; a doubtful one is looked for at the vendor first; an unsent one
	// goes out, unless it is too old: it goes to the DLQ, or fails.
	Suppressed int `json:"suppressed"`
	Doubtful   int `json:"doubtful"`
	Unsent     int `json:"unsent"`
	TooOld     int `json:"too_old"`
}

// Past holds a market's events.
type Past interface {
	event.Reader
	History(ctx context.Context, filter subjects.Lead, from time.Time, f func(event.Event) error) error
}

// NewForecast reads the events of a filter since a time, and the ledger, and tells
// what a replay of them onto every role would do. It changes nothing.
func NewForecast(ctx context.Context, c Past, ledger event.Bucket, filter subjects.Lead, since, now time.Time) (Forecast, error) {
	f := Forecast{Kinds: map[string]int{}}
	leads := map[string]story.Record{}
	err := c.History(ctx, filter, since, func(e event.Event) error {
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
			until := b.Message.Until
			if until.IsZero() {
				until = e.Stored.Add(stale)
			}
			return f.count(entry.Value, now.After(until))
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

// count counts a message by what the ledger says of it (nil: nothing).
func (f *Forecast) count(value []byte, tooOld bool) error {
	var e entry
	if value != nil {
		if err := json.Unmarshal(value, &e); err != nil {
			return fmt.Errorf("read ledger: %w", err)
		}
	}
	switch {
	case e.State == sent || e.State == failed || e.Searches >= len(searches):
		f.Suppressed++
	case e.State == claimed || e.State == doubtful:
		f.Doubtful++
	case tooOld:
		f.TooOld++
	default:
		f.Unsent++
	}
	return nil
}
