package scenario

import (
	"maps"
	"slices"
)

// Ring is a call that no agent takes, as the sandbox plays it.
type Ring struct {
	From   string `json:"from"`
	To     string `json:"to"`
	SID    string `json:"sid"`
	Down   bool   `json:"down"`             // the agent's platform is away, and the carrier asks us what to do
	Says   string `json:"says,omitempty"`   // the message that the caller leaves
	Status string `json:"status,omitempty"` // the carrier's, of a call that nobody answers
}

// Rings are the scenarios without an agent, by name.
var Rings = map[string]Ring{
	"agent-down":         {Down: true, Says: "a message"},
	"agent-down-hang-up": {Down: true},
	"missed-call":        {Status: "no-answer"},
}

// RingNames are their names.
func RingNames() []string { return slices.Sorted(maps.Keys(Rings)) }
