package intake

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/lead"
	"leadbus/internal/site"
)

var at = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// complete is a call in which nothing is doubtful.
var complete = lead.Request{
	ConversationID: "conv_1", AgentID: "agent_ge", CallerID: "+41791234567", CalledNumber: "+41225394512",
	CustomerName: "Marta Salas", CallbackNumber: "079 123 45 67", Language: "fr",
	ServiceType: "plumbing.leak", IssueSummary: "L'évier fuit.", City: "Champel",
}

func TestUnderstandsACompleteCall(t *testing.T) {
	got := reader.Understand(plombier, "lead1", complete, at, nil)
	want := lead.Lead{
		ID: "lead1", Ref: lead.Ref("lead1"), Market: "ch", Site: "plombier.example", SourceURL: "https://plombier.example/",
		Tracker: "t1", Language: "fr", ReceivedAt: at, Request: complete,
		Service: lead.Service{Raw: "plumbing.leak", ID: "plumbing.leak", Method: "id", Name: "fuite d'eau"},
		Place:   lead.Place{Raw: "Champel", ID: "champel", Name: "Champel", Method: "alias", Score: 1},
		Phone: lead.Phone{
			Raw: "079 123 45 67", E164: "+41791234567", Source: "both", Confidence: "high", Type: "mobile", CallerID: "+41791234567",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	reply := reader.Reply(plombier, got)
	if diff := cmp.Diff(Reply{OK: true, Ref: got.Ref, Say: "C'est noté, votre référence est le " + got.Ref + "."}, reply); diff != "" {
		t.Errorf("reply -want +got:\n%s", diff)
	}
}

// with is the complete call, changed.
func with(change func(*lead.Request)) lead.Request {
	r := complete
	change(&r)
	return r
}

func TestFlags(t *testing.T) {
	for name, c := range map[string]struct {
		req  lead.Request
		want []string
	}{
		"nothing doubtful":       {complete, nil},
		"nothing at all":         {lead.Request{}, []string{"missing_name", "no_phone", "place_unknown", "service_unknown"}},
		"misheard number":        {with(func(r *lead.Request) { r.CallbackNumber = "079 123 45 77" }), []string{"phone_check"}},
		"unusable number":        {with(func(r *lead.Request) { r.CallbackNumber, r.CallerID = "0000", "anonymous" }), []string{"no_phone", "phone_check"}},
		"unknown place":          {with(func(r *lead.Request) { r.City = "Trifouilly" }), []string{"place_unknown"}},
		"place not served":       {with(func(r *lead.Request) { r.City = "Meyrin" }), []string{"out_of_area"}},
		"known place elsewhere":  {with(func(r *lead.Request) { r.City = "Lausanne" }), []string{"out_of_area"}},
		"unknown service":        {with(func(r *lead.Request) { r.ServiceType, r.IssueSummary = "jardin", "les roses" }), []string{"service_unknown"}},
		"another agent":          {with(func(r *lead.Request) { r.AgentID = "agent_bali" }), []string{"agent_mismatch"}},
		"no agent":               {with(func(r *lead.Request) { r.AgentID = "" }), nil},
		"no name":                {with(func(r *lead.Request) { r.CustomerName = "" }), []string{"missing_name"}},
		"two doubts, in order":   {with(func(r *lead.Request) { r.CustomerName, r.City = "Unknown", "Bern" }), []string{"out_of_area", "placeholder"}},
		"a name in another hand": {with(func(r *lead.Request) { r.CustomerName = "مرتا" }), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := reader.Understand(plombier, "lead1", c.req, at, nil).Flags
			if !slices.Equal(got, c.want) {
				t.Errorf("flags %v, want %v", got, c.want)
			}
		})
	}
	for _, name := range []string{
		"unknown", "N/A", "none", "NULL", "test", "Client", "cliente", "customer", "Caller", "user", "Inconnu", "non précisé",
		"pas donné", "Unbekannt", "keine Angabe", "sconosciuto", "non fornito", "tidak diketahui", "tidak ada", "X", "0000", "11", "-", "🔧",
	} {
		if got := reader.Understand(plombier, "lead1", with(func(r *lead.Request) { r.CustomerName = name }), at, nil).Flags; !slices.Equal(got, []string{"placeholder"}) {
			t.Errorf("name %q: flags %v", name, got)
		}
	}
	for _, name := range []string{"Testa", "Clientèle SA", "No", "Ng", "1234", "Userli", "Nil Yilmaz"} {
		if got := reader.Understand(plombier, "lead1", with(func(r *lead.Request) { r.CustomerName = name }), at, nil).Flags; got != nil {
			t.Errorf("name %q: flags %v", name, got)
		}
	}
}

// What decoding flagged stays; what an earlier understanding flagged is set
// anew, so that a better call clears it.
func TestFlagsOfOthersStay(t *testing.T) {
	flags := []string{"no_conversation", "cut", "phone_check", "place_unknown", "cut"}
	got := reader.Understand(plombier, "lead1", complete, at, flags)
	if !slices.Equal(got.Flags, []string{"cut", "no_conversation"}) {
		t.Errorf("flags %v", got.Flags)
	}
	if !slices.Equal(flags, []string{"no_conversation", "cut", "phone_check", "place_unknown", "cut"}) {
		t.Errorf("the caller's flags were changed: %v", flags)
	}
	if diff := cmp.Diff(got, reader.Understand(plombier, "lead1", got.Request, at, got.Flags)); diff != "" {
		t.Errorf("understanding again differs:\n%s", diff)
	}
}

func TestLanguage(t *testing.T) {
	for _, c := range []struct {
		s          *site.Site
		said, want string
	}{
		{plombier, "", "fr"},
		{plombier, "de", "de"},
		{plombier, "fr-CH", "fr"},
		{plombier, "de_CH", "de"},
		{plombier, "EN", "en"},
		{plombier, "gsw", "de"},
		{plombier, "Swiss German", "de"},
		{plombier, "Deutsch", "de"},
		{plombier, "Schweizerdeutsch", "de"},
		{plombier, "French", "fr"},
		{plombier, "français", "fr"},
		{plombier, "Italiano", "it"},
		{plombier, "English (UK)", "en"},
		{plombier, "allemand", "de"},
		{plombier, "pt-BR", "fr"},
		{plombier, "Klingon", "fr"},
		{plombier, "id", "fr"},
		{plombier, "{{language}}", "fr"},
		{plombier, "\x00", "fr"},
		{plombier, strings.Repeat("x-", 5000), "fr"},
		{tennis, "", "en"},
		{tennis, "id", "id"},
		{tennis, "in", "id"},
		{tennis, "ms", "id"},
		{tennis, "Bahasa Indonesia", "id"},
		{tennis, "indonesian", "id"},
		{tennis, "Malay", "id"},
		{tennis, "français", "fr"},
		{tennis, "de", "en"},
	} {
		got := reader.Understand(c.s, "lead1", lead.Request{Language: c.said}, at, nil).Language
		if got != c.want {
			t.Errorf("%s: %.20q is %s, want %s", c.s.Domain, c.said, got, c.want)
		}
	}
}

func TestService(t *testing.T) {
	for name, c := range map[string]struct {
		s    *site.Site
		req  lead.Request
		want lead.Service
	}{
		"the site's own phrase":         {plombier, lead.Request{ServiceType: "inondation"}, lead.Service{Raw: "inondation", ID: "plumbing.leak", Method: "phrase", Name: "fuite d'eau"}},
		"its name":                      {plombier, lead.Request{ServiceType: "Débouchage"}, lead.Service{Raw: "Débouchage", ID: "plumbing.drain", Method: "phrase", Name: "débouchage"}},
		"a phrase in another language":  {plombier, lead.Request{ServiceType: "pipa bocor", Language: "de"}, lead.Service{Raw: "pipa bocor", ID: "plumbing.leak", Method: "phrase", Name: "Wasserschaden"}},
		"from the summary":              {plombier, lead.Request{ServiceType: "plumbing", IssueSummary: "burst pipe", Language: "en"}, lead.Service{Raw: "plumbing", ID: "plumbing.leak", Method: "phrase", Name: "water leak"}},
		"the only one":                  {tennis, lead.Request{ServiceType: "surf"}, lead.Service{Raw: "surf", ID: "tennis.lesson", Method: "only", Name: "tennis lesson"}},
		"unknown":                       {plombier, lead.Request{ServiceType: "jardin"}, lead.Service{Raw: "jardin", Method: "unknown"}},
		"a service another site offers": {plombier, lead.Request{ServiceType: "tennis.lesson"}, lead.Service{Raw: "tennis.lesson", Method: "unknown"}},
		"no name in the language":       {catalog.Sites["rumantsch.example"], lead.Request{}, lead.Service{ID: "plumbing.leak", Method: "only", Name: "water leak"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, reader.Understand(c.s, "lead1", c.req, at, nil).Service); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestPlace(t *testing.T) {
	for name, c := range map[string]struct {
		s                     *site.Site
		city, postal, address string
		id, method            string
	}{
		"the city":                             {plombier, "Carouge", "", "rue de Meyrin 4", "carouge", "alias"},
		"the postcode":                         {plombier, "Genève", "1206", "", "champel", "postcode"},
		"a postcode in the address":            {plombier, "unknown", "", "chemin Vert 3, 1227", "carouge", "postcode"},
		"a place in the address, no city":      {plombier, "", "", "chemin Vert 3, Carouge", "carouge", "alias"},
		"a street is no place":                 {plombier, "", "", "rue de Carouge 4", "", "unknown"},
		"the address does not overrule a city": {plombier, "Lausanne", "", "Carouge", "", "out_of_area"},
		"a part of the city in the address":    {plombier, "Genève", "", "chez Duc, 3, Champel", "champel", "alias"},
		"a town in the address":                {plombier, "Genève", "", "chemin Vert 3, 1227 Carouge", "carouge", "alias"},
		"a street of the city":                 {plombier, "Genève", "", "avenue de Champel 3", "geneve", "alias"},
		"another town in the address":          {plombier, "Genève", "", "chemin Vert 3, Lausanne", "geneve", "alias"},
		"another town than the one said":       {plombier, "Carouge", "", "Meyrin", "carouge", "alias"},
		"a near name in the address":           {plombier, "Trifouilly", "", "Carrouge", "", "unknown"},
		"the only place":                       {tennis, "", "", "", "south-bali", "assumed"},
		"the address names a part of it":       {tennis, "", "", "villa 3, Canggu", "canggu", "alias"},
		"elsewhere":                            {tennis, "Jakarta", "", "", "", "out_of_area"},
	} {
		t.Run(name, func(t *testing.T) {
			got := reader.Understand(c.s, "lead1", lead.Request{City: c.city, PostalCode: c.postal, AddressLine: c.address}, at, nil).Place
			if got.ID != c.id || got.Method != c.method {
				t.Errorf("%+v, want %s by %s", got, c.id, c.method)
			}
		})
	}
}

// The number that was dialled is never the customer's.
func TestOwnNumberIsNotTheCustomers(t *testing.T) {
	const own, other = "+41225394512", "+41791234567"
	for name, c := range map[string]struct {
		dictated, caller string
		want             lead.Phone
	}{
		"dictated":       {"022 539 45 12", other, lead.Phone{Raw: "022 539 45 12", E164: other, CallerID: other, Source: "caller_id", Confidence: "medium", Type: "mobile", Check: true}},
		"dictated alone": {"022 539 45 12", "", lead.Phone{Raw: "022 539 45 12", Source: "none", Confidence: "none", Check: true}},
		"as caller id":   {"", own, lead.Phone{Source: "none", Confidence: "none"}},
		"as both":        {own, own, lead.Phone{Raw: own, Source: "none", Confidence: "none", Check: true}},
		"as caller id, another dictated": {
			"079 123 45 67", own,
			lead.Phone{Raw: "079 123 45 67", E164: other, Source: "dictated", Confidence: "medium", Type: "mobile"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := reader.Understand(plombier, "lead1", lead.Request{CallbackNumber: c.dictated, CallerID: c.caller}, at, nil).Phone
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func BenchmarkUnderstand(b *testing.B) {
	for name, req := range map[string]lead.Request{
		"clear": complete,
		"doubtful": with(func(r *lead.Request) {
			r.CallbackNumber = "zéro septante-neuf 123 quatre cinq six huit"
			r.City, r.Language, r.ServiceType = "Carrouge", "Deutsch", "Wasserrohrbruch im Keller"
		}),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				reader.Understand(plombier, "lead1", req, at, nil)
			}
		})
	}
}
