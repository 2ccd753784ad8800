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
		"+41791234567x": "", "client:agent": "", "{{system__caller_id}}": "",
		"+999999999999999999999": "",
	} {
		if got := Resolve("", id, "CH"); got.CallerID != want || got.E164 != want {
			t.Errorf("caller id %q is %+v, want %q", id, got, want)
		}
	}
}

// An exchange, a messenger or an address book writes the number in its own way.
func TestCallerIDIsReadInEveryForm(t *testing.T) {
	for id, want := range map[string]string{
		"sip:+41791234567@pbx": swissMobile, "sip:+41791234567@example.com": swissMobile, "SIP:+41791234567@pbx;transport=tcp": swissMobile,
		"sips:+41791234567@10.0.0.7:5061": swissMobile, "sip:+41791234567": swissMobile, "sip:0041791234567@pbx": swissMobile,
		"sip:0791234567@pbx.example": swissMobile, "sip:+41791234567;npdi@pbx": swissMobile, "sip:+41791234567@pbx;user=phone": swissMobile,
		"<sip:+41791234567@pbx>": swissMobile, `"Marta" <sip:+41791234567@pbx>;tag=1c2`: swissMobile, "+41791234567@pbx": swissMobile,
		"tel:+41791234567": swissMobile, "tel:+41-79-123-45-67": swissMobile, "tel:079-123-45-67;phone-context=+41": swissMobile,
		"tel:+41791234567;ext=12": swissMobile, "<tel:+41791234567>": swissMobile, "callto:+41791234567": swissMobile,
		"whatsapp:+41791234567": swissMobile, "WhatsApp:+33612345678": frenchMobile, "whatsapp: +41 79 123 45 67": swissMobile,
		"+41 79 123 45 67": swissMobile, "+41.79.123.45.67": swissMobile, "+41-79-123-45-67": swissMobile, "+41 (79) 123-45-67": swissMobile,
		"+41 (0)79 123 45 67": swissMobile, "(079) 123 45 67": swissMobile, "079.123.45.67": swissMobile, "0041 79 123 45 67": swissMobile,
		"sip:%2B41791234567@pbx.example.ch": swissMobile, "sip:+41791234567:secret@pbx.example": swissMobile, "sip:(079)1234567@pbx": swissMobile,
		"sip:+41791234567@[2001:db8::1]:5060": swissMobile, "h323:+41791234567@gw": swissMobile, "phone:+41791234567": swissMobile,
		"sms:+41791234567": swissMobile, "wa:+41791234567": swissMobile, "+41791234567;isub=1234": swissMobile, "+41 79/123 45 67": swissMobile,
		"+41\t79\t123\t45\t67": swissMobile, "\u202a+41791234567\u202c": swissMobile, "＋４１７９１２３４５６７": swissMobile,
		"+41\u00a079\u00a0123\u00a045\u00a067": swissMobile, "+41‑79‑123‑45‑67": swissMobile,

		"sip:anonymous@anonymous.invalid": "", "sip:anonymous@pbx": "", "sip:1001@pbx": "", "sip:22@pbx": "", "1001": "", "tel:117": "",
		"sip:+266696687@pbx": "", "sip:restricted@+41791234567": "", "sip:pbx.example": "", "sip:46.227.200.12": "", "sip:46.227.200.12:5060": "",
		"sip:@+41791234567": "", "tel:": "", "whatsapp:": "", "sip:": "", "<>": "", "mailto:0791234567@example.com": "", "*31#0791234567": "",
		"+41791234567, +41781234567": "", "().-": "", "Marta 0791234567": "",
	} {
		if got := Resolve("", id, "CH"); got.CallerID != want || got.E164 != want {
			t.Errorf("caller id %q is %+v, want %q", id, got, want)
		}
	}
}

