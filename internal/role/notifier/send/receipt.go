package send

import (
	"context"
	"errors"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/subjects"
)

// Receipt takes a vendor's report. Any report on a message proves that the
// vendor took it, whatever the ledger says; a report that a provider's message
// failed for good alarms the owner. Order and repetition do not matter.
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
		e.State, e.At, e.Failure = sent, s.now(), nil
		e.Sent = &lead.Sent{VendorID: r.VendorID, At: r.At}
		if r.Attempt != "" {
			e.Attempt = r.Attempt
		}
		if e, err = s.ledger.settle(ctx, r.Message, e, rev); err == nil {
			err = s.finish(ctx, d.Lead, r.Message, e)
		}
	}
	if err != nil {
		return err
	}
	if r.State == lead.MessageFailed {
		f := lead.Failure{Vendor: r.Vendor, Reason: r.Status}
		if r.Failure != nil {
			f = *r.Failure
		}
		return s.alarmUndelivered(ctx, d.Lead, e, f)
	}
	return nil
}

// alarmUndelivered queues one mail to the owner for each offer and channel that
// did not reach its provider. Nobody else's failure alarms, nor a canary's.
func (s *Sender) alarmUndelivered(ctx context.Context, l subjects.Lead, e entry, f lead.Failure) error {
	if e.Recipient != lead.ToProvider || e.Provider == roster.Canary {
		return nil
	}
	return s.alarm(ctx, l, e.message(), &f)
}

// alarmUncertain tells the owner that nobody knows whether a customer, or in
// spite of repeats a provider, was told.
func (s *Sender) alarmUncertain(ctx context.Context, l subjects.Lead, e entry) error {
	if e.Recipient != lead.ToCustomer {
		return s.alarmUndelivered(ctx, l, e, *e.Failure)
	}
	return s.alarm(ctx, l, e.message(), nil)
}

// message is what the ledger knows of the message.
func (e entry) message() lead.Message {
	return lead.Message{Purpose: e.Purpose, Recipient: e.Recipient, Channel: e.Channel, Offer: e.Offer, Provider: e.Provider, Ref: e.Ref}
}
