package bus

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadbus/internal/event"
	"leadbus/internal/local/await"
	"leadbus/internal/subjects"
)

// late is the edge's connection, made whether or not there is a server.
func (r *rig) late(t testing.TB) *Conn {
	t.Helper()
	o := r.options(subjects.Edge)
	o.Late = true
	c, err := Connect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func openSpool(t testing.TB, to *Conn, dir string, size int64) (s *Spool, stop func()) {
	t.Helper()
	s, err := OpenSpool(t.Context(), to, SpoolOptions{Dir: dir, MaxBytes: size, Markets: markets, Log: zerolog.Nop(), Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	ended := await.Background(t, s.Run)
	stop = sync.OnceFunc(func() { ended(); s.Close() })
	t.Cleanup(stop)
	return s, stop
}

// stored lists the message ids of a market's stream in order.
func (r *rig) stored(t testing.TB, market string) (ids []string) {
	t.Helper()
	op := r.connect(t, market+"-operator")
	defer op.Close()
	s, err := op.js.Stream(t.Context(), subjects.StreamLeads)
	if err != nil {
		t.Fatal(err)
	}
	for seq := s.CachedInfo().State.FirstSeq; seq <= s.CachedInfo().State.LastSeq && s.CachedInfo().State.Msgs > 0; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, m.Header.Get(jetstream.MsgIDHeader))
	}
	return ids
}

func (s *Spool) waiting() int {
	return int(s.state().Msgs)
}

// The bus dies and comes back: every event is accepted at once, and stands in
// the stream once and in order afterwards, whether or not the edge was started
// anew in between, with the bus still away.
func TestTheSpoolKeepsWhatTheBusDoesNotTake(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart %v", restart), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			dir := t.TempDir()
			s, stop := openSpool(t, r.late(t), dir, 64<<20)
			var want []string
			say := func(i int) {
				t.Helper()
				e := received("ch", fmt.Sprintf("l%d", i%3), fmt.Sprint(i))
				want = append(want, e.ID)
				begun := time.Now()
				for range 2 { // a webhook that comes twice
					if err := s.Publish(t.Context(), e); err != nil {
						t.Fatal(err)
					}
				}
				if took := time.Since(begun); took > soon {
					t.Errorf("accepted after %s only", took)
				}
			}
			await.True(t, "connected", s.to.Connected)
			say(0)
			r.Close()
			for i := 1; i < 20; i++ {
				say(i)
			}
			if n := s.waiting(); n != 2*19 {
				t.Errorf("%d events in the spool", n)
			}
			if restart {
				stop()
				s, _ = openSpool(t, r.late(t), dir, 64<<20)
				say(20)
			}
			r.start(t)
			await.True(t, "the spool is empty", func() bool { return s.waiting() == 0 })
			say(21)
			await.True(t, "the spool is empty", func() bool { return s.waiting() == 0 })
			if d := cmp.Diff(want, r.stored(t, "ch")); d != "" {
				t.Error(d)
			}
		})
	}
}

// A server that is there and does not answer is as good as none, and only its
// market suffers.
func TestAMarketWithoutAnswerDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	r := bareRig(t)
	if err := Provision(t.Context(), r.connect(t, "ch-operator"), "ch", Layout{}); err != nil {
		t.Fatal(err)
	}
	s, _ := openSpool(t, r.connect(t, subjects.Edge), t.TempDir(), 64<<20)
	for i := range 10 {
		if err := s.Publish(t.Context(), received("id", fmt.Sprintf("l%d", i), "x")); err != nil {
			t.Fatal(err)
		}
		if err := s.Publish(t.Context(), received("ch", fmt.Sprintf("l%d", i), "x")); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.stored(t, "ch")); n != 10 {
		t.Errorf("%d of 10 events of the healthy market", n)
	}
	if n := s.waiting(); n != 10 {
		t.Errorf("%d of 10 events of the other are kept", n)
	}
	if err := Provision(t.Context(), r.connect(t, "id-operator"), "id", Layout{}); err != nil {
		t.Fatal(err)
	}
	await.True(t, "the spool is empty", func() bool { return s.waiting() == 0 })
	if n := len(r.stored(t, "id")); n != 10 {
		t.Errorf("%d of 10 events came over", n)
	}
	if err := s.Publish(t.Context(), received("xx", "l1", "x")); err == nil {
		t.Error("an event of an unknown market was accepted")
	} else if fate, _ := event.Outcome(err, 1); fate != event.Terminate {
		t.Errorf("an unknown market may be tried again: %v", err)
	}
}

func TestAFullSpoolSaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s, _ := openSpool(t, r.late(t), t.TempDir(), 64<<10)
	await.True(t, "connected", s.to.Connected)
	r.Close()
	kept := 0
	for ; kept < 100; kept++ {
		if err := s.Publish(t.Context(), received("ch", fmt.Sprintf("l%d", kept), strings.Repeat("x", 8<<10))); err != nil {
			if !strings.Contains(err.Error(), "maximum bytes") {
				t.Errorf("full: %v", err)
			}
			break
		}
	}
	if kept == 0 || kept == 100 || kept != s.waiting() {
		t.Errorf("%d accepted, %d kept", kept, s.waiting())
	}
	r.start(t)
	await.True(t, "the spool is empty", func() bool { return s.waiting() == 0 })
	if err := s.Publish(t.Context(), received("ch", "later", "x")); err != nil {
		t.Error(err)
	}
	await.True(t, "the spool is empty", func() bool { return s.waiting() == 0 })
	if n := len(r.stored(t, "ch")); n != kept+1 {
		t.Errorf("%d of %d in the stream", n, kept+1)
	}
}

