package site

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
	"unicode"

	"leadbus/internal/lead"
)

// Tracker is where conversions are counted: the request that tells it of one.
// URL, headers and body are templates over a lead.Conversion and {{.Secret}}. What
// a field holds is escaped for its place, so that no word of a customer's changes
// the form of the request.
type Tracker struct {
	ID          string             `yaml:"id"`
	Method      string             `yaml:"method"`            // GET or POST
	URL         string             `yaml:"url"`               // https
	Headers     map[string]string  `yaml:"headers,omitempty"` // by name
	Body        string             `yaml:"body,omitempty"`
	ContentType string             `yaml:"content_type,omitempty"` // of a body: JSON or a form
	Secret      string             `yaml:"secret,omitempty"`       // name of the file that holds it
	Events      map[string]string  `yaml:"events"`                 // the outcomes that are told: the tracker's name for each
	Value       map[string]float64 `yaml:"value,omitempty"`        // fixed, by outcome; else the one that was entered
	Currency    string             `yaml:"currency,omitempty"`     // ISO 4217
	Delay       time.Duration      `yaml:"delay,omitempty"`        // after the outcome
	MaxAge      time.Duration      `yaml:"max_age,omitempty"`      // after it, a day when zero
	DryRun      bool               `yaml:"dry_run,omitempty"`      // render and send nothing
}

// Age is how old an outcome may be at most when it is told.
func (t *Tracker) Age() time.Duration { return cmp.Or(t.MaxAge, 24*time.Hour) }

// Render is the request that tells of a conversion. A tracker that was loaded
// without a fault renders each; an error may quote what a field holds.
func (t *Tracker) Render(c lead.Conversion, secret string) (*http.Request, error) {
	texts := map[string]string{}
	for _, part := range t.parts() {
		text, err := part.render(c, secret)
		if err != nil {
			return nil, err
		}
		texts[fmt.Sprint(part.at...)] = text
	}
	r, err := http.NewRequest(t.Method, texts["url"], strings.NewReader(texts["body"])) //nolint:noctx // whoever sends it gives it one
	if err != nil {
		return nil, err
	}
	for name := range t.Headers {
		r.Header.Set(name, texts["headers"+name])
	}
	if t.ContentType != "" {
		r.Header.Set("Content-Type", t.ContentType)
	}
	r.Header.Set("Idempotency-Key", c.Key)
	return r, nil
}

// part is one template of a tracker.
type part struct {
	at     where
	text   string
	escape func(string) string
}

func (t *Tracker) parts() []part {
	parts := []part{{where{"url"}, t.URL, inURL}, {where{"body"}, t.Body, inURL}}
	if t.json() {
		parts[1].escape = inJSON
	}
	for _, name := range slices.Sorted(maps.Keys(t.Headers)) {
		parts = append(parts, part{where{"headers", name}, t.Headers[name], inHeader})
	}
	return parts
}

func (t *Tracker) json() bool { return t.ContentType == "application/json" }

// inURL is fit for a path, a query and a form.
func inURL(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// inJSON is fit for a text between quotes.
func inJSON(s string) string {
	b, _ := json.Marshal(s) // a string always encodes
	return string(b[1 : len(b)-1])
}

func inHeader(s string) string {
	return strings.Join(strings.FieldsFunc(s, unicode.IsControl), "")
}

// render executes the template with every value that it prints escaped.
func (p part) render(c lead.Conversion, secret string) (string, error) {
	t, err := template.New(fmt.Sprint(p.at[len(p.at)-1])).Option("missingkey=zero").Funcs(template.FuncMap{"escape": func(v any) string {
		if at, ok := v.(time.Time); ok {
			v = at.UTC().Format(time.RFC3339)
		}
		return p.escape(fmt.Sprint(v))
	}}).Parse(p.text)
	if err != nil {
		return "", err
	}
	for _, defined := range t.Templates() {
		escapeAll(defined.Root)
	}
	var b strings.Builder
	err = t.Execute(&b, struct {
		lead.Conversion
		Secret string
	}{c, secret})
	return b.String(), err
}

// escapeAll puts every printed value of a template through the function escape, as
// html/template does.
func escapeAll(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			if len(n.Pipe.Decl) == 0 {
				n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{
					NodeType: parse.NodeCommand, Args: []parse.Node{parse.NewIdentifier("escape").SetTree(nil).SetPos(n.Pos)},
				})
			}
		case *parse.IfNode:
			escapeAll(n.List)
			escapeAll(n.ElseList)
		case *parse.WithNode:
			escapeAll(n.List)
			escapeAll(n.ElseList)
		case *parse.RangeNode:
			escapeAll(n.List)
			escapeAll(n.ElseList)
		}
	}
}

// check tries a tracker's templates on a lead of which nothing is known and on one
// of odd words.
func (t *Tracker) check(fault func(at where, format string, args ...any)) {
	const odd, secret = "a&b=c#d?\"'\\/%0a{{.Secret}}\r\n<é>", "5e-c_r3t" //nolint:gosec // made up, for a trial
	clicks := map[string]string{}
	for _, name := range strings.Fields("gclid gbraid wbraid fbclid fbc fbp msclkid ga_client_id ga_session_id utm_source utm_medium utm_campaign utm_term utm_content") {
		clicks[name] = odd
	}
	host := ""
	for _, c := range []lead.Conversion{{}, {Event: odd, Lead: odd, Ref: odd, Site: odd, Service: odd, Place: odd, Value: "1", Currency: odd, Clicks: clicks, PhoneSHA256: odd}} {
		for _, part := range t.parts() {
			text, err := part.render(c, secret)
			u, bad := url.Parse(text)
			if host == "" && bad == nil {
				host = u.Host
			}
			switch {
			case err != nil:
			case strings.Contains(text, secret) && t.Secret == "":
				err = errors.New("it names .Secret, and the tracker has no secret")
			case part.at[0] == "body" && text != "" && t.json() && !json.Valid([]byte(text)):
				err = errors.New("not always JSON: a field stands in quotes, or is a number that is never empty, such as {{or .Value 0}}")
			case part.at[0] == "url" && (bad != nil || u.Scheme != "https" || u.Host == "" || u.Host != host):
				err = errors.New("want an address that begins with https:// and a host, which is the same for every lead")
			}
			if err != nil {
				fault(part.at, "%s", strings.TrimPrefix(err.Error(), "template: "))
				return
			}
		}
	}
	switch {
	case t.Body != "" && t.Method == http.MethodGet:
		fault(where{"body"}, "a GET has no body")
	case (t.Body == "") != (t.ContentType == ""):
		fault(where{}, "a body and its content_type belong together")
	case t.Delay >= t.Age():
		fault(where{"delay"}, "with this delay an outcome is too old when it may be told: max_age is %s", t.Age())
	}
}
