// Package roster holds the providers of a market and the pure choice of who
// gets a lead, with the trace that explains it.
package roster

import (
	"time"

	"leadbus/internal/lead"
)

// Canary is the provider of test leads: a mailbox of the market's, which the
// matcher makes up. No roster can hold this id.
const Canary = "_canary"

// Provider does the work. The owner edits providers in Postgres; the matcher
// reads the copy in the market's roster bucket.
type Provider struct {
	ID       string `json:"id" yaml:"id" db:"id"` // stable key; never a phone number
	Market   string `json:"market" yaml:"market" db:"-"`
	Name     string `json:"name" yaml:"name" db:"name"`
	Active   bool   `json:"active" yaml:"active" db:"active"`
	Priority int    `json:"priority" yaml:"priority" db:"priority"` // 1 is asked first

	Services  []string `json:"services" yaml:"services" db:"services"`    // service ids
	Places    []string `json:"places" yaml:"places" db:"places"`          // place ids; a place covers its parts
	Languages []string `json:"languages" yaml:"languages" db:"languages"` // the first one is written to

	Hours      Hours   `json:"hours" yaml:"-" db:"hours"`
	AfterHours bool    `json:"after_hours" yaml:"after_hours" db:"after_hours"` // takes leads outside Hours
	Leave      []Leave `json:"leave,omitempty" yaml:"leave" db:"leave"`
	Caps       Caps    `json:"caps" yaml:"caps" db:"-"`

	WhatsApp string `json:"whatsapp,omitempty" yaml:"whatsapp" db:"whatsapp"` // E.164
	SMS      string `json:"sms,omitempty" yaml:"sms" db:"sms"`                // E.164, a mobile number
	Email    string `json:"email,omitempty" yaml:"email" db:"email"`
}

// Channel is a way to reach a provider.
type Channel struct {
	Channel string // whatsapp, sms, email
	Address string
}

// Address is where the address of a channel stands.
func (p *Provider) Address(channel string) *string {
	return map[string]*string{lead.WhatsApp: &p.WhatsApp, lead.SMS: &p.SMS, lead.Email: &p.Email}[channel]
}

// Channels are the provider's, in the order in which they are told.
func (p Provider) Channels() []Channel {
	var out []Channel
	for _, c := range lead.Channels {
		if a := *p.Address(c); a != "" {
			out = append(out, Channel{c, a})
		}
	}
	return out
}

// Hours are opening hours by weekday, in the market's zone.
type Hours map[time.Weekday][]Span

// Span is one opening interval in minutes since local midnight; Until may be
// over 1440 for a span that ends after midnight.
type Span struct {
	From  int `json:"from"`
	Until int `json:"until"`
}

// Leave is an absence over whole local days, both included ("2006-01-02").
type Leave struct {
	From  string `json:"from" yaml:"from"`
	Until string `json:"until" yaml:"until"`
}

// Caps limit the offers a provider gets; zero means no limit. Days and weeks
// (Monday first) are the market's.
type Caps struct {
	Day  int `json:"day,omitempty" yaml:"day"`
	Week int `json:"week,omitempty" yaml:"week"`
}

// Load is what a provider was offered so far, kept by the matcher.
type Load struct {
	Day         string    `json:"day,omitempty"`  // the local day DayOffers counts, "2006-01-02"
	DayOffers   int       `json:"day_offers"`     //
	Week        string    `json:"week,omitempty"` // the local Monday WeekOffers counts
	WeekOffers  int       `json:"week_offers"`    //
	LastOfferAt time.Time `json:"last_offer_at,omitzero"`
	AwayUntil   string    `json:"away_until,omitempty"` // the last day of the leave that the provider announced
}

// Verdict says whether one provider was eligible, and why not.
type Verdict struct {
	Provider string `json:"provider"`
	Name     string `json:"name"`
	In       bool   `json:"in"`
	Reason   string `json:"reason"` // chosen, eligible, or why it was out
}

// Trace is every provider of the market with its verdict, in the order they
// would be asked; it answers "why did X not get it?".
type Trace []Verdict
