package roster

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"leadbus/internal/lead"
)

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

const mobile, another = "+41791234567", "+41797654321"

// step is one report, minutes after noon.
type step struct {
	minute  int
	address string
	class   lead.FailureClass // empty: it arrived
}

func (s step) apply(h Health) Health {
	at := noon.Add(time.Duration(s.minute) * time.Minute)
	h, current := h.About(lead.AddressTag(s.address), at)
	switch {
	case !current:
		return h
	case s.class == "":
		return h.Arrive(at)
	}
	return h.Fail(Failure{Message: fmt.Sprint("m", s.minute), At: at, Why: lead.Failure{Vendor: "twilio", Code: "30006", Class: s.class}})
}

func TestHealth(t *testing.T) {
	for name, c := range map[string]struct {
		steps []step
		want  string
	}{
		"nothing is known":                  {nil, "unverified"},
		"it arrived":                        {[]step{{1, mobile, ""}}, "healthy"},
		"a landline":                        {[]step{{1, mobile, lead.BadRecipient}}, "broken (twilio 30006)"},
		"they sent STOP":                    {[]step{{1, mobile, ""}, {2, mobile, lead.OptedOut}}, "broken (twilio 30006)"},
		"off for a moment":                  {[]step{{1, mobile, ""}, {2, mobile, lead.Transient}}, "healthy"},
		"off again":                         {[]step{{1, mobile, ""}, {2, mobile, lead.Transient}, {3, mobile, lead.Transient}}, "suspect (twilio 30006)"},
		"off from the start":                {[]step{{1, mobile, lead.Transient}}, "unverified (twilio 30006)"},
		"back again":                        {[]step{{1, mobile, lead.Transient}, {2, mobile, lead.Transient}, {3, mobile, ""}}, "healthy"},
		"not twice in a row":                {[]step{{1, mobile, lead.Transient}, {2, mobile, ""}, {3, mobile, lead.Transient}}, "healthy"},
		"broken, and works after all":       {[]step{{1, mobile, lead.BadRecipient}, {2, mobile, ""}}, "healthy"},
		"broken, then merely off":           {[]step{{1, mobile, lead.BadRecipient}, {2, mobile, lead.Transient}}, "broken (twilio 30006)"},
		"our fault":                         {[]step{{1, mobile, ""}, {2, mobile, lead.OurFault}, {3, mobile, lead.OurFault}}, "healthy"},
		"nobody knows":                      {[]step{{1, mobile, lead.Doubtful}, {2, mobile, lead.Doubtful}}, "unverified"},
		"corrected":                         {[]step{{1, mobile, lead.BadRecipient}, {2, another, lead.Transient}}, "unverified (twilio 30006)"},
		"corrected, and works":              {[]step{{1, mobile, lead.BadRecipient}, {2, another, ""}}, "healthy"},
		"a late word on the former address": {[]step{{2, another, ""}, {1, mobile, lead.BadRecipient}}, "healthy"},
	} {
		t.Run(name, func(t *testing.T) {
			var h Health
			for _, s := range c.steps {
				h = s.apply(h)
			}
			if h.String() != c.want {
				t.Errorf("%s, want %s", h, c.want)
			}
			// In any order, and twice.
			for range 20 {
				var again Health
				for _, i := range append(rand.Perm(len(c.steps)), rand.Perm(len(c.steps))...) {
					again = c.steps[i].apply(again)
				}
				if d := cmp.Diff(h, again, cmpopts.EquateEmpty()); d != "" {
					t.Fatalf("in another order: %s", d)
				}
			}
		})
	}
}

func TestWhatBrokeAChannelIsKept(t *testing.T) {
	h := step{1, mobile, lead.Transient}.apply(Health{})
	h = step{2, mobile, lead.BadRecipient}.apply(h)
	for i := range 50 {
		h = step{3 + i, mobile, lead.BadRecipient}.apply(h)
	}
	if f, broken := h.broken(); !broken || f.Message != "m2" || len(h.Failures) != mostFailures {
		t.Errorf("%s after %s, %d kept", h, f.Message, len(h.Failures))
	}
}
