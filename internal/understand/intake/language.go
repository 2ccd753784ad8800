package intake

import (
	"slices"
	"strings"

	"golang.org/x/text/language"

	"leadbus/internal/text"
)

// newMatcher picks one of a site's languages; the first is the default.
func newMatcher(codes []string) language.Matcher {
	tags := make([]language.Tag, len(codes))
	for i, c := range codes {
		tags[i] = language.Make(c)
	}
	return language.NewMatcher(tags)
}

// match is the place among a site's languages of a tag ("fr-CH", "gsw", "in") or
// a name ("bahasa Indonesia").
func match(languages language.Matcher, said string) int {
	tag := language.Make(said)
	for _, w := range slices.Backward(strings.Fields(text.Normal(said))) {
		for code, p := range spoken {
			if slices.Contains(strings.Fields(p.Language), w) {
				tag = language.Make(code)
			}
		}
	}
	_, i, _ := languages.Match(tag)
	return i
}
