// Package reconcile compares the records that are kept of one market's calls:
// the carrier's call log, the voice vendor's conversations, our calls, leads and
// messages, and what the vendors of messages know of these. Each gap between them
// has a name and an action. A conversation or a receipt that only its vendor has is
// fetched and published the way its webhook would have been, under the same id: a
// webhook that comes late is a repeat.
//
// A pass reads and publishes, and keeps nothing. Two at the same time, or over
// times that overlap, find the same.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/site"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// Gaps.
const (
	WebhookLost    = "conversation_without_webhook" // fetched now
	Unfinished     = "conversation_without_end"     // the voice vendor never finished it: what was said is not known
	Unanswered     = "call_without_conversation"    // the agent never answered: call the customer back
	NotDispatched  = "eligible_without_lead"        // neither dispatched nor rescued
	Stuck          = "lead_without_offer"           // nothing was decided
	NobodyReported = "message_without_receipt"      // nobody knows whether it arrived
	TimerLost      = "lead_without_timer"           // it ought to have gone on: set anew
)

// Actions say what to do about a gap.
var Actions = map[string]string{
	WebhookLost:    "fetched, unless it says why not; look at the voice vendor's webhook settings when there are many",
	Unfinished:     "listen to it at the voice vendor, and call the customer if there was a request",
	Unanswered:     "call the customer back; look at the number's settings at the carrier",
	NotDispatched:  "read the call, then call the customer",
	Stuck:          "is the market's matcher running? see leadbus trace and leadbus dlq list",
	TimerLost:      "the lead was looked at again; is the market's matcher running when there are many?",
	NobodyReported: "call the provider, or resend on another channel: leadbus resend",
}

const (
	// Window is how far back a pass usually looks.
	Window = 48 * time.Hour
	// Grace is how long after a call's end, or after a vendor took a message, the
	// webhook has had its chance.
	Grace = 2 * time.Minute

	endTime     = 2 * time.Hour // the longest call that the voice vendor allows
	offerTime   = 5 * time.Minute
	receiptTime = 30 * time.Minute
	timerTime   = 2 * time.Minute
	abandoned   = 5 // seconds; who hung up sooner dialled by mistake
	sameCall    = 2 * time.Minute

	// before is how much earlier than the records our own events are read: what
	// is compared may go on from them.
	before = time.Hour

	vendorTime  = 2 * time.Minute // for all that is asked of one vendor
	longestWait = time.Minute     // that a vendor may ask for within a pass
	tries       = 3               // of a request that a vendor puts off
	giveUp      = 3               // conversations, or receipts of one vendor, in a row that cannot be had
)

// Voice is the voice vendor's API. An error that asks to wait is a *call.Busy.
type Voice interface {
	// List are the conversations that started between two times, of one agent
	// or, with an empty id, of all.
	List(ctx context.Context, agent string, from, to time.Time) ([]call.Conversation, error)
	// Fetch reads a conversation, and answers it as it came too.
	Fetch(ctx context.Context, id string) (call.Call, []byte, error)
}

// Carrier is the carrier's call log. An error that asks to wait is a *lead.Failure.
type Carrier interface {
	Calls(ctx context.Context, from, to time.Time) ([]call.Dialled, error)
}

// Stream holds the market's events.
type Stream interface {
	History(ctx context.Context, filter subjects.Lead, from time.Time, f func(event.Event) error) error
	Publish(ctx context.Context, e event.Event) error
	// SetTimer takes the place of the lead's timer.
	SetTimer(ctx context.Context, of subjects.Lead, at time.Time) error
}

// Options are what a pass works with. A vendor that is nil is not compared.
type Options struct {
	// Catalog holds every market: else another market's agents would be agents
	// of no site, and their calls would be stored here.
	Catalog *site.Catalog
	Market  string
	Stream  Stream
	Voice   Voice
	Carrier Carrier
	// Receipts are the vendors of messages by TextLog and MailLog.
	Receipts map[string]Receipts
	Grace    time.Duration // before a webhook counts as lost
	Now      func() time.Time
}

// Gap is something that one record has and the next has not.
type Gap struct {
	Kind   string
	Site   string
	Lead   string // or what the call's would be; empty when no conversation is known
	Ref    string // the vendor's id of the call, conversation or message
	At     time.Time
	Detail string // nothing personal
	Caller string // E.164, when only that tells whom to call back
	Quiet  bool   // nobody is called for it
}

