package send

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/site"
)

// defaultRates are messages per second and sender: Twilio's for an
// alphanumeric SMS sender and for a WhatsApp sender, and a polite one for mail and
// for all trackers.
var defaultRates = map[string]float64{lead.SMS: 10, lead.WhatsApp: 80, lead.Email: 50, lead.Postback: 20}

const (
	// burst is how many seconds' worth may go out at once; the vendors queue
	// for hours, so the rate only matters over longer times.
	burst = 20
	// shortWait is waited out in the handler; a longer one frees its worker.
	shortWait = 2 * time.Second
)

var errRate = errors.New("the sender's rate is used up")

// rates limits each sender of the market. The senders come from the
// configuration, so their number is bounded; an event with another sender
// (from before a change of configuration) shares one limiter per channel.
type rates struct {
	senders map[string]*rate.Limiter
	// promised are messages whose turn was far off and which come back for it.
	promised sync.Map
}

func newRates(c *site.Catalog, market string) *rates {
	r := &rates{senders: map[string]*rate.Limiter{}}
	add := func(channel, from string, perSecond float64) {
		if perSecond <= 0 {
			perSecond = defaultRates[channel]
		}
		key := channel + " " + from
		// Sites that share a sender share its limit, the strictest of theirs.
		if l := r.senders[key]; l == nil || l.Limit() > rate.Limit(perSecond) {
			r.senders[key] = rate.NewLimiter(rate.Limit(perSecond), max(int(burst*perSecond), 1))
		}
	}
	for channel := range defaultRates {
		add(channel, "", 0)
	}
	for _, s := range c.Sites {
		if s.Market == market {
			for _, channel := range lead.Channels {
				from := s.Senders.Of(channel)
				add(channel, from.From, from.PerSecond)
			}
		}
	}
	return r
}

// wait takes the message's place in its sender's line. When the turn is far
// off, the place is kept and the delivery asked for again at that time.
func (r *rates) wait(ctx context.Context, m lead.Message) error {
	if _, ok := r.promised.LoadAndDelete(m.ID); ok {
		return nil
	}
	place := cmp.Or(r.senders[m.Channel+" "+m.From], r.senders[m.Channel+" "]).Reserve()
	switch delay := place.Delay(); {
	case delay == 0:
		return nil
	case delay > shortWait:
		r.promised.Store(m.ID, nil)
		return event.After(delay, errRate)
	default:
		select {
		case <-time.After(delay):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
