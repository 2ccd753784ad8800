package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"leadbus/internal/lead"
	"leadbus/internal/local/scenario"
	"leadbus/internal/site"
	"leadbus/internal/understand/intake"
)

// webhook is one tool call of the plan.
type webhook struct {
	at     time.Duration
	market string
	domain string
	lead   string
	body   []byte
	then   []webhook // once this one was answered 200
	amends bool      // comes after another call of the same conversation
	says   string    // the address; empty: as before
	// instead is the lead's id when the stream took the call before the one that
	// was placed first, under the same conversation id.
	instead string
	review  bool   // nobody can be texted or called back: a person has to look
	repeats string // the lead that the same customer has called in for the same job
}

// plan draws the load: webhooks at their times, some of them twice, some late
// again, some with news for a lead that was called in before.
func plan(c *site.Catalog, sites []*site.Site, seed uint64, rate float64, total time.Duration) []webhook {
	r := rand.New(rand.NewPCG(seed, 2))
	var out []webhook
	at := time.Duration(0)
	for n := 0; ; n++ {
		at += time.Duration(r.ExpFloat64() / rate * float64(time.Second))
		if at > total {
			break
		}
		s := sites[r.IntN(len(sites))]
		fields := call(c, s, seed, n, r)
		conversation, _ := fields["conversation_id"].(string)
		w := webhook{at: at, market: s.Market, domain: s.Domain, lead: lead.NewID(s.Domain, conversation)}
		kind := r.IntN(100)
		if w.review = kind < 8; w.review {
			fields["caller_id"], fields["callback_number"] = "anonymous", ""
		}
		w.body = encode(fields)
		out = append(out, w)
		again := w
		again.at += time.Duration(r.Int64N(int64(4 * time.Second)))
		switch {
		case kind < 8:
		case kind < 18: // delivered twice, the second time perhaps at once
			if kind < 13 {
				again.at = w.at
			}
			out = append(out, again)
		case kind < 22: // and late
			again.at += 5 * time.Second
			out = append(out, again)
		case kind < 34: // the caller corrects, and perhaps takes it back
			again.at, again.amends = 2*time.Second, true
			said := []string{fmt.Sprintf("Rue du Lac %d", 1+n%90), "Rue Vautier 12"}
			if kind < 30 {
				said = append(said, said[0])
			}
			last := &out[len(out)-1]
			for _, address := range said[kind%2:] {
				fields["issue_summary"], fields["address_line"] = "It has become worse.", address
				again.says, again.body = address, encode(fields)
				last.then = append(last.then, again)
			}
		case kind < 38: // the platform gives another caller the same id
			other := again
			other.instead = lead.SecondID(w.lead, fmt.Sprintf("call %s", fields["call_sid"]))
			fields["caller_id"], fields["call_sid"] = scenario.Mobile(c.MarketOf(s).Country, n+5000), fmt.Sprintf("CA%032d", 1_000_000_000+n)
			other.body, other.lead = encode(fields), lead.SecondID(w.lead, "call "+fields["call_sid"].(string))
			other.at = time.Second
			out[len(out)-1].then = []webhook{other}
		case kind < 43: // the call drops, and the customer calls again
			redial := again
			redial.repeats, redial.at = w.lead, 2*time.Second
			fields["conversation_id"], fields["call_sid"] = conversation+"_again", fmt.Sprintf("CA%032d", 2_000_000_000+n)
			redial.body, redial.lead = encode(fields), lead.NewID(s.Domain, conversation+"_again")
			out[len(out)-1].then = []webhook{redial}
		}
	}
	slices.SortStableFunc(out, func(a, b webhook) int { return int(a.at - b.at) })
	return out
}

