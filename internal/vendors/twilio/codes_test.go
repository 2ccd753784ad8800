package twilio

import (
	"slices"
	"testing"

	"leadbus/internal/lead"
)

func TestEveryCodeHasAClassAndAMeaning(t *testing.T) {
	classes := []lead.FailureClass{lead.BadRecipient, lead.OptedOut, lead.OurFault, lead.Transient}
	for code, m := range codes {
		if !slices.Contains(classes, m.class) || m.meaning == "" {
			t.Errorf("%d: class %q, %q", code, m.class, m.meaning)
		}
	}
	if codes[21610].class != lead.OptedOut || codes[30003].class != lead.Transient {
		t.Errorf("21610 is %+v, 30003 is %+v", codes[21610], codes[30003])
	}
}
