package intake

import (
	"cmp"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"leadbus/internal/lead"
	"leadbus/internal/site"
	"leadbus/internal/text"
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

// phrases are the sentences of a reply in one language.
type phrases struct {
	Say, Number, Confirm, Country, Place, Suggest, OutOfArea, Service, Name string

	Language  string            // what models and callers call it, normalised
	Countries map[string]string // what a number of a country is called
}

//go:embed phrases.yaml
var shipped []byte

var spoken = text.Shipped[map[string]phrases](shipped)

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
	return Reply{OK: true, Ref: l.Ref, Say: fmt.Sprintf(p.Say, l.Ref), Ask: strings.Join(ask, " ")}
}

// askNumber asks for a number, for the country of one that exists in two, or to
// confirm a doubtful one.
func (r *Reader) askNumber(s *site.Site, l lead.Lead, p phrases) string {
	one, other := phone.Countries(l.Phone.E164, l.Phone.Second)
	switch {
	case l.Phone.E164 == "":
		return p.Number
	case l.Phone.Check && one != "":
		return fmt.Sprintf(p.Country, phone.Spoken(l.Phone.E164, one), cmp.Or(p.Countries[one], one), cmp.Or(p.Countries[other], other))
	case l.Phone.Check || l.Phone.Source == "dictated" && l.Phone.Confidence == "medium":
		return fmt.Sprintf(p.Confirm, phone.Spoken(l.Phone.E164, r.catalog.MarketOf(s).Country))
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
		return fmt.Sprintf(p.OutOfArea, l.Place.Name)
	case l.Place.Method != "unknown" && (l.Place.Method != "assumed" || l.Place.Raw == ""):
		return ""
	case places.Covers(s.Places, l.Place.Suggestion):
		return fmt.Sprintf(p.Suggest, places.Name(l.Place.Suggestion))
	default:
		return p.Place
	}
}

func (r *Reader) askService(s *site.Site, l lead.Lead, p phrases) string {
	if l.Service.ID != "" && l.Service.Method != "trade" {
		return ""
	}
	var names []string
	for _, offered := range s.Services {
		names = append(names, r.serviceName(offered.ID, l.Language))
	}
	return fmt.Sprintf(p.Service, strings.Join(names, ", "))
}

func askName(l lead.Lead, p phrases) string {
	if slices.Contains(l.Flags, flagMissingName) || slices.Contains(l.Flags, flagPlaceholder) {
		return p.Name
	}
	return ""
}
