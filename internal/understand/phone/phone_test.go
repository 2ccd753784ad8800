package phone

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"leadbus/internal/lead"
)

const (
	swissMobile  = "+41791234567"
	frenchMobile = "+33612345678"
	baliMobile   = "+6281234567890"
)

var ignoreRaw = cmpopts.IgnoreFields(lead.Phone{}, "Raw")

func TestChoice(t *testing.T) {
	for name, c := range map[string]struct {
		dictated, caller, region string
		want                     lead.Phone
	}{
		"the number the call came from": {
			"079 123 45 67", swissMobile, "CH",
			lead.Phone{E164: swissMobile, CallerID: swissMobile, Source: "both", Confidence: "high", Type: "mobile"},
		},
		"another valid number": {
			"022 539 45 12", swissMobile, "CH",
			lead.Phone{E164: "+41225394512", CallerID: swissMobile, Source: "dictated", Confidence: "medium", Type: "fixed", Second: swissMobile},
		},
		"nothing dictated": {
			"", swissMobile, "CH",
			lead.Phone{E164: swissMobile, CallerID: swissMobile, Source: "caller_id", Confidence: "medium", Type: "mobile"},
		},
		"one digit misheard": {
			"079 123 45 77", swissMobile, "CH",
			lead.Phone{E164: swissMobile, CallerID: swissMobile, Source: "caller_id", Confidence: "low", Type: "mobile", Second: "+41791234577", Check: true},
		},
		"no valid number": {
			"079 123", swissMobile, "CH",
			lead.Phone{E164: swissMobile, CallerID: swissMobile, Source: "caller_id", Confidence: "low", Type: "mobile", Check: true},
		},
		"words and no number": {
			"rappelez-moi s'il vous plaît", swissMobile, "CH",
			lead.Phone{E164: swissMobile, CallerID: swissMobile, Source: "caller_id", Confidence: "low", Type: "mobile", Check: true},
		},
		"withheld caller id": {
			"079 123 45 67", "anonymous", "CH",
			lead.Phone{E164: swissMobile, Source: "dictated", Confidence: "medium", Type: "mobile"},
		},
		"no number at all": {
			"", "anonymous", "CH",
			lead.Phone{Source: "none", Confidence: "none"},
		},
		"nothing usable, something said": {
			"0812345", "+266696687", "ID",
			lead.Phone{Source: "none", Confidence: "none", Check: true},
		},
		"French mobile from a French telephone": {
			"06 12 34 56 78", frenchMobile, "CH",
			lead.Phone{E164: frenchMobile, CallerID: frenchMobile, Source: "both", Confidence: "high", Type: "mobile"},
		},
		"another French mobile from a French telephone is also a number of Basel": {
			"06 98 76 54 32", frenchMobile, "CH",
			lead.Phone{E164: frenchMobile, CallerID: frenchMobile, Source: "caller_id", Confidence: "low", Type: "mobile", Second: "+33698765432", Check: true},
		},
		"the same without caller id cannot be known": {
			"06 12 34 56 78", "", "CH",
			lead.Phone{E164: "+41612345678", Source: "dictated", Confidence: "medium", Type: "fixed"},
		},
		"two readings and no caller id": {
			"81234567890", "", "ID",
			lead.Phone{E164: baliMobile, Source: "dictated", Confidence: "low", Type: "mobile", Second: "+81234567890", Check: true},
		},
		"two readings, one is the caller's": {
			"81234567890", baliMobile, "ID",
			lead.Phone{E164: baliMobile, CallerID: baliMobile, Source: "both", Confidence: "high", Type: "mobile"},
		},
		"twenty, eighty sounds like twenty-four, twenty": {
			"079 123 vingt quatre-vingt", "", "CH",
			lead.Phone{E164: "+41791232420", Source: "dictated", Confidence: "low", Type: "mobile", Second: "+41791232080", Check: true},
		},
		"premium number": {
			"0900 123 456", swissMobile, "CH",
			lead.Phone{E164: swissMobile, CallerID: swissMobile, Source: "caller_id", Confidence: "low", Type: "mobile", Second: "+41900123456", Check: true},
		},
		"shared-cost number and no caller id": {
			"0840 123 456", "", "CH",
			lead.Phone{E164: "+41840123456", Source: "dictated", Confidence: "low", Type: "special", Check: true},
		},
		"short number": {
			"117", "", "CH",
			lead.Phone{Source: "none", Confidence: "none", Check: true},
		},
		"company number as caller id": {
			"", "+41582345678", "CH",
			lead.Phone{E164: "+41582345678", CallerID: "+41582345678", Source: "caller_id", Confidence: "medium", Type: "special", Check: true},
		},
		"zeros": {
			"0000000000", "", "CH",
			lead.Phone{Source: "none", Confidence: "none", Check: true},
		},
		"one digit repeated is a valid number of Geneva, and a placeholder": {
			"022 222 22 22", swissMobile, "CH",
			lead.Phone{E164: swissMobile, CallerID: swissMobile, Source: "caller_id", Confidence: "low", Type: "mobile", Check: true},
		},
		"Australian in Bali, national form": {
			"0412 345 678", "+61412345678", "ID",
			lead.Phone{E164: "+61412345678", CallerID: "+61412345678", Source: "both", Confidence: "high", Type: "mobile"},
		},
		"Australian in Bali, national form, other telephone": {
			"0412 345 678", "+61498765432", "ID",
			lead.Phone{E164: "+61412345678", CallerID: "+61498765432", Source: "dictated", Confidence: "medium", Type: "mobile", Second: "+61498765432"},
		},
		"Australian in Bali, national form, withheld": {
			"0412 345 678", "", "ID",
			lead.Phone{Source: "none", Confidence: "none", Check: true},
		},
		"American numbers may be mobile": {
			"", "+13055550142", "CH",
			lead.Phone{E164: "+13055550142", CallerID: "+13055550142", Source: "caller_id", Confidence: "medium", Type: "fixed_or_mobile"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := Resolve(c.dictated, c.caller, c.region)
			if diff := cmp.Diff(c.want, got, ignoreRaw); diff != "" {
				t.Errorf("Resolve(%q, %q, %s) -want +got:\n%s", c.dictated, c.caller, c.region, diff)
			}
			if got.Raw != c.dictated {
				t.Errorf("what was said became %q", got.Raw)
			}
		})
	}
}

