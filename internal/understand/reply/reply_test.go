package reply

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/event"
	"leadbus/internal/text"
)

func TestRead(t *testing.T) {
	for said, want := range map[string]Reply{
		"OUI 482 913":             {Answer: event.Accept, Ref: "482913", Language: "fr"},
		"482913 oui":              {Answer: event.Accept, Ref: "482913", Language: "fr"},
		"Yes, 482-913!":           {Answer: event.Accept, Ref: "482913", Language: "en"},
		"Sì 482913":               {Answer: event.Accept, Ref: "482913", Language: "it"},
		"no 482 913":              {Answer: event.Decline, Ref: "482913"},
		"Nein 482913":             {Answer: event.Decline, Ref: "482913", Language: "de"},
		"Saya terima 482 913":     {Answer: event.Accept, Ref: "482913", Language: "id"},
		"oui":                     {},
		"oui 48291":               {},
		"oui 482 913 7":           {},
		"oui mais 482 913 demain": {},
		"482 913":                 {},
		"ARRÊT":                   {OptOut: Stop, Language: "fr"},
		"Stopp.":                  {OptOut: Stop, Language: "de"},
		"  berhenti ":             {OptOut: Stop, Language: "id"},
		"basta":                   {OptOut: Stop, Language: "it"},
		"Abmelden":                {OptOut: Stop, Language: "de"},
		"stop 482913":             {},
		"stop calling me":         {},
		"":                        {},
	} {
		for _, onNumber := range []bool{false, true} {
			if d := cmp.Diff(want, Read(said, onNumber)); d != "" {
				t.Errorf("%q, %v: %s", said, onNumber, d)
			}
		}
	}
	// The carrier acts on these, on a number only.
	for _, c := range []struct {
		said         string
		onNumber     bool
		optOut       string
		told, answer bool
	}{
		{"STOP", true, Stop, true, false},
		{"STOP", false, Stop, false, false},
		{"Cancel", true, Stop, true, false},
		{"Cancel", false, "", false, false},
		{"YES", true, Start, true, false},
		{"YES", false, "", false, false},
		{"Start", true, Start, true, false},
		{"Start", false, Start, false, false},
	} {
		if r := Read(c.said, c.onNumber); r.OptOut != c.optOut || r.Told != c.told || r.Answer != "" {
			t.Errorf("%q, %v: %+v", c.said, c.onNumber, r)
		}
	}
}

// A word has one meaning, in the form in which texts are compared.
func TestWords(t *testing.T) {
	if len(table.Languages) != 5 {
		t.Errorf("%d languages", len(table.Languages))
	}
	means := map[string]string{}
	for lang, w := range table.Languages {
		for meaning, list := range map[string][]string{"stop": w.Stop, "start": w.Start, "accept": w.Accept, "decline": w.Decline} {
			if len(list) == 0 {
				t.Errorf("%s has no word for %s", lang, meaning)
			}
			for _, word := range list {
				if word != text.Normal(word) {
					t.Errorf("%s: %q is never met", lang, word)
				}
				if other := means[word]; other != "" && other != meaning {
					t.Errorf("%s: %q means %s and %s", lang, word, meaning, other)
				}
				means[word] = meaning
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("OUI 482 913", true)
	f.Add("ARRÊT", false)
	f.Fuzz(func(t *testing.T, said string, onNumber bool) {
		r := Read(said, onNumber)
		if r.OptOut != "" && r.Answer != "" || (r.Answer != "") != (len(r.Ref) == 6) {
			t.Errorf("%q: %+v", said, r)
		}
	})
}
