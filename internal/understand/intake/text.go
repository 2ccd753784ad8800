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
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			space = true
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\uFEFF':
		default:
			if space && b.Len() > 0 {
				b.WriteByte(' ')
			}
			space = false
			b.WriteRune(r)
		}
	}
	return b.String()
}
