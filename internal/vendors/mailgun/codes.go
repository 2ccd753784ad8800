package mailgun

import (
	_ "embed"

	"leadbus/internal/lead"
	"leadbus/internal/text"
	"leadbus/internal/vendors/exchange"
)

//go:embed codes.yaml
var dictionary []byte

// codes is the dictionary.
var codes = text.Shipped[struct {
	Refusals []struct {
		Status int
		Says   string
		Class  lead.FailureClass
		Reason string
	}
	Reasons, Events exchange.Codes
}](dictionary)
