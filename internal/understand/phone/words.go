package phone

import (
	"strings"

	"leadbus/internal/text"
)

// kind is the part a spoken token plays in a number.
type kind uint8

const (
	number kind = iota // digits, or a word for a number below 100
	hundred
	times10 // Indonesian puluh: tujuh puluh is 70
	plus10  // Indonesian belas: dua belas is 12
	repeat  // double, triple
	and     // joins the words of one number: vingt et un, fünf und vierzig
	plus    // the international prefix
)

// word is what a spoken word means.
type word struct {
	kind  kind
	value int
	// filler is a zero that may as well be a hesitation ("oh").
	filler bool
}

// words are the number words of French, German, Italian, English and
// Indonesian in normalised form. No word means different numbers in two of them,
// so the language need not be known.
var words = vocabulary()

// hesitations are words inside a number that neither add to nor end it.
var hesitations = text.Set(`euh heu uh uhm um umm ah eh ehm em hm hmm mm mmm mhm
	tiret dash strich trattino strip hyphen point dot punkt punto titik espace space spazio spasi
	virgule comma komma virgola koma puis then dann poi lalu`)

func vocabulary() map[string]word {
	w := map[string]word{
		"et": {kind: and}, "und": {kind: and}, "e": {kind: and}, "and": {kind: and}, "dan": {kind: and},
		"plus": {kind: plus}, "piu": {kind: plus},
		"double": {repeat, 2, false}, "doppio": {repeat, 2, false}, "doppia": {repeat, 2, false}, "doppel": {repeat, 2, false},
		"doppelt": {repeat, 2, false}, "doppelte": {repeat, 2, false}, "dobel": {repeat, 2, false}, "ganda": {repeat, 2, false},
		"triple": {repeat, 3, false}, "tripel": {repeat, 3, false}, "triplo": {repeat, 3, false}, "tripla": {repeat, 3, false}, "dreifach": {repeat, 3, false},
		"oh": {number, 0, true}, "o": {number, 0, true}, "nought": {value: 0}, "naught": {value: 0}, "kosong": {value: 0}, "nol": {value: 0}, "null": {value: 0},
		"puluh": {kind: times10, value: 10}, "belas": {kind: plus10, value: 10}, "sepuluh": {value: 10}, "sebelas": {value: 11},
		"cent": {hundred, 100, false}, "cents": {hundred, 100, false}, "cento": {hundred, 100, false}, "hundert": {hundred, 100, false},
		"hundred": {hundred, 100, false}, "seratus": {hundred, 100, false}, "ratus": {hundred, 100, false},
		"septante": {value: 70}, "huitante": {value: 80}, "octante": {value: 80}, "nonante": {value: 90}, "vingts": {value: 20},
		"zwo": {value: 2}, "fuenf": {value: 5}, "zwoelf": {value: 12}, "fuenfzehn": {value: 15}, "fuenfzig": {value: 50},
		"lapan": {value: 8},
	}
	add := func(first, step int, list string) {
		for i, s := range strings.Fields(list) {
			w[s] = word{value: first + i*step}
		}
	}
	add(0, 1, "zero un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize")
	add(20, 10, "vingt trente quarante cinquante soixante") //nolint:misspell // French
	add(1, 1, "eins zwei drei vier funf sechs sieben acht neun zehn elf zwolf dreizehn vierzehn funfzehn sechzehn siebzehn achtzehn neunzehn")
	add(20, 10, "zwanzig dreissig vierzig funfzig sechzig siebzig achtzig neunzig")
	add(1, 1, "uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici diciassette diciotto diciannove")
	add(20, 10, "venti trenta quaranta cinquanta sessanta settanta ottanta novanta")
	add(1, 1, "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
	add(20, 10, "twenty thirty forty fifty sixty seventy eighty ninety")
	add(1, 1, "satu dua tiga empat lima enam tujuh delapan sembilan")

	// German says units before tens, and Italian joins tens and units, in one
	// word each.
	for tens := 20; tens <= 90; tens += 10 {
		for _, de := range of(w, tens, "zwanzig dreissig vierzig funfzig fuenfzig sechzig siebzig achtzig neunzig") {
			for _, unit := range strings.Fields("ein zwei zwo drei vier funf fuenf sechs sieben acht neun") {
				value := w[unit].value
				if unit == "ein" { // alone it is the article
					value = 1
				}
				w[unit+"und"+de] = word{value: tens + value}
			}
		}
		for _, it := range of(w, tens, "venti trenta quaranta cinquanta sessanta settanta ottanta novanta") {
			for _, unit := range strings.Fields("uno due tre quattro cinque sei sette otto nove") {
				stem := it
				if unit == "uno" || unit == "otto" { // ventuno, ventotto
					stem = it[:len(it)-1]
				}
				w[stem+unit] = word{value: tens + w[unit].value}
			}
		}
	}
	return w
}

// of picks the words of a list that mean value.
func of(w map[string]word, value int, list string) []string {
	var out []string
	for _, s := range strings.Fields(list) {
		if w[s].value == value {
			out = append(out, s)
		}
	}
	return out
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
