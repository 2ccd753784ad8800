package site

import (
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Checks of the files every market shares.

func (l *loader) services() {
	var f struct {
		Services []Service           `yaml:"services"`
		Trades   map[string][]string `yaml:"trades"`
	}
	d := l.read("services.yaml", servicesFile, &f)
	l.Trades = f.Trades
	for i := range f.Services {
		s := &f.Services[i]
		if l.Services[s.ID] != nil && s.ID != "" {
			d.fault(where{"services", i, "id"}, "service %q stands here twice", s.ID)
			continue
		}
		l.Services[s.ID] = s
	}
	l.done("services.yaml", d)
}

func (l *loader) trackers() {
	var f struct {
		Trackers []Tracker `yaml:"trackers"`
	}
	d := l.read("trackers.yaml", trackersFile, &f)
	for i := range f.Trackers {
		t := &f.Trackers[i]
		if l.Trackers[t.ID] != nil && t.ID != "" {
			d.fault(where{"trackers", i, "id"}, "tracker %q stands here twice", t.ID)
			continue
		}
		l.Trackers[t.ID] = t
	}
	l.done("trackers.yaml", d)
}

// templateVariables is how many variables every template has, in the order the
// schema's description of a body names.
const templateVariables = 5

// templateMax is WhatsApp's limit of a text in characters, variables filled in.
const templateMax = 1024

var variable = regexp.MustCompile(`\{\{([^{}]*)\}\}`)

func (l *loader) templates() {
	var f struct {
		Templates []Template `yaml:"templates"`
	}
	d := l.read("templates.yaml", templatesFile, &f)
	for i := range f.Templates {
		t := &f.Templates[i]
		if l.Templates[t.SID] != nil && t.SID != "" {
			d.fault(where{"templates", i, "sid"}, "this content SID stands here twice")
			continue
		}
		l.Templates[t.SID] = t
		if t.Body == "" {
			continue
		}
		if n := utf8.RuneCountInString(t.Body); n > templateMax {
			d.fault(where{"templates", i, "body"}, "the body has %d characters; WhatsApp takes %d, variables filled in", n, templateMax)
		}
		if !contiguous(t.Body) {
			d.fault(where{"templates", i, "body"}, "want the variables {{1}} to {{%d}}, each at least once and no other", templateVariables)
		}
	}
	l.done("templates.yaml", d)
}

func contiguous(body string) bool {
	var seen []string
	for _, m := range variable.FindAllStringSubmatch(body, -1) {
		seen = append(seen, m[1])
	}
	slices.Sort(seen)
	seen = slices.Compact(seen)
	for i, v := range seen {
		if v != strconv.Itoa(i+1) {
			return false
		}
	}
	return len(seen) == templateVariables
}
