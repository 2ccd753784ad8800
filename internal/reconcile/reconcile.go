// Package reconcile compares the records that are kept of one market's calls:
// the carrier's call log, the voice vendor's conversations, our calls, leads and
// messages. Each gap between them has a name and an action. What the voice
// vendor has and we have not is fetched and published the way its webhook would
// have been, under the same id: a webhook that comes late is a repeat.
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

	"github.com/rs/zerolog"

	"leadbus/internal/alarm"
	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

// Gaps.
const (
	WebhookLost    = "conversation_without_webhook" // fetched now
	Unanswered     = "call_without_conversation"    // the agent never answered: call the customer back
	NotDispatched  = "eligible_without_lead"        // neither dispatched nor rescued
	Stuck          = "lead_without_offer"           // nothing was decided
	NobodyReported = "message_without_receipt"      // nobody knows whether it arrived
)

// Actions say what to do about a gap.
var Actions = map[string]string{
	WebhookLost:    "fetched; look at the voice vendor's webhook settings when there are many",
	Unanswered:     "call the customer back; look at the number's settings at the carrier",
	NotDispatched:  "read the call, then call the customer",
	Stuck:          "is the market's matcher running? see leadbus trace and leadbus dlq list",
	NobodyReported: "call the provider, or resend on another channel: leadbus resend",
}

const (
	// Window is how far back a pass usually looks.
	Window = 48 * time.Hour
	// Grace is how long after its end a call's webhook has had its chance.
	Grace = 2 * time.Minute

	offerTime   = 5 * time.Minute
	receiptTime = 30 * time.Minute
	abandoned   = 5           // seconds; who hung up sooner dialled by mistake
	longestWait = time.Minute // that a vendor may ask for within a pass
	sameCall    = 2 * time.Minute
)

// Voice is the voice vendor's API.
type Voice interface {
	// Conversations are those that started between two times, of one agent or,
	// with an empty id, of all. What a vendor asks to wait is a Wait.
	Conversations(ctx context.Context, agent string, from, to time.Time) ([]Conversation, error)
	// Fetch reads a conversation, and answers it as it came too.
	Fetch(ctx context.Context, id string) (call.Call, []byte, error)
}

// Conversation is a line of the voice vendor's list.
type Conversation struct {
	ID, Agent string
	Began     time.Time
	Ended     time.Time
	Over      bool // and analysed
}

// Wait is a vendor's request to come back later.
type Wait struct{ After time.Duration }

func (w Wait) Error() string { return fmt.Sprintf("the vendor asks to wait %s", w.After) }

// Carrier is the carrier's call log.
type Carrier interface {
	Dialled(ctx context.Context, from, to time.Time) ([]Dialled, error)
}

// Dialled is a call that the carrier took in.
type Dialled struct {
	ID, From, To, Status string
	At                   time.Time
	Seconds              int
	Over                 bool
}

// Stream holds the market's events.
type Stream interface {
	History(ctx context.Context, filter subjects.Lead, from time.Time, f func(event.Event, time.Time) error) error
	Publish(ctx context.Context, e event.Event) error
}

// Options are what a pass works with. A vendor that is nil is not compared.
type Options struct {
	Catalog *site.Catalog
	Market  string
	Stream  Stream
	Voice   Voice
	Carrier Carrier
	Grace   time.Duration // before a webhook counts as lost
	Now     func() time.Time
	Log     zerolog.Logger
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
	Fetched int
	// Missing are the records that could not be read, and why.
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
	p := &pass{Options: o, since: since, now: o.Now(), report: Report{Missing: map[string]error{}}, leads: map[string]*record{}, bySID: map[string]bool{}}
	if err := o.Stream.History(ctx, subjects.Lead{Market: o.Market}, since, func(e event.Event, _ time.Time) error { p.take(e); return nil }); err != nil {
		return p.report, fmt.Errorf("read the market's events: %w", err)
	}
	heard, err := p.conversations(ctx)
	if err != nil {
		p.report.Missing[VoiceVendor] = err
	}
	if err := p.dialled(ctx, heard); err != nil {
		p.report.Missing[CarrierLog] = err
	}
	p.leadsAndMessages()
	slices.SortStableFunc(p.report.Gaps, func(a, b Gap) int { return a.At.Compare(b.At) })
	return p.report, nil
}

