package edge

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEveryLanguageHasEveryTextOfThePage(t *testing.T) {
	if d := cmp.Diff([]string{"de", "en", "fr", "id", "it"}, slices.Sorted(maps.Keys(linkTexts))); d != "" {
		t.Fatal(d)
	}
	want := slices.Sorted(maps.Keys(linkTexts["en"]))
	for lang, texts := range linkTexts {
		if d := cmp.Diff(want, slices.Sorted(maps.Keys(texts))); d != "" {
			t.Errorf("%s: %s", lang, d)
		}
		for key, text := range texts {
			if text == "" {
				t.Errorf("%s: %s says nothing", lang, key)
			}
		}
	}
}
