package place

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"leadbus/internal/text"
)

// Offered is a service of a site with what callers call it: names and phrases
// in every language, since callers mix them.
type Offered struct {
	ID      string
	Phrases []string
}

// Services resolves what callers say they need to a service of one site. It is
// built once and safe for concurrent use.
type Services struct {
	ids     map[string]string // normalised id → id
	phrases []phrase          // longest first
	only    string            // the service of a site that offers one
	main    string            // what a word for the trade means
	trade   []phrase
}

type phrase struct {
	words  []string
	length int // letters
	id     string
}

// NewServices indexes what a site offers. Of two equal phrases the one of the
// earlier service stands. Main, if any, is the service of whoever says no more
// than a word for the trade.
func NewServices(offered []Offered, main string, trade []string) *Services {
	s := &Services{ids: map[string]string{}, main: main}
	for _, said := range trade {
		if words := spoken(said); main != "" && len(words) > 0 {
			s.trade = append(s.trade, phrase{words: words})
		}
	}
	for _, o := range offered {
		s.ids[text.Normal(o.ID)] = o.ID
		for _, said := range o.Phrases {
			if words := spoken(said); len(words) > 0 {
				s.phrases = append(s.phrases, phrase{words, utf8.RuneCountInString(text.Normal(said)), o.ID})
			}
		}
	}
	slices.SortStableFunc(s.phrases, func(a, b phrase) int { return cmp.Compare(b.length, a.length) })
	if len(offered) == 1 {
		s.only = offered[0].ID
	}
	return s
}

// Resolve answers the id of the service the texts ask for, the first text first,
// and how it was found: "id" (the agent sent one), "phrase" (the longest one the
// text contains), "words" (all words of a phrase, in any order), "trade" (a word
// for the trade means the main service), "only" (the site offers nothing else) or
// "unknown". Likeness in sound or spelling is never
// enough.
func (s *Services) Resolve(texts ...string) (id, method string) {
	for _, said := range texts {
		if id := s.ids[text.Normal(said)]; id != "" {
			return id, "id"
		}
		words := spoken(said)
		for _, p := range s.phrases {
			if p.in(words, s.trade) {
				return p.id, "phrase"
			}
		}
		for _, p := range s.phrases {
			if len(p.words) > 1 && p.scattered(words) {
				return p.id, "words"
			}
		}
	}
	for _, said := range texts {
		words := spoken(said)
		if slices.ContainsFunc(s.trade, func(p phrase) bool { return p.in(words, nil) }) {
			return s.main, "trade"
		}
	}
	if s.only != "" {
		return s.only, "only"
	}
	return "", "unknown"
}

// umlauts are one letter, however German is written.
var umlauts = strings.NewReplacer("ae", "a", "oe", "o", "ue", "u")

// spoken are the words of a text.
func spoken(s string) []string { return strings.Fields(umlauts.Replace(text.Normal(s))) }

// in reports whether the phrase stands in the text word by word. A longer word
// for the trade is no form of it: "Installateur" is not "install".
func (p phrase) in(text []string, trade []phrase) bool {
	longer := func(t phrase) bool {
		return len(p.words) == 1 && t.words[0] != p.words[0] && means(t.words[0], p.words[0]) && means(text[0], t.words[0])
	}
	for ; len(text) >= len(p.words); text = text[1:] {
		if slices.EqualFunc(text[:len(p.words)], p.words, means) && !slices.ContainsFunc(trade, longer) {
			return true
		}
	}
	return false
}

// scattered reports whether every word of the phrase stands somewhere in the
// text.
func (p phrase) scattered(text []string) bool {
	for _, w := range p.words {
		if !slices.ContainsFunc(text, func(said string) bool { return means(said, w) }) {
			return false
		}
	}
	return true
}

// means reports whether a spoken word is the one listed, a form of it (fuites,
// leaking: at most three letters more) or a compound with it
// (Wasserrohrbruch). Short words have to be equal.
func means(said, listed string) bool {
	return said == listed ||
		len(listed) >= 4 && strings.HasPrefix(said, listed) && len(said) <= len(listed)+3 ||
		len(listed) >= 6 && strings.Contains(said, listed)
}
