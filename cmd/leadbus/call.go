package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"leadbus/internal/app"
	"leadbus/internal/engine/store"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/local/scenario"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
	"leadbus/internal/understand/intake"
)

type callCmd struct {
	app.Settings
	Site     string        `help:"Domain of the site that is called." default:"plombiersgeneve.ch" placeholder:"DOMAIN"`
	Service  string        `help:"What the caller asks for, in their words or a service id; default: the site's first service." placeholder:"TEXT"`
	Place    string        `help:"Where, in their words; default: the site's first place." placeholder:"TEXT"`
	Phone    string        `help:"The dictated number; default: the number they call from." placeholder:"NUMBER"`
	Name     string        `help:"The caller's name." default:"Marta Salas" placeholder:"TEXT"`
	Language string        `help:"The language spoken; default: the site's first." placeholder:"CODE"`
	Caller   string        `help:"The number they call from; default: an example mobile number of the market." placeholder:"NUMBER"`
	Count    int           `help:"How many calls." default:"1"`
	Scenario string        `help:"Play a whole phone call, with its report by the voice vendor, instead of a bare tool call: ${scenarios}. Needs the sandbox." enum:"${scenarios}," default:"" placeholder:"NAME"`
	Answer   string        `help:"Play the providers to whom the lead is offered, in the sandbox: all accept; or the first one declines, and the next one accepts; or nobody answers." enum:"accept,decline,none," default:"" placeholder:"accept|decline|none"`
	Edge     string        `help:"Base URL of the edge; default: the one that runs on the data directory." placeholder:"URL"`
	Wait     time.Duration `help:"How long to wait for everyone to be told; default: 60s, and 6m for a lost webhook and a call that no agent takes." placeholder:"DURATION"`
	catalog  *site.Catalog
	site     *site.Site
	sandbox  string
	first    int // number of a caller
}

// concurrentCalls is how many callers of --count talk at the same time.
const concurrentCalls = 8

func (c *callCmd) Run(ctx context.Context) error {
	var err error
	if c.catalog, err = site.Load(c.Config); err != nil {
		return err
	}
	if c.site = c.catalog.Sites[c.Site]; c.site == nil {
		return fmt.Errorf("no site %q in %s/sites; 'leadbus config check' lists them", c.Site, c.Config)
	}
	c.first = mathrand.IntN(10_000) // the same caller for the same job is the same lead
	if c.Count < 1 {
		return errors.New("--count must be at least 1")
	}
	if c.Wait == 0 {
		c.Wait = time.Minute
		if _, rings := scenario.Rings[c.Scenario]; rings || c.Scenario == "webhook-lost" {
			c.Wait = 6 * time.Minute
		}
	}
	if c.Edge == "" || c.Scenario != "" || c.Answer != "" {
		running, err := app.Running(c.Data)
		if err != nil {
			return err
		}
		c.Edge, c.sandbox = cmp.Or(c.Edge, running.EdgeURL), running.SandboxURL
	}
	if c.Scenario+c.Answer != "" && c.sandbox == "" {
		return errors.New("--scenario and --answer need the sandbox, where vendors and handsets can be played; this leadbus talks to real vendors")
	}
	operator, err := app.Operator(ctx, c.Settings, c.site.Market, zerolog.Nop())
	if err != nil {
		return err
	}
	defer operator.Close()
	db, err := app.OpenDatabase(ctx, c.Settings)
	if err != nil {
		return err
	}
	defer db.Close()

	watch := &watcher{leads: map[string]*progress{}, verbose: c.Count == 1, answers: c.Answer}
	if c.Answer != "" {
		watch.press = func(m lead.Message, answer string) error { return c.press(ctx, m, answer) }
	}
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	lost := make(chan error, 1)
	go func() {
		lost <- operator.Follow(ctx, subjects.Lead{Market: c.site.Market, Site: c.site.Domain}, time.Now(), watch.take)
	}()

	placed := make(chan error, 1)
	go func() { placed <- c.place(ctx, watch) }()
	if err := watch.wait(ctx, placed, lost); err != nil {
		return err
	}
	for id, p := range watch.leads {
		if p.Decision == nil {
			continue // a call without a lead
		}
		if err := recorded(ctx, db, c.site.Market, id, p.Decision.Seq); err != nil {
			return err
		}
	}
	watch.summary(os.Stdout)
	return nil
}

