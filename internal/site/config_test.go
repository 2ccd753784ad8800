package site_test

import (
	"bufio"
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/understand/intake"
	"leadbus/internal/understand/place"
)

// The configuration in config/ is part of the program: these tests are about
// what it holds.
const configDir = "../../config"

func shipped(tb testing.TB) *site.Catalog {
	tb.Helper()
	c, err := site.Load(configDir)
	if err != nil {
		tb.Fatal(err)
	}
	if faults := c.Faults(); len(faults) > 0 {
		tb.Fatal(site.Faults(faults))
	}
	return c
}

func TestShippedSites(t *testing.T) {
	c := shipped(t)
	if len(c.Sites) != 9 || len(c.Markets) < 3 {
		t.Fatalf("%d sites in %d markets", len(c.Sites), len(c.Markets))
	}
	plumbers := c.Sites["plombiersgeneve.ch"]
	if plumbers.DID != "+41225394512" || plumbers.Languages[0] != "fr" || plumbers.Agent.Voice != "cjVigY5qzO86Huf0OWal" {
		t.Errorf("%+v", plumbers)
	}
	if tennis := c.Sites["balitennislesson.com"]; !strings.HasPrefix(tennis.DID, "+62") {
		t.Errorf("DID %s", tennis.DID)
	}
	for domain, s := range c.Sites {
		if !strings.HasSuffix(domain, ".example") && domain != "plombiersgeneve.ch" && domain != "balitennislesson.com" {
			t.Errorf("%s may be somebody's domain", domain)
		}
		if !strings.HasSuffix(s.Owner.Email, ".example") || s.Senders.Mail.From != "leads@mg."+domain {
			t.Errorf("%s: mail to or from a domain that may be somebody's", domain)
		}
		for _, purpose := range s.Senders.WhatsApp.Templates {
			if len(purpose) != len(s.Languages) {
				t.Errorf("%s: templates in %d of %d languages", domain, len(purpose), len(s.Languages))
			}
		}
	}
}

// An agent says first that it is an AI and that the call is recorded, and its
// prompt knows the tool and the ids of its services.
func TestShippedAgents(t *testing.T) {
	c := shipped(t)
	disclosure := map[string][]string{
		"fr": {"intelligence artificielle", "enregistré"},
		"de": {"künstliche Intelligenz", "aufgezeichnet"},
		"it": {"intelligenza artificiale", "registrata"},
		"en": {"artificial intelligence", "recorded"},
		"id": {"kecerdasan buatan", "direkam"},
	}
	for domain, s := range c.Sites {
		for _, lang := range s.Languages {
			for _, words := range append(disclosure[lang], s.Brand) {
				if !strings.Contains(s.Agent.FirstMessage[lang], words) {
					t.Errorf("%s: the first message in %s lacks %q", domain, lang, words)
				}
			}
		}
		prompt, err := os.ReadFile(filepath.Join(configDir, "agents", s.Agent.Prompt))
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"dispatch_lead", "`ok: true`", "`ask`", "end_call", "in pairs"}
		for _, service := range s.Services {
			want = append(want, "`"+service.ID+"`")
		}
		for _, words := range want {
			if !strings.Contains(string(prompt), words) {
				t.Errorf("%s: the prompt lacks %q", domain, words)
			}
		}
	}
}

func TestShippedHolidays(t *testing.T) {
	c := shipped(t)
	for _, tt := range []struct {
		market, date string
		off, closed  bool
	}{
		{"ch", "2026-09-10", true, false}, // Jeûne genevois
		{"ch", "2027-09-09", true, false},
		{"ch", "2027-12-31", true, false}, // the canton's own
		{"ch", "2027-05-27", false, false},
		{"id", "2026-03-19", true, true}, // Nyepi
		{"id", "2027-03-08", true, true},
		{"fr", "2027-05-08", true, false},
	} {
		i := slices.IndexFunc(c.Markets[tt.market].Holidays, func(h site.Holiday) bool { return h.Date == tt.date })
		if (i >= 0) != tt.off || i >= 0 && c.Markets[tt.market].Holidays[i].Closed != tt.closed {
			t.Errorf("%s %s: off %v", tt.market, tt.date, i >= 0)
		}
	}
}

