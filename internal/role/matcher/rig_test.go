package matcher

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/bus/bustest"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
	"leadbus/internal/understand/intake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const domain = "plombiers.example"

// monday is a working day; tests move from there.
var monday = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func catalog(t testing.TB) *site.Catalog {
	t.Helper()
	zurich, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		t.Fatal(err)
	}
	service := func(id, fr, en string) *site.Service {
		return &site.Service{ID: id, Names: map[string]string{"fr": fr, "en": en}, Phrases: map[string][]string{"fr": {fr}, "en": {en}}}
	}
	return &site.Catalog{
		Markets: map[string]*site.Market{"ch": {
			ID: "ch", Country: "CH", Zone: "Europe/Zurich", Location: zurich, Languages: []string{"fr", "en"},
			Holidays: []site.Holiday{{Date: "2026-12-25", Name: "Noël"}, {Date: "2026-12-31", Name: "Nyepi", Closed: true}},
			Places: []site.Place{
				{ID: "geneve", Name: "Genève", Postcodes: []string{"1204"}},
				{ID: "eaux-vives", Name: "Eaux-Vives", Parent: "geneve", Postcodes: []string{"1207"}},
				{ID: "carouge", Name: "Carouge", Postcodes: []string{"1227"}},
			},
			Decoys: []site.Decoy{{Name: "Lausanne"}},
		}},
		Sites: map[string]*site.Site{domain: {
			Domain: domain, URL: "https://" + domain, Market: "ch", DID: "+41225394512",
			Services: []site.SiteService{{ID: "plumbing.leak"}, {ID: "plumbing.boiler"}},
			Places:   []string{"geneve", "carouge"}, Languages: []string{"fr", "en"},
		}},
		Services: map[string]*site.Service{
			"plumbing.leak": service("plumbing.leak", "fuite", "leak"), "plumbing.boiler": service("plumbing.boiler", "chaudière", "boiler"),
		},
	}
}

// rig is a real bus with one market, and clocks that tests set.
type rig struct {
	t       testing.TB
	bus     *bustest.Bus
	catalog *site.Catalog
	reader  *intake.Reader
	edge    *bus.Conn
	matcher *bus.Conn
	roster  *bus.Bucket // as the recorder writes it
	load    *bus.Bucket

	mu  sync.Mutex
	now time.Time
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, bus: bustest.New(t), catalog: catalog(t), now: monday}
	r.reader = intake.New(r.catalog)
	r.edge, r.matcher = r.connect(subjects.Edge), r.connect("ch-matcher")
	r.roster = r.bucket(r.connect("ch-recorder"), subjects.BucketRoster)
	r.load = r.bucket(r.matcher, subjects.BucketLoad)
	return r
}

func (r *rig) connect(user string) *bus.Conn {
	r.t.Helper()
	return r.bus.Connect(r.t, user)
}

func (r *rig) bucket(c *bus.Conn, name string) *bus.Bucket {
	r.t.Helper()
	return bustest.Bucket(r.t, c, name)
}

// clock never stands still, so that of two offers one was the later.
func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(time.Microsecond)
	return r.now
}

func (r *rig) set(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = at
}

// options are those of a matcher on the real bus.
func (r *rig) options() Options {
	return Options{
		Catalog: r.catalog, Market: "ch", Stream: r.matcher, Roster: r.bucket(r.matcher, subjects.BucketRoster), Load: r.load,
		Watch: r.bucket(r.matcher, subjects.BucketWatch), People: r.bucket(r.matcher, subjects.BucketPeople), Timers: r.matcher, Now: r.clock, Log: zerolog.Nop(),
	}
}

// start runs a matcher until the test or stop ends it, and waits until it is
// ready.
func (r *rig) start(o Options) (m *Matcher, stop func()) {
	r.t.Helper()
	m = New(o)
	stop = await.Background(r.t, m.Run)
	await.True(r.t, "ready", m.Ready)
	return m, stop
}

// consume hands the durable's deliveries to a matcher.
func (r *rig) consume(c *bus.Conn, m *Matcher, workers int) (stop func()) {
	r.t.Helper()
	return await.Background(r.t, func(ctx context.Context) error { return c.Consume(ctx, subjects.Matcher, workers, m.Handle) })
}

