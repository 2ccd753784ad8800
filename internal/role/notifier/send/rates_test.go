package send

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/site"
)

func TestASenderKeepsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &site.Catalog{Sites: map[string]*site.Site{"a.ch": {Market: "ch", Senders: site.Senders{SMS: site.Sender{From: "A", PerSecond: 2}}}}}
		r := newRates(c, "ch")
		m := lead.Message{Channel: lead.SMS, From: "A"}
		begin := time.Now()
		var mu sync.Mutex
		var turns []time.Duration // when each message may go
		putOff := 0
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				err := r.wait(t.Context(), lead.Message{ID: fmt.Sprint(i), Channel: lead.SMS, From: "A"})
				fate, delay := event.Outcome(err, 1)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					putOff++
					m.ID = fmt.Sprint(i)
					if fate != event.Redeliver || delay <= shortWait {
						t.Errorf("fate %v after %s", fate, delay)
					}
				}
				turns = append(turns, time.Since(begin)+delay)
			})
		}
		wg.Wait()
		slices.Sort(turns)
		for i, turn := range turns {
			want := time.Duration(max(0, i+1-2*burst)) * time.Second / 2
			if d := turn - want; d.Abs() > time.Millisecond {
				t.Fatalf("message %d may go after %s, want %s", i, turn, want)
			}
		}
		if want := 200 - 2*burst - 4; putOff != want {
			t.Errorf("%d put off, want %d", putOff, want)
		}
		// Who was put off has a place and does not queue again.
		if err := r.wait(t.Context(), m); err != nil {
			t.Errorf("second delivery: %v", err)
		}
		// Others are not held up.
		for _, other := range []lead.Message{{Channel: lead.SMS, From: "B"}, {Channel: lead.WhatsApp, From: "A"}, {Channel: lead.Email}} {
			if err := r.wait(t.Context(), other); err != nil {
				t.Errorf("%s %s: %v", other.Channel, other.From, err)
			}
		}
		if len(r.senders) != 5 { // four defaults, A by SMS, and nothing for senders unheard of
			t.Errorf("%d limiters", len(r.senders))
		}
	})
}

func TestASharedSenderHasTheStrictestRate(t *testing.T) {
	c := &site.Catalog{Sites: map[string]*site.Site{}}
	for domain, perSecond := range map[string]float64{"a.ch": 5, "b.ch": 1, "c.ch": 0} {
		c.Sites[domain] = &site.Site{Market: "ch", Senders: site.Senders{SMS: site.Sender{From: "A", PerSecond: perSecond}}}
	}
	if l := newRates(c, "ch").senders["sms A"]; l.Limit() != 1 || l.Burst() != burst {
		t.Errorf("limit %v, burst %d", l.Limit(), l.Burst())
	}
}
