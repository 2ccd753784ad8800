package roster

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

var (
	workdays = Hours{
		time.Monday: {{480, 1080}}, time.Tuesday: {{480, 720}, {810, 1080}}, time.Wednesday: {{480, 1080}},
		time.Thursday: {{480, 1080}}, time.Friday: {{480, 1080}, {1200, 1560}}, // until two at night
	}
	always = Hours{
		time.Sunday: {{0, 1440}}, time.Monday: {{0, 1440}}, time.Tuesday: {{0, 1440}}, time.Wednesday: {{0, 1440}},
		time.Thursday: {{0, 1440}}, time.Friday: {{0, 1440}}, time.Saturday: {{0, 1440}},
	}
)

// parents is a small map: eaux-vives is part of geneve.
var parents = map[string]string{"eaux-vives": "geneve"}

func covers(ids []string, id string) bool {
	return slices.Contains(ids, id) || parents[id] != "" && slices.Contains(ids, parents[id])
}

// plumber is eligible for everything the scenes ask; a scene spoils one thing.
func plumber(id string, spoil ...func(*Provider)) Provider {
	p := Provider{
		ID: id, Market: "ch", Name: "Plombier " + id, Active: true, Priority: 1,
		Services: []string{"plumbing.leak", "plumbing.drain"}, Places: []string{"geneve"}, Languages: []string{"fr"},
		Hours: workdays, SMS: "+41781234567",
	}
	for _, s := range spoil {
		s(&p)
	}
	return p
}

// ask is a leak in Eaux-Vives on a Monday morning, 23 November 2026.
func ask(t testing.TB, providers ...Provider) Question {
	return Question{
		Now: time.Date(2026, 11, 23, 10, 0, 0, 0, zone(t, "Europe/Zurich")), Location: zone(t, "Europe/Zurich"),
		Service: "plumbing.leak", Place: "eaux-vives", Language: "fr", Covers: covers,
		Providers: providers, Loads: map[string]Load{},
	}
}

// lines are a trace as people read it.
func lines(trace Trace) []string {
	var out []string
	for _, v := range trace {
		mark := "out "
		if v.In {
			mark = "in  "
		}
		out = append(out, mark+v.Provider+": "+v.Reason)
	}
	return out
}

func TestEveryReasonIsTold(t *testing.T) {
	for reason, spoil := range map[string]func(q *Question, p *Provider){
		"not active":                func(_ *Question, p *Provider) { p.Active = false },
		"on leave until 2026-12-01": func(_ *Question, p *Provider) { p.Leave = []Leave{{"2026-11-23", "2026-12-01"}} },
		"on leave until 2026-12-24": func(_ *Question, p *Provider) {
			p.Leave = []Leave{{"2026-11-01", "2026-12-24"}, {"2026-11-20", "2026-11-23"}}
		},
		"closed now: opens 08:00": func(q *Question, _ *Provider) { q.Now = q.Now.Add(-3 * time.Hour) },
		"closed now: opens 13:30": func(q *Question, _ *Provider) { q.Now = q.Now.Add(26 * time.Hour) },
		"closed now: opens tomorrow 08:00": func(q *Question, _ *Provider) {
			q.Now = q.Now.Add(10 * time.Hour)
		},
		"closed now: opens Monday 08:00": func(q *Question, _ *Provider) { q.Now = q.Now.AddDate(0, 0, 5) },
		"closed now: opens Monday 09:00": func(_ *Question, p *Provider) { // in a week
			p.Hours = Hours{time.Monday: {{540, 560}}}
		},
		"has no opening hours":                      func(_ *Question, p *Provider) { p.Hours = nil },
		"closed today: Jeûne genevois":              func(q *Question, _ *Provider) { q.Holiday = "Jeûne genevois" },
		"market closed today: Nyepi":                func(q *Question, p *Provider) { q.Holiday, q.Closed, p.AfterHours = "Nyepi", true, true },
		"day cap 5 reached":                         func(q *Question, p *Provider) { p.Caps.Day, q.Loads["a"] = 5, Load{Day: "2026-11-23", DayOffers: 5} },
		"week cap 9 reached":                        func(q *Question, p *Provider) { p.Caps.Week, q.Loads["a"] = 9, Load{Week: "2026-11-23", WeekOffers: 9} },
		"has no channel: no whatsapp, sms or email": func(_ *Question, p *Provider) { p.SMS = "" },
	} {
		p := plumber("a")
		q := ask(t)
		spoil(&q, &p)
		q.Providers = []Provider{p}
		trace, chosen := Choose(q)
		if chosen != nil {
			t.Errorf("%s: chosen all the same", reason)
		}
		if d := cmp.Diff([]string{"out a: " + reason}, lines(trace)); d != "" {
			t.Error(d)
		}
	}
}

