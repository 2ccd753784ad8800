package digest

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"leadbus/internal/call"
	"leadbus/internal/lead"
)

// Hour is when a day ends and its digest is made, local time.
const Hour = 7

// Window is the day that ended last: from seven to seven by the wall clock, so
// it has 23 or 25 hours when the clocks change.
func Window(now time.Time, zone *time.Location) (from, to time.Time) {
	now = now.In(zone)
	to = time.Date(now.Year(), now.Month(), now.Day(), Hour, 0, 0, 0, zone)
	if to.After(now) {
		to = time.Date(now.Year(), now.Month(), now.Day()-1, Hour, 0, 0, 0, zone)
	}
	return time.Date(to.Year(), to.Month(), to.Day()-1, Hour, 0, 0, 0, zone), to
}

// Day gathers what happened in a market. It keeps ids and counts; what happens
// twice counts once. Test leads count as canaries only.
type Day struct {
	sites   map[string]*gathered
	leads   map[string]*story
	alarms  map[string]bool
	scanned map[string]bool
}

// gathered is what is counted for a site as it comes.
type gathered struct {
	Site
	agents map[Agent]Share // by agent and version alone
}

// story is what became of one lead.
type story struct {
	site           string
	test, rescued  bool
	received, told time.Time
	decision       string
	service, place string
	messages       map[string]*sent
}

type sent struct {
	recipient, provider, channel string
	failed, delivered            bool
}

// NewDay has nothing in it.
func NewDay() *Day {
	return &Day{sites: map[string]*gathered{}, leads: map[string]*story{}, alarms: map[string]bool{}, scanned: map[string]bool{}}
}

func (d *Day) site(domain string) *gathered {
	g := d.sites[domain]
	if g == nil {
		g = &gathered{Site: Site{Site: domain, Findings: map[string]int{}}, agents: map[Agent]Share{}}
		d.sites[domain] = g
	}
	return g
}

func (d *Day) lead(domain, id string) *story {
	s := d.leads[id]
	if s == nil {
		s = &story{site: domain, messages: map[string]*sent{}}
		d.leads[id] = s
	}
	return s
}

func (s *story) message(id string) *sent {
	m := s.messages[id]
	if m == nil {
		m = &sent{}
		s.messages[id] = m
	}
	return m
}

// Alarm counts an alarm that was raised.
func (d *Day) Alarm(id string) { d.alarms[id] = true }

// Call counts a finished call as it was scanned.
func (d *Day) Call(domain, id string, c call.Call, s call.Scan) {
	if d.scanned[id] || s.Why == "test" {
		return
	}
	d.scanned[id] = true
	g := d.site(domain)
	g.Calls++
	g.Cost += c.Cost
	for _, f := range s.Findings {
		g.Findings[f.Detector]++
	}
	if s.Why == "spam" {
		g.Spam = append(g.Spam, id)
	}
	if !s.Eligible {
		return
	}
	g.Eligible++
	of := Agent{Agent: c.AgentID, Version: c.Version}
	share := g.agents[of]
	share.Of++
	if s.Dispatched {
		share.Count++
	}
	g.agents[of] = share
}

// Received counts a lead.
func (d *Day) Received(domain string, l lead.Lead, at time.Time) {
	s := d.lead(domain, l.ID)
	if s.received.IsZero() {
		s.received = at
	}
	s.test = s.test || slices.Contains(l.Flags, "test")
	s.rescued = s.rescued || slices.Contains(l.Flags, "recovered")
}

// Decided counts what became of a lead; the last decision counts.
func (d *Day) Decided(domain, kind string, l lead.Lead) {
	s := d.lead(domain, l.ID)
	s.decision, s.service, s.place = kind, l.Service.Name, l.Place.Name
}

// Queued says whom a message is for.
func (d *Day) Queued(domain, id string, m lead.Message) {
	of := d.lead(domain, id).message(m.ID)
	of.recipient, of.provider, of.channel = m.Recipient, m.Provider, m.Channel
}

