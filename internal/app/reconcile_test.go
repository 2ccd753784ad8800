package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/call"
	"leadbus/internal/engine/bus"
	"leadbus/internal/engine/process"
	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/local/sandbox"
	"leadbus/internal/role/watch/reconcile"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

const (
	plumbers    = "plombiersgeneve.ch"
	dentist     = "dentistegeneve.example"
	tennis      = "balitennislesson.com"
	surf        = "balisurfschool.example"
	configFiles = "../../config"
)

// records are a broker with every market, and two vendors that keep records of
// their own: a call is in one, the other, or both.
type records struct {
	*testing.T
	*wiring
	server   *bus.Server
	voices   *sandbox.Sandbox
	phones   *sandbox.Sandbox
	v        VendorSettings
	n        int
	operator *bus.Conn // of the first market

	mu      sync.Mutex
	trouble func(w http.ResponseWriter, r *http.Request) bool // answers in place of a vendor
}

// newRecords starts them; an edge, when there is one, is told of calls.
func newRecords(t *testing.T, edgeURL string) *records {
	t.Helper()
	c, err := site.Load(configFiles)
	if err != nil {
		t.Fatal(err)
	}
	r := &records{T: t}
	s := Settings{Config: configFiles, Data: t.TempDir()}
	text, err := NATSConfig(s, c)
	if err != nil {
		t.Fatal(err)
	}
	r.server, err = bus.StartServer(bus.ServerOptions{Addr: "127.0.0.1:0", StoreDir: t.TempDir(), Config: text, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.server.Close)
	r.wiring = &wiring{Process: process.New(zerolog.Nop()), settings: s, catalog: c, server: r.server}
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := r.provision(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := s.sandboxSecrets(&r.v, newSecret); err != nil {
		t.Fatal(err)
	}
	vendor := func() *sandbox.Sandbox {
		sb, err := sandbox.Start(sandbox.Options{
			Addr: "127.0.0.1:0", EdgeURL: edgeURL, AccountSID: r.v.TwilioAccountSID, AuthToken: string(r.v.TwilioAuthToken),
			MailgunKey: string(r.v.MailgunAPIKey), MailgunSigningKey: string(r.v.MailgunSigningKey),
			ElevenLabsKey: string(r.v.ElevenLabsAPIKey), ElevenLabsWebhookSecret: string(r.v.ElevenLabsWebhookSecret), Log: zerolog.Nop(),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(sb.Close)
		return sb
	}
	r.voices, r.phones = vendor(), vendor()
	r.v.ElevenLabsURL, r.v.TwilioURL = r.troubled(r.voices.ElevenLabsURL()), r.troubled(r.phones.TwilioURL())
	r.v.MailgunURL, r.v.PublicURL = r.troubled(r.phones.URL())+"/v3", "http://127.0.0.1:1"
	r.vendors(r.v)
	return r
}

// troubled is a vendor behind a line where trouble strikes.
func (r *records) troubled(at string) string {
	u, err := url.Parse(at)
	if err != nil {
		r.Fatal(err)
	}
	vendor := httputil.NewSingleHostReverseProxy(u)
	line := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		trouble := r.trouble
		r.mu.Unlock()
		if trouble == nil || !trouble(w, req) {
			vendor.ServeHTTP(w, req)
		}
	}))
	r.Cleanup(line.Close)
	return line.URL
}

// strike sets the trouble; nil ends it.
func (r *records) strike(trouble func(w http.ResponseWriter, req *http.Request) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble = trouble
}

// refusing answers with a status where the address holds a text.
func refusing(text string, status int, retryAfter string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.Contains(req.URL.String(), text) {
			return false
		}
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
		return true
	}
}

// played is a call that ended ten minutes ago, unless it says otherwise.
type played struct {
	site, agent, id, sid, status string
	ago                          time.Duration
	seconds                      int
	hook                         bool
}

