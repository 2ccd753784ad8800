package site

import (
	"cmp"
	"time"

	"leadbus/internal/lead"
	"leadbus/internal/roster"
)

// Dispatch says how a site's leads are offered.
type Dispatch struct {
	Mode  string `yaml:"mode,omitempty"`  // lead.Notify when empty
	Class string `yaml:"class,omitempty"` // "standard" when empty
	// Classes replaces fields of the shipped classes, by name.
	Classes map[string]Class `yaml:"classes,omitempty"`
}

// Class is how long what may take for leads of one urgency.
type Class struct {
	Window time.Duration `yaml:"window,omitempty"` // of an offer
	Hops   int           `yaml:"hops,omitempty"`   // providers asked, one after the other, at most
	Page   time.Duration `yaml:"page,omitempty"`   // until the owner is called
	Text   time.Duration `yaml:"text,omitempty"`   // until the customer hears that it takes longer
	Always bool          `yaml:"-"`                // counted on the clock, not in opening hours
}

// Names of the classes that a lead gets without one.
const (
	standard = "standard"
	sameDay  = "same_day"
)

// classes are the shipped ones; schema.json names the same.
var classes = map[string]Class{
	"emergency": {Window: 2 * time.Minute, Hops: 3, Page: 5 * time.Minute, Text: 5 * time.Minute, Always: true},
	sameDay:     {Window: 5 * time.Minute, Hops: 4, Page: 15 * time.Minute, Text: 15 * time.Minute, Always: true},
	standard:    {Window: 15 * time.Minute, Hops: 4, Page: time.Hour, Text: 30 * time.Minute},
	"booking":   {Window: 30 * time.Minute, Hops: 3, Page: 4 * time.Hour, Text: time.Hour},
}

// DispatchOf is how a lead for a service of the site is offered. An urgent one of
// the standard class is of the class same_day. In the class emergency it is
// broadcast unless only notified.
func (s *Site) DispatchOf(l lead.Lead) (mode string, c Class) {
	mode, name := s.Dispatch.Mode, s.Dispatch.Class
	for _, offered := range s.Services {
		if offered.ID == l.Service.ID {
			mode, name = cmp.Or(offered.Mode, mode), cmp.Or(offered.Class, name)
		}
	}
	if name = cmp.Or(name, standard); name == standard && l.Request.Urgent() {
		name = sameDay
	}
	c = classes[name]
	own := s.Dispatch.Classes[name]
	c.Window, c.Hops = cmp.Or(own.Window, c.Window), cmp.Or(own.Hops, c.Hops)
	c.Page, c.Text = cmp.Or(own.Page, c.Page), cmp.Or(own.Text, c.Text)
	if mode = cmp.Or(mode, lead.Notify); name == "emergency" && mode == lead.Exclusive {
		mode = lead.Broadcast
	}
	return mode, c
}

// After is when a span that begins at a time is over: counted in the market's
// opening hours unless the class is always at work or the market has none.
func (m *Market) After(c Class, at time.Time, span time.Duration) time.Time {
	if c.Always {
		return at.Add(span)
	}
	return m.Hours.After(at.In(m.Location), span, m.Off).UTC()
}

// Off reports whether a local day ("2006-01-02") is a holiday.
func (m *Market) Off(day string) bool {
	for _, h := range m.Holidays {
		if h.Date == day {
			return true
		}
	}
	return false
}

func (l *loader) opening(d *document, m *Market) {
	m.Hours = roster.Hours{}
	for day, text := range m.Opening {
		days, spans, ok := roster.ParseHours(day, text)
		if days == nil || !ok {
			d.fault(where{"hours", day}, "want days such as mon-fri with hours such as 08:00-12:00,13:30-18:00")
		}
		for _, one := range days {
			m.Hours[one] = append(m.Hours[one], spans...)
		}
	}
}