// Sent counts that a vendor took a message.
func (d *Day) Sent(domain, id, message string, at time.Time) {
	s := d.lead(domain, id)
	if m := s.message(message); m.recipient == lead.ToProvider && (s.told.IsZero() || at.Before(s.told)) {
		s.told = at
	}
}

// Reported counts how a message ended.
func (d *Day) Reported(domain, id, message string, state lead.MessageState) {
	m := d.lead(domain, id).message(message)
	switch state {
	case lead.MessageFailed, lead.MessageSuppressed:
		m.failed = true
	case lead.MessageDelivered, lead.MessageRead:
		m.delivered = true
	}
}

// Kinds of decision, as the events are called.
const (
	matched  = "matched"
	amended  = "amended"
	unserved = "unserved"
	review   = "review-requested"
)

// Of sums the day up for the sites of an owner.
func (d *Day) Of(market string, from, to time.Time, domains []string) Digest {
	out := Digest{Market: market, From: from, To: to, Alarms: len(d.alarms)}
	waits, gaps, failures := map[string][]float64{}, map[string]map[Gap]int{}, map[string]map[Failure]int{}
	sites := map[string]*Site{}
	for _, domain := range slices.Sorted(slices.Values(domains)) {
		s := d.site(domain).Site
		s.Findings, s.Spam = maps.Clone(s.Findings), slices.Sorted(slices.Values(s.Spam))
		for of, share := range d.sites[domain].agents {
			s.Dispatched.Of += share.Of
			s.Dispatched.Count += share.Count
			s.Agents = append(s.Agents, Agent{of.Agent, of.Version, share})
		}
		slices.SortFunc(s.Agents, func(a, b Agent) int {
			return cmp.Or(cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.Version, b.Version))
		})
		sites[domain], gaps[domain], failures[domain] = &s, map[Gap]int{}, map[Failure]int{}
	}
	for _, l := range d.leads {
		if l.received.IsZero() {
			continue
		}
		if l.test {
			out.Canaries.Of++
			for _, m := range l.messages {
				if m.delivered {
					out.Canaries.Count++
					break
				}
			}
			continue
		}
		s := sites[l.site]
		if s == nil {
			continue
		}
		s.Leads++
		if l.rescued {
			s.Rescued++
		}
		switch l.decision {
		case matched, amended:
			s.Matched++
		case unserved:
			s.Unserved++
			gaps[l.site][Gap{Service: l.service, Place: l.place}]++
		case review:
			s.Review++
		}
		if !l.told.IsZero() {
			waits[l.site] = append(waits[l.site], l.told.Sub(l.received).Seconds())
		}
		for _, m := range l.messages {
			if m.failed && m.recipient == lead.ToProvider {
				failures[l.site][Failure{Provider: m.provider, Channel: m.channel}]++
			}
		}
	}
	for domain, s := range sites {
		s.Notify = times(waits[domain])
		for g, n := range gaps[domain] {
			g.Times = n
			s.Gaps = append(s.Gaps, g)
		}
		slices.SortFunc(s.Gaps, func(a, b Gap) int {
			return cmp.Or(cmp.Compare(b.Times, a.Times), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Place, b.Place))
		})
		for f, n := range failures[domain] {
			f.Times = n
			s.Failures = append(s.Failures, f)
		}
		slices.SortFunc(s.Failures, func(a, b Failure) int {
			return cmp.Or(cmp.Compare(b.Times, a.Times), cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Channel, b.Channel))
		})
	}
	for _, domain := range slices.Sorted(maps.Keys(sites)) {
		out.Sites = append(out.Sites, *sites[domain])
	}
	return out
}

// times are by nearest rank: of few cases a percentile is one of them.
func times(seconds []float64) Times {
	slices.Sort(seconds)
	rank := func(p float64) float64 {
		if len(seconds) == 0 {
			return 0
		}
		return seconds[max(0, int(math.Ceil(p*float64(len(seconds))))-1)]
	}
	return Times{N: len(seconds), Median: rank(.5), P90: rank(.9)}
}
