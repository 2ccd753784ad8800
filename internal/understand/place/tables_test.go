package place

import "leadbus/internal/site"

// Small tables of two markets, enough to hold the traps that were measured.

var geneva = NewGazetteer([]site.Place{
	{ID: "ge", Name: "canton de Genève"},
	{ID: "geneve", Name: "Genève", Parent: "ge", Postcodes: []string{"1200", "1204", "1211"}, Aliases: []string{"Geneva", "Genf", "Ginevra", "Jenewa", "ville de Genève"}},
	{ID: "plainpalais", Name: "Plainpalais", Parent: "geneve", Postcodes: []string{"1205"}},
	{ID: "champel", Name: "Champel", Parent: "geneve", Postcodes: []string{"1206"}},
	{ID: "florissant", Name: "Florissant", Parent: "champel"},
	{ID: "eaux-vives", Name: "Eaux-Vives", Parent: "geneve", Postcodes: []string{"1207"}},
	{ID: "acacias", Name: "Les Acacias", Parent: "geneve", Postcodes: []string{"1227"}, Aliases: []string{"Praille"}},
	{ID: "carouge", Name: "Carouge", Parent: "ge", Postcodes: []string{"1227"}},
	{ID: "bernex", Name: "Bernex", Parent: "ge", Postcodes: []string{"1233"}},
	{ID: "plan-les-ouates", Name: "Plan-les-Ouates", Parent: "ge", Postcodes: []string{"1228"}},
	{ID: "lancy", Name: "Lancy", Parent: "ge", Postcodes: []string{"1212"}, Aliases: []string{"Grand-Lancy"}},
	{ID: "petit-lancy", Name: "Petit-Lancy", Parent: "lancy", Postcodes: []string{"1213"}},
	{ID: "onex", Name: "Onex", Parent: "ge", Postcodes: []string{"1213"}},
	{ID: "meyrin", Name: "Meyrin", Parent: "ge", Postcodes: []string{"1217"}},
	{ID: "thonex", Name: "Thônex", Parent: "ge", Postcodes: []string{"1226"}},
	{ID: "nyon", Name: "Nyon", Postcodes: []string{"1260"}},
}, []site.Decoy{
	{Name: "Berne", Aliases: []string{"Bern", "Berna"}},
	{Name: "Lyon", Aliases: []string{"Lione"}},
	{Name: "Lausanne", Aliases: []string{"Losanna"}},
	{Name: "Saint-Julien-en-Genevois"},
	{Name: "Annemasse"},
	{Name: "Carouge (Vaud)"},
})

var bali = NewGazetteer([]site.Place{
	{ID: "bali", Name: "Bali"},
	{ID: "badung", Name: "Badung", Parent: "bali"},
	{ID: "canggu", Name: "Canggu", Parent: "badung", Postcodes: []string{"80361", "80351"}},
	{ID: "berawa", Name: "Berawa", Parent: "canggu"},
	{ID: "seminyak", Name: "Seminyak", Parent: "badung", Postcodes: []string{"80361"}},
	{ID: "kuta", Name: "Kuta", Parent: "badung", Postcodes: []string{"80361"}},
	{ID: "jimbaran", Name: "Jimbaran", Parent: "badung", Postcodes: []string{"80361", "80362"}},
	{ID: "uluwatu", Name: "Uluwatu", Parent: "badung", Postcodes: []string{"80364"}, Aliases: []string{"Pecatu"}},
	{ID: "sanur", Name: "Sanur", Parent: "bali", Postcodes: []string{"80227", "80228"}},
	{ID: "ubud", Name: "Ubud", Parent: "bali", Postcodes: []string{"80571"}},
}, []site.Decoy{
	{Name: "Jakarta"},
	{Name: "Yogyakarta", Aliases: []string{"Jogja", "Jogjakarta"}},
	{Name: "Kuta, Lombok"},
	{Name: "Surabaya"},
	{Name: "Gili Trawangan", Aliases: []string{"Gili T"}},
})

var (
	allGeneva = []string{"ge"}
	allBali   = []string{"bali"}
)
