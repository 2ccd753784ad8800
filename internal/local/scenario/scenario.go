// Package scenario makes up phone calls: what the voice agent posts while one
// lasts, and the conversation that the vendor shows when it is over, in the
// vendor's own shape. Each scenario is a call that went right, or wrong in one
// way. It is pure: the same input makes the same call.
package scenario

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"
	"time"

	"leadbus/internal/text"
)

// scenario is one of scenarios.yaml.
type scenario struct {
	Name          string
	Summary       string
	Place         string // instead of the site's
	MissingDigits int    `yaml:"missing_digits"`
	WebhookLost   bool   `yaml:"webhook_lost"`
	Steps         []string
}

var (
	//go:embed scenarios.yaml
	scenariosYAML []byte
	scenarios     = text.Shipped[[]scenario](scenariosYAML)

	//go:embed words.yaml
	wordsYAML []byte
	words     = text.Shipped[map[string]map[string]string](wordsYAML) // language → phrase → text

	//go:embed conversation.json.tmpl
	conversationJSON string
	conversation     = template.Must(template.New("").Funcs(template.FuncMap{"json": encode}).Parse(conversationJSON))
)

// encode is v as JSON. Texts, numbers and maps of them always encode.
func encode(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// Names are the scenarios.
func Names() []string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.Name)
	}
	return names
}

// Mobile is the nth number of a caller in a country, ISO 3166 alpha-2: of the
// phone library's example ranges, and never one that ends in a code the sandbox
// fails on.
func Mobile(country string, n int) string {
	prefix := map[string]string{"ID": "+628123454", "FR": "+3361234"}[country]
	return fmt.Sprintf("%s%04d", cmp.Or(prefix, "+4178124"), n%10000)
}

// Site is the site that is called.
type Site struct {
	Language string // fr, de, it, en or id; any other speaks en
	AgentID  string
	DID      string
	Brand    string
	Greeting string // empty: a usual one, with the brand
	Service  string // as a caller says it
	Place    string
}

// Call is one call to it.
type Call struct {
	ConversationID string
	Caller         string    // E.164
	Name           string    // of the caller; empty: Marta Salas
	Ended          time.Time // when it was over
}

// Play is a call to be played.
type Play struct {
	// Tools are the bodies of the tool calls that reach us, in order.
	Tools   []json.RawMessage
	Webhook bool // false: the vendor's webhook is lost

	scenario scenario
	site     Site
	call     Call
}

// Build makes up a call.
func Build(name string, s Site, c Call) (Play, error) {
	i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.Name == name })
	if i < 0 {
		return Play{}, fmt.Errorf("no scenario %q; there are %s", name, strings.Join(Names(), ", "))
	}
	if words[s.Language] == nil {
		s.Language = "en"
	}
	c.Name = cmp.Or(c.Name, "Marta Salas")
	p := Play{Webhook: !scenarios[i].WebhookLost, scenario: scenarios[i], site: s, call: c}
	p.Tools = p.script(nil).posted
	return p, nil
}

// Conversation is the finished conversation, as the vendor's API shows it and
// its webhook carries it. The replies are what the tool calls were answered
// with, in order; a likely one stands for any that is missing. It can be posted
// to the sandbox as it is: one whose webhook is lost says so.
func (p Play) Conversation(replies ...[]byte) json.RawMessage {
	var b bytes.Buffer
	if err := conversation.Execute(&b, p.script(replies)); err != nil {
		panic(err) // the template is ours
	}
	return json.RawMessage(encode(json.RawMessage(b.Bytes()))) // without the template's blanks
}

// script is the call as it goes on.
type script struct {
	scenario
	Site    Site
	Call    Call
	CallSID string
	replies [][]byte

	Second     int
	Turns      []turn
	posted     []json.RawMessage
	number     string   // to call back
	known      []string // data-collection fields the caller gave
	AgentEnded bool     // false: the caller did
	ok         bool     // a tool call was accepted
}

// turn is something said, the agent's tool calls, or the result of one.
type turn struct {
	Role   string // agent or user
	Text   string
	Second int
	Calls  []tool
	Result *tool
}

// tool is one use of a tool.
type tool struct {
	Type, Name, ID string
	Params         map[string]any
	Body           string // of a webhook
	Reply          string
	Failed         bool
	Late           bool // the call was over
}

// script plays the scenario.
func (p Play) script(replies [][]byte) *script {
	s := &script{scenario: p.scenario, Site: p.site, Call: p.call, replies: replies, number: p.call.Caller}
	s.CallSID = "CA" + s.Hash("sid")[:32]
	s.Place = cmp.Or(s.Place, p.site.Place)
	s.number = s.number[:max(len(s.number)-s.MissingDigits, 0)]
	for _, step := range s.Steps {
		switch step {
		case "dispatch":
			s.dispatch()
		case "dispatch fails":
			s.use(tool{Name: "dispatch_lead", Params: s.fields(), Body: s.body(), Failed: true})
		case "end_call":
			s.use(endCall)
		case "end_call before dispatch":
			s.use(endCall, tool{Name: "dispatch_lead", Params: s.fields(), Late: true})
		default:
			role, phrase, _ := strings.Cut(step, " ")
			s.say(role, s.phrase(phrase))
			s.known = append(s.known, tells[phrase]...)
		}
	}
	return s
}

