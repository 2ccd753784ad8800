package phone

import (
	_ "embed"
	"strings"

	"leadbus/internal/text"
)

// kind is the part a spoken token plays in a number; see words.yaml.
type kind uint8

const (
	number kind = iota // digits, or a word for a number below 100
	hundred
	times10
	plus10
	repeat
	and
	plus
)

// word is what a spoken word means.
type word struct {
	kind  kind
	value int
	// filler is a zero that may as well be a hesitation ("oh").
	filler bool
}

//go:embed words.yaml
var shipped []byte

// words mean a part of a number and hesitations nothing; see words.yaml.
var words, hesitations = vocabulary()

func vocabulary() (map[string]word, map[string]bool) {
	table := text.Shipped[struct {
		And, Plus, Double, Triple, Fillers, Hundred, Times10, Plus10, Hesitations string

		Numbers map[int]string
	}](shipped)
	w := map[string]word{}
	put := func(means word, list string) {
		for _, s := range strings.Fields(list) {
			w[s] = means
		}
	}
	put(word{kind: and}, table.And)
	put(word{kind: plus}, table.Plus)
	put(word{kind: repeat, value: 2}, table.Double)
	put(word{kind: repeat, value: 3}, table.Triple)
	put(word{kind: number, filler: true}, table.Fillers)
	put(word{kind: hundred, value: 100}, table.Hundred)
	put(word{kind: times10, value: 10}, table.Times10)
	put(word{kind: plus10, value: 10}, table.Plus10)
	for value, list := range table.Numbers {
		put(word{value: value}, list)
	}
	return w, text.Set(table.Hesitations)
}

// meaning splits a token into words: itself, or the parts of a joined hundred
// (zweihundertdreissig, duecentotrenta, duecentottanta). It answers nil for no
// number.
func meaning(token string) []word {
	if w, ok := words[token]; ok {
		return []word{w}
	}
	for _, h := range []string{"hundert", "cento", "cent"} {
		before, after, ok := strings.Cut(token, h)
		if !ok {
			continue
		}
		if before == "ein" {
			before = ""
		}
		head, headOK := words[before]
		tail, tailOK := words[after]
		if before != "" && !headOK || after != "" && !tailOK {
			continue
		}
		var out []word
		if headOK {
			out = append(out, head)
		}
		out = append(out, words["hundert"])
		if tailOK {
			out = append(out, tail)
		}
		return out
	}
	return nil
}
