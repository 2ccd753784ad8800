package canary

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadbus/internal/event/alarm"
)

// rest is how long after the start the first test lead is sent: in a deploy the
// edge may start last.
const rest = 30 * time.Second

// Beats is a market's test lead again and again. An owner is notified of one that
// is late or lost; after each that is not, the heartbeat tells whoever watches
// from outside.
type Beats struct {
	canary    *Canary
	heartbeat *Heartbeat
	beats     *prometheus.CounterVec
	first     time.Time
	log       zerolog.Logger
}

// NewBeats prepares test leads that are sent every so often.
func NewBeats(o Options, heartbeatURL string, every time.Duration, log zerolog.Logger, registry prometheus.Registerer) (*Beats, error) {
	c, err := New(o)
	if err != nil {
		return nil, err
	}
	heartbeat, err := NewHeartbeat(heartbeatURL, o.Market, log)
	if err != nil {
		return nil, err
	}
	beats := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "leadbus_canaries_total", ConstLabels: prometheus.Labels{"market": o.Market},
		Help: "Test leads by how they ended: in time, late, or where they stuck.",
	}, []string{"outcome"})
	registry.MustRegister(beats)
	return &Beats{c, heartbeat, beats, time.Now().Add(min(rest, every)), log}, nil
}

// Run sends one test lead and answers what the owner is to be notified of.
func (b *Beats) Run(ctx context.Context) ([]alarm.Occurrence, error) {
	select {
	case <-time.After(time.Until(b.first)):
	case <-ctx.Done():
	}
	var r Result
	b.heartbeat.Around(ctx, func(ctx context.Context) bool {
		r = b.canary.Beat(ctx)
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
	b.beats.WithLabelValues(outcome).Inc()
	if r.OK() {
		b.log.Debug().Dur("took_ms", r.Took).Msg("canary arrived")
		return nil, nil
	}
	b.log.Error().Str("lead", r.Lead).Str("outcome", outcome).Str("reason", why).Msg("canary did not arrive in time")
	return []alarm.Occurrence{{
		Site: r.Site, Cause: alarm.Canary, ID: r.Lead, At: r.Sent, Leads: []string{r.Lead},
		Facts: []alarm.Fact{{Label: "market", Value: b.canary.Market}, {Label: "stage", Value: outcome}, {Label: "reason", Value: why}},
	}}, nil
}
