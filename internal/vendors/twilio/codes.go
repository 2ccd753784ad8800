package twilio

import (
	_ "embed"

	"go.yaml.in/yaml/v4"

	"leadbus/internal/lead"
)

// meaning is what one of Twilio's error codes says about a message.
type meaning struct {
	class   lead.FailureClass
	meaning string
}

//go:embed codes.yaml
var dictionary []byte

// codes is the dictionary by code.
var codes = func() map[int]meaning {
	var classes map[lead.FailureClass]map[int]string
	if err := yaml.Load(dictionary, &classes); err != nil {
		panic(err) // part of the program
	}
	all := map[int]meaning{}
	for class, list := range classes {
		for code, says := range list {
			all[code] = meaning{class, says}
		}
	}
	return all
}()