// One number dictated in the ways it is spoken and written down; there is no
// caller id to lean on.
//
//nolint:misspell // French
func TestSpokenNumbers(t *testing.T) {
	for _, c := range []struct{ region, want, said string }{
		{"CH", swissMobile, "41791234567"},
		{"CH", swissMobile, "+41 (0)79 123 45 67"},
		{"CH", swissMobile, "0041 79 123 45 67"},
		{"CH", swissMobile, "079.123.45.67"},
		{"CH", swissMobile, "079/1234567."},
		{"CH", swissMobile, "79 123 45 67"},
		{"CH", swissMobile, "０７９ １２３ ４５ ６７"},
		{"CH", frenchMobile, "33612345678"},
		{"CH", frenchMobile, "0033 6 12 34 56 78"},
		{"ID", "+61412345678", "61412345678"},
		{"ID", "+61412345678", "+61 412 345 678"},
		{"ID", "+61412345678", "0061 412 345 678"},
		{"ID", baliMobile, "0812-3456-7890"},
		{"ID", baliMobile, "62 812 3456 7890"},

		// French
		{"CH", swissMobile, "zéro sept neuf un deux trois quatre cinq six sept"},
		{"CH", swissMobile, "zéro septante-neuf, cent vingt-trois, quarante-cinq, soixante-sept"},
		{"CH", swissMobile, "zéro soixante-dix-neuf cent vingt-trois quarante-cinq soixante-sept"},
		{"CH", swissMobile, "plus quarante et un, septante-neuf, 123 45 67"},
		{"CH", swissMobile, "0 70 9 123 45 67"},
		{"CH", swissMobile, "0 60 19 123 45 67"},
		{"CH", "+41791239297", "079 123 4 20 12 4 20 17"},
		{"CH", "+41791239297", "079 123 quatre-vingt-douze quatre-vingt-dix-sept"},
		{"CH", "+41791239297", "079 123 nonante-deux nonante-sept"},
		{"CH", "+41791238171", "zéro septante-neuf cent vingt-trois huitante et un septante et un"},
		{"CH", "+41791238171", "079 123 quatre-vingt-un soixante et onze"},
		{"CH", "+41227002000", "zéro vingt-deux sept cents vingt zéro zéro"},
		{"FR", frenchMobile, "zéro six douze trente-quatre cinquante-six soixante-dix-huit"},

		// German
		{"CH", swissMobile, "null neunundsiebzig hundertdreiundzwanzig fünfundvierzig siebenundsechzig"},
		{"CH", swissMobile, "null sieben neun, eins zwo drei, vier fünf, sechs sieben"},
		{"CH", swissMobile, "079 123 fünf und vierzig sieben und sechzig"},
		{"CH", swissMobile, "plus einundvierzig neunundsiebzig einhundertdreiundzwanzig fuenfundvierzig 67"},
		{"CH", "+41797213030", "079 siebenhunderteinundzwanzig dreissig dreißig"},

		// Italian
		{"CH", swissMobile, "zero settantanove centoventitré quarantacinque sessantasette"},
		{"CH", "+41912880121", "zero novantuno duecentottantotto zero uno ventuno"},
		{"CH", swissMobile, "più quarantuno settanta nove uno due tre quattro cinque sei sette"},

		// English
		{"CH", swissMobile, "zero seven nine one two three four five six seven"},
		{"CH", swissMobile, "oh seven nine, one twenty-three, forty-five, sixty-seven"},
		{"CH", swissMobile, "oh, 079 123 45 67"},
		{"CH", "+41797770044", "oh seven nine triple seven double oh double four"},
		{"CH", "+41797770044", "079 triple 7 double zero double 4"},
		{"CH", swissMobile, "plus four one, seven nine, one hundred and twenty three, 4 5, 6 7"},

		// Indonesian
		{"ID", baliMobile, "nol delapan satu dua tiga empat lima enam tujuh delapan sembilan kosong"},
		{"ID", baliMobile, "plus enam dua delapan satu dua tiga empat lima enam tujuh delapan sembilan nol"},
		{"ID", "+6281213778811", "kosong delapan dua belas, tiga belas, tujuh puluh tujuh, delapan puluh delapan, sebelas"},
		{"ID", "+628121377881", "0812 13 tujuh puluh tujuh 881"},

		// Noise and restarts
		{"CH", swissMobile, "euh zéro sept neuf euh un deux trois, hm, quatre cinq six sept"},
		{"CH", swissMobile, "mon numéro c'est le 079 123 45 67, merci"},
		{"CH", swissMobile, "079 tiret 123 tiret 45 tiret 67"},
		{"CH", swissMobile, "079 123 voilà 45 67"},
		{"CH", swissMobile, "079 123 44, non pardon, 079 123 45 67"},
		{"CH", swissMobile, "079 123 45 66, non, 079 123 45 67"},
		{"CH", swissMobile, "79 12 pardon 79 123 45 67"},
		{"CH", swissMobile, "079 12 079 123 45 67"},
		{"CH", swissMobile, "079 123 45 67 et c'est tout, j'attends 2 minutes"},
		{"CH", swissMobile, "marta79@example.com, 079 123 45 67"},
		{"CH", swissMobile, "appartement 4B, 079 123 45 67"},
		{"ID", baliMobile, "0812 34 maaf 0812 3456 7890"},
		{"ID", baliMobile, "0812 lalu 3456 lalu 7890"},
		{"ID", baliMobile, "0812 begitu 3456 begitu 7890"},
	} {
		got := Resolve(c.said, "", c.region)
		if got.E164 != c.want || got.Source != "dictated" {
			t.Errorf("%s: %q is %+v, want %s", c.region, c.said, got, c.want)
		}
		// The caller id tells the right one among the readings.
		if got := Resolve(c.said, c.want, c.region); got.E164 != c.want || got.Confidence != "high" || got.Check {
			t.Errorf("%s: %q from %s is %+v", c.region, c.said, c.want, got)
		}
	}
}

