// Command chaos runs leadbus as it is deployed, every part a process of its
// own, calls in leads at a steady rate, kills, stops and cuts the parts
// meanwhile, and then counts from outside: every lead that was answered 200
// must be in Postgres with its match or its alarm, and everyone must have been
// told exactly once.
//
//	go run ./test/chaos --seed 7 --duration 30s --rate 5 [--cluster]
//
// Load and faults come from the seed alone. It ends with 0 when the count is
// right, else with 1, the traces of the leads that went wrong, and the logs of
// all processes.
package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
)

type settings struct {
	Seed     uint64        `default:"${seed}" help:"Seed of load and faults; by default a new one."`
	Duration time.Duration `default:"30s" help:"How long load and faults last."`
	Rate     float64       `default:"5" help:"Leads a second."`
	Cluster  bool          `help:"Three nodes, and two of every role."`
	Markets  []string      `default:"ch,id" help:"Markets that are called."`
	Patience time.Duration `default:"390s" help:"How long everything may take to come right after the last fault; the owner hears of a doubtful confirmation after five minutes."`
	Calm     bool          `help:"Load without faults."`
	Keep     bool          `help:"Keep the directory in any case."`
	Serve    bool          `help:"Start everything, say where it is, and wait for Ctrl-C."`
	Fault    []fault       `help:"Only this fault, such as 10s/broker-outage/nats/60s: when, kind, target, how long; may be repeated."`
}

func main() {
	var s settings
	kong.Parse(&s, kong.Name("chaos"), kong.Vars{"seed": fmt.Sprint(time.Now().UnixNano() % 1e6)})
	os.Exit(run(os.Stdout, s))
}

func run(out io.Writer, s settings) int {
	dir, err := os.MkdirTemp("", "chaos")
	if err == nil {
		err = os.Chmod(dir, 0o755) //nolint:gosec // the user Postgres drops to walks through it
	}
	if err != nil {
		_, _ = fmt.Fprintln(out, err)
		return 1
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	ok, err := trial(ctx, out, dir, s)
	if err != nil {
		_, _ = fmt.Fprintln(out, "chaos:", err)
	}
	if !ok || err != nil || s.Keep {
		_, _ = fmt.Fprintf(out, "schedule, answers and the logs of all processes are in %s\n", dir)
	} else {
		_ = os.RemoveAll(dir)
	}
	if !ok || err != nil {
		return 1
	}
	return 0
}

// trial is one run in a directory of its own.
func trial(ctx context.Context, out io.Writer, dir string, s settings) (bool, error) {
	_, _ = fmt.Fprintf(out, "seed %d: building and starting\n", s.Seed)
	w, err := newWorld(dir, s.Cluster, s.Markets)
	if err != nil {
		return false, err
	}
	defer w.stop()
	if err := w.start(ctx); err != nil {
		return false, err
	}
	if s.Serve {
		w.serve(ctx, out)
		return true, nil
	}
	hooks := plan(w.catalog, w.sites, s.Seed, s.Rate, s.Duration)
	faults := s.Fault
	if len(faults) == 0 && !s.Calm {
		faults = w.schedule(s.Seed, s.Duration)
	}
	var schedule strings.Builder
	for _, f := range faults {
		_, _ = fmt.Fprintln(&schedule, f)
	}
	if err := os.WriteFile(filepath.Join(dir, "faults.txt"), []byte(schedule.String()), 0o600); err != nil {
		return false, err
	}
	answers, err := os.Create(filepath.Join(dir, "answers.jsonl"))
	if err != nil {
		return false, err
	}
	defer func() { _ = answers.Close() }()
	c := newClient(w.edges, answers)
	_, _ = fmt.Fprintf(out, "%d processes; %d webhooks and %d faults in %s\n", len(w.procs)+1, len(hooks), len(faults), s.Duration)

	begun, ended := time.Now(), make(chan struct{})
	go func() {
		defer close(ended)
		w.inflict(ctx, begun, faults)
	}()
	answering, quit := context.WithCancel(ctx)
	defer quit()
	people, gone := newProviders(w, s.Seed), make(chan struct{})
	go func() {
		defer close(gone)
		people.run(answering)
	}()
	c.run(ctx, begun, hooks)
	<-ended
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	v, took := settle(ctx, w, c, s.Patience)
	quit()
	<-gone
	v.answered(people)
	v.broken = append(v.broken, w.notes...)
	table(out, s, w, c, people, faults, v, took)
	complain(out, w, v)
	return len(v.broken) == 0, ctx.Err()
}

// table prints what happened.
func table(out io.Writer, s settings, w *world, c *client, people *providers, faults []fault, v *verdict, took time.Duration) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	slices.Sort(c.times)
	at := func(q float64) time.Duration {
		if len(c.times) == 0 {
			return 0
		}
		return c.times[int(float64(len(c.times)-1)*q)].Round(100 * time.Microsecond)
	}
	kinds := map[string]int{}
	for _, f := range faults {
		kinds[f.kind]++
	}
	line("seed", "%d, %s at %g leads/s, %d broker node(s)", s.Seed, s.Duration, s.Rate, len(w.brokers))
	line("leads called in", "%d", len(c.leads))
	line("leads answered 200", "%d", c.accepted)
	line("answers by status", "%s", counts(c.answers))
	line("time to a 200", "p50 %s, p99 %s, max %s", at(.5), at(.99), at(1))
	line("leads in Postgres", "%s", counts(v.leads))
	line("providers answered", "%s; %d leads are theirs", counts(people.counts), len(people.owns))
	line("faults", "%d: %s", len(faults), counts(kinds))
	line("processes that ended unasked", "%d", len(w.unasked()))
	line("lost, doubled or wrong", "%d", len(v.broken))
	line("possible doubles marked", "%d messages; %d of them did go twice", v.marked, v.doubled)
	line("unknown, told to the owner", "%d", len(v.unknown))
	line("unknown, owner's copies", "%d", len(v.copies))
	line("slowest lead", "%s from its 200 to its last message (%s)", v.settled.Round(10*time.Millisecond), v.slowest)
	line("all right after the last fault", "%s", took.Round(100*time.Millisecond))
	_ = t.Flush()
}

// complain prints what is wrong, with traces.
func complain(out io.Writer, w *world, v *verdict) {
	most := min(len(v.broken), 40)
	for _, b := range v.broken[:most] {
		_, _ = fmt.Fprintln(out, "WRONG:", b)
	}
	if more := len(v.broken) - most; more > 0 {
		_, _ = fmt.Fprintf(out, "and %d more\n", more)
	}
	for _, u := range w.unasked() {
		_, _ = fmt.Fprintln(out, "ended unasked:", u)
	}
	if len(v.broken) == 0 {
		return
	}
	guilty := slices.Sorted(maps.Keys(v.guilty))
	for _, id := range guilty[:min(len(guilty), 3)] {
		text, err := w.leadbus("trace", id)
		if err != nil {
			text += err.Error()
		}
		_, _ = fmt.Fprintf(out, "\n--- trace of lead %s\n%s\n", id, text)
	}
}

func counts(m map[string]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, m[k]))
	}
	return strings.Join(parts, ", ")
}
