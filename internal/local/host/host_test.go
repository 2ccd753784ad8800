package host

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestBattery(t *testing.T) {
	supplies := func(files map[string]string) fstest.MapFS {
		fs := fstest.MapFS{}
		for name, text := range files {
			fs[name] = &fstest.MapFile{Data: []byte(text + "\n")}
		}
		return fs
	}
	for name, c := range map[string]struct {
		files map[string]string
		want  bool
	}{
		"a server":             {},
		"a desktop":            {files: map[string]string{"AC/type": "Mains"}},
		"a laptop":             {files: map[string]string{"AC/type": "Mains", "BAT0/type": "Battery", "BAT0/present": "1"}, want: true},
		"a tablet":             {files: map[string]string{"axp20x-battery/type": "Battery", "axp20x-battery/scope": "System"}, want: true},
		"a wireless mouse":     {files: map[string]string{"hidpp_battery_0/type": "Battery", "hidpp_battery_0/scope": "Device"}},
		"a laptop and a mouse": {files: map[string]string{"hidpp_battery_0/type": "Battery", "hidpp_battery_0/scope": "Device", "BAT1/type": "Battery"}, want: true},
		"an empty bay":         {files: map[string]string{"BAT1/type": "Battery", "BAT1/present": "0"}},
		"a UPS":                {files: map[string]string{"ups/type": "UPS"}},
		"a port":               {files: map[string]string{"ucsi-source-psy/type": "USB"}},
	} {
		if got := battery(supplies(c.files)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	for name, c := range map[string]struct {
		pmset string
		want  bool
	}{
		"a Mac mini":            {"Now drawing from 'AC Power'\n", false},
		"a Mac mini and a UPS":  {"Now drawing from 'AC Power'\n -Back-UPS ES 700 (id=1)\t100%; AC attached; not charging present: true\n", false},
		"a MacBook, plugged in": {"Now drawing from 'AC Power'\n -InternalBattery-0 (id=4653155)\t80%; charging; 1:02 remaining present: true\n", true},
	} {
		if got := internalBattery(c.pmset); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhichMachinesMayServe(t *testing.T) {
	laptop, server := Facts{Name: "m", Battery: true}, Facts{Name: "s"}
	for name, c := range map[string]struct {
		facts      Facts
		declared   Declaration
		overridden string
		refused    []string
	}{
		"a declared server":                {facts: server, declared: Declaration{Host: "geneva-1"}},
		"a declared server, an old reason": {facts: server, declared: Declaration{Host: "geneva-1", Override: "x"}},
		"an undeclared server":             {facts: server, refused: []string{"not declared", "LEADBUS_HOST ", "LEADBUS_HOST_OVERRIDE"}},
		"a declared laptop":                {facts: laptop, declared: Declaration{Host: "geneva-1"}, refused: []string{"battery", "LEADBUS_HOST_OVERRIDE"}},
		"an undeclared laptop":             {facts: laptop, refused: []string{"battery", "not declared"}},
		"an overridden laptop":             {facts: laptop, declared: Declaration{Host: "geneva-1", Override: "a demonstration"}, overridden: "battery"},
		"an overridden server":             {facts: server, declared: Declaration{Override: "a demonstration"}, overridden: "not declared"},
	} {
		overridden, err := c.facts.Check(c.declared)
		if (err != nil) != (c.refused != nil) || (overridden != nil) != (c.overridden != "") {
			t.Errorf("%s: overridden %v, error %v", name, overridden, err)
			continue
		}
		if overridden != nil && !strings.Contains(overridden.Error(), c.overridden) {
			t.Errorf("%s: overridden %v", name, overridden)
		}
		for _, want := range c.refused {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error does not say %q: %v", name, want, err)
			}
		}
	}
}

func TestThisMachineIsKnown(t *testing.T) {
	if f := Read(t.Context()); f.Name == "" || f != Read(t.Context()) {
		t.Errorf("%+v", f)
	}
}