func TestNothingIsReadOutOfNoise(t *testing.T) {
	for _, said := range []string{
		"unknown", "N/A", "+", "plus", "++41", "0", "double", "double double double", "et et et", "cent",
		"12:30", "rue de Carouge 12, 1205 Genève", "carte 4242 4242 4242 4242", "0x79 1234567z",
		"079 123 45 6", "079 123 45 678", "+41 79 123 45 678", "999999999999999999999999",
		"' or 1=1 --", "{{system__caller_id}}", "٠٧٩١٢٣٤٥٦٧", "\x00\xff",
		strings.Repeat("9", 10000), strings.Repeat("079 123 45 67 ", 1000), strings.Repeat("oh ", 50), strings.Repeat("dix sept ", 17),
	} {
		if got := Resolve(said, "", "CH"); got.E164 != "" || !got.Check {
			t.Errorf("%.40q became %+v", said, got)
		}
		if got := Resolve(said, swissMobile, "CH"); got.E164 != swissMobile || !got.Check || got.Second != "" {
			t.Errorf("%.40q with a caller id became %+v", said, got)
		}
	}
}

func TestCallerID(t *testing.T) {
	for id, want := range map[string]string{
		swissMobile: swissMobile, " +41791234567 ": swissMobile, "41791234567": swissMobile, "0041791234567": swissMobile,
		"0791234567": swissMobile, "+33612345678": frenchMobile,
		// What carriers and Twilio send for a withheld number.
		"anonymous": "", "Restricted": "", "unavailable": "", "+266696687": "", "+7378742833": "", "+2562533": "",
		"+8566696": "", "+86282452253": "", "": "", "+": "", "null": "", "117": "", "+41": "",
		"sip:+41791234567@example.com": "", "+41791234567x": "", "client:agent": "", "{{system__caller_id}}": "",
		"+999999999999999999999": "",
	} {
		if got := Resolve("", id, "CH"); got.CallerID != want || got.E164 != want {
			t.Errorf("caller id %q is %+v, want %q", id, got, want)
		}
	}
}

