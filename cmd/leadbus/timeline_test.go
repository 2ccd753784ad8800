package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/subjects"
)

// The mail on a call and the messages about its lead are queued apart, in any
// order: a lead was told when both are complete.
// A call that gives up says what it waited for, whichever end comes first.
func TestACallThatGivesUpSaysWhatIsMissing(t *testing.T) {
	over, end := context.WithCancel(t.Context())
	end()
	ended := make(chan error, 1)
	ended <- nil // the follower, whose time is over
	for name, try := range map[string]func(*watcher) error{
		"its time is over":     func(w *watcher) error { return w.wait(over, nil, nil) },
		"following ends first": func(w *watcher) error { return w.wait(t.Context(), nil, ended) },
	} {
		w := &watcher{leads: map[string]*progress{"7k2mq9": {start: time.Now()}}, verbose: true}
		w.answered("7k2mq9", true)
		if err := try(w); err == nil || !strings.Contains(err.Error(), "7k2mq9: no decision yet") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestALeadIsDoneWhenEverythingIsTold(t *testing.T) {
	queued := func(of int, purposes ...string) (events []event.Event) {
		for i, p := range purposes {
			m := lead.Message{ID: fmt.Sprint(p, of, i), Purpose: p, Of: of}
			events = append(events,
				event.Event{Body: &event.Queued{Message: m}},
				event.Event{Body: &event.Reported{Receipt: lead.Receipt{Message: m.ID, State: lead.MessageDelivered}}},
			)
		}
		return events
	}
	scanned := event.Event{Body: &event.Scanned{Lead: &lead.Lead{}}}
	none := event.Event{Body: &event.Scanned{}}
	full := event.Event{Body: &event.Scanned{Lead: &lead.Lead{}, Call: call.Call{Turns: []call.Turn{{Text: "Une fuite."}}}}}
	matched := event.Event{Lead: subjects.Lead{Event: subjects.Matched}, Body: &event.Decided{Offer: "o1"}}
	mail, offers := queued(1, "call"), queued(3, "offer", "offer", "confirmation")
	copied := queued(2, "copy", "confirmation")
	copied[2].Body.(*event.Queued).Message.Recipient = lead.ToCustomer
	copied = append(copied, queued(1, "copy-confirmation")...)
	for name, c := range map[string]struct {
		parts [][]event.Event
		done  bool
	}{
		"nothing":                         {nil, false},
		"not decided":                     {[][]event.Event{{scanned}, mail}, false},
		"the mail on the call alone":      {[][]event.Event{{scanned, matched}, mail}, false},
		"one message is missing":          {[][]event.Event{{scanned, matched}, mail, offers[:4]}, false},
		"one message is under way":        {[][]event.Event{{scanned, matched}, mail, offers[:5]}, false},
		"two mails and one is missing":    {[][]event.Event{{scanned, matched}, queued(2, "call", "call-copy-1"), offers[:4]}, false},
		"everything":                      {[][]event.Event{{scanned, matched}, mail, offers}, true},
		"everything, the mail at the end": {[][]event.Event{{scanned, matched}, offers, mail}, true},
		"the owner has not heard yet":     {[][]event.Event{{scanned, matched}, mail, copied[:4]}, false},
		"the owner has heard":             {[][]event.Event{{scanned, matched}, mail, copied}, true},
		"a call without a lead":           {[][]event.Event{{none}, mail}, true},
		"a thinner report, scanned later": {[][]event.Event{{full, none, matched}, mail}, false},
	} {
		p := &progress{start: time.Now()}
		p.reported = true
		seq := uint64(0)
		for _, events := range c.parts {
			for _, e := range events {
				seq++
				e.Seq = seq
				p.take(e)
			}
		}
		if p.done() != c.done {
			t.Errorf("%s: done is %t", name, !c.done)
		}
		if !c.done && p.missing() == "" {
			t.Errorf("%s: nothing is said to be missing", name)
		}
	}
}