// Report is what a pass found.
type Report struct {
	Gaps    []Gap
	Fetched int // conversations
	// Receipts counts what was fetched, repeats included.
	Receipts int
	// Missing are the records that could not be read, or not all of them, and
	// why.
	Missing map[string]error
}

// Names of the records in Report.Missing.
const (
	VoiceVendor = "elevenlabs"
	CarrierLog  = "twilio"
)

// Pass compares everything since a time. Its error means that our own events
// could not be read; a vendor that fails leaves its part out.
func Pass(ctx context.Context, o Options, since time.Time) (Report, error) {
	p := &pass{
		Options: o, since: since, now: o.Now(), report: Report{Missing: map[string]error{}},
		leads: map[string]*record{}, known: map[string][]conversation{}, bySID: map[string]bool{},
	}
	if err := o.Stream.History(ctx, subjects.Lead{Market: o.Market}, since.Add(-before), func(e event.Event) error {
		p.take(e)
		return nil
	}); err != nil {
		return p.report, fmt.Errorf("read the market's events: %w", err)
	}
	unlisted, err := p.conversations(ctx)
	if err != nil {
		p.report.Missing[VoiceVendor] = err
	}
	if err := p.dialled(ctx, unlisted); err != nil {
		p.report.Missing[CarrierLog] = err
	}
	p.receipts(ctx)
	if err := p.leadsAndMessages(ctx); err != nil {
		return p.report, err
	}
	slices.SortStableFunc(p.report.Gaps, func(a, b Gap) int { return a.At.Compare(b.At) })
	return p.report, nil
}

type pass struct {
	Options
	since, now time.Time
	report     Report
	leads      map[string]*record        // by lead id
	known      map[string][]conversation // conversations by site
	bySID      map[string]bool           // the carrier's ids of calls that had a conversation
}

// conversation is one that we have; sid is empty until it has ended for us, and where
// the voice vendor does not know the carrier's id.
type conversation struct {
	began time.Time
	sid   string
}

// record is what our events say of a lead and its call. Ages count from when
// an event was stored: it may have waited in an edge's spool.
type record struct {
	story.Record
	site    string
	ended   bool
	scanned *int                        // how much the report tells that the scan was of
	lost    time.Time                   // when a scan saw that it ought to be a lead and is none
	taken   map[string]*event.Attempted // by message: how the vendor took it
}

func (p *pass) of(l subjects.Lead) *record {
	r := p.leads[l.Lead]
	if r == nil {
		r = &record{site: l.Site, taken: map[string]*event.Attempted{}}
		p.leads[l.Lead] = r
	}
	return r
}

// take remembers an event.
func (p *pass) take(e event.Event) {
	r := p.of(e.Lead)
	switch b := e.Body.(type) {
	case *event.Ended:
		p.ended(r, b.Call)
		return
	case *event.Scanned:
		if r.scanned != nil && b.Call.Weight() <= *r.scanned {
			return
		}
		r.scanned, r.lost = new(b.Call.Weight()), time.Time{}
		if b.Scan.Eligible && !b.Scan.Dispatched && !b.Scan.Recovered {
			r.lost = e.Stored
		}
	case *event.Attempted:
		if b.Sent != nil {
			r.taken[b.Message] = b
		}
	case *event.Received:
		if sid := b.Lead.Request.CallSID; sid != "" {
			p.bySID[sid] = true
		}
	}
	r.Apply(story.Brief(e))
}

func (p *pass) ended(r *record, c call.Call) {
	r.ended = true
	p.known[r.site] = append(p.known[r.site], conversation{c.StartedAt, c.CallSID})
	if c.CallSID != "" {
		p.bySID[c.CallSID] = true
	}
}

