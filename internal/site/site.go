// Package site loads and checks the configuration of markets and sites, and
// answers who owns a domain, a dialled number or an agent.
//
// A configuration directory holds
//
//	markets/<id>.yaml     zone, languages, calendar, places and decoys
//	sites/<domain>.yaml   one website with its number, agent, services, senders
//	services.yaml         the services of the trade, with phrases per language
//	trackers.yaml         conversion trackers
//	templates.yaml        approved WhatsApp content templates
//	agents/<name>.md      prompts of the voice agents
//	roster.yaml           an example roster covering every site; not read here
//
// Every file is checked against schema.json, which editors use as well, and
// then for what it refers to. All faults are found at once, each with its
// place. A fault in a site file takes that one site out of service; a fault
// anywhere else is an error, since every site may depend on it.
package site

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"leadbus/internal/lead"
	"leadbus/internal/roster"
)

// Catalog is the whole configuration, checked.
type Catalog struct {
	Markets   map[string]*Market   // by id
	Sites     map[string]*Site     // by domain; a broken site is not in it
	Services  map[string]*Service  // by id
	Trades    map[string][]string  // words for a trade as such, in every language
	Trackers  map[string]*Tracker  // by id
	Templates map[string]*Template // by content SID

	// Broken holds the faults of each site file that has any, by the domain
	// the file is named after.
	Broken map[string][]Fault
}

// Fault is one thing wrong in one place of the configuration.
type Fault struct {
	File         string
	Line, Column int
	Message      string // what is wrong and what to do
}

func (f Fault) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
}

// Faults are all things wrong with a configuration, one a line, in the order of
// files and lines.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// Faults are the faults of every site file.
func (c *Catalog) Faults() []Fault {
	return sorted(slices.Concat(slices.Collect(maps.Values(c.Broken))...))
}

// Market is one country area with its own calendar and places: a tenant, the
// unit of isolation.
type Market struct {
	ID        string   `yaml:"id"`
	Name      string   `yaml:"name"`
	Country   string   `yaml:"country"` // ISO 3166 alpha-2; the region dictated numbers are read in
	Zone      string   `yaml:"zone"`    // IANA
	Languages []string `yaml:"languages"`
	// Neighbours are countries whose numbers callers dictate without prefix.
	Neighbours []string  `yaml:"neighbours,omitempty"`
	Holidays   []Holiday `yaml:"holidays"`
	// Opening is when offers of the slower classes run, by day; Hours is the same.
	Opening map[string]string `yaml:"hours,omitempty"`
	Hours   roster.Hours      `yaml:"-"`
	// QuietText is when nobody gets a text that they did not ask for, such as
	// "21:00-08:00"; see Quiet.
	QuietText string      `yaml:"quiet,omitempty"`
	quiet     roster.Span `yaml:"-"` // the same; empty for none
	Places    []Place     `yaml:"places"`
	Decoys    []Decoy     `yaml:"decoys"`
	Canary    Canary      `yaml:"canary,omitempty"`

	Location *time.Location `yaml:"-"`
}

// Place is one row of a market's working list.
type Place struct {
	ID        string   `yaml:"id"`
	Name      string   `yaml:"name"`
	Parent    string   `yaml:"parent,omitempty"` // the place it is part of
	Postcodes []string `yaml:"postcodes,omitempty"`
	Aliases   []string `yaml:"aliases,omitempty"`
}

// Decoy is a place that is known and out of area; it stops a fuzzy match.
type Decoy struct {
	Name    string   `yaml:"name"`
	Aliases []string `yaml:"aliases,omitempty"`
}

// Canary is where the market's test leads go.
type Canary struct {
	Email string `yaml:"email"` // empty when the market has none
}

// Holiday is one dated day off. On a closed one (Nyepi) nothing happens at
// all: not even after-hours providers are asked.
type Holiday struct {
	Date   string `yaml:"date"` // 2006-01-02
	Name   string `yaml:"name"`
	Closed bool   `yaml:"closed,omitempty"`
}

// Site is one website with its dialled number and voice agent.
type Site struct {
	Domain    string        `yaml:"domain"`
	URL       string        `yaml:"url"`
	Market    string        `yaml:"market"`
	Brand     string        `yaml:"brand"` // how people know it, in texts
	DID       string        `yaml:"did"`   // E.164
	Agent     Agent         `yaml:"agent"`
	Services  []SiteService `yaml:"services"`
	Main      string        `yaml:"main_service,omitempty"` // what a word for the trade means
	Places    []string      `yaml:"places"`                 // ids served; a place serves its parts
	Languages []string      `yaml:"languages"`              // the first one is the default
	Tracker   string        `yaml:"tracker,omitempty"`
	Senders   Senders       `yaml:"senders"`
	Owner     Owner         `yaml:"owner"`
	Dispatch  Dispatch      `yaml:"dispatch,omitempty"`

	// Texts override message texts, by language and text name.
	Texts map[string]map[string]string `yaml:"texts,omitempty"`
}

