package edge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/bus/bustest"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/local/await"
	"leadbus/internal/role/edge"
	"leadbus/internal/role/matcher"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

// market is two edges and two matchers of market ch on one real bus.
type market struct {
	t        testing.TB
	bus      *bustest.Bus
	conn     *bus.Conn // with a matcher's rights
	matchers []*matcher.Matcher
	edges    []*httptest.Server
	links    *link.Signer
	load     *bus.Bucket
	clock    atomic.Int64 // nanoseconds since now
	log      *quiet
	leads    atomic.Int64
	asks     atomic.Int64 // questions that are passed on before the matchers are out of reach
	stop     []func()     // of the answers
}

// quiet keeps what the edges log.
type quiet struct {
	mu  sync.Mutex
	all strings.Builder
}

func (q *quiet) Write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.all.Write(p)
}

func newMarket(t testing.TB) *market {
	t.Helper()
	zurich, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		t.Fatal(err)
	}
	catalog := &site.Catalog{
		Markets: map[string]*site.Market{
			"ch": {ID: "ch", Country: "CH", Zone: "Europe/Zurich", Location: zurich, Languages: []string{"fr"}, Places: []site.Place{{ID: "carouge", Name: "Carouge"}}},
			"id": {ID: "id", Country: "ID", Location: time.UTC},
		},
		Sites: map[string]*site.Site{"a.ch": {
			Domain: "a.ch", Market: "ch", Brand: "Plombiers & Cie", Languages: []string{"fr"}, Places: []string{"carouge"},
			Owner:    site.Owner{Email: "owner@mail.example", Language: "en"},
			Services: []site.SiteService{{ID: "plumbing.leak"}, {ID: "dental.pain"}}, Dispatch: site.Dispatch{Mode: lead.Exclusive},
		}},
		Services: map[string]*site.Service{
			"plumbing.leak": {ID: "plumbing.leak", Names: map[string]string{"en": "Water leak", "fr": "Fuite d'eau"}},
			"dental.pain":   {ID: "dental.pain", Names: map[string]string{"en": "Toothache"}, Sensitive: true},
		},
	}
	m := &market{t: t, bus: bustest.New(t), links: link.New("the secret"), log: &quiet{}}
	m.asks.Store(1 << 30)
	at := func() time.Time { return now.Add(time.Duration(m.clock.Add(1000))) }
	providers := bustest.Bucket(t, m.bus.Connect(t, "ch-recorder"), subjects.BucketRoster)
	for _, id := range []string{"anna", "bruno", "carla"} {
		value, err := json.Marshal(provider(id))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := providers.Put(t.Context(), id, value); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		m.conn = m.bus.Connect(t, "ch-matcher")
		c := m.conn
		m.load = bustest.Bucket(t, c, subjects.BucketLoad)
		r := matcher.New(matcher.Options{
			Catalog: catalog, Market: "ch", Stream: c, Roster: bustest.Bucket(t, c, subjects.BucketRoster), Load: m.load,
			Watch: bustest.Bucket(t, c, subjects.BucketWatch), Timers: c, Now: at, Log: zerolog.Nop(),
		})
		await.Background(t, r.Run)
		await.True(t, "the matcher is ready", r.Ready)
		await.Background(t, func(ctx context.Context) error { return c.Consume(ctx, subjects.Matcher, 16, r.Handle) })
		m.stop = append(m.stop, await.Background(t, func(ctx context.Context) error { return c.Answer(ctx, "ch", 16, r.View) }))
		m.matchers = append(m.matchers, r)

		toEdge := m.bus.Connect(t, subjects.Edge)
		spool, err := bus.OpenSpool(t.Context(), toEdge, bus.SpoolOptions{Dir: t.TempDir(), Markets: []string{"ch", "id"}, Log: zerolog.Nop(), Registry: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(spool.Close)
		s := httptest.NewServer(edge.New(edge.Options{
			Catalog: catalog, Publisher: spool, Links: m.links, Secret: func(string) string { return "" },
			Ask: func(ctx context.Context, of subjects.Lead, question []byte) ([]byte, error) {
				if m.asks.Add(-1) < 0 {
					return nil, context.DeadlineExceeded
				}
				return toEdge.Ask(ctx, of, question)
			},
			Now: at, Log: zerolog.New(m.log), Registry: prometheus.NewRegistry(),
		}))
		s.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 64
		t.Cleanup(s.Close)
		m.edges = append(m.edges, s)
		await.True(t, "the matcher answers", func() bool {
			_, err := toEdge.Ask(t.Context(), subjects.Lead{Market: "ch", Site: "a.ch", Lead: "none"}, []byte("{}"))
			return err == nil
		})
	}
	t.Cleanup(func() {
		for _, secret := range secrets {
			if strings.Contains(m.log.all.String(), secret) {
				t.Errorf("the log tells %q", secret)
			}
		}
	})
	return m
}

func provider(id string) roster.Provider {
	day := []roster.Span{{From: 0, Until: 24 * 60}}
	hours := roster.Hours{}
	for d := range time.Weekday(7) {
		hours[d] = day
	}
	return roster.Provider{
		ID: id, Market: "ch", Name: "Plombier " + id, Active: true, Priority: 1, Services: []string{"plumbing.leak", "dental.pain"},
		Places: []string{"carouge"}, Languages: []string{"xx", "en", "fr"}, Hours: hours, SMS: "+41781234567",
	}
}

// secrets name the customer.
var secrets = []string{"Marta", "Rossi", "794152233", "224152233", "rue du Lac", "lavabo"}

// offered is a lead that was offered to providers.
type offered struct {
	subjects.Lead
	offers []string
}

// offer stores a lead and its match with providers.
func (m *market) offer(mode, service string, to ...string) offered {
	m.t.Helper()
	id := lead.NewID("a.ch", fmt.Sprint("conv_", m.leads.Add(1)))
	l := lead.Lead{
		ID: id, Ref: lead.Ref(id), Market: "ch", Site: "a.ch", Language: "fr", ReceivedAt: now,
		Service: lead.Service{ID: service}, Place: lead.Place{ID: "carouge", Name: "Carouge"}, Phone: lead.Phone{E164: "+41794152233", Second: "+41224152233"},
		Request: lead.Request{CustomerName: "Marta Rossi", AddressLine: "rue du Lac 3", IssueSummary: "le <b>lavabo</b> fuit", Urgency: "urgent", PreferredWindow: "before noon"},
	}
	b := &event.Decided{Lead: l, Mode: mode, Trace: roster.Trace{{Provider: "anna", Name: "Plombier anna", In: true, Reason: "chosen"}, {Provider: "carla", Name: "Plombier carla", Reason: "closed today"}}}
	if mode != "" {
		b.Until = now.Add(time.Hour)
	}
	o := offered{Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: subjects.Matched, Lead: id}}
	for i, to := range to {
		p := provider(to)
		o.offers = append(o.offers, lead.OfferID(id, to))
		if i == 0 {
			b.Offer, b.Provider = o.offers[0], &p
		} else {
			b.Rivals = append(b.Rivals, event.Rival{Offer: o.offers[i], Provider: p})
		}
	}
	if err := m.conn.Publish(m.t.Context(), event.Event{ID: "matched-" + id, At: now, Lead: o.Lead, Body: b}); err != nil {
		m.t.Fatal(err)
	}
	o.Event = ""
	return o
}

