// Package reply reads what somebody texts back: an opt-out, or an answer to an
// offer. What is no more than one of the known words counts; a person reads the
// rest.
package reply

import (
	_ "embed"
	"slices"
	"strings"
	"unicode"

	"leadbus/internal/event"
	"leadbus/internal/text"
)

//go:embed words.yaml
var wordsYAML []byte

type words struct{ Stop, Start, Accept, Decline []string }

var table = text.Shipped[struct {
	Carrier   words
	Languages map[string]words
}](wordsYAML)

// known are the words with what they mean; of one that several languages have,
// Language is empty.
var known = func() map[string]Reply {
	all := map[string]Reply{}
	add := func(list []string, r Reply) {
		for _, word := range list {
			if _, twice := all[word]; twice {
				r.Language = ""
			}
			all[word] = r
		}
	}
	for lang, w := range table.Languages {
		add(w.Stop, Reply{OptOut: Stop, Language: lang})
		add(w.Start, Reply{OptOut: Start, Language: lang})
		add(w.Accept, Reply{Answer: event.Accept, Language: lang})
		add(w.Decline, Reply{Answer: event.Decline, Language: lang})
	}
	return all
}()

// What a text does about further texts.
const (
	Stop  = "STOP"
	Start = "START"
)

// Reply is what a text says; its zero value is anything else.
type Reply struct {
	OptOut   string // Stop or Start
	Told     bool   // the carrier knows the word too, and tells the sender
	Language string // of a word that belongs to one language only

	Answer string // event.Accept or event.Decline
	Ref    string // six digits of the lead that it is about
}

// Read reads a text. OnNumber says that it is an SMS to a number, where the carrier
// acts on words of its own.
func Read(s string, onNumber bool) Reply {
	var digits []rune
	said := text.Normal(strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			digits = append(digits, r)
			return ' '
		}
		return r
	}, s))
	switch r := known[said]; {
	case len(digits) == 0 && onNumber && slices.Contains(table.Carrier.Stop, said):
		return Reply{OptOut: Stop, Told: true, Language: r.Language}
	case len(digits) == 0 && onNumber && slices.Contains(table.Carrier.Start, said):
		return Reply{OptOut: Start, Told: true, Language: r.Language}
	case len(digits) == 0 && r.OptOut != "":
		return r
	case len(digits) == 6 && r.Answer != "":
		r.Ref = string(digits)
		return r
	}
	return Reply{}
}