type pass struct {
	Options
	since, now time.Time
	report     Report
	leads      map[string]*record // by lead id
	bySID      map[string]bool    // the carrier's ids of calls that had a conversation
}

// record is what our events say of a lead and its call.
type record struct {
	site           string
	ended, decided bool
	received       time.Time
	scan           *call.Scan
	scanned        time.Time
	messages       map[string]*message
}

type message struct {
	channel, recipient string
	sent               time.Time
	reported           bool
}

func (p *pass) of(l subjects.Lead) *record {
	r := p.leads[l.Lead]
	if r == nil {
		r = &record{site: l.Site, messages: map[string]*message{}}
		p.leads[l.Lead] = r
	}
	return r
}

func (r *record) message(id string) *message {
	m := r.messages[id]
	if m == nil {
		m = &message{}
		r.messages[id] = m
	}
	return m
}

func (p *pass) take(e event.Event) {
	r := p.of(e.Lead)
	switch b := e.Body.(type) {
	case *event.Ended:
		p.ended(r, b.Call)
	case *event.Scanned:
		r.scan, r.scanned = &b.Scan, e.At
	case *event.Received:
		if r.received.IsZero() {
			r.received = e.At
		}
	case *event.Decided:
		r.decided = true
	case *event.Queued:
		m := r.message(b.Message.ID)
		m.channel, m.recipient = b.Message.Channel, b.Message.Recipient
	case *event.Told:
		if b.Sent != nil {
			r.message(b.Message).sent = e.At
		}
		if e.Lead.Event == subjects.MessageFailed {
			r.message(b.Message).reported = true
		}
	case *event.Reported:
		r.message(b.Receipt.Message).reported = true
	}
}

func (p *pass) ended(r *record, c call.Call) {
	r.ended = true
	if c.CallSID != "" {
		p.bySID[c.CallSID] = true
	}
}

