package site

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// good is a small configuration without a fault, to be changed by a test.
func good(tb testing.TB) fstest.MapFS {
	tb.Helper()
	files := fstest.MapFS{}
	disk := os.DirFS("testdata/good")
	err := fs.WalkDir(disk, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(disk, name)
		files[name] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return files
}

// faultsOf are all faults of a configuration as text, and whether they are an
// error or those of site files alone.
func faultsOf(tb testing.TB, files fstest.MapFS) (lines []string, failed bool) {
	tb.Helper()
	c, err := load(files, "config")
	var faults Faults
	switch {
	case errors.As(err, &faults):
	case err != nil:
		tb.Fatal(err)
	default:
		faults = c.Faults()
	}
	for _, f := range faults {
		lines = append(lines, f.String())
	}
	return lines, err != nil
}

func TestLoadOfAGoodConfiguration(t *testing.T) {
	c, err := load(good(t), "config")
	if err != nil {
		t.Fatal(err)
	}
	if faults := c.Faults(); len(faults) != 0 {
		t.Fatal(Faults(faults))
	}
	s := c.Sites["one.example"]
	if s == nil || c.MarketOf(s).Name != "Genève" || c.MarketOf(s).Location.String() != "Europe/Zurich" {
		t.Fatalf("site %+v", s)
	}
	if d := cmp.Diff([]Holiday{{Date: "2027-01-01", Name: "Nouvel An"}, {Date: "2027-12-31", Name: "Jeûne", Closed: true}}, c.Markets["ch"].Holidays); d != "" {
		t.Error(d)
	}
	if got := s.Agent.InitialWait; got != 3 {
		t.Errorf("initial wait %v", got)
	}
	// Nobody serves the second market, and that is fine.
	if c.Markets["id"] == nil || slices.Sorted(maps.Keys(c.Sites))[1] != "two.example" {
		t.Errorf("markets %v, sites %v", c.Markets, c.Sites)
	}
}

const (
	aSite     = "sites/one.example.yaml"
	aMarket   = "markets/ch.yaml"
	templates = "templates.yaml"
)

// Every case makes one change to a good configuration and names the faults it
// must have, with their places.
func TestFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		file, old, new string
		want           []string
	}{
		// Form, in any kind of file.
		"not YAML":            {aSite, "places: [geneve, carouge]", "places: [geneve,", []string{"config/sites/one.example.yaml:22:1: did not find expected ',' or ']'"}},
		"nothing":             {aSite, "*", "", []string{"config/sites/one.example.yaml:1:1: no documents in stream"}},
		"a list":              {aSite, "*", "- a\n", []string{"config/sites/one.example.yaml:1:1: want keys and values, got a list"}},
		"two documents":       {aMarket, "decoys:", "---\ndecoys:", []string{"config/markets/ch.yaml:1:1: expected single document, found multiple"}},
		"unknown key":         {aSite, "market: ch", "market: ch\nmarkett: ch", []string{`config/sites/one.example.yaml:4:1: unknown key "markett"; did you mean "market"?`}},
		"unknown nested key":  {aMarket, "name: Nouvel An", "name: Nouvel An, shut: true", []string{`config/markets/ch.yaml:7:41: unknown key "shut"`}},
		"unknown language":    {aSite, "    en: Hello", "    es: Hola\n    en: Hello", []string{`config/sites/one.example.yaml:14:5: unknown key "es"; want one of de, en, fr, id, it`}},
		"unknown method":      {"trackers.yaml", "GET", "PUT", []string{"config/trackers.yaml:2:23: want one of GET, POST"}},
		"key twice":           {aSite, "market: ch", "market: ch\nmarket: id", []string{`config/sites/one.example.yaml:4:1: mapping key "market" already defined at line 3`}},
		"missing key":         {aSite, "  voice_name: Eric\n", "", []string{`config/sites/one.example.yaml:6:1: "voice_name" is missing`}},
		"missing at the top":  {aSite, "brand: Plombiers\n", "", []string{`config/sites/one.example.yaml:1:1: "brand" is missing`}},
		"number for text":     {aSite, `"+41212345678"`, "+41212345678", []string{"config/sites/one.example.yaml:5:6: want string, got number; put it in quotes"}},
		"list for a map":      {aSite, "senders:", "owner_: 1\nsenders: []\nx:", []string{`config/sites/one.example.yaml:23:1: unknown key "owner_"; did you mean "owner"?`, "config/sites/one.example.yaml:24:1: want keys and values, got a list", `config/sites/one.example.yaml:25:1: unknown key "x"`}},
		"empty value":         {aSite, "brand: Plombiers", "brand:", []string{"config/sites/one.example.yaml:4:1: want string, got nothing"}},
		"empty text":          {aSite, "brand: Plombiers", `brand: ""`, []string{"config/sites/one.example.yaml:4:1: want the name people know the site by, up to 40 characters, for texts"}},
		"anchor":              {aSite, "market: ch", "market: &m ch\nbrand_: *m", []string{"config/sites/one.example.yaml:4:9: write the value out; anchors and merges are not used in this configuration"}},
		"merge":               {aSite, "market: ch", "market: ch\n<<: {url: x}", []string{"config/sites/one.example.yaml:4:1: a key is a plain word; anchors and merges are not used in this configuration"}},
		"several at once":     {aSite, "market: ch\nbrand: Plombiers", "market: zz\nbrandd: Plombiers", []string{`config/sites/one.example.yaml:1:1: "brand" is missing`, `config/sites/one.example.yaml:3:9: no market "zz" in config/markets`, `config/sites/one.example.yaml:4:1: unknown key "brandd"; did you mean "brand"?`}},
		"rate of nothing":     {aSite, "per_second: 2", "per_second: 0", []string{"config/sites/one.example.yaml:24:38: want more than 0 messages per second and process"}},
		"impossible wait":     {aSite, "initial_wait: 3", "initial_wait: 0.5", []string{"config/sites/one.example.yaml:15:17: want seconds to wait for the caller to speak first, 1 or more, or -1; acts only where the first message is empty"}},
		"voice of wrong form": {aSite, "cjVigY5qzO86Huf0OWal", "Eric", []string{"config/sites/one.example.yaml:8:10: want a voice id of 20 letters and digits"}},
		"same place twice":    {aSite, "[geneve, carouge]", "[geneve, geneve]", []string{"config/sites/one.example.yaml:20:1: items at 0 and 1 are equal"}},

		// What a site is.
		"another's domain": {aSite, "domain: one.example", "domain: two.example", []string{"config/sites/one.example.yaml:1:9: the domain is two.example, so the file is two.example.yaml; config/sites/two.example.yaml exists, and a domain belongs to one file"}},
		"file misnamed":    {aSite, "domain: one.example", "domain: three.example", []string{"config/sites/one.example.yaml:1:9: the domain is three.example, so the file is three.example.yaml"}},
		"no domain":        {aSite, "domain: one.example", "domain: -one.example", []string{"config/sites/one.example.yaml:1:9: want a lower-case domain such as plombiersgeneve.ch"}},
		"capitals":         {aSite, "domain: one.example", "domain: One.example", []string{"config/sites/one.example.yaml:1:9: want a lower-case domain such as plombiersgeneve.ch"}},
		"no address":       {aSite, "url: https://one.example", "url: one.example", []string{"config/sites/one.example.yaml:2:6: want the address of the website, such as https://plombiersgeneve.ch"}},
		"DID of another":   {"sites/two.example.yaml", "+41212345679", "+41212345678", []string{"config/sites/two.example.yaml:5:6: this number is that of config/sites/one.example.yaml"}},
		"DID abroad":       {aSite, "+41212345678", "+622112345678", []string{"config/sites/one.example.yaml:5:6: not a number of CH, the country of market ch"}},
		"DID too short":    {aSite, "+41212345678", "+41212345", []string{"config/sites/one.example.yaml:5:6: not a telephone number"}},
		"DID as dialled":   {aSite, "+41212345678", "021 234 56 78", []string{"config/sites/one.example.yaml:5:6: want a number in E.164 form in quotes, such as '+41225394512'"}},
		"agent of another": {"sites/two.example.yaml", "agent_2", "agent_1", []string{"config/sites/two.example.yaml:7:7: this agent is that of config/sites/one.example.yaml"}},
		"no prompt":        {aSite, "plumber.md", "plummer.md", []string{"config/sites/one.example.yaml:11:11: no file config/agents/plummer.md"}},
		"prompt elsewhere": {aSite, "plumber.md", "../services.md", []string{"config/sites/one.example.yaml:11:11: want a file in config/agents, such as plumber.md"}},
		"empty prompt":     {"agents/plumber.md", "You answer the phone.", " ", []string{"config/sites/one.example.yaml:11:11: config/agents/plumber.md is empty", "config/sites/two.example.yaml:11:11: config/agents/plumber.md is empty"}},
		"no first message": {aSite, "    en: Hello, I am an AI.\n", "", []string{"config/sites/one.example.yaml:12:3: no first message in en, a language of the site"}},

		// What a site refers to.
		"unknown market":             {aSite, "market: ch", "market: geneva", []string{`config/sites/one.example.yaml:3:9: no market "geneva" in config/markets`}},
		"unknown service":            {aSite, "id: plumbing.boiler", "id: plumbing.boilr", []string{`config/sites/one.example.yaml:19:9: no service "plumbing.boilr" in services.yaml; did you mean "plumbing.boiler"?`}},
		"service twice":              {aSite, "id: plumbing.boiler", "id: plumbing.leak", []string{`config/sites/one.example.yaml:19:9: service "plumbing.leak" stands here twice`}},
		"service without a name":     {"services.yaml", ", en: boiler", "", []string{`config/sites/one.example.yaml:19:9: service "plumbing.boiler" has no name in en, a language of the site; add it to services.yaml`, `config/sites/two.example.yaml:19:9: service "plumbing.boiler" has no name in en, a language of the site; add it to services.yaml`}},
		"phrase of two services":     {aSite, "[ça coule]", "[La Chaudière, CHAUDIERE]", []string{`config/sites/one.example.yaml:19:9: "chaudière" means service "plumbing.leak" as well; a phrase means one service of a site`}},
		"unknown place":              {aSite, "[geneve, carouge]", "[geneve, carrouge]", []string{`config/sites/one.example.yaml:20:18: no place "carrouge" in market ch; did you mean "carouge"?`}},
		"place of another market":    {aSite, "[geneve, carouge]", "[canggu]", []string{`config/sites/one.example.yaml:20:10: no place "canggu" in market ch`}},
		"unknown tracker":            {aSite, "tracker: ads", "tracker: add", []string{`config/sites/one.example.yaml:22:10: no tracker "add" in trackers.yaml; did you mean "ads"?`}},
		"not the market's language":  {"markets/ch.yaml", "languages: [fr, en]", "languages: [fr]", []string{"config/sites/one.example.yaml:21:17: en is not a language of market ch", "config/sites/two.example.yaml:21:17: en is not a language of market ch"}},
		"unknown template":           {aSite, "HX00000000000000000000000000000001", "HX00000000000000000000000000000009", []string{"config/sites/one.example.yaml:28:19: no template with this content SID in templates.yaml"}},
		"template of other purpose":  {aSite, "offer: {fr: HX00000000000000000000000000000001}", "offer: {fr: HX00000000000000000000000000000002}", []string{`config/sites/one.example.yaml:28:19: template "update_fr" is for update in fr, not for offer in fr`}},
		"template of other language": {aSite, "offer: {fr: HX00000000000000000000000000000001}", "offer: {fr: HX00000000000000000000000000000001, en: HX00000000000000000000000000000001}", []string{`config/sites/one.example.yaml:28:59: template "offer_fr" is for offer in fr, not for offer in en`}},
		"template missing":           {aSite, "      update: {fr: HX00000000000000000000000000000002}\n", "", []string{`config/sites/one.example.yaml:27:5: "update" is missing`}},
		"template of no language":    {aSite, "update: {fr: HX00000000000000000000000000000002}", "update: {}", []string{"config/sites/one.example.yaml:27:5: no update template in fr, the site's default language"}},
		"unknown purpose":            {aSite, "      update: {", "      reminder: {fr: HX00000000000000000000000000000001}\n      update: {", []string{`config/sites/one.example.yaml:29:7: unknown key "reminder"`}},

		// Whom a site writes as and to.
		"sender too long":        {aSite, "from: Plombiers,", "from: PlombiersGeneve,", []string{senderFault}},
		"sender with accents":    {aSite, "from: Plombiers,", "from: Genève,", []string{senderFault}},
		"sender without letters": {aSite, "from: Plombiers,", `from: "12345",`, []string{senderFault}},
		"sender no number":       {aSite, "from: Plombiers,", `from: "+4178",`, []string{"config/sites/one.example.yaml:24:15: not a telephone number in E.164 form"}},
		"sender with spaces":     {aSite, "from: Plombiers,", `from: "+41 78 123 45 67",`, []string{"config/sites/one.example.yaml:24:15: not a telephone number in E.164 form"}},
		"mail from no address":   {aSite, "leads@mg.one.example", "leads.mg.one.example", []string{"config/sites/one.example.yaml:30:16: not a mail address"}},
		"mail from with a name":  {aSite, "leads@mg.one.example", `"Plombiers <leads@mg.one.example>"`, []string{"config/sites/one.example.yaml:30:16: not a mail address"}},
		"owner no address":       {aSite, "owner@leadbus.example", "owner", []string{"config/sites/one.example.yaml:31:16: not a mail address"}},
		"copy to no address":     {aSite, `phone: "+41781234568"`, `copies: [a@b.example, b]`, []string{"config/sites/one.example.yaml:31:61: not a mail address"}},
		"escalation to nobody":   {aSite, `phone: "+41781234568"`, `escalation: {email: b, phone: "+4178123"}`, []string{"config/sites/one.example.yaml:31:59: not a mail address", "config/sites/one.example.yaml:31:69: not a telephone number in E.164 form"}},
		"owner no number":        {aSite, `phone: "+41781234568"`, `phone: "+4178123"`, []string{"config/sites/one.example.yaml:31:46: not a telephone number in E.164 form"}},

		// Markets.
		"market misnamed":     {aMarket, "id: ch\n", "id: geneva\n", []string{`config/markets/ch.yaml:1:5: the file of market "geneva" is named geneva.yaml`}},
		"no country":          {aMarket, "country: CH", "country: XX", []string{`config/markets/ch.yaml:3:10: no country "XX" with a numbering plan`}},
		"own neighbour":       {aMarket, "country: CH", "country: CH\nneighbours: [FR, CH]", []string{"config/markets/ch.yaml:4:18: CH is the market's own country"}},
		"no such neighbour":   {aMarket, "country: CH", "country: CH\nneighbours: [XX]", []string{`config/markets/ch.yaml:4:14: no country "XX" with a numbering plan`}},
		"neighbour by name":   {aMarket, "country: CH", "country: CH\nneighbours: [France]", []string{"config/markets/ch.yaml:4:14: want an ISO 3166 country code in capitals, such as CH; dictated numbers are read as numbers of this country"}},
		"no zone":             {aMarket, "Europe/Zurich", "Europe/Geneva", []string{`config/markets/ch.yaml:4:7: no time zone "Europe/Geneva"`}},
		"the machine's zone":  {aMarket, "Europe/Zurich", "Local", []string{"config/markets/ch.yaml:4:7: want an IANA time zone such as Europe/Zurich"}},
		"no date":             {aMarket, "2027-12-31", "2027-02-30", []string{`config/markets/ch.yaml:8:12: "2027-02-30" is no date; want one such as 2027-01-31`}},
		"date twice":          {aMarket, "2027-12-31", "2027-01-01", []string{"config/markets/ch.yaml:8:12: 2027-01-01 stands here twice"}},
		"place twice":         {aMarket, "id: carouge", "id: geneve", []string{`config/markets/ch.yaml:17:9: place "geneve" stands here twice`}},
		"unknown parent":      {aMarket, "parent: geneve", "parent: geneva", []string{`config/markets/ch.yaml:16:13: no place "geneva" in this file; did you mean "geneve"?`}},
		"own parent":          {aMarket, "parent: geneve", "parent: eaux-vives", []string{`config/markets/ch.yaml:16:13: place "eaux-vives" is part of itself through its parents`}},
		"parents in a circle": {aMarket, "    name: Genève\n", "    name: Genève\n    parent: eaux-vives\n", []string{`config/markets/ch.yaml:12:13: place "geneve" is part of itself through its parents`, `config/markets/ch.yaml:17:13: place "eaux-vives" is part of itself through its parents`}},
		"alias of two":        {aMarket, "name: Carouge", "name: Carouge\n    aliases: [GENEVA]", []string{`config/markets/ch.yaml:19:15: "GENEVA" already means place "geneve"; an alias means one place`}},
		"name is an alias":    {aMarket, "name: Carouge", "name: Genf", []string{`config/markets/ch.yaml:13:23: "Genf" already means place "carouge"; an alias means one place`}},
		"decoy served":        {aMarket, "[losanne]", "[losanne, eaux vives, carouge]", []string{`config/markets/ch.yaml:21:36: "carouge" means place "carouge"; a decoy is out of area`}},
		"decoy name served":   {aMarket, "name: Lausanne", "name: GENEVE", []string{`config/markets/ch.yaml:20:11: "GENEVE" means place "geneve"; a decoy is out of area`}},
		"canary no address":   {aMarket, "decoys:", "canary: {email: nowhere}\ndecoys:", []string{"config/markets/ch.yaml:19:17: not a mail address"}},
		"canary nowhere":      {aMarket, "decoys:", "canary: {}\ndecoys:", []string{`config/markets/ch.yaml:19:1: "email" is missing`}},
		"postcode":            {aMarket, `"1204"`, `"CH-1204"`, []string{"config/markets/ch.yaml:12:17: want a postcode of 4 or 5 digits in quotes"}},

		// What markets share.
		"service in services twice": {"services.yaml", "id: plumbing.boiler", "id: plumbing.leak", []string{`config/services.yaml:5:9: service "plumbing.leak" stands here twice`}},
		"tracker twice":             {"trackers.yaml", "trackers:", "trackers:\n  - {id: ads, method: GET, url: 'https://a.example', events: {won: w}}", []string{`config/trackers.yaml:3:10: tracker "ads" stands here twice`}},
		"tracker of no outcome":     {"trackers.yaml", "accepted: lead", "excepted: lead", []string{`config/trackers.yaml:2:87: unknown key "excepted"; want one of created, accepted, won, lost, invalid`}},
		"tracker without an end":    {"trackers.yaml", "{{.Clicks", "{{if .Clicks", []string{"config/trackers.yaml:2:33: url:1: unexpected EOF"}},
		"tracker's unknown field":   {"trackers.yaml", ".Clicks.gclid", ".Phone", []string{`config/trackers.yaml:2:33: url:1:26: executing "url" at <.Phone>: can't evaluate field Phone in type struct { lead.Conversion; Secret string }`}},
		"tracker in the clear":      {"trackers.yaml", "https:", "http:", []string{"config/trackers.yaml:2:33: want an address that begins with https:// and a host, which is the same for every lead"}},
		"tracker's host by a field": {"trackers.yaml", "ads.example/", "{{or .Place `a`}}.example/", []string{"config/trackers.yaml:2:33: want an address that begins with https:// and a host, which is the same for every lead"}},
		"tracker has no secret":     {"trackers.yaml", ".Clicks.gclid", ".Secret", []string{"config/trackers.yaml:2:33: it names .Secret, and the tracker has no secret"}},
		"tracker's GET with a body": {"trackers.yaml", "events:", "body: x, content_type: application/json, events:", []string{"config/trackers.yaml:2:84: not always JSON: a field stands in quotes, or is a number that is never empty, such as {{or .Value 0}}"}},
		"tracker's body of no type": {"trackers.yaml", "GET,", "POST, body: x,", []string{"config/trackers.yaml:2:5: a body and its content_type belong together"}},
		"tracker's delay too long":  {"trackers.yaml", "events:", "delay: 25h, events:", []string{"config/trackers.yaml:2:85: with this delay an outcome is too old when it may be told: max_age is 24h0m0s"}},
		"template twice":            {templates, "HX00000000000000000000000000000002", "HX00000000000000000000000000000001", []string{"config/templates.yaml:7:10: content SID HX00000000000000000000000000000001 stands here twice"}},
		"variable left out":         {templates, "Demande {{1}} à {{2}}: {{3}}, {{4}}. {{5}}", "Demande {{1}} à {{2}}: {{4}}. {{5}}", []string{"config/templates.yaml:6:11: want the variables {{1}}, {{2}}, {{3}}, {{4}}, {{5}}, each at least once and no other"}},
		"variables too few":         {templates, "Demande {{1}} à {{2}}: {{3}}, {{4}}. {{5}}", "Demande {{1}} à {{2}}: {{3}}, {{4}}", []string{"config/templates.yaml:6:11: want the variables {{1}}, {{2}}, {{3}}, {{4}}, {{5}}, each at least once and no other"}},
		"variable by name":          {templates, "Demande {{1}} à", "Demande {{service}} {{1}} à", []string{"config/templates.yaml:6:11: want the variables {{1}}, {{2}}, {{3}}, {{4}}, {{5}}, each at least once and no other"}},
		"body too long":             {templates, "Demande ", "Demande " + strings.Repeat("é", 1024), []string{"config/templates.yaml:6:11: the body has 1067 characters; WhatsApp takes 1024, variables filled in"}},
		"SID of wrong form":         {templates, "sid: HX00000000000000000000000000000002", "sid: HX2", []string{"config/templates.yaml:7:10: want a content SID: HX and 32 hexadecimal digits"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := good(t)
			change(t, files, tt.file, tt.old, tt.new)
			got, failed := faultsOf(t, files)
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			outside := slices.ContainsFunc(tt.want, func(f string) bool { return !strings.HasPrefix(f, "config/sites/") })
			if failed != outside {
				t.Errorf("an error: %v, want %v", failed, outside)
			}
		})
	}
}

