package site

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/roster"
)

// known is a small world.
var known = &Catalog{
	Markets: map[string]*Market{
		"ch": {ID: "ch", Places: []Place{{ID: "geneve"}, {ID: "carouge"}}},
		"id": {ID: "id", Places: []Place{{ID: "canggu"}}},
	},
	Services: map[string]*Service{"plumbing.leak": {}, "plumbing.drain": {}, "tennis.lesson": {}},
}

func TestBothFormsSayTheSame(t *testing.T) {
	morning, afternoon := roster.Span{From: 480, Until: 720}, roster.Span{From: 810, Until: 1080}
	day := roster.Span{From: 360, Until: 1200}
	want := []roster.Provider{{
		ID: "lac", Market: "ch", Name: "Plomberie du Lac", Priority: 2,
		Services: []string{"plumbing.leak", "plumbing.drain"}, Places: []string{"geneve", "carouge"}, Languages: []string{"fr", "en"},
		Hours: roster.Hours{
			time.Monday: {morning, afternoon}, time.Tuesday: {morning, afternoon}, time.Wednesday: {morning, afternoon},
			time.Thursday: {morning, afternoon}, time.Friday: {morning, afternoon, {From: 1200, Until: 1560}}, time.Sunday: {{From: 0, Until: 1440}},
		},
		AfterHours: true, Leave: []roster.Leave{{From: "2026-12-24", Until: "2027-01-02"}, {From: "2027-02-01", Until: "2027-02-01"}}, Caps: roster.Caps{Day: 5, Week: 20},
		WhatsApp: "+41781234567", SMS: "+41781234567", Email: "lac@plumber.example",
	}, {
		ID: "coach-1", Market: "id", Name: "I Wayan Sudana", Active: true, Priority: 1,
		Services: []string{"tennis.lesson"}, Places: []string{"canggu"}, Languages: []string{"id"},
		Hours: roster.Hours{
			time.Sunday: {day}, time.Monday: {day}, time.Tuesday: {day}, time.Wednesday: {day},
			time.Thursday: {day}, time.Friday: {day}, time.Saturday: {day},
		},
		Email: "coach@tennis.example",
	}}
	for _, file := range []string{"testdata/roster/good.yaml", "testdata/roster/good.csv"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := known.ReadRoster(file, data)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", file, d)
		}
	}
}