// conversations compares the voice vendor's list with our calls and fetches
// what is missing, the newest first: its customer may still wait. It answers
// the agents whose list could not be had; an empty id stands for all.
func (p *pass) conversations(ctx context.Context) (unlisted map[string]bool, err error) {
	if p.Voice == nil {
		return map[string]bool{"": true}, errors.New("no API key is set")
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	unlisted = map[string]bool{}
	var all []call.Conversation
	var faults []error
	agents := p.agents()
	for _, agent := range agents {
		found, err := patient(ctx, func() ([]call.Conversation, error) { return p.Voice.List(ctx, agent, p.since, p.now) })
		if errors.Is(err, event.ErrUnauthenticated) || err != nil && ctx.Err() != nil {
			return map[string]bool{"": true}, err
		} else if err != nil {
			faults, unlisted[agent] = append(faults, err), true
		}
		all = append(all, found...)
	}
	if len(agents) > 0 && len(unlisted) == len(agents) {
		unlisted[""] = true
	}
	slices.SortFunc(all, func(a, b call.Conversation) int { return b.StartedAt.Compare(a.StartedAt) })
	failed := 0 // in a row
	for _, c := range all {
		market, domain := p.Catalog.OfAgent(c.AgentID)
		id := lead.NewID(domain, c.ID)
		if r := p.leads[id]; market != p.Market || r != nil && r.ended {
			continue
		}
		g := Gap{Kind: WebhookLost, Site: domain, Lead: id, Ref: c.ID, At: c.StartedAt, Quiet: true}
		over, err := c.Over() && p.now.Sub(c.EndedAt()) >= p.Grace, error(nil)
		switch {
		case !over:
		case failed == giveUp:
			err = errors.New("the vendor fails")
		default:
			err = p.fetch(ctx, market, domain, c.ID)
		}
		if over && err == nil {
			p.report.Fetched++
			failed = 0
			p.gap(g)
			continue
		}
		p.known[domain] = append(p.known[domain], conversation{began: c.StartedAt})
		if !c.Over() && p.now.Sub(c.StartedAt) > endTime {
			p.gap(Gap{Kind: Unfinished, Site: domain, Lead: id, Ref: c.ID, At: c.StartedAt})
		}
		if !over || errors.Is(err, event.ErrNotFound) { // deleted since
			continue
		}
		failed = min(failed+1, giveUp)
		faults = append(faults, err)
		g.Detail = "not fetched: " + err.Error()
		p.gap(g)
	}
	return unlisted, summary(faults)
}

// summary is the first of several faults, and how many more there are.
func summary(faults []error) error {
	switch len(faults) {
	case 0:
		return nil
	case 1:
		return faults[0]
	default:
		return fmt.Errorf("%w (and %d more)", faults[0], len(faults)-1)
	}
}

// agents are those to list: the market's own or, with an empty id, all, where
// agents that no site has are looked after as well.
func (p *pass) agents() []string {
	if p.Market == p.Catalog.FirstMarket() {
		return []string{""}
	}
	var agents []string
	for _, s := range p.Catalog.Sites {
		if s.Market == p.Market {
			agents = append(agents, s.Agent.ID)
		}
	}
	slices.Sort(agents)
	return agents
}

// fetch publishes a conversation as its webhook would have been.
func (p *pass) fetch(ctx context.Context, market, domain, id string) error {
	if domain == site.Unknown && len(p.Catalog.Broken) > 0 {
		return errors.New("its agent may be that of a site whose configuration is broken: see leadbus config check")
	}
	var c call.Call
	raw, err := patient(ctx, func() (raw []byte, err error) {
		c, raw, err = p.Voice.Fetch(ctx, id)
		return raw, err
	})
	if err != nil {
		return err
	}
	c.ID = id // as listed, whatever the conversation calls itself
	e, err := event.NewEnded(market, domain, c, raw, p.now)
	if err != nil {
		return err
	}
	if err := p.Stream.Publish(ctx, e); err != nil {
		return err
	}
	p.ended(p.of(e.Lead), c)
	return nil
}

// bounded leaves a part of the time to what comes after one vendor.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := vendorTime
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end)/2)
	}
	return context.WithTimeout(ctx, limit)
}

// busy is what a vendor asks to wait.
func busy(err error) (after time.Duration, asked bool) {
	var b *call.Busy
	var f *lead.Failure
	switch {
	case errors.As(err, &b):
		return b.After, true
	case errors.As(err, &f) && f.Class == lead.Transient:
		return f.RetryAfter, true
	}
	return 0, false
}

// patient asks again, a few times, when a vendor wants to be asked a little
// later.
func patient[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		got, err := ask()
		wait, asked := busy(err)
		if !asked || wait > longestWait || try == tries {
			return got, err
		}
		pause := max(wait, time.Second)
		if end, ok := ctx.Deadline(); ok && time.Until(end) < pause {
			return got, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return got, errors.Join(err, ctx.Err())
		}
	}
}

