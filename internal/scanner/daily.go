package scanner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"leadbus/internal/alarm"
	"leadbus/internal/digest"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/subjects"
)

// digestEvery is how often it is asked whether a digest is due.
const digestEvery = time.Minute

// digest makes the digest of the day that ended last, once for each owner. It
// is made of an empty day too; of a day before there was anything it is not.
func (s *Scanner) digest(ctx context.Context) ([]alarm.Strike, error) {
	from, to := digest.Window(s.Now(), s.Catalog.Markets[s.Market].Location)
	due := map[subjects.Lead][]string{} // sites of an owner
	for owner, sites := range s.owners() {
		slices.Sort(sites)
		l := subjects.Lead{
			Market: s.Market, Site: sites[0], Event: subjects.DigestMade,
			Lead: lead.NewID(sites[0], "digest\x00"+to.Format(time.DateOnly)),
		}
		there, err := s.Stream.Events(ctx, l)
		if err != nil {
			return nil, err
		}
		if owner != "" && len(there) == 0 {
			due[l] = sites
		}
	}
	if len(due) == 0 {
		return nil, nil
	}
	if began, err := s.oldest(ctx); err != nil || began.IsZero() || !began.Before(to) {
		return nil, err
	}
	day := digest.NewDay()
	err := s.Stream.History(ctx, subjects.Lead{Market: s.Market}, from, func(e event.Event, at time.Time) error {
		if at.Before(to) {
			add(day, e)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the day: %w", err)
	}
	for l, sites := range due {
		d := day.Of(s.Market, from, to, sites)
		err := s.Stream.PublishFirst(ctx, event.Event{ID: l.Event + "-" + l.Lead, At: s.Now().UTC(), Lead: l, Body: &event.Digested{Digest: d}})
		if err != nil && !errors.Is(err, event.ErrConflict) {
			return nil, err
		}
		s.Log.Info().Str("site", l.Site).Time("day", from).Msg("digest made")
	}
	return nil, nil
}

// owners are the sites of each owner's address.
func (s *Scanner) owners() map[string][]string {
	out := map[string][]string{}
	for domain, st := range s.Catalog.Sites {
		if st.Market == s.Market {
			out[st.Owner.Email] = append(out[st.Owner.Email], domain)
		}
	}
	return out
}

// oldest is when the oldest event that the stream holds was stored; the zero
// time when it holds none.
func (s *Scanner) oldest(ctx context.Context) (time.Time, error) {
	enough := errors.New("enough")
	var first time.Time
	err := s.Stream.History(ctx, subjects.Lead{Market: s.Market}, time.Time{}, func(_ event.Event, at time.Time) error {
		first = at
		return enough
	})
	if errors.Is(err, enough) {
		err = nil
	}
	return first, err
}

// add counts an event in a day.
func add(day *digest.Day, e event.Event) {
	site, id := e.Lead.Site, e.Lead.Lead
	switch b := e.Body.(type) {
	case *event.Scanned:
		day.Call(site, id, b.Call, b.Scan)
	case *event.Received:
		day.Received(site, b.Lead, e.At)
	case *event.Decided:
		day.Decided(site, e.Lead.Event, b.Lead)
	case *event.Queued:
		day.Queued(site, id, b.Message)
	case *event.Told:
		if b.Sent != nil {
			day.Sent(site, id, b.Message, e.At)
		}
		if e.Lead.Event == subjects.MessageFailed {
			day.Reported(site, id, b.Message, lead.MessageFailed)
		}
	case *event.Reported:
		day.Reported(site, id, b.Receipt.Message, b.Receipt.State)
	case *event.Raised:
		if b.Alarm.Told == 1 {
			day.Alarm(b.Alarm.ID)
		}
	}
}
