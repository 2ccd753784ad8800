package intake

import (
	"strings"
	"unicode"
)

// clean is s fit to stand in a message, a header or a database: without control
// characters and without the characters that turn the writing direction (which
// can make text read as something else; right-to-left text itself stays), with
// every run of white space as one space, trimmed.
func clean(s string) string {
	kept := strings.Map(func(r rune) rune {
		if !unicode.IsSpace(r) && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\uFEFF') {
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(kept), " ")
}