// A number said with its country is that one or none; another caller id changes
// nothing.
func TestInternationalNumberHasNoNationalReading(t *testing.T) {
	for _, c := range []struct{ region, said, want string }{
		{"CH", "+33 7 60 12 34 56", "+33760123456"},
		{"CH", "+60 12-345 6789", "+60123456789"},
		{"CH", "+41 79 80 11 222", "+41798011222"},
		{"CH", "+33 6 12 34 56 78", frenchMobile},
		{"CH", "+33 (0)6 12 34 56 78", frenchMobile},
		{"CH", "0033 7 60 12 34 56", "+33760123456"},
		{"CH", "plus 33 7 60 12 34 56", "+33760123456"},
		{"CH", "+33 voilà 79 123 45 67", "+33791234567"},
		{"CH", "plus three three six one two three four five six seven eight", frenchMobile},
		{"CH", "+ 41 79 123 45 67", swissMobile},
		{"CH", "+0041 79 123 45 67", swissMobile},
		{"CH", "+44 20 7946 0958", "+442079460958"},
		{"CH", "+39 06 1234 5678", "+390612345678"},
		{"CH", "+1 212 555 2368", "+12125552368"},
		{"CH", "+65 9876 5432", "+6598765432"},
		{"CH", "+49 30 60 12 3456", "+493060123456"},
		{"ID", "+62 812 3456 60 12", "+6281234566012"},
		{"ID", "+61 412 345 678", "+61412345678"},
		{"ID", "+81 90 1234 5678", "+819012345678"},
		{"ID", "+60 12 345 6789", "+60123456789"},
		{"FR", "+41 22 310 11 22", "+41223101122"},
		{"FR", "rappelez au +41 79 80 11 222, merci", "+41798011222"},
		{"CH", "pas le 079, mais le +33 7 60 12 34 56", "+33760123456"},

		// Not a number of that country, though it would be one at home.
		{"CH", "+079 123 45 67", ""},
		{"CH", "+0791234567", ""},
		{"CH", "+33 0 79 123 45 67 8", ""},
		{"CH", "+41 0 0 79 123 45 67", ""},
		{"CH", "+33 7 60 12 34", ""},
		{"CH", "+33 7 voilà 22 539 45 13", ""},
		{"CH", "+41 079 123 45", ""},
		{"CH", "+33 (0)79 123 45 67 1", ""},
		{"CH", "plus zéro sept neuf un deux trois quatre cinq six sept", ""},
		{"CH", "12 +079 123 45 67", ""},
		{"CH", "+612345678", ""},
		{"FR", "+06 12 34 56 78", ""},
		{"ID", "+0812 3456 7890", ""},
		{"ID", "+08123456789", ""},
		{"ID", "plus nol delapan satu dua tiga empat lima enam tujuh delapan sembilan nol", ""},
	} {
		for _, caller := range []string{"", "+41781112233", "+33698765432", "+62361234567"} {
			got := Resolve(c.said, caller, c.region, "FR", "CH", "IT")
			switch {
			case c.want != "" && (got.E164 != c.want || got.Source != "dictated" || got.Confidence != "medium" || got.Check || got.Second != caller):
				t.Errorf("%s: %q from %q is %+v, want %s", c.region, c.said, caller, got, c.want)
			case c.want == "" && (got.E164 != caller || got.Second != "" || !got.Check):
				t.Errorf("%s: %q from %q is %+v, want no number", c.region, c.said, caller, got)
			}
		}
	}
}

