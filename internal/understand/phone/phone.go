// Package phone decides which number to call a customer back on, from what they
// dictated and what their telephone says.
//
// Speech garbles numbers, and a wrong one loses the customer; so a number is
// taken only when it is valid (not merely possible) under Google's numbering
// metadata, the caller id outranks what may have been misheard, and doubt is
// marked rather than mended. Nothing is added that was not said.
package phone

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/hbollon/go-edlib"
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

// Resolve reads a dictated number in the site's region (ISO 3166 alpha-2), in
// its neighbours and in the caller id's, and weighs it against the caller id:
//
//   - two numbers: the first one said, the other second, Check set;
//   - equal: that number, high confidence;
//   - one valid reading that is not near the caller id: the dictated number,
//     medium, the caller id second;
//   - one of several countries, or no caller id: the number of the caller's
//     country, else of the site's, another second, Check set;
//   - several, none, a near miss, or a premium or short number: the caller id,
//     the dictated number second, Check set;
//   - nothing dictated: the caller id, medium;
//   - no caller id either: no number at all.
//
// A country that is named beside a number settles which one it is of.
// A withheld or invalid caller id ("anonymous", +266696687) counts as none. It
// is a pure function, safe for concurrent use, and takes at most a few
// milliseconds whatever it is given.
func Resolve(dictated, callerID, region string, neighbours ...string) lead.Phone {
	caller := fromCallerID(callerID, region)
	dictated = strings.TrimSpace(dictated)
	p := lead.Phone{Raw: cut(dictated), CallerID: caller.e164, Source: "none", Confidence: "none"}
	r := reader{caller: caller, home: append([]string{region}, neighbours...)}
	r.understand(dictated)
	two := len(r.kept) > 1
	var said []valid
	for _, number := range r.kept {
		switch {
		case slices.Contains(number, caller):
			number = []valid{caller}
		case two: // what one of two numbers may mean besides is no third
			number = number[:1]
		}
		said = append(said, number...)
	}
	if len(said) > 0 && slices.Contains(r.not, caller) {
		caller = valid{}
	}

	take := func(confidence string, check bool, numbers ...valid) {
		p.E164, p.Type, p.Confidence, p.Check = numbers[0].e164, numbers[0].kind, confidence, check
		switch {
		case numbers[0] != caller:
			p.Source = "dictated"
		case slices.Contains(said, caller):
			p.Source = "both"
		default:
			p.Source = "caller_id"
		}
		if len(numbers) > 1 {
			p.Second = numbers[1].e164
		}
	}
	hasCaller := caller.e164 != ""
	near := slices.ContainsFunc(said, func(v valid) bool { return edlib.LevenshteinDistance(v.e164, caller.e164) <= misheard })
	abroad := len(said) > 1 && !slices.ContainsFunc(said, func(v valid) bool { return !v.twin(said[0]) || !slices.Contains(r.home, v.region) })
	switch {
	case hasCaller && !two && slices.Contains(said, caller):
		take("high", false, caller)
	case len(said) == 1 && said[0].kind != "special" && !near:
		take("medium", false, said[0], caller)
	case len(said) > 0 && (!hasCaller || two || abroad && !near):
		take("low", true, said...)
	case hasCaller && dictated == "":
		take("medium", caller.kind == "special", caller)
	case hasCaller:
		take("low", true, append([]valid{caller}, said...)...)
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

// Countries are those of two numbers that are said alike in both, which a
// question can settle; else they are empty.
func Countries(first, second string) (one, other string) {
	if second == "" {
		return "", ""
	}
	a, _ := parse(first, "")
	b, _ := parse(second, "")
	if !a.twin(b) {
		return "", ""
	}
	return a.region, b.region
}

// national is the number as it is grouped at home, normalised.
func (v valid) national() string { return text.Normal(Spoken(v.e164, v.region)) }

// twin reports whether another country's number is said as v is at home.
func (v valid) twin(w valid) bool {
	return strings.ReplaceAll(v.national(), " ", "") == strings.ReplaceAll(w.national(), " ", "")
}

// Spoken is the number as its country writes and reads it: in the national form
// in a region of its own, with the country code elsewhere. It is empty for no
// number.
func Spoken(e164, region string) string {
	n, err := phonenumbers.Parse(e164, region)
	switch {
	case err != nil:
		return ""
	case phonenumbers.GetRegionCodeForNumber(n) == region:
		return phonenumbers.Format(n, phonenumbers.NATIONAL)
	default:
		return phonenumbers.Format(n, phonenumbers.INTERNATIONAL)
	}
}

// address is a caller id as a carrier, an exchange or a messenger writes it: a
// number with or without a scheme, and what follows it.
var address = regexp.MustCompile(`(?i)^(?:.*<)?(?:(sips?|h323|tel|phone|callto|sms|wa|whatsapp):)?([\s\pZ\p{Cf}]*\+?[\p{Nd}\s\pZ\p{Cf}()./\p{Pd}]+)([;@>].*|:[^@]*@.*)?$`)

// pluses are the ways to write the one of a caller id.
var pluses = strings.NewReplacer("＋", "+", "%2B", "+", "%2b", "+")

// fromCallerID reads the caller id a carrier passed on; the zero value is none.
func fromCallerID(id, region string) valid {
	if digits, plain := strings.CutPrefix(id, "+"); plain && isDigits(digits) && len(digits) <= maxDigits {
		v, _ := parse(id, "")
		return v
	}
	parts := address.FindStringSubmatch(pluses.Replace(strings.TrimSpace(id)))
	if parts == nil {
		return valid{}
	}
	digits := strings.ReplaceAll(text.Normal(parts[2]), " ", "")
	international := strings.Contains(parts[2], "+")
	host := strings.HasPrefix(strings.ToLower(parts[1]), "sip") && !international && !strings.HasPrefix(parts[3], "@")
	if host || !isDigits(digits) || len(digits) > maxDigits {
		return valid{}
	}
	if !international {
		if v, ok := parse(digits, region); ok {
			return v
		}
	}
	v, _ := parse("+"+strings.TrimPrefix(digits, "00"), "")
	return v
}

// reader reads one dictation.
type reader struct {
	said   string // normalised
	named  string // the country that was named
	caller valid
	home   []string // the site's region, then its neighbours
	tries  int

	kept [][]valid // the numbers said, each as the distinct valid ones it may mean
	not  []valid   // those the caller would not have
}

// understand reads a dictation.
func (r *reader) understand(dictated string) {
	if len(dictated) < minDigits || cut(dictated) != dictated {
		return
	}
	r.said = text.Normal(dictated)
	r.named = named(strings.Fields(r.said))
	all := atoms(dictated)
	if !r.read(all) {
		r.kept = [][]valid{r.means(all)}
	}
}

// named is the one country that was named and not refused; empty for none and
// for several.
func named(said []string) (country string) {
	for at, word := range said {
		switch c := countries[word]; {
		case c == "" || refused.MatchString(strings.Join(said[:at], " ")):
		case country != "" && c != country:
			return ""
		default:
			country = c
		}
	}
	return country
}

// means are the distinct valid numbers a stretch may be.
func (r *reader) means(stretch []atom) (found []valid) {
	if len(stretch) == 0 || slices.ContainsFunc(stretch[1:], atom.isPlus) || r.tries > maxTries {
		return nil
	}
	for _, digits := range readings(stretch) {
		if r.tries++; r.tries > maxTries {
			break
		}
		found = union(found, r.interpretations(digits, stretch[0].kind == plus))
	}
	return found
}

func union(a, b []valid) []valid {
	return append(a, slices.DeleteFunc(b, func(v valid) bool { return slices.Contains(a, v) })...)
}

// common are the members of a that b has as well.
func common(a, b []valid) []valid {
	return slices.DeleteFunc(slices.Clone(a), func(v valid) bool { return !slices.Contains(b, v) })
}

// interpretations are the valid numbers a run of digits may be. The caller's
// own country is tried before the site's: a French mobile number dictated in
// Geneva is also a valid number of Basel. A number with an international prefix
// is no national one.
func (r *reader) interpretations(digits string, international bool) []valid {
	if significant := strings.TrimLeft(digits, "0"); strings.Trim(significant, digits[len(digits)-1:]) == "" {
		return nil // one digit repeated is a placeholder
	}
	rest, zeros := strings.CutPrefix(digits, "00")
	abroad, isAbroad := valid{}, false
	if zeros || digits[0] != '0' {
		abroad, isAbroad = parse("+"+rest, "")
	}
	switch {
	case isAbroad && (zeros || international):
		return []valid{abroad}
	case international:
		return nil
	}
	if r.named != "" {
		if v, ok := parse(digits, r.named); ok {
			return []valid{v}
		}
	}
	own, isOwn := parse(digits, r.home[0])
	if isOwn && own == r.caller {
		return []valid{own}
	}
	var out []valid
	for _, region := range append([]string{r.caller.region}, r.home...) {
		v, ok := own, isOwn
		if region != r.home[0] {
			v, ok = parse(digits, region)
		}
		if ok && (region == r.caller.region || r.likely(v, own)) {
			out = union(out, []valid{v})
		}
	}
	if isAbroad {
		out = union(out, []valid{abroad})
	}
	return out
}

// likely reports whether a number is the site's own reading, or a neighbour's
// with something for it that the own one lacks: it is a mobile one, or was
// grouped as its country does. Nearly every number of Geneva is also one of
// France.
func (r *reader) likely(v, own valid) bool {
	grouped := func(v valid) bool { n := v.national(); return n != "" && strings.Contains(r.said, n) }
	return v == own || own.e164 == "" || v.kind == "mobile" && own.kind != "mobile" || grouped(v) && !grouped(own)
}

func parse(s, region string) (valid, bool) {
	n, err := phonenumbers.Parse(s, region)
	if err != nil {
		return valid{}, false
	}
	kind := phonenumbers.GetNumberType(n)
	if kind == phonenumbers.UNKNOWN {
		return valid{}, false // of no plan
	}
	return valid{
		e164:   phonenumbers.Format(n, phonenumbers.E164),
		kind:   cmp.Or(kinds[kind], "special"),
		region: phonenumbers.GetRegionCodeForNumber(n),
	}, true
}

// kinds are what can be done with a number by its type in the metadata; one of any
// other type is special, and never texted or dialled by a machine.
var kinds = map[phonenumbers.PhoneNumberType]string{
	phonenumbers.MOBILE:               "mobile",
	phonenumbers.FIXED_LINE:           "fixed",
	phonenumbers.VOIP:                 "fixed",
	phonenumbers.FIXED_LINE_OR_MOBILE: "fixed_or_mobile",
}

// cut bounds what is kept of a dictation.
func cut(s string) string {
	if runes := []rune(s); len(runes) > maxLength {
		return string(runes[:maxLength])
	}
	return s
}
