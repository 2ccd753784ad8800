package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/call"
	"leadbus/internal/engine/process"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/role/watch"
	"leadbus/internal/role/watch/reconcile"
	"leadbus/internal/site"
	"leadbus/internal/vendors/elevenlabs"
	"leadbus/internal/vendors/twilio"
)

// reconcileEvery is how often a market's records are compared.
const reconcileEvery = 5 * time.Minute

// operatorTime is the longest that an operator waits for a pass.
const operatorTime = 5 * time.Minute

// reconciling is what a pass over a market works with. A vendor without
// credentials is left out. The catalog is the whole one, whichever markets this
// process works for: an agent of another market is not unknown.
func (j *wiring) reconciling(whole *site.Catalog, market string, v VendorSettings, grace time.Duration, s reconcile.Stream) reconcile.Options {
	o := reconcile.Options{
		Catalog: whole, Market: market, Stream: s, Grace: grace, Now: time.Now,
	}
	if v.ElevenLabsAPIKey != "" {
		o.Voice = voice{elevenlabs.New(string(v.ElevenLabsAPIKey), v.ElevenLabsURL)}
	}
	if v.TwilioAccountSID != "" {
		o.Carrier = carrier{j.twilio}
	}
	return o
}

// reconcileTask compares a market's records again and again.
func (j *wiring) reconcileTask(m member, v VendorSettings, w WatchSettings) watch.Task {
	whole := sync.OnceValues(func() (*site.Catalog, error) { return site.Load(j.settings.Config) })
	every := cmp.Or(w.ReconcileEvery, reconcileEvery)
	passes := reconcile.NewPasses(m.log)
	return watch.Task{Name: "reconcile", Every: every, Run: func(ctx context.Context) ([]alarm.Occurrence, error) {
		c, err := whole()
		if err != nil {
			return nil, err
		}
		return passes.Run(ctx, j.reconciling(c, m.market, v, min(every, reconcile.Grace), m))
	}}
}

// Reconcile compares a market's records once, for an operator.
func Reconcile(ctx context.Context, s Settings, v VendorSettings, market string, since, grace time.Duration) (reconcile.Report, error) {
	c, err := site.Load(s.Config)
	if err != nil {
		return reconcile.Report{}, err
	}
	if c.Markets[market] == nil {
		return reconcile.Report{}, fmt.Errorf("no market %q in %s/markets", market, s.Config)
	}
	ctx, cancel := context.WithTimeout(ctx, operatorTime)
	defer cancel()
	operator, err := Operator(ctx, s, market, zerolog.Nop())
	if err != nil {
		return reconcile.Report{}, err
	}
	defer operator.Close()
	if r, err := Running(s.Data); err == nil && r.SandboxURL != "" && v.TwilioAccountSID == "" {
		if err := s.sandboxSecrets(&v, readSecret); err != nil {
			return reconcile.Report{}, err
		}
		v.TwilioURL, v.ElevenLabsURL = r.SandboxURL, r.SandboxURL
	}
	j := &wiring{Process: process.New(zerolog.Nop()), settings: s, catalog: c}
	j.vendors(v)
	return reconcile.Pass(ctx, j.reconciling(c, market, v, grace, operator), time.Now().Add(-since))
}

// voice is the voice vendor's API as a pass asks it.
type voice struct{ *elevenlabs.Client }

func (v voice) Conversations(ctx context.Context, agent string, from, to time.Time) ([]reconcile.Conversation, error) {
	listed, err := v.List(ctx, agent, from, to)
	if err != nil {
		return nil, busy(err)
	}
	var out []reconcile.Conversation
	for _, l := range listed {
		out = append(out, reconcile.Conversation{
			ID: l.ID, Agent: l.AgentID, Began: l.StartedAt, Ended: l.StartedAt.Add(time.Duration(l.Seconds) * time.Second),
			Over: l.Status == "done" || l.Status == "failed",
		})
	}
	return out, nil
}

func (v voice) Fetch(ctx context.Context, id string) (call.Call, []byte, error) {
	raw, err := v.Get(ctx, id)
	if err != nil {
		return call.Call{}, nil, busy(err)
	}
	c, err := elevenlabs.Conversation(raw)
	return c, raw, err
}

// carrier is the carrier's call log as a pass asks it.
type carrier struct{ *twilio.Client }

func (c carrier) Dialled(ctx context.Context, from, to time.Time) ([]reconcile.Dialled, error) {
	calls, err := c.Calls(ctx, from, to)
	if err != nil {
		return nil, busy(err)
	}
	var out []reconcile.Dialled
	for _, d := range calls {
		if d.Direction == "inbound" {
			out = append(out, reconcile.Dialled{
				ID: d.SID, From: d.From, To: d.To, Status: d.Status, At: d.StartedAt, Seconds: d.Seconds,
				Over: !slices.Contains([]string{"queued", "ringing", "in-progress"}, d.Status),
			})
		}
	}
	return out, nil
}

// busy says what a vendor asks to wait.
func busy(err error) error {
	var b *elevenlabs.Busy
	var f *lead.Failure
	switch {
	case errors.As(err, &b):
		return reconcile.Wait{After: b.After, Err: err}
	case errors.As(err, &f) && f.Class == lead.Transient:
		return reconcile.Wait{After: f.RetryAfter, Err: err}
	}
	return err
}
