package sandbox

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	tracker     = "tracker"
	maxPostback = 64 << 10
)

// trackerKnows checks the secret: a bearer's, or the token in the query.
func (s *Sandbox) trackerKnows(w http.ResponseWriter, r *http.Request) bool {
	secret, bears := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bears {
		secret = r.URL.Query().Get("token")
	}
	if !slices.ContainsFunc(s.o.TrackerSecrets, func(want string) bool { return equal(secret, want) }) {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return false
	}
	return true
}

// takePostback keeps what came, however often: a repeat shows by its key.
func (s *Sandbox) takePostback(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPostback))
	if err != nil {
		http.Error(w, "Bad Request", http.StatusBadRequest)
		return
	}
	q := r.URL.Query()
	if q.Has("token") {
		q.Set("token", "…")
	}
	path := strings.TrimPrefix(r.URL.Path, "/tracker")
	s.store.add(message{
		ID: newSID("PB"), Vendor: tracker, Channel: "postback", To: path, Subject: r.Method + " " + path,
		Text: strings.TrimSpace(q.Encode() + "\n" + string(body)), IDs: map[string]string{"key": r.Header.Get("Idempotency-Key")},
		Headers: map[string]string{"Content-Type": r.Header.Get("Content-Type")},
		Status:  "taken", Told: "taken", CreatedAt: time.Now().UTC(),
	})
	writeJSON(w, http.StatusOK, map[string]bool{"ok": true})
}

// apiPostbacks lists every remembered postback, newest last.
func (s *Sandbox) apiPostbacks(w http.ResponseWriter, _ *http.Request) {
	all := s.store.newest(s.store.keep, func(m *message) bool { return m.Vendor == tracker })
	slices.Reverse(all)
	writeJSON(w, http.StatusOK, all)
}