// Providers of other trades and places are counted, so that a trace grows with who
// could have been chosen.
func TestProvidersOfOtherTradesAndPlacesAreCounted(t *testing.T) {
	q := ask(t)
	q.Providers = []Provider{plumber("a"), plumber("b"), plumber("c"), plumber("d")}
	q.Providers[1].Services, q.Providers[2].Services, q.Providers[3].Places = nil, []string{"plumbing.boiler"}, []string{"carouge"}
	trace, chosen := Choose(q)
	if chosen == nil || chosen.ID != "a" || len(trace) != 3 || trace[1].Name != "2 more" || trace[2].Name != "1 more" || trace[1].In || trace[1].Provider != "" {
		t.Errorf("%+v", trace)
	}
}

func TestWhatDoesNotKeepAProviderOut(t *testing.T) {
	for name, ease := range map[string]func(q *Question, p *Provider){
		"leave that ended yesterday":              func(_ *Question, p *Provider) { p.Leave = []Leave{{"2026-11-01", "2026-11-22"}} },
		"leave that begins tomorrow":              func(_ *Question, p *Provider) { p.Leave = []Leave{{"2026-11-24", "2026-11-30"}} },
		"night, but takes leads after hours":      func(q *Question, p *Provider) { q.Now, p.AfterHours = q.Now.Add(14*time.Hour), true },
		"a holiday, but takes leads after hours":  func(q *Question, p *Provider) { q.Holiday, p.AfterHours = "Noël", true },
		"a full day that was yesterday":           func(q *Question, p *Provider) { p.Caps.Day, q.Loads["a"] = 1, Load{Day: "2026-11-22", DayOffers: 9} },
		"a full week that was last week":          func(q *Question, p *Provider) { p.Caps.Week, q.Loads["a"] = 1, Load{Week: "2026-11-16", WeekOffers: 9} },
		"many offers and no cap":                  func(q *Question, _ *Provider) { q.Loads["a"] = Load{Day: "2026-11-23", DayOffers: 999} },
		"one channel only":                        func(_ *Question, p *Provider) { p.SMS, p.Email = "", "a@plumber.example" },
		"Saturday at one: Friday's span is open":  func(q *Question, _ *Provider) { q.Now = q.Now.AddDate(0, 0, 4).Add(15 * time.Hour) },
		"the first minute":                        func(q *Question, _ *Provider) { q.Now = q.Now.Add(-2 * time.Hour) },
		"the last minute before closing":          func(q *Question, _ *Provider) { q.Now = q.Now.Add(8*time.Hour - time.Second) },
		"the place itself rather than its parent": func(_ *Question, p *Provider) { p.Places = []string{"eaux-vives"} },
	} {
		p := plumber("a")
		q := ask(t)
		ease(&q, &p)
		q.Providers = []Provider{p}
		if trace, chosen := Choose(q); chosen == nil || chosen.ID != "a" {
			t.Errorf("%s: %v", name, lines(trace))
		}
	}
}

