package edge_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"leadbus/internal/call"
	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/bus/bustest"
	"leadbus/internal/event"
	"leadbus/internal/lead/link"
	"leadbus/internal/role/edge"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
	"leadbus/internal/vendors/elevenlabs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

const leadID = "7k2mq9xe8tr5wz3hnd6y"

// desk is an edge on a real bus of market ch, reached over HTTP.
type desk struct {
	*httptest.Server
	bus     *bustest.Bus
	links   *link.Signer
	spooled prometheus.Gatherer
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{bus: bustest.New(t), links: link.New("the secret")}
	registry := prometheus.NewRegistry()
	d.spooled = registry
	spool, err := bus.OpenSpool(t.Context(), d.bus.Connect(t, subjects.Edge), bus.SpoolOptions{
		Dir: t.TempDir(), Markets: []string{"ch"}, Log: zerolog.Nop(), Registry: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(spool.Close)
	owner := site.Owner{Email: "owner@mail.example", Language: "en"}
	d.Server = httptest.NewServer(edge.New(edge.Options{
		Catalog: &site.Catalog{
			Markets: map[string]*site.Market{
				"ch": {ID: "ch", Country: "CH", Places: []site.Place{{ID: "carouge", Name: "Carouge"}, {ID: "champel", Name: "Champel"}}},
			},
			Sites: map[string]*site.Site{
				"a.ch": {Domain: "a.ch", Market: "ch", Brand: "Plombiers & Cie", Owner: owner, Services: []site.SiteService{{ID: "plumbing.leak"}}},
			},
			Services: map[string]*site.Service{"plumbing.leak": {ID: "plumbing.leak", Names: map[string]string{"en": "Water leak"}}},
		},
		PostCall: func(_ *http.Request, body []byte) (call.Report, error) {
			h, err := elevenlabs.Decode(body)
			return h.Reported(), err
		},
		Publisher: spool, Links: d.links, Secret: func(string) string { return "" },
		Now: func() time.Time { return now }, Log: zerolog.Nop(), Registry: prometheus.NewRegistry(),
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *desk) token(change func(*link.Link)) string {
	l := link.Link{Market: "ch", Site: "a.ch", ID: leadID, Asks: link.Recover, Until: now.Add(link.Life)}
	if change != nil {
		change(&l)
	}
	return d.links.Token(l)
}

// shown is what came back.
type shown struct {
	http.Header
	StatusCode int
	Status     string
}

func (d *desk) do(t *testing.T, method, token string, form url.Values) (shown, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, d.URL+link.Path+token, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := d.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return shown{res.Header, res.StatusCode, res.Status}, string(body)
}

// answers are those that the market has.
func (d *desk) answers(t *testing.T, id string) (all []event.Answered) {
	t.Helper()
	there, err := d.bus.Operator.Events(t.Context(), subjects.Lead{Market: "ch", Lead: id})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range there {
		if e.Lead.Event != subjects.OwnerAnswered || e.Lead.Site != "a.ch" {
			t.Errorf("stored %s", e.Lead)
		}
		all = append(all, *e.Body.(*event.Answered))
	}
	return all
}

func TestALinkShowsWhatItAsksAndDoesNothing(t *testing.T) {
	d := newDesk(t)
	for name, c := range map[string]struct {
		token string
		shows []string
	}{
		"lead":         {d.token(nil), []string{"A request waits", "Plombiers &amp; Cie", "Water leak", "Carouge", "Champel", `value="confirm"`, `value="drop"`, "as understood"}},
		"lead to drop": {d.token(nil) + "?answer=drop", []string{"A request waits", `value="drop"`}},
		"alarm":        {d.token(func(l *link.Link) { l.Asks = link.Alarm }), []string{"An alarm", `value="acknowledge"`}},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodGet} {
			res, body := d.do(t, method, c.token, nil)
			if res.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", name, res.Status)
			}
			for _, want := range c.shows {
				if method == http.MethodGet && !strings.Contains(body, want) {
					t.Errorf("%s: no %q in %s", name, want, body)
				}
			}
			for header, want := range map[string]string{
				"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "Content-Security-Policy": "default-src 'none'", "Content-Type": "text/html",
			} {
				if !strings.HasPrefix(res.Get(header), want) {
					t.Errorf("%s: %s is %q", name, header, res.Get(header))
				}
			}
		}
	}
	if a := d.answers(t, leadID); len(a) != 0 {
		t.Errorf("looking at it answered %v", a)
	}
}

func TestTheFirstAnswerStands(t *testing.T) {
	d := newDesk(t)
	res, body := d.do(t, http.MethodPost, d.token(nil), url.Values{
		"answer": {"confirm"}, "phone": {"078 123 45 67"}, "service": {"plumbing.leak"}, "place": {"champel"},
	})
	if res.StatusCode != http.StatusOK || !strings.Contains(body, "Confirmed") {
		t.Fatalf("%s: %s", res.Status, body)
	}
	for _, answer := range []string{"drop", "confirm"} {
		res, body := d.do(t, http.MethodPost, d.token(nil), url.Values{"answer": {answer}})
		if res.StatusCode != http.StatusOK || !strings.Contains(body, "Answered already") {
			t.Errorf("again, %s: %s %s", answer, res.Status, body)
		}
	}
	want := []event.Answered{{Answer: event.Confirm, Phone: "+41781234567", Service: "plumbing.leak", Place: "champel"}}
	if diff := cmp.Diff(want, d.answers(t, leadID)); diff != "" {
		t.Error(diff)
	}
	// Another link has its own answer.
	alarm := d.token(func(l *link.Link) { l.Asks, l.ID = link.Alarm, "another" })
	if res, body := d.do(t, http.MethodPost, alarm, url.Values{"answer": {"acknowledge"}}); res.StatusCode != http.StatusOK || !strings.Contains(body, "Acknowledged") {
		t.Errorf("%s: %s", res.Status, body)
	}
	if diff := cmp.Diff([]event.Answered{{Answer: event.Acknowledge}}, d.answers(t, "another")); diff != "" {
		t.Error(diff)
	}
}

func TestARefusedAnswerChangesNothing(t *testing.T) {
	d := newDesk(t)
	confirm := url.Values{"answer": {"confirm"}}
	with := func(field, value string) url.Values { return url.Values{"answer": {"confirm"}, field: {value}} }
	for name, c := range map[string]struct {
		token  string
		form   url.Values
		status int
		says   string
	}{
		"forged":             {link.New("another secret").Token(link.Link{Market: "ch", Site: "a.ch", ID: leadID, Asks: link.Recover, Until: now.Add(link.Life)}), confirm, http.StatusNotFound, "no valid link"},
		"no token":           {"x", confirm, http.StatusNotFound, "no valid link"},
		"expired":            {d.token(func(l *link.Link) { l.Until = now.Add(-time.Second) }), confirm, http.StatusNotFound, "has expired"},
		"a site that left":   {d.token(func(l *link.Link) { l.Site = "b.ch" }), confirm, http.StatusNotFound, "no valid link"},
		"another market's":   {d.token(func(l *link.Link) { l.Market = "id" }), confirm, http.StatusNotFound, "no valid link"},
		"no answer":          {d.token(nil), nil, http.StatusUnprocessableEntity, "choose"},
		"an alarm's answer":  {d.token(nil), url.Values{"answer": {"acknowledge"}}, http.StatusUnprocessableEntity, "choose"},
		"a lead's answer":    {d.token(func(l *link.Link) { l.Asks = link.Alarm }), confirm, http.StatusUnprocessableEntity, "choose"},
		"no phone":           {d.token(nil), with("phone", "12"), http.StatusUnprocessableEntity, "no telephone number"},
		"markup for a phone": {d.token(nil), with("phone", `"><script>alert(1)</script>`), http.StatusUnprocessableEntity, "no telephone number"},
		"another service":    {d.token(nil), with("service", "dental.pain"), http.StatusUnprocessableEntity, "choose"},
		"another place":      {d.token(nil), with("place", "bali"), http.StatusUnprocessableEntity, "choose"},
		"a book":             {d.token(nil), with("phone", strings.Repeat("x", 10_000)), http.StatusRequestEntityTooLarge, "larger"},
	} {
		res, body := d.do(t, http.MethodPost, c.token, c.form)
		if res.StatusCode != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %s, want %d and %q: %s", name, res.Status, c.status, c.says, body)
		}
		if strings.Contains(body, "<script") {
			t.Errorf("%s: markup came back", name)
		}
	}
	if a := d.answers(t, leadID); len(a) != 0 {
		t.Errorf("stored %v", a)
	}
	// What was typed need not be typed again.
	_, body := d.do(t, http.MethodPost, d.token(nil), url.Values{"answer": {"confirm"}, "phone": {"12"}, "place": {"champel"}})
	if !strings.Contains(body, `value="12"`) || !strings.Contains(body, `<option value="champel" selected>`) {
		t.Errorf("the form is empty again: %s", body)
	}
}

// An answer must not wait on this machine's disk: when it got through, another
// might stand already.
func TestWithoutABusTheOwnerIsAskedToTryAgain(t *testing.T) {
	d := newDesk(t)
	d.bus.Close()
	for _, answer := range []string{"confirm", "drop"} {
		res, body := d.do(t, http.MethodPost, d.token(nil), url.Values{"answer": {answer}})
		if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "try again in a minute") || res.Get("Retry-After") == "" {
			t.Errorf("%s: %s", res.Status, body)
		}
	}
	families, err := d.spooled.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "leadbus_edge_spool_events" && f.GetMetric()[0].GetGauge().GetValue() != 0 {
			t.Error("the answer waits in the spool")
		}
	}
}
