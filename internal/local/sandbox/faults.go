package sandbox

import (
	"cmp"
	"context"
	"encoding/json"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"time"
)

// Faults are what goes wrong at the vendors, until they are set anew; the zero
// value is none. Probabilities are of one request or callback, and of those
// that exclude each other at most one strikes.
type Faults struct {
	// Seed makes the draws repeatable: the n-th request of a vendor, and the
	// n-th callback, draw the same. 0 takes a random one.
	Seed       uint64         `json:"seed,omitempty"`
	Twilio     VendorFaults   `json:"twilio,omitzero"`
	Mailgun    VendorFaults   `json:"mailgun,omitzero"`
	ElevenLabs VendorFaults   `json:"elevenlabs,omitzero"`
	Tracker    VendorFaults   `json:"tracker,omitzero"`
	Callbacks  CallbackFaults `json:"callbacks,omitzero"`
}

// VendorFaults are those of one vendor's API.
type VendorFaults struct {
	Error      float64 `json:"error,omitempty"`       // status 500, nothing was taken
	ErrorTaken float64 `json:"error_taken,omitempty"` // status 500, and the message was taken
	TooMany    float64 `json:"too_many,omitempty"`    // status 429, nothing was taken
	Refused    float64 `json:"refused,omitempty"`     // status 400, nothing was taken
	Timeout    float64 `json:"timeout,omitempty"`     // taken; no answer comes, the connection ends after Hold
	NoBody     float64 `json:"no_body,omitempty"`     // taken; the answer has no body
	Reset      float64 `json:"reset,omitempty"`       // the connection is reset, nothing was taken

	RetryAfter int `json:"retry_after,omitempty"` // seconds, of a 429; 0 leaves the header out
	HoldMS     int `json:"hold_ms,omitempty"`     // of a timeout; default 20 s
	DelayMS    int `json:"delay_ms,omitempty"`    // before every request
}

// CallbackFaults are those of the way from the vendors to the edge.
type CallbackFaults struct {
	Lost     float64 `json:"lost,omitempty"`     // the vendor believes it was taken
	Repeated float64 `json:"repeated,omitempty"` // comes a second time
	Late     float64 `json:"late,omitempty"`     // comes up to DelayMS later, after what follows it
	DelayMS  int     `json:"delay_ms,omitempty"` // default 2 s
	Held     float64 `json:"held,omitempty"`     // comes when the faults are set anew
}

const (
	holdDefault  = 20 * time.Second
	delayDefault = 2 * time.Second
	maxFaults    = 64 << 10
)

// troublemaker draws faults and counts those that struck.
type troublemaker struct {
	mu    sync.Mutex
	set   Faults
	draws map[string]*rand.Rand     // by vendor, and one for callbacks
	count map[string]map[string]int // the same → kind → times
	anew  chan struct{}             // closed when the faults are set anew
}

// chance is a kind of fault with its probability.
type chance struct {
	kind string
	p    float64
}

func (t *troublemaker) use(f Faults) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set, t.draws = f, map[string]*rand.Rand{}
	close(t.anew)
	t.anew = make(chan struct{})
}

// streams are the random streams of the draws, by vendor, and of callbacks.
var streams = map[string]uint64{"twilio": 1, "mailgun": 2, "callbacks": 3, "elevenlabs": 4, "tracker": 5}

// vendor are the faults of one vendor.
func (f Faults) vendor(name string) VendorFaults {
	return map[string]VendorFaults{"twilio": f.Twilio, "mailgun": f.Mailgun, "elevenlabs": f.ElevenLabs, "tracker": f.Tracker}[name]
}

// chances are what may strike a vendor's request, or a callback.
func (f Faults) chances(of string) []chance {
	if c := f.Callbacks; of == "callbacks" {
		return []chance{{"lost", c.Lost}, {"repeated", c.Repeated}, {"late", c.Late}, {"held", c.Held}}
	}
	v := f.vendor(of)
	return []chance{{"error", v.Error}, {"error_taken", v.ErrorTaken}, {"too_many", v.TooMany}, {"refused", v.Refused}, {"timeout", v.Timeout}, {"no_body", v.NoBody}, {"reset", v.Reset}}
}

