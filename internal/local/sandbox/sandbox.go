// Package sandbox is Twilio, Mailgun, ElevenLabs and a tracker on this machine: servers
// that speak their APIs, check credentials, remember what they took, and report
// on it with signed callbacks and the vendors' own repeats. Nothing leaves the
// machine. Certain numbers and addresses fail as they would in life; the page
// at / lists them beside every handset, inbox and call.
//
//	POST /2010-04-01/Accounts/{account}/Messages.json       Twilio
//	GET  /2010-04-01/Accounts/{account}/Messages.json
//	GET  /2010-04-01/Accounts/{account}/Messages/{sid}.json
//	GET  /2010-04-01/Accounts/{account}/Calls.json
//	POST /v3/{domain}/messages                              Mailgun
//	GET  /v3/{domain}/events
//	GET  /v1/convai/conversations                           ElevenLabs
//	GET  /v1/convai/conversations/{id}
//	GET  /v1/convai/agents/{id}
//	GET, POST /tracker/…                                    takes a postback
//	POST /api/calls                                         plays a finished call
//	GET  /api/calls
//	POST /api/texts                                         a handset writes
//	POST /api/rings                                         a call that no agent takes
//	GET  /, /api/messages, /api/requests, /api/live         people and tests
//	GET  /api/postbacks
//	PATCH /api/agents/{id}                                  changes an agent, as its makers do
//	GET, PUT, DELETE /api/faults                            what goes wrong (Faults)
package sandbox

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Options are where the sandbox listens and reports, and the secrets that it
// and its callers share.
type Options struct {
	Addr              string // host:port; port 0 picks a free one
	EdgeURL           string // of the edge on this machine; empty: no webhooks from Mailgun, and Twilio's only to loopback addresses
	PublicURL         string // under which Twilio reaches the edge, and signs; default: EdgeURL
	Dir               string // remembers messages over a restart; empty: in memory only
	Keep              int    // messages remembered; 0: 50,000
	AccountSID        string
	AuthToken         string
	MailgunKey        string
	MailgunSigningKey string
	ElevenLabsKey     string
	// ElevenLabsWebhookSecret signs post-call webhooks.
	ElevenLabsWebhookSecret string

	TrackerSecrets []string // any of them will do

	Templates map[string]string         // content SID → body with {{1}}, {{2}}, …
	Buttons   map[string][]string       // content SID → payloads of its buttons, likewise; what is before ":" stands on it
	Agents    map[string]map[string]any // id → how it is set up at ElevenLabs
	Log       zerolog.Logger
}

// Sandbox is the running vendors. It is safe for concurrent use.
type Sandbox struct {
	o      Options
	url    string
	store  *store
	server *http.Server
	client *http.Client // to the edge
	served chan error

	ctx    context.Context // of the lives of messages
	cancel context.CancelFunc
	lives  sync.WaitGroup

	faults troublemaker

	mu       sync.Mutex
	requests map[string]map[string]int // vendor → route → count
	blocked  map[string]bool           // by number of ours and handset: it sent STOP
}