// recorded waits until the lead's row is in Postgres with its decision.
func recorded(ctx context.Context, db *store.Store, market, id string, decision uint64) error {
	for {
		if l, err := db.Lead(ctx, market, id); err == nil && l.LastSeq >= decision {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lead %s has no row yet: are the market's recorder and Postgres running?", id)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// place makes the calls, a few at the same time.
func (c *callCmd) place(ctx context.Context, watch *watcher) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(concurrentCalls)
	for i := range c.Count {
		g.Go(func() error {
			conversation := "conv_" + strings.ToLower(rand.Text())
			id := lead.NewID(c.site.Domain, conversation)
			_, rings := scenario.Rings[c.Scenario]
			if rings { // there is no conversation, only a phone call
				conversation = "CA" + strings.ToLower(rand.Text())
				id = lead.NewID(c.site.Domain, "call\x00"+conversation)
			}
			if c.Count == 1 {
				fmt.Printf("calling %s: lead %s, reference %s\n", c.site.Domain, id, lead.Ref(id))
			}
			start := time.Now()
			watch.expect(id, &progress{start: start, reported: c.Scenario != "" && !rings, answered: c.Answer != "", offered: map[string]lead.Message{}})
			reply, err := c.dial(ctx, conversation, i)
			if err != nil {
				watch.answered(id, false)
				if c.Count > 1 {
					return nil // counted
				}
				return err
			}
			if c.Count == 1 {
				if reply.Say != "" {
					fmt.Printf("  %6d ms  answered   say: %s\n", time.Since(start).Milliseconds(), reply.Say)
				}
				if reply.Ask != "" {
					fmt.Printf("                        ask: %s\n", reply.Ask)
				}
			}
			watch.answered(id, true)
			return nil
		})
	}
	return g.Wait()
}

// dial is one call: its tool call alone, or the scenario with all that belongs
// to it.
func (c *callCmd) dial(ctx context.Context, conversation string, n int) (intake.Reply, error) {
	if c.Scenario == "" {
		body, err := json.Marshal(c.payload(conversation, n))
		if err != nil {
			return intake.Reply{}, err
		}
		_, reply, err := c.post(ctx, body)
		return reply, err
	}
	said := c.payload(conversation, n)
	if ring, ok := scenario.Rings[c.Scenario]; ok {
		ring.From, ring.To, ring.SID = fmt.Sprint(said["caller_id"]), c.site.DID, conversation
		body, err := json.Marshal(ring)
		if err != nil {
			return intake.Reply{}, err
		}
		return intake.Reply{}, c.play(ctx, "/api/rings", body)
	}
	text := func(field string) string { return fmt.Sprint(said[field]) }
	play, err := scenario.Build(c.Scenario, scenario.Site{
		Language: text("language"), AgentID: c.site.Agent.ID, DID: c.site.DID, Brand: c.site.Brand,
		Greeting: c.site.Agent.FirstMessage[text("language")], Service: text("service_type"), Place: text("city"),
	}, scenario.Call{ConversationID: conversation, Caller: text("caller_id"), Name: c.Name, Ended: time.Now()})
	if err != nil {
		return intake.Reply{}, err
	}
	var replies [][]byte
	var last intake.Reply
	for _, body := range play.Tools {
		answer, reply, err := c.post(ctx, body)
		if err != nil {
			return reply, err
		}
		replies, last = append(replies, answer), reply
	}
	return last, c.play(ctx, "/api/calls", play.Conversation(replies...))
}

// play lets the sandbox's vendors report a call.
func (c *callCmd) play(ctx context.Context, path string, call []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.sandbox+path, bytes.NewReader(call))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the sandbox does not answer: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusCreated {
		why, _ := io.ReadAll(io.LimitReader(res.Body, 1000)) // it is in the error as far as it came
		return fmt.Errorf("the sandbox answered %s: %s", res.Status, why)
	}
	return nil
}

// post sends one tool call as the voice agent does.
func (c *callCmd) post(ctx context.Context, body []byte) (answer []byte, reply intake.Reply, err error) {
	r, err := intake.Request(ctx, c.Edge, c.site.Domain, c.SiteSecret(c.site.Domain), body)
	if err != nil {
		return nil, reply, err
	}
	return intake.Do(http.DefaultClient, r)
}

// press presses a button below a WhatsApp message in the sandbox.
func (c *callCmd) press(ctx context.Context, m lead.Message, answer string) error {
	body, err := json.Marshal(map[string]string{
		"channel": m.Channel, "from": m.To, "to": m.From, "text": answer, "button": answer + ":" + m.ContentVariables["6"],
	})
	if err != nil {
		return err
	}
	return c.play(ctx, "/api/texts", body)
}

// payload is the tool call's body.
func (c *callCmd) payload(conversation string, n int) map[string]any {
	caller := cmp.Or(c.Caller, scenario.Mobile(c.catalog.MarketOf(c.site).Country, c.first+n))
	body := intake.Example(c.catalog, c.site, caller)
	if c.Language != "" {
		body["language"], body["service_type"] = c.Language, c.catalog.Services[c.site.Services[0].ID].Names[c.Language]
	}
	for field, said := range map[string]string{"service_type": c.Service, "city": c.Place, "callback_number": c.Phone} {
		if said != "" {
			body[field] = said
		}
	}
	body["conversation_id"], body["call_sid"] = conversation, "CA"+strings.ToLower(rand.Text())
	body["call_time_utc"], body["call_duration_secs"] = time.Now().UTC().Format(time.RFC3339), 96
	body["customer_name"], body["issue_summary"] = c.Name, "Called from 'leadbus call'."
	return body
}

// watcher follows the leads of this run.
type watcher struct {
	verbose bool // one lead: print its timeline
	answers string
	press   func(m lead.Message, answer string) error // nil: nobody answers

	mu      sync.Mutex
	leads   map[string]*progress
	refused int // calls the edge did not accept
}

// answered notes whether the edge accepted the call of a lead.
func (w *watcher) answered(id string, accepted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leads[id].accepted = accepted; !accepted {
		delete(w.leads, id)
		w.refused++
	}
}

// expect follows a lead from now on.
func (w *watcher) expect(id string, p *progress) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leads[id] = p
}