// What callers and agents said, in the words they used, reaches the service
// and the place they meant.
func TestShippedWordsAndPlaces(t *testing.T) {
	c := shipped(t)
	reader := intake.New(c)
	const plumbers, tennis, vet = "plombiersgeneve.ch", "balitennislesson.com", "veterinaireannecy.example"
	for _, tt := range []struct {
		site, service, city, postcode string
		wantService, wantPlace        string
		method                        string
	}{
		{plumbers, "fuite d'eau", "plan lezouate", "", "plumbing.leak", "plan-les-ouates", "alias"},
		{plumbers, "mon évier fuit", "les ovives", "", "plumbing.leak", "eaux-vives", "alias"},
		{plumbers, "mon chauffe-eau fuit", "Carrouge", "", "plumbing.boiler", "carouge", "alias"},
		{plumbers, "le WC est bouché", "Karouge", "", "plumbing.blocked-drain", "carouge", "alias"},
		{plumbers, "Wasserrohrbruch", "Genf", "", "plumbing.leak", "geneve", "alias"},
		{plumbers, "Abfluss verstopft", "Tonex", "", "plumbing.blocked-drain", "thonex", "alias"},
		{plumbers, "perde acqua", "Ginevra", "", "plumbing.leak", "geneve", "alias"},
		{plumbers, "no hot water", "Geneva", "1207", "plumbing.boiler", "eaux-vives", "postcode"},
		{plumbers, "plus d'eau chaude", "", "1201", "plumbing.boiler", "geneve", "postcode"},
		{plumbers, "fuite", "", "1227", "plumbing.leak", "arve-rhone", "postcode"},
		{plumbers, "fuite", "Petit-Lancy", "1213", "plumbing.leak", "petit-lancy", "alias"},
		{plumbers, "fuite", "Lausanne", "", "plumbing.leak", "", "out_of_area"},
		{plumbers, "fuite", "lossan", "", "plumbing.leak", "", "out_of_area"},
		{plumbers, "fuite", "Bern", "", "plumbing.leak", "", "out_of_area"},
		{plumbers, "fuite", "Lyon", "", "plumbing.leak", "", "out_of_area"},
		{plumbers, "fuite", "Annecy", "", "plumbing.leak", "", "out_of_area"},
		{plumbers, "fuite", "Xyzzy", "", "plumbing.leak", "", "unknown"},
		{plumbers, "elephant grooming", "Bernex", "", "", "bernex", "alias"},
		{plumbers, "fuite", "Genève", "1219", "plumbing.leak", "vernier", "postcode"},
		{plumbers, "fuite", "1227 Genève", "", "plumbing.leak", "arve-rhone", "postcode"},
		{plumbers, "fuite", "Annemasse, près de Genève", "", "plumbing.leak", "", "out_of_area"},
		{plumbers, "leak", "Thonexe, Geneva", "", "plumbing.leak", "thonex", "fuzzy"},
		{plumbers, "leak", "Genève rive gauche", "", "plumbing.leak", "geneve", "alias"},
		{vet, "urgence", "Annecy", "74370", "vet.emergency", "pringy", "postcode"},
		{tennis, "lesson", "Canggoo, Bali", "", "tennis.lesson", "canggu", "fuzzy"},
		{tennis, "lesson", "Ubud", "80361", "tennis.lesson", "ubud", "alias"},
		{tennis, "lesson", "Poppies Lane, Kuta", "", "tennis.lesson", "kuta", "alias"},
		{tennis, "lesson", "Nusa Penida near Sanur", "", "tennis.lesson", "", "out_of_area"},
		{"electriciengeneve.example", "no power in the kitchen", "Meyrin", "1217", "electrical.outage", "meyrin", "alias"},
		{"serruriergeneve.example", "changer la serrure de la porte", "Florissant", "", "locksmith.lock-change", "florissant", "alias"},
		{"serruriergeneve.example", "locked out of my flat", "Vernier", "", "locksmith.lockout", "vernier", "alias"},
		{"dentistegeneve.example", "rage de dents", "Champel", "", "dental.emergency", "champel", "alias"},
		{"dentistegeneve.example", "mal di denti", "Onex", "", "dental.emergency", "", "out_of_area"},
		{tennis, "two lessons for my kids", "Tchangou", "", "tennis.lesson", "canggu", "alias"},
		{tennis, "les tenis", "Jimbarang", "", "tennis.lesson", "jimbaran", "alias"},
		{tennis, "hitting partner", "Seminiak", "", "tennis.hitting-partner", "seminyak", "alias"},
		{tennis, "lesson", "Oeboed", "", "tennis.lesson", "ubud", "alias"},
		{tennis, "lesson", "Yogyakarta", "", "tennis.lesson", "", "out_of_area"},
		{tennis, "lesson", "Kuta, Lombok", "", "tennis.lesson", "", "out_of_area"},
		{"balisurfschool.example", "rent a surfboard", "Bingin", "", "surf.board-rental", "bingin", "alias"},
		{"baliscooters.example", "motor mogok", "Sanur", "", "scooter.breakdown", "sanur", "alias"},
		{vet, "mon chien boite", "Annecy le Vieux", "", "vet.consultation", "annecy-le-vieux", "alias"},
		{vet, "rappel de vaccin", "", "74600", "vet.vaccination", "agglo", "postcode"},
		{vet, "urgence", "Chambéry", "", "vet.emergency", "", "out_of_area"},
		{"annecynet.example", "femme de ménage", "Seynod", "74600", "cleaning.regular", "seynod", "alias"},
	} {
		t.Run(tt.site+" "+cmp.Or(tt.city, tt.postcode)+" "+tt.service, func(t *testing.T) {
			l := reader.Understand(c.Sites[tt.site], "7k2mq9xe8tr5wz3hnd6y", lead.Request{ServiceType: tt.service, City: tt.city, PostalCode: tt.postcode}, time.Time{}, nil)
			if l.Service.ID != tt.wantService {
				t.Errorf("service %q, want %q", l.Service.ID, tt.wantService)
			}
			if l.Place.ID != tt.wantPlace || l.Place.Method != tt.method {
				t.Errorf("place %q by %q, want %q by %q", l.Place.ID, l.Place.Method, tt.wantPlace, tt.method)
			}
		})
	}
}

