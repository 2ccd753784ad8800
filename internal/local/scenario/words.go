package scenario

import (
	_ "embed"

	"leadbus/internal/text"
)

// words are what the two say, in one language.
type words struct {
	Greet     string // with the brand
	Need      string // with the service
	Again     string // the same, on a second call
	AskPlace  string
	Place     string // with the place
	AskNumber string
	Same      string // this number
	Other     string // with the number
	AskName   string
	Promise   string
	Say       string // with the reference
	Yes       string
	Thanks    string
	Bye       string
	Sorry     string
	Leaving   string // the caller has to go
	Pitch     string // of somebody who sells
	Decline   string
}

//go:embed words.yaml
var shipped []byte

var spoken = text.Shipped[map[string]words](shipped)
