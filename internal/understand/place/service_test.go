package place

import (
	"strings"
	"testing"
)

var plumbing = NewServices([]Offered{
	{ID: "plumbing.leak", Phrases: []string{"fuite d'eau", "fuite", "dégât d'eau", "Wasserschaden", "Rohrbruch", "Leck", "perdita", "leak", "burst pipe", "bocor", "pipa pecah"}},
	{ID: "plumbing.drain", Phrases: []string{"bouché", "WC bouché", "verstopft", "intasato", "clogged", "mampet"}},
	{ID: "plumbing.boiler", Phrases: []string{"chauffe-eau", "chaudière", "Boiler", "Therme", "caldaia", "water heater", "pemanas air"}},
}, "", nil)

func TestServices(t *testing.T) {
	for said, want := range map[string]struct{ id, method string }{
		"plumbing.drain":                       {"plumbing.drain", "id"},
		"PLUMBING_DRAIN":                       {"plumbing.drain", "id"},
		"fuite":                                {"plumbing.leak", "phrase"},
		"j'ai une fuite d’eau dans la cuisine": {"plumbing.leak", "phrase"},
		"des fuites":                           {"plumbing.leak", "phrase"},
		"Wasserrohrbruch im Keller":            {"plumbing.leak", "phrase"},
		"es leckt, ein Leck":                   {"plumbing.leak", "phrase"},
		"the tap is leaking":                   {"plumbing.leak", "phrase"},
		"pipa pecah di dapur":                  {"plumbing.leak", "phrase"},
		"perdita d'acqua":                      {"plumbing.leak", "phrase"},
		"the pipe has burst":                   {"plumbing.leak", "words"},
		"mes toilettes sont bouchées":          {"plumbing.drain", "phrase"},
		"chauffe eau en panne":                 {"plumbing.boiler", "phrase"},
		"Die Therme geht nicht":                {"plumbing.boiler", "phrase"},
		"fuite du chauffe-eau":                 {"plumbing.boiler", "phrase"}, // the longest phrase
		"wc bouche":                            {"plumbing.drain", "phrase"},
		"plumbing":                             {"", "unknown"},
		"leek":                                 {"", "unknown"}, // near in sound is not enough
		"fuitte":                               {"", "unknown"},
		"bleak house":                          {"", "unknown"},
		"un bocal":                             {"", "unknown"},
		"":                                     {"", "unknown"},
		"' or 1=1; {{.}}":                      {"", "unknown"},
	} {
		if id, method := plumbing.Resolve(said); id != want.id || method != want.method {
			t.Errorf("%q is %q by %s, want %q by %s", said, id, method, want.id, want.method)
		}
	}
}

func TestServicesTakeTheFirstTextThatTells(t *testing.T) {
	if id, _ := plumbing.Resolve("bouché", "une fuite d'eau"); id != "plumbing.drain" {
		t.Errorf("the summary outranked the service: %s", id)
	}
	if id, method := plumbing.Resolve("plumbing", "L'évier fuit, une fuite d'eau."); id != "plumbing.leak" || method != "phrase" {
		t.Errorf("the summary was not read: %s by %s", id, method)
	}
}

func TestOnlyServiceIsAssumed(t *testing.T) {
	s := NewServices([]Offered{{ID: "tennis.lesson", Phrases: []string{"lesson"}}}, "", nil)
	for said, want := range map[string]string{"two lessons": "phrase", "surf": "only", "": "only", strings.Repeat("x ", 5000): "only"} {
		if id, method := s.Resolve(said); id != "tennis.lesson" || method != want {
			t.Errorf("%.20q is %q by %s", said, id, method)
		}
	}
	if id, method := NewServices(nil, "", nil).Resolve("lesson"); id != "" || method != "unknown" {
		t.Errorf("nothing on offer resolves to %q by %s", id, method)
	}
}

// Who names the trade and nothing more means the site's main service.
func TestAWordForTheTradeIsTheMainService(t *testing.T) {
	s := NewServices([]Offered{
		{ID: "plumbing.leak", Phrases: []string{"fuite", "leak"}},
		{ID: "plumbing.drain", Phrases: []string{"bouché", "Küchenabfluss"}},
		{ID: "plumbing.installation", Phrases: []string{"install", "Installation"}},
	}, "plumbing.leak", []string{"plumbing", "plombier", "Sanitär", "Installateur", "tukang ledeng"})
	for said, want := range map[string]struct{ id, method string }{
		"plombier":                      {"plumbing.leak", "trade"},
		"un plombier, s'il vous plaît":  {"plumbing.leak", "trade"},
		"Sanitärinstallateur":           {"plumbing.leak", "trade"},
		"plumbing":                      {"plumbing.leak", "trade"},
		"Sanitaer":                      {"plumbing.leak", "trade"},
		"einen Installateur":            {"plumbing.leak", "trade"}, // no form of "install"
		"Installateur, install a tap":   {"plumbing.installation", "phrase"},
		"Sanitärinstallation":           {"plumbing.installation", "phrase"},
		"Installateur: Kuechenabfluss":  {"plumbing.drain", "phrase"},
		"saya perlu tukang ledeng":      {"plumbing.leak", "trade"},
		"un plombier pour un WC bouché": {"plumbing.drain", "phrase"},
		"un électricien":                {"", "unknown"},
		"":                              {"", "unknown"},
	} {
		if id, method := s.Resolve(said); id != want.id || method != want.method {
			t.Errorf("%q is %q by %s, want %q by %s", said, id, method, want.id, want.method)
		}
	}
	if id, method := s.Resolve("plombier", "l'évier est bouché"); id != "plumbing.drain" || method != "phrase" {
		t.Errorf("the summary was not read: %s by %s", id, method)
	}
}