// Both numbers of two are kept as they were said, what a caller would not have
// is dropped, and what was corrected gives way.
//
//nolint:misspell // French, German and Italian
func TestTwoNumbers(t *testing.T) {
	const mobile, office, other = "+41781234567", "+41225394513", "+41787654321"
	for _, c := range []struct{ said, first, second string }{
		{"mobile 078 123 45 67, bureau 022 539 45 13", mobile, office},
		{"bureau 022 539 45 13, mobile 078 123 45 67", office, mobile},
		{"078 123 45 67, 022 539 45 13", mobile, office},
		{"078 123 45 67 / 022 539 45 13", mobile, office},
		{"0781234567 0225394513", mobile, office},
		{"078 123 45 67 ou 022 539 45 13", mobile, office},
		{"078 123 45 67 et 022 539 45 13", mobile, office},
		{"078 123 45 67 or 022 539 45 13", mobile, office},
		{"078 123 45 67 oder am Abend 022 539 45 13", mobile, office},
		{"078 123 45 67 oppure 022 539 45 13", mobile, office},
		{"078 123 45 67 atau 022 539 45 13", mobile, office},
		{"mobile no 078 123 45 67, office no 022 539 45 13", mobile, office},
		{"+41 78 123 45 67, +41 22 539 45 13", mobile, office},
		{"+41 78 123 45 67, 022 539 45 13", mobile, office},
		{"+41 78 123 45 67 und 0041 22 539 45 13", mobile, office},
		{"41 78 123 45 67, office 41 22 539 45 13", mobile, office},
		{"78 123 45 67, bureau 22 539 45 13", mobile, office},
		{"zéro septante-huit cent vingt-trois quarante-cinq soixante-sept, sinon le zéro vingt-deux 539 45 13", mobile, office},
		{"078 123 voilà 45 67, bureau 022 539 45 13", mobile, office},
		{"078 123 45 67, bureau 022 539 45 13, maison 078 765 43 21", mobile, office},
		{"078 123 45 67, je répète 078 123 45 67, et le bureau 022 539 45 13", mobile, office},
		{"078 123 45 67, bureau 078 123 45 67 022 539 45 13", mobile, office},
		{"+33 6 12 34 56 78 ou +41 78 123 45 67", frenchMobile, mobile},

		{"078 765 43 21 (pas le 079 123 45 67)", other, ""},
		{"078 765 43 21, surtout pas le 079 123 45 67", other, ""},
		{"pas le 079 123 45 67, le 078 765 43 21", other, ""},
		{"ce n'est pas le 079 123 45 67 mais le 078 765 43 21", other, ""},
		{"078 765 43 21 et non le 079 123 45 67", other, ""},
		{"078 765 43 21 au lieu du 079 123 45 67", other, ""},
		{"n'appelez plus le 079 123 45 67, le 078 765 43 21", other, ""},
		{"078 765 43 21, not 079 123 45 67", other, ""},
		{"not the 079 123 45 67 but 078 765 43 21", other, ""},
		{"don't call 079 123 45 67, call 078 765 43 21", other, ""},
		{"078 765 43 21 instead of 079 123 45 67", other, ""},
		{"078 765 43 21, nicht die 079 123 45 67", other, ""},
		{"nicht 079 123 45 67, sondern 078 765 43 21", other, ""},
		{"078 765 43 21 statt 079 123 45 67", other, ""},
		{"078 765 43 21, non il 079 123 45 67", other, ""},
		{"078 765 43 21 invece del 079 123 45 67", other, ""},
		{"078 765 43 21, bukan 079 123 45 67", other, ""},
		{"jangan hubungi 079 123 45 67, tapi 078 765 43 21", other, ""},
		{"078 123 45 67, et si ça ne marche pas, le 022 539 45 13", mobile, office},
		{"078 765 43 21, pas au bureau 079 123 45 67", other, ""},
		{"078 765 43 21 à la place du 079 123 45 67", other, ""},
		{"don't use the office number 079 123 45 67, 078 765 43 21", other, ""},
		{"078 765 43 21, keinesfalls 079 123 45 67", other, ""},
		{"mobile 078 123 45 67, bureau 022 539 45 13, pas le 079 123 45 67", mobile, office},
		{"079 123 45 76, pas le 079 123 45 67", "+41791234576", ""},

		{"078 123 45 67, euh non, 076 555 44 33", "+41765554433", ""},
		{"078 123 45 67, no sorry, 078 765 43 21", other, ""},
		{"078 123 45 67, non, le 078 765 43 21", other, ""},
		{"078 123 45 67 non c'est le 078 765 43 21", other, ""},
		{"078 123 45 67 non le 078 765 43 21", other, ""},
		{"078 123 45 67 nein die 078 765 43 21", other, ""},
		{"078 123 45 67 no it is 078 765 43 21", other, ""},
		{"078 123 45 67, nein, 078 765 43 21", other, ""},
		{"078 123 45 67, anzi 078 765 43 21", other, ""},
		{"078 123 45 67 maaf 078 765 43 21", other, ""},
		{"078 123 45 67, ou plutôt 078 765 43 21", other, ""},
		{"078 123 45 67, pardon, 078 765 43 21, bureau 022 539 45 13", other, office},
		{"078 765 43 21, merci", other, ""},

		{"mon portable est le 078 123 45 67 et mon fixe le 022 539 45 13", mobile, office},
		{"078 123 45 67 (privé), 022 539 45 13 (travail)", mobile, office},
		{"078 123 45 67 le soir, 022 539 45 13 la journée", mobile, office},
		{"Handy 078 123 45 67, Geschäft 022 539 45 13", mobile, office},
		{"078 123 45 67 sowie 022 539 45 13", mobile, office},
		{"cellulare 078 123 45 67, ufficio 022 539 45 13", mobile, office},
		{"078 123 45 67; 022 539 45 13", mobile, office},
		{"078 123 45 67\n022 539 45 13", mobile, office},
		{"078 123 45 67, à défaut 022 539 45 13", mobile, office},
		{"if 078 123 45 67 does not answer, try 022 539 45 13", mobile, office},
		{"078 765 43 21 (ancien numéro 079 123 45 67, ne plus appeler)", other, ""},
		{"078 765 43 21, le 079 123 45 67 ne marche plus", other, ""},
		{"le 079 123 45 67 n'est plus valable, prenez le 078 765 43 21", other, ""},
		{"079 123 45 67 is my old number, use 078 765 43 21", other, ""},
		{"079 123 45 67 is wrong, it is 078 765 43 21", other, ""},
		{"078 765 43 21, do not use 079 123 45 67", other, ""},
		{"078 765 43 21 und nicht auf die 079 123 45 67 anrufen", other, ""},
		{"die 079 123 45 67 gilt nicht mehr, neu 078 765 43 21", other, ""},
		{"bitte nicht auf 079 123 45 67, lieber 078 765 43 21", other, ""},
		{"il 079 123 45 67 non funziona più, chiamate il 078 765 43 21", other, ""},
		{"non al 079 123 45 67 ma al 078 765 43 21", other, ""},
		{"jangan 079 123 45 67, pakai 078 765 43 21", other, ""},
		{"évitez le 079 123 45 67, appelez le 078 765 43 21", other, ""},
		{"not my work number 079 123 45 67, call 078 765 43 21", other, ""},
		{"ne me rappelez pas sur le 079 123 45 67, plutôt sur le 078 765 43 21", other, ""},
		{"jamais le 079 123 45 67, toujours le 078 765 43 21", other, ""},
		{"078 765 43 21 rather than the 079 123 45 67", other, ""},
		{"078 765 43 21, l'autre (079 123 45 67) n'est plus à moi", other, ""},
		{"le 079 123 45 67 est désactivé, appelez le 078 765 43 21", other, ""},
		{"mon ancien natel 079 123 45 67, le nouveau 078 765 43 21", other, ""},
		{"le 079 123 45 67 c'est fini, maintenant c'est 078 765 43 21", other, ""},
		{"079 123 45 67 no longer exists, now 078 765 43 21", other, ""},
		{"my former number was 079 123 45 67, now it's 078 765 43 21", other, ""},
		{"please avoid 079 123 45 67, use 078 765 43 21", other, ""},
		{"079 123 45 67 is out of order; 078 765 43 21", other, ""},
		{"079 123 45 67 isn't mine anymore, 078 765 43 21", other, ""},
		{"meine alte Nummer 079 123 45 67, neue 078 765 43 21", other, ""},
		{"die 079 123 45 67 ist nicht mehr aktuell, 078 765 43 21", other, ""},
		{"079 123 45 67 geht nicht mehr, 078 765 43 21", other, ""},
		{"il vecchio numero era 079 123 45 67, quello nuovo 078 765 43 21", other, ""},
		{"nomor lama 079 123 45 67, nomor baru 078 765 43 21", other, ""},
		{"079 123 45 67 sudah tidak aktif, 078 765 43 21", other, ""},
		{"079 123 45 67 sudah tidak dipakai lagi, pakai 078 765 43 21", other, ""},
		{"078 765 43 21 ; ne pas utiliser 079 123 45 67", other, ""},
		{"078 765 43 21 ; niemals 079 123 45 67", other, ""},
		{"078 123 45 67 ne répond pas toujours, sinon 022 539 45 13", mobile, office},
		{"078 123 45 67 is not reachable before 5, otherwise 022 539 45 13", mobile, office},
		{"078 123 45 67 n'est pas joignable le matin, 022 539 45 13", mobile, office},
		{"078 123 45 67 ist nicht immer erreichbar, 022 539 45 13", mobile, office},
		{"078 123 45 67 non risponde la mattina, 022 539 45 13", mobile, office},
		{"078 123 45 67 is my mobile, 022 539 45 13 is the office", mobile, office},
		{"078 123 45 67 est mon portable, 022 539 45 13 est mon fixe", mobile, office},
		{"078 123 45 67 ist mein Handy, 022 539 45 13 ist das Büro", mobile, office},
		{"078 123 45 67 è il cellulare, 022 539 45 13 è l'ufficio", mobile, office},
		{"Tel 1: 078 123 45 67, Tel 2: 022 539 45 13", mobile, office},
		{"a) 078 123 45 67 b) 022 539 45 13", mobile, office},
		{"first 078 123 45 67 second 022 539 45 13", mobile, office},
		{"78 123 45 67 o 22 539 45 13", mobile, office},
		{"078-1234567 & 022-5394513", mobile, office},
		{"078 123 45 67 (mon vieux père) ou 022 539 45 13", mobile, office},
		{"two numbers: 078 123 45 67 and 022 539 45 13", mobile, office},
		{"deux numéros, 078 123 45 67 et 022 539 45 13", mobile, office},
		{"zwei Nummern: 078 123 45 67 und 022 539 45 13", mobile, office},
		{"appelez trois fois le 078 765 43 21", other, ""},
		{"call 2 times 078 765 43 21", other, ""},
		{"versuchen Sie es mal auf 078 765 43 21", other, ""},
		{"cento volte grazie, 078 765 43 21", other, ""},
		{"1) 078 123 45 67 2) 022 539 45 13", mobile, office},
		{"1. 078 123 45 67 2. 022 539 45 13", mobile, office},
		{"0 7 8 1 2 3 4 5 6 7. 022 539 45 13", mobile, office},
		{"0. 7. 8. 1. 2. 3. 4. 5. 6. 7. 0. 2. 2. 5. 3. 9. 4. 5. 1. 3.", mobile, office},
		{"le 079 123 45 67 est résilié, mon nouveau c'est le 078 765 43 21", other, ""},
		{"on ne peut plus me joindre au 079 123 45 67, prenez le 078 765 43 21", other, ""},
		{"n'utilisez pas le 079 123 45 67 svp, 078 765 43 21", other, ""},
		{"the number ending 67, 079 123 45 67, is no longer in service, call 078 765 43 21", other, ""},
		{"don't ring 079 123 45 67, ring 078 765 43 21", other, ""},
		{"forget about 079 123 45 67, 078 765 43 21 please", other, ""},
		{"bitte nicht die alte 079 123 45 67, sondern 078 765 43 21", other, ""},
		{"die Nummer 079 123 45 67 stimmt nicht, richtig ist 078 765 43 21", other, ""},
		{"non chiamate più lo 079 123 45 67, ma lo 078 765 43 21", other, ""},
		{"il numero 079 123 45 67 è sbagliato, quello giusto è 078 765 43 21", other, ""},
		{"jangan telepon ke 079 123 45 67 lagi, telepon ke 078 765 43 21", other, ""},
		{"bukan 079 123 45 67 tapi 078 765 43 21", other, ""},
		{"078 765 43 21, et oubliez le 079 123 45 67", other, ""},
		{"078 765 43 21 (früher 079 123 45 67)", other, ""},
		{"078 765 43 21, previously 079 123 45 67", other, ""},
		{"078 123 45 67 de préférence, sinon au bureau 022 539 45 13", mobile, office},
		{"soit 078 123 45 67 soit 022 539 45 13", mobile, office},
		{"either 078 123 45 67 or the landline 022 539 45 13", mobile, office},
		{"entweder 078 123 45 67 oder 022 539 45 13", mobile, office},
		{"o 078 123 45 67 oppure casa 022 539 45 13", mobile, office},
		{"di 078 123 45 67 atau di 022 539 45 13", mobile, office},
		{"078 123 45 67, pas avant 17h, sinon 022 539 45 13", mobile, office},
		{"078 123 45 67 not before noon, otherwise 022 539 45 13", mobile, office},
		{"078 123 45 67, nicht vor 17 Uhr, sonst 022 539 45 13", mobile, office},
		{"le matin au 022 539 45 13 et l'après-midi au 078 123 45 67", office, mobile},
		{"WhatsApp 078 123 45 67, Festnetz 022 539 45 13", mobile, office},
		{"078 123 45 67 (Marta) / 022 539 45 13 (Paul)", mobile, office},
		{"078 123 45 67, it's my wife's number, mine is 022 539 45 13", mobile, office},
		{"no, 078 765 43 21", other, ""},
		{"non, c'est le 078 765 43 21", other, ""},
		{"078 123 45 67... non attendez 078 765 43 21", other, ""},
		{"078 123 45 67, sorry I mean 078 765 43 21", other, ""},
		{"078 123 45 67 ehm no scusi 078 765 43 21", other, ""},
		{"oh seven eight, seven six five, four three, two one", other, ""},
		{"zero seven eight seven sixty-five forty-three twenty-one", other, ""},
		{"zéro sept huit sept cent soixante-cinq quarante-trois vingt et un", other, ""},
		{"null sieben acht siebenhundertfünfundsechzig dreiundvierzig einundzwanzig", other, ""},
		{"zero sette otto settecentosessantacinque quarantatré ventuno", other, ""},
		{"0 7 8 . 7 6 5 . 4 3 . 2 1", other, ""},
		{"078-765-43-21 ext. 5", other, ""},
		{"078 765 43 21 poste 12", other, ""},
		{"avant 18h le 078 123 45 67, après le 022 539 45 13", mobile, office},
		{"prima delle 18 lo 078 123 45 67, dopo lo 022 539 45 13", mobile, office},
		{"avant midi 078 765 43 21", other, ""},
		{"call me at 078 765 43 21", other, ""},
		{"my old phone broke, call 078 765 43 21", other, ""},
		{"vorher anrufen 078 765 43 21", other, ""},
		{"la vieille dame, 078 765 43 21", other, ""},
		{"the former owner's number is 078 765 43 21", other, ""},
		{"lama tidak diangkat? 078 765 43 21", other, ""},
		{"je suis l'ancien locataire, 078 765 43 21", other, ""},
		{"appelez avant, 078 765 43 21", other, ""},
		{"appelez-moi avant au 078 765 43 21", other, ""},
		{"call before you come 078 765 43 21", other, ""},
		{"prima chiamate lo 078 765 43 21", other, ""},
		{"zuerst 078 123 45 67, dann 022 539 45 13", mobile, office},
		{"d'abord 078 123 45 67 puis 022 539 45 13", mobile, office},
		{"mein alter Vater: 078 765 43 21", other, ""},
		{"hubungi sebelumnya ke 078 765 43 21", other, ""},
	} {
		for _, caller := range []string{"", swissMobile, "+41791112233"} {
			got := Resolve(c.said, caller, "CH", "FR")
			if got.E164 != c.first || got.Source != "dictated" || got.CallerID != caller {
				t.Errorf("%q from %q is %+v, want %s", c.said, caller, got, c.first)
			}
			refused := caller == swissMobile && strings.Contains(c.said, "079 123 45 67")
			switch {
			case c.second != "" && (got.Second != c.second || !got.Check),
				c.second == "" && (refused && got.Second != "" || !refused && got.Second != caller || got.Check):
				t.Errorf("%q from %q is %+v, second %q", c.said, caller, got, c.second)
			}
		}
		if got := Resolve(c.said, c.first, "CH", "FR"); got.E164 != c.first || got.Source != "both" || got.Second != c.second || got.Check != (c.second != "") {
			t.Errorf("%q from the first is %+v", c.said, got)
		}
		if got := Resolve(c.said, c.second, "CH", "FR"); got.E164 != c.first || got.Second != c.second {
			t.Errorf("%q from the second is %+v", c.said, got)
		}
	}
	if got := Resolve("pas le 079 123 45 67", swissMobile, "CH"); got.E164 != swissMobile || got.Confidence != "low" || !got.Check {
		t.Errorf("the only number, refused, is %+v", got)
	}
}

