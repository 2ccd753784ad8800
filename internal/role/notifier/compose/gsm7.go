package compose

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// The alphabet of a plain SMS (3GPP TS 23.038). One character outside it turns
// the whole text to UCS-2 and its segments from 160 characters to 70.
const (
	gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmExtended = "\f^{}\\[~]|€" // behind an escape: two septets each
)

// oneSegment is what fits in one segment, in septets; longest is what Twilio
// takes as one message (error 21617).
const (
	oneSegment = 160
	longest    = 1600
)

// septets is the cost of each character of the alphabet.
var septets = func() map[rune]int {
	m := map[rune]int{}
	for _, r := range gsmBasic {
		m[r] = 1
	}
	for _, r := range gsmExtended {
		m[r] = 2
	}
	return m
}()

// plain are substitutes for characters that Unicode does not take apart into
// one of the alphabet.
var plain = map[rune]string{
	'’': "'", '‘': "'", '‚': "'", '‛': "'", '′': "'", '`': "'", '´': "'", '‹': "'", '›': "'",
	'“': `"`, '”': `"`, '„': `"`, '«': `"`, '»': `"`, '″': `"`,
	'–': "-", '—': "-", '‐': "-", '‑': "-", '‒': "-", '−': "-", '•': "-", '·': "-",
	'…': "...", '→': "->", '×': "x", '°': " ", '№': "No", '\t': " ", '\u00a0': " ", '\u202f': " ", '\u2009': " ",
	'œ': "oe", 'Œ': "OE", 'ł': "l", 'Ł': "L", 'đ': "d", 'Đ': "D", 'ð': "d", 'Ð': "D", 'þ': "th", 'Þ': "Th",
	'½': "1/2", '¼': "1/4", '¾': "3/4", 'ı': "i", 'ħ': "h", 'Ħ': "H", 'ẞ': "SS", '™': "", '®': "", '©': "",
}

// toGSM7 writes s in the SMS alphabet: typographic marks become plain ones,
// letters lose the accents the alphabet lacks, anything else is dropped. lost
// counts dropped letters, kept the letters and digits that remain.
func toGSM7(s string) (out string, kept, lost int) {
	var b strings.Builder
	for _, r := range norm.NFC.String(s) {
		p, known := plain[r]
		switch {
		case septets[r] > 0:
			p = string(r)
		case !known:
			for _, base := range norm.NFKD.String(string(r)) {
				if septets[base] > 0 {
					p += string(base)
				}
			}
		}
		b.WriteString(p)
		switch letter := unicode.IsLetter(r) || unicode.IsDigit(r); {
		case letter && p == "":
			lost++
		case letter:
			kept++
		}
	}
	return b.String(), kept, lost
}

// septet is the cost of a character of the alphabet.
func septet(r rune) int { return septets[r] }
