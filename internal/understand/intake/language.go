package intake

import (
	"slices"
	"strings"

	"golang.org/x/text/language"

	"leadbus/internal/text"
)

// newMatcher picks one of a site's languages; the first is the default.
func newMatcher(codes []string) language.Matcher {
	offered := make([]language.Tag, len(codes))
	for i, c := range codes {
		offered[i] = language.Make(c)
	}
	return language.NewMatcher(offered)
}

// tags are the languages by the words of their names.
var tags = func() map[string]language.Tag {
	named := map[string]language.Tag{}
	for code, p := range spoken {
		for _, word := range strings.Fields(p.Language) {
			named[word] = language.Make(code)
		}
	}
	return named
}()

// match is the one of a site's languages for a tag ("fr-CH", "gsw", "in") or
// a name ("bahasa Indonesia").
func match(codes []string, languages language.Matcher, said string) string {
	if slices.Contains(codes, said) {
		return said
	}
	tag := language.Make(said)
	for _, w := range slices.Backward(strings.Fields(text.Normal(said))) {
		if t, ok := tags[w]; ok {
			tag = t
		}
	}
	_, i, _ := languages.Match(tag)
	return codes[i]
}
