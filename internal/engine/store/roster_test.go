package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"leadbus/internal/engine/localpg/pgtest"
	"leadbus/internal/roster"
)

// example is a provider with everything a provider can have.
func example(market string) roster.Provider {
	return roster.Provider{
		ID: "lac", Market: market, Name: "Plomberie \"du Lac\", Sàrl", Active: true, Priority: 2,
		Services: []string{"plumbing.leak", "plumbing.drain"}, Places: []string{"geneve"}, Languages: []string{"fr", "en"},
		Hours: roster.Hours{
			time.Monday: {{From: 8 * 60, Until: 12 * 60}, {From: 13*60 + 30, Until: 18 * 60}},
			time.Friday: {{From: 20 * 60, Until: 26 * 60}}, time.Sunday: {{From: 0, Until: 24 * 60}},
		},
		AfterHours: true, Leave: []roster.Leave{{From: "2026-12-24", Until: "2027-01-02"}}, Caps: roster.Caps{Day: 5, Week: 20},
		WhatsApp: "+41781234567", SMS: "+41781234567", Email: "lac@plumber.example",
	}
}

func TestARosterIsReadBackAsItWasImported(t *testing.T) {
	t.Parallel()
	db := pgtest.Open(t, pgtest.New(t))
	if v, err := db.RosterVersion(t.Context(), "ch"); v != 0 || err != nil {
		t.Errorf("without a roster: version %d, %v", v, err)
	}
	least := roster.Provider{ID: "aa", Market: "ch", Name: "A", Priority: 1, Services: []string{}, Places: []string{}, Languages: []string{}, Hours: roster.Hours{}, Leave: []roster.Leave{}}
	want := []roster.Provider{least, example("ch")}
	if err := db.ImportRoster(t.Context(), append(want, example("id"))); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := db.Roster(t.Context(), "ch")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if err := db.ImportRoster(t.Context(), want); err != nil {
			t.Error(err)
		}
	}

	changed := example("ch")
	changed.Priority = 9
	if err := db.ImportRoster(t.Context(), []roster.Provider{changed}); err != nil {
		t.Fatal(err)
	}
	if got, err := db.Roster(t.Context(), "ch"); err != nil || len(got) != 2 || got[1].Priority != 9 {
		t.Errorf("%d providers, %v", len(got), err)
	}
}

func TestARosterIsImportedWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	db := pgtest.Open(t, pgtest.New(t))
	if err := db.ImportRoster(t.Context(), []roster.Provider{example("ch")}); err != nil {
		t.Fatal(err)
	}
	version, err := db.RosterVersion(t.Context(), "ch")
	if err != nil {
		t.Fatal(err)
	}
	renamed, other, bad := example("ch"), example("id"), example("id")
	renamed.Name, bad.ID, bad.SMS = "Other", "bad", "078 123 45 67"
	if err := db.ImportRoster(t.Context(), []roster.Provider{renamed, other, bad}); err == nil {
		t.Fatal("a number that cannot be dialled was taken")
	}
	if got, err := db.Roster(t.Context(), "ch"); err != nil || len(got) != 1 || got[0].Name != example("ch").Name {
		t.Errorf("half of a file is there: %+v, %v", got, err)
	}
	if got, err := db.Roster(t.Context(), "id"); err != nil || len(got) != 0 {
		t.Errorf("half of a file is there: %+v, %v", got, err)
	}
	if v, err := db.RosterVersion(t.Context(), "ch"); err != nil || v != version {
		t.Errorf("the version moved from %d to %d, %v", version, v, err)
	}
}

// The owner edits the table: each change moves the market's version and nobody
// else's; what would break a provider is refused on the spot.
func TestTheOwnersEdits(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := pgtest.Open(t, url)
	if err := db.ImportRoster(t.Context(), []roster.Provider{example("ch"), example("id")}); err != nil {
		t.Fatal(err)
	}
	versions := func() (ch, id int64) {
		t.Helper()
		ch, err := db.RosterVersion(t.Context(), "ch")
		if err != nil {
			t.Fatal(err)
		}
		if id, err = db.RosterVersion(t.Context(), "id"); err != nil {
			t.Fatal(err)
		}
		return ch, id
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()

	ch, id := versions()
	for _, edit := range []string{
		`update leadbus.provider set active = false where market = 'ch'`,
		`update leadbus.provider set hours = '{"tue": ["09:00-17:00"], "sat": []}' where market = 'ch'`,
		`update leadbus.provider set leave = leave || '{"from": "2027-02-01", "until": "2027-02-01"}' where market = 'ch'`,
		`update leadbus.provider set places = array_append(places, 'carouge'), whatsapp = '' where market = 'ch'`,
		`insert into leadbus.provider (market, id, name) values ('ch', 'new', 'New')`,
		`delete from leadbus.provider where market = 'ch' and id = 'new'`,
		`truncate leadbus.provider`,
		`insert into leadbus.provider (market, id, name) values ('ch', 'lac', 'Lac')`,
	} {
		if _, err := conn.Exec(t.Context(), edit); err != nil {
			t.Fatalf("%s: %v", edit, err)
		}
		nowCH, nowID := versions()
		if nowCH <= ch || (nowID != id && !strings.HasPrefix(edit, "truncate")) {
			t.Errorf("%s: versions from %d, %d to %d, %d", edit, ch, id, nowCH, nowID)
		}
		ch, id = nowCH, nowID
		if _, err := db.Roster(t.Context(), "ch"); err != nil {
			t.Errorf("%s: %v", edit, err)
		}
	}
	for _, set := range []string{
		`hours = '{"lundi": ["09:00-17:00"]}'`, `hours = '{"mon": ["9-17"]}'`, `hours = '{"mon": "09:00-17:00"}'`, `hours = '[]'`,
		`hours = '{"mon": ["09:00-09:00"]}'`, `hours = '{"mon": ["24:00-09:00"]}'`, `hours = '{"mon": [null]}'`, `hours = '{"mon": null}'`, `hours = 'null'`,
		`leave = '{}'`, `leave = '[{"from": "2026-12-24"}]'`, `leave = '[{"from": "2026-12-24", "until": "2026-12-23"}]'`, `leave = '[{"from": "2026-02-30", "until": "2026-03-01"}]'`, `leave = '["x"]'`,
		`sms = '0781234567'`, `whatsapp = '+0123456789'`, `email = 'nobody'`, `id = 'a.b'`, `id = ''`, `name = ''`, `priority = 0`, `cap_day = -1`, `services = '{null}'`,
	} {
		if _, err := conn.Exec(t.Context(), "update leadbus.provider set "+set); err == nil {
			t.Errorf("%s was taken", set)
		}
	}
}