func (m *market) providerLink(o offered, i int) string {
	return m.links.Token(link.Link{Market: "ch", Site: "a.ch", ID: o.Lead.Lead, Asks: link.Offer, Offer: o.offers[i], Until: now.Add(link.Life)})
}

func (m *market) ownerLink(o offered) string {
	return m.links.Token(link.Link{Market: "ch", Site: "a.ch", ID: o.Lead.Lead, Asks: link.Lead, Until: now.Add(link.Life)})
}

// do asks an edge for a page, or with a form posts it.
func (m *market) do(i int, token string, form url.Values) (shown, string) {
	m.t.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, m.edges[i].URL+link.Path+token, body)
	if err != nil {
		m.t.Error(err)
		return shown{}, ""
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := m.edges[i].Client().Do(req)
	if err != nil {
		m.t.Error(err)
		return shown{}, ""
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		m.t.Error(err)
	}
	return shown{res.Header, res.StatusCode, res.Status}, strings.ReplaceAll(string(text), "&#43;", "+")
}

// shows repeats do, as a reader would, while the matchers have no time to answer.
func (m *market) shows(i int, token string, form url.Values) (res shown, body string) {
	m.t.Helper()
	await.True(m.t, "the page is shown", func() bool {
		res, body = m.do(i, token, form)
		return res.StatusCode != http.StatusServiceUnavailable
	})
	return res, body
}

