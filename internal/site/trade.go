package site

import (
	"regexp"
	"slices"
	"strings"
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
	l.Services = keyed(d, f.Services, func(s Service) string { return s.ID }, "services", "id", "service %q stands here twice")
	l.done("services.yaml", d)
}

func (l *loader) trackers() {
	var f struct {
		Trackers []Tracker `yaml:"trackers"`
	}
	d := l.read("trackers.yaml", trackersFile, &f)
	l.Trackers = keyed(d, f.Trackers, func(t Tracker) string { return t.ID }, "trackers", "id", "tracker %q stands here twice")
	if len(d.faults) == 0 {
		for i, t := range f.Trackers {
			t.check(func(at where, format string, args ...any) {
				d.fault(append(where{"trackers", i}, at...), format, args...)
			})
		}
	}
	l.done("trackers.yaml", d)
}

// keyed are the entries of a list by their keys. Of two with one key it keeps the
// first.
func keyed[T any](d *document, entries []T, key func(T) string, list, field, twice string) map[string]*T {
	known := map[string]*T{}
	for i, entry := range entries {
		k := key(entry)
		if known[k] == nil {
			known[k] = &entries[i]
		} else if k != "" {
			d.fault(where{list, i, field}, twice, k)
		}
	}
	return known
}

// templateVariables are those of a template's body, by its purpose.
var templateVariables = map[string][]string{
	"offer": {"1", "2", "3", "4", "5"}, "update": {"1", "2", "3", "4", "5"}, "invite": {"1", "2", "4", "5"}, "verify": {"1", "4"},
}

// templateMax is WhatsApp's limit of a text in characters, variables filled in.
const templateMax = 1024

var variable = regexp.MustCompile(`\{\{([^{}]*)\}\}`)

func (l *loader) templates() {
	var f struct {
		Templates []Template `yaml:"templates"`
	}
	d := l.read("templates.yaml", templatesFile, &f)
	l.Templates = keyed(d, f.Templates, func(t Template) string { return t.SID }, "templates", "sid", "content SID %s stands here twice")
	for i, t := range f.Templates {
		if t.Body == "" {
			continue
		}
		if n := utf8.RuneCountInString(t.Body); n > templateMax {
			d.fault(where{"templates", i, "body"}, "the body has %d characters; WhatsApp takes %d, variables filled in", n, templateMax)
		}
		if want := templateVariables[t.Purpose]; !complete(t.Body, want) {
			d.fault(where{"templates", i, "body"}, "want the variables {{%s}}, each at least once and no other", strings.Join(want, "}}, {{"))
		}
	}
	l.done("templates.yaml", d)
}

// complete reports whether a body has every variable and no other.
func complete(body string, want []string) bool {
	var seen []string
	for _, m := range variable.FindAllStringSubmatch(body, -1) {
		seen = append(seen, m[1])
	}
	slices.Sort(seen)
	return slices.Equal(slices.Compact(seen), want)
}
