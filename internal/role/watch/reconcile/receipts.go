package reconcile

import (
	"context"
	"errors"
	"slices"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// lookUps are the most messages that a pass asks one vendor for.
const lookUps = 200

// Receipts is a vendor's record of the messages that it took. An error that asks
// to wait is a *lead.Failure.
type Receipts interface {
	// Reports are what the vendor says of a message: known with what its
	// callbacks would have said. An error may be event.ErrNotFound.
	Reports(ctx context.Context, known lead.Receipt) ([]lead.Receipt, error)
}

// Names of the vendors' records of messages in Options.Receipts and Report.Missing.
const (
	TextLog = "twilio-messages"
	MailLog = "mailgun-messages"
)

var (
	logs      = []string{TextLog, MailLog}
	byChannel = map[string]string{lead.SMS: TextLog, lead.WhatsApp: TextLog, lead.Email: MailLog}
)

// unreported is a message of which its vendor is asked.
type unreported struct {
	to    subjects.Lead
	known lead.Receipt
	taken time.Time
}

// waits reports whether the vendor took a message longer ago than that, and
// nothing final is known of it.
func (p *pass) waits(m story.Message, longer time.Duration) bool {
	return m.TakenAt.After(p.since) && m.Channel != "" && !m.Done() && p.now.Sub(m.TakenAt) > longer
}

// receipts asks the vendors for the receipts that never came. It leaves test
// leads alone: their canary is there to notice.
func (p *pass) receipts(ctx context.Context) {
	all := map[string][]unreported{}
	for id, r := range p.leads {
		if r.Flagged(lead.FlagTest) {
			continue
		}
		for _, m := range r.Messages {
			name := byChannel[m.Channel]
			if name == "" || m.VendorID == "" || !p.waits(m, p.Grace) {
				continue
			}
			known := lead.Receipt{Message: m.ID, VendorID: m.VendorID}
			if t := r.taken[m.ID]; t != nil {
				known.Label, known.Attempt = t.Label, t.Attempt
			}
			if known.QueuedAt.IsZero() { // of an earlier version
				known.QueuedAt = m.QueuedAt
			}
			all[name] = append(all[name], unreported{subjects.Lead{Market: p.Market, Site: r.site, Lead: id}, known, m.TakenAt})
		}
	}
	for _, name := range logs {
		if err := p.ask(ctx, p.Receipts[name], all[name]); err != nil {
			p.report.Missing[name] = err
		}
	}
}

// ask looks the newest messages up at their vendor, until it fails several times
// in a row.
func (p *pass) ask(ctx context.Context, vendor Receipts, all []unreported) error {
	switch {
	case len(all) == 0:
		return nil
	case vendor == nil:
		return errors.New("no credentials are set")
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	slices.SortFunc(all, func(a, b unreported) int { return b.taken.Compare(a.taken) })
	var faults []error
	failed := 0 // in a row
	for _, u := range all[:min(len(all), lookUps)] {
		found, err := patient(ctx, func() ([]lead.Receipt, error) { return vendor.Reports(ctx, u.known) })
		if err == nil {
			err = p.reported(ctx, u.to, found)
		}
		if err == nil || errors.Is(err, event.ErrNotFound) {
			failed = 0
			continue
		}
		faults = append(faults, err)
		if failed++; failed == giveUp || ctx.Err() != nil {
			break
		}
	}
	return summary(faults)
}

// reported publishes the final receipts among a vendor's.
func (p *pass) reported(ctx context.Context, to subjects.Lead, found []lead.Receipt) error {
	for _, r := range found {
		if !r.State.Final() {
			continue
		}
		e, err := event.NewReported(to, r, p.now)
		if err != nil {
			return err
		}
		if err := p.Stream.Publish(ctx, e); err != nil {
			return err
		}
		p.report.Receipts++
		p.take(e)
	}
	return nil
}
