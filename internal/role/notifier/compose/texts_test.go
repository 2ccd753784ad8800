package compose

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

var update = flag.Bool("update", false, "write the golden files anew")

var languages = []string{"de", "en", "fr", "id", "it"}

func loaded(t *testing.T) map[string]*texts {
	t.Helper()
	all := shippedTexts()
	if d := cmp.Diff(languages, slices.Sorted(maps.Keys(all))); d != "" {
		t.Fatal(d)
	}
	return all
}

// The names of texts in the code are those of every language, and none is there
// for nothing.
func TestEveryTextIsUsedAndThere(t *testing.T) {
	used := map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		for _, m := range regexp.MustCompile(`\.(?:say|of)\("([a-z_]+)"|"((?:customer|provider)_[a-z_]+)"`).FindAllStringSubmatch(string(data), -1) {
			used[m[1]+m[2]] = true
		}
	}
	for lang, x := range loaded(t) {
		if d := cmp.Diff(slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(x.Texts))); d != "" {
			t.Errorf("%s: used in the code (-) and there (+): %s", lang, d)
		}
	}
}

func TestEveryLanguageHasTheSameFlags(t *testing.T) {
	all := loaded(t)
	want := slices.Sorted(maps.Keys(all["en"].Flags))
	for lang, x := range all {
		if d := cmp.Diff(want, slices.Sorted(maps.Keys(x.Flags))); d != "" {
			t.Errorf("%s: %s", lang, d)
		}
		for name, f := range x.Flags {
			if f.say(words{}) == "" {
				t.Errorf("%s: flag %s says nothing", lang, name)
			}
		}
	}
}

// Every shipped SMS text stays in the plain alphabet by itself, without the
// substitutions, and in one segment with words of typical length and their
// language's own.
func TestShippedTextsFitOneSegment(t *testing.T) {
	c := catalog(t)
	for lang, x := range loaded(t) {
		for name, tmpl := range x.Texts {
			if !strings.HasSuffix(name, "_sms") {
				continue
			}
			for _, s := range c.Sites {
				w := sample
				w.Brand, w.Site, w.Dial = s.Brand, s.Domain, s.DID
				if name := c.Services[s.Services[0].ID].Names[lang]; name != "" {
					w.Service = name
				}
				w.Reason = x.Causes[alarm.Review].Title.say(w)
				raw := tidy(tmpl.say(w))
				if n, gsm7 := segmentsOf(raw); !gsm7 || n != 1 {
					t.Errorf("%s %s for %s: %d segments, GSM-7 %v, %d septets: %q", lang, name, s.Domain, n, gsm7, length(raw, septet), raw)
				}
			}
		}
	}
}

func TestOverrides(t *testing.T) {
	messages := planned(t, outcome(subjects.Matched, nil), func(c *site.Catalog) {
		c.Sites["plombiersgeneve.ch"].Texts = map[string]map[string]string{
			"fr": {"customer_sms": "Bonjour «{{.Name}}», {{.Provider}} vous appelle. {{.Ref}}"},
		}
	})
	m := pick(t, messages, "customer sms confirmation")
	if want := `Bonjour "Marta Salas", Rapide Plomberie vous appelle. 482 913`; m.Text != want {
		t.Errorf("%q, want %q", m.Text, want)
	}
	// The other texts and sites are as they were.
	if m := pick(t, messages, "provider sms offer"); !strings.HasPrefix(m.Text, "URGENT Fuite d'eau") {
		t.Errorf("%q", m.Text)
	}
	if x := loaded(t)["fr"].say("customer_sms", sample); strings.HasPrefix(x, "Bonjour") {
		t.Error("the override reached the shipped texts")
	}
}

func TestBrokenOverridesAreNamed(t *testing.T) {
	c := catalog(t)
	c.Sites["plombiersgeneve.ch"].Texts = map[string]map[string]string{
		"fr": {
			"customer_sms": "{{.Nope}}", "provider_sms": "{{if .Urgent}}", "no_such_text": "x", "alarm_sms": "  ",
			"provider_title": "{{index .Name 3}}", "flags": "x",
		},
		"xx": {"customer_sms": "x"},
	}
	c.Sites["dentistgeneve.example"].Texts = map[string]map[string]string{"en": {"customer_sms": "{{"}}
	c.Sites["balitennislesson.com"].Texts = map[string]map[string]string{"en": {"customer_sms": "{{"}} // another market's
	_, err := New(c, "ch", nil, "")
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"plombiersgeneve.ch: texts: fr: customer_sms: ", "plombiersgeneve.ch: texts: fr: provider_sms: ", "plombiersgeneve.ch: texts: fr: no_such_text: ",
		"plombiersgeneve.ch: texts: fr: alarm_sms: ", "plombiersgeneve.ch: texts: fr: provider_title: ", "plombiersgeneve.ch: texts: fr: flags: ",
		`plombiersgeneve.ch: texts: no language "xx"`, "dentistgeneve.example: texts: en: customer_sms: ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no fault %q in:\n%v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "texts: "); n != 8 {
		t.Errorf("%d faults:\n%v", n, err)
	}
}

// All messages of each outcome, in each language, as people read them.
func TestGolden(t *testing.T) {
	for _, lang := range languages {
		var b strings.Builder
		for _, kind := range []string{subjects.Matched, subjects.Amended, subjects.Unserved, subjects.ReviewRequested} {
			catalog := catalog(t)
			catalog.Sites["plombiersgeneve.ch"].Owner.Language = lang
			e := outcome(kind, func(d *event.Decided) {
				d.Lead.Language = lang
				if d.Provider != nil {
					d.Provider.Languages = []string{lang}
				}
				if kind == subjects.ReviewRequested {
					d.Lead.Phone, d.Lead.Service, d.Lead.Place = lead.Phone{Raw: "12"}, lead.Service{Raw: "fuite"}, lead.Place{Raw: "Xyzzy"}
				}
			})
			messages := by(t, catalog, e)
			composer, err := New(catalog, "ch", links, "https://leads.mail.example/")
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range messages {
				for _, why := range []*lead.Failure{nil, {Vendor: "twilio", Code: "30006", Reason: "the number cannot receive texts"}} {
					if m.Recipient == lead.ToCustomer {
						told, err := composer.Texted(e, *e.Body.(*event.Decided), m, why)
						if err != nil {
							t.Fatal(err)
						}
						messages = append(messages, told...)
					}
				}
			}
			for _, m := range messages {
				b.WriteString("=== " + what([]lead.Message{m})[0] + "\n")
				if m.Channel == lead.WhatsApp {
					b.WriteString(fill(catalog.Templates[m.ContentSID].Body, m.ContentVariables) + "\n")
					continue
				}
				b.WriteString(strings.TrimSpace(m.Subject+"\n"+m.Text) + "\n")
				if m.Channel == lead.SMS {
					if n, gsm7 := segmentsOf(m.Text); n != 1 || !gsm7 {
						t.Errorf("%s: %d segments, GSM-7 %v: %q", lang, n, gsm7, m.Text)
					}
				}
			}
		}
		file := filepath.Join("testdata", lang+".golden")
		if *update {
			if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(b.String(), "\n")); d != "" {
			t.Errorf("%s: %s", lang, d)
		}
	}
}