// call is a complete tool call to a site.
func call(c *site.Catalog, s *site.Site, seed uint64, n int, r *rand.Rand) map[string]any {
	language := s.Languages[r.IntN(len(s.Languages))]
	market := c.MarketOf(s)
	served := slices.DeleteFunc(slices.Clone(market.Places), func(p site.Place) bool { return !slices.Contains(s.Places, p.ID) })
	body := intake.Example(c, s, scenario.Mobile(market.Country, n))
	maps.Copy(body, map[string]any{
		"conversation_id": fmt.Sprintf("conv_chaos_%d_%d", seed, n), "call_sid": fmt.Sprintf("CA%032d", n),
		"call_time_utc": time.Now().UTC().Format(time.RFC3339), "customer_name": customer, "language": language,
		"service_type":  c.Services[s.Services[r.IntN(len(s.Services))].ID].Names[language],
		"issue_summary": "Since this morning.", "city": served[r.IntN(len(served))].Name,
	})
	return body
}

// customer is who calls.
const customer = "Marta Salas"

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // text and numbers
	}
	return b
}

// heard is what the load knows of a lead.
type heard struct {
	market   string
	domain   string
	repeats  string // see webhook
	instead  string // see webhook
	review   bool
	says     string // the address that stands, as far as it is known
	open     bool   // a call was given up: an edge that was stopped may take it late, as the last word
	accepted time.Time
}

// client plays the voice agents and keeps what they were answered.
type client struct {
	edges []string
	log   *json.Encoder

	mu       sync.Mutex
	answers  map[string]int // by status; "none" without one
	times    []time.Duration
	leads    map[string]*heard // every lead that was tried
	accepted int
}

const (
	patience   = 10 * time.Second // of an agent with one request
	tries      = 3                // of an agent with one call
	triesPause = 1500 * time.Millisecond
)

func newClient(edges []string, log io.Writer) *client {
	return &client{edges: edges, log: json.NewEncoder(log), answers: map[string]int{}, leads: map[string]*heard{}}
}

// run sends the webhooks in their time, whatever becomes of those before, and
// returns when all are answered or given up.
func (c *client) run(ctx context.Context, begun time.Time, hooks []webhook) {
	var wg sync.WaitGroup
	for i, h := range hooks {
		if !sleep(ctx, time.Until(begun.Add(h.at))) {
			break
		}
		wg.Go(func() { c.place(ctx, h, i) })
	}
	wg.Wait()
}

// place sends one webhook until it gets a 200, as often as an agent would.
func (c *client) place(ctx context.Context, h webhook, n int) {
	c.mu.Lock()
	if c.leads[h.lead] == nil {
		c.leads[h.lead] = &heard{market: h.market, domain: h.domain, repeats: h.repeats, instead: h.instead, review: h.review}
	}
	if h.says != "" {
		c.leads[h.lead].says = "?" // until it is answered
	}
	c.mu.Unlock()
	for try := range tries {
		begun := time.Now()
		status := c.post(ctx, c.edges[(n+try)%len(c.edges)], h)
		c.answered(h, status, time.Since(begun))
		if status == "200" {
			break
		} else if !sleep(ctx, triesPause) || try == tries-1 {
			return
		}
	}
	for _, next := range h.then {
		if sleep(ctx, next.at) {
			c.place(ctx, next, n)
		}
	}
}

func (c *client) post(ctx context.Context, base string, h webhook) string {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := intake.Request(ctx, base, h.domain, secretOf(h.domain), h.body)
	if err != nil {
		return err.Error()
	}
	res, err := local.Do(r)
	if err != nil {
		if os.IsTimeout(err) {
			return "none in time"
		}
		return "no connection"
	}
	_, err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if err != nil {
		return "cut"
	}
	return fmt.Sprint(res.StatusCode)
}

func (c *client) answered(h webhook, status string, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers[status]++
	_ = c.log.Encode(map[string]any{"at": time.Now(), "lead": h.lead, "market": h.market, "status": status, "ms": took.Milliseconds(), "amends": h.amends})
	c.leads[h.lead].open = c.leads[h.lead].open || status > "999" // no number
	if status != "200" {
		return
	}
	c.times = append(c.times, took)
	l := c.leads[h.lead]
	if h.amends {
		l.says = h.says
	}
	if l.accepted.IsZero() {
		l.accepted = time.Now()
		c.accepted++
	}
}
