package compose

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/template"

	"leadbus/internal/site"
	tables "leadbus/internal/text"
)

//go:embed texts
var shipped embed.FS

// text is one message text: a Go template over words.
type text struct{ t *template.Template }

// UnmarshalText reads the template and executes it on words of both extremes:
// afterwards it cannot fail when a lead is at stake.
func (x *text) UnmarshalText(b []byte) (err error) {
	if len(strings.TrimSpace(string(b))) == 0 {
		return errors.New("the text is empty")
	}
	if x.t, err = template.New("text").Parse(string(b)); err != nil {
		return err
	}
	return errors.Join(x.t.Execute(io.Discard, words{}), x.t.Execute(io.Discard, sample))
}

// texts are all texts in one language; see texts/en.yaml for what each says.
type texts struct {
	Texts  map[string]text   `yaml:",inline"`
	Flags  map[string]text   `yaml:"flags"`  // of leads, and detectors of calls
	Calls  map[string]advice `yaml:"calls"`  // by what became of them
	Causes map[string]advice `yaml:"causes"` // of alarms
}

// of is a text by its name. A test reads the names that the code uses, and
// compares them with those of every language.
func (t *texts) of(name string) text { return t.Texts[name] }

// say renders a text by its name.
func (t *texts) say(name string, w words) string { return t.of(name).say(w) }

// advice is what is the matter, and what to do.
type advice struct {
	Title text `yaml:"title"`
	Next  text `yaml:"next"`
}

// fallback is the language of last resort.
const fallback = "en"

// shippedTexts are the texts in the binary, by language; nobody changes them.
var shippedTexts = sync.OnceValue(func() map[string]*texts { return tables.ShippedFiles[*texts](shipped, "texts") })

// override lays a site's own texts over the shipped ones. All faults are
// reported at once, each with site, language and text.
func override(base map[string]*texts, s *site.Site) (map[string]*texts, error) {
	out := make(map[string]*texts, len(base))
	for lang, t := range base {
		own := *t
		own.Texts = maps.Clone(t.Texts)
		out[lang] = &own
	}
	var faults []error
	for _, lang := range slices.Sorted(maps.Keys(s.Texts)) {
		t, ok := out[lang]
		if !ok {
			faults = append(faults, fmt.Errorf("site %s: texts: no language %q", s.Domain, lang))
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(s.Texts[lang])) {
			var x text
			err := x.UnmarshalText([]byte(s.Texts[lang][name]))
			if _, known := t.Texts[name]; !known {
				err = errors.New("there is no text of this name")
			}
			if err != nil {
				faults = append(faults, fmt.Errorf("site %s: texts: %s: %s: %w", s.Domain, lang, name, err))
				continue
			}
			t.Texts[name] = x
		}
	}
	return out, errors.Join(faults...)
}

// sample are words of typical length.
var sample = words{
	Brand: "Plombiers Genève", Site: "plombiersgeneve.ch", Dial: "+41225394512", Lead: "7k2mq9xe8tr5wz3hnd6y",
	Ref: "482 913", Service: "Fuite d'eau", Place: "Plan-les-Ouates", Name: "Marta Salas", Phone: "+41781230042",
	Details: "L'évier de la cuisine fuit", Provider: "Rapide Plomberie", Reason: "SMS", Channel: "SMS", Code: "30005",
	Urgent: true, Until: "24.11. 08:00", By: "24.11. 08:30", Since: "23.11.2026 09:00", Last: "23.11.2026 09:40", Date: "22.11.2026", Times: 3, Told: 2, Leads: 4,
}

// say renders the text. It cannot fail, short of a text that
// computes with what a customer said; what was rendered until then stands.
func (x text) say(w words) string {
	var b strings.Builder
	_ = x.t.Execute(&b, w)
	return b.String()
}

// language is the first of the wanted languages there are texts in; region
// subtags do not matter.
func language(have map[string]*texts, wanted ...string) string {
	for _, l := range wanted {
		l, _, _ = strings.Cut(strings.ToLower(l), "-")
		if have[l] != nil {
			return l
		}
	}
	return fallback
}

// flag is a flag, or what a detector finds, in plain words; one without words
// shows as it is.
func (t *texts) flag(name string) string {
	if x, ok := t.Flags[name]; ok {
		return x.say(words{})
	}
	return line(strings.ReplaceAll(name, "_", " "), maxName)
}

// flagTexts are flags in plain words.
func (t *texts) flagTexts(flags []string) []string {
	var out []string
	for _, f := range slices.Compact(slices.Sorted(slices.Values(flags))) {
		out = append(out, t.flag(f))
	}
	return out
}