// draw answers the kind that strikes, or none, the settings it is of, and what is
// closed when these are replaced.
func (t *troublemaker) draw(of string) (string, Faults, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.draws[of] == nil {
		t.draws[of] = rand.New(rand.NewPCG(cmp.Or(t.set.Seed, rand.Uint64()), streams[of]))
	}
	x := t.draws[of].Float64()
	for _, c := range t.set.chances(of) {
		if x -= c.p; x < 0 {
			if t.count[of] == nil {
				t.count[of] = map[string]int{}
			}
			t.count[of][c.kind]++
			return c.kind, t.set, t.anew
		}
	}
	return "", t.set, t.anew
}

// vendor puts a vendor's faults before a handler.
func (t *troublemaker) vendor(name string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		kind, set, _ := t.draw(name)
		f := set.vendor(name)
		if f.DelayMS > 0 {
			pause(r.Context(), time.Duration(f.DelayMS)*time.Millisecond)
		}
		unseen := httptest.NewRecorder() // of an answer that the caller does not get to see
		switch kind {
		case "error":
			http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		case "error_taken":
			h(unseen, r)
			http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		case "too_many":
			if f.RetryAfter > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
			}
			refuse(w, http.StatusTooManyRequests, 20429, "Too Many Requests")
		case "refused":
			http.Error(w, "Bad Request", http.StatusBadRequest)
		case "timeout":
			h(unseen, r)
			pause(r.Context(), cmp.Or(time.Duration(max(f.HoldMS, 0))*time.Millisecond, holdDefault))
			panic(http.ErrAbortHandler) // ends the connection
		case "no_body":
			h(unseen, r)
			w.WriteHeader(unseen.Code)
		case "reset":
			reset(w)
		default:
			h(w, r)
		}
	}
}

// reset ends the caller's connection with a reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// callback sends a callback as the faults let it through.
func (s *Sandbox) callback(r *http.Request) (*http.Response, error) {
	kind, set, anew := s.faults.draw("callbacks")
	taken := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}
	switch kind {
	case "lost":
		return taken, nil
	case "repeated":
		s.sendAgain(r)
	case "late":
		most := cmp.Or(time.Duration(max(set.Callbacks.DelayMS, 0))*time.Millisecond, delayDefault)
		s.lives.Go(func() {
			if pause(s.ctx, rand.N(most)) {
				s.sendAgain(r)
			}
		})
		return taken, nil
	case "held":
		s.lives.Go(func() {
			select {
			case <-anew:
				s.sendAgain(r)
			case <-s.ctx.Done():
			}
		})
		return taken, nil
	}
	return s.client.Do(r)
}

// sendAgain sends a copy of a callback and does not care what becomes of it.
func (s *Sandbox) sendAgain(r *http.Request) {
	ctx, cancel := context.WithTimeout(s.ctx, twilioBudget)
	defer cancel()
	again := r.Clone(ctx)
	body, err := r.GetBody()
	if err != nil {
		return
	}
	again.Body = body
	if res, err := s.client.Do(again); err == nil {
		_ = res.Body.Close()
	}
}

// apiFaults shows the faults and how often each struck since the start; PUT
// replaces them, DELETE ends them.
func (s *Sandbox) apiFaults(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPut:
		var f Faults
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxFaults))
		d.DisallowUnknownFields()
		if err := d.Decode(&f); err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		s.faults.use(f)
	case http.MethodDelete:
		s.faults.use(Faults{})
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	writeJSON(w, http.StatusOK, struct {
		Faults
		Struck map[string]map[string]int `json:"struck"`
	}{s.faults.set, s.faults.count})
}
