package twilio

import (
	_ "embed"

	"leadbus/internal/text"
	"leadbus/internal/vendors/exchange"
)

//go:embed codes.yaml
var dictionary []byte

// codes is the dictionary of what Twilio's error codes say about a message.
var codes = text.Shipped[exchange.Codes](dictionary)