// tells are the data-collection fields that the caller gives with a phrase.
var tells = map[string][]string{
	"place": {"service_type", "issue_summary", "city", "language"},
	"name":  {"callback_number", "customer_name", "contact_consent"},
}

// phrase is one of words.yaml in the language of the call.
func (s *script) phrase(name string) string {
	if name == "greet" && s.Site.Greeting != "" {
		return s.Site.Greeting
	}
	return strings.NewReplacer("{brand}", s.Site.Brand, "{service}", s.Site.Service, "{place}", s.Place, "{number}", s.number,
		"{name}", s.Call.Name, "{reference}", "482 913").Replace(words[s.Site.Language][name])
}

// say is somebody speaking, at about fifteen letters a second.
func (s *script) say(role, what string) {
	s.Turns = append(s.Turns, turn{Role: role, Text: what, Second: s.Second})
	s.Second += 2 + len(what)/15
}

// fields are what the model fills in of a tool call, or the analysis collects.
func (s *script) fields() map[string]any {
	return map[string]any{
		"customer_name": s.Call.Name, "callback_number": s.number, "language": s.Site.Language,
		"service_type": s.Site.Service, "issue_summary": s.phrase("need"),
		"city": s.Place, "contact_consent": true,
	}
}

// body is a tool call's body: the model's fields, system variables, constants.
func (s *script) body() string {
	b := s.fields()
	maps.Copy(b, map[string]any{
		"schema_version": "1", "source": "elevenlabs",
		"conversation_id": s.Call.ConversationID, "agent_id": s.Site.AgentID, "call_sid": s.CallSID,
		"caller_id": s.Call.Caller, "called_number": s.Site.DID,
		"call_time_utc": s.Call.Ended.UTC().Format(time.RFC3339), "call_duration_secs": s.Second,
	})
	return encode(b)
}

// dispatch is a tool call that we answered; the agent reads the answer out.
func (s *script) dispatch() {
	reply := encode(map[string]any{"ok": true, "ref": "482913", "say": s.phrase("say"), "ask": ""})
	if n := len(s.posted); n < len(s.replies) {
		reply = string(s.replies[n])
	}
	body := s.body()
	s.posted = append(s.posted, json.RawMessage(body))
	s.use(tool{Name: "dispatch_lead", Params: s.fields(), Body: body, Reply: reply})
	var said struct {
		OK       bool
		Say, Ask string
	}
	_ = json.Unmarshal([]byte(reply), &said) // an answer that is none says nothing
	s.ok = s.ok || said.OK
	if said.Say != "" {
		s.say("agent", said.Say)
	}
	if said.Ask != "" {
		s.say("agent", said.Ask)
		s.say("user", s.phrase("yes"))
	}
}

var endCall = tool{Type: "system", Name: "end_call", Params: map[string]any{"reason": "done"}}

// use is the agent calling tools, and the result of the first; the others are
// too late to run.
func (s *script) use(tools ...tool) {
	for i := range tools {
		tools[i].Type = cmp.Or(tools[i].Type, "webhook")
		tools[i].ID = "call_" + s.Hash(fmt.Sprint(len(s.Turns) + i))[:20]
	}
	s.Turns = append(s.Turns, turn{Role: "agent", Second: s.Second, Calls: tools})
	if s.Second++; tools[0].Failed {
		s.Second += 10
	}
	s.Turns = append(s.Turns, turn{Role: "agent", Second: s.Second, Result: &tools[0]})
	s.AgentEnded = tools[0].Name == endCall.Name
}

// Hash is a made-up id of the call, the same each time.
func (s *script) Hash(of string) string {
	h := sha256.Sum256([]byte(s.Call.ConversationID + "\x00" + of))
	return hex.EncodeToString(h[:])
}

// Start is when the call began, in Unix seconds.
func (s *script) Start() int64 { return s.Call.Ended.Unix() - int64(s.Second) }

// Cost is the call's price in credits.
func (s *script) Cost() int { return 7 * s.Second }

// CostFiat is the call's price in dollars.
func (s *script) CostFiat() float64 { return float64(s.Second) / 600 }

// Collected are the data-collection fields; one that the caller did not give is
// null.
func (s *script) Collected() map[string]any {
	all := s.fields()
	for k := range all {
		if !slices.Contains(s.known, k) {
			all[k] = nil
		}
	}
	return all
}

// Outcome is what the vendor's analysis makes of the call.
func (s *script) Outcome() string {
	switch {
	case s.ok:
		return "success"
	case len(s.known) == 0: // nobody wanted anything
		return "unknown"
	default:
		return "failure"
	}
}
