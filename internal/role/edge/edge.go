// Package edge is the role that takes webhooks: it authenticates a request,
// names the site and the lead it belongs to, publishes one event, and answers
// success only when the event is durable.
//
//	POST /v1/sites/{site}/dispatch_lead   the voice agent's tool call
//	POST /v1/twilio/status                Twilio's message status callbacks
//	POST /v1/twilio/inbound               texts that people write to us
//	POST /v1/twilio/voice-fallback        a call that the agent's platform does not take
//	POST /v1/twilio/call-status           the end of a call
//	POST /v1/mailgun/events               Mailgun's webhooks
//	POST /v1/elevenlabs/post-call         the voice vendor's reports on finished calls
//	GET  /v1/links/{token}                a link: shows what can be answered
//	POST /v1/links/{token}                the answer
//
// A request that cannot be authenticated is refused and nothing of it is kept. One
// that is authentic but odd is stored and marked for review: a tool call is never
// answered with an error for something a person can still put right.
package edge

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
	"leadbus/internal/understand/intake"
)

const (
	maxBody     = 64 << 10
	publishTime = 4 * time.Second // the agent's tool call times out after 5 s at the earliest
)

// Publisher makes an event durable before it returns, on the bus or on this
// machine's disk. A repeat of an event id is a success.
type Publisher interface {
	Publish(ctx context.Context, e event.Event) error
	// PublishOnce puts the event onto an empty subject of the bus, else
	// event.ErrConflict; it never waits on a disk.
	PublishOnce(ctx context.Context, e event.Event) error
}

// Receipts verifies a vendor's callback and tells what it reports. It answers
// event.ErrUnauthenticated for a callback that is not the vendor's.
type Receipts interface {
	Receipt(r *http.Request, body []byte) (subjects.Lead, lead.Receipt, error)
}

// Options are what the edge needs.
type Options struct {
	Catalog   *site.Catalog
	Publisher Publisher
	Twilio    Carrier
	Mailgun   Receipts
	// PostCall verifies the voice vendor's report and reads it. An error is
	// event.ErrUnauthenticated or says what is wrong with the body.
	PostCall func(r *http.Request, body []byte) (call.Report, error)
	// Secret is the secret of a site's tool call; empty means none is
	// configured, and then every call is refused.
	Secret func(domain string) string
	// Links reads the links by which owners and providers answer; nil refuses all
	// of them.
	Links *link.Signer
	// Ask asks the market's matcher a story.Question about a lead, for a story.View.
	Ask      func(ctx context.Context, of subjects.Lead, question []byte) ([]byte, error)
	Now      func() time.Time
	Log      zerolog.Logger
	Registry prometheus.Registerer
}

type edge struct {
	Options
	reader  *intake.Reader
	recent  recent
	stopped *lru.Cache[string, string] // who was confirmed an opt-out, and the id of the text
	metrics *metrics
}

// New is the edge's public handler. It is safe for concurrent use.
func New(o Options) http.Handler {
	e := &edge{Options: o, reader: intake.New(o.Catalog), metrics: newMetrics(o.Registry)}
	e.recent.leads, _ = lru.New[string, heard](1024) // only a size below one fails
	e.stopped, _ = lru.New[string, string](1024)
	mux := http.NewServeMux()
	mux.Handle("POST /v1/sites/{site}/dispatch_lead", e.serve("dispatch_lead", e.dispatchLead))
	mux.Handle("POST /v1/twilio/status", e.serve("twilio_status", e.receipt(o.Twilio)))
	mux.Handle("POST /v1/twilio/inbound", e.serve("twilio_inbound", e.inbound))
	mux.Handle("POST /v1/twilio/voice-fallback", e.serve("voice_fallback", e.voiceFallback))
	mux.Handle("POST /v1/twilio/voice-fallback/recording", e.serve("voice_recording", e.recorded))
	mux.Handle("POST /v1/twilio/call-status", e.serve("call_status", e.callStatus))
	mux.Handle("POST /v1/mailgun/events", e.serve("mailgun_events", e.receipt(o.Mailgun)))
	mux.Handle("POST /v1/elevenlabs/post-call", e.serve("post_call", e.postCall))
	mux.Handle("GET "+link.Path+"{token}", e.serve("link", e.showLink))
	mux.Handle("POST "+link.Path+"{token}", e.serve("link_answer", e.answerLink))
	mux.Handle("/", e.serve("other", func(http.ResponseWriter, *http.Request, *access) *refusal {
		return &refusal{http.StatusNotFound, "there is nothing at this address; tool calls go to POST /v1/sites/{site}/dispatch_lead"}
	}))
	return mux
}

