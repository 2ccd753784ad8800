package site

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/nyaruka/phonenumbers"
	"go.yaml.in/yaml/v4"

	"leadbus/internal/lead"
	"leadbus/internal/roster"
)

const rosterFile = "roster"

// row is a provider as a roster file has it.
type row struct {
	roster.Provider `yaml:",inline"`
	Open            map[string]string `yaml:"hours"`
}

// ReadRoster reads providers from a file named *.yaml, *.yml or *.csv and checks
// them against the configuration.
//
// In YAML, providers is a list of
//
//	id: lac                       # stable, lower-case; no phone number
//	market: ch
//	name: Plomberie du Lac
//	active: true                  # the default
//	priority: 1                   # the default; 1 is asked first
//	services: [plumbing.leak]
//	places: [geneve]              # a place covers its parts
//	languages: [fr, en]           # the first one is written to
//	hours:                        # market's time; may be left out with after_hours
//	  mon-fri: 08:00-12:00,13:30-18:00
//	  fri: 20:00-02:00            # until Saturday; adds to mon-fri
//	  sun: 00:00-24:00            # daily stands for mon-sun
//	after_hours: false            # the default
//	leave: [{from: 2026-12-24, until: 2027-01-02}]
//	caps: {day: 5, week: 20}      # 0, the default, is no limit
//	whatsapp: "+41781234567"      # at least one of the channels
//	sms: "+41781234567"
//	email: lac@example.com
//
// A CSV file has these names in its first line, in any order, and writes
//
//	services, places, languages   plumbing.leak; plumbing.drain
//	hours                         mon-fri 08:00-12:00,13:30-18:00; sat 09:00-12:00
//	leave                         2026-12-24..2027-01-02; 2027-02-01
//	caps                          day 5; week 20
//
// The error is Faults, all that there are; with any there are no providers.
func (c *Catalog) ReadRoster(file string, data []byte) ([]roster.Provider, error) {
	var all struct {
		Providers []yaml.Node `yaml:"providers"`
	}
	d := &document{file: file}
	var root *yaml.Node
	var absent []string // columns, each a fault of its own
	switch strings.ToLower(filepath.Ext(file)) {
	case ".yaml", ".yml":
		if root = d.parse(data); root != nil {
			loosen(root)
		}
	case ".csv":
		root, absent = d.csv(data)
	default:
		return nil, fmt.Errorf("roster %s: want a file named *.yaml or *.csv", file)
	}
	d.check(rosterFile, root, &all)
	d.faults = slices.DeleteFunc(d.faults, func(f Fault) bool { return slices.Contains(absent, f.Message) })
	var providers []roster.Provider
	ids := map[string]bool{}
	for i, n := range all.Providers {
		at := where{"providers", i}
		r := row{Provider: roster.Provider{Active: true, Priority: 1}}
		err := n.Decode(&r)
		if err != nil {
			d.loadFaults(err)
			d.form = len(d.faults)
		}
		if ids[r.ID] {
			d.fault(append(at, "id"), "id %s is given twice", r.ID)
		}
		ids[r.ID] = r.ID != ""
		c.refers(d, at, r)
		p := r.provider(d, at)
		if err == nil && len(p.Channels()) == 0 {
			d.fault(at, "there is no way to reach this provider: give one of %s", strings.Join(lead.Channels, ", "))
		}
		if err == nil && !p.AfterHours && len(p.Hours) == 0 {
			d.fault(at, "hours is missing; without hours and without after_hours nobody would ever ask this provider")
		}
		providers = append(providers, p)
	}
	if len(d.faults) > 0 {
		return nil, Faults(sorted(d.faults))
	}
	return providers, nil
}

// refers checks what a provider refers to.
func (c *Catalog) refers(d *document, at where, r row) {
	m := c.Markets[r.Market]
	if m == nil && r.Market != "" {
		d.fault(append(at, "market"), "there is no market %q%s", r.Market, didYouMean(r.Market, c.Markets))
	}
	for i, id := range r.Services {
		if c.Services[id] == nil {
			d.fault(append(at, "services", i), "there is no service %q%s", id, didYouMean(id, c.Services))
		}
	}
	for i, id := range r.Places {
		if m != nil && !slices.ContainsFunc(m.Places, func(p Place) bool { return p.ID == id }) {
			d.fault(append(at, "places", i), "there is no place of market %s %q", r.Market, id)
		}
	}
}

// provider is the row as the rest of the program knows it.
func (r row) provider(d *document, at where) roster.Provider {
	p := r.Provider
	if !strings.ContainsFunc(r.ID, unicode.IsLetter) && r.ID != "" {
		d.fault(append(at, "id"), "want an id with at least one letter: a number may be somebody's")
	}
	for day, text := range r.Open {
		if p.Hours == nil {
			p.Hours = roster.Hours{}
		}
		days, spans, ok := roster.ParseHours(day, text)
		switch path := append(slices.Clone(at), "hours", day); {
		case days == nil:
			d.keyFault(path, "%q is no day; want mon, tue, wed, thu, fri, sat, sun, a range such as mon-fri, or daily", day)
		case !ok:
			d.fault(path, "want hours such as 08:00-12:00,13:30-18:00; 20:00-02:00 ends on the next day, 00:00-24:00 is all of it")
		}
		for _, day := range days {
			p.Hours[day] = append(p.Hours[day], spans...)
		}
	}
	for _, spans := range p.Hours {
		slices.SortFunc(spans, func(a, b roster.Span) int { return a.From - b.From })
	}
	for i, l := range r.Leave {
		for key, day := range map[string]string{"from": l.From, "until": l.Until} {
			if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil {
				d.fault(append(slices.Clone(at), "leave", i, key), "want a date such as 2026-12-24")
			}
		}
		if l.From != "" && l.Until != "" && l.Until < l.From {
			d.fault(append(at, "leave", i), "leave ends before it begins")
		}
	}
	for _, channel := range lead.Channels {
		address := *p.Address(channel)
		if path := append(slices.Clone(at), channel); channel == lead.Email {
			reachable(d, path, address)
		} else {
			dialable(d, path, address, channel == lead.SMS)
		}
	}
	return p
}

// dialable refuses what is no valid number, and for a text what takes none.
func dialable(d *document, at where, number string, text bool) {
	if number == "" {
		return
	}
	n, err := phonenumbers.Parse(number, "")
	switch kind := phonenumbers.GetNumberType(n); {
	case err != nil || !phonenumbers.IsValidNumber(n) || phonenumbers.Format(n, phonenumbers.E164) != number:
		d.fault(at, "want a valid phone number in international form, such as +41781234567")
	case text && kind != phonenumbers.MOBILE && kind != phonenumbers.FIXED_LINE_OR_MOBILE:
		d.fault(at, "this number takes no SMS: it is not a mobile number")
	}
}

// loosen leaves out what was left empty, and takes a number without quotes for
// the text that it is.
func loosen(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		var kept []*yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null" {
				continue
			}
			if slices.Contains(lead.Channels, key.Value) && value.Kind == yaml.ScalarNode {
				value.Tag = "!!str"
			}
			kept = append(kept, key, value)
		}
		n.Content = kept
	}
	for _, c := range n.Content {
		loosen(c)
	}
}