// take is called for every event of the site.
func (w *watcher) take(e event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.leads[e.Lead.Lead]
	if p == nil {
		return nil
	}
	line := p.take(e)
	if w.verbose {
		p.print(os.Stdout, e.At, line)
	}
	return w.answer(p, e)
}

// answer plays the provider whose WhatsApp message with the offer has arrived.
func (w *watcher) answer(p *progress, e event.Event) error {
	r, ok := e.Body.(*event.Reported)
	if !ok || w.press == nil || r.Receipt.State != lead.MessageDelivered || r.Receipt.Channel != lead.WhatsApp || r.Receipt.Purpose != lead.PurposeOffer {
		return nil
	}
	m := p.offered[r.Receipt.Message]
	answer := event.Accept
	if w.answers == "none" || m.ContentVariables["6"] == "" {
		return nil
	} else if w.answers == event.Decline && !p.declined {
		p.declined, answer = true, event.Decline
	}
	return w.press(m, answer)
}

// counts answers how many leads were accepted, matched and told.
func (w *watcher) counts() (accepted, decided, done int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.leads {
		if !p.accepted {
			continue
		}
		accepted++
		if p.Decision != nil {
			decided++
		}
		if p.done() {
			done++
		}
	}
	return accepted, decided, done
}

// wait returns when all calls are placed and every accepted lead was told.
func (w *watcher) wait(ctx context.Context, placed, lost <-chan error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	all, live := false, !w.verbose && terminal(os.Stderr)
	for {
		accepted, decided, done := w.counts()
		if live {
			bar(os.Stderr, accepted, decided, done)
		}
		if all && done == accepted {
			if live {
				fmt.Fprintln(os.Stderr)
			}
			return nil
		}
		select {
		case <-tick.C:
		case err := <-placed:
			if err != nil {
				return err
			}
			all, placed = true, nil
		case err := <-lost:
			if err == nil { // its time is over as well
				return w.unfinished()
			}
			return fmt.Errorf("follow the leads: %w", err)
		case <-ctx.Done():
			return w.unfinished()
		}
	}
}

// terminal reports whether a person looks on.
func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func bar(out io.Writer, accepted, decided, done int) {
	const width = 30
	filled := width * done / max(accepted, 1)
	_, _ = fmt.Fprintf(out, "\r  [%s%s] %d accepted, %d decided, %d told ", strings.Repeat("#", filled), strings.Repeat(".", width-filled), accepted, decided, done)
}

func (w *watcher) unfinished() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, p := range w.leads {
		if p.accepted && !p.done() {
			return fmt.Errorf("gave up waiting; lead %s: %s", id, p.missing())
		}
	}
	return errors.New("gave up waiting")
}

// summary says what became of the run.
func (w *watcher) summary(out io.Writer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.verbose {
		for id, p := range w.leads {
			p.summary(out, id)
		}
		return
	}
	var slowest time.Duration
	for _, p := range w.leads {
		slowest = max(slowest, p.last.Sub(p.start))
	}
	_, _ = fmt.Fprintf(out, "%d leads recorded, decided and told; %d calls not accepted; slowest %d ms\n", len(w.leads), w.refused, slowest.Milliseconds())
}
