// Package mailgun sends mail through Mailgun, looks for mails whose fate is
// unknown, and reads Mailgun's webhooks.
//
// Mailgun knows no idempotency key, so an unclear send (a 5xx, a timeout, an
// answer that cannot be read) is doubtful and must not simply be repeated. The
// ids that travel with a mail as user variables settle it: they come back in
// every webhook and in the Events API.
package mailgun

import (
	"context"
	"encoding/json"
	"errors"
	"net/mail"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/mailgun/mailgun-go/v4"

	"leadbus/internal/lead"
	"leadbus/internal/vendors/exchange"
)

const vendor = "mailgun"

// Options are the keys and the region.
type Options struct {
	APIKey     string // may send and read events; a domain sending key may not read them
	SigningKey string // of the webhooks; without one every webhook is refused
	APIBase    string // with the version: https://api.mailgun.net/v3 or https://api.eu.mailgun.net/v3
}

// Client is one Mailgun account. It is safe for concurrent use.
type Client struct {
	o    Options
	line *exchange.Line
	now  func() time.Time
}

// New makes a client; it does not connect. An unusable APIBase shows as a
// failure of class lead.OurFault.
func New(o Options) *Client {
	o.APIBase = strings.TrimSuffix(o.APIBase, "/")
	return &Client{o: o, line: exchange.NewLine(vendor, ""), now: time.Now}
}

// Send hands m to Mailgun; the sending domain is that of m.From. The error is
// a *lead.Failure.
func (c *Client) Send(ctx context.Context, m lead.Message, attempt string) (lead.Sent, error) {
	ctx, x := c.line.Begin(ctx)
	defer x.End()
	domain := domainOf(m.From)
	out := mailgun.NewMessage(m.From, oneLine(m.Subject), m.Text, m.To)
	if m.HTML != "" {
		out.SetHTML(m.HTML)
	}
	out.SetTracking(false) // it would rewrite the links of a notice
	out.AddHeader("Auto-Submitted", "auto-generated")
	if m.Thread != "" {
		thread := "<" + m.Thread + "@" + domain + ">"
		out.AddHeader("In-Reply-To", thread)
		out.AddHeader("References", thread)
	}
	// A recipient can read the variables, so they are ids only. Neither call
	// fails on a first tag and on strings.
	err := out.AddTag(m.Recipient)
	for k, v := range exchange.Fields(m, attempt) {
		err = errors.Join(err, out.AddVariable(k, v))
	}
	if err != nil {
		return lead.Sent{}, x.Failure()
	}
	_, id, err := c.domain(x, domain).Send(ctx, out)
	id = strings.Trim(id, "<>") // events name it without
	if err != nil || id == "" {
		return lead.Sent{}, refusal(x, err)
	}
	return lead.Sent{VendorID: id, At: c.now().UTC()}, nil
}

// domain is the library on one exchange.
func (c *Client) domain(x *exchange.Exchange, domain string) *mailgun.MailgunImpl {
	mg := mailgun.NewMailgun(domain, c.o.APIKey)
	mg.SetAPIBase(c.o.APIBase)
	mg.SetClient(x.Client())
	return mg
}

// refusal says why a call failed: by Mailgun's words where they are known,
// else by what the exchange saw.
func refusal(x *exchange.Exchange, err error) *lead.Failure {
	f := x.Failure()
	var e *mailgun.UnexpectedResponseError
	if !errors.As(err, &e) {
		return f
	}
	var answer struct{ Message string }
	if json.Unmarshal(e.Data, &answer) != nil {
		answer.Message = string(e.Data)
	}
	for _, r := range codes.Refusals {
		if r.Status == e.Actual && strings.Contains(answer.Message, r.Says) {
			f.Class, f.Reason = r.Class, r.Reason
			break
		}
	}
	if f.Class == lead.Transient && f.RetryAfter == 0 {
		f.RetryAfter = tryAgain(answer.Message)
	}
	return f
}

// tryAgain reads the wait out of Mailgun's words, since a 429 has no header
// for it.
func tryAgain(says string) time.Duration {
	_, rest, ok := strings.Cut(says, "try again after ")
	n, unit, _ := strings.Cut(rest, " ")
	seconds, err := strconv.Atoi(n)
	if !ok || err != nil || seconds < 0 || !strings.HasPrefix(unit, "second") {
		return 0
	}
	return time.Duration(min(seconds, 3600)) * time.Second
}

func domainOf(from string) string {
	a, err := mail.ParseAddress(from)
	if err != nil {
		return "" // the library then refuses to send
	}
	return a.Address[strings.LastIndexByte(a.Address, '@')+1:]
}

// oneLine keeps a subject from becoming two headers.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s))
}
