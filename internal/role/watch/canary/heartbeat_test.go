package canary

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

// service notes the pings it gets and fails the first so many of them.
type service struct {
	*httptest.Server
	mu    sync.Mutex
	pings []string
	runs  []string
}

func newService(t *testing.T, failing int) *service {
	t.Helper()
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if failing > 0 {
			failing--
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		s.pings, s.runs = append(s.pings, r.URL.Path+" "+r.URL.Query().Get("key")), append(s.runs, r.URL.Query().Get("rid"))
	}))
	t.Cleanup(s.Close)
	return s
}

func heartbeat(t *testing.T, address string, log *bytes.Buffer) *Heartbeat {
	t.Helper()
	h, err := NewHeartbeat(address, "ch", zerolog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	h.wait = time.Millisecond
	return h
}

func TestAHeartbeatFollowsTheProof(t *testing.T) {
	for name, c := range map[string]struct {
		path    string
		proven  bool
		failing int
		want    []string
		logged  bool
	}{
		"proven":                       {path: "/ping/leadbus-{market}", proven: true, want: []string{"/ping/leadbus-ch/start ", "/ping/leadbus-ch "}},
		"failed":                       {path: "/ping/leadbus-{market}", want: []string{"/ping/leadbus-ch/start ", "/ping/leadbus-ch/fail "}},
		"an address with a key":        {path: "/{market}?key=1", proven: true, want: []string{"/ch/start 1", "/ch 1"}},
		"a service that stumbles":      {path: "/p", proven: true, failing: 2, want: []string{"/p/start ", "/p "}},
		"a service that misses a ping": {path: "/p", proven: true, failing: 3, want: []string{"/p "}, logged: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, c.failing)
			var logged bytes.Buffer
			heartbeat(t, s.URL+c.path, &logged).Around(t.Context(), func(context.Context) bool { return c.proven })
			s.Close()
			if d := cmp.Diff(c.want, s.pings); d != "" {
				t.Error(d)
			}
			if runs := slices.Compact(s.runs); len(runs) != 1 || len(runs[0]) != 36 {
				t.Errorf("run ids %v", s.runs)
			}
			if (logged.Len() > 0) != c.logged || strings.Contains(logged.String(), s.URL) {
				t.Errorf("logged %s", logged.String())
			}
		})
	}
}

// The work is done whatever becomes of the pings.
func TestWorkDoesNotNeedItsHeartbeat(t *testing.T) {
	s := newService(t, 0)
	s.Close()
	for _, address := range []string{"", s.URL + "/secret-key"} {
		var logged bytes.Buffer
		worked := false
		heartbeat(t, address, &logged).Around(t.Context(), func(context.Context) bool { worked = true; return true })
		if !worked || strings.Contains(logged.String(), "secret-key") || (logged.Len() > 0) != (address != "") {
			t.Errorf("%q: worked %v, logged %s", address, worked, logged.String())
		}
	}
}

// A process that is being stopped is no failure.
func TestAStopIsNoFailure(t *testing.T) {
	s := newService(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	var logged bytes.Buffer
	heartbeat(t, s.URL+"/p", &logged).Around(ctx, func(context.Context) bool { cancel(); return false })
	s.Close()
	if slices.ContainsFunc(s.pings, func(p string) bool { return !strings.HasPrefix(p, "/p/start") }) || logged.Len() > 0 {
		t.Errorf("pings %v, logged %s", s.pings, logged.String())
	}
}

func TestAHeartbeatNeedsAnAddress(t *testing.T) {
	for _, address := range []string{"hc-ping.com/key", "ftp://a.example", "http://", "https://a b"} {
		if _, err := NewHeartbeat(address, "ch", zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "LEADBUS_HEARTBEAT_URL") || strings.Contains(err.Error(), address) {
			t.Errorf("%q: %v", address, err)
		}
	}
}
