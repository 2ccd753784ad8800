package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// progress is how far one lead has come, and the call it came of.
type progress struct {
	story.Record
	start    time.Time
	accepted bool // the edge answered success
	last     time.Time
	reported bool           // the voice vendor reports on the call, and not each becomes a lead
	scanned  *event.Scanned // what the scanner made of that
	// Of an offered lead: whether somebody answers, the messages to providers, and
	// whether one has declined.
	answered bool
	offered  map[string]lead.Message
	declined bool
}

// take takes one event in and answers it as a line for people; empty for what
// nobody needs to read.
func (p *progress) take(e event.Event) string {
	p.last = e.At
	states := map[string]string{}
	for _, m := range p.Messages {
		states[m.ID] = m.State
	}
	p.Apply(e)
	for _, m := range p.Messages {
		if _, queued := e.Body.(*event.Queued); !queued && states[m.ID] != m.State && m.State != string(lead.MessageSent) {
			line := fmt.Sprintf("%-10s %s to %s: %s", m.State, m.Channel, m.Recipient, m.Purpose)
			if m.ErrorReason != "" {
				line += fmt.Sprintf(" (%s %s (%s): %s)", m.Vendor, m.ErrorCode, m.ErrorClass, m.ErrorReason)
			}
			return line
		}
	}
	switch b := e.Body.(type) {
	case *event.Queued:
		if p.offered != nil && b.Message.Recipient == lead.ToProvider {
			p.offered[b.Message.ID] = b.Message
		}
	case *event.Received:
		l := b.Lead
		return fmt.Sprintf("received   %s, %s, phone %s%s", cmp.Or(l.Service.Name, "service?"), cmp.Or(l.Place.Name, "place?"), cmp.Or(l.Phone.Confidence, "none"), flags(l.Flags))
	case *event.Decided:
		switch {
		case e.Lead.Event == subjects.Overdue:
			return fmt.Sprintf("%-10s the %s hears that it takes longer", e.Lead.Event, b.Of)
		case b.Provider != nil:
			return fmt.Sprintf("%-10s %s (%d providers looked at)%s", e.Lead.Event, b.Provider.Name, len(b.Trace), because(string(b.Ended)))
		}
		return fmt.Sprintf("%-10s %s", e.Lead.Event, b.Reason)
	case *event.Ended:
		return fmt.Sprintf("%-10s after %d s, %d turns", "call over", b.Call.Seconds, len(b.Call.Turns))
	case *event.Scanned:
		if p.scanned == nil || b.Call.Weight() > p.scanned.Call.Weight() {
			p.scanned = b
		}
		return "scanned    " + scan(*b)
	case *event.Replied:
		return fmt.Sprintf("%-10s the provider: %s%s", "replied", b.Answer, because(b.Reason, b.Value, b.Until))
	case *event.Ordered:
		return fmt.Sprintf("%-10s the owner: %s%s", "ordered", b.Order, because(b.Provider, b.Of, b.Reason, b.Value))
	case *event.Answered:
		return fmt.Sprintf("%-10s the owner: %s", "answered", b.Answer)
	}
	return ""
}

// done reports whether everything that was decided has been told, as far as
// vendors say.
func (p *progress) done() bool { return p.missing() == "" }

// queued reports whether the messages about the lead, or about a call without
// one, are all there: of those that were queued together each tells how many
// they are, and the owner who gets copies hears what became of a customer's text.
func (p *progress) queued() bool {
	// For what nobody can take the owner is notified by an alarm of its own.
	begun, together := p.Decision != nil && p.Outcome() != lead.Matched, map[int]int{}
	copied, texts, heard := false, []string{}, map[string]bool{}
	for _, m := range p.Messages {
		begun = begun || p.leadless() || !strings.HasPrefix(m.Purpose, lead.PurposeCall)
		together[max(m.Of, 1)]++
		switch {
		case m.Recipient == lead.ToCustomer && lead.MessageState(m.State).Final() && m.ErrorClass != string(lead.Superseded):
			texts = append(texts, strings.TrimSuffix(m.Purpose, "-correction"))
		case strings.HasPrefix(m.Purpose, lead.PurposeCopyOfText):
			heard[strings.TrimSuffix(strings.TrimPrefix(m.Purpose, lead.PurposeCopyOfText), "-failed")] = true
		}
		copied = copied || m.Purpose == lead.PurposeCopy
	}
	begun = begun && (!copied || !slices.ContainsFunc(texts, func(purpose string) bool { return !heard[purpose] }))
	for of, n := range together {
		begun = begun && n%of == 0
	}
	return begun
}

