package reconcile

import (
	"context"

	"github.com/rs/zerolog"

	"leadbus/internal/event/alarm"
)

// mostFailures of a vendor in a row are borne; then the owner is notified.
const mostFailures = 3

// Passes are passes over a market's records again and again. They remember what
// was logged, and how often a vendor failed.
type Passes struct {
	log    zerolog.Logger
	failed map[string]int  // passes in a row, by vendor
	open   map[string]bool // gaps that are logged
}

// NewPasses has seen nothing yet.
func NewPasses(log zerolog.Logger) *Passes { return &Passes{log: log, failed: map[string]int{}} }

// Run makes one pass and answers what the owners are to be notified of.
func (p *Passes) Run(ctx context.Context, o Options) ([]alarm.Occurrence, error) {
	now := o.Now()
	report, err := Pass(ctx, o, now.Add(-Window))
	if err != nil {
		return nil, err
	}
	p.logGaps(report.Gaps)
	if report.Receipts > 0 {
		p.log.Warn().Int("receipts", report.Receipts).Msg("receipts did not come and were fetched")
	}
	occurrences := report.Occurrences()
	for _, vendor := range append([]string{VoiceVendor, CarrierLog}, logs...) {
		why := report.Missing[vendor]
		if why == nil || vendor == VoiceVendor && o.Voice == nil {
			p.failed[vendor] = 0
			continue
		}
		p.log.Warn().Err(why).Str("vendor", vendor).Msg("a vendor's records could not be compared")
		if p.failed[vendor]++; p.failed[vendor] >= mostFailures {
			occurrences = append(occurrences, alarm.Occurrence{
				Cause: alarm.Reconcile, About: vendor, ID: vendor + now.UTC().Format("2006010215"), At: now,
				Facts: []alarm.Fact{{Label: "vendor", Value: vendor}, {Label: "reason", Value: why.Error()}},
			})
		}
	}
	return occurrences, nil
}

// logGaps logs each gap once while it is open.
func (p *Passes) logGaps(gaps []Gap) {
	open := map[string]bool{}
	for _, g := range gaps {
		key := g.Kind + "/" + g.Lead + "/" + g.Ref
		if open[key] = true; !p.open[key] {
			p.log.Warn().Str("gap", g.Kind).Str("site", g.Site).Str("lead", g.Lead).Str("ref", g.Ref).Time("of", g.At).Msg("records differ")
		}
	}
	p.open = open
}