// A number that may be the market's or a neighbour's is both until the country
// is named, and the one of the caller's country first.
func TestNumberOfTwoCountries(t *testing.T) {
	const geneva, annecy, basel, frenchAs078 = "CH FR", "FR CH", "+41612345678", "+33781234567"
	for _, c := range []struct{ market, caller, said, first, second string }{
		{geneva, "", "06 12 34 56 78", basel, frenchMobile},
		{geneva, "anonymous", "0612345678", basel, frenchMobile},
		{geneva, swissMobile, "06 12 34 56 78", basel, frenchMobile},
		{geneva, swissMobile, "zéro six douze trente-quatre cinquante-six soixante-dix-huit", basel, frenchMobile},
		{geneva, "+33698765432", "06 12 34 56 78", frenchMobile, basel},
		{geneva, "+33450123456", "6 12 34 56 78", frenchMobile, basel},
		{geneva, "+447400123456", "06.12.34.56.78", basel, frenchMobile},
		{geneva, "+41765554433", "07 81 23 45 67", "+41781234567", frenchAs078},
		{geneva, "+33698765432", "07 81 23 45 67", frenchAs078, "+41781234567"},
		{annecy, "", "078 123 45 67", frenchAs078, "+41781234567"},
		{annecy, "+41765554433", "0781234567", "+41781234567", frenchAs078},
		{annecy, "", "022 310 11 22", "+33223101122", "+41223101122"},

		// Nothing speaks for the neighbour.
		{geneva, "", "078 123 45 67", "+41781234567", ""},
		{geneva, "+41765554433", "0781234567", "+41781234567", ""},
		{geneva, "", "022 310 11 22", "+41223101122", ""},
		{annecy, "", "06 12 34 56 78", frenchMobile, ""},
		{annecy, "", "07 81 23 45 67", frenchAs078, ""},
		// It is a number in one of the two only.
		{geneva, "", "04 50 12 34 56", "+33450123456", ""},
		{geneva, "", "01 42 68 53 00", "+33142685300", ""},
	} {
		market := strings.Fields(c.market)
		got := Resolve(c.said, c.caller, market[0], market[1:]...)
		if want := got.CallerID; c.second == "" && (got.E164 != c.first || got.Second != want || got.Check) {
			t.Errorf("%s: %q from %q is %+v, want %s", c.market, c.said, c.caller, got, c.first)
		}
		if c.second != "" && (got.E164 != c.first || got.Second != c.second || !got.Check || got.Confidence != "low" || got.Source != "dictated") {
			t.Errorf("%s: %q from %q is %+v, want %s or %s", c.market, c.said, c.caller, got, c.first, c.second)
		}
		if one, other := Countries(got.E164, got.Second); (one != "") != (c.second != "") || one == other && one != "" {
			t.Errorf("%s: %q from %q is of %q or %q", c.market, c.said, c.caller, one, other)
		}
		if c.second == "" {
			continue
		}
		for country, names := range map[string][]string{
			"CH": {"suisse", "Suisse", "Schweiz", "eine Schweizer Nummer:", "Swiss", "Switzerland", "svizzero", "Svizzera", "nomor Swiss", "CH", "c'est suisse, pas français"},
			"FR": {"français", "un numéro français :", "de France", "French", "France", "Frankreich", "französisch", "franzoesische", "francese", "Francia", "Prancis", "FR", "not Swiss, French"},
		} {
			for _, name := range names {
				for _, said := range []string{name + " " + c.said, c.said + " (" + name + ")"} {
					p := Resolve(said, c.caller, market[0], market[1:]...)
					if _, is := Kind(p.E164); is != country || p.Check || p.E164 != c.first && p.E164 != c.second {
						t.Errorf("%s: %q from %q is %+v", c.market, said, c.caller, p)
					}
				}
			}
		}
		digits := strings.TrimPrefix(strings.NewReplacer(" ", "", ".", "").Replace(c.said), "0")
		if strings.Trim(digits, "0123456789") == "" {
			for _, said := range []string{"+33" + digits, "0033 " + digits, "+33 0" + digits} {
				if p := Resolve(said, c.caller, market[0], market[1:]...); !strings.HasPrefix(p.E164, "+33") || p.Check {
					t.Errorf("%s: %q from %q is %+v", c.market, said, c.caller, p)
				}
			}
		}
	}
	if got := Resolve("06 12 34 56 78", frenchMobile, "CH", "FR"); got.E164 != frenchMobile || got.Confidence != "high" || got.Check {
		t.Errorf("the caller's own number is %+v", got)
	}
	if got := Resolve("0412 345 678, Australian", "", "ID"); got.E164 != "+61412345678" {
		t.Errorf("a number with its country is %+v", got)
	}
}