// The machine died while the spool was written: what was acknowledged before is
// there, and the edge starts.
func TestATornSpoolStarts(t *testing.T) {
	t.Parallel()
	for name, tear := range map[string]func(t *testing.T, file string){
		"cut": func(t *testing.T, file string) {
			info, err := os.Stat(file)
			if err == nil {
				err = os.Truncate(file, info.Size()-7)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		"garbage behind": func(t *testing.T, file string) {
			f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.Write([]byte("\x00\x00\x01\x17half a record"))
			}
			if err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			dir := t.TempDir()
			r.Close()
			s, stop := openSpool(t, r.late(t), dir, 64<<20)
			for i := range 10 {
				if err := s.Publish(t.Context(), received("ch", fmt.Sprintf("l%d", i), "x")); err != nil {
					t.Fatal(err)
				}
			}
			stop()
			torn := 0
			err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				switch {
				case err == nil && strings.HasSuffix(path, ".blk"):
					tear(t, path)
					torn++
				case err == nil && d.Name() == "index.db": // written by an orderly stop only
					return os.Remove(path)
				}
				return err
			})
			if err != nil || torn != 1 {
				t.Fatalf("%d files torn, %v", torn, err)
			}
			s, _ = openSpool(t, r.late(t), dir, 64<<20)
			if err := s.Publish(t.Context(), received("ch", "after", "x")); err != nil {
				t.Fatal(err)
			}
			r.start(t)
			await.True(t, "the spool is empty", func() bool { return s.waiting() == 0 })
			want := 11
			if name == "cut" {
				want = 10 // the torn one was not acknowledged
			}
			if got := r.stored(t, "ch"); len(got) != want || got[len(got)-1] != received("ch", "after", "x").ID {
				t.Errorf("%d events came over: %v", len(got), got)
			}
		})
	}
}

// Many callers at once, among them repeats, a refused one and one that is too
// large: each has its own answer, and their neighbours suffer nothing.
func TestWritesThatGoTogetherAreAnsweredApart(t *testing.T) {
	t.Parallel()
	r := bareRig(t)
	r.Close()
	r.sync = true
	r.start(t)
	op := r.connect(t, "ch-operator")
	if err := Provision(t.Context(), op, "ch", Layout{}); err != nil {
		t.Fatal(err)
	}
	taken := matched("taken", "first")
	if err := op.Publish(t.Context(), taken); err != nil {
		t.Fatal(err)
	}
	m := r.connect(t, "ch-matcher")
	const each = 60
	type answer struct{ name, err string }
	answers := make(chan answer, 5*each)
	var callers sync.WaitGroup
	start := make(chan struct{})
	call := func(name string, f func(context.Context) error) {
		callers.Go(func() {
			<-start
			text := ""
			if err := f(t.Context()); err != nil {
				text = err.Error()
			}
			answers <- answer{name, text}
		})
	}
	for i := range each {
		fresh := matched(fmt.Sprintf("f%d", i), "p")
		call("fresh", func(ctx context.Context) error { return m.Publish(ctx, fresh) })
		call("repeat", func(ctx context.Context) error { return m.Publish(ctx, fresh) })
		call("refused", func(ctx context.Context) error {
			return m.PublishFirst(ctx, matched("taken", fmt.Sprintf("p%d", i)))
		})
	}
	call("large", func(ctx context.Context) error { return m.Publish(ctx, matched("large", strings.Repeat("x", 2<<20))) })
	close(start)
	await.Return(t, "every caller has its answer", callers.Wait)
	start = make(chan struct{})
	for i := range each {
		call("alone", func(ctx context.Context) error { return m.Publish(ctx, matched(fmt.Sprintf("a%d", i), "p")) })
	}
	close(start)
	await.Return(t, "every caller has its answer", callers.Wait)
	close(answers)
	for a := range answers {
		want := map[string]string{"refused": event.ErrConflict.Error(), "large": "maximum payload"}[a.name]
		if (want == "") != (a.err == "") || !strings.Contains(a.err, want) {
			t.Errorf("%s: %q", a.name, a.err)
		}
	}
	stored := map[string]int{}
	for _, id := range r.stored(t, "ch") {
		stored[id]++
	}
	want := map[string]int{taken.ID: 1}
	for i := range each {
		want[matched(fmt.Sprintf("f%d", i), "p").ID] = 1
		want[matched(fmt.Sprintf("a%d", i), "p").ID] = 1
	}
	if d := cmp.Diff(want, stored); d != "" {
		t.Error(d)
	}
	s, err := op.js.Stream(t.Context(), subjects.StreamLeads)
	if err != nil {
		t.Fatal(err)
	}
	together := 0
	for seq := uint64(2); seq <= s.CachedInfo().State.LastSeq; seq++ {
		if msg, err := s.GetMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		} else if msg.Header.Get("Nats-Batch-Id") != "" {
			together++
		}
	}
	if together == 0 {
		t.Error("none went together")
	}
}
