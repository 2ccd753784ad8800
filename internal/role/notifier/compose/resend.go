package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// Resend are the events that send once more what a lead's recipient was sent
// last, on one channel or, with an empty one, on each that was used. They have
// ledger keys of their own: this is the one way to send something twice. Alarms
// are not sent again, and neither is what a former provider was sent, or a number
// that was corrected.
func Resend(events []event.Event, recipient, channel string, at time.Time) ([]event.Event, error) {
	r := story.Of(events)
	newest := map[string]event.Event{}
	for _, e := range events {
		q, ok := e.Body.(*event.Queued)
		if !ok || q.Message.Recipient != recipient || channel != "" && channel != q.Message.Channel || strings.HasPrefix(q.Message.Purpose, lead.PurposeAlarm) ||
			recipient != lead.ToOwner && q.Message.Offer != r.Lead.Offer || recipient == lead.ToCustomer && q.Message.To != r.Person.Phone {
			continue
		}
		newest[q.Message.Channel] = e
	}
	var out []event.Event
	for _, ch := range slices.Sorted(maps.Keys(newest)) {
		e := newest[ch]
		m := e.Body.(*event.Queued).Message
		purpose, _, _ := strings.Cut(m.Purpose, lead.PurposeAgain)
		m.Purpose, m.Decision = fmt.Sprint(purpose, lead.PurposeAgain, r.Lead.LastSeq), ""
		m.ID, m.Of = lead.MessageID(m.Lead, m.Purpose, m.Recipient, m.Channel, m.Offer), len(newest)
		out = append(out, event.Event{ID: subjects.MessageQueued + "-" + m.ID, At: at, Lead: e.Lead, Body: &event.Queued{Message: m}})
	}
	if len(out) == 0 {
		id := r.Lead.ID
		return nil, fmt.Errorf("nothing was ever queued for the %s of lead %s; 'leadbus trace %s' shows what was", recipient, id, id)
	}
	return out, nil
}
