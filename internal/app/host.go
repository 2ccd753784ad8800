package app

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"leadbus/internal/engine/process"
	"leadbus/internal/local/host"
)

// fit says on which machine the process runs, and refuses one that production
// must not depend on. An override by the operator shows in the process's
// readiness, and as a metric.
func fit(ctx context.Context, p *process.Process, s HostSettings, production bool) error {
	facts := host.Read(ctx)
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "leadbus_host_override", Help: "1 when LEADBUS_HOST_OVERRIDE let the process start on a machine that is not for production.",
	})
	if production {
		passed, err := facts.Check(host.Declaration{Host: s.Host, Override: s.HostOverride})
		if err != nil {
			return err
		}
		if passed != nil {
			gauge.Set(1)
			p.Lack(fmt.Sprintf("OVERRIDDEN: %s; LEADBUS_HOST_OVERRIDE: %s", passed, s.HostOverride))
		}
	}
	p.Registry.MustRegister(gauge)
	p.Log.Info().Str("host", facts.Name).Str("boot", facts.Boot).Str("region", s.Host).Bool("battery", facts.Battery).Msg("host")
	return nil
}

// watchSleep tells of each sleep of the machine. It comes after all who want
// to hear of one have added themselves to j.slept.
func (j *wiring) watchSleep() {
	name, _ := os.Hostname()
	count := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "leadbus_host_slept_total", Help: "Times this machine was found to have slept.",
	})
	j.Registry.MustRegister(count)
	j.Go("sleep detector", func(ctx context.Context) error {
		return host.Watch(ctx, func(d time.Duration) {
			count.Inc()
			j.Log.Error().Str("host", name).Dur("slept_ms", d).Msg("host_slept")
			for _, f := range j.slept {
				f(ctx, name, d)
			}
		})
	})
}
