package compose

import (
	"testing"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

var links = link.New("the secret of a test")

var start = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// catalog has a plumber in Geneva, a dentist there, and tennis on Bali.
func catalog(tb testing.TB) *site.Catalog {
	tb.Helper()
	zurich, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		tb.Fatal(err)
	}
	senders := site.Senders{
		SMS: site.Sender{From: "Plombiers"}, Mail: site.Sender{From: "leads@mail.example"},
		WhatsApp: site.WhatsAppSender{From: "+41225394599", Templates: map[string]map[string]string{
			"offer":  {"fr": "HXofferfr", "en": "HXofferen"},
			"update": {"en": "HXupdateen"},
		}},
	}
	owner := site.Owner{Email: "owner@mail.example", Phone: "+41791234500", Language: "en"}
	return &site.Catalog{
		Markets: map[string]*site.Market{
			"ch": {ID: "ch", Zone: "Europe/Zurich", Location: zurich},
			"id": {ID: "id", Zone: "Asia/Makassar"},
		},
		Sites: map[string]*site.Site{
			"plombiersgeneve.ch": {
				Domain: "plombiersgeneve.ch", URL: "https://plombiersgeneve.ch", Market: "ch", Brand: "Plombiers Genève", DID: "+41225394512",
				Languages: []string{"fr", "de", "it", "en"}, Senders: senders, Owner: owner, Services: []site.SiteService{{ID: "plumbing.leak"}},
			},
			"dentistgeneve.example": {
				Domain: "dentistgeneve.example", Market: "ch", Brand: "Urgence Dentaire", DID: "+41225550199",
				Languages: []string{"fr", "en"}, Senders: senders, Owner: owner, Services: []site.SiteService{{ID: "dental.pain"}},
			},
			"balitennislesson.com": {
				Domain: "balitennislesson.com", Market: "id", Brand: "Bali Tennis Lesson", DID: "+62361555019",
				Languages: []string{"en", "id"}, Senders: senders, Owner: owner, Services: []site.SiteService{{ID: "tennis.lesson"}},
			},
		},
		Services: map[string]*site.Service{
			"plumbing.leak": {ID: "plumbing.leak", Names: map[string]string{"en": "Water leak", "fr": "Fuite d'eau", "de": "Wasserschaden", "it": "Perdita d'acqua", "id": "Kebocoran air"}},
			"dental.pain":   {ID: "dental.pain", Sensitive: true, Names: map[string]string{"en": "Toothache", "fr": "Rage de dents"}},
			"tennis.lesson": {ID: "tennis.lesson", Names: map[string]string{"en": "Tennis lesson", "id": "Les tenis"}},
		},
		Templates: map[string]*site.Template{
			"HXofferfr":  {SID: "HXofferfr", Purpose: "offer", Language: "fr", Body: "Nouvelle demande : {{1}}, {{2}}. {{3}}, {{4}}. {{5}}. Merci de rappeler."},
			"HXofferen":  {SID: "HXofferen", Purpose: "offer", Language: "en", Body: "New request: {{1}}, {{2}}. {{3}}, {{4}}. {{5}}. Please call back."},
			"HXupdateen": {SID: "HXupdateen", Purpose: "update", Language: "en", Body: "Update: {{1}}, {{2}}. {{3}}, {{4}}. {{5}}."},
		},
	}
}

func exampleLead() lead.Lead {
	return lead.Lead{
		ID: "7k2mq9xe8tr5wz3hnd6y", Ref: "482 913", Market: "ch", Site: "plombiersgeneve.ch", SourceURL: "https://plombiersgeneve.ch",
		Tracker: "ch-plumbing", Language: "fr", ReceivedAt: start,
		Request: lead.Request{
			ConversationID: "conv_01", AgentID: "agent_01", CallSID: "CA01", CallerID: "+41781230042", CalledNumber: "+41225394512",
			CustomerName: "Marta Salas", CallbackNumber: "078 123 00 42", ServiceType: "fuite", IssueSummary: "L'évier de la cuisine fuit.",
			Urgency: "urgent", AddressLine: "Rue Ancienne 12", City: "Carouge", PostalCode: "1227", Clicks: map[string]string{"gclid": "abc", "utm_source": "ads"},
		},
		Service: lead.Service{Raw: "fuite", ID: "plumbing.leak", Method: "phrase", Name: "Fuite d'eau"},
		Place:   lead.Place{Raw: "Carouche", ID: "carouge", Name: "Carouge", Method: "fuzzy", Score: 0.96},
		Phone: lead.Phone{
			Raw: "078 123 00 42", E164: "+41781230042", Source: "both", Confidence: "high", Type: "mobile", CallerID: "+41781230042", Check: true,
		},
		Flags: []string{"phone_check"},
	}
}

// outcome is an event of the matcher; change may be nil.
func outcome(kind string, change func(*event.Decided)) event.Event {
	b := &event.Decided{
		Lead: exampleLead(), Offer: "offer1",
		Provider: &roster.Provider{
			ID: "rapide", Name: "Rapide Plomberie", Languages: []string{"fr", "en"},
			WhatsApp: "+41791110001", SMS: "+41791110002", Email: "rapide@mail.example",
		},
		Trace: roster.Trace{
			{Provider: "rapide", Name: "Rapide Plomberie", In: true, Reason: "chosen"},
			{Provider: "lac", Name: "Plomberie du Lac Sàrl", Reason: "closed now, and takes no leads outside opening hours"},
		},
	}
	if kind == subjects.Unserved || kind == subjects.ReviewRequested {
		b.Provider, b.Offer, b.Reason = nil, "", "no provider covers the place"
	}
	if change != nil {
		change(b)
	}
	return event.Event{
		ID: kind + "-1", At: start, Body: b,
		Lead: subjects.Lead{Market: b.Lead.Market, Site: b.Lead.Site, Event: kind, Lead: b.Lead.ID},
	}
}

// planned are the messages of an event, change may be nil.
func planned(t *testing.T, e event.Event, change func(*site.Catalog)) []lead.Message {
	t.Helper()
	c := catalog(t)
	if change != nil {
		change(c)
	}
	return by(t, c, e)
}

// by are the messages of an event that a catalog's composer writes. Of a
// decision for which the owner is notified they are those of its alarm.
func by(t *testing.T, c *site.Catalog, e event.Event) []lead.Message {
	t.Helper()
	composer, err := New(c, e.Lead.Market, links, "https://leads.mail.example/")
	if err != nil {
		t.Fatal(err)
	}
	var about *Standing
	if cause := map[string]string{subjects.Unserved: alarm.Unserved, subjects.ReviewRequested: alarm.Review}[e.Lead.Event]; cause != "" {
		about = &Standing{Before: story.Of([]event.Event{e})}
		l := e.Body.(*event.Decided).Lead
		e = raised(cause, 1)
		e.Lead.Market, e.Lead.Site = l.Market, l.Site
		a := &e.Body.(*event.Raised).Alarm
		a.About, a.Leads, a.Facts, a.Times = l.ID, []string{l.ID}, nil, 1
	}
	messages, err := composer.Compose(e, about)
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

// texted is what the owner reads of a text to the customer.
func texted(t *testing.T, e event.Event, decided event.Decided, text lead.Message, why *lead.Failure) []lead.Message {
	t.Helper()
	composer, err := New(catalog(t), e.Lead.Market, links, "https://leads.mail.example/")
	if err != nil {
		t.Fatal(err)
	}
	messages, err := composer.Texted(e, decided, text, why)
	if err != nil {
		t.Fatal(err)
	}
	return messages
}
