// Package subjects is the only place that builds, parses or names anything on
// the bus: lead subjects, streams, durables and buckets.
//
// A lead subject has five tokens:
//
//	lead.<market>.<site>.<event>.<lead>
//	lead.ch.plombiersgeneve_ch.received.7k2mq9xe8tr5wz3hnd6y
//
// The market comes first because it is the unit of isolation (a NATS account);
// the site is its domain with "." as "_" (reversible, since a host name has no
// underscore); the lead comes last so that one person's events are
// lead.*.*.*.<lead>. A subject never carries anything personal.
//
//	request         ask.<market>.<site>.<lead>            a question of the edge to the market's matcher
//	stream  LEADS   lead.<market>.>                       every event of the market
//	stream  DLQ     dead.<market>.>                       pointers to events a role gave up
//	stream  TIMERS  timer.<market>.>                      message schedules
//	bucket  roster  one key per provider                  copied from Postgres by the recorder
//	bucket  load    one key per provider                  offers taken, kept by the matcher
//	bucket  ledger  one key per message                   the send ledger, kept by the notifier
//	bucket  watch   alarms, drift, who is at work,        kept by the scanner; the notifier raises alarms,
//	                health of providers' channels         the matcher keeps the health
//	bucket  people  who called before, who opted out      by salted hash; kept by matcher and notifier
//
// Durables on LEADS carry the name of their role.
package subjects

import (
	"cmp"
	"fmt"
	"strings"
)

// Streams, one set in each market's account.
const (
	StreamLeads  = "LEADS"
	StreamDLQ    = "DLQ"
	StreamTimers = "TIMERS"
)

// Key-value buckets, one set in each market's account.
const (
	BucketRoster = "roster"
	BucketLoad   = "load"
	BucketLedger = "ledger"
	BucketWatch  = "watch"
	BucketPeople = "people"
)

// maxToken bounds a token: a DNS name has 253 characters, everything else is
// shorter.
const maxToken = 253

// Lead addresses one event of one lead.
type Lead struct {
	Market string // market id, such as "ch"
	Site   string // the site's domain, such as "plombiersgeneve.ch"
	Event  string // one of the kinds above
	Lead   string // lead id
}

// String is the subject. Every field must have passed Validate; a Lead that
// came from Parse has.
func (l Lead) String() string {
	return "lead." + l.Market + "." + siteToken(l.Site) + "." + l.Event + "." + l.Lead
}

// Validate refuses any field that could add, widen or empty a token.
func (l Lead) Validate() error {
	for _, f := range []struct{ name, value string }{
		{"market", l.Market}, {"event", l.Event}, {"lead", l.Lead},
	} {
		if !ValidToken(f.value) {
			return fmt.Errorf("subject: %s is not a token of lower-case letters, digits and -", f.name)
		}
	}
	if !ValidDomain(l.Site) {
		return fmt.Errorf("subject: site is not a lower-case domain")
	}
	return nil
}

// Parse reads a lead subject.
func Parse(subject string) (Lead, error) {
	t := strings.Split(subject, ".")
	if len(t) != 5 || t[0] != "lead" {
		return Lead{}, fmt.Errorf("subject: want lead.<market>.<site>.<event>.<lead>, got %d tokens", len(t))
	}
	l := Lead{Market: t[1], Site: strings.ReplaceAll(t[2], "_", "."), Event: t[3], Lead: t[4]}
	return l, l.Validate()
}

// Filter is a subject in which an empty field of l stands for any value.
func Filter(l Lead) string {
	return "lead." + cmp.Or(l.Market, "*") + "." + cmp.Or(siteToken(l.Site), "*") + "." + cmp.Or(l.Event, "*") + "." + cmp.Or(l.Lead, "*")
}

// Market covers every lead event of one market.
func Market(market string) string { return "lead." + market + ".>" }

// DeadLetters covers what the roles of one market gave up.
func DeadLetters(market string) string { return "dead." + market + ".>" }

// DeadLetter is the subject of what one role gave up.
func DeadLetter(market, role string) string { return "dead." + market + "." + role }

// Timers covers every timer of one market.
func Timers(market string) string { return "timer." + market + ".>" }

// SetTimers covers the timers of one market that are set.
func SetTimers(market string) string { return "timer." + market + ".*.set.*" }

// DueTimers covers the timers of one market that are due.
func DueTimers(market string) string { return "timer." + market + ".*.due.*" }

// Timer is where the lead's timer stands; a lead has one at most.
func (l Lead) Timer() string { return l.timer("set") }

// Due is where the lead's timer comes out.
func (l Lead) Due() string { return l.timer("due") }

// Ask is where the market's matcher is asked about the lead.
func (l Lead) Ask() string { return "ask." + l.Market + "." + siteToken(l.Site) + "." + l.Lead }

// Asked covers every question about leads of one market; an empty one stands for all.
func Asked(market string) string { return "ask." + cmp.Or(market, "*") + ".>" }

// ParseAsk reads the subject of a question.
func ParseAsk(subject string) (Lead, error) {
	t := strings.Split(subject, ".")
	if len(t) != 4 || t[0] != "ask" {
		return Lead{}, fmt.Errorf("subject: want ask.<market>.<site>.<lead>, got %d tokens", len(t))
	}
	l, err := Parse("lead." + t[1] + "." + t[2] + "." + Received + "." + t[3]) // any kind: a question has none
	l.Event = ""
	return l, err
}

func (l Lead) timer(state string) string {
	l.Event = state
	return "timer" + strings.TrimPrefix(l.String(), "lead")
}

// ParseDue reads the subject of a timer that is due.
func ParseDue(subject string) (Lead, error) {
	l, err := Parse("lead" + strings.TrimPrefix(subject, "timer"))
	l.Event = ""
	return l, err
}

// ValidToken reports whether s may stand as one token of a subject: 1 to 253
// lower-case letters, digits or "-". So no dot, wildcard, space, "$" or "_"
// (which stands for a dot in a site).
func ValidToken(s string) bool {
	foreign := func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' }
	return s != "" && len(s) <= maxToken && !strings.ContainsFunc(s, foreign)
}

// ValidDomain reports whether s is a lower-case ASCII host name of at least
// two labels; internationalised names are given in their xn-- form.
func ValidDomain(s string) bool {
	labels := strings.Split(s, ".")
	if len(s) > maxToken || len(labels) < 2 {
		return false
	}
	for _, l := range labels {
		if len(l) > 63 || !ValidToken(l) || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
	}
	return true
}

func siteToken(domain string) string { return strings.ReplaceAll(domain, ".", "_") }
