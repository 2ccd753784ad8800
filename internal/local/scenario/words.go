package scenario

import (
	_ "embed"

	"go.yaml.in/yaml/v4"
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

var spoken = func() (all map[string]words) {
	if err := yaml.Load(shipped, &all, yaml.WithKnownFields()); err != nil {
		panic(err) // a file of ours
	}
	return all
}()
