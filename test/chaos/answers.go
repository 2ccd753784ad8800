package main

import (
	"context"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"leadbus/internal/event"
	token "leadbus/internal/lead/link"
)

// The delivery loop in the world: how sites offer their leads, with windows that a run
// sees the end of, and providers none of whose addresses work.
var (
	offered = map[string]string{
		"electriciengeneve.example": "offer", "serruriergeneve.example": "broadcast", "balisurfschool.example": "offer",
	}
	broken = map[string]string{ // by provider: the numbers that it is given
		"rapide-plomberie": "+417812", "ubud-motor": "+62812345",
	}
	// short are the sites whose leads may find nobody: their only provider may be
	// a broken one.
	short = map[string]bool{"plombiersgeneve.ch": true, "baliscooters.example": true}
)

const classes = "classes: { standard: { window: 5s, hops: 3, text: 4s, page: 9s } }"

// providers play those who are offered leads: they accept, at one edge or at two at the
// same moment, decline, or stay silent until the offer expires.
type providers struct {
	w      *world
	seed   uint64
	links  *token.Signer
	wg     sync.WaitGroup
	mu     sync.Mutex
	seen   map[string]bool   // offers
	owns   map[string]string // lead → the offer whose provider read that it is theirs
	twice  []string          // leads that two providers read are theirs
	counts map[string]int    // answers
}

func newProviders(w *world, seed uint64) *providers {
	return &providers{w: w, seed: seed, links: token.New(linkSecret), seen: map[string]bool{}, owns: map[string]string{}, counts: map[string]int{}}
}

// offer is an open one as Postgres has it.
type offer struct{ Market, Site, Lead, ID string }

// run answers whatever is offered, until ctx ends. Postgres may be away meanwhile.
func (p *providers) run(ctx context.Context) {
	for sleep(ctx, 200*time.Millisecond) {
		for _, o := range p.open(ctx) {
			p.mu.Lock()
			known := p.seen[o.ID]
			p.seen[o.ID] = true
			p.mu.Unlock()
			if !known {
				p.wg.Go(func() { p.answer(ctx, o) })
			}
		}
	}
	p.wg.Wait()
}

func (p *providers) open(ctx context.Context) []offer {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.w.database)
	if err != nil {
		return nil
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, _ := conn.Query(ctx, `select o.market, l.site, o.lead, o.id from leadbus.offer o join leadbus.lead l on l.market = o.market and l.id = o.lead
		where o.ended_at is null and o.until is not null`)
	found, _ := pgx.CollectRows(rows, pgx.RowToStructByPos[offer]) // else it is asked again
	return found
}

// answer plays one provider, as the seed and the offer have it.
func (p *providers) answer(ctx context.Context, o offer) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(o.ID))
	r := rand.New(rand.NewPCG(p.seed, h.Sum64()))
	if !sleep(ctx, time.Duration(r.Int64N(int64(1500*time.Millisecond)))) {
		return
	}
	accept := url.Values{"answer": {event.Accept}}
	switch n := r.IntN(10); {
	case n < 3: // until the page takes it
		for !p.press(ctx, o, r.IntN(len(p.w.edges)), accept) && sleep(ctx, time.Second) {
		}
	case n < 6: // a double tap, which meets two edges
		var both sync.WaitGroup
		for i := range 2 {
			both.Go(func() { p.press(ctx, o, i%len(p.w.edges), accept) })
		}
		both.Wait()
	case n < 8:
		p.press(ctx, o, r.IntN(len(p.w.edges)), url.Values{"answer": {event.Decline}, "reason": {"no_time"}})
	}
}

// press answers an offer at an edge, and reports whether a page came.
func (p *providers) press(ctx context.Context, o offer, edge int, form url.Values) bool {
	said := p.links.Token(token.Link{Market: o.Market, Site: o.Site, ID: o.Lead, Asks: token.Offer, Offer: o.ID, Until: time.Now().Add(time.Hour)})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.w.edges[edge]+token.Path+said, strings.NewReader(form.Encode()))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := local.Do(req)
	if err != nil {
		return false
	}
	page, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[form.Get("answer")+" "+res.Status[:3]]++
	if err != nil || res.StatusCode >= http.StatusInternalServerError {
		return false
	}
	if strings.Contains(string(page), customer) { // only who has the lead reads it
		if other := p.owns[o.Lead]; other != "" && other != o.ID {
			p.twice = append(p.twice, o.Lead)
		}
		p.owns[o.Lead] = o.ID
	}
	return true
}
