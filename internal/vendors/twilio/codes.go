package twilio

import (
	_ "embed"

	"leadbus/internal/lead"
	"leadbus/internal/text"
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
	all := map[int]meaning{}
	for class, list := range text.Shipped[map[lead.FailureClass]map[int]string](dictionary) {
		for code, says := range list {
			all[code] = meaning{class, says}
		}
	}
	return all
}()