func TestEveryFaultIsTold(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"roster.yaml", `
providers:
  - id: Lac
    market: fr
    name: ""
    activ: yes
    priority: 0
    services: [plumbing.leak, plumbing.roof]
    places: [paris]
    languages: [français]
    hours:
      mon-fri: 8:00-12:00
      someday: 08:00-12:00
      sat: 25:00-26:00
      sun: 08:00-08:00
    after_hours: sometimes
    leave:
      - {from: 2026-12-24}
      - {from: 2026-02-30, until: 2026-03-01}
      - {from: 2026-03-02, until: 2026-03-01}
    caps: {day: -1, month: 3}
    whatsapp: 0781234567
    sms: "+41225394512"
    email: lac at plumber
  - id: rive
    market: ch
    name: Rive
    services: plumbing.leak
    places: [geneve, canggu]
    languages: []
  - id: rive
    id: rive
    market: ch
    name: Rive
    services: [plumbing.leak]
    places: [geneve]
    languages: [fr]
    hours: {daily: 00:00-24:00}
    email: rive@plumber.example
  - id: "41781234567"
    market: ch
    hours: 08:00-18:00
    sms: "+41781234567"
  - just a name
extra: 1
`, `
roster.yaml:3:9: want an id of lower-case letters, digits and -, with at least one letter
roster.yaml:4:13: there is no market "fr"
roster.yaml:5:5: want a text in one line
roster.yaml:6:5: unknown key "activ"; did you mean "active"?
roster.yaml:7:15: want a whole number from 1 to 1000
roster.yaml:8:31: there is no service "plumbing.roof"
roster.yaml:10:17: want a language code such as fr
roster.yaml:12:16: want hours such as 08:00-12:00,13:30-18:00; 20:00-02:00 ends on the next day, 00:00-24:00 is all of it
roster.yaml:13:7: "someday" is no day; want mon, tue, wed, thu, fri, sat, sun, a range such as mon-fri, or daily
roster.yaml:14:12: want hours such as 08:00-12:00,13:30-18:00; 20:00-02:00 ends on the next day, 00:00-24:00 is all of it
roster.yaml:15:12: want hours such as 08:00-12:00,13:30-18:00; 20:00-02:00 ends on the next day, 00:00-24:00 is all of it
roster.yaml:16:18: want true or false, got string
roster.yaml:18:9: "until" is missing
roster.yaml:19:16: want a date such as 2026-12-24
roster.yaml:20:9: leave ends before it begins
roster.yaml:21:17: want a whole number from 0 to 1000000
roster.yaml:21:21: unknown key "month"
roster.yaml:22:15: want a valid phone number in international form, such as +41781234567
roster.yaml:23:10: this number takes no SMS: it is not a mobile number
roster.yaml:24:12: not a mail address
roster.yaml:28:15: want a list, got string
roster.yaml:29:22: there is no place of market ch "canggu"
roster.yaml:30:5: want a list with at least one item
roster.yaml:32:5: mapping key "id" already defined at line 31
roster.yaml:40:5: "name" is missing
roster.yaml:40:5: "services" is missing
roster.yaml:40:5: "places" is missing
roster.yaml:40:5: "languages" is missing
roster.yaml:40:9: want an id with at least one letter: a number may be somebody's
roster.yaml:42:12: want keys and values, got string
roster.yaml:44:5: want keys and values, got string
roster.yaml:45:1: unknown key "extra"`},
		{"roster.csv", "id,market,nom,services,places,languages,hours,caps,leave,sms,sms\n" +
			"a,ch,A,plumbing.leak,geneve,fr,mon 08:00-12:00; mon 13:00-18:00,day many,tomorrow,+41781234567,\n" +
			"a,ch,A,plumbing.leak,geneve,fr,mon,day,2026-12-24,+41781234567\n" +
			"b,ch,A,plumbing.leak,\"geneve;\nlausanne\",fr,mon-fri 08:00-18:00,day 1;day 2,,+41781234567,x\n" +
			"c,ch,A,\"plumbing\"leak,geneve,fr,,,,,\n", `
roster.csv:1:1: column name is missing
roster.csv:1:11: unknown column "nom"; columns are id, market, name, services, places, languages, active, priority, hours, after_hours, leave, caps, whatsapp, sms, email
roster.csv:1:62: column sms is given twice
roster.csv:2:65: want a whole number, got string
roster.csv:2:74: want a date such as 2026-12-24
roster.csv:3:1: this line has 10 cells, the first line has 11
roster.csv:4:22: there is no place of market ch "lausanne"
roster.csv:5:34: mapping key "day" already defined at line 5
roster.csv:6:17: extraneous or missing " in quoted-field`},
		{"roster.yaml", `
providers:
  - {id: rive, market: ch, name: Rive, services: [plumbing.leak], places: [geneve], languages: [fr], hours: {daily: 00:00-24:00}, email: rive@plumber.example}
  - {id: rive, market: ch, name: Rive, services: [plumbing.leak], places: [geneve], languages: [fr], leave:, email: ""}
`, `
roster.yaml:4:5: there is no way to reach this provider: give one of whatsapp, sms, email
roster.yaml:4:5: hours is missing; without hours and without after_hours nobody would ever ask this provider
roster.yaml:4:10: id rive is given twice`},
		{"roster.csv", "id,market,name,services,places,languages,hours,sms\na,ch,A,plumbing.leak,geneve,fr,mon 08:00-12:00; mon 13:00-18:00,+41781234567\n", `
roster.csv:2:32: mapping key "mon" already defined at line 2`},
		{"roster.yaml", "providers: [\n", "\nroster.yaml:2:1: did not find expected node content"},
		{"roster.yaml", "", "\nroster.yaml:1:1: no documents in stream"},
		{"roster.yaml", "providers: []", "\nroster.yaml:1:1: want a list of providers"},
		{"roster.yaml", "providers:", "\nroster.yaml:1:1: \"providers\" is missing"},
		{"roster.yml", "- id: a", "\nroster.yml:1:1: want keys and values, got a list"},
		{"roster.csv", "", "\nroster.csv:1:1: there are no providers in this file"},
		{"roster.csv", "\ufeffid,market,name,services,places,languages\n", "\nroster.csv:1:1: there are no providers in this file"},
		{"roster.txt", "x", "\nroster roster.txt: want a file named *.yaml or *.csv"},
	} {
		got, err := known.ReadRoster(c.file, []byte(c.text))
		if err == nil || got != nil {
			t.Errorf("%s imported %v", c.text, got)
			continue
		}
		if d := cmp.Diff(strings.Split(c.want[1:], "\n"), strings.Split(err.Error(), "\n")); d != "" {
			t.Error(d)
		}
	}
}

// Whatever the file, the answer is faults or providers fit to be imported.
func FuzzReadRoster(f *testing.F) {
	for _, name := range []string{"good.yaml", "good.csv"} {
		data, err := os.ReadFile("testdata/roster/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, strings.HasSuffix(name, ".csv"))
	}
	f.Fuzz(func(t *testing.T, data []byte, asCSV bool) {
		file := "f.yaml"
		if asCSV {
			file = "f.csv"
		}
		got, err := known.ReadRoster(file, data)
		if (err == nil) == (len(got) == 0) {
			t.Fatalf("%d providers and %v", len(got), err)
		}
		for _, p := range got {
			if p.ID == "" || p.Name == "" || known.Markets[p.Market] == nil || len(p.Services)*len(p.Places)*len(p.Languages) == 0 ||
				p.Priority < 1 || p.Caps.Day < 0 || p.Caps.Week < 0 || p.WhatsApp+p.SMS+p.Email == "" {
				t.Fatalf("imported %+v", p)
			}
			for _, spans := range p.Hours {
				for _, s := range spans {
					if s.From < 0 || s.From >= 24*60 || s.Until <= s.From || s.Until > 2*24*60 {
						t.Fatalf("span %v", s)
					}
				}
			}
		}
	})
}