// Zeros and repeated digits have names of their own in each language.
//
//nolint:misspell // French
func TestZerosAndRepeatsAsTheyAreSaid(t *testing.T) {
	for _, c := range []struct{ region, want, said string }{
		{"CH", "+41794421234", "oh seven nine, double four two, one two three four"},
		{"CH", "+41794421234", "o seven nine double four two one two three four"},
		{"CH", "+41794421234", "nil seven nine double four two one two three four"},
		{"CH", "+41794421234", "nought seven nine, double 4 2, one two three four"},
		{"CH", "+41794421234", "zéro seven nine double four two one two three four"},
		{"CH", "+41797770044", "oh seven nine, treble seven, double oh, double four"},
		{"CH", "+41797770044", "O79 triple seven double nil double four"},
		{"CH", "+41797770044", "null sieben neun, dreimal sieben, zweimal null, doppel vier"},
		{"CH", "+41797770044", "zero sette nove, triplo sette, doppio zero, doppia quattro"},
		{"CH", "+41797770044", "zéro sept neuf triple sept double zéro double quatre"},
		{"CH", "+41797777012", "oh seven nine, quadruple seven, oh one two"},
		{"CH", swissMobile, "O791234567"},
		{"CH", swissMobile, "o79 123 45 67"},
		{"CH", swissMobile, "aught seven nine one two three four five six seven"},
		{"ID", "+6281233440055", "nol delapan satu dua dobel tiga dobel empat dobel nol dobel lima"},
		{"ID", "+6281233440055", "o delapan satu dua ganda tiga ganda empat ganda nihil ganda lima"},
		{"CH", "+41227002000", "zéro vingt-deux sept cents vingt zéro zéro"},
		{"CH", "+41792223344", "zéro sept neuf, trois fois deux, trente-trois quarante-quatre"},
		{"CH", "+41792223344", "zéro septante-neuf, trois fois le deux, trente-trois, quarante-quatre"},
		{"CH", "+41792223344", "oh seven nine, three times two, thirty-three, forty-four"},
		{"CH", "+41792223344", "null neunundsiebzig, drei mal die zwei, dreiunddreissig, vierundvierzig"},
		{"CH", "+41792223344", "zero sette nove, tre volte due, trentatré, quarantaquattro"},
		{"CH", "+41781234456", "oh seven eight, one two three, twice four, five six"},
		{"CH", "+41781122244", "null achtundsiebzig, zwei mal die eins, dreimal die zwei, vier vier"},
		{"CH", "+41783345678", "zero settantotto, due volte il tre, quattro cinque sei sette otto"},
		{"ID", "+628123334567", "nol delapan satu dua, tiga kali tiga, empat lima enam tujuh"},
		{"CH", "+41782233445", "zero seven eight, two times two, three three, four four five"},
	} {
		if got := Resolve(c.said, "+41761112233", c.region); got.E164 != c.want || got.Check {
			t.Errorf("%s: %q is %+v, want %s", c.region, c.said, got, c.want)
		}
	}
}

