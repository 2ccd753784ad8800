package intake

import (
	"strings"

	"golang.org/x/text/language"

	"leadbus/internal/text"
)

// languageNames are languages as models and callers name them, normalised.
var languageNames = names(map[language.Tag]string{
	language.French:     "french francais francaise franzosisch francese prancis perancis",
	language.German:     "german deutsch allemand allemande tedesco jerman schweizerdeutsch schwiizerdutsch",
	language.Italian:    "italian italiano italiana italien italienne italienisch italia",
	language.English:    "english anglais anglaise englisch inglese inggris",
	language.Indonesian: "indonesian indonesia indonesien indonesienne indonesisch indonesiano bahasa malay melayu", //nolint:misspell // German and French
})

func names(list map[language.Tag]string) map[string]language.Tag {
	out := map[string]language.Tag{}
	for tag, words := range list {
		for _, w := range strings.Fields(words) {
			out[w] = tag
		}
	}
	return out
}

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
		if t, ok := languageNames[w]; ok {
			tag = t
			break
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
