package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"leadbus/internal/app"
	"leadbus/internal/edge"
	"leadbus/internal/event"
	"leadbus/internal/intake"
	"leadbus/internal/lead"
	"leadbus/internal/site"
	"leadbus/internal/store"
	"leadbus/internal/subjects"
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
	Edge     string        `help:"Base URL of the edge; default: the one that runs on the data directory." placeholder:"URL"`
	Wait     time.Duration `help:"How long to wait for everyone to be told." default:"60s"`
	catalog  *site.Catalog
	site     *site.Site
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
	if c.Count < 1 {
		return errors.New("--count must be at least 1")
	}
	if c.Edge == "" {
		running, err := app.Running(c.Data)
		if err != nil {
			return err
		}
		c.Edge = running.EdgeURL
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

	watch := &watcher{leads: map[string]*progress{}, verbose: c.Count == 1}
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	follow, stopFollowing := context.WithCancel(ctx)
	defer stopFollowing()
	lost := make(chan error, 1)
	go func() {
		lost <- operator.Follow(follow, subjects.Lead{Market: c.site.Market, Site: c.site.Domain}, time.Now(), watch.take)
	}()

	placed := make(chan error, 1)
	go func() { placed <- c.place(ctx, watch) }()
	if err := watch.wait(ctx, placed, lost); err != nil {
		return err
	}
	for id := range watch.leads {
		if err := recorded(ctx, db, c.site.Market, id); err != nil {
			return err
		}
	}
	watch.summary(os.Stdout)
	return nil
}

// recorded waits until the lead's row is in Postgres with its decision.
func recorded(ctx context.Context, db *store.Store, market, id string) error {
	for {
		if l, err := db.Lead(ctx, market, id); err == nil && l.Status != string(lead.Pending) {
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
			start := time.Now()
			watch.expect(id, start)
			reply, err := c.post(ctx, conversation, i)
			if err != nil {
				watch.refuse(id)
				if c.Count > 1 {
					return nil // counted
				}
				return err
			}
			if c.Count == 1 {
				fmt.Printf("called %s: lead %s, reference %s\n", c.site.Domain, id, reply.Ref)
				fmt.Printf("  %6d ms  answered   say: %s\n", time.Since(start).Milliseconds(), reply.Say)
				if reply.Ask != "" {
					fmt.Printf("                        ask: %s\n", reply.Ask)
				}
			}
			watch.accept(id)
			return nil
		})
	}
	return g.Wait()
}

// post sends one tool call as the voice agent does.
func (c *callCmd) post(ctx context.Context, conversation string, n int) (intake.Reply, error) {
	var reply intake.Reply
	body, err := json.Marshal(c.payload(conversation, n))
	if err != nil {
		return reply, err
	}
	url := strings.TrimRight(c.Edge, "/") + "/v1/sites/" + c.site.Domain + "/dispatch_lead"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return reply, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(edge.SecretHeader, c.SiteSecret(c.site.Domain))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply, fmt.Errorf("the edge does not answer: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return reply, err
	}
	if err := json.Unmarshal(answer, &reply); err != nil {
		return reply, fmt.Errorf("the edge answered %s: %w", res.Status, err)
	}
	if res.StatusCode != http.StatusOK {
		return reply, fmt.Errorf("the edge answered %s: %s", res.Status, reply.Ask)
	}
	return reply, nil
}

// payload is the tool call's body: what the model fills, the bound dynamic
// variables, and the constants.
func (c *callCmd) payload(conversation string, n int) map[string]any {
	s := c.site
	language := or(c.Language, s.Languages[0])
	service := c.Service
	if service == "" {
		service = c.catalog.Services[s.Services[0].ID].Names[language]
	}
	caller := or(c.Caller, exampleMobile(c.catalog.Markets[s.Market].Country, n))
	place := c.Place
	if place == "" {
		for _, p := range c.catalog.Markets[s.Market].Places {
			if p.ID == s.Places[0] {
				place = p.Name
			}
		}
	}
	return map[string]any{
		"schema_version": "1", "source": "elevenlabs",
		"conversation_id": conversation, "agent_id": s.Agent.ID, "call_sid": "CA" + strings.ToLower(rand.Text()),
		"caller_id": caller, "called_number": s.DID, "call_time_utc": time.Now().UTC().Format(time.RFC3339), "call_duration_secs": 96,
		"customer_name": c.Name, "callback_number": or(c.Phone, caller), "language": language,
		"service_type": service, "issue_summary": "Called from 'leadbus call'.", "city": place,
		"contact_consent": true,
	}
}

// exampleMobile is a mobile number of the phone library's example ranges whose
// last five digits never are one of the codes the sandbox fails on.
func exampleMobile(country string, n int) string {
	switch country {
	case "ID":
		return fmt.Sprintf("+628123454%04d", n%10000)
	case "FR":
		return fmt.Sprintf("+3361234%04d", n%10000)
	default:
		return fmt.Sprintf("+4178124%04d", n%10000)
	}
}

// watcher follows the leads of this run.
type watcher struct {
	verbose bool // one lead: print its timeline

	mu      sync.Mutex
	leads   map[string]*progress
	refused int // calls the edge did not accept
}

func (w *watcher) expect(id string, start time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leads[id] = newProgress(start)
}

func (w *watcher) refuse(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.leads, id)
	w.refused++
}

func (w *watcher) accept(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leads[id].accepted = true
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
	return nil
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
		if p.decision != "" {
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
	all := false
	for {
		accepted, decided, done := w.counts()
		if !w.verbose {
			bar(os.Stderr, accepted, decided, done)
		}
		if all && done == accepted {
			if !w.verbose {
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
			return fmt.Errorf("follow the leads: %w", err)
		case <-ctx.Done():
			return w.unfinished()
		}
	}
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
