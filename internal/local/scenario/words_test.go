package scenario

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var blank = regexp.MustCompile(`\{\w+\}`)

// A word that is missing would leave somebody in a call with nothing to say.
func TestEveryLanguageHasEveryWord(t *testing.T) {
	for language, said := range words {
		if d := cmp.Diff(slices.Sorted(maps.Keys(words["en"])), slices.Sorted(maps.Keys(said))); d != "" {
			t.Errorf("%s: %s", language, d)
		}
		for name, text := range said {
			if text == "" || !slices.Equal(blank.FindAllString(text, -1), blank.FindAllString(words["en"][name], -1)) {
				t.Errorf("%s: %s is %q", language, name, text)
			}
		}
	}
}

func TestEveryStepIsKnown(t *testing.T) {
	for _, s := range scenarios {
		for _, step := range s.Steps {
			role, phrase, _ := strings.Cut(step, " ")
			switch role {
			case "dispatch", "end_call":
			case "agent", "user":
				if words["en"][phrase] == "" {
					t.Errorf("%s: there is no phrase %q", s.Name, phrase)
				}
			default:
				t.Errorf("%s: %q", s.Name, step)
			}
		}
	}
}