// dispatchLead takes the agent's tool call.
func (e *edge) dispatchLead(w http.ResponseWriter, r *http.Request, a *access) *refusal {
	domain := r.PathValue("site")
	s, ok := e.Catalog.Sites[domain]
	if !ok {
		if _, broken := e.Catalog.Broken[domain]; broken {
			return &refusal{http.StatusServiceUnavailable, "this site's configuration is broken; run leadbus config check"}
		}
		return &refusal{http.StatusNotFound, "no such site here; the address is /v1/sites/<domain>/dispatch_lead"}
	}
	a.market, a.site = s.Market, s.Domain
	if !equal(r.Header.Get(intake.SecretHeader), e.Secret(s.Domain)) {
		return &refusal{http.StatusUnauthorized, "the " + intake.SecretHeader + " header does not hold this site's secret"}
	}
	body, refused := read(w, r, maxBody)
	if refused != nil {
		return refused
	}
	body = bytes.Trim(body, " \t\r\n\ufeff")
	req, flags, err := intake.Decode(body)
	if err != nil {
		return &refusal{http.StatusBadRequest, "the body is not a usable JSON object: " + err.Error()}
	}
	now := e.Now().UTC()
	id, flags := leadID(s.Domain, req, body, flags)
	l := e.reader.Understand(s, id, req, now, flags)
	a.lead = l.ID
	whole, from := e.recent.call(e.reader, s, l)

	received, err := event.NewReceived(subjects.Lead{Market: s.Market, Site: s.Domain}, l, req, body, now, from)
	if err != nil {
		return e.internal(err, a)
	}
	if refused := e.publish(r.Context(), received, a); refused != nil {
		return refused
	}
	if !l.Test() {
		e.metrics.leads.WithLabelValues(s.Market).Inc()
	}
	writeJSON(w, http.StatusOK, e.reader.Reply(s, whole))
	return nil
}

// leadID derives the lead's id. A call that does not say which conversation it
// belongs to is still a lead: the phone call, or else the content, then stands
// for the conversation.
func leadID(domain string, req lead.Request, body []byte, flags []string) (string, []string) {
	switch {
	case req.ConversationID != "":
		return lead.NewID(domain, req.ConversationID), flags
	case req.CallSID != "":
		return lead.NewID(domain, "call\x00"+req.CallSID), append(flags, "no_conversation")
	}
	return lead.NewID(domain, "body\x00"+string(body)), append(flags, "no_conversation")
}

// recent is what this edge has heard in the conversations of now, for the reply
// alone: the matcher reads every call from the stream. An edge that did not hear
// the earlier calls asks for more than it needs.
type recent struct {
	mu    sync.Mutex
	leads *lru.Cache[string, heard]
}

type heard struct {
	whole lead.Lead    // of all calls
	last  lead.Request // the newest
	from  string       // of the newest
}

// call takes in a tool call. It answers the lead as all calls have it, and what
// tells this call from the others: a repeat of the newest is that one.
func (r *recent) call(reader *intake.Reader, s *site.Site, l lead.Lead) (whole lead.Lead, from string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := heard{whole: l, last: l.Request, from: strings.ToLower(rand.Text())}
	if before, ok := r.leads.Get(l.ID); ok && !before.whole.Another(l) {
		req := before.last
		if req.CalledAt = l.Request.CalledAt; reflect.DeepEqual(req, l.Request) {
			return before.whole, before.from
		}
		now.whole = reader.Understand(s, l.ID, before.whole.Request.Over(l.Request), l.ReceivedAt, l.Flags)
	}
	r.leads.Add(l.ID, now)
	return now.whole, now.from
}

// receipt takes a vendor's callback about one message. One that is authentic and
// not ours is answered 406: Mailgun does not repeat that, and Twilio repeats no
// 4xx.
func (e *edge) receipt(vendor Receipts) func(http.ResponseWriter, *http.Request, *access) *refusal {
	return func(w http.ResponseWriter, r *http.Request, a *access) *refusal {
		body, refused := read(w, r, maxBody)
		if refused != nil {
			return refused
		}
		to, receipt, err := vendor.Receipt(r, body)
		switch {
		case errors.Is(err, event.ErrUnauthenticated):
			return &refusal{http.StatusForbidden, "the signature does not match"}
		case errors.Is(err, event.ErrNotFound):
			return &refusal{http.StatusNotAcceptable, "this is not about a message of ours"}
		case err != nil:
			return &refusal{http.StatusBadRequest, err.Error()}
		}
		s, ok := e.Catalog.Sites[to.Site]
		if !ok || s.Market != to.Market {
			return &refusal{http.StatusNotAcceptable, "no such site in this market"}
		}
		a.market, a.site, a.lead = to.Market, to.Site, to.Lead
		reported, err := event.NewReported(to, receipt, e.Now())
		if err != nil {
			return e.internal(err, a)
		}
		if refused := e.publish(r.Context(), reported, a); refused != nil {
			return refused
		}
		w.WriteHeader(http.StatusOK) // the only status every vendor takes for success
		return nil
	}
}

func (e *edge) publish(ctx context.Context, ev event.Event, a *access) *refusal {
	// A caller who hangs up must not take back what is half-way to the disk.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTime)
	defer cancel()
	if err := e.Publisher.Publish(ctx, ev); err != nil {
		a.err = err
		return &refusal{http.StatusServiceUnavailable, "not stored: neither the bus nor the disk takes it; please send it again"}
	}
	return nil
}

func (e *edge) internal(err error, a *access) *refusal {
	a.err = err
	return &refusal{http.StatusInternalServerError, "this is our fault; please send it again"}
}

// read takes the body, at most so many bytes of it; of one that is refused it
// answers what it has read.
func read(w http.ResponseWriter, r *http.Request, most int64) ([]byte, *refusal) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return body, &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d KiB", most>>10)}
	case err != nil:
		return nil, &refusal{http.StatusBadRequest, "the body ended early"}
	}
	return body, nil
}

// equal compares in constant time; an unset secret equals nothing.
func equal(got, want string) bool {
	return want != "" && subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client is gone; the lead is stored all the same
}
