package send

import (
	"context"
	"errors"
	"strings"

	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/subjects"
)

// Receipt takes a vendor's report. Any report on a message proves that the
// vendor took it, whatever the ledger says; a report that a provider's message
// failed for good raises an alarm. Order and repetition do not matter.
func (s *Sender) Receipt(ctx context.Context, d event.Delivery, r lead.Receipt) error {
	if !subjects.ValidToken(r.Message) {
		return event.Permanent(errors.New("the receipt names no message of ours"))
	}
	e, rev, err := s.ledger.get(ctx, r.Message)
	if err != nil {
		return err
	}
	switch e.State {
	case "": // nothing of ours was sent under this id
		return nil
	case sent:
		// The receipt may have written it just before a crash.
		if d.Attempt > 1 || e.Sent.At.Equal(r.At) {
			err = s.finishOnce(ctx, d, r.Message, e)
		}
	case claimed, doubtful, free:
		e.State, e.At, e.Failure = sent, s.Now(), nil
		e.Sent = &lead.Sent{VendorID: r.VendorID, At: r.At}
		if r.Attempt != "" {
			e.Attempt = r.Attempt
		}
		err = s.settle(ctx, d, r.Message, e, rev)
	}
	if err != nil {
		return err
	}
	if e.Recipient == lead.ToCustomer && (r.State == lead.MessageDelivered || r.State == lead.MessageRead) {
		return s.Texted(ctx, d.Lead, r.Message, nil)
	}
	if r.State == lead.MessageFailed {
		f := lead.Failure{Vendor: r.Vendor, Reason: r.Status}
		if r.Failure != nil {
			f = *r.Failure
		}
		return s.failed(ctx, d.Lead, r.Message, e, f)
	}
	return nil
}

// failed tells the owner that a message failed, or may not have been sent: by an
// alarm when a vendor refuses our account, a provider was not reached, or nobody
// knows whether a customer was told; by a mail when a customer was not reached,
// whoever is to blame. A canary's message raises no alarm, and neither does one to
// the owner or one that something newer took the place of. Whatever fails at a
// tracker is one alarm.
func (s *Sender) failed(ctx context.Context, l subjects.Lead, id string, e entry, f lead.Failure) error {
	o := alarm.Occurrence{
		Site: l.Site, ID: id, At: s.Now().UTC(), Leads: []string{l.Lead},
		Facts: []alarm.Fact{{Label: e.Channel, Value: strings.TrimSpace(f.Vendor + " " + f.Code + " " + f.Reason)}},
	}
	switch {
	case e.Provider == roster.Canary || e.Recipient == lead.ToOwner || f.Class == lead.Superseded:
		return nil
	case e.Recipient == lead.ToTracker:
		o.Site, o.Cause = "", alarm.Tracker // the market's, whichever site it was for
		if st := s.Catalog.Sites[l.Site]; st != nil {
			o.About = st.Tracker
		}
	case f.Class == lead.OurFault:
		o.Site, o.Cause, o.About = "", alarm.Account, e.Channel // likewise
	case e.Recipient == lead.ToProvider:
		o.Cause, o.About = alarm.Unreachable, e.Provider
	case f.Class == lead.Doubtful:
		o.Cause, o.About = alarm.Uncertain, e.Channel
	default:
		return s.Texted(ctx, l, id, &f)
	}
	err := s.Raise(ctx, o)
	if err == nil && e.Recipient == lead.ToCustomer && f.Class == lead.OurFault {
		err = s.Texted(ctx, l, id, &f)
	}
	return err
}
