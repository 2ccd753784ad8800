package quality

import (
	"encoding/json"
	"testing"

	"leadbus/internal/call"
)

// A phone number in a tool's parameters stays one, however JSON writes it: the
// agent's own number is recognised.
func TestWholeNumbersAreWrittenInFull(t *testing.T) {
	for _, written := range []string{`"+41 22 539 45 12"`, `41225394512`, `41225394512.0`, `4.1225394512e10`} {
		c := call.Call{Direction: "inbound", Tools: []call.ToolUse{{
			Name: call.Tool, Ran: true, Answered: true, Params: json.RawMessage(`{"callback_number":` + written + `}`),
		}}}
		found := false
		for _, f := range Scan(c, Context{Lead: true, Numbers: []string{"+41225394512"}}) {
			found = found || f.Detector == call.Placeholder
		}
		if !found {
			t.Errorf("%s is not the agent's own number", written)
		}
	}
}

// A chat on the website ought to become a request as a call does, and so ought a
// call of which nobody knows how long it was.
func TestWhatIsEligible(t *testing.T) {
	said := []call.Turn{
		{Who: call.Caller, Text: "Bonjour, j'ai une fuite sous l'évier."}, {Who: call.Agent, Text: "Où êtes-vous ?"}, {Who: call.Caller, Text: "À Carouge, rue Ancienne."},
	}
	for name, c := range map[string]struct {
		call call.Call
		want bool
	}{
		"a phone call":      {call.Call{Direction: "inbound", Seconds: 60}, true},
		"the website":       {call.Call{Source: "widget", Seconds: 60}, true},
		"WhatsApp":          {call.Call{Source: "whatsapp", Seconds: 60}, true},
		"of unknown length": {call.Call{Direction: "inbound"}, true},
		"short":             {call.Call{Direction: "inbound", Seconds: 10}, false},
		"our own call":      {call.Call{Direction: "outbound", Seconds: 60}, false},
	} {
		c.call.Turns, c.call.Language = said, "fr"
		if got, why := Eligible(c.call, Context{Languages: []string{"fr"}}); got != c.want {
			t.Errorf("%s: eligible %v %s", name, got, why)
		}
	}
}

// Who named a service and a place wants something, whatever else was said; who
// only asks about the number, or corrects a house's, does not say it is wrong.
func TestAPhraseDoesNotOutweighARequest(t *testing.T) {
	for name, c := range map[string]struct {
		lang, said string
		wants      bool
		want       bool
	}{
		"a house number corrected": {"fr", "rue Vautier 12, ah pardon, je me suis trompée de numéro, le 14", false, true},
		"corrected, and wanted":    {"fr", "pardon, je me suis trompée de numéro, c'est le quatorze", true, true},
		"is it the wrong number":   {"en", "Is this the wrong number?", false, true},
		"an offer seen":            {"fr", "j'ai vu votre offre promotionnelle et mon évier fuit", true, true},
		"only an offer":            {"fr", "nous avons une offre promotionnelle pour vous", false, false},
		"a wrong number":           {"fr", "oh pardon, je me suis trompé de numéro", false, false},
	} {
		v := call.Call{Direction: "inbound", Seconds: 60, Language: c.lang, Turns: []call.Turn{
			{Who: call.Agent, Text: "Bonjour."}, {Who: call.Caller, Text: "Bonjour."}, {Who: call.Agent, Text: "Oui ?"}, {Who: call.Caller, Text: c.said},
		}}
		if got, why := Eligible(v, Context{Languages: []string{c.lang}, Service: c.wants, Place: c.wants}); got != c.want {
			t.Errorf("%s: eligible %v (%s)", name, got, why)
		}
	}
}

// Neither an offer nor a wrong number outweighs the service that a customer named,
// also where the place is not understood; without one they are what they sound like.
// A house's number may be spelled, and stand in the next sentence.
func TestAServiceOutweighsWhatCustomersSayToo(t *testing.T) {
	type member struct{ lang, said string }
	offers := []member{
		{"fr", "Nous proposons aux artisans de nouveaux clients"},
		{"fr", "Nous avons une offre exceptionnelle"},
		{"fr", "Je voudrais vous présenter notre catalogue"},
		{"de", "Wir bieten Ferienwohnungen an"},
		{"de", "Ich möchte Ihnen etwas anbieten"},
		{"it", "Offriamo camere agli studenti"},
		{"it", "Vorrei proporle un incontro"},
		{"en", "We provide rooms for students"},
		{"en", "We can get you more customers"},
		{"id", "Kami menyediakan penginapan"},
		{"id", "Kami punya penawaran"},
	}
	wrong := []member{
		{"fr", "Je me suis planté de numéro"},
		{"fr", "Ce n'est pas le bon numéro"},
		{"fr", "Erreur de numéro"},
		{"fr", "J'ai dû faire un faux numéro, un instant"},
		{"de", "Das ist nicht die richtige Nummer"},
		{"de", "Da bin ich falsch"},
		{"it", "Non è il numero giusto"},
		{"it", "Devo aver sbagliato il numero"},
		{"en", "This isn't the right number"},
		{"en", "I must have dialled the wrong one"},
		{"id", "Saya salah pencet"},
		{"id", "Maaf, salah telepon"},
	}
	corrected := []member{
		{"fr", "Au douze, non, mauvais numéro, au quatorze"},
		{"fr", "Ah, mauvais numéro. C'est le 14"},
		{"de", "Zwölf, nein, falsche Nummer, vierzehn"},
		{"it", "Numero sbagliato, il quattordici"},
		{"en", "Sorry, wrong number. Fourteen"},
		{"id", "Eh salah nomor, sebelas"},
	}
	plain := []member{
		{"fr", "J'ai vu votre offre"},
		{"fr", "Je voudrais une offre"},
		{"fr", "Est-ce un faux numéro ?"},
		{"de", "Ich habe Ihr Angebot gesehen"},
		{"it", "Ho visto la vostra offerta"},
		{"en", "I got an offer from you"},
		{"en", "May I speak to the owner"},
		{"id", "Saya lihat promo di Instagram"},
	}
	for _, kind := range []struct {
		members []member
		sounds  string
	}{{offers, "sales pitch"}, {wrong, "wrong number"}, {corrected, ""}, {plain, ""}} {
		for _, m := range kind.members {
			c := call.Call{Direction: "inbound", Seconds: 60, Language: m.lang, Turns: []call.Turn{
				{Who: call.Agent, Text: "Bonjour."}, {Who: call.Caller, Text: "Bonjour."}, {Who: call.Agent, Text: "Oui ?"}, {Who: call.Caller, Text: m.said + "."},
			}}
			for _, service := range []bool{false, true} {
				got, why := Eligible(c, Context{Languages: []string{m.lang}, Service: service})
				if got != (service || kind.sounds == "") || why != kind.sounds {
					t.Errorf("%s (service named: %t): eligible %t, sounds like %q, want %q", m.said, service, got, why, kind.sounds)
				}
			}
		}
	}
}
