package sandbox

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
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
	Callbacks  CallbackFaults `json:"callbacks,omitzero"`
}

// VendorFaults are those of one vendor's API.
type VendorFaults struct {
	Error      float64 `json:"error,omitempty"`       // status 500, nothing was taken
	ErrorTaken float64 `json:"error_taken,omitempty"` // status 500, and the message was taken
	TooMany    float64 `json:"too_many,omitempty"`    // status 429, nothing was taken
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
}

// draw answers the kind that strikes, or none, and the settings it is of.
func (t *troublemaker) draw(stream uint64, of string, chances func(Faults) []chance) (string, Faults) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.draws[of] == nil {
		t.draws[of] = rand.New(rand.NewPCG(cmp.Or(t.set.Seed, rand.Uint64()), stream))
	}
	x := t.draws[of].Float64()
	for _, c := range chances(t.set) {
		if x -= c.p; x < 0 {
			if t.count == nil {
				t.count = map[string]map[string]int{}
			}
			if t.count[of] == nil {
				t.count[of] = map[string]int{}
			}
			t.count[of][c.kind]++
			return c.kind, t.set
		}
	}
	return "", t.set
}

// vendor puts a vendor's faults before a handler.
func (t *troublemaker) vendor(name string, stop <-chan struct{}, h http.HandlerFunc) http.HandlerFunc {
	stream := uint64(1)
	of := func(f Faults) VendorFaults { return f.Twilio }
	switch name {
	case "mailgun":
		stream, of = 2, func(f Faults) VendorFaults { return f.Mailgun }
	case "elevenlabs":
		stream, of = 4, func(f Faults) VendorFaults { return f.ElevenLabs }
	}
	return func(w http.ResponseWriter, r *http.Request) {
		kind, set := t.draw(stream, name, func(f Faults) []chance {
			v := of(f)
			return []chance{
				{"error", v.Error},
				{"error_taken", v.ErrorTaken},
				{"too_many", v.TooMany},
				{"timeout", v.Timeout},
				{"no_body", v.NoBody},
				{"reset", v.Reset},
			}
		})
		f := of(set)
		hold := func(d time.Duration) {
			select {
			case <-time.After(d):
			case <-r.Context().Done():
			case <-stop:
			}
		}
		if f.DelayMS > 0 {
			hold(time.Duration(f.DelayMS) * time.Millisecond)
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
		case "timeout":
			h(unseen, r)
			hold(cmp.Or(time.Duration(max(f.HoldMS, 0))*time.Millisecond, holdDefault))
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
	kind, set := s.faults.draw(3, "callbacks", func(f Faults) []chance {
		c := f.Callbacks
		return []chance{{"lost", c.Lost}, {"repeated", c.Repeated}, {"late", c.Late}}
	})
	taken := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}
	switch kind {
	case "lost":
		return taken, nil
	case "repeated":
		s.sendAgain(r)
	case "late":
		most := cmp.Or(time.Duration(max(set.Callbacks.DelayMS, 0))*time.Millisecond, delayDefault)
		s.lives.Go(func() {
			if s.pause(rand.N(most)) {
				s.sendAgain(r)
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
	struck := map[string]map[string]int{}
	for of, kinds := range s.faults.count {
		struck[of] = maps.Clone(kinds)
	}
	set := s.faults.set
	s.faults.mu.Unlock()
	writeJSON(w, http.StatusOK, struct {
		Faults
		Struck map[string]map[string]int `json:"struck"`
	}{set, struck})
}
