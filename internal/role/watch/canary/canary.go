// Package canary proves a market's whole way from outside: it posts a test lead
// through the public address, as an agent does, and follows the market's stream
// until the mail vendor reports that the canary's mailbox has the message.
//
//	POST dispatch_lead ─ received ─ matched ─ message-sent ─ receipt: delivered
//	      refused    not stored  not matched  not sent    no receipt
//
// A test lead carries lead.FlagTest: the matcher gives it to the mailbox of the
// market's configuration, and no provider, customer or owner hears of it.
package canary

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/site"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
	"leadbus/internal/understand/intake"
)

// The stages at which a test lead may stick.
const (
	Refused    = "refused"     // the edge did not take it
	NotStored  = "not stored"  // the edge took it, and it is not on the stream
	NotMatched = "not matched" // no matcher decided, or not as it should
	NotSent    = "not sent"    // the vendor did not take the mail
	NoReceipt  = "no receipt"  // the vendor did not report that it arrived
)

const (
	postTime = 10 * time.Second
	lookTime = 3 * time.Second
	pause    = 250 * time.Millisecond // between looks at the stream
)

// Options are what a canary works with.
type Options struct {
	Catalog *site.Catalog
	Market  string                     // one of the catalog's, with a canary mailbox
	URL     string                     // the edge's public address
	Secret  func(domain string) string // of a site's tool calls; empty for none
	Stream  event.Reader
	Client  intake.Doer // default: http.DefaultClient
	Now     func() time.Time

	Late time.Duration // from when on an arrival is late; default 60 s
	Lost time.Duration // when it is given up; default 5 min
}

// Canary makes a market's test leads. It is safe for concurrent use.
type Canary struct {
	Options
	site *site.Site
	said map[string]any // of every tool call
}

// New prepares the test leads of the market's first site that has a secret and
// can write mails. The market must have a canary mailbox.
func New(o Options) (*Canary, error) {
	m := o.Catalog.Markets[o.Market]
	if m == nil || m.Canary.Email == "" {
		return nil, fmt.Errorf("canary: market %s has no mailbox for it; set canary.email in its file", o.Market)
	}
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	o.Late, o.Lost = cmp.Or(o.Late, time.Minute), cmp.Or(o.Lost, 5*time.Minute)
	for _, domain := range slices.Sorted(maps.Keys(o.Catalog.Sites)) {
		s := o.Catalog.Sites[domain]
		if s.Market == o.Market && s.Senders.Mail.From != "" && o.Secret(domain) != "" {
			return &Canary{Options: o, site: s, said: said(o.Catalog, s, m)}, nil
		}
	}
	return nil, fmt.Errorf("canary: no site of market %s has both a mail sender and a secret for its tool calls", o.Market)
}

// said is a request that is understood without doubt.
func said(c *site.Catalog, s *site.Site, m *site.Market) map[string]any {
	number := phonenumbers.Format(phonenumbers.GetExampleNumberForType(m.Country, phonenumbers.MOBILE), phonenumbers.E164)
	body := intake.Example(c, s, number)
	body["source"], body[lead.FlagTest] = "canary", true
	body["customer_name"], body["issue_summary"] = "Canary", "A test of leadbus; nobody called."
	return body
}

// Result is what became of one test lead.
type Result struct {
	Site, Lead string
	Sent       time.Time
	Took       time.Duration // until it arrived or was given up
	Late       bool          // it arrived, later than it should
	Stage      string        // where it sticks; empty when it arrived
	Err        error         // why; nil when it arrived
}

// OK reports whether the lead arrived in time.
func (r Result) OK() bool { return r.Err == nil && !r.Late }

// Beat sends one test lead and waits until it has arrived, certainly will not,
// or is lost. When ctx ends before that, Err is ctx's.
func (c *Canary) Beat(ctx context.Context) Result {
	conversation := "canary_" + strings.ToLower(rand.Text())
	r := Result{Site: c.site.Domain, Lead: lead.NewID(c.site.Domain, conversation), Sent: c.Now()}
	bounded, cancel := context.WithTimeoutCause(ctx, c.Lost, fmt.Errorf("lost: it has not arrived within %s", c.Lost))
	defer cancel()
	if err := c.post(bounded, conversation, r.Sent); err != nil {
		r.Stage, r.Err = Refused, err
	} else {
		r.Stage, r.Err = c.follow(bounded, r)
	}
	r.Took = c.Now().Sub(r.Sent)
	r.Late = r.Err == nil && r.Took > c.Late
	return r
}

// post makes the tool call.
func (c *Canary) post(ctx context.Context, conversation string, at time.Time) error {
	said := maps.Clone(c.said)
	said["conversation_id"], said["call_time_utc"] = conversation, at.UTC().Format(time.RFC3339)
	body, err := json.Marshal(said)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	req, err := intake.Request(ctx, c.URL, c.site.Domain, c.Secret(c.site.Domain), body)
	if err != nil {
		return err
	}
	_, reply, err := intake.Do(c.Client, req)
	if err == nil && !reply.OK {
		err = errors.New("the edge answered 200, but not as it should: does the address lead to it?")
	}
	return err
}

// follow waits for the lead's events.
func (c *Canary) follow(ctx context.Context, r Result) (at string, err error) {
	filter := subjects.Lead{Market: c.Market, Site: r.Site, Lead: r.Lead}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		ended := ctx.Err() != nil // then this is the last look
		events, err := c.look(ctx, filter)
		at, done, why := stage(events)
		switch {
		case done:
			return at, why
		case ended:
			return at, errors.Join(context.Cause(ctx), err, why)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// look reads the lead's events, even when ctx has just ended.
func (c *Canary) look(ctx context.Context, filter subjects.Lead) ([]event.Event, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTime)
	defer cancel()
	return c.Stream.Events(ctx, filter)
}

// stage is where a lead is stuck, empty when it arrived; done says that nothing
// will change that, and why what is known.
func stage(events []event.Event) (at string, done bool, why error) {
	r := story.Of(events)
	switch r.Outcome() {
	case lead.NeedsReview, lead.Unserved:
		return NotMatched, true, fmt.Errorf("%s: %s", r.Decision.Lead.Event, r.Decided().Reason)
	case lead.Pending:
		at = NotMatched
	default:
		at = NotSent
	}
	if len(r.ToolCalls) == 0 && r.Decision == nil {
		at = NotStored
	}
	for _, m := range r.Messages {
		state := lead.MessageState(m.State)
		if m.ErrorReason != "" || state == lead.MessageFailed || state == lead.MessageDoubtful {
			why = fmt.Errorf("message %s: %w", state, &lead.Failure{Vendor: m.Vendor, Code: m.ErrorCode, Class: lead.FailureClass(m.ErrorClass), Reason: m.ErrorReason})
		}
		switch {
		case state == lead.MessageDelivered || state == lead.MessageRead:
			return "", true, nil
		case state == lead.MessageFailed && m.SentAt.IsZero():
			return NotSent, true, why
		case state == lead.MessageFailed:
			return NoReceipt, true, why
		case state == lead.MessageSent:
			at = NoReceipt
		}
	}
	return at, false, why
}
