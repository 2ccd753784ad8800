package app

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/engine/process"
	"leadbus/internal/event/alarm"
	"leadbus/internal/role/watch"
	"leadbus/internal/role/watch/reconcile"
	"leadbus/internal/site"
	"leadbus/internal/vendors/elevenlabs"
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
		Receipts: map[string]reconcile.Receipts{},
	}
	if v.ElevenLabsAPIKey != "" {
		o.Voice = elevenlabs.New(string(v.ElevenLabsAPIKey), v.ElevenLabsURL)
	}
	if v.TwilioAccountSID != "" {
		o.Carrier, o.Receipts[reconcile.TextLog] = j.twilio, j.twilio
	}
	if v.MailgunAPIKey != "" {
		o.Receipts[reconcile.MailLog] = j.mailgun
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
		v.TwilioURL, v.MailgunURL, v.ElevenLabsURL = r.SandboxURL, r.SandboxURL+"/v3", r.SandboxURL
	}
	j := &wiring{Process: process.New(zerolog.Nop()), settings: s, catalog: c}
	j.vendors(v)
	return reconcile.Pass(ctx, j.reconciling(c, market, v, grace, operator), time.Now().Add(-since))
}
