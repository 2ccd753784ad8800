package send

import (
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
)

// refused is why a message is dropped whose recipient opted out of its channel.
var refused = lead.Failure{Vendor: "leadbus", Class: lead.OptedOut, Reason: "the recipient wants no messages on this channel"}

// optedOut reports whether the recipient wants no messages on the channel; the owner
// is not asked.
func (s *Sender) optedOut(m lead.Message) (bool, error) {
	if s.OptedOut == nil || m.Recipient != lead.ToProvider && m.Recipient != lead.ToCustomer {
		return false, nil
	}
	out, err := s.OptedOut(m.Channel, m.To)
	if err != nil {
		err = event.After(time.Second, err)
	}
	return out, err
}
