package place

import (
	"math"
	"strings"
	"sync"
	"testing"

	"leadbus/internal/site"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"leadbus/internal/lead"
)

var ignoreRaw = cmpopts.IgnoreFields(lead.Place{}, "Raw", "Score")

func TestResolve(t *testing.T) {
	for name, c := range map[string]struct {
		g              *Gazetteer
		said, postcode string
		served         []string
		want           lead.Place
	}{
		// Postcodes
		"postcode": {
			geneva, "", "1226", allGeneva,
			lead.Place{ID: "thonex", Name: "Thônex", Method: "postcode"},
		},
		"postcode in the text": {
			geneva, "chemin des Fleurs 12, CH-1226", "", allGeneva,
			lead.Place{ID: "thonex", Name: "Thônex", Method: "postcode"},
		},
		"postcode beside the city's name": {
			geneva, "Genève", "1206", allGeneva,
			lead.Place{ID: "champel", Name: "Champel", Method: "postcode"},
		},
		"postcode and a part of its area": {
			geneva, "Florissant", "1206", allGeneva,
			lead.Place{ID: "florissant", Name: "Florissant", Method: "alias"},
		},
		"postcode of two places": {
			geneva, "", "1227", allGeneva,
			lead.Place{ID: "ge", Name: "Les Acacias / Carouge", Method: "postcode"},
		},
		"postcode of two places, one of them named": {
			geneva, "Carouge", "1227", allGeneva,
			lead.Place{ID: "carouge", Name: "Carouge", Method: "alias"},
		},
		"postcode of two places, one of them nearly named": {
			bali, "Tchangou", "80361", allBali,
			lead.Place{ID: "canggu", Name: "Canggu", Method: "postcode"},
		},
		"postcode of two places, one of them served": {
			geneva, "", "1227",
			[]string{"carouge", "lancy"},
			lead.Place{ID: "carouge", Name: "Carouge", Method: "postcode"},
		},
		"postcode of four places, two of them served": {
			bali, "", "80361",
			[]string{"kuta", "canggu"},
			lead.Place{Name: "Canggu / Kuta", Method: "unknown"},
		},
		"postcode of four places, none of them served": {
			bali, "", "80361",
			[]string{"ubud", "sanur"},
			lead.Place{Name: "Canggu / Seminyak / Kuta / Jimbaran", Method: "out_of_area"},
		},
		"postcode of a place and its sister's part": {
			geneva, "", "1213", allGeneva,
			lead.Place{ID: "ge", Name: "Petit-Lancy / Onex", Method: "postcode"},
		},
		"postcode of many villages": {
			bali, "", "80361", allBali,
			lead.Place{ID: "badung", Name: "Canggu / Seminyak / Kuta / Jimbaran", Method: "postcode"},
		},
		"a house number is no postcode": {
			geneva, "Champel 12", "", allGeneva,
			lead.Place{ID: "champel", Name: "Champel", Method: "alias"},
		},

		// Exact names
		"name":                 {geneva, "Carouge", "", allGeneva, lead.Place{ID: "carouge", Name: "Carouge", Method: "alias"}},
		"id":                   {geneva, "eaux-vives", "", allGeneva, lead.Place{ID: "eaux-vives", Name: "Eaux-Vives", Method: "alias"}},
		"exonym":               {geneva, "in Genf", "", allGeneva, lead.Place{ID: "geneve", Name: "Genève", Method: "alias"}},
		"articles and case":    {geneva, "aux ACACIAS", "", allGeneva, lead.Place{ID: "acacias", Name: "Les Acacias", Method: "alias"}},
		"near":                 {geneva, "près de la Praille", "", allGeneva, lead.Place{ID: "acacias", Name: "Les Acacias", Method: "alias"}},
		"spaces for hyphens":   {geneva, "plan les ouates", "", allGeneva, lead.Place{ID: "plan-les-ouates", Name: "Plan-les-Ouates", Method: "alias"}},
		"longest first":        {geneva, "Petit Lancy", "", allGeneva, lead.Place{ID: "petit-lancy", Name: "Petit-Lancy", Method: "alias"}},
		"the narrower of two":  {geneva, "Champel, Genève", "", allGeneva, lead.Place{ID: "champel", Name: "Champel", Method: "alias"}},
		"in either order":      {geneva, "Ville de Genève, Champel", "", allGeneva, lead.Place{ID: "champel", Name: "Champel", Method: "alias"}},
		"village in sentence":  {bali, "villa di desa Berawa dekat pantai", "", allBali, lead.Place{ID: "berawa", Name: "Berawa", Method: "alias"}},
		"street is no place":   {geneva, "rue de Carouge 12", "", []string{"geneve", "carouge"}, lead.Place{Method: "unknown", Suggestion: "carouge"}},
		"street, English":      {bali, "Seminyak Street 4", "", []string{"badung", "ubud"}, lead.Place{Method: "unknown", Suggestion: "seminyak"}},
		"street and its place": {geneva, "route de Meyrin, Carouge", "", allGeneva, lead.Place{ID: "carouge", Name: "Carouge", Method: "alias"}},

		// What is served
		"part of a place served":     {geneva, "Florissant", "", []string{"geneve"}, lead.Place{ID: "florissant", Name: "Florissant", Method: "alias"}},
		"of the market, not served":  {geneva, "Meyrin", "", []string{"geneve", "carouge"}, lead.Place{Name: "Meyrin", Method: "out_of_area"}},
		"not served, by postcode":    {geneva, "", "1260", allGeneva, lead.Place{Name: "Nyon", Method: "out_of_area"}},
		"not served, single place":   {geneva, "Meyrin", "", []string{"carouge"}, lead.Place{Name: "Meyrin", Method: "out_of_area"}},
		"region with parts served":   {geneva, "Genève", "", []string{"champel", "eaux-vives"}, lead.Place{Name: "Genève", Method: "unknown"}},
		"region with one part":       {geneva, "Genève", "", []string{"champel"}, lead.Place{ID: "champel", Name: "Champel", Method: "assumed"}},
		"nothing said, single place": {geneva, "", "", []string{"carouge"}, lead.Place{ID: "carouge", Name: "Carouge", Method: "assumed"}},
		"nearly understood, single": {
			bali, "Tchangou", "", allBali,
			lead.Place{ID: "bali", Name: "Bali", Method: "assumed", Suggestion: "canggu"},
		},
		"nothing understood, single": {bali, "villa with the blue door", "", allBali, lead.Place{ID: "bali", Name: "Bali", Method: "assumed"}},
		"nothing said":               {geneva, "", "", []string{"geneve", "carouge"}, lead.Place{Method: "unknown"}},
		"unknown postcode":           {geneva, "", "9999", []string{"geneve", "carouge"}, lead.Place{Method: "unknown"}},

		// Known places out of area stop the match by sound.
		"Bern is not Bernex":              {geneva, "Bern", "", allGeneva, lead.Place{Name: "Berne", Method: "out_of_area"}},
		"Lyon is not Nyon":                {geneva, "Lyon", "", []string{"ge", "nyon"}, lead.Place{Name: "Lyon", Method: "out_of_area"}},
		"Yogyakarta":                      {bali, "Yogyakarta", "", allBali, lead.Place{Name: "Yogyakarta", Method: "out_of_area"}},
		"Jakarta":                         {bali, "Jakarta", "", allBali, lead.Place{Name: "Jakarta", Method: "out_of_area"}},
		"a longer name hides a shorter":   {bali, "Kuta Lombok", "", allBali, lead.Place{Name: "Kuta, Lombok", Method: "out_of_area"}},
		"not even a single place is sure": {geneva, "Lausanne", "", []string{"carouge"}, lead.Place{Name: "Lausanne", Method: "out_of_area"}},

		// Near in writing and sound
		"Changgu":   {bali, "Changgu", "", allBali, lead.Place{ID: "canggu", Name: "Canggu", Method: "fuzzy"}},
		"Changu":    {bali, "Changu", "", allBali, lead.Place{ID: "canggu", Name: "Canggu", Method: "fuzzy"}},
		"Carrouge":  {geneva, "Carrouge", "", allGeneva, lead.Place{ID: "carouge", Name: "Carouge", Method: "fuzzy"}},
		"Karouge":   {geneva, "à Karouge", "", allGeneva, lead.Place{ID: "carouge", Name: "Carouge", Method: "fuzzy"}},
		"Seminiak":  {bali, "Seminiak", "", allBali, lead.Place{ID: "seminyak", Name: "Seminyak", Method: "fuzzy"}},
		"Jimbarang": {bali, "Jimbarang", "", allBali, lead.Place{ID: "jimbaran", Name: "Jimbaran", Method: "fuzzy"}},
		"Tonex":     {geneva, "Tonex", "", allGeneva, lead.Place{ID: "thonex", Name: "Thônex", Method: "fuzzy"}},
		"near, but not served": {
			geneva, "Carrouge", "",
			[]string{"geneve"},
			lead.Place{Name: "Carouge", Method: "out_of_area"},
		},

		// Near, but not near enough to take
		"Plan Lézouate": {geneva, "Plan Lézouate", "", []string{"geneve", "plan-les-ouates"}, lead.Place{Method: "unknown", Suggestion: "plan-les-ouates"}},
		"Les Ovives":    {geneva, "Les Ovives", "", []string{"geneve", "carouge"}, lead.Place{Method: "unknown", Suggestion: "eaux-vives"}},
		"Tchangou":      {bali, "Tchangou", "", []string{"badung", "ubud"}, lead.Place{Method: "unknown", Suggestion: "canggu"}},
		"Oeboed":        {bali, "Oeboed", "", []string{"badung", "ubud"}, lead.Place{Method: "unknown", Suggestion: "ubud"}},
		"Lossan is nearest to Lausanne, which is out of area": {
			geneva, "Lossan", "",
			[]string{"geneve", "carouge"},
			lead.Place{Method: "unknown"},
		},
		"too short to match": {geneva, "Onix", "", []string{"geneve", "onex"}, lead.Place{Method: "unknown", Suggestion: "onex"}},

		// Nonsense
		"numbers":     {geneva, "12 12 12", "", []string{"geneve", "carouge"}, lead.Place{Method: "unknown"}},
		"articles":    {geneva, "la la", "", []string{"geneve", "carouge"}, lead.Place{Method: "unknown"}},
		"controls":    {geneva, "\x00\xff—", "*", []string{"geneve", "carouge"}, lead.Place{Method: "unknown"}},
		"long":        {geneva, strings.Repeat("carrouge", 1000), "", []string{"geneve", "carouge"}, lead.Place{Method: "unknown"}},
		"serves none": {geneva, "Carouge", "", nil, lead.Place{Name: "Carouge", Method: "out_of_area"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.g.Resolve(c.said, c.postcode, c.served)
			if diff := cmp.Diff(c.want, got, ignoreRaw); diff != "" {
				t.Errorf("Resolve(%.60q, %q) -want +got:\n%s", c.said, c.postcode, diff)
			}
		})
	}
}

