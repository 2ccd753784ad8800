package subjects

import (
	"strings"
	"testing"
)

func TestLeadRoundTrip(t *testing.T) {
	want := Lead{Market: "ch", Site: "plombiersgeneve.ch", Event: Received, Lead: "7k2mq9"}
	got, err := Parse(want.String())
	if err != nil || got != want {
		t.Fatalf("Parse(%q) = %+v, %v", want, got, err)
	}
	if s := want.String(); s != "lead.ch.plombiersgeneve_ch.received.7k2mq9" {
		t.Fatalf("String() = %q", s)
	}
}

func TestNothingWidensASubject(t *testing.T) {
	good := Lead{Market: "ch", Site: "a.ch", Event: Received, Lead: "x"}
	for _, bad := range []string{"", ".", "..", "*", ">", "a.b", "a b", "a\n", "é", "$SYS", "a_b", "A", strings.Repeat("a", 254)} {
		for name, l := range map[string]Lead{
			"market": {Market: bad, Site: good.Site, Event: good.Event, Lead: good.Lead},
			"site":   {Market: good.Market, Site: bad + ".ch", Event: good.Event, Lead: good.Lead},
			"event":  {Market: good.Market, Site: good.Site, Event: bad, Lead: good.Lead},
			"lead":   {Market: good.Market, Site: good.Site, Event: good.Event, Lead: bad},
		} {
			if name == "site" && bad == "a.b" { // a.b.ch is a domain
				continue
			}
			if l.Validate() == nil {
				t.Errorf("%s %q was accepted", name, bad)
			}
		}
	}
}

func TestAQuestionIsReadAsItWasAsked(t *testing.T) {
	want := Lead{Market: "ch", Site: "plombiersgeneve.ch", Lead: "7k2mq9"}
	if s := want.Ask(); s != "ask.ch.plombiersgeneve_ch.7k2mq9" {
		t.Errorf("Ask() = %q", s)
	}
	if got, err := ParseAsk(want.Ask()); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "ask", "ask.ch.a_ch", "ask.ch.a_ch.x.y", "lead.ch.a_ch.x", "ask.ch.*.x", "ask.ch.a_ch.>"} {
		if l, err := ParseAsk(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, l)
		}
	}
}

func TestFilter(t *testing.T) {
	for want, l := range map[string]Lead{
		"lead.ch.*.*.*":                      {Market: "ch"},
		"lead.*.*.*.x":                       {Lead: "x"},
		"lead.ch.a_b_ch.matched.*":           {Market: "ch", Site: "a.b.ch", Event: Matched},
		"lead.ch.plombiersgeneve_ch.*.7k2mq": {Market: "ch", Site: "plombiersgeneve.ch", Lead: "7k2mq"},
	} {
		if got := Filter(l); got != want {
			t.Errorf("Filter(%+v) = %q, want %q", l, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("lead.ch.plombiersgeneve_ch.received.7k2mq9")
	f.Add("lead.*.*.>.x")
	f.Add("lead.ch..received.x")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := Parse(s)
		if err != nil {
			return
		}
		if l.String() != s {
			t.Fatalf("Parse(%q) round-trips to %q", s, l.String())
		}
		if strings.ContainsAny(s, "*> \t\n$") {
			t.Fatalf("Parse accepted %q", s)
		}
	})
}
