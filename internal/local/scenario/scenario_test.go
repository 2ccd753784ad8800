package scenario_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadbus/internal/call"
	"leadbus/internal/local/await"
	"leadbus/internal/local/sandbox"
	"leadbus/internal/local/scenario"
	"leadbus/internal/understand/intake"
	"leadbus/internal/vendors/elevenlabs"
)

var (
	ended     = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	geneva    = scenario.Site{Language: "fr", AgentID: "agent_1", DID: "+41225394512", Brand: "Plombiers Genève", Service: "fuite d'eau", Place: "Carouge"}
	fromMarta = scenario.Call{ConversationID: "conv_1", Caller: "+41781240001", Ended: ended}
)

func build(t *testing.T, name string, s scenario.Site) (scenario.Play, call.Call) {
	t.Helper()
	p, err := scenario.Build(name, s, fromMarta)
	if err != nil {
		t.Fatal(err)
	}
	c, err := elevenlabs.Conversation(p.Conversation())
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}

// What sets each scenario apart.
func TestScenarios(t *testing.T) {
	type facts struct {
		Posted     int      // tool calls that reach us
		Webhook    bool     // it is sent
		Tools      []string // with "!" when it failed, "-" when it never ran
		Dispatched bool
		Named      bool // the caller gave a name
		Ended      string
	}
	const hungUp, byAgent = "Call ended by remote party", "end_call tool was called."
	whole := facts{1, true, []string{"dispatch_lead", "end_call"}, true, true, byAgent}
	want := map[string]facts{
		"normal":                whole,
		"wrong-number-dictated": whole,
		"place-unknown":         whole,
		"repeat-caller":         whole,
		"goodbye-before-tool":   {0, true, []string{"end_call", "-dispatch_lead"}, false, true, byAgent},
		"promise-without-tool":  {0, true, []string{"end_call"}, false, true, byAgent},
		"webhook-lost":          {0, false, []string{"end_call"}, false, true, byAgent},
		"tool-error":            {0, true, []string{"!dispatch_lead", "!dispatch_lead"}, false, true, hungUp},
		"hang-up":               {0, true, nil, false, false, hungUp},
		"spam":                  {0, true, []string{"end_call"}, false, false, byAgent},
	}
	for _, name := range scenario.Names() {
		p, c := build(t, name, geneva)
		got := facts{Posted: len(p.Tools), Webhook: p.Webhook, Dispatched: c.Dispatched(), Named: c.Collected["customer_name"] != "", Ended: c.Ended}
		for _, tool := range c.Tools {
			mark := ""
			if tool.Failed {
				mark = "!"
			} else if !tool.Ran {
				mark = "-"
			}
			got.Tools = append(got.Tools, mark+tool.Name)
		}
		if d := cmp.Diff(want[name], got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if len(want) != len(scenario.Names()) {
		t.Errorf("%d names", len(scenario.Names()))
	}
}

// Every call is one that a site could have had, in each language.
func TestEveryCallIsWhole(t *testing.T) {
	for _, language := range []string{"fr", "de", "it", "en", "id"} {
		s := geneva
		s.Language = language
		for _, name := range scenario.Names() {
			p, c := build(t, name, s)
			if c.ID != "conv_1" || c.AgentID != "agent_1" || c.CallerID != fromMarta.Caller || c.Called != geneva.DID || c.Direction != "inbound" ||
				!strings.HasPrefix(c.CallSID, "CA") || c.Language != language || c.Status != "done" || c.Summary == "" {
				t.Errorf("%s %s: %+v", language, name, c)
			}
			if end := c.StartedAt.Add(time.Duration(c.Seconds) * time.Second); !end.Equal(ended) || c.Seconds < 20 || c.Seconds > 180 {
				t.Errorf("%s %s: %d s from %s", language, name, c.Seconds, c.StartedAt)
			}
			last := -1
			for i, turn := range c.Turns {
				if turn.Second < last || turn.Second > c.Seconds || strings.ContainsAny(turn.Text, "{}") || i == 0 && turn.Who != call.Agent {
					t.Errorf("%s %s: turn %+v", language, name, turn)
				}
				last = turn.Second
			}
			if !strings.Contains(c.Turns[0].Text, geneva.Brand) {
				t.Errorf("%s: greets with %q", language, c.Turns[0].Text)
			}
			again, err := scenario.Build(name, s, fromMarta)
			if err != nil || !bytes.Equal(again.Conversation(), p.Conversation()) {
				t.Errorf("%s %s: the second time it is another call", language, name)
			}
		}
	}
}

func TestWhatTheToolPosts(t *testing.T) {
	for name, change := range map[string]func(callback, city *string){
		"normal":                func(_, _ *string) {},
		"wrong-number-dictated": func(callback, _ *string) { *callback = "+417812400" },
		"place-unknown":         func(_, city *string) { *city = "Trifouilly-les-Oies" },
	} {
		p, c := build(t, name, geneva)
		got, flags, err := intake.Decode(p.Tools[0])
		if err != nil || len(flags) > 0 {
			t.Fatalf("%s: %v %v", name, flags, err)
		}
		callback, city := fromMarta.Caller, "Carouge"
		change(&callback, &city)
		if got.ConversationID != "conv_1" || got.CallSID != c.CallSID || got.CallerID != fromMarta.Caller || got.CalledNumber != geneva.DID ||
			got.CallbackNumber != callback || got.City != city || got.ServiceType != "fuite d'eau" || got.CustomerName != "Marta Salas" ||
			got.Language != "fr" || got.ContactConsent == nil || !*got.ContactConsent {
			t.Errorf("%s: %+v", name, got)
		}
		if c.Tools[0].Body != string(p.Tools[0]) || c.Collected["callback_number"] != callback || c.Collected["city"] != city {
			t.Errorf("%s: the conversation tells %+v", name, c)
		}
	}
}

// The agent reads out what we answered.
func TestTheAgentSaysTheReply(t *testing.T) {
	p, _ := build(t, "normal", geneva)
	reply, _ := json.Marshal(intake.Reply{OK: true, Ref: "111222", Say: "Votre référence est le 111 222.", Ask: "Quel est le code postal ?"})
	c, err := elevenlabs.Conversation(p.Conversation(reply))
	if err != nil || c.Tools[0].Result != string(reply) {
		t.Fatalf("%+v %v", c.Tools, err)
	}
	said := func(text string) bool {
		return slices.ContainsFunc(c.Turns[c.Tools[0].Turn:], func(turn call.Turn) bool { return turn.Who == call.Agent && turn.Text == text })
	}
	if !said("Votre référence est le 111 222.") || !said("Quel est le code postal ?") {
		t.Errorf("%+v", c.Turns)
	}
	if c.Criteria["lead_dispatched"].Result != "success" {
		t.Errorf("%+v", c.Criteria)
	}
}

func TestWhatThereIsNot(t *testing.T) {
	if _, err := scenario.Build("earthquake", geneva, fromMarta); err == nil || !strings.Contains(err.Error(), "hang-up") {
		t.Error(err)
	}
	s := geneva
	s.Language, s.Greeting = "xx", "Hoi"
	if _, c := build(t, "normal", s); c.Language != "en" || c.Turns[0].Text != "Hoi" {
		t.Errorf("%+v", c.Turns[0])
	}
}

// The sandbox plays each of them, and ElevenLabs' API shows it.
func TestTheSandboxPlaysThem(t *testing.T) {
	hooks := make(chan string, 100)
	edge := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h, err := elevenlabs.Decode(body)
		if err != nil || elevenlabs.Verify("wsec", r.Header.Get(elevenlabs.SignatureHeader), body, time.Now(), time.Minute) != nil {
			t.Error("a hook that is none")
		}
		hooks <- h.ConversationID
	}))
	defer edge.Close()
	s, err := sandbox.Start(sandbox.Options{
		Addr: "127.0.0.1:0", EdgeURL: edge.URL, ElevenLabsKey: "key", ElevenLabsWebhookSecret: "wsec", Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	told := map[string]bool{}
	for _, name := range scenario.Names() {
		p, err := scenario.Build(name, geneva, scenario.Call{ConversationID: name, Caller: "+41781240001", Ended: ended})
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.Post(s.URL()+"/api/calls", "application/json", bytes.NewReader(p.Conversation()))
		if err != nil || res.StatusCode != http.StatusCreated {
			t.Fatal(name, res, err)
		}
		_ = res.Body.Close()
		if p.Webhook {
			told[name] = true
		}
	}
	for range told {
		if id := await.Value(t, "every hook", hooks); !told[id] {
			t.Errorf("a hook of %q", id)
		}
	}
	list, err := elevenlabs.New("key", s.ElevenLabsURL()).List(t.Context(), geneva.AgentID, ended.Add(-time.Hour), ended)
	if err != nil || len(list) != len(scenario.Names()) {
		t.Errorf("%d listed, %v", len(list), err)
	}
}