// Five plumbers can come. The owner wants the own crew asked before anyone
// else, and among the others turns to be taken.
func TestTheOrderOfAsking(t *testing.T) {
	morning := time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC)
	q := ask(t,
		plumber("waited-a-day"), plumber("waited-an-hour"),
		plumber("new-speaks-german", func(p *Provider) { p.Languages = []string{"de"} }),
		plumber("new-speaks-french"), plumber("zz-new-speaks-french"),
		plumber("second-tier", func(p *Provider) { p.Priority = 2 }),
		plumber("own-crew", func(p *Provider) { p.Priority, p.Languages = 0, []string{"de"} }),
		plumber("own-crew-away", func(p *Provider) { p.Priority, p.Active = 0, false }),
	)
	q.Loads["own-crew"] = Load{LastOfferAt: morning}
	q.Loads["waited-an-hour"] = Load{LastOfferAt: morning}
	q.Loads["waited-a-day"] = Load{LastOfferAt: morning.AddDate(0, 0, -1)}
	trace, chosen := Choose(q)
	if chosen == nil || chosen.ID != "own-crew" {
		t.Errorf("chosen %+v", chosen)
	}
	want := []string{
		"out own-crew-away: not active",
		"in  own-crew: chosen",
		"in  new-speaks-french: eligible",
		"in  zz-new-speaks-french: eligible",
		"in  new-speaks-german: eligible",
		"in  waited-a-day: eligible",
		"in  waited-an-hour: eligible",
		"in  second-tier: eligible",
	}
	if d := cmp.Diff(want, lines(trace)); d != "" {
		t.Error(d)
	}
	if trace, chosen := Choose(ask(t)); len(trace) != 0 || chosen != nil {
		t.Errorf("an empty roster: %v %v", trace, chosen)
	}
}

func TestTheChosenOneIsACopy(t *testing.T) {
	q := ask(t, plumber("a"))
	_, chosen := Choose(q)
	chosen.Name = "changed"
	if q.Providers[0].Name == "changed" {
		t.Error("the roster changed with the choice")
	}
}

// A span is open as long as the clock shows it, however long the day is.
func TestDaysOnWhichTheClocksChange(t *testing.T) {
	loc := zone(t, "Europe/Zurich")
	for _, c := range []struct {
		day         time.Time
		span        Span
		open, total int // minutes
	}{
		{time.Date(2027, 3, 28, 0, 0, 0, 0, loc), Span{480, 720}, 240, 23 * 60},
		{time.Date(2027, 3, 28, 0, 0, 0, 0, loc), Span{60, 240}, 120, 23 * 60}, // two to three does not exist
		{time.Date(2027, 3, 28, 0, 0, 0, 0, loc), Span{0, 1440}, 23 * 60, 23 * 60},
		{time.Date(2027, 10, 31, 0, 0, 0, 0, loc), Span{480, 720}, 240, 25 * 60},
		{time.Date(2027, 10, 31, 0, 0, 0, 0, loc), Span{60, 240}, 240, 25 * 60}, // two to three comes twice
		{time.Date(2027, 10, 31, 0, 0, 0, 0, loc), Span{0, 1440}, 25 * 60, 25 * 60},
	} {
		h := Hours{time.Sunday: {c.span}}
		open, total := 0, 0
		for at := c.day; at.Weekday() == time.Sunday; at = at.Add(time.Minute) {
			total++
			if h.open(at) {
				open++
			}
		}
		if open != c.open || total != c.total {
			t.Errorf("%s %v: open %d of %d minutes, want %d of %d", c.day.Format(time.DateOnly), c.span, open, total, c.open, c.total)
		}
	}
	// The night before: Saturday 22:00 to Sunday 03:00 ends when the clock
	// first shows three.
	h := Hours{time.Saturday: {{1320, 1620}}}
	for at, want := range map[time.Time]bool{
		time.Date(2027, 3, 28, 0, 59, 0, 0, time.UTC):  true,  // 01:59
		time.Date(2027, 3, 28, 1, 0, 0, 0, time.UTC):   false, // 03:00
		time.Date(2027, 10, 31, 1, 59, 0, 0, time.UTC): true,  // 02:59 the second time
		time.Date(2027, 10, 31, 2, 0, 0, 0, time.UTC):  false,
	} {
		if h.open(at.In(loc)) != want {
			t.Errorf("%s: open is %t", at.In(loc), !want)
		}
	}
}

