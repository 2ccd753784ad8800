package compose

import (
	"errors"
	htmltemplate "html/template"
	"strings"
	"text/template"

	"leadbus/internal/roster"
)

// mail is the content of an e-mail; one layout makes its text part, another its
// HTML part, and what a customer said is escaped by that layout.
type mail struct {
	Lang, Title, Badge, Intro string
	Brand, Ref                string
	Links                     []button // to answer by
	Call                      *dial
	Notes                     []string // what to do, or to watch out for
	Sections                  []section
	Footer                    string
}

// dial is the button that calls the customer.
type dial struct{ Label, Number string }

// button leads to a page of ours; a quiet one is not what is mostly wanted.
type button struct {
	Label, URL string
	Quiet      bool
}

// section shows one of these.
type section struct {
	Title string
	Text  string
	Facts []fact
	Trace roster.Trace
	Texts []quote
	Turns []turn
}

type fact struct{ Label, Value string }

// quote is a message as it was sent.
type quote struct {
	Head  string
	Lines []string
}

// turn is something said in a call, or done by the agent's tool.
type turn struct {
	At, Who, Text string
	Caller, Tool  bool
}

var (
	textLayout = template.Must(template.ParseFS(shipped, "texts/mail.txt"))
	htmlLayout = htmltemplate.Must(htmltemplate.ParseFS(shipped, "texts/mail.html"))
)

// parts are the two bodies of the mail.
func (m mail) parts() (text, html string, err error) {
	var t, h strings.Builder
	err = errors.Join(textLayout.Execute(&t, m), htmlLayout.Execute(&h, m))
	return t.String(), h.String(), err
}

// facts drops what has no value.
func facts(all ...fact) []fact {
	var out []fact
	for _, f := range all {
		if f.Value != "" {
			out = append(out, f)
		}
	}
	return out
}
