package intake

import (
	"slices"
	"strings"

	"golang.org/x/text/language"

	"leadbus/internal/text"
)

// languages picks one of a site's languages.
type languages struct {
	codes   []string // the first is the default
	matcher language.Matcher
}

func newLanguages(codes []string) languages {
	tags := make([]language.Tag, len(codes))
	for i, c := range codes {
		tags[i] = language.Make(c)
	}
	return languages{codes, language.NewMatcher(tags)}
}

// match takes a tag ("fr-CH", "gsw", "in") or a name ("bahasa Indonesia").
func (l languages) match(said string) string {
	tag := language.Make(said)
	for _, w := range slices.Backward(strings.Fields(text.Normal(said))) {
		for code, p := range spoken {
			if slices.Contains(strings.Fields(p.Language), w) {
				tag = language.Make(code)
			}
		}
	}
	_, i, _ := l.matcher.Match(tag)
	return l.codes[i]
}