func TestWhatWasSaidIsKept(t *testing.T) {
	for _, c := range [][3]string{
		{" Carouge ", "", "Carouge"},
		{"Carouge", "1227", "1227 Carouge"},
		{"1227 Carouge", "1227", "1227 Carouge"},
		{"", "1227", "1227"},
	} {
		if got := geneva.Resolve(c[0], c[1], allGeneva).Raw; got != c[2] {
			t.Errorf("%q, %q is kept as %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

// The figures the thresholds were chosen by: likeness as written and as heard.
func TestLikenessFigures(t *testing.T) {
	for _, c := range []struct {
		said, name  string
		text, sound float64
	}{
		{"Changgu", "Canggu", 0.96, 1},
		{"Changu", "Canggu", 0.90, 1},
		{"Carrouge", "Carouge", 0.97, 1},
		{"Karouge", "Carouge", 0.90, 1},
		{"Tonex", "Thônex", 0.95, 0.92},
		{"Seminiak", "Seminyak", 0.95, 1},
		{"Jimbarang", "Jimbaran", 0.98, 0.98},
		{"Plan Lézouate", "Plan-les-Ouates", 0.89, 0.93},
		{"Tchangou", "Canggu", 0.82, 1},
		{"Les Ovives", "Eaux-Vives", 0.64, 1}, // 0.80 written if articles counted
		{"Oeboed", "Ubud", 0.61, 1},
		{"Bern", "Bernex", 0.93, 1},
		{"Lyon", "Nyon", 0.83, 0.83},
		{"Yogyakarta", "Jakarta", 0.82, 0.82},
		{"Lossan", "Florissant", 0.87, 0.88},
	} {
		a, b := newForm(foldWords(c.said)), newForm(foldWords(c.name))
		text, sound := jaroWinkler(a.text, b.text), jaroWinkler(a.sound, b.sound)
		if math.Abs(text-c.text) > 0.011 || math.Abs(sound-c.sound) > 0.011 {
			t.Errorf("%s and %s: %.3f written, %.3f heard (%s, %s), want %.2f and %.2f",
				c.said, c.name, text, sound, a.sound, b.sound, c.text, c.sound)
		}
		if back := jaroWinkler(b.text, a.text); math.Abs(back-text) > 1e-9 {
			t.Errorf("%s and %s: %.3f one way, %.3f the other", c.said, c.name, text, back)
		}
	}
}

func TestCovers(t *testing.T) {
	loop := NewGazetteer([]site.Place{{ID: "a", Name: "A", Parent: "b"}, {ID: "b", Name: "B", Parent: "a"}}, nil)
	for _, c := range []struct {
		g    *Gazetteer
		ids  []string
		id   string
		want bool
	}{
		{geneva, []string{"geneve"}, "geneve", true},
		{geneva, []string{"geneve"}, "florissant", true},
		{geneva, []string{"champel"}, "geneve", false},
		{geneva, []string{"geneve"}, "carouge", false},
		{geneva, []string{"geneve"}, "", false},
		{geneva, []string{""}, "", false},
		{geneva, []string{"nowhere"}, "nowhere", true},
		{geneva, nil, "geneve", false},
		{loop, []string{"c"}, "a", false},
	} {
		if got := c.g.Covers(c.ids, c.id); got != c.want {
			t.Errorf("Covers(%v, %q) = %v", c.ids, c.id, got)
		}
	}
	if got := loop.Resolve("B", "", []string{"c"}); got.Method != "out_of_area" {
		t.Errorf("in a market whose places go round in a circle: %+v", got)
	}
}

func TestGazetteerServesManyAtOnce(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, said := range []string{"Carrouge", "1227", "Lyon", "Champel, Genève"} {
				if got := geneva.Resolve(said, "", allGeneva); got.Method == "unknown" {
					t.Errorf("%s: %+v", said, got)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzGazetteer(f *testing.F) {
	f.Add("Carrouge", "1227")
	f.Add("12 rue de Carouge", "")
	f.Add("Kuta, Lombok\x00", "80361")
	served := []string{"geneve", "carouge"}
	f.Fuzz(func(t *testing.T, said, postcode string) {
		p := geneva.Resolve(said, postcode, served)
		switch {
		case p.ID != "" && !geneva.Covers(served, p.ID):
			t.Fatalf("not served: %+v", p)
		case p.ID != "" && (p.Name == "" || p.Method == "unknown" || p.Method == "out_of_area" || p.Suggestion != "" && p.Method != "assumed"),
			p.ID == "" && p.Method != "unknown" && p.Method != "out_of_area":
			t.Fatalf("contradicts itself: %+v", p)
		case p.Raw != strings.TrimSpace(p.Raw):
			t.Fatalf("kept with spaces: %q", p.Raw)
		case p.Suggestion != "" && geneva.Name(p.Suggestion) == "":
			t.Fatalf("suggests nowhere: %+v", p)
		}
	})
}

func BenchmarkResolve(b *testing.B) {
	for name, said := range map[string]string{"exact": "Champel, Genève", "fuzzy": "Carrouge"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				geneva.Resolve(said, "", allGeneva)
			}
		})
	}
}

// Of two places the narrower one is meant, in either order and however it is
// written.
func TestTheNarrowerPlaceIsMeant(t *testing.T) {
	for said, want := range map[string]string{
		"Genève, Carouge": "carouge", "Carouge, Genève": "carouge", "Genève Carouge": "carouge", "Genève-Carouge": "carouge", "Carouge (Genève)": "carouge",
		"Genève Meyrin": "meyrin", "Meyrin Genève": "meyrin", "Genève, Lancy": "lancy", "Lancy, Genève": "lancy", "Genève, Petit-Lancy": "petit-lancy",
		"Genève Champel": "champel", "Champel, Genève": "champel", "canton de Genève, Onex": "onex", "Onex, canton de Genève": "onex",
		"Genève, Carrouge": "carouge", "Tonex, Genève": "thonex", "Geneva Thonex": "thonex", "à Genève, dans le quartier de Florissant": "florissant",
		"Genève": "geneve", "Genève ville": "geneve", "Genève, rue de Carouge": "geneve", "rue de Lyon, Genève": "geneve", "Genève Cornavin": "geneve", "Lancy, Petit-Lancy": "petit-lancy",
	} {
		if got := geneva.Resolve(said, "", allGeneva); got.ID != want {
			t.Errorf("%q is %q, want %q", said, got.ID, want)
		}
	}
	for said, want := range map[string]string{"Bali, Canggu": "canggu", "Canggu Bali": "canggu", "Badung, Berawa": "berawa", "Bali Changgu": "canggu", "Canggu, Berawa": "berawa"} {
		if got := bali.Resolve(said, "", allBali); got.ID != want {
			t.Errorf("%q is %q, want %q", said, got.ID, want)
		}
	}
}

// A city with quarters, the communes around it, and towns that are not served.
var lakeside = NewGazetteer([]site.Place{
	{ID: "geneve", Name: "Genève", Postcodes: []string{"1200"}, Aliases: []string{"Geneva", "Genf", "Ginevra"}},
	{ID: "plainpalais", Name: "Plainpalais", Parent: "geneve", Postcodes: []string{"1205"}},
	{ID: "jonction", Name: "La Jonction", Parent: "geneve", Postcodes: []string{"1205"}},
	{ID: "champel", Name: "Champel", Parent: "geneve", Postcodes: []string{"1206"}},
	{ID: "south", Name: "Arve et Rhône"},
	{ID: "acacias", Name: "Les Acacias", Parent: "south", Postcodes: []string{"1227"}},
	{ID: "carouge", Name: "Carouge", Parent: "south", Postcodes: []string{"1227"}},
	{ID: "vernier", Name: "Vernier"},
	{ID: "lignon", Name: "Le Lignon", Parent: "vernier", Postcodes: []string{"1219"}},
	{ID: "chatelaine", Name: "Châtelaine", Parent: "vernier", Postcodes: []string{"1219"}},
	{ID: "lancy", Name: "Lancy", Parent: "south"},
	{ID: "petit-lancy", Name: "Petit-Lancy", Parent: "lancy", Postcodes: []string{"1213"}},
	{ID: "onex", Name: "Onex", Parent: "south", Postcodes: []string{"1213"}},
	{ID: "kuta", Name: "Kuta"},
}, []site.Decoy{{Name: "Lausanne"}, {Name: "Annemasse"}, {Name: "Gland"}, {Name: "Carouge VD", Aliases: []string{"Carrouge VD"}}})

func resolvesTo(t *testing.T, cases map[[2]string]string) {
	t.Helper()
	for c, want := range cases {
		got := lakeside.Resolve(c[0], c[1], []string{"geneve", "south", "vernier", "kuta"})
		if got.ID != want && (got.ID != "" || got.Method != want) {
			t.Errorf("%q with postcode %q is %+v, want %s", c[0], c[1], got, want)
		}
	}
}

// The name of a city stands for what is around it, too: a postcode says where.
// The name of a town outranks a postcode of several others.
func TestAPostcodeNarrowsTheCity(t *testing.T) {
	resolvesTo(t, map[[2]string]string{
		{"Genève", "1219"}: "vernier", {"1219 Genève", ""}: "vernier", {"Genf", "1227"}: "south", {"Genève 1206", ""}: "champel",
		{"Genève", "1205"}: "geneve", {"Genève", "1200"}: "geneve", {"Genève", "9999"}: "geneve", {"Genève", "1213"}: "south",
		{"Lancy", "1213"}: "petit-lancy", {"1213 Lancy", ""}: "petit-lancy", {"Vernier", "1219"}: "vernier", {"Le Lignon", "1219"}: "lignon",
		{"Lancy", "1227"}: "lancy", {"Carouge", "1219"}: "carouge", {"Lausanne", "1219"}: "out_of_area", {"Champel, Genève", "1205"}: "champel",
	})
}

// "Near Geneva" makes Geneva a landmark of the town that stands before.
func TestATownNearTheCityIsNotTheCity(t *testing.T) {
	resolvesTo(t, map[[2]string]string{
		{"Annemasse, près de Genève", ""}: "out_of_area", {"Annemasse bei Genf", ""}: "out_of_area", {"Lausanne vicino a Ginevra", ""}: "out_of_area",
		{"Annemasse near Geneva", ""}: "out_of_area", {"Annemasse à côté de Genève", ""}: "out_of_area", {"Gland, entre Genève et Lausanne", ""}: "out_of_area",
		{"Annemasse in der Nähe von Genf", ""}: "out_of_area", {"Annemasse, just outside Geneva", ""}: "out_of_area", {"Annemasse, tout près de Genève", ""}: "out_of_area",
		{"Carouge près de Genève", ""}: "carouge", {"Carouge in der Nähe von Genf", ""}: "carouge", {"Carouge bei Genf", ""}: "carouge", {"Genève, près de Carouge", ""}: "carouge",
		{"near Onex", ""}: "onex", {"bei Genf", ""}: "geneve", {"Genève, pas Lausanne", ""}: "geneve", {"Genève, rue de Lausanne", ""}: "geneve",
	})
}

// An English or German word for a street stands after its name, and before the
// town.
func TestATownAfterAStreetIsATown(t *testing.T) {
	resolvesTo(t, map[[2]string]string{
		{"Poppies Lane, Kuta", ""}: "kuta", {"12 Main Street, Carouge", ""}: "carouge", {"Hauptstrasse 3, Vernier", ""}: "vernier", {"Champel Road, Onex", ""}: "onex",
		{"Kuta Street 4", ""}: "unknown", {"impasse de Carouge", ""}: "unknown", {"Lausanne Road, Geneva", ""}: "geneve", {"Promenade de Champel, Genève", ""}: "geneve",
	})
}

// A misspelt name is understood beside the name of a city or a country, and
// though a longer name begins like it.
func TestAMisspeltNameAmongOthers(t *testing.T) {
	resolvesTo(t, map[[2]string]string{
		{"Carouje", ""}: "carouge", {"Genève, Carouje", ""}: "carouge", {"Carouje (Schweiz)", ""}: "carouge", {"près de Carouje", ""}: "carouge",
		{"Jenève", ""}: "geneve", {"Plainpalai, Suisse", ""}: "plainpalais", {"Carouge VD", ""}: "out_of_area", {"Suisse", ""}: "unknown",
		{"Versailles", ""}: "unknown", {"Coligny", ""}: "unknown", {"appartement", ""}: "unknown",
	})
}
