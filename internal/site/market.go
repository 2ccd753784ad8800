package site

import (
	"time"

	"github.com/nyaruka/phonenumbers"

	"leadbus/internal/text"
)

func (l *loader) market(name, stem string) {
	m := &Market{}
	d := l.read(name, marketFile, m)
	if m.ID != "" && m.ID != stem {
		d.fault(where{"id"}, "the file of market %q is named %s.yaml", m.ID, m.ID)
	}
	country := func(at where, code string) {
		if code != "" && phonenumbers.GetCountryCodeForRegion(code) == 0 {
			d.fault(at, "no country %q with a numbering plan", code)
		}
	}
	country(where{"country"}, m.Country)
	for i, code := range m.Neighbours {
		country(where{"neighbours", i}, code)
		if code == m.Country {
			d.fault(where{"neighbours", i}, "%s is the market's own country", code)
		}
	}
	if m.Zone != "" {
		loc, err := time.LoadLocation(m.Zone)
		if err != nil {
			d.fault(where{"zone"}, "no time zone %q", m.Zone)
		}
		m.Location = loc
	}
	holidays(d, m)
	l.opening(d, m)
	quiet(d, m)
	places(d, m)
	reachable(d, where{"canary", "email"}, m.Canary.Email)
	l.Markets[stem] = m
	l.done(name, d)
}

func holidays(d *document, m *Market) {
	seen := map[string]bool{}
	for i, h := range m.Holidays {
		if h.Date == "" {
			continue
		}
		if _, err := time.Parse(time.DateOnly, h.Date); err != nil {
			d.fault(where{"holidays", i, "date"}, "%q is no date; want one such as 2027-01-31", h.Date)
		}
		if seen[h.Date] {
			d.fault(where{"holidays", i, "date"}, "%s stands here twice", h.Date)
		}
		seen[h.Date] = true
	}
}

// places checks that the table is a forest and that everything a caller may say
// has one meaning.
func places(d *document, m *Market) {
	parents := map[string]string{}
	for i, p := range m.Places {
		if _, twice := parents[p.ID]; twice && p.ID != "" {
			d.fault(where{"places", i, "id"}, "place %q stands here twice", p.ID)
			continue
		}
		parents[p.ID] = p.Parent
	}
	means := map[string]string{}
	say := func(at where, words, id string) {
		normal := text.Normal(words)
		if normal == "" {
			return
		}
		if other, taken := means[normal]; taken && other != id {
			d.fault(at, "%q already means place %q; an alias means one place", words, other)
			return
		}
		means[normal] = id
	}
	for i, p := range m.Places {
		if p.Parent != "" {
			if _, ok := parents[p.Parent]; !ok {
				d.fault(where{"places", i, "parent"}, "no place %q in this file%s", p.Parent, didYouMean(p.Parent, parents))
			} else if cyclic(parents, p.ID) {
				d.fault(where{"places", i, "parent"}, "place %q is part of itself through its parents", p.ID)
			}
		}
		say(where{"places", i, "name"}, p.Name, p.ID)
	}
	for i, p := range m.Places {
		for j, a := range p.Aliases {
			say(where{"places", i, "aliases", j}, a, p.ID)
		}
	}
	for i, decoy := range m.Decoys {
		if id, served := means[text.Normal(decoy.Name)]; served {
			d.fault(where{"decoys", i, "name"}, "%q means place %q; a decoy is out of area", decoy.Name, id)
		}
		for j, a := range decoy.Aliases {
			if id, served := means[text.Normal(a)]; served {
				d.fault(where{"decoys", i, "aliases", j}, "%q means place %q; a decoy is out of area", a, id)
			}
		}
	}
}

// cyclic reports whether a place is its own ancestor.
func cyclic(parents map[string]string, id string) bool {
	here := parents[id]
	for range parents {
		if here == "" {
			return false
		}
		if here == id {
			return true
		}
		here = parents[here]
	}
	return false
}
