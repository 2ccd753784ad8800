// Package daily counts a market's events into the days of its owners. It is
// pure: events in, figures out, the same for the same events however often they
// come.
//
// An event belongs to the day in which the stream took it, so each counts in
// exactly one, whatever came late. Test leads count as canaries and as nothing
// else.
package daily

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/event/digest"
	"leadbus/internal/lead"
	"leadbus/internal/site"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// Before is how long before a day events must be read, so that what becomes of
// a lead in the day can be told by whom and since when.
const Before = 12 * time.Hour

// arrival is the time a canary has to arrive in. Canaries of the last moments
// of a day belong to the next one.
const arrival = 5 * time.Minute

// Day is the count of one day. It keeps ids and figures.
type Day struct {
	market   string
	from, to time.Time
	leads    map[string]*life  // by id
	alarms   map[string]string // site by id
}

// life is what the day must know of a lead or of the call it is about.
type life struct {
	story.Record
	site           string // domain
	reports, scans heaviest
	cost           float64
	scan           *scan
}

// heaviest is what counts of the reports on a call, or of the scans of them: the
// one that tells most, on the day of the first.
type heaviest struct {
	first  time.Time
	weight int
	counts bool
}

// takes reports whether an event replaces what counts so far.
func (h *heaviest) takes(d *Day, e event.Event) bool {
	if h.first.IsZero() {
		h.first = e.Stored
	}
	c := story.ReportOf(e)
	if c == nil || !d.holds(h.first) || !d.holds(e.Stored) || h.counts && c.Weight() <= h.weight {
		return false
	}
	h.weight, h.counts = c.Weight(), true
	return true
}

type scan struct {
	call.Scan
	agent, version string
}

// New begins the day from one moment to another, see digest.Window.
func New(market string, from, to time.Time) *Day {
	return &Day{market: market, from: from, to: to, leads: map[string]*life{}, alarms: map[string]string{}}
}

// Add counts an event. Events come in stream order, from Before the day on;
// those after it only say what arrived.
func (d *Day) Add(e event.Event) {
	l := d.life(e.Lead)
	switch b := e.Body.(type) {
	case *event.Ended:
		if l.reports.takes(d, e) {
			l.cost = b.Call.Cost
		}
	case *event.Scanned:
		if l.scans.takes(d, e) {
			l.scan = &scan{b.Scan, b.Call.AgentID, b.Call.Version}
		}
	case *event.Raised:
		if d.holds(e.Stored) {
			d.alarms[b.Alarm.ID] = e.Lead.Site
		}
	default:
		if _, decided := b.(*event.Decided); !decided || e.Stored.Before(d.to) {
			l.Apply(story.Brief(e))
		}
	}
}

// holds reports whether a moment is of the day.
func (d *Day) holds(at time.Time) bool { return !at.Before(d.from) && at.Before(d.to) }

func (d *Day) life(of subjects.Lead) *life {
	if d.leads[of.Lead] == nil {
		d.leads[of.Lead] = &life{site: of.Site}
	}
	return d.leads[of.Lead]
}

func (l *life) test() bool {
	return l.Flagged(lead.FlagTest) || l.scan != nil && l.scan.Why == call.Test
}

// Of is the day of the owner of some sites, in their order. It is there when
// nothing happened, too.
func (d *Day) Of(sites []string) digest.Digest {
	out := digest.Digest{Market: d.market, From: d.from, To: d.to, Sites: make([]digest.Site, len(sites))}
	for i, s := range sites {
		out.Sites[i] = d.site(s)
	}
	for _, s := range d.alarms {
		if slices.Contains(sites, s) {
			out.Alarms++
		}
	}
	for _, l := range d.leads {
		if l.test() && len(l.ToolCalls) > 0 && d.holds(l.Stored().Add(arrival)) {
			out.Canaries.Add(slices.ContainsFunc(l.Messages, func(m story.Message) bool {
				return m.Recipient == lead.ToProvider && !m.DeliveredAt.IsZero()
			}))
		}
	}
	return out
}

