package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"leadbus/internal/local/sandbox"
	"leadbus/internal/subjects"
)

// fault is one thing that goes wrong for a while.
type fault struct {
	at, lasts time.Duration
	kind      string
	target    string // what it strikes: two faults never strike the same at once
	p         float64
	millis    int
	seed      uint64 // of the sandbox's draws
}

func (f fault) String() string {
	return fmt.Sprintf("%7.2fs  %-16s %-26s for %5.2fs", f.at.Seconds(), f.kind, f.target, f.lasts.Seconds())
}

// Times of faults: how long one lasts, and when the next one comes.
const (
	firstFault  = time.Second
	meanLength  = 2500 * time.Millisecond
	meanBetween = 700 * time.Millisecond
	longest     = 75 * time.Second // well past a lease
)

// vendorKinds are faults of a vendor's API, set at the sandbox.
var vendorKinds = map[string]func(*sandbox.VendorFaults, fault){
	"vendor-500":       func(v *sandbox.VendorFaults, f fault) { v.Error = f.p },
	"vendor-500-taken": func(v *sandbox.VendorFaults, f fault) { v.ErrorTaken = f.p },
	"vendor-429":       func(v *sandbox.VendorFaults, f fault) { v.TooMany, v.RetryAfter = f.p, 1+f.millis/500 },
	"vendor-timeout":   func(v *sandbox.VendorFaults, f fault) { v.Timeout, v.HoldMS = f.p/2, 15000 },
	"vendor-no-body":   func(v *sandbox.VendorFaults, f fault) { v.NoBody = f.p },
	"vendor-reset":     func(v *sandbox.VendorFaults, f fault) { v.Reset = f.p },
	"vendor-slow":      func(v *sandbox.VendorFaults, f fault) { v.DelayMS = f.millis },
}

// callbackKinds are faults of the way back from the vendors.
var callbackKinds = map[string]func(*sandbox.CallbackFaults, fault){
	"callbacks-lost":     func(c *sandbox.CallbackFaults, f fault) { c.Lost = f.p },
	"callbacks-repeated": func(c *sandbox.CallbackFaults, f fault) { c.Repeated = f.p },
	"callbacks-late":     func(c *sandbox.CallbackFaults, f fault) { c.Late, c.DelayMS = f.p, 4*f.millis },
}

// card is a kind of fault with those it may strike.
type card struct {
	kind    string
	targets []string
}