const senderFault = "config/sites/one.example.yaml:24:15: want a number in E.164 form, or up to 11 letters (at least one), digits and spaces without accents"

// change replaces a text that must stand in a file; "*" is all of it.
func change(tb testing.TB, files fstest.MapFS, file, old, with string) {
	tb.Helper()
	before := string(files[file].Data)
	if old == "*" {
		old = before
	}
	after := strings.Replace(before, old, with, 1)
	if after == before {
		tb.Fatalf("%s does not hold %q", file, old)
	}
	files[file] = &fstest.MapFile{Data: []byte(after)}
}

func TestMissingFiles(t *testing.T) {
	files := good(t)
	delete(files, "trackers.yaml")
	files["sites/notes.txt"] = &fstest.MapFile{}
	got, failed := faultsOf(t, files)
	if d := cmp.Diff([]string{
		"config/sites/notes.txt:1:1: only files named *.yaml belong here",
		"config/trackers.yaml:1:1: file does not exist",
	}, got); d != "" || !failed {
		t.Errorf("failed %v, %s", failed, d)
	}
	if _, err := Load(path.Join(t.TempDir(), "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	delete(files, "markets/ch.yaml")
	delete(files, "markets/id.yaml")
	if _, err := load(files, "config"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder of markets: error %v", err)
	}
}

// In production a broken site is named and not served; the others are.
func TestABrokenSiteDoesNotHurtTheOthers(t *testing.T) {
	files := good(t)
	change(t, files, aSite, "*", "domain: [")
	c, err := load(files, "config")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"two.example"}, slices.Collect(maps.Keys(c.Sites))); d != "" {
		t.Error(d)
	}
	if faults := c.Broken["one.example"]; len(faults) != 1 || len(c.Broken) != 1 {
		t.Errorf("broken %v", c.Broken)
	}
}