// conversations compares the voice vendor's list with our calls and fetches
// what is missing.
func (p *pass) conversations(ctx context.Context) ([]Conversation, error) {
	if p.Voice == nil {
		return nil, errors.New("no API key is set")
	}
	var agents []string
	if p.Market != p.Catalog.FirstMarket() { // which looks after agents of no site, too
		for _, s := range p.Catalog.Sites {
			if s.Market == p.Market {
				agents = append(agents, s.Agent.ID)
			}
		}
		slices.Sort(agents)
	} else {
		agents = []string{""}
	}
	var all []Conversation
	for _, agent := range agents {
		found, err := patient(ctx, func() ([]Conversation, error) { return p.Voice.Conversations(ctx, agent, p.since, p.now) })
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	var ours []Conversation
	for _, c := range all {
		market, domain := p.Catalog.OfAgent(c.Agent)
		if market != p.Market {
			continue
		}
		ours = append(ours, c)
		id := lead.NewID(domain, c.ID)
		if r := p.leads[id]; r != nil && r.ended || !c.Over || p.now.Sub(c.Ended) < p.Grace {
			continue
		}
		got, raw, err := fetch(ctx, p.Voice, c.ID)
		if errors.Is(err, event.ErrNotFound) { // deleted since
			continue
		} else if err != nil {
			return ours, err
		}
		e, err := event.NewEnded(market, domain, got, raw, p.now)
		if err != nil {
			return ours, err
		}
		if err := p.Stream.Publish(ctx, e); err != nil {
			return ours, err
		}
		p.ended(p.of(e.Lead), got)
		p.report.Fetched++
		p.gap(Gap{Kind: WebhookLost, Site: domain, Lead: id, Ref: c.ID, At: c.Began, Quiet: true})
	}
	return ours, nil
}

func fetch(ctx context.Context, v Voice, id string) (c call.Call, raw []byte, err error) {
	_, err = patient(ctx, func() (struct{}, error) {
		c, raw, err = v.Fetch(ctx, id)
		return struct{}{}, err
	})
	return c, raw, err
}

// patient asks again when a vendor wants to be asked a little later.
func patient[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	for {
		got, err := ask()
		var wait Wait
		if !errors.As(err, &wait) || wait.After > longestWait {
			return got, err
		}
		select {
		case <-time.After(max(wait.After, time.Second)):
		case <-ctx.Done():
			return got, errors.Join(err, ctx.Err())
		}
	}
}

// dialled compares the carrier's call log with the conversations.
func (p *pass) dialled(ctx context.Context, heard []Conversation) error {
	if p.Carrier == nil {
		return errors.New("no credentials are set")
	}
	if p.report.Missing[VoiceVendor] != nil {
		return errors.New("the conversations are not known")
	}
	calls, err := patient(ctx, func() ([]Dialled, error) { return p.Carrier.Dialled(ctx, p.since, p.now) })
	if err != nil {
		return err
	}
	for _, d := range calls {
		var of *site.Site
		for _, s := range p.Catalog.Sites {
			if s.Market == p.Market && s.DID == d.To {
				of = s
			}
		}
		ended := d.At.Add(time.Duration(d.Seconds) * time.Second)
		// A conversation that has not ended for us yet has no call id to
		// compare; one of the same agent at the same time is taken for it.
		known := slices.ContainsFunc(heard, func(c Conversation) bool {
			return of != nil && c.Agent == of.Agent.ID && c.Began.Sub(d.At).Abs() < sameCall && !p.leads[lead.NewID(of.Domain, c.ID)].hasEnded()
		})
		if of == nil || !d.Over || p.bySID[d.ID] || known || p.now.Sub(ended) < p.Grace {
			continue
		}
		p.gap(Gap{
			Kind: Unanswered, Site: of.Domain, Ref: d.ID, At: d.At, Caller: d.From,
			Detail: fmt.Sprintf("%s after %d s", d.Status, d.Seconds), Quiet: d.Seconds < abandoned && d.Status == "completed",
		})
	}
	return nil
}

func (r *record) hasEnded() bool { return r != nil && r.ended }

// leadsAndMessages looks for what stopped half way within our own events.
func (p *pass) leadsAndMessages() {
	for id, r := range p.leads {
		if s := r.scan; s != nil && s.Eligible && !s.Dispatched && !s.Recovered && r.received.IsZero() {
			p.gap(Gap{Kind: NotDispatched, Site: r.site, Lead: id, At: r.scanned})
		}
		if !r.received.IsZero() && !r.decided && p.now.Sub(r.received) > offerTime {
			p.gap(Gap{Kind: Stuck, Site: r.site, Lead: id, At: r.received, Detail: "received, nothing decided"})
		}
		for message, m := range r.messages {
			if !m.sent.IsZero() && !m.reported && p.now.Sub(m.sent) > receiptTime {
				p.gap(Gap{Kind: NobodyReported, Site: r.site, Lead: id, Ref: message, At: m.sent, Detail: m.channel + " to " + m.recipient})
			}
		}
	}
}

func (p *pass) gap(g Gap) {
	p.report.Gaps = append(p.report.Gaps, g)
	p.Log.Warn().Str("gap", g.Kind).Str("site", g.Site).Str("lead", g.Lead).Str("ref", g.Ref).Time("of", g.At).Msg("records differ")
}

// causes are the alarms that gaps raise.
var causes = map[string]string{
	Unanswered: alarm.CallWithoutConversation, NotDispatched: alarm.NotRescued,
	Stuck: alarm.LeadWithoutOffer, NobodyReported: alarm.MessageWithoutReceipt,
}

// Strikes are what the owners are to be called for.
func (r Report) Strikes() []alarm.Strike {
	var out []alarm.Strike
	for _, g := range r.Gaps {
		if g.Quiet || causes[g.Kind] == "" {
			continue
		}
		k := alarm.Strike{Site: g.Site, Cause: causes[g.Kind], ID: g.Kind + "/" + g.Lead + g.Ref, At: g.At}
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
