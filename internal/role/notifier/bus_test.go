package notifier_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadbus/internal/engine/bus/bustest"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/role/notifier"
	"leadbus/internal/role/notifier/send"
	"leadbus/internal/roster"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

// run starts one more notifier of the market, with the rights it has there.
func run(t *testing.T, b *bustest.Bus, v send.Vendor) {
	t.Helper()
	c := b.Connect(t, "ch-notifier")
	journal, err := send.OpenJournal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	n, err := notifier.New(notifier.Options{PublishAll: c.PublishAll, Options: send.Options{
		Journal: journal,
		Catalog: &site.Catalog{
			Markets: map[string]*site.Market{"ch": {ID: "ch"}},
			Sites: map[string]*site.Site{"a.ch": {
				Domain: "a.ch", Market: "ch", Brand: "A", DID: "+41225394512", Languages: []string{"fr"},
				Senders: site.Senders{
					SMS: site.Sender{From: "A", PerSecond: 1000}, Mail: site.Sender{From: "a@mail.example", PerSecond: 1000},
					WhatsApp: site.WhatsAppSender{From: "+41225394599", PerSecond: 1000, Templates: map[string]map[string]string{"offer": {"fr": "HX1"}}},
				},
				Owner: site.Owner{Email: "owner@mail.example", Language: "fr"},
			}},
			Templates: map[string]*site.Template{"HX1": {SID: "HX1", Body: "{{1}} {{2}} {{3}} {{4}} {{5}}"}},
		},
		Market: "ch", Stream: c, Ledger: bustest.Bucket(t, c, subjects.BucketLedger), Now: time.Now, Log: zerolog.Nop(),
		Vendors: map[string]send.Vendor{lead.SMS: v, lead.WhatsApp: v, lead.Email: v},
	}})
	if err != nil {
		t.Fatal(err)
	}
	await.Background(t, func(ctx context.Context) error { return c.Consume(ctx, subjects.Notifier, 16, n.Handle) })
}

// counting takes every message and counts how often.
type counting struct {
	mu  sync.Mutex
	got map[string]int
}

func (c *counting) Send(_ context.Context, m lead.Message, _ string) (lead.Sent, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got[m.ID]++
	return lead.Sent{VendorID: "V" + m.ID, At: time.Now()}, nil
}

func (c *counting) Find(context.Context, lead.Message, string, time.Time, []string) (lead.Sent, bool, error) {
	return lead.Sent{}, false, nil
}

func matched(i int) event.Event {
	id := lead.NewID("a.ch", fmt.Sprint("conversation", i))
	return event.Event{
		ID: "matched-" + id, At: time.Now(), Lead: subjects.Lead{Market: "ch", Site: "a.ch", Event: subjects.Matched, Lead: id},
		Body: &event.Decided{
			Offer:    lead.OfferID(id, "p"),
			Lead:     lead.Lead{ID: id, Ref: lead.Ref(id), Market: "ch", Site: "a.ch", Language: "fr", Phone: lead.Phone{E164: "+41781230042", Type: "mobile"}},
			Provider: &roster.Provider{ID: "p", Name: "P", Languages: []string{"fr"}, WhatsApp: "+41791110001", SMS: "+41791110002", Email: "p@mail.example"},
		},
	}
}

// Several notifiers share a market, and every event reaches them twice: under
// its own message id, and again as an operator republishes it. Each message is
// sent once, and its outcome is on the stream.
func TestConcurrentNotifiersSendEachMessageOnce(t *testing.T) {
	const leads, each = 20, 5
	b := bustest.New(t)
	v := &counting{got: map[string]int{}}
	for range 3 {
		run(t, b, v)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sent := map[string]int{}
	told := make(chan error, 1)
	go func() {
		told <- b.Operator.Follow(ctx, subjects.Lead{Market: "ch"}, time.Now().Add(-time.Minute), func(e event.Event) error {
			switch body := e.Body.(type) {
			case *event.Queued:
				if len(e.ID) > 6 && e.ID[:6] == "again-" {
					return nil
				}
				again := e
				again.ID = "again-" + e.ID
				return b.Operator.Publish(ctx, again)
			case *event.Attempted:
				switch sent[body.Message]++; len(sent) {
				case leads * each:
					// One more lead, behind every repeat: when it is told, the
					// repeats have had their turn.
					return b.Operator.Publish(ctx, matched(leads))
				case (leads + 1) * each:
					cancel()
				}
			}
			return nil
		})
	}()
	for i := range leads {
		if err := b.Operator.Publish(t.Context(), matched(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-told; err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	want := map[string]int{}
	for id := range v.got {
		want[id] = 1
	}
	if len(want) != (leads+1)*each {
		t.Errorf("%d messages sent, want %d", len(want), (leads+1)*each)
	}
	if d := cmp.Diff(want, v.got); d != "" {
		t.Errorf("sends by message: %s", d)
	}
	if d := cmp.Diff(want, sent); d != "" {
		t.Errorf("outcomes by message: %s", d)
	}
}
