package sandbox

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"
)

//go:embed page
var files embed.FS

var page = template.Must(template.ParseFS(files, "page/index.html"))

const (
	onPage = 600                    // messages a page shows
	beat   = 200 * time.Millisecond // between two updates of a page
	pulse  = 20 * time.Second       // a sign of life when nothing happens
)

// pages serves what people and tests look at.
func (s *Sandbox) pages(mux *http.ServeMux) {
	mux.Handle("GET /{$}", guarded(http.HandlerFunc(front)))
	mux.Handle("GET /page/", guarded(http.FileServerFS(files)))
	mux.HandleFunc("GET /mail/{id}", s.mailHTML)
	mux.HandleFunc("GET /api/messages", s.apiMessages)
	mux.HandleFunc("GET /api/calls", s.apiCalls)
	mux.HandleFunc("GET /api/postbacks", s.apiPostbacks)
	// Another site's page in this browser shall do nothing here.
	for path, h := range map[string]http.HandlerFunc{"calls": s.play, "texts": s.write, "rings": s.ring} {
		mux.Handle("POST /api/"+path, http.NewCrossOriginProtection().Handler(h))
	}
	mux.HandleFunc("PATCH /api/agents/{id}", s.apiAgent)
	mux.HandleFunc("GET /api/requests", s.apiRequests)
	mux.HandleFunc("GET /api/live", s.stream)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		mux.HandleFunc(method+" /api/faults", s.apiFaults)
	}
}

// guarded keeps a page from loading anything from elsewhere.
func guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

func front(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, numbers)
}

// mailHTML is a mail's HTML part, in a frame of its own that runs nothing and
// loads nothing.
func (s *Sandbox) mailHTML(w http.ResponseWriter, r *http.Request) {
	m, ok := s.store.get(r.PathValue("id"))
	if !ok || m.HTML == "" {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write([]byte(m.HTML))
}

// apiMessages lists every remembered message, newest last; with ?brief only
// what tells one from another.
func (s *Sandbox) apiMessages(w http.ResponseWriter, r *http.Request) {
	all := s.store.newest(s.store.keep, (*message).toPerson)
	slices.Reverse(all)
	if r.URL.Query().Has("brief") {
		for i, m := range all {
			all[i] = message{ID: m.ID, Vendor: m.Vendor, IDs: m.IDs, Status: m.Status, CreatedAt: m.CreatedAt}
		}
	}
	writeJSON(w, http.StatusOK, all)
}

// toPerson reports whether it is a text or a mail.
func (m *message) toPerson() bool { return m.Call == nil && m.Vendor != tracker }

// apiRequests counts the requests since the start by vendor and route.
func (s *Sandbox) apiRequests(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	writeJSON(w, http.StatusOK, s.requests)
}

// shown is a message on the page.
type shown struct {
	message
	HTML   bool   `json:"html,omitempty"` // it has an HTML part, at /mail/{id}
	Thread string `json:"thread,omitempty"`
	Hook   string `json:"hook,omitempty"` // of a call
}

func show(m message) shown {
	s := shown{message: m, HTML: m.HTML != "", Thread: strings.Trim(m.Headers["In-Reply-To"], "<>"), Hook: m.hook()}
	s.Headers, s.Call = nil, nil
	return s
}

// stream sends the messages to one page as server-sent events: "start" with the newest
// messages, then "change" with those that changed.
func (s *Sandbox) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	rc := http.NewResponseController(w)
	name, rev := "start", uint64(0)
	tick := time.NewTicker(pulse)
	defer tick.Stop()
	for {
		changed, now, total, next := s.store.since(rev, onPage)
		data, err := json.Marshal(map[string]any{"total": total, "messages": each(changed, show)})
		if err == nil {
			_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, data)
		}
		if err != nil || rc.Flush() != nil {
			return
		}
		name, rev = "change", now
		if !pause(r.Context(), beat) {
			return
		}
		select {
		case <-next:
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}