// Agent is the site's ElevenLabs voice agent.
type Agent struct {
	ID           string            `yaml:"id"`
	Voice        string            `yaml:"voice"`
	VoiceName    string            `yaml:"voice_name"`
	Model        string            `yaml:"model"`
	Prompt       string            `yaml:"prompt"`        // file in agents/
	FirstMessage map[string]string `yaml:"first_message"` // by language, with the AI and recording disclosure
	InitialWait  float64           `yaml:"initial_wait"`  // seconds; acts only where the first message is empty
	Closings     []string          `yaml:"closings"`      // farewells that only this agent uses, as plain words
}

// SiteService is a service the site offers, with phrases beyond the trade's.
type SiteService struct { //nolint:revive // Service is a service of the trade
	ID      string              `yaml:"id"`
	Phrases map[string][]string `yaml:"phrases,omitempty"` // by language
	Mode    string              `yaml:"mode,omitempty"`    // instead of the site's
	Class   string              `yaml:"class,omitempty"`   // likewise
}

// Senders are the addresses a site writes from.
type Senders struct {
	SMS      Sender         `yaml:"sms"`
	WhatsApp WhatsAppSender `yaml:"whatsapp"`
	Mail     Sender         `yaml:"mail"`
}

// Sender is one address with its rate limit.
type Sender struct {
	From      string  `yaml:"from"`                 // E.164, alphanumeric sender, or mail address
	PerSecond float64 `yaml:"per_second,omitempty"` // messages per second and process; default by channel
}

// Of is the sender of a channel.
func (s Senders) Of(channel string) Sender {
	return map[string]Sender{lead.SMS: s.SMS, lead.WhatsApp: {s.WhatsApp.From, s.WhatsApp.PerSecond}, lead.Email: s.Mail}[channel]
}

// WhatsAppSender is a WhatsApp number with its approved templates.
type WhatsAppSender struct {
	From      string                       `yaml:"from"` // E.164
	PerSecond float64                      `yaml:"per_second,omitempty"`
	Templates map[string]map[string]string `yaml:"templates"` // purpose (offer, update, invite) → language → content SID
}

// Owner gets a copy of everything and the alarms.
type Owner struct {
	Email    string `yaml:"email"`
	Phone    string `yaml:"phone,omitempty"` // E.164, for alarms by SMS
	Language string `yaml:"language"`
	// Copies are further addresses that get the mail on each call.
	Copies []string `yaml:"copies,omitempty"`
	// Escalation is called as well when an alarm is not acknowledged; either
	// field may be empty.
	Escalation Escalation `yaml:"escalation,omitempty"`
}

// Escalation is who is called when the owner does not answer.
type Escalation struct {
	Email string `yaml:"email,omitempty"`
	Phone string `yaml:"phone,omitempty"` // E.164
}

// Service is one service of the trade.
type Service struct {
	ID        string              `yaml:"id"`
	Names     map[string]string   `yaml:"names"`               // by language
	Phrases   map[string][]string `yaml:"phrases"`             // by language
	Sensitive bool                `yaml:"sensitive,omitempty"` // health: details stay out of SMS and WhatsApp
}

// Template is an approved WhatsApp content template. Its body is kept beside
// its id so that variables and lengths can be checked before the vendor does.
type Template struct {
	SID      string `yaml:"sid"` // HX…
	Name     string `yaml:"name"`
	Purpose  string `yaml:"purpose"` // offer, update, invite, verify
	Language string `yaml:"language"`
	Body     string `yaml:"body"` // with {{1}}, {{2}}, …
	// Buttons are what the quick replies of an invite send back; {{6}} is the token
	// of the link to the offer.
	Buttons []string `yaml:"buttons,omitempty"`
}

// Unknown is the site of calls whose agent no site has; their market is the
// first one.
const Unknown = "unknown.invalid"

// OfAgent is the market and site that a voice agent belongs to.
func (c *Catalog) OfAgent(agent string) (market, domain string) {
	for domain, s := range c.Sites {
		if s.Agent.ID == agent {
			return s.Market, domain
		}
	}
	return c.FirstMarket(), Unknown
}

// OfNumber is the site that a number or a sender belongs to, the first by domain;
// nil for none.
func (c *Catalog) OfNumber(number string) *Site {
	for _, domain := range slices.Sorted(maps.Keys(c.Sites)) {
		if s := c.Sites[domain]; number != "" && slices.Contains([]string{s.DID, s.Senders.SMS.From, s.Senders.WhatsApp.From}, number) {
			return s
		}
	}
	return nil
}

// FirstMarket is the one that looks after what belongs to none.
func (c *Catalog) FirstMarket() string { return slices.Min(slices.Collect(maps.Keys(c.Markets))) }

// MarketOf is the site's market.
func (c *Catalog) MarketOf(s *Site) *Market { return c.Markets[s.Market] }
