package phone

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"leadbus/internal/text"
)

// Bounds on one dictation. Text longer than anyone needs to say a number twice
// is not read at all, so that a number is never read out of a fragment.
const (
	maxLength   = 160 // runes
	maxAtoms    = 64
	maxReadings = 24
	minDigits   = 6
	maxDigits   = 17 // 15 of E.164 and an international prefix
)

// atom is one token that is part of a number.
type atom struct {
	word
	digits  string // what it adds when read alone
	spelled bool   // said as a word, not as digits
	gap     bool   // something that is no number was said before it
}

// fresh reports whether a number may begin anew here.
func (a atom) fresh() bool { return a.kind == plus || strings.HasPrefix(a.digits, "0") }

// atoms are the parts of what was said that may belong to a number, in the order
// they were said. A token that mixes letters and digits, or an e-mail address,
// is no number.
func atoms(said string) []atom {
	var out []atom
	gap := false
	add := func(a atom) {
		a.gap, gap = gap, false
		out = append(out, a)
	}
	for _, chunk := range strings.Fields(said) {
		if strings.Contains(chunk, "@") {
			gap = true
			continue
		}
		for _, token := range strings.Fields(text.Normal(strings.ReplaceAll(chunk, "+", " plus "))) {
			if isDigits(token) {
				v, err := strconv.Atoi(token)
				if err != nil || len(token) > 3 || token[0] == '0' {
					v = -1 // a run of digits, not a spoken number
				}
				add(atom{word: word{value: v}, digits: token})
				continue
			}
			meant := meaning(token)
			for _, w := range meant {
				a := atom{word: w, spelled: true}
				if w.kind == number || w.kind == hundred {
					a.digits = strconv.Itoa(w.value)
				}
				add(a)
			}
			gap = gap || meant == nil && !hesitations[token]
		}
		if len(out) > maxAtoms {
			return nil
		}
	}
	return out
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// levels lists the stretches of a dictation that may be the number, the
// likeliest level first: the last number that was begun (with and without what
// was said after it), earlier ones, everything together, everything after each
// interruption, and last a number restarted without a word between.
func levels(all []atom) [][][]atom {
	var out [][][]atom
	end := len(all)
	for i := len(all) - 1; i >= 0; i-- {
		if i > 0 && (!all[i].gap || !all[i].fresh()) {
			continue
		}
		whole := all[i:end]
		level := [][]atom{whole}
		if n := slices.IndexFunc(whole[1:], func(a atom) bool { return a.gap }); n >= 0 {
			level = append(level, whole[:n+1])
		}
		out = append(out, level)
		end = i
	}
	out = append(out, [][]atom{all})
	for i := 1; i < len(all); i++ {
		if all[i].gap {
			out = append(out, [][]atom{all[i:]})
		}
	}
	for i := len(all) - 1; i > 0; i-- {
		if all[i].fresh() {
			out = append(out, [][]atom{all[i:]})
		}
	}
	return out
}

// reading is one way to write down what was said.
type reading struct {
	digits string
	// strays counts how far it is from the likeliest way.
	strays int
}

// readings are the ways to write down a stretch, the likeliest first, at most
// maxReadings.
func readings(stretch []atom) []string {
	beams := make([][]reading, len(stretch)+1)
	beams[0] = []reading{{}}
	for i := range stretch {
		beam := best(beams[i])
		if len(beam) == 0 {
			continue
		}
		for strays, s := range steps(stretch[i:]) {
			for _, r := range beam {
				if next := (reading{r.digits + s.digits, r.strays + strays}); len(next.digits) <= maxDigits {
					beams[i+s.atoms] = append(beams[i+s.atoms], next)
				}
			}
		}
	}
	var out []string
	for _, r := range best(beams[len(stretch)]) {
		if len(r.digits) >= minDigits && !slices.Contains(out, r.digits) {
			out = append(out, r.digits)
		}
	}
	return out
}

func best(beam []reading) []reading {
	slices.SortStableFunc(beam, func(a, b reading) int { return cmp.Compare(a.strays, b.strays) })
	return beam[:min(len(beam), maxReadings)]
}

// step is one way to take the next atoms.
type step struct {
	atoms  int
	digits string
}

// steps are the ways to go on, the likeliest first. Words that can form one
// number do so ("quatre-vingt-douze" is 92); of digits that could be the split
// form of one the digits as written come first ("70 9" is 709, then 79).
func steps(a []atom) []step {
	alone := []step{{1, a[0].digits}}
	switch {
	case a[0].kind == repeat:
		if len(a) > 1 && len(a[1].digits) == 1 {
			return []step{{2, strings.Repeat(a[1].digits, a[0].value)}}
		}
		return alone
	case a[0].filler:
		return append(alone, step{1, ""})
	case a[0].kind != number && a[0].kind != hundred:
		return alone
	}
	var joined []step
	spelled := false
	for _, c := range composed(a) {
		if c.atoms > 1 {
			joined = append(joined, step{c.atoms, strconv.Itoa(c.value)})
			spelled = spelled || slices.ContainsFunc(a[:c.atoms], func(a atom) bool { return a.spelled })
		}
	}
	slices.SortStableFunc(joined, func(x, y step) int { return cmp.Compare(y.atoms, x.atoms) })
	if spelled {
		return append(joined, alone...)
	}
	return append(alone, joined...)
}

// spoken is a number made of several atoms.
type spoken struct {
	atoms, value int
}

// composed are the numbers below 1000 that the first atoms form.
func composed(a []atom) []spoken {
	out := belowHundred(a)
	i, value := 0, 100
	if digit(a, 0) && len(a) > 1 {
		i, value = 1, 100*a[0].value
	}
	if a[i].kind != hundred {
		return out
	}
	out = append(out, spoken{i + 1, value})
	rest := i + 1
	if rest < len(a) && a[rest].kind == and { // one hundred and twenty
		rest++
	}
	if rest < len(a) {
		for _, c := range belowHundred(a[rest:]) {
			out = append(out, spoken{rest + c.atoms, value + c.value})
		}
	}
	return out
}

// belowHundred are the numbers 1 to 99 that the first atoms form.
func belowHundred(a []atom) []spoken {
	value := func(i int) int { // of a number, -1 for anything else
		if i < len(a) && a[i].kind == number {
			return a[i].value
		}
		return -1
	}
	v := value(0)
	if v < 1 || v > 99 {
		return nil
	}
	out := []spoken{{1, v}}
	add := func(atoms, value int) { out = append(out, spoken{atoms, value}) }

	if v < 10 {
		switch {
		case value(1) == 20 && v == 4: // quatre-vingt
			add(2, 80)
			out = append(out, onward(80, 2, value)...)
		case len(a) > 1 && a[1].kind == times10:
			add(2, 10*v)
			if digit(a, 2) {
				add(3, 10*v+value(2))
			}
		case len(a) > 1 && a[1].kind == plus10:
			add(2, 10+v)
		case len(a) > 2 && a[1].kind == and && tens(value(2)): // fünf und vierzig
			add(3, value(2)+v)
		}
		return out
	}
	if v == 10 && a[0].spelled && value(1) >= 7 && value(1) <= 9 { // dix-sept
		add(2, 10+value(1))
	}
	if tens(v) {
		out = append(out, onward(v, 1, value)...)
		if len(a) > 2 && a[1].kind == and { // vingt et un, soixante et onze
			for _, c := range onward(v, 2, value) {
				if c.atoms == 3 {
					out = append(out, c)
				}
			}
		}
	}
	return out
}

// onward are the numbers formed by the tens v and what follows at i: a unit,
// and after sixty and eighty, in French, also 10 to 19.
func onward(v, i int, value func(int) int) []spoken {
	var out []spoken
	next := value(i)
	switch {
	case next >= 1 && next <= 9:
		out = append(out, spoken{i + 1, v + next})
	case (v == 60 || v == 80) && next >= 10 && next <= 19:
		out = append(out, spoken{i + 1, v + next})
		if unit := value(i + 1); next == 10 && unit >= 7 && unit <= 9 { // soixante-dix-neuf
			out = append(out, spoken{i + 2, v + 10 + unit})
		}
	}
	return out
}

func digit(a []atom, i int) bool {
	return i < len(a) && a[i].kind == number && a[i].value >= 1 && a[i].value <= 9
}

func tens(v int) bool { return v >= 20 && v <= 90 && v%10 == 0 }