func TestPairs(t *testing.T) {
	for _, c := range [][3]string{
		{swissMobile, "CH", "07 91 23 45 67"},
		{frenchMobile, "CH", "+33 6 12 34 56 78"},
		{baliMobile, "ID", "08 12 34 56 78 90"},
		{swissMobile, "ID", "+41 7 91 23 45 67"},
		{"+62361234567", "ID", "03 61 23 45 67"},
		{"", "CH", ""},
	} {
		if got := Pairs(c[0], c[1]); got != c[2] {
			t.Errorf("Pairs(%s, %s) = %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

// The worst that can be said is still answered while the caller waits.
func TestAbsurdInputIsCheap(t *testing.T) {
	for _, said := range []string{
		strings.Repeat("oh 1 ", 32), strings.Repeat("1 a ", 40), strings.Repeat("0 7 a ", 26), strings.Repeat("quatre vingt ", 12),
		strings.Repeat("9", 1<<20), strings.Repeat("60 10 7 ", 20), strings.Repeat("+4 1 ", 30),
	} {
		took := time.Hour
		for range 10 { // the quickest: a busy machine slows down some
			start := time.Now()
			Resolve(said, frenchMobile, "CH")
			took = min(took, time.Since(start))
		}
		if took > 100*time.Millisecond {
			t.Errorf("%.20q… took %v", said, took)
		}
	}
}

var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

func FuzzResolve(f *testing.F) {
	for _, seed := range [][3]string{
		{"079 123 45 67", swissMobile, "CH"},
		{"0 70 9 123 45 67", "anonymous", "CH"},
		{"plus enam dua delapan satu dua", "+266696687", "ID"},
		{"fünf und vierzig zweihundertdreissig centoventitré", "", "CH"},
		{"double oh, triple 7", "0041", "XX"},
		{"079 12 pardon 079 123 45 67 marta@example.com", "+33612345678", "CH"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, dictated, caller, region string) {
		p := Resolve(dictated, caller, region)
		for _, n := range []string{p.E164, p.CallerID, p.Second} {
			if n != "" && !e164.MatchString(n) {
				t.Fatalf("%q is no number", n)
			}
		}
		switch {
		case (p.E164 == "") != (p.Source == "none"), (p.E164 == "") != (p.Confidence == "none"), (p.E164 == "") != (p.Type == ""):
			t.Fatalf("half a number: %+v", p)
		case p.E164 == p.Second && p.E164 != "":
			t.Fatalf("the second number is the first: %+v", p)
		case p.CallerID != "" && p.E164 == "":
			t.Fatalf("a caller id was dropped: %+v", p)
		case p.Source == "caller_id" && p.E164 != p.CallerID:
			t.Fatalf("not the caller id: %+v", p)
		}
		// A dictation written in digits alone yields only numbers whose
		// digits were said in that order.
		if strings.Trim(dictated, "0123456789+ ") == "" && !strings.Contains(dictated, " ") {
			for _, n := range []string{p.E164, p.Second} {
				national := strings.TrimPrefix(n, "+")
				if n != p.CallerID && !strings.Contains(dictated, national[min(3, len(national)):]) {
					t.Fatalf("%q became %s", dictated, n)
				}
			}
		}
	})
}

//nolint:misspell // French
func BenchmarkResolve(b *testing.B) {
	for name, said := range map[string]string{"digits": "079 123 45 77", "words": "zéro soixante-dix-neuf cent vingt-trois quarante-cinq soixante-sept"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Resolve(said, swissMobile, "CH")
			}
		})
	}
}

func TestKind(t *testing.T) {
	for number, want := range map[string][2]string{
		swissMobile: {"mobile", "CH"}, "+41225394512": {"fixed", "CH"}, frenchMobile: {"mobile", "FR"}, "+41900123456": {"special", "CH"},
		"0791234567": {}, "+41 79 123 45 67": {}, "+4179": {}, "": {}, "PlombiersGE": {},
	} {
		if kind, country := Kind(number); kind != want[0] || country != want[1] {
			t.Errorf("%q is %q of %q", number, kind, country)
		}
	}
}
