// Package twilio sends SMS and WhatsApp messages through Twilio, looks for
// messages whose fate is unknown, and reads Twilio's status callbacks.
//
// A create that Twilio refuses (4xx) or that never left was certainly not
// sent. One that timed out, was cut, or was answered by a 5xx or by something
// unreadable is doubtful: Twilio knows no idempotency key for messages, so it
// must not simply be repeated. The status callback settles it, whose
// signed address carries the attempt, and after that Find does.
package twilio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"leadbus/internal/lead"
	"leadbus/internal/vendors/exchange"
)

const (
	vendor   = "twilio"
	whatsApp = "whatsapp:" // before both addresses of a WhatsApp message

	statusPath = "/v1/twilio/status" // of the edge, under PublicURL
	// callbackRules make Twilio repeat a callback that we answered with a 5xx
	// or not at all; by default it repeats failed connections only. It spends
	// 15 s in all and then drops the callback. The fragment is neither sent
	// nor signed (Twilio webhook connection overrides).
	callbackRules = "rc=3&rp=5xx,ct,rt&ct=2000&rt=5000"

	// smsValidity is how long Twilio may hold an SMS in its queue, in seconds.
	// By default that is ten hours; by then the job is someone else's.
	smsValidity = 3600

	// listed is how many of the newest messages to a recipient Find looks
	// through: the most that Twilio gives in one page.
	listed = 1000
	// clockSlack is how far Twilio's clock and ours may differ.
	clockSlack = time.Minute
)

// Options are the account and the two addresses.
type Options struct {
	AccountSID string
	AuthToken  string // signs status callbacks; signs in for calls unless there is an API key
	APIKey     string // SK…, optional, with APISecret
	APISecret  string
	APIBase    string // https://api.twilio.com
	PublicURL  string // under which Twilio reaches the edge; signatures are checked against it
}

// Client is one Twilio account. It is safe for concurrent use.
type Client struct {
	accountSID  string
	credentials *client.Credentials
	publicURL   string
	line        *exchange.Line
	validator   client.RequestValidator
}

// New makes a client; it does not connect. An unusable APIBase shows as a
// failure of class lead.OurFault.
func New(o Options) *Client {
	user, secret := o.AccountSID, o.AuthToken
	if o.APIKey != "" {
		user, secret = o.APIKey, o.APISecret
	}
	return &Client{
		accountSID:  o.AccountSID,
		credentials: client.NewCredentials(user, secret),
		publicURL:   strings.TrimSuffix(o.PublicURL, "/"),
		line:        exchange.NewLine(vendor, o.APIBase),
		validator:   client.NewRequestValidator(o.AuthToken),
	}
}

// Send hands m to Twilio. The error is a *lead.Failure.
func (c *Client) Send(ctx context.Context, m lead.Message, attempt string) (lead.Sent, error) {
	_, x := c.line.Begin(ctx) // the library takes no context
	defer x.End()
	answer, err := c.service(x).CreateMessage(c.create(m, attempt))
	if err != nil || !x.OK() {
		return lead.Sent{}, refusal(x, err)
	}
	if answer.Sid == nil || *answer.Sid == "" {
		return lead.Sent{}, x.Failure()
	}
	// A first status has no callback of its own.
	if status := deref(answer.Status); states[status] == lead.MessageFailed {
		return lead.Sent{}, later(status, errorCode(answer))
	}
	return lead.Sent{VendorID: *answer.Sid, At: time.Now().UTC()}, nil
}

func (c *Client) create(m lead.Message, attempt string) *api.CreateMessageParams {
	p := new(api.CreateMessageParams).
		SetTo(address(m.Channel, m.To)).
		SetFrom(address(m.Channel, m.From)).
		SetStatusCallback(c.callback(m, attempt))
	if m.Channel == lead.SMS {
		p.SetValidityPeriod(smsValidity)
	}
	if m.ContentSID == "" {
		return p.SetBody(m.Text)
	}
	// A body beside a template would be sent as free text, which WhatsApp
	// refuses outside its 24-hour window.
	p.SetContentSid(m.ContentSID)
	if len(m.ContentVariables) > 0 {
		variables, _ := json.Marshal(m.ContentVariables) // strings always encode
		p.SetContentVariables(string(variables))
	}
	return p
}