// Who names the trade is taken for the main service, and it is said that this is
// assumed. Whatever else is named decides, and another trade is not done here.
func TestShippedWordsOfTheTrades(t *testing.T) {
	c := shipped(t)
	reader := intake.New(c)
	for domain, said := range map[string]map[string]string{
		"plombiersgeneve.ch": {
			"plombier": "leak, assumed", "einen Installateur, bitte": "leak, assumed", "Sanitärinstallateur": "leak, assumed", "Sanitaer": "leak, assumed", "idraulici": "leak, assumed", "PLUMBING (urgent)": "leak, assumed",
			"Installateur, WC verstopft": "blocked-drain", "Sanitärinstallation": "installation", "Heizungsinstallateur": "boiler", "chauffagiste": "boiler",
			"électricien": "", "Zahnarzt": "", "plombage": "", "salle de bain": "",
		},
		"electriciengeneve.example": {"électrique": "outage, assumed", "electric": "outage, assumed", "elettrica": "outage, assumed", "Elektroinstallateur, Steckdose": "installation", "plombier": "", "électronique": ""},
		"serruriergeneve.example": {
			"serrurerie": "lockout, assumed", "Schlosser": "lockout, assumed", "Schluesseldienst": "lockout, assumed", "serrurier pour la serrure": "lock-change", "serrures": "lock-change", "Schloss kaputt": "lock-change",
			"Schluessel verloren": "lockout", "menuisier": "", "clock": "",
		},
		"dentistegeneve.example": {
			"dentiste pour enfants": "checkup, assumed", "Kinderzahnärztin": "checkup, assumed", "soins dentaires": "checkup, assumed", "studio dentistico": "checkup, assumed",
			"urgence dentaire": "emergency", "dental hygiene": "hygiene", "accident": "", "dentifrice": "",
		},
		"balitennislesson.com":      {"tennis": "lesson, assumed", "tenis anak": "lesson, assumed", "les tenis": "lesson", "surfing": "", "padel": ""},
		"balisurfschool.example":    {"Surfkurs": "lesson, assumed", "surf board": "board-rental", "keyboard": ""},
		"baliscooters.example":      {"motorcycle": "rental, assumed", "scooter, ban bocor": "breakdown", "controller": ""},
		"veterinaireannecy.example": {"véto": "consultation, assumed", "vets": "consultation, assumed", "veterinary": "consultation, assumed", "urgence véto": "emergency", "vêtement": "", "velvet": ""},
		"annecynet.example":         {"ménage": "regular, assumed", "clean my house": "regular, assumed", "nettoyage de vitres": "windows", "cleaning of windows": "windows", "je déménage, nettoyage": "end-of-tenancy"},
	} {
		for words, want := range said {
			l := reader.Understand(c.Sites[domain], "7k2mq9xe8tr5wz3hnd6y", lead.Request{ServiceType: words}, time.Time{}, nil)
			_, got, _ := strings.Cut(l.Service.ID, ".")
			if slices.Contains(l.Flags, "service_assumed") {
				got += ", assumed"
			}
			if got != want {
				t.Errorf("%s: %q is %q, want %q", domain, words, got, want)
			}
		}
	}
}

