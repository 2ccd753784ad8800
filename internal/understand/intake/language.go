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
	tag := language.Und
	for _, w := range strings.Fields(text.Normal(said)) {
		for code, p := range spoken {
			if slices.Contains(strings.Fields(p.Language), w) && tag == language.Und {
				tag = language.Make(code)
			}
		}
	}
	if tag == language.Und {
		var err error
		if tag, err = language.Parse(said); err != nil {
			return l.codes[0]
		}
	}
	_, i, confidence := l.matcher.Match(tag)
	if confidence == language.No {
		return l.codes[0]
	}
	return l.codes[i]
}
