package sandbox

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// take keeps a message and starts its life.
func (s *Sandbox) take(m message) {
	s.store.add(m)
	s.lives.Go(func() { s.live(m.ID) })
}

// live moves a message along until nothing more becomes of it, and reports
// each step. When the sandbox stops in the middle, the next start goes on
// from there: the report that was under way is made again.
func (s *Sandbox) live(id string) {
	for {
		m, ok := s.store.get(id)
		if !ok {
			return
		}
		if m.Told != m.Status {
			if !s.report(m) {
				return
			}
			s.store.update(id, func(kept *message) { kept.Told = m.Status })
		}
		next := m.next()
		if next == "" || !pause(s.ctx, m.takes(next)) {
			return
		}
		s.store.update(id, func(kept *message) { kept.become(next, time.Now().UTC()) })
	}
}

// next is the status that follows; empty when the present one is the last.
func (m message) next() string {
	if m.Vendor == "mailgun" {
		return m.nextMail()
	}
	content := slices.ContainsFunc(numbers.Unfit, func(t trouble) bool { return t.Code == m.Fate })
	switch {
	case m.Status == "queued" && content:
		return "failed"
	case m.Status == "queued":
		return "sent"
	case m.Status == "sent" && m.Fate == silent:
		return ""
	case m.Status == "sent" && m.Fate != "":
		return "undelivered"
	case m.Status == "sent":
		return "delivered"
	case m.Status == "delivered" && m.Channel == "whatsapp":
		return "read"
	default:
		return ""
	}
}

func (m message) nextMail() string {
	_, fails := numbers.Failures[m.Fate]
	switch {
	case m.Status == "accepted" && fails:
		return "failed"
	case m.Status == "accepted" && m.Fate == "temporary":
		return "temporary_fail"
	case m.Status == "accepted", m.Status == "temporary_fail":
		return "delivered"
	case m.Status == "delivered" && (m.Fate == "complained" || m.Fate == "unsubscribed"):
		return m.Fate
	default:
		return ""
	}
}

// takes is how long a vendor needs to reach a status: far less here than in
// life, where it is seconds.
func (m message) takes(status string) time.Duration {
	d := 15 * time.Millisecond
	if status == "read" || m.Status == "temporary_fail" {
		d = 150 * time.Millisecond
	}
	return d + rand.N(d)
}

func (m *message) become(status string, at time.Time) {
	m.Status = status
	switch status {
	case "sent":
		m.SentAt = at
	case "delivered":
		m.DeliveredAt, m.ErrorCode, m.Error = at, "", ""
		if m.Vendor == "mailgun" {
			m.SentAt = at
		}
	case "read":
		m.ReadAt = at
	case "undelivered", "failed":
		m.FailedAt, m.ErrorCode, m.Error = at, m.Fate, meaningOf(m.Fate)
	case "temporary_fail":
		m.FailedAt, m.ErrorCode, m.Error = at, "generic", "4.2.2 mailbox full"
	case "complained":
		m.FailedAt, m.ErrorCode, m.Error = at, status, "reported as spam"
	case "unsubscribed":
		m.FailedAt, m.ErrorCode, m.Error = at, status, "unsubscribed"
	}
}

// pause waits; false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
