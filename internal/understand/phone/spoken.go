package phone

import (
	"cmp"
	"regexp"
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
	spelled bool   // said as a word, not as digits
	before  string // what was said before it that is no number, normalised
}

// fresh reports whether a number may begin anew here.
func (a atom) fresh() bool {
	return a.isPlus() || a.kind == end || strings.HasPrefix(a.digits, "0")
}

// begun reports whether words were said and then a number begun.
func (a atom) begun() bool { return a.interrupted() && a.fresh() }

func (a atom) isPlus() bool { return a.kind == plus }

func (a atom) interrupted() bool { return a.before != "" }

// atoms are the parts of what was said that may belong to a number, in the order
// they were said. A token that mixes letters and digits, or an e-mail address,
// is no number, and neither is "1)", or "2." in a list that begins with "1.". What
// is said last stands before the end.
func atoms(said string) (out []atom) {
	var before, last string
	marks := "):" // of a list
	if strings.HasPrefix(said, "1. ") {
		marks = "."
	}
	for chunk := range strings.FieldsSeq(said) {
		if strings.Contains(chunk, "@") || len(chunk) == 2 && strings.ContainsAny(chunk[1:], marks) {
			before += " @"
			continue
		}
		for token := range strings.FieldsSeq(text.Normal(strings.ReplaceAll(chunk, "+", " plus "))) {
			if digits, ok := strings.CutPrefix(token, "o"); ok && isDigits(digits) {
				token = "0" + digits
			}
			meant := meaning(token)
			if isDigits(token) {
				v, err := strconv.Atoi(token)
				if err != nil || len(token) > 3 || token[0] == '0' {
					v = -1 // a run of digits, not a spoken number
				}
				meant = []word{{number, v, token}}
			}
			for _, w := range meant {
				out = append(out, atom{w, !isDigits(token), strings.TrimSpace(before)})
				before, last = "", token
			}
			if meant != nil || hesitations[token] {
				continue
			}
			if n := len(out) - 1; n >= 0 && before == "" && loose.MatchString(last+" "+token) {
				before, out = out[n].before+" "+last, out[:n]
			}
			before += " " + token
		}
		if before != "" && strings.ContainsAny(chunk[len(chunk)-1:], ",;!?") {
			before += " ,"
		}
		if len(out) > maxAtoms {
			return nil
		}
	}
	if before != "" {
		out = append(out, atom{word{kind: end}, true, strings.TrimSpace(before)})
	}
	return out
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// read finds the numbers said, in the order they were begun, and reports whether
// there is any. A number after a word of correction takes the place of the one
// before it.
func (r *reader) read(all []atom) (some bool) {
	for i, next := 0, 0; i < len(all); i = next {
		until := func(ends func(atom) bool) int {
			if n := slices.IndexFunc(all[i+1:], ends); n >= 0 {
				return i + 1 + n
			}
			return len(all)
		}
		next = until(atom.begun)
		found := r.means(all[i:next])
		if pause := until(atom.interrupted); pause < next {
			first := r.means(all[i:pause])
			if len(found) == 0 && (len(first) > 0 || all[i].kind != plus) {
				next = pause
			}
			found = union(found, first)
		}
		for j := next - 1; j > i && len(found) == 0; j-- { // begun again without a word
			if !all[j].fresh() {
				continue
			}
			if tail := r.means(all[j:next]); len(tail) > 0 && (r.read(all[i:j]) || !slices.ContainsFunc(all[i:j], atom.isPlus)) {
				i, found = j, tail
			}
		}
		some = some || len(found) > 0
		switch said := all[i].before; {
		case len(found) == 0:
		case refused.MatchString(said), next < len(all) && gone.MatchString(all[next].before):
			r.not = append(r.not, found...)
		case corrected.MatchString(said):
			r.kept = [][]valid{found}
		default:
			r.keep(found)
		}
	}
	return some
}

// keep adds a number. One that was said before is as certain as both together.
func (r *reader) keep(found []valid) {
	for i, kept := range r.kept {
		if same := common(kept, found); len(same) > 0 {
			r.kept[i] = same
			return
		}
	}
	r.kept = append(r.kept, found)
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
		for strays, s := range steps(stretch, i) {
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

// steps are the ways to go on at an atom, the likeliest first. Words that can form one
// number do so ("quatre-vingt-douze" is 92); of digits that could be the split
// form of one the digits as written come first ("70 9" is 709, then 79), and
// after a plus they are the only way.
func steps(stretch []atom, at int) []step {
	a := stretch[at:]
	alone := []step{{1, a[0].digits}}
	switch {
	case a[0].kind == repeat:
		if len(a) > 1 && len(a[1].digits) == 1 {
			return []step{{2, strings.Repeat(a[1].digits, a[0].value)}}
		}
		return alone
	case len(a) > 2 && a[0].kind == number && a[1].kind == times && len(a[2].digits) == 1: // "trois fois deux"
		return []step{{3, strings.Repeat(a[2].digits, max(a[0].value, 0)%10)}}
	case a[0].kind == filler && (at > 0 || len(a) > 1 && a[1].fresh()):
		return append(alone, step{1, ""})
	case a[0].kind != number && a[0].kind != hundred:
		return alone
	}
	var joined []step
	spelled := false
	for n := min(len(a), maxWords); n > 1; n-- {
		if value := composed(a[:n]); value > 0 {
			joined = append(joined, step{n, strconv.Itoa(value)})
			spelled = spelled || slices.ContainsFunc(a[:n], func(a atom) bool { return a.spelled })
		}
	}
	switch {
	case spelled:
		return append(joined, alone...)
	case stretch[0].kind == plus:
		return alone
	}
	return append(alone, joined...)
}

// maxWords is how many words a number below 1000 has at most.
const maxWords = 7

// number1000 are the numbers below 1000 in several words, one sign a word: 1 to
// 9 and & (and), % (hundred), * (puluh), + (belas) as they are, a to j for 10 to
// 19, A to I for the tens where 10 is in digits, and x for other numbers.
var number1000 = regexp.MustCompile(`^([1-9]?%|([1-9]?%&?)?(` +
	`[1-9a-jA-Ix]|[B-I]&?[1-9]|4B|(4B|[FH]&?)([1-9a-jA]|[aA][7-9])|a[7-9]|` + // soixante-dix-neuf, quatre-vingt-deux
	`[1-9]&[B-I]|[1-9]\*[1-9]?|[1-9]\+))$`) // fünf und vierzig, tujuh puluh

// sign is what an atom is in number1000.
func (a atom) sign() byte {
	switch {
	case a.kind != number:
		return map[kind]byte{and: '&', hundred: '%', times10: '*', plus10: '+'}[a.kind]
	case a.value == 10 && !a.spelled:
		return 'A'
	case a.value < 1 || a.value >= 100:
		return '-'
	case a.value >= 20 && a.value%10 > 0:
		return 'x'
	default:
		return "-123456789abcdefghijBCDEFGHI"[min(a.value, 18+a.value/10)]
	}
}

// composed is the number below 1000 that the atoms form together, 0 for none.
func composed(atoms []atom) (value int) {
	var signs []byte
	for _, a := range atoms {
		signs = append(signs, a.sign())
	}
	if !number1000.Match(signs) {
		return 0
	}
	for i, a := range atoms {
		switch {
		case a.kind == hundred:
			value = max(value, 1) * 100
		case a.kind == times10:
			value += 9 * atoms[i-1].value
		case a.value == 20 && i > 0 && signs[i-1] == '4': // quatre-vingt
			value += 80 - 4
		default:
			value += a.value
		}
	}
	return value
}