// play lets vendors have a call, and answers its conversation's and its
// carrier's id.
func (r *records) play(p played, at ...*sandbox.Sandbox) (id, sid string) {
	r.Helper()
	r.n++
	if p.site == "" {
		p.site = plumbers
	}
	st := r.catalog.Sites[p.site]
	for _, f := range []struct {
		to *string
		or string
	}{{&p.agent, st.Agent.ID}, {&p.id, fmt.Sprintf("conv_%d", r.n)}, {&p.sid, fmt.Sprintf("CA%032d", r.n)}, {&p.status, "done"}} {
		if *f.to == "" {
			*f.to = f.or
		}
	}
	if p.ago == 0 {
		p.ago = 10 * time.Minute
	}
	if p.seconds == 0 {
		p.seconds = 60
	}
	body, err := json.Marshal(map[string]any{
		"agent_id": p.agent, "conversation_id": p.id, "status": p.status, "webhook": p.hook,
		"metadata": map[string]any{
			"start_time_unix_secs": time.Now().Add(-p.ago).Unix() - int64(p.seconds), "call_duration_secs": p.seconds,
			"phone_call": map[string]string{"type": "twilio", "direction": "inbound", "agent_number": st.DID, "external_number": "+41781240001", "call_sid": p.sid},
		},
	})
	if err != nil {
		r.Fatal(err)
	}
	for _, sb := range at {
		res, err := http.Post(sb.URL()+"/api/calls", "application/json", strings.NewReader(string(body)))
		if err != nil {
			r.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusCreated {
			r.Fatalf("the sandbox answered %s", res.Status)
		}
	}
	return p.id, p.sid
}

// scanning connects with a scanner's rights.
func (r *records) scanning(market string) *bus.Conn {
	r.Helper()
	c, err := r.connect(r.Context(), market+"-"+subjects.Scanner)
	if err != nil {
		r.Fatal(err)
	}
	return c
}

// pass compares the last hours of a market as a scanner does.
func (r *records) pass(market string) reconcile.Report {
	r.Helper()
	return r.passAt(market, time.Now(), time.Now().Add(-2*time.Hour))
}

func (r *records) passAt(market string, now, since time.Time) reconcile.Report {
	r.Helper()
	o := r.reconciling(r.catalog, market, r.v, reconcile.Grace, r.scanning(market))
	o.Now = func() time.Time { return now }
	report, err := reconcile.Pass(r.Context(), o, since)
	if err != nil {
		r.Fatal(err)
	}
	return report
}

// stored are a market's events of a kind, by lead.
func (r *records) stored(market, kind string) map[string]int {
	r.Helper()
	n := map[string]int{}
	err := r.scanning(market).History(r.Context(), subjects.Lead{Market: market, Event: kind}, time.Time{}, func(e event.Event) error {
		n[e.Lead.Lead]++
		return nil
	})
	if err != nil {
		r.Fatal(err)
	}
	return n
}

// tell stores an event of the first site.
func (r *records) tell(kind, leadID, id string, at time.Time, body any) {
	r.Helper()
	if r.operator == nil {
		var err error
		if r.operator, err = r.connect(r.Context(), "ch-operator"); err != nil {
			r.Fatal(err)
		}
	}
	if err := r.operator.Publish(r.Context(), event.Event{
		ID: kind + "-" + leadID + "-" + id, At: at, Body: body,
		Lead: subjects.Lead{Market: "ch", Site: plumbers, Event: kind, Lead: leadID},
	}); err != nil {
		r.Fatal(err)
	}
}

// gaps are what a report names, in a form to compare.
func gaps(report reconcile.Report) []string {
	out := []string{}
	for _, g := range report.Gaps {
		out = append(out, strings.TrimSpace(fmt.Sprint(g.Kind, " ", g.Ref, " ", g.Detail)))
	}
	slices.Sort(out)
	return out
}

func (r *records) want(report reconcile.Report, want ...string) {
	r.Helper()
	slices.Sort(want)
	if got := gaps(report); !slices.Equal(got, want) {
		r.Errorf("gaps\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A report on a call that the edge could not take is fetched by two passes at
// once; then the vendor's webhook arrives after all.
func TestALateWebhookIsARepeat(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	behind, err := url.Parse("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var open atomic.Bool
	door, proxy := http.NewServeMux(), httputil.NewSingleHostReverseProxy(behind)
	door.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		if !open.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, req)
	})
	front := httptest.NewServer(door)
	defer front.Close()
	r := newRecords(t, front.URL)
	if err := r.edge(t.Context(), l, SpoolSettings{SpoolBytes: 16 << 20}); err != nil {
		t.Fatal(err)
	}
	id, _ := r.play(played{hook: true}, r.voices, r.phones)

	var passes sync.WaitGroup
	for range 2 {
		passes.Go(func() {
			report := r.pass("ch")
			if len(report.Missing) > 0 || report.Fetched > 1 {
				t.Errorf("%+v", report)
			}
		})
	}
	await.Return(t, "both passes end", passes.Wait)
	once := map[string]int{lead.NewID(plumbers, id): 1}
	if got := r.stored("ch", subjects.CallEnded); fmt.Sprint(got) != fmt.Sprint(once) {
		t.Fatalf("reports %v, want %v", got, once)
	}

	open.Store(true)
	hooked(t, r.voices)
	if got := r.stored("ch", ""); fmt.Sprint(got) != fmt.Sprint(once) {
		t.Errorf("events after the webhook %v, want %v", got, once)
	}
	report := r.pass("ch")
	if r.want(report); report.Fetched != 0 || len(report.Missing) > 0 {
		t.Errorf("nothing is left to do: %+v", report)
	}
	if got := r.stored("ch", ""); fmt.Sprint(got) != fmt.Sprint(once) {
		t.Errorf("a pass without gaps leaves %v, want %v", got, once)
	}
}

// hooked waits until the vendor's webhooks were taken.
func hooked(t *testing.T, s *sandbox.Sandbox) {
	t.Helper()
	var calls []struct{ Hook string }
	await.Until(t, func() bool {
		res, err := http.Get(s.URL() + "/api/calls")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		calls = nil
		if err := json.NewDecoder(res.Body).Decode(&calls); err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(calls, func(c struct{ Hook string }) bool { return c.Hook != "taken" })
	}, func() string { return fmt.Sprintf("the webhooks are taken: %v", calls) })
}

// A process that works for one market leaves the others' calls alone, though
// the vendor shows it all of them.
func TestAProcessOfOneMarket(t *testing.T) {
	r := newRecords(t, "")
	own, _ := r.play(played{}, r.voices)
	foreign, _ := r.play(played{site: tennis}, r.voices)
	nobodys, _ := r.play(played{agent: "agent_of_nobody"}, r.voices)
	for market, want := range map[string][]string{
		"ch": {lead.NewID(plumbers, own), lead.NewID(site.Unknown, nobodys)},
		"id": {lead.NewID(tennis, foreign)},
	} {
		narrow, err := alone(r.Process, r.settings, []string{market})
		if err != nil {
			t.Fatal(err)
		}
		narrow.server = r.server
		narrow.vendors(r.v)
		if _, err := narrow.reconcileTask(member{Conn: r.scanning(market), market: market, log: zerolog.Nop()}, r.v, WatchSettings{}).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := r.stored(market, subjects.CallEnded)
		for _, id := range want {
			if got[id] != 1 {
				t.Errorf("market %s has no report on %s: %v", market, id, got)
			}
		}
		if len(got) != len(want) {
			t.Errorf("market %s has %d reports, want %d", market, len(got), len(want))
		}
	}
}

// While a site's configuration is broken, its agent looks like nobody's.
func TestABrokenSiteMakesNoUnknownAgent(t *testing.T) {
	r := newRecords(t, "")
	r.catalog.Broken[dentist] = []site.Fault{{}}
	id, _ := r.play(played{agent: "agent_of_the_broken"}, r.voices)
	report := r.pass("ch")
	if n := len(r.stored("ch", subjects.CallEnded)); n != 0 || report.Missing[reconcile.VoiceVendor] == nil {
		t.Errorf("%d reports stored, missing %v", n, report.Missing)
	}
	r.want(report, reconcile.WebhookLost+" "+id+" not fetched: its agent may be that of a site whose configuration is broken: see leadbus config check")
}

// One vendor, one agent or one conversation that cannot be had leaves out its
// own part and nothing else.
func TestWhatCannotBeHadIsLeftOut(t *testing.T) {
	for name, c := range map[string]struct {
		trouble func(http.ResponseWriter, *http.Request) bool
		market  string
		site    string
		want    []string // what is fetched
		gaps    int
		missing []string
	}{
		"a conversation":       {refusing("conv_2", 500, ""), "ch", plumbers, []string{"conv_1", "conv_3", "conv_4"}, 6, []string{reconcile.VoiceVendor}},
		"a conversation gone":  {refusing("conv_2", 404, ""), "ch", plumbers, []string{"conv_1", "conv_3", "conv_4"}, 5, nil},
		"the conversations":    {refusing("/conversations/", 500, ""), "ch", plumbers, nil, 6, []string{reconcile.VoiceVendor}},
		"the voice vendor":     {refusing("/convai/", 500, ""), "ch", plumbers, nil, 1, []string{reconcile.VoiceVendor, reconcile.CarrierLog}},
		"its key":              {refusing("/convai/", 401, ""), "ch", plumbers, nil, 1, []string{reconcile.VoiceVendor, reconcile.CarrierLog}},
		"the carrier":          {refusing("/Calls.json", 500, ""), "ch", plumbers, []string{"conv_1", "conv_2", "conv_3", "conv_4"}, 5, []string{reconcile.CarrierLog}},
		"a vendor that waits":  {refusing("/convai/", 429, "1"), "ch", plumbers, nil, 1, []string{reconcile.VoiceVendor, reconcile.CarrierLog}},
		"one that waits hours": {refusing("/Calls.json", 429, "3600"), "ch", plumbers, []string{"conv_1", "conv_2", "conv_3", "conv_4"}, 5, []string{reconcile.CarrierLog}},
		"an agent":             {nil, "id", tennis, []string{"conv_1", "conv_2", "conv_3", "conv_4"}, 5, []string{reconcile.VoiceVendor}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRecords(t, "")
			r.strike(c.trouble)
			if c.trouble == nil { // the other agent of the market
				r.strike(refusing("agent_id="+r.catalog.Sites[surf].Agent.ID, 404, ""))
			}
			for n := range 4 {
				r.play(played{site: c.site, ago: time.Duration(10+n) * time.Minute}, r.voices, r.phones)
			}
			_, unanswered := r.play(played{site: c.site, ago: time.Hour}, r.phones)
			if c.market == "ch" {
				r.tell(subjects.Received, "stuck", "1", time.Now(), &event.Received{})
			}
			report := r.passAt(c.market, time.Now().Add(6*time.Minute), time.Now().Add(-2*time.Hour))
			var missing []string
			for vendor := range report.Missing {
				missing = append(missing, vendor)
			}
			slices.Sort(missing)
			if !slices.Equal(missing, c.missing) {
				t.Errorf("missing %v, want %v", report.Missing, c.missing)
			}
			got := r.stored(c.market, subjects.CallEnded)
			for _, id := range c.want {
				if got[lead.NewID(c.site, id)] != 1 {
					t.Errorf("%s was not fetched: %v", id, got)
				}
			}
			if len(got) != len(c.want) || report.Fetched != len(c.want) {
				t.Errorf("%d reports stored, %d fetched, want %d", len(got), report.Fetched, len(c.want))
			}
			all := gaps(report)
			callBack := slices.ContainsFunc(all, func(g string) bool { return strings.HasPrefix(g, reconcile.Unanswered+" "+unanswered) })
			if callBack == slices.Contains(missing, reconcile.CarrierLog) {
				t.Errorf("the call that nobody answered: %v", all)
			}
			if len(all) != c.gaps {
				t.Errorf("%d gaps, want %d:\n%s", len(all), c.gaps, strings.Join(all, "\n"))
			}
		})
	}
}

// A vendor that asks to wait a moment is asked again.
func TestAVendorAsksToWait(t *testing.T) {
	r := newRecords(t, "")
	for range 101 { // two pages
		r.play(played{}, r.voices, r.phones)
	}
	var mu sync.Mutex
	asked := map[string]bool{}
	r.strike(func(w http.ResponseWriter, req *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		kind := req.URL.Path
		if asked[kind] || strings.Contains(kind, "conv_") && kind != "/v1/convai/conversations/conv_7" {
			return false
		}
		asked[kind] = true
		return refusing("", http.StatusTooManyRequests, "1")(w, req)
	})
	report := r.pass("ch")
	if report.Fetched != 101 || len(report.Missing) > 0 || len(asked) != 3 {
		t.Errorf("fetched %d, missing %v, put off %v", report.Fetched, report.Missing, asked)
	}
	if n := len(r.stored("ch", subjects.CallEnded)); n != 101 {
		t.Errorf("%d reports stored", n)
	}
}

// A pass that has to end ends with what it has.
func TestAPassThatIsCutShort(t *testing.T) {
	r := newRecords(t, "")
	r.tell(subjects.Received, "stuck", "1", time.Now(), &event.Received{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.strike(func(_ http.ResponseWriter, req *http.Request) bool {
		cancel()
		<-req.Context().Done() // no answer
		return true
	})
	o := r.reconciling(r.catalog, "ch", r.v, reconcile.Grace, r.scanning("ch"))
	o.Now = func() time.Time { return time.Now().Add(time.Hour) }
	report, err := reconcile.Pass(ctx, o, time.Now().Add(-time.Hour))
	if err != nil || len(report.Missing) != 2 {
		t.Errorf("missing %v, %v", report.Missing, err)
	}
	r.want(report, reconcile.Stuck+"  received, nothing decided")
}

// Which calls at the carrier nobody answered.
func TestCallsWithoutConversation(t *testing.T) {
	r := newRecords(t, "")
	_, lost := r.play(played{}, r.phones)
	_, short := r.play(played{seconds: 3}, r.phones)
	r.play(played{ago: time.Second}, r.phones)                                             // its conversation may still be on its way
	r.play(played{site: tennis}, r.phones)                                                 // another market's
	r.play(played{ago: 20 * time.Minute}, r.voices, r.phones)                              // as it should be
	r.play(played{ago: 30 * time.Minute, status: "processing"}, r.voices, r.phones)        // not told yet
	r.play(played{ago: 40 * time.Minute}, r.phones)                                        // of a trunk …
	r.play(played{ago: 40 * time.Minute, sid: "SCL_1", id: "conv_of_the_trunk"}, r.voices) // … with ids of its own
	_, redialled := r.play(played{ago: 51 * time.Minute}, r.phones)                        // and dialled again
	r.play(played{ago: 50 * time.Minute}, r.voices, r.phones)                              // at once
	_, passed := r.play(played{ago: 60 * time.Minute}, r.phones)                           // only its lead came
	r.tell(subjects.Received, "l", "1", time.Now(), &event.Received{Lead: lead.Lead{Request: lead.Request{CallSID: passed}}})
	r.tell(subjects.Matched, "l", "1", time.Now(), &event.Decided{})
	first := r.pass("ch")
	if first.Fetched != 3 || len(first.Missing) > 0 {
		t.Errorf("%+v", first)
	}
	report := r.pass("ch")
	r.want(report,
		reconcile.Unanswered+" "+lost+" completed after 60 s",
		reconcile.Unanswered+" "+redialled+" completed after 60 s",
		reconcile.Unanswered+" "+short+" completed after 3 s: abandoned",
	)
	for _, g := range report.Gaps {
		if g.Caller != "+41781240001" || g.Site != plumbers || g.Quiet != (g.Ref == short) {
			t.Errorf("%+v", g)
		}
	}
	if n := len(report.Occurrences()); n != 2 {
		t.Errorf("the owner is notified for %d calls, want 2", n)
	}
}

// A call that the voice vendor never finishes would be missed in silence.
func TestACallThatNeverEnds(t *testing.T) {
	r := newRecords(t, "")
	r.play(played{ago: time.Hour, status: "processing"}, r.voices, r.phones)
	stuck, _ := r.play(played{ago: 3 * time.Hour, status: "processing"}, r.voices, r.phones)
	for range 2 {
		report := r.passAt("ch", time.Now(), time.Now().Add(-4*time.Hour))
		r.want(report, reconcile.Unfinished+" "+stuck)
		if strikes := report.Occurrences(); len(strikes) != 1 || strikes[0].Cause != alarm.CallWithoutEnd {
			t.Errorf("strikes %+v", strikes)
		}
	}
	if got := r.stored("ch", subjects.CallEnded); len(got) != 0 {
		t.Errorf("reports on calls that go on: %v", got)
	}
}

// What stopped half way among our own events.
func TestLeadsAndMessagesThatStopped(t *testing.T) {
	r := newRecords(t, "")
	sent := func(id string, reports ...lead.MessageState) {
		r.tell(subjects.MessageQueued, "told", id, time.Now(), &event.Queued{Message: lead.Message{ID: id, Channel: lead.SMS, Recipient: lead.ToProvider, To: "+41781240001"}})
		r.tell(subjects.MessageSent, "told", id, time.Now(), &event.Attempted{Message: id, Sent: &lead.Sent{VendorID: "SM" + id}})
		for _, s := range reports {
			r.tell(subjects.ReceiptReceived, "told", id+string(s), time.Now(), &event.Reported{Receipt: lead.Receipt{Message: id, State: s}})
		}
	}
	long := time.Now().Add(-90 * time.Minute)
	r.tell(subjects.Received, "old", "1", time.Now(), &event.Received{})
	r.tell(subjects.Matched, "old", "1", time.Now(), &event.Decided{})
	since := time.Now()
	r.tell(subjects.Received, "old", "2", time.Now(), &event.Received{}) // the agent says it again

	r.tell(subjects.Received, "waits", "1", long, &event.Received{}) // from a spool
	r.tell(subjects.Received, "served", "1", time.Now(), &event.Received{})
	r.tell(subjects.Unserved, "served", "1", time.Now(), &event.Decided{})

	for id, scan := range map[string]event.Scanned{
		"missed": {}, "recovered": {Status: "recovered"}, "asked": {Status: "asked"}, "dispatched": {}, "came": {}, "spam": {},
	} {
		scan.Scan.Eligible, scan.Scan.Dispatched = id != "spam", id == "dispatched"
		scan.Scan.Recovered = scan.Status != ""
		r.tell(subjects.CallScanned, id, "1", time.Now(), &scan)
	}
	// A fuller report shows that it was no request.
	r.tell(subjects.CallScanned, "fuller", "1", time.Now(), &event.Scanned{Scan: call.Scan{Eligible: true}})
	r.tell(subjects.CallScanned, "fuller", "2", time.Now(), &event.Scanned{Call: call.Call{Turns: []call.Turn{{Text: "Wir sparen Ihnen Geld."}}}, Scan: call.Scan{Why: "spam"}})
	r.tell(subjects.Received, "came", "1", time.Now(), &event.Received{})
	r.tell(subjects.ReviewRequested, "came", "1", time.Now(), &event.Decided{})

	sent("nothing")
	sent("underway", lead.MessageSent, "")
	sent("arrived", lead.MessageSent, lead.MessageDelivered)
	sent("refused", lead.MessageFailed)

	missed := reconcile.NotDispatched
	stuck := reconcile.Stuck + "  received, nothing decided"
	unreported := func(id string) string { return reconcile.NobodyReported + " " + id + " sms to provider" }
	for after, want := range map[time.Duration][]string{
		time.Minute:      {missed},
		6 * time.Minute:  {missed, stuck},
		31 * time.Minute: {missed, stuck, unreported("nothing"), unreported("underway")},
	} {
		r.want(r.passAt("ch", time.Now().Add(after), since), want...)
	}
}

// posted is a message to a provider, and the status that it ends with at its
// vendor.
type posted struct{ channel, to, ends string }

// send hands messages to their vendors, as a notifier does, and stores that they
// were taken. No callback comes. It answers the messages' ids when nothing more
// becomes of them.
func (r *records) send(leadID string, all ...posted) (ids []string) {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPut, r.phones.URL()+"/api/faults", strings.NewReader(`{"callbacks": {"lost": 1}}`))
	if err != nil {
		r.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		r.Fatalf("the sandbox answered %s", res.Status)
	}
	ends := map[string]string{}
	for _, p := range all {
		m := lead.Message{
			ID: lead.NewID(leadID, p.channel+p.to), Lead: leadID, Market: "ch", Site: plumbers, Provider: "rapide", Recipient: lead.ToProvider,
			Purpose: lead.PurposeOffer, Channel: p.channel, From: "+41225394512", To: p.to, Text: "Fuite d'eau", QueuedAt: time.Now(),
		}
		vendor := r.twilio.Send
		if p.channel == lead.Email {
			m.From, vendor = "dispatch@mg.example.com", r.mailgun.Send
		}
		sent, err := vendor(r.Context(), m, "a1")
		if err != nil {
			r.Fatal(err)
		}
		r.tell(subjects.MessageQueued, leadID, m.ID, m.QueuedAt, &event.Queued{Message: m})
		r.tell(subjects.MessageSent, leadID, m.ID, time.Now(), &event.Attempted{Label: m.Label(), Message: m.ID, Attempt: "a1", Sent: &sent})
		ends[p.to], ids = p.ends, append(ids, m.ID)
	}
	var there []struct{ To, Status string }
	await.Until(r.T, func() bool {
		res, err := http.Get(r.phones.URL() + "/api/messages")
		if err != nil {
			r.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		there = nil
		if err := json.NewDecoder(res.Body).Decode(&there); err != nil {
			r.Fatal(err)
		}
		return !slices.ContainsFunc(there, func(m struct{ To, Status string }) bool { return ends[m.To] != "" && m.Status != ends[m.To] })
	}, func() string { return fmt.Sprintf("the vendors are done: %v", there) })
	return ids
}

// received are the stored receipts of the first site: message and status.
func (r *records) received() (all []string) {
	r.Helper()
	if err := r.scanning("ch").History(r.Context(), subjects.Lead{Market: "ch", Event: subjects.ReceiptReceived}, time.Time{}, func(e event.Event) error {
		b := e.Body.(*event.Reported).Receipt
		all = append(all, b.Message+" "+string(b.State))
		if b.Provider != "rapide" || b.Purpose != lead.PurposeOffer || len(b.Address) == 0 || b.QueuedAt.IsZero() || b.Attempt != "a1" || e.Lead.Site != plumbers {
			r.Errorf("the receipt's label is %+v", b)
		}
		return nil
	}); err != nil {
		r.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// Receipts that never came are fetched from their vendors, once. What has no
// final word there is asked for again, and is a gap only then. A vendor that does
// not know a message says nothing of it. Nothing of this needs the voice vendor.
func TestReceiptsThatNeverCame(t *testing.T) {
	r := newRecords(t, "")
	r.v.ElevenLabsAPIKey = ""
	ids := r.send("told",
		posted{lead.SMS, "+41781240001", "delivered"}, posted{lead.SMS, "+41781230005", "undelivered"}, posted{lead.WhatsApp, "+41781263033", "sent"},
		posted{lead.Email, "a@example.org", "delivered"}, posted{lead.Email, "bounce@example.org", "failed"},
	)
	r.tell(subjects.MessageSent, "told", "unknown", time.Now(), &event.Attempted{
		Label: lead.Label{Channel: lead.SMS, Recipient: lead.ToProvider}, Message: "unknown", Sent: &lead.Sent{VendorID: "SM0"},
	})
	r.tell(subjects.Received, "canary", "1", time.Now(), &event.Received{Lead: lead.Lead{Flags: []string{lead.FlagTest}}})
	r.send("canary", posted{lead.SMS, "+41781240009", "delivered"})

	since := time.Now().Add(-time.Hour)
	if report := r.passAt("ch", time.Now().Add(reconcile.Grace/2), since); report.Receipts != 0 || len(r.received()) != 0 {
		t.Errorf("before their time: %+v", report)
	}
	var passes sync.WaitGroup
	for range 2 {
		passes.Go(func() {
			if report := r.passAt("ch", time.Now().Add(2*reconcile.Grace), since); len(report.Gaps) > 0 || report.Missing[reconcile.TextLog] != nil || report.Missing[reconcile.MailLog] != nil {
				t.Errorf("%+v", report)
			}
		})
	}
	await.Return(t, "both passes end", passes.Wait)
	want := []string{ids[0] + " delivered", ids[1] + " failed", ids[3] + " delivered", ids[4] + " failed"}
	slices.Sort(want)
	if got := r.received(); !slices.Equal(got, want) {
		t.Errorf("receipts\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	report := r.passAt("ch", time.Now().Add(31*time.Minute), since)
	if len(r.received()) != len(want) || report.Receipts != 0 {
		t.Errorf("a pass without anything new: %+v, %v", report, r.received())
	}
	r.want(report, reconcile.NobodyReported+" "+ids[2]+" whatsapp to provider", reconcile.NobodyReported+" unknown sms to provider")
}

// A pass asks a vendor for so many messages, the newest first, and leaves one
// alone that fails several times in a row; the other is asked all the same.
func TestAVendorIsNotAskedForEver(t *testing.T) {
	r := newRecords(t, "")
	const many = 205
	var all []posted
	for n := range many {
		all = append(all, posted{lead.SMS, fmt.Sprintf("+4178124%04d", n), "delivered"})
	}
	ids := r.send("told", append(all, posted{lead.Email, "a@example.org", "delivered"})...)
	var asked atomic.Int64
	fails := func(w http.ResponseWriter, req *http.Request) bool {
		return refusing("/Messages/", http.StatusInternalServerError, "")(w, req) && asked.Add(1) > 0
	}
	look := func() reconcile.Report {
		return r.passAt("ch", time.Now().Add(reconcile.Grace+time.Minute), time.Now().Add(-time.Hour))
	}
	r.strike(fails)
	if report := look(); report.Receipts != 1 || report.Missing[reconcile.TextLog] == nil || report.Missing[reconcile.MailLog] != nil || asked.Load() != 3 {
		t.Errorf("while it fails: %d receipts, missing %v, asked %d times", report.Receipts, report.Missing, asked.Load())
	}
	r.strike(nil)
	if report := look(); report.Receipts != 200 || len(report.Missing) > 0 {
		t.Errorf("first pass: %d receipts, missing %v", report.Receipts, report.Missing)
	}
	got := strings.Join(r.received(), "\n")
	for n, id := range ids[:many] {
		if strings.Contains(got, id) != (n >= many-200) {
			t.Errorf("message %d was looked up: %t", n, n < many-200)
		}
	}
	if report := look(); report.Receipts != many-200 || len(report.Missing) > 0 {
		t.Errorf("second pass: %d receipts, missing %v", report.Receipts, report.Missing)
	}
}
