package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

const alarmPrefix = "alarm-"

// Raise counts occurrences and notifies the owner where that is due. An occurrence is
// counted before the owner is notified: occurrences that come at the same time agree
// first on the alarm that they begin.
func (w *Watch) Raise(ctx context.Context, occurrences ...alarm.Occurrence) error {
	for _, k := range occurrences {
		if w.Catalog.Sites[k.Site] == nil {
			k.Site = w.first
		}
		key := alarmPrefix + alarm.Key(k.Site, k.Cause, k.About)
		err := event.Change(ctx, w.Bucket, key, func(st alarm.State) (alarm.State, error) { return st.Add(k), nil })
		if err == nil {
			err = event.Change(ctx, w.Bucket, key, func(st alarm.State) (alarm.State, error) { return w.notify(ctx, st) })
		}
		if err != nil {
			return fmt.Errorf("raise %s: %w", k.Cause, err)
		}
	}
	return nil
}

// Slept raises that the machine slept.
func (w *Watch) Slept(ctx context.Context, host string, d time.Duration) {
	now := w.Now()
	err := w.Raise(ctx, alarm.Occurrence{
		Cause: alarm.HostSlept, About: host, ID: host + now.UTC().Format(time.RFC3339), At: now.Add(-d),
		Facts: []alarm.Fact{{Label: "host", Value: host}, {Label: "slept", Value: d.Round(time.Second).String()}},
	})
	if err != nil {
		w.Log.Error().Err(err).Msg("the owner could not be notified")
	}
}

// notify tells the owner if that is due. The notification is published before it is
// counted and carries its number: dying in between repeats the same event.
func (w *Watch) notify(ctx context.Context, st alarm.State) (alarm.State, error) {
	now := w.Now().UTC()
	if !st.Due(now) {
		return st, nil
	}
	st = st.Notify(now)
	w.Log.Warn().Str("cause", st.Cause).Str("site", st.Site).Str("alarm", st.ID).Int("times", st.Times).Int("notified", st.Notified).Msg("the owner is notified")
	return st, w.Stream.Publish(ctx, event.Event{
		ID: fmt.Sprintf("%s-%s-%d", subjects.AlarmRaised, st.ID, st.Notified), At: now,
		Lead: subjects.Lead{Market: w.Market, Site: st.Site, Event: subjects.AlarmRaised, Lead: st.ID},
		Body: &event.Raised{Alarm: st.Alarm},
	})
}

// Repeat notifies the owner again for what nobody has acknowledged and what has
// not come right by itself.
func (w *Watch) Repeat(ctx context.Context) ([]alarm.Occurrence, error) {
	return nil, w.eachAlarm(ctx, func(st alarm.State) bool { return st.Due(w.Now()) }, func(st alarm.State) (alarm.State, error) {
		settled, err := w.settled(ctx, st)
		if err != nil {
			w.Log.Warn().Err(err).Str("cause", st.Cause).Str("alarm", st.ID).Msg("it is not known whether an alarm has come right: the owner is notified")
		} else if settled {
			return st.Answer(st.ID, w.Now().UTC()), nil
		}
		return w.notify(ctx, st)
	})
}

// keep is how long what is over about a single lead is kept, for repeats of its
// event. Later the ledger knows that the owner was notified.
const keep = time.Hour

// settled reports whether what an alarm is about has come right by itself: its
// lead was matched, or answered by the owner; no dead letter is left of its role.
func (w *Watch) settled(ctx context.Context, st alarm.State) (bool, error) {
	switch {
	case alarm.OfLead(st.Cause):
		events, err := w.Stream.Events(ctx, subjects.Lead{Market: w.Market, Site: st.Site, Lead: st.About})
		r := story.Of(events)
		return r.Decision != nil && (!slices.Contains(open[st.Cause], lead.Status(r.Lead.Status)) || slices.ContainsFunc(events, func(e event.Event) bool {
			_, answered := e.Body.(*event.Answered)
			return answered && e.Seq > r.Decision.Seq
		})), err
	case st.Cause == alarm.NoneReachable:
		for _, id := range st.Leads {
			events, err := w.Stream.Events(ctx, subjects.Lead{Market: w.Market, Site: st.Site, Lead: id})
			if r := story.Of(events); err != nil || r.Lead.Status == string(lead.Unserved) {
				return false, err
			}
		}
		return true, nil
	case st.Cause == alarm.DeadLetter && w.Dead != nil:
		left, err := w.Dead(ctx, st.About)
		return left == 0, err
	}
	return false, nil
}

// open are the statuses of a lead in which an alarm about it goes on, by cause.
var open = map[string][]lead.Status{
	alarm.Unserved: {lead.Unserved}, alarm.Review: {lead.NeedsReview}, alarm.Overdue: {lead.Pending, lead.Matched, lead.Notified},
}

// Acknowledge makes an alarm quiet, and what it was about begins anew.
func (w *Watch) Acknowledge(ctx context.Context, id string, at time.Time) error {
	return w.eachAlarm(ctx, func(st alarm.State) bool { return st.ID == id }, func(st alarm.State) (alarm.State, error) {
		var err error
		switch agent, detector, _ := strings.Cut(st.About, "/"); st.Cause {
		case alarm.Drift:
			err = w.forgive(ctx, agent, detector)
		case alarm.ConfigDrift:
			err = w.accept(ctx, agent)
		}
		return st.Answer(id, at), err
	})
}

// Settle takes a lead that the owner decided on out of the alarm about it.
func (w *Watch) Settle(ctx context.Context, site, id string, at time.Time) error {
	key := alarmPrefix + alarm.Key(site, alarm.NotRescued, "")
	return event.Change(ctx, w.Bucket, key, func(st alarm.State) (alarm.State, error) {
		if !slices.Contains(st.Leads, id) {
			return st, event.ErrUnchanged
		}
		st.Leads = slices.DeleteFunc(slices.Clone(st.Leads), func(other string) bool { return other == id })
		if len(st.Leads) == 0 {
			st = st.Answer(st.ID, at)
		}
		return st, nil
	})
}

// eachAlarm changes the alarms that are meant. It forgets what is over about a
// single lead, so that the bucket stays small.
func (w *Watch) eachAlarm(ctx context.Context, meant func(alarm.State) bool, f func(alarm.State) (alarm.State, error)) error {
	all, err := w.Bucket.All(ctx)
	if err != nil {
		return fmt.Errorf("read the alarms: %w", err)
	}
	var faults []error
	for _, e := range all {
		var st alarm.State
		if !strings.HasPrefix(e.Key, alarmPrefix) || json.Unmarshal(e.Value, &st) != nil {
			continue
		}
		if now := w.Now(); alarm.OfLead(st.Cause) && st.Over() && now.Sub(st.Answered) > keep && now.Sub(st.NotifiedAt) > keep {
			if err := w.Bucket.Purge(ctx, e.Key, e.Revision); !errors.Is(err, event.ErrConflict) {
				faults = append(faults, err)
			}
			continue
		}
		if !meant(st) {
			continue
		}
		faults = append(faults, event.Change(ctx, w.Bucket, e.Key, func(st alarm.State) (alarm.State, error) {
			if !meant(st) { // changed since
				return st, nil
			}
			return f(st)
		}))
	}
	return errors.Join(faults...)
}