// deck is one of every kind of fault.
func (w *world) deck() []card {
	var deck []card
	for _, part := range append(subjects.RoleNames(), subjects.Edge, "nats", "postgres") {
		targets := w.names(part)
		if part == "postgres" {
			targets = []string{part}
		}
		deck = append(deck, card{"kill", targets}, card{"pause", targets})
	}
	for _, group := range []string{"/broker", "/database", "/vendors", "callbacks"} {
		for _, kind := range []string{"cut", "refuse", "delay", "reset"} {
			deck = append(deck, card{kind, w.groups(group)})
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(vendorKinds)) {
		deck = append(deck, card{kind, []string{"twilio", "mailgun"}})
	}
	for _, kind := range slices.Sorted(maps.Keys(callbackKinds)) {
		deck = append(deck, card{kind, []string{"receipts"}})
	}
	return append(deck, card{"broker-outage", []string{"nats"}}, card{"small-spool", w.names("edge")})
}

// schedule draws the faults of a run: every kind once before any comes again.
func (w *world) schedule(seed uint64, total time.Duration) []fault {
	r := rand.New(rand.NewPCG(seed, 1))
	var faults []fault
	free := map[string]time.Duration{} // when a target has recovered
	at, deck, next := firstFault, w.deck(), 0
	for {
		if next%len(deck) == 0 {
			r.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		card := deck[next%len(deck)]
		next++
		f := fault{
			at: at, kind: card.kind, target: card.targets[r.IntN(len(card.targets))],
			lasts: time.Duration(r.ExpFloat64() * float64(meanLength)), p: .1 + .8*r.Float64(), millis: 20 + r.IntN(980), seed: r.Uint64(),
		}
		if r.IntN(12) == 0 { // now and then one that outlasts a lease
			f.lasts *= 10
		}
		f.lasts = min(max(f.lasts, 100*time.Millisecond), longest)
		at += time.Duration(r.ExpFloat64() * float64(meanBetween))
		if f.at > total {
			return faults
		}
		f.lasts = min(f.lasts, total-f.at)
		if busy := free[f.target]; f.at < busy {
			continue
		}
		free[f.target] = f.at + f.lasts + 500*time.Millisecond
		faults = append(faults, f)
	}
}

// UnmarshalText reads a fault as an operator writes it.
func (f *fault) UnmarshalText(v []byte) error {
	p := strings.Split(string(v), "/")
	if len(p) != 4 {
		return fmt.Errorf("%q is not when/kind/target/length", v)
	}
	at, err := time.ParseDuration(p[0])
	lasts, err2 := time.ParseDuration(p[3])
	*f = fault{at: at, kind: p[1], target: strings.ReplaceAll(p[2], ":", "/"), lasts: lasts, p: .5, millis: 500}
	return errors.Join(err, err2)
}

// inflict makes the faults happen, each in its time, and returns when all are
// over.
func (w *world) inflict(ctx context.Context, begun time.Time, faults []fault) {
	var wg sync.WaitGroup
	for _, f := range faults {
		if !sleep(ctx, time.Until(begun.Add(f.at))) {
			break
		}
		wg.Go(func() {
			heal := w.strike(f)
			sleep(ctx, f.lasts)
			heal()
		})
	}
	wg.Wait()
}

// strike begins a fault and answers what ends it.
func (w *world) strike(f fault) (heal func()) {
	nothing := func() {}
	switch f.kind {
	case "kill":
		if f.target == "postgres" { // its keeper starts it again by itself
			signalAll(w.postgres(), syscall.SIGKILL)
			return nothing
		}
		pause := min(f.lasts, 4*time.Second)
		if f.millis%2 == 0 {
			pause = 0
		}
		if f.target == "nats-leader" {
			f.target = w.leader()
		}
		w.procs[f.target].end(syscall.SIGKILL, pause)
	case "pause":
		if f.target == "postgres" {
			pids := w.postgres()
			signalAll(pids, syscall.SIGSTOP)
			return func() { signalAll(pids, syscall.SIGCONT) }
		}
		w.procs[f.target].signal(syscall.SIGSTOP)
		return func() { w.procs[f.target].signal(syscall.SIGCONT) }
	case "reset":
		for _, k := range w.links[f.target] {
			k.reset()
		}
	case "cut":
		return w.trouble(f.target, trouble{stalled: true})
	case "refuse":
		return w.trouble(f.target, trouble{refused: true})
	case "delay":
		return w.trouble(f.target, trouble{delay: time.Duration(f.millis) * time.Millisecond / 4})
	case "broker-outage":
		for _, n := range w.names("nats") {
			w.procs[n].end(syscall.SIGKILL, f.lasts)
		}
	case "small-spool":
		// The spool is small from the start to the end of a broker's absence.
		p := w.procs[f.target]
		p.end(syscall.SIGTERM, 0, "LEADBUS_SPOOL_BYTES=65536")
		heal := w.trouble(f.target+"/broker", trouble{refused: true})
		return func() {
			heal()
			p.end(syscall.SIGTERM, 0)
		}
	default:
		return w.faults.set(f)
	}
	return nothing
}

// leader is the node that leads the first market's stream.
func (w *world) leader() string {
	leader := "nats-1"
	for _, monitor := range w.monitors {
		_ = w.streams(monitor, func(market string, s stream) { // the node may be dead
			if market == w.markets[0] && s.Name == "LEADS" && s.Cluster.Leader != "" {
				leader = s.Cluster.Leader
			}
		})
	}
	return leader
}

func (w *world) trouble(group string, t trouble) (heal func()) {
	set := func(t trouble) {
		for _, k := range w.links[group] {
			if err := k.set(t); err != nil {
				w.note("%s: %v", group, err)
			}
		}
	}
	set(t)
	return func() { set(trouble{}) }
}

func signalAll(pids []int, s syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, s) // it may be gone
	}
}

// vendorFaults are those that the sandbox has now.
type vendorFaults struct {
	url  string
	lost func(format string, args ...any)

	mu  sync.Mutex
	now map[string]fault // by kind and target
}

// set adds a fault at the sandbox.
func (v *vendorFaults) set(f fault) (heal func()) {
	key := f.kind + " " + f.target
	v.change(func() { v.now[key] = f })
	return func() { v.change(func() { delete(v.now, key) }) }
}

func (v *vendorFaults) change(what func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	what()
	var all sandbox.Faults
	for _, f := range v.now {
		if set := callbackKinds[f.kind]; set != nil {
			set(&all.Callbacks, f)
		}
		if set := vendorKinds[f.kind]; set != nil {
			to := &all.Twilio
			if f.target == "mailgun" {
				to = &all.Mailgun
			}
			set(to, f)
		}
		all.Seed ^= f.seed
	}
	r, err := http.NewRequest(http.MethodPut, v.url, bytes.NewReader(encode(all))) //nolint:noctx // bounded by the client
	if err != nil {
		return
	}
	res, err := local.Do(r)
	if err != nil {
		v.lost("the sandbox does not take its faults: %v", err)
		return
	}
	_ = res.Body.Close()
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
