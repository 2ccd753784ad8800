package process

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"leadbus/internal/local/await"
)

func TestPartsStopLastStartedFirst(t *testing.T) {
	defer goleak.VerifyNone(t)
	p := New(zerolog.Nop())
	var order []string
	for _, name := range []string{"database", "bus", "edge"} {
		started := make(chan struct{})
		p.Go(name, func(ctx context.Context) error {
			close(started)
			<-ctx.Done()
			order = append(order, name)
			return ctx.Err()
		})
		await.Value(t, name+" runs", started)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"edge", "bus", "database"}, order); d != "" {
		t.Fatal(d)
	}
	if err := p.Stop(); err != nil {
		t.Fatalf("second stop: %v", err)
	}
}

func TestALostPartEndsTheProcess(t *testing.T) {
	defer goleak.VerifyNone(t)
	for name, lost := range map[string]error{"with an error": errors.New("consumer deleted"), "silently": nil} {
		p := New(zerolog.Nop())
		p.Go("matcher", func(context.Context) error { return lost })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := p.Wait(ctx)
		cancel()
		if err == nil || !strings.HasPrefix(err.Error(), "matcher: ") {
			t.Errorf("%s: %v", name, err)
		}
		if err := p.Stop(); err != nil {
			t.Errorf("%s: stop: %v", name, err)
		}
	}
}

func TestReadiness(t *testing.T) {
	p := New(zerolog.Nop())
	var ready atomic.Bool
	p.ReadyWhen("the roster is not read", ready.Load)
	p.Lack("site one.example has no secret")
	l, err := p.Bind("private", "PRIVATE_ADDR", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.Serve("private", l, p.Private())
	addr := l.Addr().String()
	status := func(path string) (int, string) {
		t.Helper()
		res, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		said, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(said)
	}
	if got, said := status("/readyz"); got != http.StatusServiceUnavailable || said != "not ready\nthe roster is not read\nsite one.example has no secret\n" {
		t.Errorf("not ready answers %d %q", got, said)
	}
	ready.Store(true)
	if _, said := status("/readyz"); said != "ready\nsite one.example has no secret\n" {
		t.Errorf("ready says %q", said)
	}
	for _, path := range []string{"/readyz", "/healthz", "/metrics", "/debug/pprof/"} {
		if got, _ := status(path); got != http.StatusOK {
			t.Errorf("%s answers %d", path, got)
		}
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if len(p.NotReady()) == 0 {
		t.Error("ready after the stop")
	}
}

func TestATakenPortIsNamed(t *testing.T) {
	p := New(zerolog.Nop())
	defer func() { _ = p.Stop() }()
	l, err := p.Bind("edge", "ADDR", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if _, err := p.Bind("edge", "ADDR", addr); err == nil || !strings.Contains(err.Error(), addr) {
		t.Fatalf("a taken port: %v", err)
	}
}

// Whoever starts a program reads why it did not start, once and in words.
func TestMainAnswersWhyItDidNotStart(t *testing.T) {
	stopped := false
	err := Main(New(zerolog.Nop()), func(_ context.Context, p *Process) error {
		p.OnStop("database", func(context.Context) error { stopped = true; return nil })
		_, err := p.Bind("edge", "ADDR", "127.0.0.1:not-a-port")
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "edge: listen on 127.0.0.1:not-a-port") || !strings.Contains(err.Error(), "choose another ADDR") {
		t.Error(err)
	}
	if !stopped {
		t.Error("what had started was not stopped")
	}
}
