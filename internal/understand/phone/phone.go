// Package phone decides which number to call a customer back on, from what they
// dictated and what their telephone says.
//
// Speech garbles numbers, and a wrong one loses the customer; so a number is
// taken only when it is valid (not merely possible) under Google's numbering
// metadata, the caller id outranks what may have been misheard, and doubt is
// marked rather than mended. Nothing is added that was not said.
package phone

import (
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"leadbus/internal/lead"
	"leadbus/internal/text"
)

// misheard is the edit distance up to which a dictated number is taken for the
// caller id heard wrong.
const misheard = 2

// maxTries bounds the readings of one dictation that are looked up (at about
// 40 µs each).
const maxTries = 48

// valid is a number that exists in some numbering plan.
type valid struct {
	e164, kind, region string
}

// Resolve reads a dictated number in the site's region (ISO 3166 alpha-2) and
// in the caller id's, and weighs it against the caller id:
//
//   - equal: that number, high confidence;
//   - one valid reading that is not near the caller id: the dictated number,
//     medium, the caller id second;
//   - several, none, a near miss, or a premium or short number: the caller id,
//     the dictated number second, Check set;
//   - nothing dictated: the caller id, medium;
//   - no caller id either: the first valid reading, or no number at all.
//
// A withheld or invalid caller id ("anonymous", +266696687) counts as none. It
// is a pure function, safe for concurrent use, and takes at most a few
// milliseconds whatever it is given.
func Resolve(dictated, callerID, region string) lead.Phone {
	caller := fromCallerID(callerID, region)
	dictated = strings.TrimSpace(dictated)
	p := lead.Phone{Raw: cut(dictated), CallerID: caller.e164, Source: "none", Confidence: "none"}
	said := candidates(dictated, region, caller.region)

	take := func(v valid, source, confidence string) {
		p.E164, p.Type, p.Source, p.Confidence = v.e164, v.kind, source, confidence
	}
	hasCaller := caller.e164 != ""
	switch {
	case hasCaller && slices.Contains(said, caller):
		take(caller, "both", "high")
	case len(said) == 1 && said[0].kind != "special" && (!hasCaller || text.Distance(said[0].e164, caller.e164) > misheard):
		take(said[0], "dictated", "medium")
		p.Second = caller.e164
	case hasCaller && dictated == "":
		take(caller, "caller_id", "medium")
		p.Check = caller.kind == "special"
	case hasCaller:
		take(caller, "caller_id", "low")
		p.Check = true
		if len(said) > 0 {
			p.Second = said[0].e164
		}
	case len(said) > 0:
		take(said[0], "dictated", "low")
		p.Check = true
		if len(said) > 1 {
			p.Second = said[1].e164
		}
	default:
		p.Check = dictated != ""
	}
	return p
}

// Kind says what a number in E.164 is (see lead.Phone.Type) and its country
// (ISO 3166 alpha-2); both are empty when it is not valid or written otherwise.
func Kind(e164 string) (kind, country string) {
	v, ok := parse(e164, "")
	if !ok || v.e164 != e164 {
		return "", ""
	}
	return v.kind, v.region
}

// Pairs is the number as it is read back to a caller: digits in pairs, in the
// national form within its own region and with the country code elsewhere. It
// is empty for no number.
func Pairs(e164, region string) string {
	n, err := phonenumbers.Parse(e164, region)
	if err != nil {
		return ""
	}
	if phonenumbers.GetRegionCodeForNumber(n) == region {
		return pairs(phonenumbers.NormalizeDigitsOnly(phonenumbers.Format(n, phonenumbers.NATIONAL)))
	}
	national := phonenumbers.GetNationalSignificantNumber(n)
	return strings.TrimSuffix(e164, national) + " " + pairs(national)
}

// pairs groups digits from the right, so that an odd one stands first.
func pairs(digits string) string {
	var b strings.Builder
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%2 == 0 {
			b.WriteByte(' ')
		}
		b.WriteByte(digits[i])
	}
	return b.String()
}

// fromCallerID reads the caller id a carrier passed on; the zero value is none.
func fromCallerID(id, region string) valid {
	id = strings.TrimSpace(id)
	digits, international := strings.CutPrefix(id, "+")
	if !isDigits(digits) || len(digits) > maxDigits {
		return valid{}
	}
	if international {
		v, _ := parse("+"+digits, region)
		return v
	}
	for _, try := range []string{digits, "+" + strings.TrimPrefix(digits, "00")} {
		if v, ok := parse(try, region); ok {
			return v
		}
	}
	return valid{}
}

// candidates are the distinct valid numbers a dictation may mean: those of the
// first level of stretches that has any.
func candidates(dictated, region, callerRegion string) []valid {
	if len(dictated) < minDigits || cut(dictated) != dictated {
		return nil
	}
	all := atoms(dictated)
	if len(all) == 0 {
		return nil
	}
	var found []valid
	tries := 0
	for _, level := range levels(all) {
		for _, stretch := range level {
			for _, digits := range readings(stretch) {
				if tries++; tries > maxTries {
					return found
				}
				for _, v := range interpretations(digits, stretch[0].kind == plus, region, callerRegion) {
					if !slices.Contains(found, v) {
						found = append(found, v)
					}
				}
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// interpretations are the valid numbers a run of digits may be. The caller's
// own country is tried before the site's: a French mobile number dictated in
// Geneva is also a valid number of Basel.
func interpretations(digits string, international bool, region, callerRegion string) []valid {
	if significant := strings.TrimLeft(digits, "0"); strings.Trim(significant, digits[len(digits)-1:]) == "" {
		return nil // one digit repeated is a placeholder
	}
	if international {
		if v, ok := parse("+"+digits, region); ok {
			return []valid{v}
		}
	}
	var out []valid
	try := func(s, region string) {
		if v, ok := parse(s, region); ok && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	if callerRegion != "" && callerRegion != region {
		try(digits, callerRegion)
	}
	try(digits, region)
	if rest, ok := strings.CutPrefix(digits, "00"); ok {
		try("+"+rest, region)
	} else if digits[0] != '0' {
		try("+"+digits, region)
	}
	return out
}

func parse(s, region string) (valid, bool) {
	n, err := phonenumbers.Parse(s, region)
	if err != nil || !phonenumbers.IsValidNumber(n) {
		return valid{}, false
	}
	return valid{
		e164:   phonenumbers.Format(n, phonenumbers.E164),
		kind:   kinds[phonenumbers.GetNumberType(n)],
		region: phonenumbers.GetRegionCodeForNumber(n),
	}, true
}

// kinds maps the metadata's types to what can be done with a number: a special
// one is never texted or dialled by a machine.
var kinds = map[phonenumbers.PhoneNumberType]string{
	phonenumbers.MOBILE:               "mobile",
	phonenumbers.FIXED_LINE:           "fixed",
	phonenumbers.FIXED_LINE_OR_MOBILE: "fixed_or_mobile",
	phonenumbers.PREMIUM_RATE:         "special",
	phonenumbers.SHARED_COST:          "special",
	phonenumbers.TOLL_FREE:            "special",
	phonenumbers.UAN:                  "special",
	phonenumbers.PERSONAL_NUMBER:      "special",
	phonenumbers.VOICEMAIL:            "special",
	phonenumbers.PAGER:                "unknown",
	phonenumbers.VOIP:                 "unknown",
	phonenumbers.UNKNOWN:              "unknown",
}

// cut bounds what is kept of a dictation.
func cut(s string) string {
	n := 0
	for i := range s {
		if n == maxLength {
			return s[:i]
		}
		n++
	}
	return s
}
