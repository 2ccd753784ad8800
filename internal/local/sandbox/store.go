package sandbox

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	keepMost = 50_000    // messages remembered, unless told otherwise
	keepHTML = 5_000     // of these, the newest with their HTML
	rewrite  = 256 << 20 // bytes appended after which the file is written anew
)

// message is one message as its vendor keeps it; a finished call is kept like
// one. Everything but the status, its times and told stays as it was created.
type message struct {
	ID      string            `json:"id"` // Twilio SID, Mailgun message id or conversation id
	Vendor  string            `json:"vendor,omitempty"`
	Channel string            `json:"channel,omitempty"`
	From    string            `json:"from,omitempty"`
	To      string            `json:"to,omitempty"`
	Subject string            `json:"subject,omitempty"`
	Text    string            `json:"text,omitempty"`
	HTML    string            `json:"html,omitempty"`
	IDs     map[string]string `json:"ids,omitempty"` // that came with it: market, site, lead, message, attempt

	Status    string `json:"status"` // the vendor's word
	ErrorCode string `json:"error_code"`
	Error     string `json:"error"`

	CreatedAt   time.Time `json:"created_at,omitzero"`
	SentAt      time.Time `json:"sent_at,omitzero"`
	DeliveredAt time.Time `json:"delivered_at,omitzero"`
	ReadAt      time.Time `json:"read_at,omitzero"`
	FailedAt    time.Time `json:"failed_at,omitzero"`

	ContentSID string            `json:"content_sid,omitempty"`
	Buttons    []button          `json:"buttons,omitempty"`
	Headers    map[string]string `json:"headers,omitempty"` // of a mail, as set by the sender
	Tags       []string          `json:"tags,omitempty"`
	Callback   string            `json:"callback,omitempty"` // where Twilio reports its status
	Fate       string            `json:"fate,omitempty"`     // what will go wrong with it
	Told       string            `json:"told,omitempty"`     // the last status whose report is settled
	Call       *played           `json:"call,omitempty"`

	rev uint64 // of the store, at the last change
}

// store keeps the newest messages in memory and, with a directory, in a file
// of JSON lines: a whole message first, then what changed of it.
type store struct {
	mu       sync.RWMutex
	messages []*message // oldest first
	byID     map[string]*message
	keep     int // messages remembered
	total    int // messages ever taken
	rev      uint64
	changed  chan struct{} // closed at the next change
	path     string
	file     *os.File
	appended int
	broken   error // the first that kept a line from the file
}

func openStore(dir string, keep int) (*store, error) {
	if keep == 0 {
		keep = keepMost
	}
	s := &store{byID: map[string]*message{}, keep: keep, changed: make(chan struct{})}
	if dir == "" {
		return s, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the sandbox's directory: %w", err)
	}
	s.path = filepath.Join(dir, "messages.jsonl")
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, s.writeAnew()
}

func (s *store) load() error {
	f, err := os.Open(s.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the sandbox's messages: %w", err)
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var key struct{ ID string }
		if json.Unmarshal(lines.Bytes(), &key) != nil || key.ID == "" {
			continue // the last line, torn by a kill
		}
		m, known := s.byID[key.ID]
		if !known {
			m = &message{}
		}
		if json.Unmarshal(lines.Bytes(), m) == nil && !known && m.Vendor != "" {
			s.insert(m)
		}
	}
	if err := errors.Join(lines.Err(), f.Close()); err != nil {
		return fmt.Errorf("read the sandbox's messages: %w", err)
	}
	return nil
}

// writeAnew replaces the file by what is in memory.
func (s *store) writeAnew() error {
	f, err := os.OpenFile(s.path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("write the sandbox's messages: %w", err)
	}
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	for _, m := range s.messages {
		if err := enc.Encode(m); err != nil {
			return fmt.Errorf("write the sandbox's messages: %w", err)
		}
	}
	if err := errors.Join(w.Flush(), os.Rename(s.path+".new", s.path)); err != nil {
		return fmt.Errorf("write the sandbox's messages: %w", err)
	}
	if s.file != nil {
		_ = s.file.Close()
	}
	s.file, s.appended = f, 0
	return nil
}

// persist appends a line. A full disk must not stop the vendors; it is told
// at the end.
func (s *store) persist(m message) {
	if s.file == nil {
		return
	}
	line, err := json.Marshal(m)
	if err == nil {
		_, err = s.file.Write(append(line, '\n'))
	}
	s.appended += len(line)
	if err == nil && s.appended > rewrite {
		err = s.writeAnew()
	}
	if s.broken == nil {
		s.broken = err
	}
}

func (s *store) insert(m *message) {
	s.rev++
	m.rev = s.rev
	if m.toPerson() {
		s.total++
	}
	s.messages = append(s.messages, m)
	s.byID[m.ID] = m
	if n := len(s.messages) - keepHTML; n > 0 {
		s.messages[n-1].HTML = ""
	}
	if len(s.messages) > s.keep+s.keep/10 {
		for _, old := range s.messages[:len(s.messages)-s.keep] {
			delete(s.byID, old.ID)
		}
		s.messages = slices.Clone(s.messages[len(s.messages)-s.keep:])
	}
}

func (s *store) add(m message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.insert(&m)
	s.persist(m)
	s.announce()
}

// update changes a message's status fields; one that is forgotten stays so.
func (s *store) update(id string, change func(*message)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.byID[id]
	if !ok {
		return
	}
	change(m)
	s.rev++
	m.rev = s.rev
	s.persist(message{
		ID: id, Status: m.Status, ErrorCode: m.ErrorCode, Error: m.Error, SentAt: m.SentAt,
		DeliveredAt: m.DeliveredAt, ReadAt: m.ReadAt, FailedAt: m.FailedAt, Told: m.Told,
	})
	s.announce()
}

func (s *store) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *store) get(id string) (message, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, ok := s.byID[id]
	if !ok {
		return message{}, false
	}
	return *m, true
}

// newest lists at most limit messages that satisfy ok, newest first.
func (s *store) newest(limit int, ok func(*message) bool) []message {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := []message{}
	for _, m := range slices.Backward(s.messages) {
		if len(out) == limit {
			break
		}
		if ok(m) {
			out = append(out, *m)
		}
	}
	return out
}

// since lists the newest limit messages that changed after rev, oldest first,
// with the revision they are of, the number ever taken, and what is closed at
// the next change.
func (s *store) since(rev uint64, limit int) (changed []message, now uint64, total int, next <-chan struct{}) {
	s.mu.RLock()
	now, total, next = s.rev, s.total, s.changed
	s.mu.RUnlock()
	if now == rev {
		return nil, now, total, next
	}
	changed = s.newest(limit, func(m *message) bool { return m.rev > rev })
	slices.Reverse(changed)
	return changed, now, total, next
}

func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	return errors.Join(s.broken, s.file.Close())
}
