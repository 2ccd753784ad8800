package edge

import (
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadbus/internal/understand/intake"
)

// refusal is an answer other than success; its reason is for the sender and
// holds nothing of what was sent.
type refusal struct {
	status int
	reason string
}

// access is the one log line of a request, filled while it is handled. It has
// room for ids only.
type access struct {
	market, site, lead string
	err                error
}

// serve adapts a handler: it writes the refusal, counts, logs one line, and
// keeps a panic from taking the process.
func (e *edge) serve(route string, h func(http.ResponseWriter, *http.Request, *access) *refusal) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		var a access
		sw := &statusWriter{ResponseWriter: w}
		if refused := e.contain(h, sw, r, &a); refused != nil {
			if refused.status == http.StatusServiceUnavailable {
				sw.Header().Set("Retry-After", "5")
			}
			writeJSON(sw, refused.status, intake.Reply{Say: "", Ask: refused.reason})
		}
		took := time.Since(start)
		e.metrics.requests.WithLabelValues(route, strconv.Itoa(sw.status)).Observe(took.Seconds())

		level := zerolog.InfoLevel
		if sw.status >= http.StatusInternalServerError {
			level = zerolog.ErrorLevel
		}
		line := e.Log.WithLevel(level).Str("route", route).Int("status", sw.status).Dur("took_ms", took).Int64("bytes", r.ContentLength).Err(a.err)
		for _, f := range [...]struct{ name, value string }{{"market", a.market}, {"site", a.site}, {"lead", a.lead}} {
			if f.value != "" {
				line = line.Str(f.name, f.value)
			}
		}
		line.Msg("request")
	})
}

// contain turns a panic into a 500.
func (e *edge) contain(h func(http.ResponseWriter, *http.Request, *access) *refusal, w http.ResponseWriter, r *http.Request, a *access) (refused *refusal) {
	defer func() {
		if v := recover(); v != nil {
			e.Log.Error().Bytes("stack", debug.Stack()).Msg("panic in a request")
			refused = &refusal{http.StatusInternalServerError, "this is our fault; please send it again"}
		}
	}()
	return h(w, r, a)
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

type metrics struct {
	requests *prometheus.HistogramVec
	leads    *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "leadbus_edge_request_seconds", Help: "Time to answer a request, by route and status.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"route", "status"}),
		leads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leadbus_edge_leads_accepted_total", Help: "Tool calls made durable and answered with success, repeats included and test leads not.",
		}, []string{"market"}),
	}
	r.MustRegister(m.requests, m.leads)
	return m
}
