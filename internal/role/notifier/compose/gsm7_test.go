package compose

import (
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

func TestSegmentsOf(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		n    int
		gsm7 bool
	}{
		"empty":                       {"", 1, true},
		"160 plain":                   {strings.Repeat("a", 160), 1, true},
		"161 plain":                   {strings.Repeat("a", 161), 2, true},
		"306 fill two":                {strings.Repeat("a", 306), 2, true},
		"307 need three":              {strings.Repeat("a", 307), 3, true},
		"the alphabet's accents":      {"àéèùìòäöüñÉÇÄÖÜ", 1, true},
		"80 euro signs cost two each": {strings.Repeat("€", 80), 1, true},
		"81 euro signs":               {strings.Repeat("€", 81), 2, true},
		"an escape is not split between segments":   {strings.Repeat("a", 152) + "€" + strings.Repeat("a", 152), 3, true},
		"lower-case c cedilla":                      {"ç", 1, false},
		"circumflex":                                {"fenêtre", 1, false},
		"typographic quote":                         {"l’eau", 1, false},
		"70 in UCS-2":                               {strings.Repeat("ê", 70), 1, false},
		"71 in UCS-2":                               {strings.Repeat("ê", 71), 2, false},
		"35 emoji are two units each":               {strings.Repeat("🔧", 35), 1, false},
		"a pair is not split between segments":      {strings.Repeat("ê", 66) + "🔧" + strings.Repeat("ê", 66), 3, false},
		"line break, at sign, dollar, underscore":   {"\n@$_", 1, true},
		"backquote and curly quote are outside":     {"`", 1, false},
		"brackets are in the extension":             {strings.Repeat("[", 80), 1, true},
		"one character outside costs the whole one": {strings.Repeat("a", 100) + "ô", 2, false},
	} {
		if n, gsm7 := segmentsOf(c.text); n != c.n || gsm7 != c.gsm7 {
			t.Errorf("%s: %d segments, GSM-7 %v; want %d, %v", name, n, gsm7, c.n, c.gsm7)
		}
	}
}

func TestToGSM7(t *testing.T) {
	for in, want := range map[string]string{
		"L’évier fuit – côté «ouest»…": `L'évier fuit - coté "ouest"...`,
		"François Bœuf":                "Francois Boeuf",
		"Zoë Łukasz Đorđe İpek":        "Zoe Lukasz Dorde Ipek",
		"ÀÈÊ ÄÖÜ ß":                    "AEE ÄÖÜ ß",
		"cafe\u0301":                   "café",
		"Marta 🔧":                      "Marta ",
		"50 m² à 20 €":                 "50 m2 à 20 €",
		"½ bain":                       "1/2 bain",
		"ＦＵＬＬ":                         "FULL",
		"مرتا":                         "",
		"Иван":                         "",
		"\x00\x1b\r":                   "\r",
	} {
		got, _, _ := toGSM7(in)
		if got != want {
			t.Errorf("toGSM7(%q) = %q, want %q", in, got, want)
		}
		if _, gsm7 := segmentsOf(got); !gsm7 {
			t.Errorf("toGSM7(%q) = %q is outside the alphabet", in, got)
		}
	}
}

func FuzzToGSM7(f *testing.F) {
	f.Add("L’évier fuit 🔧 مرتا", 20)
	f.Fuzz(func(t *testing.T, s string, n int) {
		out, _, _ := toGSM7(s)
		if _, gsm7 := segmentsOf(out); !gsm7 {
			t.Fatalf("%q is outside the alphabet", out)
		}
		n = min(max(n, 0), 2000)
		if c := cut(out, n, septet, "..."); length(c, septet) > n {
			t.Fatalf("cut to %d is %q", n, c)
		}
		l := line(s, max(n, 1))
		if !utf8.ValidString(l) || utf8.RuneCountInString(l) > max(n, 1) || strings.ContainsAny(l, "\r\n\x00\u2028\u202e") {
			t.Fatalf("line(%q, %d) = %q", s, n, l)
		}
	})
}

// segmentsOf is how many parts an SMS with this text is sent (and charged) in,
// and whether it stays in the GSM-7 alphabet. A part of several holds 153
// septets or 67 UTF-16 units, and no character is split between two.
func segmentsOf(text string) (n int, gsm7 bool) {
	gsm7 = true
	for _, r := range text {
		gsm7 = gsm7 && septets[r] > 0
	}
	cost, whole, part := utf16.RuneLen, 70, 67
	if gsm7 {
		cost, whole, part = septet, oneSegment, 153
	}
	total, parts, used := 0, 1, 0
	for _, r := range text {
		c := max(cost(r), 1)
		total += c
		if used += c; used > part {
			parts, used = parts+1, c
		}
	}
	if total <= whole {
		parts = 1
	}
	return parts, gsm7
}