func (d *Day) site(name string) digest.Site {
	s := digest.Site{Site: name, Findings: map[string]int{}}
	var waits []float64
	failures, gaps, agents := map[digest.Failure]int{}, map[digest.Gap]int{}, map[digest.Agent]digest.Share{}
	for _, id := range slices.Sorted(maps.Keys(d.leads)) { // sums of money depend on the order
		l := d.leads[id]
		if l.site != name || l.test() {
			continue
		}
		came := d.holds(l.Stored())
		count(&s.Leads, came)
		count(&s.Rescued, came && slices.Contains(l.ToolCalls[0].Body.(*event.Received).Lead.Flags, lead.FlagRecovered))
		if l.Decision != nil && d.holds(l.Decision.Stored) {
			switch l.Outcome() {
			case lead.Unserved:
				s.Unserved++
				gaps[digest.Gap{Service: l.Lead.Service, Place: l.Lead.Place}]++
			case lead.NeedsReview:
				s.Review++
			default:
				s.Matched++
			}
		}
		var first story.Message // that a provider got
		for _, m := range l.Messages {
			if m.Recipient != lead.ToProvider {
				continue
			}
			if !m.TakenAt.IsZero() && (first.TakenAt.IsZero() || m.TakenAt.Before(first.TakenAt)) {
				first = m
			}
			if d.holds(m.RefusedAt) && m.ErrorClass != string(lead.Superseded) {
				failures[digest.Failure{Provider: m.Provider, Channel: m.Channel}]++
			}
		}
		if d.holds(first.TakenAt) && len(l.ToolCalls) > 0 {
			waits = append(waits, max(first.SentAt.Sub(l.ToolCalls[0].At).Seconds(), 0))
		}
		if l.reports.counts {
			s.Calls++
			s.Cost += l.cost
		}
		if c := l.scan; c != nil {
			if (c.Why == call.Spam || c.Why == call.Pitch) && !c.Eligible {
				s.Spam = append(s.Spam, id)
			}
			for _, detector := range c.detectors() {
				s.Findings[detector]++
			}
			if c.Eligible {
				s.Eligible++
				s.Dispatched.Add(c.Dispatched)
				of := digest.Agent{Agent: c.agent, Version: c.version}
				share := agents[of]
				share.Add(c.Dispatched)
				agents[of] = share
			}
		}
	}
	s.Notify = times(waits)
	s.Failures = counted(failures, func(f *digest.Failure, n int) { f.Times = n }, func(a, b digest.Failure) int {
		return cmp.Or(cmp.Compare(b.Times, a.Times), cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Channel, b.Channel))
	})
	s.Gaps = counted(gaps, func(g *digest.Gap, n int) { g.Times = n }, func(a, b digest.Gap) int {
		return cmp.Or(cmp.Compare(b.Times, a.Times), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Place, b.Place))
	})
	s.Agents = counted(agents, func(a *digest.Agent, share digest.Share) { a.Dispatched = share }, func(a, b digest.Agent) int {
		return cmp.Or(cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.Version, b.Version))
	})
	return s
}

// counted are the keys of a count, each with its figure set, in order.
func counted[K comparable, V any](of map[K]V, set func(*K, V), order func(a, b K) int) []K {
	var out []K
	for k, v := range of {
		set(&k, v)
		out = append(out, k)
	}
	slices.SortFunc(out, order)
	return out
}

func count(n *int, yes bool) {
	if yes {
		*n++
	}
}

// detectors are those that found something, each once.
func (s scan) detectors() []string {
	found := map[string]bool{}
	for _, f := range s.Findings {
		found[f.Detector] = true
	}
	return slices.Collect(maps.Keys(found))
}

// times are the middle of seconds, and the second below which nine of ten lie.
func times(seconds []float64) digest.Times {
	n := len(seconds)
	if n == 0 {
		return digest.Times{}
	}
	slices.Sort(seconds)
	return digest.Times{
		N:      n,
		Median: (seconds[(n-1)/2] + seconds[n/2]) / 2,
		P90:    seconds[int(math.Ceil(0.9*float64(n)))-1],
	}
}

// Owner is somebody with sites in a market, told by the mail address.
type Owner struct {
	Email string
	Sites []string // domains, in order
}

// Owners are those of a market, in the order of their first sites. A site
// without an owner's address has nobody to be told.
func Owners(c *site.Catalog, market string) []Owner {
	var owners []Owner
	for _, domain := range slices.Sorted(maps.Keys(c.Sites)) {
		s := c.Sites[domain]
		if s.Market != market || s.Owner.Email == "" {
			continue
		}
		i := slices.IndexFunc(owners, func(o Owner) bool { return strings.EqualFold(o.Email, s.Owner.Email) })
		if i < 0 {
			i = len(owners)
			owners = append(owners, Owner{Email: s.Owner.Email})
		}
		owners[i].Sites = append(owners[i].Sites, domain)
	}
	return owners
}

// Made is the event of an owner's day, addressed to the first of the sites. The
// same day has the same id, however often it is counted.
func Made(d digest.Digest, at time.Time) event.Event {
	first := d.Sites[0].Site
	id := lead.NewID(first, "digest\x00"+d.To.UTC().Format(time.RFC3339))
	return event.Event{
		ID: subjects.DigestMade + "-" + id, At: at.UTC(),
		Lead: subjects.Lead{Market: d.Market, Site: first, Event: subjects.DigestMade, Lead: id},
		Body: &event.Digested{Digest: d},
	}
}
