// Package scanner is the role that looks at one market's finished calls and
// says what went wrong, saves the lead that the agent never passed on, and
// notifies the owner.
//
//	call-ended ─► quality.Scan ─► findings ──────────────────────► call-scanned
//	                 │ eligible, and no lead
//	                 └─► rebuilt from the call ─► can be sent ───► received, flagged recovered
//	                                          └─► else ──────────► the owner is asked
//	owner-answered ─► confirm ───────────────────────────────────► received
//	                  acknowledge ─► the alarm is quiet
//
// A fault of a call, or of many calls of an agent, becomes an alarm
// (package watch). A call's scan stands until a report tells more of the call:
// scanning the same again, in a replica or in a replay, adds nothing. A lead is
// rescued once, whatever the reports say.
package scanner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/role/scanner/quality"
	"leadbus/internal/site"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
	"leadbus/internal/understand/intake"
)

// confirmed is the flag of a rebuilt lead that the owner confirmed.
const confirmed = "confirmed"

// Watch notifies the owner.
type Watch interface {
	// Raise notifies the owner where that is due; the same occurrence counts once.
	Raise(ctx context.Context, occurrences ...alarm.Occurrence) error
	// Observe counts a call for its agent and says what is alarming about it.
	Observe(ctx context.Context, st *site.Site, scanned *event.Scanned, id string) ([]alarm.Occurrence, error)
	// Acknowledge makes the alarm with the id quiet.
	Acknowledge(ctx context.Context, id string, at time.Time) error
	// Settle takes a lead that the owner decided on out of the alarm about it.
	Settle(ctx context.Context, site, lead string, at time.Time) error
}

// Options are what a scanner works with.
type Options struct {
	Catalog  *site.Catalog
	Market   string
	Stream   event.FirstStream
	Watch    Watch
	Now      func() time.Time
	Log      zerolog.Logger
	Registry prometheus.Registerer
}

// Scanner handles one market's deliveries. It is safe for concurrent use and
// beside other scanners of the market.
type Scanner struct {
	Options
	reader *intake.Reader
	calls  *prometheus.CounterVec
}

// New makes a scanner.
func New(o Options) *Scanner {
	s := &Scanner{Options: o, reader: intake.New(o.Catalog), calls: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "leadbus_calls_scanned_total", ConstLabels: prometheus.Labels{"market": o.Market},
		Help: "Finished calls by what became of them: dispatched, recovered, asked (waits for the owner), other (no lead was due), unknown (of an agent that no site has).",
	}, []string{"outcome"})}
	if o.Registry != nil {
		o.Registry.MustRegister(s.calls)
	}
	return s
}

// Handle takes one delivery of the scanner's durable.
func (s *Scanner) Handle(ctx context.Context, d event.Delivery) error {
	switch b := d.Body.(type) {
	case *event.Ended:
		if b.Voice != nil {
			return s.voice(ctx, d, *b.Voice)
		}
		return s.ended(ctx, d, b.Call)
	case *event.Answered:
		return s.answered(ctx, d, *b)
	default:
		return event.Permanent(fmt.Errorf("the scanner does not handle %s", d.Lead.Event))
	}
}

// ended scans a call, saves its lead, and notifies the owner where that is due.
func (s *Scanner) ended(ctx context.Context, d event.Delivery, c call.Call) error {
	st := s.Catalog.Sites[d.Lead.Site]
	if st == nil {
		s.calls.WithLabelValues("unknown").Inc()
		return s.Watch.Raise(ctx, alarm.Occurrence{
			Cause: alarm.UnknownAgent, About: c.AgentID, ID: d.Lead.Lead, At: c.StartedAt, Leads: []string{d.Lead.Lead},
			Facts: []alarm.Fact{{Label: "agent", Value: c.AgentID}, {Label: "conversation", Value: c.ID}},
		})
	}
	scanned, err := s.scan(ctx, d, st)
	if err != nil {
		return err
	}
	s.Log.Info().Str("site", st.Domain).Str("lead", d.Lead.Lead).Bool("eligible", scanned.Scan.Eligible).
		Str("status", scanned.Status).Int("findings", len(scanned.Scan.Findings)).Msg("call scanned")
	occurrences, err := s.Watch.Observe(ctx, st, scanned, d.Lead.Lead)
	if err != nil {
		return err
	}
	if d.Attempt > 1 && scanned.Status != event.Asked { // an earlier attempt may have asked, or stopped half-way
		if err := s.Watch.Settle(ctx, st.Domain, d.Lead.Lead, d.At); err != nil {
			return err
		}
	}
	return s.Watch.Raise(ctx, occurrences...)
}

