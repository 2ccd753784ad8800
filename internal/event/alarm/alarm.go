// Package alarm holds what an owner is notified of: its causes, and how one is
// raised, repeated and acknowledged. It is pure.
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
	VoiceRemoved            = "voice-removed"             // the voice vendor takes a voice away; About is the voice
	CallWithoutConversation = "call-without-conversation" // the agent never answered a call
	CallWithoutEnd          = "call-without-end"          // the voice vendor never finished a call
	LeadWithoutOffer        = "lead-without-offer"        // a lead is stuck
	MessageWithoutReceipt   = "message-without-receipt"   // nobody knows whether people were told
	Unreachable             = "unreachable"               // messages do not reach a provider; About is the provider
	NoneReachable           = "none-reachable"            // leads that nobody got, since no provider can be reached
	Account                 = "account"                   // a vendor refuses our account, sender or template; About is the channel
	Uncertain               = "uncertain"                 // customers' messages that nobody knows were sent; About is the channel
	Tracker                 = "tracker"                   // outcomes do not reach a tracker; About is the tracker
	Unserved                = "unserved"                  // nobody can take a lead; About is the lead
	Overdue                 = "overdue"                   // nobody has accepted a lead; About is the lead
	Review                  = "review"                    // a lead needs a person; About is the lead
	DeadLetter              = "dead-letter"               // a role gave up events; About is the role
	Roster                  = "roster"                    // the roster holds something wrong; About is the provider
	Canary                  = "canary"                    // the market's test lead is late or lost
	HostSlept               = "host-slept"                // a machine slept; About is the host
	Reconcile               = "reconcile"                 // the records cannot be compared; About is the vendor
)

// OfLead reports whether an alarm of the cause is about one lead.
func OfLead(cause string) bool {
	return cause == Unserved || cause == Review || cause == Overdue
}

// Alarm is one cause with all its occurrences.
type Alarm struct {
	ID    string    `json:"id"`
	Site  string    `json:"site"` // whose owner is notified
	Cause string    `json:"cause"`
	About string    `json:"about,omitempty"` // ids only
	Since time.Time `json:"since"`
	Last  time.Time `json:"last"`
	Times int       `json:"times"`
	// Leads are the ids of the leads at risk, the latest ones; More counts those
	// before them.
	Leads []string `json:"leads,omitempty"`
	More  int      `json:"more_leads,omitempty"`
	Facts []Fact   `json:"facts,omitempty"` // of each label the latest
	// Notified counts how often the owner was notified.
	Notified   int       `json:"told"`
	NotifiedAt time.Time `json:"told_at,omitzero"`
	// Answered is when the owner acknowledged it, or it came right by itself: the
	// next occurrence begins a new alarm.
	Answered time.Time `json:"answered,omitzero"`
}

// AtRisk counts the leads at risk.
func (a Alarm) AtRisk() int { return len(a.Leads) + a.More }

// Fact is a line of what is known.
type Fact struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

// Occurrence is one thing that happened for an alarm's cause.
type Occurrence struct {
	Site, Cause, About string
	ID                 string // the same thing has the same one
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

// quiet ends an alarm that nobody answered: after the last occurrence, and after
// the last notification of one that goes on.
const quiet = 24 * time.Hour

// again is how long after each notification the next one follows while nobody
// answers: soon, with the escalation, and then ever more rarely.
var again = []time.Duration{5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 8 * time.Hour}

// Bounds of what an alarm remembers.
const (
	mostLeads       = 500
	mostOccurrences = 1000
	mostFacts       = 50
)

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
	if s.ID == "" || !s.Answered.IsZero() || k.At.Sub(s.Last) > quiet || s.Over() && k.At.Sub(s.NotifiedAt) > quiet {
		s = State{Occurrences: s.Occurrences, Alarm: Alarm{ID: NewID(k), Site: k.Site, Cause: k.Cause, About: k.About, Since: k.At, Last: k.At}}
	}
	s.Times++
	if k.At.Before(s.Since) {
		s.Since = k.At
	}
	if k.At.After(s.Last) {
		s.Last = k.At
	}
	s.Facts = slices.Clone(s.Facts)
	for _, f := range k.Facts {
		i := slices.IndexFunc(s.Facts, func(known Fact) bool { return known.Label == f.Label })
		if i >= 0 {
			s.Facts[i] = f
		} else if len(s.Facts) < mostFacts {
			s.Facts = append(s.Facts, f)
		}
	}
	leads := slices.Clone(s.Leads)
	for _, id := range k.Leads {
		if !slices.Contains(leads, id) {
			leads = append(leads, id)
		}
	}
	drop := max(0, len(leads)-mostLeads)
	s.Leads, s.More = leads[drop:], s.More+drop
	occurrences := append(slices.Clone(s.Occurrences), k.ID)
	s.Occurrences = occurrences[max(0, len(occurrences)-mostOccurrences):]
	return s
}

// Answer closes the alarm with the given id.
func (s State) Answer(id string, at time.Time) State {
	if s.ID == id && s.Answered.IsZero() {
		s.Answered = at
	}
	return s
}

// Over reports whether the owner is not notified any more.
func (s State) Over() bool { return !s.Answered.IsZero() || s.Notified > len(again) }

// Due reports whether the owner is to be notified now.
func (s State) Due(now time.Time) bool {
	switch {
	case s.ID == "" || s.Over():
		return false
	case s.Notified == 0:
		return true
	}
	return now.Sub(s.NotifiedAt) >= again[s.Notified-1]
}

// Notify counts a call to the owner.
func (s State) Notify(now time.Time) State {
	s.Notified, s.NotifiedAt = s.Notified+1, now
	return s
}
