package notifier

import (
	"context"
	"slices"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/subjects"
)

// outcome queues what the site's tracker is told of an event. It may be repeated: of
// an outcome there is one message.
func (n *Notifier) outcome(ctx context.Context, e event.Event) error {
	if !n.composer.Tells(e) {
		return nil
	}
	events, err := n.Stream.Events(ctx, subjects.Lead{Market: e.Lead.Market, Site: e.Lead.Site, Lead: e.Lead.Lead})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(events, func(there event.Event) bool { return there.ID == e.ID }) // the first time: an event may be stored again
	switch {
	case i >= 0:
		return n.queue(ctx, e.Lead, n.composer.Outcome(events[i], events[:i+1], events))
	case n.Now().Sub(e.At) < time.Minute: // a replica of the stream that lags behind
		return event.After(time.Second, errUnread)
	}
	return nil // gone from the stream, with the lead
}