// voice notifies the owner of a voice that goes.
func (s *Scanner) voice(ctx context.Context, d event.Delivery, v call.Voice) error {
	var sites []string
	for domain, st := range s.Catalog.Sites {
		if st.Market == s.Market && st.Agent.Voice == v.ID {
			sites = append(sites, domain)
		}
	}
	slices.Sort(sites)
	goes := ""
	if !v.Goes.IsZero() {
		goes = v.Goes.Format(time.DateOnly)
	}
	return s.Watch.Raise(ctx, alarm.Occurrence{
		Cause: alarm.VoiceRemoved, About: v.ID, ID: d.ID, At: d.At,
		Facts: []alarm.Fact{{Label: "voice", Value: v.ID}, {Label: "name", Value: v.Name}, {Label: "goes", Value: goes}, {Label: "sites", Value: strings.Join(sites, ", ")}},
	})
}

// scan is the scan of what is known of the call: made now, or the one that
// stands.
func (s *Scanner) scan(ctx context.Context, d event.Delivery, st *site.Site) (*event.Scanned, error) {
	events, err := s.Stream.Events(ctx, subjects.Lead{Market: d.Lead.Market, Site: d.Lead.Site, Lead: d.Lead.Lead})
	if err != nil {
		return nil, err
	}
	report := story.Heaviest(append(events, d.Event), subjects.CallEnded) // a replica of the stream may lag behind
	c := report.Body.(*event.Ended).Call
	var before *event.Scanned
	if e := story.Heaviest(events, subjects.CallScanned); e != nil {
		before = e.Body.(*event.Scanned)
		answered := slices.ContainsFunc(events, func(e event.Event) bool { _, is := e.Body.(*event.Answered); return is })
		if answered || before.Call.Weight() >= c.Weight() {
			return before, nil
		}
	}
	to := d.Lead
	to.Event = subjects.CallScanned
	out := &event.Scanned{Call: c}
	r := story.Of(events)
	if passedOn(r) {
		out.Lead, out.Status = r.Understood(), string(r.Outcome())
		if d := r.Decided(); d != nil && d.Provider != nil {
			out.Provider = d.Provider.Name
		}
	}
	qc := quality.Context{
		Lead: out.Lead != nil, Languages: st.Languages, Closings: st.Agent.Closings, Numbers: []string{st.DID}, Recorded: true,
	}
	l := s.rebuild(st, d.Lead.Lead, c, report.At)
	qc.Service, qc.Place = named(l)
	if out.Lead != nil {
		qc.Flags, qc.Test = out.Lead.Flags, out.Lead.Test()
	}
	out.Scan = call.Scan{Dispatched: c.Dispatched() || out.Lead != nil, Findings: quality.Scan(c, qc)}
	out.Scan.Eligible, out.Scan.Why = quality.Eligible(c, qc)
	outcome := "other"
	switch {
	case out.Scan.Dispatched:
		outcome = "dispatched"
	case len(r.ToolCalls) > 0: // rescued before
		out.Lead, out.Scan.Recovered, out.Status, outcome = r.Understood(), true, event.Recovered, event.Recovered
	case lost(out.Scan):
		out.Lead, out.Scan.Recovered = &l, true
		out.Status, outcome = event.Asked, event.Asked
		if resolved(l) && out.Scan.Why == "" {
			out.Status, outcome = event.Recovered, event.Recovered
			e, err := received(d.Lead, l, report.At)
			if err == nil {
				err = s.Stream.PublishFirst(ctx, e)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	scanned := event.Event{ID: fmt.Sprintf("%s-%s-%d", to.Event, to.Lead, c.Weight()), At: s.Now().UTC(), Lead: to, Body: out}
	publish := s.Stream.PublishFirst // a conflict: the next delivery sees what another replica did
	if before != nil {
		out.Before, publish = before.Before+1, s.Stream.Publish
	}
	if out.Status == event.Asked { // before anybody can answer
		err = s.Watch.Raise(ctx, alarm.Occurrence{
			Site: st.Domain, Cause: alarm.NotRescued, ID: d.Lead.Lead, At: c.StartedAt, Leads: []string{d.Lead.Lead},
		})
	}
	if err == nil {
		err = publish(ctx, scanned)
	}
	if err == nil && before != nil && before.Status == event.Asked && out.Status != event.Asked {
		err = s.Watch.Settle(ctx, st.Domain, d.Lead.Lead, d.At)
	}
	if err != nil {
		return nil, err
	}
	s.calls.WithLabelValues(outcome).Inc()
	return out, nil
}

// lost reports whether a customer waits and nobody knows.
func lost(scan call.Scan) bool {
	return slices.ContainsFunc(scan.Findings, func(f call.Finding) bool {
		return f.Detector == call.MissedDispatch || f.Detector == call.PromiseWithoutDispatch || f.Detector == call.ToolError && scan.Eligible
	})
}

// passedOn reports whether the agent passed the lead on; else a scanner rebuilt
// it, or nobody knows of it.
func passedOn(r story.Record) bool {
	return slices.ContainsFunc(r.ToolCalls, func(e event.Event) bool {
		return !slices.Contains(e.Body.(*event.Received).Lead.Flags, lead.FlagRecovered)
	})
}