// page gets or posts, and checks status, words that are there, and the headers.
func (m *market) page(token string, form url.Values, status int, words ...string) string {
	m.t.Helper()
	res, body := m.shows(0, token, form)
	if res.StatusCode != status {
		m.t.Errorf("%s, want %d: %s", res.Status, status, body)
	}
	for _, w := range words {
		if !strings.Contains(body, w) {
			m.t.Errorf("no %q in %s", w, body)
		}
	}
	if csp := res.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || res.Get("Cache-Control") != "no-store" {
		m.t.Errorf("headers %v", res.Header)
	}
	return body
}

// tap is a form with what the page of a link holds.
func (m *market) tap(token string, form url.Values) url.Values {
	m.t.Helper()
	_, body := m.shows(1, token, nil)
	for _, hidden := range regexp.MustCompile(`name="(turn|seq)" value="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		form.Set(hidden[1], hidden[2])
	}
	return form
}

func answer(with ...string) url.Values {
	v := url.Values{"answer": with[:1]}
	for i := 1; i < len(with); i += 2 {
		v.Set(with[i], with[i+1])
	}
	return v
}

func (m *market) impersonal(body string) {
	m.t.Helper()
	for _, secret := range secrets {
		if strings.Contains(body, secret) {
			m.t.Errorf("the page tells %q: %s", secret, body)
		}
	}
}

// said are the answers and orders that the market has of a lead.
func (m *market) said(o offered) (all []any) {
	m.t.Helper()
	events, err := m.conn.Events(m.t.Context(), o.Lead)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, e := range events {
		if e.Lead.Event == subjects.ProviderReplied || e.Lead.Event == subjects.OwnerDecided {
			all = append(all, e.Body)
		}
	}
	return all
}

func TestAProviderAcceptsAndReports(t *testing.T) {
	m := newMarket(t)
	o := m.offer(lead.Exclusive, "plumbing.leak", "anna")
	token := m.providerLink(o, 0)
	for range 3 {
		m.impersonal(m.page(token, nil, 200, "A request for you", "Plombiers &amp; Cie", "Water leak, Carouge", "Urgent", "10:00", "before noon",
			`lang="en"`, `value="accept"`, `value="decline"`, `value="leave"`))
	}
	if said := m.said(o); said != nil {
		t.Errorf("looking at it answered %v", said)
	}
	for _, early := range []string{event.Done, event.Reached} { // nobody has it yet
		m.impersonal(m.page(token, answer(early), 200, `value="accept"`))
	}
	for range 2 { // the same tap twice
		body := m.page(token, answer(event.Accept), 200, "You have it", "Marta Rossi", `href="tel:+41794152233"`, `href="tel:+41224152233"`, "rue du Lac 3",
			"le &lt;b&gt;lavabo&lt;/b&gt; fuit", `value="reached"`, `value="done"`, "I cannot do it after all")
		if strings.Contains(body, `value="accept"`) {
			t.Error("it can be accepted again")
		}
	}
	m.page(token, m.tap(token, answer(event.NotReached)), 200, "this is noted", "You reported", "Not reached")
	m.page(token, m.tap(token, answer(event.Reached)), 200, "Reached the customer")
	m.page(token, m.tap(token, answer(event.NotReached)), 200, "Not reached")
	m.page(token, answer(event.Done, "value", strings.Repeat("9", 41)), 422, "too long")
	m.page(token, answer(event.Done, "value", " 450\n CHF "), 200, "this is noted", "Job done")
	want := []any{
		&event.Replied{Offer: o.offers[0], Provider: "anna", Answer: event.Accept},
		&event.Replied{Offer: o.offers[0], Provider: "anna", Answer: event.NotReached},
		&event.Replied{Offer: o.offers[0], Provider: "anna", Answer: event.Reached},
		&event.Replied{Offer: o.offers[0], Provider: "anna", Answer: event.NotReached},
		&event.Replied{Offer: o.offers[0], Provider: "anna", Answer: event.Done, Value: "450 CHF"},
	}
	if d := cmp.Diff(want, m.said(o)); d != "" {
		t.Error(d)
	}
}

func TestANotifiedProviderSeesTheCustomerAtOnce(t *testing.T) {
	m := newMarket(t)
	o := m.offer("", "dental.pain", "anna")
	token := m.providerLink(o, 0)
	if body := m.page(token, nil, 200, "Toothache", "Marta Rossi", "tel:+41794152233", "rue du Lac", `value="accept"`); strings.Contains(body, "lavabo") {
		t.Error("details of a sensitive service are told before it is accepted")
	}
	m.page(token, answer(event.Accept), 200, "You have it", "lavabo")
}

func TestAnOfferThatIsOverSaysSo(t *testing.T) {
	m := newMarket(t)
	over := func(o offered, i int, words ...string) {
		t.Helper()
		for _, form := range []url.Values{nil, answer(event.Accept), answer(event.Reached)} {
			if body := m.page(m.providerLink(o, i), form, 200, words...); strings.Contains(body, "<form") {
				t.Errorf("%v can be answered: %s", words, body)
			} else {
				m.impersonal(body)
			}
		}
	}
	taken := m.offer(lead.Broadcast, "plumbing.leak", "anna", "bruno")
	m.page(m.providerLink(taken, 1), answer(event.Accept), 200, "You have it")
	over(taken, 0, "Already taken")

	declined := m.offer(lead.Exclusive, "plumbing.leak", "anna")
	token := m.providerLink(declined, 0)
	m.page(token, answer(event.Decline), 422, "choose")
	m.page(token, answer(event.Decline, "reason", "gold"), 422, "choose")
	m.page(token, answer(event.Decline, "reason", "other", "text", strings.Repeat("é", 201)), 422, "too long")
	m.page(token, answer(event.Decline, "reason", "other", "text", "my van\x00 is broken"), 200, "Declined by you", "Other: my van is broken")
	over(declined, 0, "Declined by you")
	if d := cmp.Diff([]any{&event.Replied{Offer: declined.offers[0], Provider: "anna", Answer: event.Decline, Reason: "other: my van is broken"}}, m.said(declined)); d != "" {
		t.Error(d)
	}

	given := m.offer(lead.Exclusive, "plumbing.leak", "anna") // accepted, and given back
	m.page(m.providerLink(given, 0), answer(event.Accept), 200, "Marta")
	m.page(m.providerLink(given, 0), answer(event.Decline, "reason", "no_time"), 200, "Declined by you")
	over(given, 0, "Declined by you")

	cancelled := m.offer(lead.Exclusive, "plumbing.leak", "anna")
	m.page(m.ownerLink(cancelled), m.tap(m.ownerLink(cancelled), answer(event.Cancel)), 200, "The request is cancelled")
	over(cancelled, 0, "Cancelled")

	moved := m.offer(lead.Exclusive, "plumbing.leak", "anna")
	m.page(m.ownerLink(moved), m.tap(m.ownerLink(moved), answer(event.Next)), 200, "next provider")
	over(moved, 0, "Withdrawn")

	expired := m.offer(lead.Exclusive, "plumbing.leak", "anna")
	m.clock.Add(int64(61 * time.Minute))
	if err := m.matchers[0].Route(t.Context(), expired.Lead); err != nil {
		t.Fatal(err)
	}
	over(expired, 0, "The time is over")
}

func TestAProviderGoesOnLeave(t *testing.T) {
	m := newMarket(t)
	o := m.offer(lead.Exclusive, "plumbing.leak", "anna")
	token := m.providerLink(o, 0)
	for _, day := range []string{"", "2026-11-22", "2027-11-24", "2026-13-01", "tomorrow", "2026-11-24x"} {
		m.page(token, answer(event.Leave, "until", day), 422, "a year ahead")
	}
	m.page(token, answer(event.Leave, "until", "2026-11-30"), 200, "until your leave is over", "On leave")
	if d := cmp.Diff([]any{&event.Replied{Offer: o.offers[0], Provider: "anna", Answer: event.Leave, Until: "2026-11-30"}}, m.said(o)); d != "" {
		t.Error(d)
	}
	await.True(t, "anna gets nothing until then", func() bool {
		e, err := m.load.Get(t.Context(), "anna")
		return err == nil && strings.Contains(string(e.Value), "2026-11-30")
	})
}

func TestALinkThatIsNotOursShowsNothing(t *testing.T) {
	m := newMarket(t)
	o, other := m.offer("", "plumbing.leak", "anna"), m.offer("", "plumbing.leak", "bruno")
	whole := link.Link{Market: "ch", Site: "a.ch", ID: o.Lead.Lead, Asks: link.Offer, Offer: o.offers[0], Until: now.Add(link.Life)}
	change := func(f func(*link.Link)) string {
		l := whole
		f(&l)
		return m.links.Token(l)
	}
	for name, token := range map[string]string{
		"forged":                link.New("another secret").Token(whole),
		"another market's":      change(func(l *link.Link) { l.Market = "id" }),
		"another lead's":        change(func(l *link.Link) { l.ID = other.Lead.Lead }),
		"an offer of another":   change(func(l *link.Link) { l.Offer = other.offers[0] }),
		"no offer":              change(func(l *link.Link) { l.Offer = "" }),
		"an offer for an owner": change(func(l *link.Link) { l.Asks = link.Lead }),
		"a lead never seen":     change(func(l *link.Link) { l.ID = "never" }),
		"all leads":             change(func(l *link.Link) { l.ID = ">" }),
		"expired":               change(func(l *link.Link) { l.Until = now.Add(-time.Second) }),
	} {
		for _, form := range []url.Values{nil, answer(event.Accept), answer(event.Cancel)} {
			res, body := m.do(0, token, form)
			if res.StatusCode == http.StatusServiceUnavailable && name != "all leads" {
				res, body = m.shows(0, token, form)
			}
			if res.StatusCode != http.StatusNotFound && (name != "all leads" || res.StatusCode != http.StatusServiceUnavailable) {
				t.Errorf("%s: %s", name, res.Status)
			}
			if strings.Contains(body, "<form") || strings.Contains(body, "Carouge") {
				t.Errorf("%s shows %s", name, body)
			}
			m.impersonal(body)
		}
	}
	if said := append(m.said(o), m.said(other)...); said != nil {
		t.Errorf("answered %v", said)
	}
}

func TestWithoutAMatcherNothingIsShown(t *testing.T) {
	m := newMarket(t)
	o := m.offer("", "plumbing.leak", "anna")
	for _, stop := range m.stop {
		stop()
	}
	for _, token := range []string{m.providerLink(o, 0), m.ownerLink(o)} {
		for _, form := range []url.Values{nil, answer(event.Accept)} {
			res, body := m.do(0, token, form)
			if res.StatusCode != http.StatusServiceUnavailable || res.Get("Retry-After") == "" || !strings.Contains(body, "<title>") || strings.Contains(body, "<form") {
				t.Errorf("%s: %s", res.Status, body)
			}
			m.impersonal(body)
		}
	}
	if said := m.said(o); said != nil {
		t.Errorf("answered %v", said)
	}
}

// The matchers go out of reach between the look at the offer and the answer.
func TestAnAnswerThatIsNotSeenIsStoredAllTheSame(t *testing.T) {
	m := newMarket(t)
	o := m.offer(lead.Exclusive, "plumbing.leak", "anna")
	m.asks.Store(1)
	m.impersonal(m.page(m.providerLink(o, 0), answer(event.Accept), 200, "takes effect in a moment"))
	m.asks.Store(1 << 30)
	m.page(m.providerLink(o, 0), nil, 200, "You have it", "Marta Rossi")
}

func TestTheOwnerDecides(t *testing.T) {
	m := newMarket(t)
	o := m.offer(lead.Exclusive, "plumbing.leak", "anna")
	token := m.ownerLink(o)
	for range 2 {
		body := m.page(token, nil, 200, "Marta Rossi", "tel:+41794152233", "lavabo", "Plombier anna", "Plombier carla: closed today", `<option value="bruno">Plombier bruno</option>`,
			`value="assign"`, `value="next"`, `value="cancel"`, `value="spam"`, `value="duplicate"`)
		for _, not := range []string{`value="reopen"`, `value="won"`, `value="lost"`} { // nobody was told yet
			if strings.Contains(body, not) {
				t.Errorf("%s is offered", not)
			}
		}
	}
	m.page(token, answer(event.Next), 409, "changed meanwhile") // of no page
	m.page(token, m.tap(token, answer(event.Won)), 409, "cannot be done")
	m.page(token, m.tap(token, answer(event.Assign, "provider", "zoe")), 422, "choose")
	m.page(token, m.tap(token, answer(event.Duplicate, "of", "two words")), 422, "no id")
	m.page(token, m.tap(token, answer(event.Duplicate, "of", o.Lead.Lead)), 422, "no id")
	m.page(token, m.tap(token, answer("burn")), 422, "choose")
	if said := m.said(o); said != nil {
		t.Fatalf("ordered %v", said)
	}

	next := m.tap(token, answer(event.Assign, "provider", "bruno"))
	for range 2 { // the same tap twice
		m.page(token, next, 200, "whom you chose")
	}
	m.page(token, nil, 200, "<li>Plombier bruno, 09:00: to be told", "chosen by the owner") // it was carried out already
	m.page(m.providerLink(offered{o.Lead, []string{lead.OfferID(o.Lead.Lead, "bruno")}}, 0), answer(event.Accept), 200, "You have it")
	m.page(token, next, 200, "whom you chose") // even now
	m.page(token, m.tap(token, answer(event.Won, "value", "450 CHF")), 200, "counts as won", "450 CHF")
	m.page(token, m.tap(token, answer(event.Cancel)), 409, "cannot be done", "Won")
	m.page(token, m.tap(token, answer(event.Lost, "reason", "price", "text", "by 10 CHF")), 200, "counts as lost", "Lost: Price: by 10 CHF")
	m.page(token, m.tap(token, answer(event.Reopen)), 200, "open again")
	want := []any{
		&event.Ordered{Order: event.Assign, Provider: "bruno"},
		&event.Replied{Offer: lead.OfferID(o.Lead.Lead, "bruno"), Provider: "bruno", Answer: event.Accept},
		&event.Ordered{Order: event.Won, Value: "450 CHF"},
		&event.Ordered{Order: event.Lost, Reason: "price: by 10 CHF"},
		&event.Ordered{Order: event.Reopen},
	}
	if d := cmp.Diff(want, m.said(o)); d != "" {
		t.Error(d)
	}
	for order, form := range map[string]url.Values{
		"spam": answer(event.Spam), "a repeat of the other": answer(event.Duplicate, "of", " 7K2MQ9 "), "next provider": answer(event.Next),
	} {
		o := m.offer("", "plumbing.leak", "anna")
		m.page(m.ownerLink(o), m.tap(m.ownerLink(o), form), 200, order)
	}
}

// Two people accept at the same moment on two edges, and two matchers show them
// what became of it.
func TestOneOfTwoHasIt(t *testing.T) {
	m := newMarket(t)
	const rounds, atOnce = 1000, 16
	var wg sync.WaitGroup
	todo := make(chan struct{})
	var won [2]atomic.Int64
	var crossed atomic.Int64 // both accepted before either was seen
	for range atOnce {
		wg.Go(func() {
			for range todo {
				o := m.offer(lead.Broadcast, "plumbing.leak", "anna", "bruno")
				var has, taken atomic.Int64
				var both sync.WaitGroup
				for i := range 2 {
					both.Go(func() {
						_, body := m.shows(i, m.providerLink(o, i), answer(event.Accept))
						for strings.Contains(body, "takes effect in a moment") {
							_, body = m.shows(i, m.providerLink(o, i), nil)
						}
						switch {
						case strings.Contains(body, "You have it") && strings.Contains(body, "Marta"):
							has.Add(1)
							won[i].Add(1)
						case strings.Contains(body, "Already taken") && !strings.Contains(body, "Marta"):
							taken.Add(1)
						default:
							t.Error(body)
						}
					})
				}
				both.Wait()
				if len(m.said(o)) == 2 {
					crossed.Add(1)
				}
				if has.Load() != 1 || taken.Load() != 1 {
					t.Errorf("%d have it, for %d it is taken", has.Load(), taken.Load())
				}
			}
		})
	}
	start := time.Now()
	for range rounds {
		todo <- struct{}{}
	}
	close(todo)
	wg.Wait()
	t.Logf("%s; anna has %d, bruno %d; %d were accepted twice", time.Since(start), won[0].Load(), won[1].Load(), crossed.Load())
	if crossed.Load() == 0 {
		t.Error("no two came at the same time")
	}
}
