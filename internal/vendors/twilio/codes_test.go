package twilio

import (
	"slices"
	"testing"

	"leadbus/internal/lead"
)

func TestEveryCodeHasAClassAndAMeaning(t *testing.T) {
	classes := []lead.FailureClass{lead.BadRecipient, lead.OptedOut, lead.OurFault, lead.Transient}
	for class, meanings := range codes {
		for code, meaning := range meanings {
			if !slices.Contains(classes, class) || meaning == "" {
				t.Errorf("%s: class %q, %q", code, class, meaning)
			}
		}
	}
	if codes[lead.OptedOut]["21610"] == "" || codes[lead.Transient]["30003"] == "" {
		t.Errorf("21610 or 30003 is not of its class: %v", codes)
	}
}
