package roster

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"leadbus/internal/lead"
)

// States of a provider's channel:
//
//	unverified ─► healthy ─► suspect ─► broken
//
// A delivery heals. A code that is permanent for the address breaks the channel
// at once, two that may pass make it suspect, and a corrected address begins
// anew.
const (
	Unverified = "unverified" // nothing was delivered to the address yet
	Healthy    = "healthy"
	Suspect    = "suspect" // it failed repeatedly, each time for a reason that may pass
	Broken     = "broken"  // the address does not work
)

// suspicious is how many failures that may pass make a channel suspect.
const suspicious = 2

// Health is what is known of one provider's channel. It is reduced from what
// vendors said of messages, in any order and however often.
type Health struct {
	Provider string `json:"provider"` // id
	Channel  string `json:"channel"`
	// Address is the tag (lead.AddressTag) of the newest message's address,
	// queued at Queued. An earlier version kept more of it behind the tag.
	Address string    `json:"address"`
	Queued  time.Time `json:"queued"`
	// Delivered is about when the last message arrived; Failures are what
	// failed since, the earliest first.
	Delivered time.Time `json:"delivered,omitzero"`
	Failures  []Failure `json:"failures,omitempty"`
}

// Failure is a message that did not arrive.
type Failure struct {
	Message string       `json:"message"`
	Lead    string       `json:"lead"`
	At      time.Time    `json:"at"`
	Why     lead.Failure `json:"why"`
}

// State is one of the states above.
func (h Health) State() string {
	_, broken := h.broken()
	switch {
	case broken:
		return Broken
	case len(h.Failures) >= suspicious:
		return Suspect
	case h.Delivered.IsZero():
		return Unverified
	}
	return Healthy
}

// String is the state with the vendor's code, for people.
func (h Health) String() string {
	f, broken := h.broken()
	if !broken && len(h.Failures) > 0 {
		f = h.Failures[len(h.Failures)-1]
	}
	if code := strings.TrimSpace(f.Why.Vendor + " " + f.Why.Code); code != "" && h.State() != Healthy {
		return h.State() + " (" + code + ")"
	}
	return h.State()
}

// broken is the failure that broke the channel.
func (h Health) broken() (Failure, bool) {
	for _, f := range h.Failures {
		if permanent(f.Why) {
			return f, true
		}
	}
	return Failure{}, false
}

// permanent reports whether the address itself, or its owner, refuses.
func permanent(f lead.Failure) bool {
	return f.Class == lead.BadRecipient || f.Class == lead.OptedOut
}

// About is the channel's health as far as it is about the address with a tag. Another
// address begins anew; ok is false for one that was replaced since.
func (h Health) About(address string, queued time.Time) (_ Health, ok bool) {
	switch {
	case h.Address != "" && strings.HasPrefix(h.Address, address):
		if queued.After(h.Queued) {
			h.Queued = queued
		}
	case queued.Before(h.Queued):
		return h, false
	default:
		h = Health{Provider: h.Provider, Channel: h.Channel, Address: address, Queued: queued}
	}
	return h, true
}

// Arrive takes in that a message arrived.
func (h Health) Arrive(at time.Time) Health {
	if at.After(h.Delivered) {
		h.Delivered = at
	}
	h.Failures = slices.DeleteFunc(slices.Clone(h.Failures), func(f Failure) bool { return !f.At.After(h.Delivered) })
	return h
}

// mostFailures bounds what is kept, besides what broke the channel.
const mostFailures = 10

// Fail takes in that a message did not arrive. A fault on our side says nothing
// of the address, and neither does one whose outcome is unknown.
func (h Health) Fail(f Failure) Health {
	known := slices.ContainsFunc(h.Failures, func(other Failure) bool { return other.Message == f.Message })
	if known || !f.At.After(h.Delivered) || !permanent(f.Why) && f.Why.Class != lead.Transient {
		return h
	}
	f.At = f.At.UTC()
	h.Failures = append(slices.Clone(h.Failures), f)
	slices.SortStableFunc(h.Failures, func(a, b Failure) int { return a.At.Compare(b.At) })
	if len(h.Failures) > mostFailures {
		first, broken := h.broken()
		drop := slices.IndexFunc(h.Failures, func(f Failure) bool { return !broken || f.Message != first.Message })
		h.Failures = slices.Delete(h.Failures, drop, drop+1)
	}
	return h
}

// HealthKey is the key of a provider's channel in the bucket watch; the keys of no
// other kind begin like it.
func HealthKey(provider, channel string) string { return HealthPrefix + provider + "-" + channel }

// HealthPrefix begins the keys of channels.
const HealthPrefix = "reach-"

// AddressKey names an address of a provider without saying it; ParseAddressKey reads
// the name.
func AddressKey(provider string, c Channel) string {
	return c.Channel + "-" + lead.AddressTag(c.Address) + "-" + provider
}

// ParseAddressKey reads what AddressKey wrote; ok is false for anything else.
func ParseAddressKey(key string) (of lead.Label, ok bool) {
	parts := strings.SplitN(key, "-", 3)
	if len(parts) != 3 || !slices.Contains(lead.Channels, parts[0]) {
		return of, false
	}
	return lead.Label{Channel: parts[0], Address: parts[1], Provider: parts[2]}, true
}

// ReadHealth reads the value of a key; without one, nothing is known.
func ReadHealth(value []byte) (h Health, err error) {
	if value == nil {
		return h, nil
	}
	if err = json.Unmarshal(value, &h); err != nil {
		err = fmt.Errorf("what is known of a channel cannot be read: %w", err)
	}
	return h, err
}

// Working is what is known of the channel of an address, as far as it is about that
// address.
func (h Health) Working(address string) Health {
	h, _ = h.About(lead.AddressTag(address), h.Queued.Add(1))
	return h
}
