package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	lookEvery = time.Second // at the roster's version
	lookTime  = 10 * time.Second
)

// SyncRoster copies the roster from Postgres to the bucket at once and after
// every change, within about a second, until ctx ends. An error on either side
// changes nothing and is tried again; a database that has never had a roster of
// the market does not empty the bucket.
func (r *Recorder) SyncRoster(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var copied int64
	failing := false
	for {
		version, err := r.look(ctx, copied)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !failing:
			r.Log.Warn().Err(err).Msg("the roster is not copied for now")
		case err == nil && failing:
			r.Log.Info().Msg("the roster is copied again")
		}
		failing = err != nil
		if err == nil {
			copied = version
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// look copies the roster unless its version has been copied already.
func (r *Recorder) look(ctx context.Context, copied int64) (version int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	// The version is read first: a change in between is copied twice, never
	// missed.
	if version, err = r.Store.RosterVersion(ctx, r.Market); err != nil || version == copied {
		return version, err
	}
	return version, r.copyRoster(ctx)
}

func (r *Recorder) copyRoster(ctx context.Context) error {
	providers, err := r.Store.Roster(ctx, r.Market)
	if err != nil {
		return err
	}
	entries, err := r.Roster.All(ctx)
	if err != nil {
		return fmt.Errorf("read the roster bucket: %w", err)
	}
	there := make(map[string][]byte, len(entries))
	for _, e := range entries {
		there[e.Key] = e.Value
	}
	var put, deleted int
	var errs []error
	for _, p := range providers {
		value, err := json.Marshal(p)
		if err != nil {
			return fmt.Errorf("provider %s: %w", p.ID, err)
		}
		old, ok := there[p.ID]
		delete(there, p.ID)
		if ok && bytes.Equal(old, value) {
			continue
		}
		put++
		_, err = r.Roster.Put(ctx, p.ID, value)
		errs = append(errs, err)
	}
	for id := range there {
		deleted++
		errs = append(errs, r.Roster.Delete(ctx, id))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("copy roster: %w", err)
	}
	r.Log.Info().Int("providers", len(providers)).Int("changed", put).Int("removed", deleted).Msg("roster copied")
	return nil
}
