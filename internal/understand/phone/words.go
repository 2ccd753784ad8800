package phone

import (
	"bytes"
	_ "embed"
	"regexp"
	"strconv"
	"strings"

	"leadbus/internal/text"
)

// kind is the part a spoken token plays in a number; see words.yaml.
type kind string

const (
	number  kind = "number" // digits, or a word for a number below 100
	hundred kind = "hundred"
	times10 kind = "times10"
	plus10  kind = "plus10"
	repeat  kind = "repeat"
	and     kind = "and"
	plus    kind = "plus"
	times   kind = "times"  // what is said before it repeats what is said after
	end     kind = "end"    // of all that was said
	filler  kind = "filler" // a zero that may as well be a hesitation ("oh")
)

// word is what a spoken word means.
type word struct {
	kind   kind
	value  int
	digits string // what it adds when said alone
}

//go:embed words.yaml
var shipped []byte

var table = text.Shipped[struct {
	Words       map[kind]map[int]string
	Hesitations string

	Loose, Refused, Gone, Corrected string
	Countries                       map[string]string
}](bytes.ReplaceAll(shipped, []byte("|\n  "), []byte("|"))) // a pattern of several lines is one

// words mean a part of a number, hesitations nothing, and countries are meant
// by their names; the others tell what is said beside a number.
var (
	words       = vocabulary()
	hesitations = text.Set(table.Hesitations)
	countries   = meant(table.Countries)
	loose       = regexp.MustCompile(table.Loose)
	refused     = regexp.MustCompile(table.Refused)
	gone        = regexp.MustCompile(table.Gone)
	corrected   = regexp.MustCompile(table.Corrected)
)

// meant turns lists of words by their meaning into meanings by word.
func meant[T comparable](lists map[T]string) map[string]T {
	means := map[string]T{}
	for m, list := range lists {
		for _, s := range strings.Fields(list) {
			means[s] = m
		}
	}
	return means
}

func vocabulary() map[string]word {
	w := map[string]word{}
	for part, lists := range table.Words {
		for s, value := range meant(lists) {
			alone := strconv.Itoa(value)
			w[s] = word{part, value, map[kind]string{number: alone, hundred: alone, filler: alone}[part]}
		}
	}
	return w
}

// meaning is what a token means, or the parts of a joined hundred
// (zweihundertdreissig, duecentotrenta, duecentottanta); nil for no number.
func meaning(token string) []word {
	means := parts(token)
	for _, h := range []string{"einhundert", "hundert", "cento", "cent"} {
		if before, after, ok := strings.Cut(token, h); ok && means == nil {
			means = parts(before, h, after)
		}
	}
	return means
}

// parts are what words mean together, nil when one of them is no number.
func parts(said ...string) (means []word) {
	for _, s := range said {
		if w, ok := words[s]; ok {
			means = append(means, w)
		} else if s != "" {
			return nil
		}
	}
	return means
}
