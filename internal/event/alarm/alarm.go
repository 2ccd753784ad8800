// Package alarm holds what an owner is called for: its causes, and how one is
// raised, told, repeated and acknowledged. It is pure.
package alarm

import (
	"slices"
	"time"

	"leadbus/internal/lead"
)

// Causes. One alarm stands for one cause, however often it occurs.
const (
	Drift                   = "drift"                     // an agent has become worse at something; About is agent/detector
	ConfigDrift             = "config-drift"              // an agent was changed at the vendor; About is the agent
	NoDisclosure            = "no-disclosure"             // a new version no longer says that it is an AI; About is agent/version
	ToolError               = "tool-error"                // the agent's tool fails; About is the agent
	NotRescued              = "not-rescued"               // a missed lead waits for the owner's answer
	UnknownAgent            = "unknown-agent"             // calls of an agent that no site has; About is the agent
	CallWithoutConversation = "call-without-conversation" // the agent never answered a call
	CallWithoutEnd          = "call-without-end"          // the voice vendor never finished a call
	LeadWithoutOffer        = "lead-without-offer"        // a lead is stuck
	MessageWithoutReceipt   = "message-without-receipt"   // nobody knows whether people were told
	Unreachable             = "unreachable"               // a provider's address is wrong; About is provider/channel
	Roster                  = "roster"                    // the roster holds something wrong; About is the provider
	Canary                  = "canary"                    // the market's test lead is late or lost
	HostSlept               = "host-slept"                // a machine slept; About is the host
	Reconcile               = "reconcile"                 // the records cannot be compared; About is the vendor
)

// Alarm is one cause with all that it has struck.
type Alarm struct {
	ID    string    `json:"id"`
	Site  string    `json:"site"` // whose owner is called
	Cause string    `json:"cause"`
	About string    `json:"about,omitempty"` // ids only
	Since time.Time `json:"since"`
	Last  time.Time `json:"last"`
	Times int       `json:"times"`
	Leads []string  `json:"leads,omitempty"` // ids of the leads at risk, the latest at most
	Facts []Fact    `json:"facts,omitempty"` // of the latest occurrence
	// Told counts how often the owner was called; the first telling is 1.
	Told   int       `json:"told"`
	ToldAt time.Time `json:"told_at,omitzero"`
	// Answered is when the owner acknowledged it: the next occurrence begins a new
	// alarm.
	Answered time.Time `json:"answered,omitzero"`
}

// Fact is a line of what is known.
type Fact struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

// Occurrence is one happening that calls for an alarm.
type Occurrence struct {
	Site, Cause, About string
	ID                 string // the same happening has the same one
	At                 time.Time
	Leads              []string
	Facts              []Fact
}

// NewID is the id of the alarm that a first occurrence begins.
func NewID(s Occurrence) string {
	return lead.NewID(s.Site, "alarm\x00"+s.Cause+"\x00"+s.About+"\x00"+s.ID)
}

// Key names a cause: there is one open alarm for each.
func Key(site, cause, about string) string {
	return lead.NewID(site, "cause\x00"+cause+"\x00"+about)
}

// quiet ends an alarm that nobody answered and that struck no more.
const quiet = 24 * time.Hour

// again is how long after which telling the owner is called anew while nobody
// answers: soon, to another number, and then ever more rarely.
var again = []time.Duration{5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 8 * time.Hour}

const mostLeads = 50

// State is an alarm with the occurrences that it has counted.
type State struct {
	Alarm
	Occurrences []string `json:"strikes"` // ids, the latest at most
}

// Add adds an occurrence. One that was counted changes nothing.
func (s State) Add(k Occurrence) State {
	if slices.Contains(s.Occurrences, k.ID) {
		return s
	}
	if s.ID == "" || !s.Answered.IsZero() || k.At.Sub(s.Last) > quiet {
		s = State{Occurrences: s.Occurrences, Alarm: Alarm{ID: NewID(k), Site: k.Site, Cause: k.Cause, About: k.About, Since: k.At, Last: k.At}}
	}
	s.Times++
	if k.At.Before(s.Since) {
		s.Since = k.At
	}
	if k.At.After(s.Last) {
		s.Last = k.At
	}
	if len(k.Facts) > 0 {
		s.Facts = k.Facts
	}
	leads := slices.Clone(s.Leads)
	for _, id := range k.Leads {
		if !slices.Contains(leads, id) {
			leads = append(leads, id)
		}
	}
	s.Leads = leads[max(0, len(leads)-mostLeads):]
	occurrences := append(slices.Clone(s.Occurrences), k.ID)
	s.Occurrences = occurrences[max(0, len(occurrences)-4*mostLeads):]
	return s
}

// Answer acknowledges the alarm with the given id.
func (s State) Answer(id string, at time.Time) State {
	if s.ID == id && s.Answered.IsZero() {
		s.Answered = at
	}
	return s
}

// Due reports whether the owner is to be called now.
func (s State) Due(now time.Time) bool {
	switch {
	case s.ID == "" || !s.Answered.IsZero() || s.Told > len(again):
		return false
	case s.Told == 0:
		return true
	}
	return now.Sub(s.ToldAt) >= again[s.Told-1]
}

// Tell counts a call to the owner.
func (s State) Tell(now time.Time) State {
	s.Told, s.ToldAt = s.Told+1, now
	return s
}
