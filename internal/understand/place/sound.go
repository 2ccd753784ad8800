package place

import (
	"strings"

	"github.com/hbollon/go-edlib"
)

// maxFuzzy is the longest text compared by sound, in bytes; names are shorter.
const maxFuzzy = 40

// form is a name as it is compared: as written and as it sounds.
type form struct {
	text, sound string
}

// newForm takes normalised words.
func newForm(words []string) form {
	return form{strings.Join(words, " "), soundKey(words)}
}

// likeness is how near two names are, 0 to 1: the mean of the Jaro–Winkler
// similarity as written and as heard. Writing alone misses "Oeboed" for Ubud,
// sound alone takes Bern for Bernex.
func likeness(a, b form) float64 {
	return (jaroWinkler(a.text, b.text) + jaroWinkler(a.sound, b.sound)) / 2
}

func jaroWinkler(a, b string) float64 { return float64(edlib.JaroWinklerSimilarity(a, b)) }

// spellings are the ways one sound is written in French, Dutch, Indonesian and
// English, longest first.
var spellings = strings.NewReplacer(
	"eau", "o", "tch", "k", "au", "o", "ou", "u", "oo", "u", "oe", "u", "qu", "k", "ch", "k",
	"ce", "se", "ci", "si", "cy", "si", "ge", "je", "gi", "ji", "c", "k", "y", "i",
)

// soundKey is how normalised words sound, roughly: one spelling for each sound,
// silent endings and doubled letters dropped, words run together.
func soundKey(words []string) string {
	var b strings.Builder
	for _, w := range words {
		var last rune
		for _, r := range strings.TrimRight(spellings.Replace(w), "estx") {
			if r != last {
				b.WriteRune(r)
			}
			last = r
		}
	}
	return b.String()
}