// leadless reports whether the call ended without a lead, or with one that
// waits for the owner.
func (p *progress) leadless() bool {
	return p.scanned != nil && (p.scanned.Lead == nil || p.scanned.Status == event.Asked)
}

// missing says what has not happened yet; empty for nothing.
func (p *progress) missing() string {
	if p.reported && p.scanned == nil {
		return "the call was not scanned yet: is the market's scanner running?"
	}
	if p.Decision == nil && !p.leadless() {
		return "no decision yet: is the market's matcher running?"
	}
	open := p.Mode != "" && (p.Lead.Status == string(lead.Matched) || p.Lead.Status == string(lead.Notified))
	if open && p.answered {
		return "an offer is open: the next provider is asked at " + p.Until.Local().Format(time.TimeOnly)
	}
	if step, _ := p.Due(time.Now()); step.Next {
		return "the next provider is looked for: is the market's matcher running?"
	}
	var waiting []string
	for _, m := range p.Messages {
		if !lead.MessageState(m.State).Final() && m.Recipient != lead.ToTracker { // which may wait for days
			waiting = append(waiting, fmt.Sprintf("%s to %s is %s", m.Channel, m.Recipient, m.State))
		}
	}
	if len(waiting) == 0 && !p.queued() {
		return "some messages are not queued yet: is the market's notifier running?"
	}
	return strings.Join(waiting, "; ")
}

// summary says what became of the lead.
func (p *progress) summary(w io.Writer, id string) {
	if p.leadless() {
		_, _ = fmt.Fprintf(w, "\ncall %s: %s", id, cmp.Or(p.scanned.Status, "no lead was due"))
	} else {
		_, _ = fmt.Fprintf(w, "\nlead %s recorded, %s", id, p.Lead.Status)
	}
	if d := p.Decided(); d != nil && d.Provider != nil {
		_, _ = fmt.Fprintf(w, "; provider: %s", d.Provider.Name)
	}
	_, _ = fmt.Fprintln(w)
	var lines []string
	for _, m := range p.Messages {
		lines = append(lines, fmt.Sprintf("  %-9s %-9s %-18s %s", m.Recipient, m.Channel, m.Purpose, m.State))
	}
	slices.Sort(lines)
	_, _ = fmt.Fprintln(w, strings.Join(lines, "\n"))
	_, _ = fmt.Fprintf(w, "total %d ms\n", p.last.Sub(p.start).Milliseconds())
}

// scan is what the scanner made of a call, for people.
func scan(s event.Scanned) string {
	lines := []string{cmp.Or(s.Scan.Why, "a request")}
	if s.Status != "" {
		lines[0] += ", lead " + s.Status
	}
	for _, f := range s.Scan.Findings {
		line := fmt.Sprintf("                      %d:%02d %s", f.Second/60, f.Second%60, f.Detector)
		if f.Sentence != "" {
			line += fmt.Sprintf(" %q", f.Sentence)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// print writes one line of a timeline with the time since start.
func (p *progress) print(w io.Writer, at time.Time, line string) {
	if line != "" {
		_, _ = fmt.Fprintf(w, "  %6d ms  %s\n", max(at.Sub(p.start).Milliseconds(), 0), line)
	}
}

// because are the words that are there, in brackets.
func because(words ...string) string {
	if words = slices.DeleteFunc(words, func(w string) bool { return w == "" }); len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, ", ") + ")"
}

func flags(f []string) string {
	if len(f) == 0 {
		return ""
	}
	return "  [" + strings.Join(f, " ") + "]"
}
