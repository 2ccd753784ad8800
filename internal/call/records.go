package call

import (
	"fmt"
	"slices"
	"time"
)

// Conversation is a line of the voice vendor's list.
type Conversation struct {
	ID        string
	AgentID   string
	StartedAt time.Time
	Seconds   int
	Status    string // initiated, in-progress, processing, done, failed
}

// Over reports whether it has ended and is analysed.
func (c Conversation) Over() bool { return Over(c.Status) }

// Over reports whether a status is that of a conversation that has ended and is
// analysed.
func Over(status string) bool { return status == "done" || status == "failed" }

// EndedAt is when it ended.
func (c Conversation) EndedAt() time.Time {
	return c.StartedAt.Add(time.Duration(c.Seconds) * time.Second)
}

// Dialled is a call in the carrier's log.
type Dialled struct {
	SID       string
	From      string
	To        string
	Status    string // queued, ringing, in-progress, completed, busy, no-answer, canceled, failed
	Direction string // inbound, outbound-api, outbound-dial, …
	StartedAt time.Time
	Seconds   int // zero while the call lasts
}

// Over reports whether it has ended.
func (d Dialled) Over() bool {
	return !slices.Contains([]string{"queued", "ringing", "in-progress"}, d.Status)
}

// Busy is a vendor's request to come back later.
type Busy struct {
	After time.Duration // zero: it did not say how long
}

func (b *Busy) Error() string {
	return fmt.Sprintf("too many requests; the vendor asks to wait %s", b.After)
}
