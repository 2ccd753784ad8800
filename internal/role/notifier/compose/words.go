package compose

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// words are what a text may name. A customer's words are a value here, never
// template syntax.
type words struct {
	Brand    string // the site as people know it
	Site     string // its domain
	Dial     string // its own number, to correct a request
	Lead     string // lead id
	Ref      string
	Service  string // "new request" where Private
	Place    string
	Name     string
	Phone    string
	Details  string // empty where Private
	Window   string // when the customer wishes the call or visit
	Provider string
	Until    string // when the offer expires, or when somebody is open again
	By       string // when the customer will have been called
	Reason   string // why the owner is alarmed, or why a message was not delivered
	Channel  string
	Code     string // the vendor's own, of a failure
	Urgent   bool
	Private  bool // health: only mail bodies may name service and details

	// Of a call, an alarm or a day.
	Since string // when it began, the owner's time
	Last  string
	Date  string
	Times int    // occurrences
	Told  int    // how often the owner was notified
	Leads int    // at risk
	Link  string // to answer by
}

// Bounds in characters. Mail bodies show nearly everything; the rest keeps one
// odd value from crowding out the others.
const (
	maxName    = 60
	maxLine    = 200
	maxDetails = 4000
)

// line is s fit for one line: no control characters, line breaks, unpaired
// bytes or marks that change the direction of what follows; spaces single; at
// most max characters.
func line(s string, max int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, r == '\u00ad', r == '\ufeff', r == '\u200b',
			r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069', r == '\u200e', r == '\u200f':
			return -1
		case unicode.IsControl(r), unicode.IsSpace(r):
			return ' '
		}
		return r
	}, s)
	return cut(strings.Join(strings.Fields(s), " "), max, one, "…")
}

// one is the cost of a character where characters are counted.
func one(rune) int { return 1 }

// length is what s costs.
func length(s string, cost func(rune) int) int {
	n := 0
	for _, r := range s {
		n += cost(r)
	}
	return n
}

// cut shortens s so that it costs at most n, and marks where.
func cut(s string, n int, cost func(rune) int, mark string) string {
	total, end := 0, 0
	for i, r := range s {
		if total+length(mark, cost) <= n {
			end = i
		}
		total += cost(r)
	}
	if total <= n {
		return s
	}
	if s = strings.TrimRight(s[:end], " ,.;:-"); s == "" {
		return ""
	}
	return s + mark
}

// tidy trims the lines of a rendered text and drops those that came out empty.
func tidy(s string) string {
	var kept []string
	for l := range strings.Lines(s) {
		if l = strings.Join(strings.Fields(l), " "); l != "" {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, "\n")
}
