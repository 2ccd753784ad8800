package intake

import (
	"leadbus/internal/site"
)

// Three sites in two markets: one with several places and services, one with a
// single place and service, one in a language without sentences of its own.
var catalog = &site.Catalog{
	Markets: map[string]*site.Market{
		"ch": {
			ID: "ch", Country: "CH", Neighbours: []string{"FR"},
			Places: []site.Place{
				{ID: "geneve", Name: "Genève", Postcodes: []string{"1204"}, Aliases: []string{"Geneva", "Genf"}},
				{ID: "champel", Name: "Champel", Parent: "geneve", Postcodes: []string{"1206"}},
				{ID: "carouge", Name: "Carouge", Postcodes: []string{"1227"}},
				{ID: "meyrin", Name: "Meyrin", Postcodes: []string{"1217"}},
				{ID: "bernex", Name: "Bernex", Postcodes: []string{"1233"}},
				{ID: "eaux-vives", Name: "Eaux-Vives", Parent: "geneve", Postcodes: []string{"1207"}},
			},
			Decoys: []site.Decoy{{Name: "Lausanne"}, {Name: "Berne", Aliases: []string{"Bern"}}},
		},
		"id": {
			ID: "id", Country: "ID",
			Places: []site.Place{
				{ID: "south-bali", Name: "Bali Selatan"},
				{ID: "canggu", Name: "Canggu", Parent: "south-bali"},
				{ID: "seminyak", Name: "Seminyak", Parent: "south-bali"},
			},
			Decoys: []site.Decoy{{Name: "Jakarta"}},
		},
	},
	Services: map[string]*site.Service{
		"plumbing.leak": {
			ID:      "plumbing.leak",
			Names:   map[string]string{"fr": "fuite d'eau", "de": "Wasserschaden", "it": "perdita d'acqua", "en": "water leak", "id": "kebocoran air"},
			Phrases: map[string][]string{"fr": {"fuite"}, "de": {"Rohrbruch"}, "it": {"perdita"}, "en": {"leak", "burst pipe"}, "id": {"bocor"}},
		},
		"plumbing.drain": {
			ID:      "plumbing.drain",
			Names:   map[string]string{"fr": "débouchage", "de": "Abflussreinigung", "it": "spurgo", "en": "blocked drain", "id": "saluran mampet"},
			Phrases: map[string][]string{"fr": {"bouché"}},
		},
		"tennis.lesson": {
			ID:    "tennis.lesson",
			Names: map[string]string{"en": "tennis lesson", "id": "les tenis", "fr": "cours de tennis"},
		},
	},
	Sites: map[string]*site.Site{
		"plombier.example": {
			Domain: "plombier.example", URL: "https://plombier.example/", Market: "ch", DID: "+41225394512", Tracker: "t1",
			Agent:     site.Agent{ID: "agent_ge"},
			Services:  []site.SiteService{{ID: "plumbing.leak", Phrases: map[string][]string{"fr": {"inondation"}}}, {ID: "plumbing.drain"}},
			Places:    []string{"geneve", "carouge"},
			Languages: []string{"fr", "de", "it", "en"},
		},
		"tennis.example": {
			Domain: "tennis.example", URL: "https://tennis.example/", Market: "id", DID: "+62361234567",
			Agent:     site.Agent{ID: "agent_bali"},
			Services:  []site.SiteService{{ID: "tennis.lesson"}},
			Places:    []string{"south-bali"},
			Languages: []string{"en", "id", "fr"},
		},
		"rumantsch.example": {
			Domain: "rumantsch.example", URL: "https://rumantsch.example/", Market: "ch", DID: "+41812345678",
			Agent:     site.Agent{ID: "agent_gr"},
			Services:  []site.SiteService{{ID: "plumbing.leak"}},
			Places:    []string{"carouge"},
			Languages: []string{"rm"},
		},
	},
}

var (
	reader   = New(catalog)
	plombier = catalog.Sites["plombier.example"]
	tennis   = catalog.Sites["tennis.example"]
)