// The first of two sites with one number stays in service.
func TestACopiedSiteFileBreaksTheCopyAlone(t *testing.T) {
	files := good(t)
	files["sites/zone.example.yaml"] = files[aSite]
	c, err := load(files, "config")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Sites) != 2 || len(c.Broken["zone.example"]) != 3 || len(c.Broken) != 1 {
		t.Errorf("sites %v, broken %v", c.Sites, c.Broken)
	}
}

func FuzzSite(f *testing.F) {
	files := good(f)
	for _, seed := range []string{string(files[aSite].Data), "", "a: *a", "? [a]\n: b", "domain: 1\n---\n", "agent: {first_message: {fr: 1}}", "<<: [1]\n", "places: [[[]]]", "did: !!binary aGk=", "owner: {email: \"\\x00\"}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		files := maps.Clone(files)
		files[aSite] = &fstest.MapFile{Data: data, ModTime: time.Time{}}
		c, err := load(files, "config")
		if err != nil {
			t.Fatal(err)
		}
		s, faults := c.Sites["one.example"], c.Broken["one.example"]
		if (s == nil) == (len(faults) == 0) || c.Sites["two.example"] == nil && len(c.Broken) < 1 {
			t.Fatalf("site %v, faults %v", s, faults)
		}
		for _, fault := range faults {
			if fault.File != "config/"+aSite || fault.Line < 1 || fault.Column < 1 || fault.Message == "" {
				t.Errorf("fault %+v", fault)
			}
		}
		if s != nil && (s.Domain != "one.example" || c.MarketOf(s) == nil || len(s.Services) == 0 || len(s.Languages) == 0 || s.Agent.ID == "") {
			t.Errorf("accepted %+v", s)
		}
	})
}
