package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"leadbus/internal/event/alarm"
	"leadbus/internal/role/watch"
	"leadbus/internal/role/watch/canary"
	"leadbus/internal/subjects"
)

// canaryRest is how long after its start a scanner sends the first test lead:
// in a deploy the edge may start last.
const canaryRest = 30 * time.Second

// canaryTask sends a market's test lead again and again, and calls the owner
// for one that is late or lost; after each that is not, the heartbeat tells
// whoever watches from outside. A market without a mailbox for it has none.
func (j *wiring) canaryTask(market string, w WatchSettings, s canary.Stream) (watch.Task, error) {
	c, err := canary.New(canary.Options{
		Catalog: j.catalog, Market: market, URL: j.public, Secret: j.settings.siteSecrets(j.catalog), Stream: s, Now: time.Now,
	})
	if err != nil {
		return watch.Task{}, err
	}
	heartbeat, err := canary.NewHeartbeat(string(w.HeartbeatURL), market, j.log(market, subjects.Scanner))
	if err != nil {
		return watch.Task{}, err
	}
	beats := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "leadbus_canaries_total", ConstLabels: prometheus.Labels{"market": market},
		Help: "Test leads by how they ended: in time, late, or where they stuck.",
	}, []string{"outcome"})
	j.Registry.MustRegister(beats)
	began := time.Now()
	return watch.Task{Name: "canary", Every: w.CanaryEvery, Run: func(ctx context.Context) ([]alarm.Occurrence, error) {
		select {
		case <-time.After(min(canaryRest, w.CanaryEvery) - time.Since(began)):
		case <-ctx.Done():
		}
		var r canary.Result
		heartbeat.Around(ctx, func(ctx context.Context) bool {
			r = c.Beat(ctx)
			return r.OK()
		})
		if ctx.Err() != nil {
			return nil, nil //nolint:nilerr // stopped: it is not known
		}
		outcome, why := r.Stage, ""
		switch {
		case r.OK():
			outcome = "in time"
		case r.Late:
			outcome, why = "late", "it arrived after "+r.Took.Round(time.Second).String()
		default:
			why = r.Err.Error()
		}
		beats.WithLabelValues(outcome).Inc()
		if r.OK() {
			j.Log.Debug().Str("market", market).Dur("took_ms", r.Took).Msg("canary arrived")
			return nil, nil
		}
		j.Log.Error().Str("market", market).Str("lead", r.Lead).Str("outcome", outcome).Str("reason", why).Msg("canary did not arrive in time")
		return []alarm.Occurrence{{
			Site: r.Site, Cause: alarm.Canary, ID: r.Lead, At: r.Sent, Leads: []string{r.Lead},
			Facts: []alarm.Fact{{Label: "market", Value: market}, {Label: "stage", Value: outcome}, {Label: "reason", Value: why}},
		}}, nil
	}}, nil
}
