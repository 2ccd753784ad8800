package send

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"leadbus/internal/lead"
)

// Journal notes on this machine how far each attempt came, so that a process
// that was killed leaves no doubt about the requests it had not made yet: what
// it claimed and did not let leave is sent as if nothing had happened. Notes
// are in the kernel's hands when they are made, which outlives the process; of
// an earlier boot they are not believed. Without its notes an attempt is
// doubtful, no more.
type Journal struct {
	dir  string
	name string
	lock *os.File

	mu       sync.Mutex
	f        *os.File
	size     int
	open     map[string]string // messages by the attempts that certainly have not left
	stranded map[string]string // the same, of the process before
}

// journalSize is when a journal is written anew without what has ended.
const journalSize = 1 << 20

// OpenJournal takes the first journal in dir that no other process holds.
func OpenJournal(dir string) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for n := 1; ; n++ {
		name := filepath.Join(dir, fmt.Sprint(n))
		lock, err := os.OpenFile(name+".lock", os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			_ = lock.Close()
			continue
		}
		j := &Journal{dir: dir, name: name, lock: lock, open: map[string]string{}, stranded: map[string]string{}}
		if err == nil {
			err = j.read()
		}
		if err == nil {
			err = j.rewrite()
		}
		if err != nil {
			_ = lock.Close()
			return nil, fmt.Errorf("journal of sends: %w", err)
		}
		return j, nil
	}
}

// boot tells one boot of the machine from the next; empty when the machine
// does not say.
func boot() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}

// read collects what the process before left behind.
func (j *Journal) read() error {
	b, err := os.ReadFile(j.name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	b = b[:bytes.LastIndexByte(b, '\n')+1] // a note that was not finished was not made
	s := bufio.NewScanner(bytes.NewReader(b))
	if !s.Scan() || boot() == "" || s.Text() != boot() {
		return nil
	}
	for s.Scan() {
		f := strings.Fields(s.Text())
		switch {
		case len(f) == 3 && f[0] == "+":
			j.stranded[f[2]] = f[1]
		case len(f) == 2: // ">", or the "-" of an earlier version
			delete(j.stranded, f[1])
		}
	}
	return s.Err()
}

// rewrite puts a journal of what has not left in the place of the old one. What
// is stranded stays in it until it is settled.
func (j *Journal) rewrite() error {
	var b bytes.Buffer
	fmt.Fprintln(&b, boot())
	for _, notes := range []map[string]string{j.stranded, j.open} {
		for attempt, message := range notes {
			fmt.Fprintln(&b, "+", message, attempt)
		}
	}
	tmp := j.name + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(b.Bytes()); err == nil {
		err = os.Rename(tmp, j.name)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if j.f != nil {
		_ = j.f.Close()
	}
	j.f, j.size = f, b.Len()
	return nil
}

func (j *Journal) write(line string) error {
	n, err := j.f.WriteString(line)
	if j.size += n; err == nil && j.size > journalSize {
		err = j.rewrite()
	}
	return err
}

// begin notes an attempt before its claim. The notes of an attempt that could
// not begin are not made.
func (j *Journal) begin(message, attempt string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.open[attempt] = message
	return j.write("+ " + message + " " + attempt + "\n")
}

// leave notes that the request is about to leave, or that there will be none;
// without this note it must not leave.
func (j *Journal) leave(attempt string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.open, attempt)
	return j.write("> " + attempt + "\n")
}

// Close gives the journal to the next process.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(j.f.Close(), j.lock.Close())
}

// Recover frees what a process before this one claimed and did not let leave.
// It comes before Handle.
func (s *Sender) Recover(ctx context.Context) error {
	for attempt, message := range s.Journal.stranded {
		e, rev, err := s.ledger.get(ctx, message)
		if err != nil {
			return err
		}
		if e.State != claimed || e.Attempt != attempt {
			continue
		}
		e.State, e.At = free, s.Now()
		e.Failure = &lead.Failure{Vendor: "leadbus", Class: lead.Transient, Reason: "the sender stopped before the request left"}
		if _, err := s.ledger.settle(ctx, message, e, rev); err != nil {
			return err
		}
		s.Log.Info().Str("message", message).Str("attempt", attempt).Msg("freed: the sender stopped before the request left")
	}
	s.Journal.mu.Lock()
	defer s.Journal.mu.Unlock()
	s.Journal.stranded = nil
	return s.Journal.rewrite()
}