// Whatever the hour or the day, the example roster has somebody for every
// service of every site in every place it serves, on all channels.
func TestExampleRosterCoversEverySite(t *testing.T) {
	c := shipped(t)
	places := map[string]*place.Gazetteer{}
	for id, m := range c.Markets {
		places[id] = place.NewGazetteer(m.Places, m.Decoys)
	}
	file := filepath.Join(configDir, "roster.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	providers, err := c.ReadRoster(file, data)
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]string{}
	for _, p := range providers {
		if p.WhatsApp == "" || p.SMS == "" || !strings.HasSuffix(p.Email, ".example") || numbers[p.SMS] != "" {
			t.Errorf("%s: not reachable on every channel by an address of its own", p.ID)
		}
		numbers[p.SMS] = p.ID
		if len(p.Services) == 0 || !slices.ContainsFunc(slices.Collect(maps.Values(c.Sites)), func(s *site.Site) bool {
			_, ok := s.Senders.WhatsApp.Templates["offer"][p.Languages[0]]
			return ok && s.Market == p.Market && s.Services[0].ID[:3] == p.Services[0][:3]
		}) {
			t.Errorf("%s: no site has a template in %s", p.ID, p.Languages[0])
		}
	}
	for domain, s := range c.Sites {
		for _, service := range s.Services {
			for _, id := range s.Places {
				if !slices.ContainsFunc(providers, func(p roster.Provider) bool {
					return p.Market == s.Market && p.Active && p.AfterHours && p.Caps == roster.Caps{} && len(p.Leave) == 0 &&
						slices.Contains(p.Services, service.ID) && places[s.Market].Covers(p.Places, id)
				}) {
					t.Errorf("%s: nobody takes %s in %s at any hour", domain, service.ID, id)
				}
			}
		}
	}
}

// Editors find the schema where the first line of each file says.
func TestShippedFilesNameTheirSchema(t *testing.T) {
	files, err := filepath.Glob(configDir + "/*/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range []string{"services", "trackers", "templates"} {
		files = append(files, filepath.Join(configDir, name+".yaml"))
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		lines.Scan()
		_ = f.Close()
		where, ok := strings.CutPrefix(lines.Text(), "# yaml-language-server: $schema=")
		target, definition, _ := strings.Cut(where, "#/$defs/")
		fileKind := strings.TrimSuffix(filepath.Base(file), ".yaml")
		if folder := filepath.Base(filepath.Dir(file)); folder != "config" {
			fileKind = strings.TrimSuffix(folder, "s")
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(file), target)); !ok || err != nil || definition != fileKind {
			t.Errorf("%s: first line %q: %v", file, lines.Text(), err)
		}
	}
}
