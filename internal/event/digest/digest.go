// Package digest holds the figures of a market's day for an owner, and when a
// day begins and ends. It is pure.
package digest

import "time"

// Digest is one owner's day in one market.
type Digest struct {
	Market   string    `json:"market"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Sites    []Site    `json:"sites"`
	Canaries Share     `json:"canaries"` // that arrived, of those that were sent
	Alarms   int       `json:"alarms"`   // raised
}

// Site is one site's day.
type Site struct {
	Site       string         `json:"site"`
	Calls      int            `json:"calls"`
	Eligible   int            `json:"eligible"`
	Dispatched Share          `json:"dispatched"` // of the eligible calls
	Leads      int            `json:"leads"`
	Rescued    int            `json:"rescued"`
	Matched    int            `json:"matched"`
	Unserved   int            `json:"unserved"`
	Review     int            `json:"review"`
	Spam       []string       `json:"spam,omitempty"` // ids of calls taken for spam, to be skimmed
	Notify     Times          `json:"notify"`         // received to the vendor's acceptance of the provider's first message
	Failures   []Failure      `json:"failures,omitempty"`
	Findings   map[string]int `json:"findings,omitempty"` // by detector
	Gaps       []Gap          `json:"gaps,omitempty"`
	Cost       float64        `json:"cost"` // of the calls, US dollars
	Agents     []Agent        `json:"agents,omitempty"`
}

// Share is so many of so many.
type Share struct {
	Of    int `json:"of"`
	Count int `json:"count"`
}

// Add counts one more case.
func (s *Share) Add(yes bool) {
	s.Of++
	if yes {
		s.Count++
	}
}

// Times are a median and a 90th percentile, in seconds, of N cases.
type Times struct {
	N      int     `json:"n"`
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
}

// Failure is how often a provider's channel failed.
type Failure struct {
	Provider string `json:"provider"` // id
	Channel  string `json:"channel"`
	Times    int    `json:"times"`
}

// Gap is a service and place that nobody could serve.
type Gap struct {
	Service string `json:"service"`
	Place   string `json:"place"`
	Times   int    `json:"times"`
}

// Agent is a version of the site's agent.
type Agent struct {
	Agent      string `json:"agent"`
	Version    string `json:"version"`
	Dispatched Share  `json:"dispatched"`
}