func plumber(id string, change ...func(*roster.Provider)) roster.Provider {
	day := []roster.Span{{From: 8 * 60, Until: 18 * 60}}
	p := roster.Provider{
		ID: id, Market: "ch", Name: "Plombier " + id, Active: true, Priority: 1,
		Services: []string{"plumbing.leak", "plumbing.boiler"}, Places: []string{"geneve", "carouge"}, Languages: []string{"fr"},
		Hours: roster.Hours{
			time.Monday: day, time.Tuesday: day, time.Wednesday: day, time.Thursday: day, time.Friday: day,
		},
		SMS: "+41781234567",
	}
	for _, c := range change {
		c(&p)
	}
	return p
}

func (r *rig) employ(providers ...roster.Provider) {
	r.t.Helper()
	for _, p := range providers {
		value, err := json.Marshal(p)
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := r.roster.Put(r.t.Context(), p.ID, value); err != nil {
			r.t.Fatal(err)
		}
	}
}

// leak is a complete request.
func leak() lead.Request {
	return lead.Request{
		ConversationID: "conv_1", CustomerName: "Marta Rossi", CallbackNumber: "079 415 22 33", Language: "fr",
		ServiceType: "fuite", City: "Eaux-Vives", IssueSummary: "le lavabo fuit",
	}
}

// call makes the event the edge would publish, without publishing it.
func (r *rig) call(conversation string, req lead.Request) event.Event {
	r.t.Helper()
	req.ConversationID = conversation
	id := lead.NewID(domain, conversation)
	eventID, err := event.ContentID(subjects.Received, id, req)
	if err != nil {
		r.t.Fatal(err)
	}
	return event.Event{
		ID: eventID, At: r.clock(), Lead: subjects.Lead{Market: "ch", Site: domain, Event: subjects.Received, Lead: id},
		Body: &event.Received{Lead: r.reader.Understand(r.catalog.Sites[domain], id, req, r.clock(), nil), Raw: json.RawMessage(`{}`)},
	}
}

// receive publishes a call and returns its delivery.
func (r *rig) receive(conversation string, req lead.Request) event.Delivery {
	r.t.Helper()
	e := r.call(conversation, req)
	if err := r.edge.Publish(r.t.Context(), e); err != nil {
		r.t.Fatal(err)
	}
	for _, there := range r.events(e.Lead.Lead) {
		if there.ID == e.ID {
			return event.Delivery{Event: there, Attempt: 1}
		}
	}
	r.t.Fatal("the call is not on the stream")
	return event.Delivery{}
}

func (r *rig) events(id string) []event.Event {
	r.t.Helper()
	events, err := r.matcher.Events(r.t.Context(), subjects.Lead{Market: "ch", Lead: id})
	if err != nil {
		r.t.Fatal(err)
	}
	return events
}

// story is what was decided on a lead, one line each.
func (r *rig) story(id string) []string {
	r.t.Helper()
	var out []string
	for _, e := range r.events(id) {
		b, ok := e.Body.(*event.Decided)
		switch {
		case !ok:
		case b.Provider != nil:
			out = append(out, e.Lead.Event+" "+b.Provider.ID)
		default:
			out = append(out, e.Lead.Event+": "+b.Reason)
		}
	}
	return out
}

// offers are how many were counted for a provider today.
func (r *rig) offers(provider string) int {
	r.t.Helper()
	all, err := r.load.All(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(e event.Entry) bool { return e.Key == provider })
	if i < 0 {
		return 0
	}
	var l roster.Load
	if err := json.Unmarshal(all[i].Value, &l); err != nil {
		r.t.Fatal(err)
	}
	return l.DayOffers
}

func handle(t testing.TB, m *Matcher, d event.Delivery) {
	t.Helper()
	if err := m.Handle(t.Context(), d); err != nil {
		t.Fatalf("handle: %v", err)
	}
}

func conversation(i int) string { return fmt.Sprintf("conv_%d", i) }

// impersonal fails when a text holds anything of the caller.
func impersonal(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		for _, secret := range []string{"Marta", "marta", "079", "794152233", "lavabo", "Rossi"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q tells who called", text)
			}
		}
	}
}