// callback is the address of the message's status callbacks. Its query is part
// of what Twilio signs, so the ids in it can be trusted when they come back,
// even for a message whose create was never answered.
func (c *Client) callback(m lead.Message, attempt string) string {
	q := url.Values{}
	for name, value := range exchange.Fields(m, attempt) {
		q.Set(name, value)
	}
	return c.publicURL + statusPath + "?" + q.Encode() + "#" + callbackRules
}

// Find looks for a message whose create may not have been answered, among the
// newest 1000 to its recipient created since a minute before since. Twilio's list
// shows no attempt, so a message is told by its text, and the others with the same
// text by their ids: while nobody knows one of them, none is found. The list lags
// by minutes, so not finding it proves nothing.
func (c *Client) Find(ctx context.Context, m lead.Message, _ string, since time.Time, others []string) (lead.Sent, bool, error) {
	if slices.Contains(others, "") {
		return lead.Sent{}, false, nil
	}
	_, x := c.line.Begin(ctx) // the library takes no context
	defer x.End()
	p := new(api.ListMessageParams).SetTo(address(m.Channel, m.To)).SetPageSize(listed)
	// An alphanumeric sender may be replaced by one registered for the country.
	if strings.HasPrefix(m.From, "+") {
		p.SetFrom(address(m.Channel, m.From))
	}
	page, err := c.service(x).PageMessage(p, "", "")
	if err != nil || !x.OK() {
		return lead.Sent{}, false, fmt.Errorf("list messages: %w", refusal(x, err))
	}
	for _, found := range page.Messages { // newest first
		created, err := time.Parse(time.RFC1123Z, deref(found.DateCreated))
		if err != nil || created.Before(since.Add(-clockSlack)) {
			continue
		}
		if found.Sid != nil && !slices.Contains(others, *found.Sid) && says(deref(found.Body), m) {
			return lead.Sent{VendorID: *found.Sid, At: created.UTC()}, true, nil
		}
	}
	return lead.Sent{}, false, nil
}

// says reports whether a body listed by Twilio is m's text; a trial account's
// texts have a line before. Two messages may fill their templates alike, so the
// variables alone tell only when the template's text is not known.
func says(body string, m lead.Message) bool {
	if text := strings.Fields(m.Text); len(text) > 0 {
		return strings.HasSuffix(strings.Join(strings.Fields(body), " "), strings.Join(text, " "))
	}
	for _, v := range m.ContentVariables {
		if !strings.Contains(body, v) {
			return false
		}
	}
	return m.ContentSID != "" && body != ""
}

// service is the library on one exchange. Its usual constructor would let
// TWILIO_EDGE and TWILIO_REGION change the host.
func (c *Client) service(x *exchange.Exchange) *api.ApiService {
	base := &client.Client{Credentials: c.credentials, HTTPClient: x.Client()}
	base.SetAccountSid(c.accountSID)
	return api.NewApiService(&client.RequestHandler{Client: base})
}

// refusal says why a call failed: by Twilio's code where it refused with one,
// else by what the exchange saw.
func refusal(x *exchange.Exchange, err error) *lead.Failure {
	f := x.Failure()
	var e *client.TwilioRestError
	if !errors.As(err, &e) || e.Code == 0 || x.Status() >= 500 {
		return f
	}
	f.Code = strconv.Itoa(e.Code)
	if !codes.Explain(f, f.Code) && f.Class == lead.OurFault {
		f.Reason = "refused; the code is not in our table"
	}
	return f
}

func address(channel, number string) string {
	if channel == lead.WhatsApp {
		return whatsApp + number
	}
	return number
}

// errorCode is why a message failed; empty when Twilio does not say.
func errorCode(m *api.ApiV2010Message) string {
	if m.ErrorCode == nil {
		return ""
	}
	return strconv.Itoa(*m.ErrorCode)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
