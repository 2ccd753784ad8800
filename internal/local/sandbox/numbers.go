package sandbox

import (
	_ "embed"
	"slices"
	"strings"

	"leadbus/internal/text"
)

// trouble is one thing that goes wrong for a recipient.
type trouble struct {
	Code    string // Twilio's error code
	Meaning string
	Channel string // it happens on this channel only
}

//go:embed numbers.yaml
var table []byte

// numbers is what goes wrong, and for whom; see numbers.yaml.
var numbers = text.Shipped[struct {
	Refused, Failing, Unfit []trouble
	To, From                map[string]string
	Mailboxes               []struct{ Local, Meaning, Fate string }
	Failures                map[string]struct {
		Code    int
		Message string
	}
}](table)

const silent = "63033" // WhatsApp does not tell that a recipient blocked us

// unreachable is the code that a number's last five digits ask for; empty for
// none.
func unreachable(list []trouble, channel, number string) string {
	for _, t := range list {
		if t.Channel == channel && strings.HasSuffix(number, t.Code) {
			return t.Code
		}
	}
	return ""
}

func mailFate(address string) string {
	local, _, _ := strings.Cut(address, "@")
	local, _, _ = strings.Cut(strings.ToLower(local), "+")
	for _, b := range numbers.Mailboxes {
		if b.Local == local {
			return b.Fate
		}
	}
	return ""
}

// meaningOf is what the page shows beside an error code.
func meaningOf(code string) string {
	for _, t := range slices.Concat(numbers.Refused, numbers.Failing, numbers.Unfit) {
		if t.Code == code {
			return t.Meaning
		}
	}
	return numbers.Failures[code].Message
}