// dialled compares the carrier's call log with the conversations.
func (p *pass) dialled(ctx context.Context, unlisted map[string]bool) error {
	if p.Carrier == nil {
		return errors.New("no credentials are set")
	}
	if unlisted[""] {
		return errors.New("the conversations are not known")
	}
	sites := map[string]*site.Site{} // by number
	for _, s := range p.Catalog.Sites {
		if s.Market == p.Market && !unlisted[s.Agent.ID] {
			sites[s.DID] = s
		}
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	calls, err := patient(ctx, func() ([]call.Dialled, error) { return p.Carrier.Calls(ctx, p.since, p.now) })
	if err != nil {
		return err
	}
	logged := map[string]bool{}
	for _, d := range calls {
		logged[d.SID] = true
	}
	for _, d := range calls {
		to := sites[d.To]
		ended := d.StartedAt.Add(time.Duration(d.Seconds) * time.Second)
		if to == nil || !d.Over() || d.Direction != "inbound" || p.bySID[d.SID] || p.now.Sub(ended) < p.Grace {
			continue
		}
		// A conversation without an id of this log is that of the call at the
		// same time.
		if slices.ContainsFunc(p.known[to.Domain], func(t conversation) bool { return !logged[t.sid] && t.began.Sub(d.StartedAt).Abs() < sameCall }) {
			continue
		}
		g := Gap{
			Kind: Unanswered, Site: to.Domain, Ref: d.SID, At: d.StartedAt, Caller: d.From,
			Detail: fmt.Sprintf("%s after %d s", d.Status, d.Seconds), Quiet: d.Seconds < abandoned && d.Status == "completed",
		}
		if g.Quiet {
			g.Detail += ": abandoned"
		}
		p.gap(g)
	}
	return nil
}

// leadsAndMessages looks for what stopped half way within our own events.
func (p *pass) leadsAndMessages(ctx context.Context) error {
	for id, r := range p.leads {
		if r.Flagged(lead.FlagTest) { // its canary follows it
			continue
		}
		if r.lost.After(p.since) && len(r.ToolCalls) == 0 {
			p.gap(Gap{Kind: NotDispatched, Site: r.site, Lead: id, At: r.lost})
		}
		if received := r.Stored(); received.After(p.since) && r.Decision == nil && p.now.Sub(received) > offerTime {
			p.gap(Gap{Kind: Stuck, Site: r.site, Lead: id, At: received, Detail: "received, nothing decided"})
		}
		if step, _ := r.Due(p.now.Add(-timerTime)); step != (story.Step{}) && p.now.Sub(r.Decision.Stored) > timerTime {
			if err := p.Stream.SetTimer(ctx, subjects.Lead{Market: p.Market, Site: r.site, Lead: id}, p.now); err != nil {
				return err
			}
			p.gap(Gap{Kind: TimerLost, Site: r.site, Lead: id, At: r.Decision.Stored, Quiet: true})
		}
		for _, m := range r.Messages {
			if p.waits(m, receiptTime) {
				p.gap(Gap{Kind: NobodyReported, Site: r.site, Lead: id, Ref: m.ID, At: m.TakenAt, Detail: m.Channel + " to " + m.Recipient})
			}
		}
	}
	return nil
}

func (p *pass) gap(g Gap) { p.report.Gaps = append(p.report.Gaps, g) }

// causes are the alarms that gaps raise.
var causes = map[string]string{
	Unfinished: alarm.CallWithoutEnd, Unanswered: alarm.CallWithoutConversation, NotDispatched: alarm.NotRescued,
	Stuck: alarm.LeadWithoutOffer, NobodyReported: alarm.MessageWithoutReceipt,
}

// Occurrences are what the owners are to be notified of.
func (r Report) Occurrences() []alarm.Occurrence {
	var out []alarm.Occurrence
	for _, g := range r.Gaps {
		if g.Quiet || causes[g.Kind] == "" {
			continue
		}
		k := alarm.Occurrence{Site: g.Site, Cause: causes[g.Kind], ID: g.Kind + "/" + g.Lead + g.Ref, At: g.At}
		if g.Lead != "" {
			k.Leads = []string{g.Lead}
		}
		for _, f := range []alarm.Fact{{Label: "at", Value: g.At.UTC().Format(time.RFC3339)}, {Label: "call", Value: g.Ref}, {Label: "caller", Value: g.Caller}, {Label: "detail", Value: g.Detail}} {
			if f.Value != "" {
				k.Facts = append(k.Facts, f)
			}
		}
		out = append(out, k)
	}
	return out
}
