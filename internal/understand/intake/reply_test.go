package intake

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"leadbus/internal/lead"
	"leadbus/internal/site"
)

func TestAsk(t *testing.T) {
	for name, c := range map[string]struct {
		s    *site.Site
		req  lead.Request
		want string
	}{
		"nothing doubtful": {plombier, complete, ""},
		"the caller id is enough": {
			plombier, with(func(r *lead.Request) { r.CallbackNumber = "" }), "",
		},
		"another number, read as its country does": {
			plombier, with(func(r *lead.Request) { r.CallbackNumber = "022 345 67 89" }),
			"Pour vous rappeler, est-ce bien le 022 345 67 89 ?",
		},
		"a doubtful number: the caller id is read": {
			plombier, with(func(r *lead.Request) { r.CallbackNumber = "079 123" }),
			"Pour vous rappeler, est-ce bien le 079 123 45 67 ?",
		},
		"a foreign number has its country code": {
			plombier, with(func(r *lead.Request) {
				r.CallbackNumber, r.CallerID, r.Language = "+33 6 12 34 56 78", "anonymous", "de"
			}),
			"Für den Rückruf: Ist die Nummer +33 6 12 34 56 78 richtig?",
		},
		"a number of two countries": {
			plombier, with(func(r *lead.Request) { r.CallbackNumber, r.Language = "06 12 34 56 78", "fr" }),
			"Le numéro 061 234 56 78 est-il suisse ou français ?",
		},
		"a number of two countries, from a French telephone": {
			plombier, with(func(r *lead.Request) {
				r.CallbackNumber, r.CallerID, r.Language = "06 12 34 56 78", "+33698765432", "en"
			}),
			"Is the number 06 12 34 56 78 French or Swiss?",
		},
		"two numbers: the first is read": {
			plombier, with(func(r *lead.Request) { r.CallbackNumber = "mobile 078 123 45 67, bureau 022 539 45 13" }),
			"Pour vous rappeler, est-ce bien le 078 123 45 67 ?",
		},
		"no number": {
			plombier, with(func(r *lead.Request) { r.CallbackNumber, r.CallerID, r.Language = "", "", "it" }),
			"A quale numero possiamo richiamarla?",
		},
		"place unknown": {
			plombier, with(func(r *lead.Request) { r.City = "Trifouilly" }),
			"Dans quelle commune ou quel quartier est-ce, et quel est le code postal ?",
		},
		"place nearly understood": {
			plombier, with(func(r *lead.Request) { r.City, r.Language = "Les Ovives", "en" }),
			"Is that in Eaux-Vives? If not, what is the postcode?",
		},
		"nearly a place that is not served": {
			plombier, with(func(r *lead.Request) { r.City, r.Language = "Bernexx-le-Haut", "en" }),
			"Which town or district is it in, and what is the postcode?",
		},
		"out of area": {
			plombier, with(func(r *lead.Request) { r.City, r.Language = "Lausanne", "it" }),
			"Lausanne è fuori dalla nostra zona. Qual è il codice postale dell'indirizzo?",
		},
		"service unknown": {
			plombier, with(func(r *lead.Request) { r.ServiceType, r.IssueSummary = "jardin", "" }),
			"De quel service avez-vous besoin : fuite d'eau, débouchage ?",
		},
		"name missing": {
			plombier, with(func(r *lead.Request) { r.CustomerName, r.Language = "", "de" }),
			"Auf welchen Namen, bitte?",
		},
		"everything missing: the two that matter most": {
			plombier,
			lead.Request{Language: "en"},
			"Which number can we call you back on? Which town or district is it in, and what is the postcode?",
		},
		"service before name": {
			plombier, with(func(r *lead.Request) { r.ServiceType, r.IssueSummary, r.CustomerName = "", "", "unknown" }),
			"De quel service avez-vous besoin : fuite d'eau, débouchage ? À quel nom, s'il vous plaît ?",
		},
		"the only place is taken, what was said is asked": {
			tennis,
			lead.Request{CallerID: "+6281234567890", CustomerName: "Made", City: "villa biru", Language: "id"},
			"Di desa atau daerah mana, dan berapa kode posnya?",
		},
		"the only place is taken for nothing said": {
			tennis, lead.Request{CallerID: "+6281234567890", CustomerName: "Made"}, "",
		},
		"a language without sentences": {
			catalog.Sites["rumantsch.example"], lead.Request{CallerID: "+41791234567"}, "What name is it under, please?",
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := reader.Understand(c.s, "lead1", c.req, at, nil)
			got := reader.Reply(c.s, l)
			if got.Ask != c.want {
				t.Errorf("asks %q, want %q\n%+v", got.Ask, c.want, l)
			}
			if !got.OK || got.Ref != l.Ref || !strings.Contains(got.Say, l.Ref) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// The answer to the question for the country of a number settles it.
func TestCountryOfANumberIsSettledByTheNextCall(t *testing.T) {
	asked := with(func(r *lead.Request) { r.CallbackNumber = "0612345678" })
	for answer, want := range map[string]string{
		"0612345678 France": "+33612345678", "0033612345678": "+33612345678", "+33 6 12 34 56 78": "+33612345678",
		"0612345678 Suisse": "+41612345678", "+41612345678": "+41612345678",
	} {
		l := reader.Understand(plombier, "lead1", asked.Over(lead.Request{CallbackNumber: answer}), at, nil)
		if l.Phone.E164 != want || len(l.Flags) > 0 {
			t.Errorf("%s is %+v, flags %v", answer, l.Phone, l.Flags)
		}
	}
	if l := reader.Understand(plombier, "lead1", asked, at, nil); !slices.Equal(l.Flags, []string{"phone_check"}) {
		t.Errorf("before the answer the flags are %v", l.Flags)
	}
}

// Every language has every sentence, with the places for what goes into it.
func TestSentencesAreComplete(t *testing.T) {
	english := reflect.ValueOf(spoken["en"])
	for lang, p := range spoken {
		v := reflect.ValueOf(p)
		if len(p.Countries) != len(spoken["en"].Countries) {
			t.Errorf("%s: %d countries", lang, len(p.Countries))
		}
		for i := range v.NumField() {
			s := v.Field(i).String()
			if s == "" || strings.Count(s, "%") != strings.Count(english.Field(i).String(), "%") {
				t.Errorf("%s: %s is %q", lang, v.Type().Field(i).Name, s)
			}
		}
	}
	for _, lang := range []string{"fr", "de", "it", "en", "id"} {
		if _, ok := spoken[lang]; !ok {
			t.Errorf("no sentences in %s", lang)
		}
	}
}

func TestReplyOnTheWire(t *testing.T) {
	got, err := json.Marshal(Reply{Ask: "the body is empty"})
	if err != nil || string(got) != `{"ok":false,"ref":"","say":"","ask":"the body is empty"}` {
		t.Errorf("%s, %v", got, err)
	}
}