// A model may pass a number on as a number: what is left is read, and what is no
// whole number is none.
func TestDigitsOfAFloat(t *testing.T) {
	for said, want := range map[string]string{
		"791234567": swissMobile, "41791234567": swissMobile, "+41791234567": swissMobile, "33612345678": frenchMobile, "41.791234567": swissMobile,
		"791234567.5": "", "4.1791234567e-10": "", "1e9": "", "NaN": "", "Inf": "", "0x1p30": "",
	} {
		if got := Resolve(said, "", "CH"); got.E164 != want {
			t.Errorf("%s is %+v, want %q", said, got, want)
		}
	}
}

func TestSpoken(t *testing.T) {
	for _, c := range [][3]string{
		{swissMobile, "CH", "079 123 45 67"},
		{"+41223101122", "CH", "022 310 11 22"},
		{frenchMobile, "FR", "06 12 34 56 78"},
		{frenchMobile, "CH", "+33 6 12 34 56 78"},
		{baliMobile, "ID", "0812-3456-7890"},
		{baliMobile, "CH", "+62 812-3456-7890"},
		{swissMobile, "ID", "+41 79 123 45 67"},
		{"+62361234567", "ID", "(0361) 234567"},
		{"+61412345678", "AU", "0412 345 678"},
		{"", "CH", ""},
	} {
		if got := Spoken(c[0], c[1]); got != c[2] {
			t.Errorf("Spoken(%s, %s) = %q, want %q", c[0], c[1], got, c[2])
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
		{"mobile 078 123 45 67, pas le 022 539 45 13", "sip:+41791234567@pbx", "CH"},
		{"06 12 34 56 78 français", "tel:079-123-45-67", "CH"},
		{"4.1791234567e10", "", "ID"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, dictated, caller, region string) {
		p := Resolve(dictated, caller, region, "FR", "CH")
		if again := Resolve(dictated, caller, region, "FR", "CH"); again != p {
			t.Fatalf("%+v, and again %+v", p, again)
		}
		for _, n := range []string{p.E164, p.CallerID, p.Second} {
			if kind, _ := Kind(n); n != "" && (kind == "" || !e164.MatchString(n)) {
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
		// digits were said in that order, but for a country code with its
		// area, such as that of Bermuda.
		if strings.Trim(dictated, "0123456789+ ") == "" && !strings.Contains(dictated, " ") {
			for _, n := range []string{p.E164, p.Second} {
				national := strings.TrimPrefix(n, "+")
				if n != p.CallerID && !strings.Contains(dictated, national[min(4, len(national)):]) {
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
		"+33970123456": {"fixed", "FR"}, "+41740123456": {"special", "CH"},
		"0791234567": {}, "+41 79 123 45 67": {}, "+4179": {}, "": {}, "PlombiersGE": {},
	} {
		if kind, country := Kind(number); kind != want[0] || country != want[1] {
			t.Errorf("%q is %q of %q", number, kind, country)
		}
	}
}
