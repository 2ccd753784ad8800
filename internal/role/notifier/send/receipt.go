package notifier

import (
	"context"
	"errors"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/subjects"
)

// receipt takes a vendor's report. Any report on a message proves that the
// vendor took it, whatever the ledger says; a report that a provider's message
// failed for good alarms the owner. Order and repetition do not matter.
func (n *Notifier) receipt(ctx context.Context, d event.Delivery, r lead.Receipt) error {
	if !subjects.ValidToken(r.Message) {
		return event.Permanent(errors.New("the receipt names no message of ours"))
	}
	e, rev, err := n.ledger.get(ctx, r.Message)
	if err != nil {
		return err
	}
	switch e.State {
	case "": // nothing of ours was sent under this id
		return nil
	case sent:
		// The receipt may have written it just before a crash.
		if d.Attempt > 1 || e.Sent.At.Equal(r.At) {
			err = n.finishOnce(ctx, d, r.Message, e)
		}
	case claimed, doubtful, free:
		e.State, e.At, e.Failure = sent, n.now(), nil
		e.Sent = &lead.Sent{VendorID: r.VendorID, At: r.At}
		if r.Attempt != "" {
			e.Attempt = r.Attempt
		}
		if e, err = n.ledger.settle(ctx, r.Message, e, rev); err == nil {
			err = n.finish(ctx, d.Lead, r.Message, e)
		}
	}
	if err != nil {
		return err
	}
	if r.State == lead.MessageFailed || r.State == lead.MessageSuppressed {
		f := lead.Failure{Vendor: r.Vendor, Reason: r.Status}
		if r.Failure != nil {
			f = *r.Failure
		}
		return n.alarmUndelivered(ctx, d.Lead, e, f)
	}
	return nil
}

// alarmUndelivered queues one mail to the owner for each offer and channel that
// did not reach its provider. Nobody else's failure alarms, nor a canary's.
func (n *Notifier) alarmUndelivered(ctx context.Context, l subjects.Lead, e entry, f lead.Failure) error {
	if e.Recipient != lead.ToProvider || e.Provider == roster.Canary {
		return nil
	}
	return n.alarm(ctx, l, e, func(w *writer) { w.undelivered(e, f) })
}

// alarmUncertain tells the owner that nobody knows whether a customer, or in
// spite of repeats a provider, was told.
func (n *Notifier) alarmUncertain(ctx context.Context, l subjects.Lead, e entry) error {
	if e.Recipient != lead.ToCustomer {
		return n.alarmUndelivered(ctx, l, e, *e.Failure)
	}
	return n.alarm(ctx, l, e, func(w *writer) { w.uncertain(e) })
}

func (n *Notifier) alarm(ctx context.Context, l subjects.Lead, e entry, write func(*writer)) error {
	w, err := n.writer(l, event.Decided{Offer: e.Offer, Lead: lead.Lead{ID: l.Lead, Market: l.Market, Site: l.Site, Ref: e.Ref}})
	if err != nil {
		return err
	}
	write(w)
	messages, err := w.done()
	if err != nil {
		return err
	}
	return n.queue(ctx, l, messages)
}
