package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/event/digest"
	"leadbus/internal/role/watch/daily"
	"leadbus/internal/subjects"
)

// digestEvery is how often it is asked whether a digest is due.
const digestEvery = time.Minute

// digest makes the digest of the day that ended last, once for each owner. It
// is made of an empty day too; of a day before there was anything it is not.
func (w *Watch) digest(ctx context.Context) ([]alarm.Occurrence, error) {
	from, to := digest.Window(w.Now(), w.Catalog.Markets[w.Market].Location)
	var due []daily.Owner
	for _, owner := range daily.Owners(w.Catalog, w.Market) {
		made := daily.Made(daily.New(w.Market, from, to).Of(owner.Sites), w.Now())
		there, err := w.Stream.Events(ctx, made.Lead)
		if err != nil {
			return nil, err
		}
		if len(there) == 0 {
			due = append(due, owner)
		}
	}
	if len(due) == 0 {
		return nil, nil
	}
	if oldest, err := w.oldest(ctx); err != nil || oldest.IsZero() || !oldest.Before(to) {
		return nil, err
	}
	day := daily.New(w.Market, from, to)
	err := w.Stream.History(ctx, subjects.Lead{Market: w.Market}, from.Add(-daily.Before), func(e event.Event) error {
		day.Add(e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the day: %w", err)
	}
	for _, owner := range due {
		made := daily.Made(day.Of(owner.Sites), w.Now())
		if err := w.Stream.PublishFirst(ctx, made); err != nil && !errors.Is(err, event.ErrConflict) {
			return nil, err
		}
		w.Log.Info().Str("site", made.Lead.Site).Time("day", from).Msg("digest made")
	}
	return nil, nil
}

// oldest is when the oldest event that the stream holds was stored; the zero
// time when it holds none.
func (w *Watch) oldest(ctx context.Context) (time.Time, error) {
	enough := errors.New("enough")
	var first time.Time
	err := w.Stream.History(ctx, subjects.Lead{Market: w.Market}, time.Time{}, func(e event.Event) error {
		first = e.Stored
		return enough
	})
	if errors.Is(err, enough) {
		err = nil
	}
	return first, err
}
