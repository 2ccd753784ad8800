package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
)

// Bind takes the address of a setting (port 0 picks a free one) without
// answering yet: callers wait in the backlog until Serve.
func (p *Process) Bind(name, setting, addr string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: listen on %s: %w; choose another %s (port 0 picks a free one)", name, addr, err, setting)
	}
	p.OnStop(name+" listener", func(context.Context) error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return l, nil
}

// Serve answers on l until the stop, which finishes the requests in flight.
func (p *Process) Serve(name string, l net.Listener, h http.Handler) {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      60 * time.Second, // a profile on the private listener takes 30 s
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	p.Go(name, func(ctx context.Context) error {
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
		}
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopBound/2)
		defer cancel()
		return errors.Join(s.Shutdown(bound), ctx.Err())
	})
}

// Private is the handler of the private listener: /healthz (the process runs),
// /readyz (it can do its work; and a line for each thing that is missing),
// /metrics and /debug/pprof/.
func (p *Process) Private() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		said := "ready"
		why := p.NotReady()
		if len(why) > 0 {
			said = "not ready"
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, strings.Join(slices.Concat([]string{said}, why, p.Lacks()), "\n")+"\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	return mux
}

// Logger writes JSON lines, or coloured text when w is a terminal.
func Logger(w *os.File, level zerolog.Level) zerolog.Logger {
	var out io.Writer = w
	if st, err := w.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
		out = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(out).Level(level).With().Timestamp().Logger()
}