// questions draws rosters in which every reason to be out occurs.
func questions(t *rapid.T, loc *time.Location) Question {
	ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-f]{1,2}`), 0, 8, rapid.ID[string]).Draw(t, "ids")
	oneOf := func(of ...string) []string {
		return rapid.SliceOfDistinct(rapid.SampledFrom(of), rapid.ID[string]).Draw(t, "some")
	}
	q := Question{
		Now:      time.Unix(rapid.Int64Range(1_790_000_000, 1_830_000_000).Draw(t, "now"), 0),
		Location: loc, Covers: covers, Loads: map[string]Load{},
		Service:  rapid.SampledFrom([]string{"leak", "drain"}).Draw(t, "service"),
		Place:    rapid.SampledFrom([]string{"geneve", "eaux-vives", "carouge"}).Draw(t, "place"),
		Language: rapid.SampledFrom([]string{"fr", "de"}).Draw(t, "language"),
	}
	if rapid.IntRange(0, 9).Draw(t, "holiday") == 0 {
		q.Holiday, q.Closed = "fête", rapid.Bool().Draw(t, "closed")
	}
	day, week := calendar(q.Now.In(loc))
	for _, id := range ids {
		p := Provider{
			ID: id, Active: rapid.IntRange(0, 5).Draw(t, "active") > 0, Priority: rapid.IntRange(1, 2).Draw(t, "priority"),
			Services: oneOf("leak", "drain"), Places: oneOf("geneve", "eaux-vives", "carouge"), Languages: oneOf("fr", "de"),
			Hours: rapid.SampledFrom([]Hours{always, workdays, nil}).Draw(t, "hours"), AfterHours: rapid.Bool().Draw(t, "after"),
			Caps: Caps{Day: rapid.IntRange(0, 3).Draw(t, "day"), Week: rapid.IntRange(0, 5).Draw(t, "week")},
			SMS:  rapid.SampledFrom([]string{"", "+41781234567"}).Draw(t, "sms"), Email: rapid.SampledFrom([]string{"", "a@b.example"}).Draw(t, "email"),
		}
		if rapid.IntRange(0, 5).Draw(t, "leave") == 0 {
			p.Leave = []Leave{{From: day, Until: day}}
		}
		q.Providers = append(q.Providers, p)
		if rapid.Bool().Draw(t, "loaded") {
			q.Loads[id] = Load{
				Day: rapid.SampledFrom([]string{day, "2020-01-01"}).Draw(t, "on"), DayOffers: rapid.IntRange(0, 4).Draw(t, "offers"),
				Week: week, WeekOffers: rapid.IntRange(0, 6).Draw(t, "weekly"),
				LastOfferAt: q.Now.Add(-time.Duration(rapid.IntRange(0, 3).Draw(t, "ago")) * time.Hour),
			}
		}
	}
	return q
}

// eligible is the rule of the trade written down a second time, plainly.
func eligible(q Question, p Provider) bool {
	local := q.Now.In(q.Location)
	day, week := calendar(local)
	load := q.Loads[p.ID]
	if load.Day != day {
		load.DayOffers = 0
	}
	if load.Week != week {
		load.WeekOffers = 0
	}
	for _, l := range p.Leave {
		if day >= l.From && day <= l.Until {
			return false
		}
	}
	open := p.Hours.open(local) && q.Holiday == ""
	return p.Active && !q.Closed && slices.Contains(p.Services, q.Service) && covers(p.Places, q.Place) &&
		(open || p.AfterHours) && (p.Caps.Day == 0 || load.DayOffers < p.Caps.Day) &&
		(p.Caps.Week == 0 || load.WeekOffers < p.Caps.Week) && p.SMS+p.WhatsApp+p.Email != ""
}

func TestTheChosenOneIsEligibleAndFirst(t *testing.T) {
	loc := zone(t, "Europe/Zurich")
	rapid.Check(t, func(t *rapid.T) {
		q := questions(t, loc)
		trace, chosen := Choose(q)
		byID := map[string]Provider{}
		for _, p := range q.Providers {
			byID[p.ID] = p
		}
		first := ""
		for _, v := range trace {
			if v.Provider == "" {
				continue
			}
			p, ok := byID[v.Provider]
			delete(byID, v.Provider)
			if !ok || v.Reason == "" || v.In != eligible(q, p) {
				t.Fatalf("%+v of %+v", v, p)
			}
			if v.In && first == "" {
				first = v.Provider
			}
		}
		for _, p := range byID { // counted
			if slices.Contains(p.Services, q.Service) && covers(p.Places, q.Place) {
				t.Fatalf("%s is not in the trace", p.ID)
			}
		}
		if got := chosen; (got == nil) != (first == "") || got != nil && got.ID != first {
			t.Fatalf("chosen %v, first eligible %q", got, first)
		}
	})
}

func TestTheChoiceIsIndifferentToOrderAndToWhoIsOut(t *testing.T) {
	loc := zone(t, "Europe/Zurich")
	rapid.Check(t, func(t *rapid.T) {
		q := questions(t, loc)
		trace, chosen := Choose(q)

		shuffled := q
		shuffled.Providers = slices.Clone(q.Providers)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "shuffle"), 1))
		r.Shuffle(len(shuffled.Providers), func(i, j int) {
			shuffled.Providers[i], shuffled.Providers[j] = shuffled.Providers[j], shuffled.Providers[i]
		})
		again, same := Choose(shuffled)
		if d := cmp.Diff(trace, again) + cmp.Diff(chosen, same); d != "" {
			t.Fatalf("another order, another answer:\n%s", d)
		}

		without := q
		without.Providers = slices.DeleteFunc(slices.Clone(q.Providers), func(p Provider) bool { return !eligible(q, p) })
		if _, same := Choose(without); cmp.Diff(chosen, same) != "" {
			t.Fatalf("those who are out changed the choice from %v to %v", chosen, same)
		}
	})
}

func TestDaysAndWeeksRollOver(t *testing.T) {
	loc := zone(t, "Asia/Makassar")
	at := func(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 0, 0, 0, loc) }
	l := Load{}.Reserve(at(22, 23), loc) // Sunday night, still UTC's Sunday
	l = l.Reserve(at(22, 23), loc)
	if d := cmp.Diff(Load{Day: "2026-11-22", DayOffers: 2, Week: "2026-11-16", WeekOffers: 2, LastOfferAt: at(22, 23).UTC()}, l); d != "" {
		t.Error(d)
	}
	monday := l.Reserve(at(23, 1), loc) // in UTC it is still Sunday
	if d := cmp.Diff(Load{Day: "2026-11-23", DayOffers: 1, Week: "2026-11-23", WeekOffers: 1, LastOfferAt: at(23, 1).UTC()}, monday); d != "" {
		t.Error(d)
	}
	tuesday := monday.Reserve(at(24, 1), loc)
	if tuesday.DayOffers != 1 || tuesday.WeekOffers != 2 {
		t.Errorf("on Tuesday %+v", tuesday)
	}
	late := tuesday.Reserve(at(23, 23), loc) // a replica whose clock is behind
	if late.Day != "2026-11-24" || late.DayOffers != 2 || !late.LastOfferAt.Equal(at(24, 1)) {
		t.Errorf("a late clock took the day back: %+v", late)
	}
	if back := tuesday.Release(at(24, 1), loc); back.DayOffers != 0 || back.WeekOffers != 1 {
		t.Errorf("released %+v", back)
	}
	if back := tuesday.Release(at(23, 1), loc); back.DayOffers != 1 || back.WeekOffers != 1 {
		t.Errorf("a slot of Monday was taken from Tuesday: %+v", back)
	}
}

func TestReleaseUndoesReserve(t *testing.T) {
	loc := zone(t, "Europe/Zurich")
	rapid.Check(t, func(t *rapid.T) {
		at := func() time.Time { return time.Unix(rapid.Int64Range(1_790_000_000, 1_830_000_000).Draw(t, "at"), 0) }
		var l Load
		for range rapid.IntRange(0, 5).Draw(t, "before") {
			l = l.Reserve(at(), loc)
		}
		now := at()
		before := l.at(calendar(now.In(loc)))
		taken := l.Reserve(now, loc)
		if taken.DayOffers != before.DayOffers+1 || taken.WeekOffers != before.WeekOffers+1 || taken.LastOfferAt.Before(before.LastOfferAt) {
			t.Fatalf("%+v became %+v", before, taken)
		}
		back := taken.Release(now, loc)
		if day, _ := calendar(now.In(loc)); before.Day == day && back.DayOffers != before.DayOffers {
			t.Fatalf("%+v became %+v", before, back)
		}
		if back.DayOffers < 0 || back.WeekOffers < 0 {
			t.Fatalf("%+v", back)
		}
	})
}

func BenchmarkChoose(b *testing.B) {
	q := ask(b)
	for i := range 200 {
		id := string(rune('a'+i/26)) + string(rune('a'+i%26))
		q.Providers = append(q.Providers, plumber(id))
		q.Loads[id] = Load{Day: "2026-11-23", DayOffers: i, LastOfferAt: q.Now.Add(-time.Duration(i) * time.Minute)}
	}
	for b.Loop() {
		if _, chosen := Choose(q); chosen == nil {
			b.Fatal("nobody")
		}
	}
}
