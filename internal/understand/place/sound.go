package place

import (
	"strings"
)

// maxFuzzy is the longest text compared by sound, in runes; names are shorter.
const maxFuzzy = 40

// form is a name as it is compared: as written and as it sounds.
type form struct {
	text, sound []rune
}

// newForm takes normalised words.
func newForm(words []string) form {
	return form{[]rune(strings.Join(words, " ")), []rune(soundKey(words))}
}

// likeness is how near two names are, 0 to 1: the mean of the similarity as
// written and as heard. Writing alone misses "Oeboed" for Ubud, sound alone
// takes Bern for Bernex.
func likeness(a, b form) float64 {
	return (jaroWinkler(a.text, b.text) + jaroWinkler(a.sound, b.sound)) / 2
}

// spellings are the ways one sound is written in French, Dutch, Indonesian and
// English, longest first.
var spellings = strings.NewReplacer(
	"eau", "o", "tch", "k", "au", "o", "ou", "u", "oo", "u", "oe", "u", "qu", "k", "ch", "k", "c", "k", "y", "i",
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

// jaroWinkler is the Jaro–Winkler similarity with the usual weight of 0.1 for
// up to four equal leading letters. Texts over maxFuzzy runes are unlike.
func jaroWinkler(a, b []rune) float64 {
	if len(a) == 0 || len(b) == 0 || len(a) > maxFuzzy || len(b) > maxFuzzy {
		return 0
	}
	var usedA, usedB [maxFuzzy]bool
	window := max(0, max(len(a), len(b))/2-1)
	matches := 0
	for i, r := range a {
		for j := max(0, i-window); j < min(len(b), i+window+1); j++ {
			if !usedB[j] && b[j] == r {
				usedA[i], usedB[j] = true, true
				matches++
				break
			}
		}
	}
	if matches == 0 {
		return 0
	}
	moved, j := 0, 0
	for i, r := range a {
		if !usedA[i] {
			continue
		}
		for !usedB[j] {
			j++
		}
		if b[j] != r {
			moved++
		}
		j++
	}
	m := float64(matches)
	jaro := (m/float64(len(a)) + m/float64(len(b)) + (m-float64(moved/2))/m) / 3
	prefix := 0
	for prefix < min(4, len(a), len(b)) && a[prefix] == b[prefix] {
		prefix++
	}
	return jaro + float64(prefix)*0.1*(1-jaro)
}