// Start listens and goes on with the messages that were under way when a
// sandbox on the same directory stopped.
func Start(o Options) (*Sandbox, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("sandbox: listen on %s: %w; choose another LEADBUS_SANDBOX_ADDR (port 0 picks a free one)", o.Addr, err)
	}
	kept, err := openStore(o.Dir, o.Keep)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s := &Sandbox{
		o: o, url: "http://" + l.Addr().String(), store: kept,
		served:   make(chan error, 1),
		faults:   troublemaker{count: map[string]map[string]int{}, anew: make(chan struct{})},
		blocked:  map[string]bool{},
		requests: map[string]map[string]int{"twilio": {}, "mailgun": {}, "elevenlabs": {}, "tracker": {}},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.faults.use(Faults{})
	s.client = &http.Client{
		Transport:     &http.Transport{MaxConnsPerHost: 64, MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s.server = &http.Server{
		Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return s.ctx }, // a held answer ends with the sandbox
	}
	go func() { s.served <- s.server.Serve(l) }()
	for _, m := range kept.newest(kept.keep, func(m *message) bool { return m.Told != m.Status || m.next() != "" }) {
		s.lives.Go(func() { s.live(m.ID) })
	}
	return s, nil
}

// URL is the page; TwilioURL, MailgunURL and ElevenLabsURL are the vendors' API
// bases.
func (s *Sandbox) URL() string { return s.url }

// TwilioURL is the base of Twilio's API.
func (s *Sandbox) TwilioURL() string { return s.url }

// MailgunURL is the base of Mailgun's API, with its version.
func (s *Sandbox) MailgunURL() string { return s.url + "/v3" }

// ElevenLabsURL is the base of ElevenLabs' API.
func (s *Sandbox) ElevenLabsURL() string { return s.url }

// TrackerURL goes before the path of every postback.
func (s *Sandbox) TrackerURL() string { return s.url + "/tracker" }

// Close stops answering, within a second, and leaves messages under way to
// the next start.
func (s *Sandbox) Close() {
	s.cancel() // ends the lives and the live pages
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = s.server.Close()
	}
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	s.lives.Wait()
	s.client.CloseIdleConnections()
	if err = errors.Join(err, s.store.close()); err != nil {
		s.o.Log.Error().Err(err).Msg("the sandbox did not close cleanly")
	}
}

func (s *Sandbox) routes() http.Handler {
	mux := http.NewServeMux()
	twilio := s.vendor(mux, "twilio", s.twilioKnows)
	twilio("POST /2010-04-01/Accounts/{account}/Messages.json", s.createMessage)
	twilio("GET /2010-04-01/Accounts/{account}/Messages.json", s.listMessages)
	twilio("GET /2010-04-01/Accounts/{account}/Messages/{sid}", s.fetchMessage)
	twilio("GET /2010-04-01/Accounts/{account}/Calls.json", s.listCalls)
	mailgun := s.vendor(mux, "mailgun", s.mailgunKnows)
	mailgun("POST /v3/{domain}/messages", s.sendMail)
	mailgun("GET /v3/{domain}/events", s.listEvents)
	mailgun("GET /v3/{domain}/events/{page}", s.listEvents)
	elevenLabs := s.vendor(mux, "elevenlabs", s.elevenLabsKnows)
	elevenLabs("GET /v1/convai/conversations", s.listConversations)
	elevenLabs("GET /v1/convai/conversations/{id}", s.fetchConversation)
	elevenLabs("GET /v1/convai/agents/{id}", s.fetchAgent)
	tracker := s.vendor(mux, "tracker", s.trackerKnows)
	tracker("GET /tracker/", s.takePostback)
	tracker("POST /tracker/", s.takePostback)
	s.pages(mux)
	return mux
}

// vendor serves routes of a vendor's API to whom it knows: every request to a
// vendor passes here.
func (s *Sandbox) vendor(mux *http.ServeMux, name string, knows func(http.ResponseWriter, *http.Request) bool) func(route string, h http.HandlerFunc) {
	return func(route string, h http.HandlerFunc) {
		answer := s.faults.vendor(name, func(w http.ResponseWriter, r *http.Request) {
			if knows(w, r) {
				h(w, r)
			}
		})
		mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			s.requests[name][route]++
			s.mu.Unlock()
			answer(w, r)
		})
	}
}

func equal(got, want string) bool {
	return want != "" && subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
}

func newToken() string {
	b := make([]byte, 25)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func newSID(prefix string) string { return prefix + newToken()[:32] }

// each is the list with each of its parts as show makes it.
func each[M, T any](all []M, show func(M) T) []T {
	list := make([]T, 0, len(all))
	for _, m := range all {
		list = append(list, show(m))
	}
	return list
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller is gone
}
