package intake

import (
	"fmt"
	"slices"
	"strings"

	"leadbus/internal/lead"
	"leadbus/internal/site"
	"leadbus/internal/understand/phone"
)

// Reply is what the agent hears back from its tool call.
type Reply struct {
	OK  bool   `json:"ok"`
	Ref string `json:"ref"` // six digits, to be read out
	Say string `json:"say"` // a sentence for the caller
	Ask string `json:"ask"` // what to ask or read back next; for a refused call, why
}

// maxAsked bounds the questions of one reply: a caller remembers two.
const maxAsked = 2

// phrases are the sentences of a reply in one language. The agent reads them
// out, so each is short and speaks to the caller.
type phrases struct {
	say, number, confirm, place, suggest, outOfArea, service, name string
}

var spoken = map[string]phrases{
	"fr": {
		say:       "C'est noté, votre référence est le %s.",
		number:    "À quel numéro pouvons-nous vous rappeler ?",
		confirm:   "Pour vous rappeler, est-ce bien le %s ?",
		place:     "Dans quelle commune ou quel quartier est-ce, et quel est le code postal ?",
		suggest:   "Est-ce bien à %s ? Sinon, quel est le code postal ?",
		outOfArea: "%s est hors de notre zone. Quel est le code postal de l'adresse ?",
		service:   "De quel service avez-vous besoin : %s ?",
		name:      "À quel nom, s'il vous plaît ?",
	},
	"de": {
		say:       "Ist notiert, Ihre Referenz ist %s.",
		number:    "Unter welcher Nummer können wir Sie zurückrufen?",
		confirm:   "Für den Rückruf: Ist die Nummer %s richtig?",
		place:     "In welchem Ort oder Quartier ist das, und wie lautet die Postleitzahl?",
		suggest:   "Ist das in %s? Wenn nicht, wie lautet die Postleitzahl?",
		outOfArea: "%s liegt ausserhalb unseres Gebiets. Wie lautet die Postleitzahl der Adresse?",
		service:   "Welche Leistung brauchen Sie: %s?",
		name:      "Auf welchen Namen, bitte?",
	},
	"it": {
		say:       "Ho preso nota, il Suo riferimento è %s.",
		number:    "A quale numero possiamo richiamarla?",
		confirm:   "Per richiamarla, è giusto il numero %s?",
		place:     "In quale comune o quartiere è, e qual è il codice postale?",
		suggest:   "È a %s? Altrimenti, qual è il codice postale?",
		outOfArea: "%s è fuori dalla nostra zona. Qual è il codice postale dell'indirizzo?",
		service:   "Di quale servizio ha bisogno: %s?",
		name:      "A che nome, per favore?",
	},
	"en": {
		say:       "That is noted, your reference is %s.",
		number:    "Which number can we call you back on?",
		confirm:   "To call you back, is %s the right number?",
		place:     "Which town or district is it in, and what is the postcode?",
		suggest:   "Is that in %s? If not, what is the postcode?",
		outOfArea: "%s is outside our area. What is the postcode of the address?",
		service:   "Which service do you need: %s?",
		name:      "What name is it under, please?",
	},
	"id": {
		say:       "Sudah kami catat, nomor referensi Anda %s.",
		number:    "Di nomor berapa kami bisa menghubungi Anda?",
		confirm:   "Untuk menghubungi Anda, apakah nomor %s sudah benar?",
		place:     "Di desa atau daerah mana, dan berapa kode posnya?",
		suggest:   "Apakah di %s? Jika bukan, berapa kode posnya?",
		outOfArea: "%s di luar wilayah kami. Berapa kode pos alamatnya?",
		service:   "Layanan apa yang Anda perlukan: %s?",
		name:      "Atas nama siapa?",
	},
}

// Reply tells the agent what to say and, where something is doubtful, what to
// ask: first the number, then the place, the service and the name, at most two
// at a time. Both are in the lead's language, or in English where that has no
// sentences.
func (r *Reader) Reply(s *site.Site, l lead.Lead) Reply {
	p, ok := spoken[l.Language]
	if !ok {
		p = spoken["en"]
	}
	var ask []string
	for _, q := range []string{r.askNumber(s, l, p), r.askPlace(s, l, p), r.askService(s, l, p), askName(l, p)} {
		if q != "" && len(ask) < maxAsked {
			ask = append(ask, q)
		}
	}
	return Reply{OK: true, Ref: l.Ref, Say: fmt.Sprintf(p.say, l.Ref), Ask: strings.Join(ask, " ")}
}

// askNumber asks for a number, or to confirm a doubtful one read in pairs.
func (r *Reader) askNumber(s *site.Site, l lead.Lead, p phrases) string {
	switch {
	case l.Phone.E164 == "":
		return p.number
	case l.Phone.Check || l.Phone.Source == "dictated" && l.Phone.Confidence == "medium":
		return fmt.Sprintf(p.confirm, phone.Pairs(l.Phone.E164, r.catalog.MarketOf(s).Country))
	default:
		return ""
	}
}

// askPlace asks where, also when a single-place site took its own place for
// something it did not understand.
func (r *Reader) askPlace(s *site.Site, l lead.Lead, p phrases) string {
	places := r.places[s.Market]
	switch {
	case l.Place.Method == "out_of_area":
		return fmt.Sprintf(p.outOfArea, l.Place.Name)
	case l.Place.Method != "unknown" && (l.Place.Method != "assumed" || l.Place.Raw == ""):
		return ""
	case places.Covers(s.Places, l.Place.Suggestion):
		return fmt.Sprintf(p.suggest, places.Name(l.Place.Suggestion))
	default:
		return p.place
	}
}

func (r *Reader) askService(s *site.Site, l lead.Lead, p phrases) string {
	if l.Service.ID != "" {
		return ""
	}
	var names []string
	for _, offered := range s.Services {
		names = append(names, r.serviceName(offered.ID, l.Language))
	}
	return fmt.Sprintf(p.service, strings.Join(names, ", "))
}

func askName(l lead.Lead, p phrases) string {
	if slices.Contains(l.Flags, flagMissingName) || slices.Contains(l.Flags, flagPlaceholder) {
		return p.name
	}
	return ""
}
