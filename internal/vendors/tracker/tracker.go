// Package tracker tells a site's tracker of an outcome, by the request that its
// configuration describes.
//
// Every attempt has the message's id as its Idempotency-Key, so that an attempt of
// unknown outcome may be repeated. It goes over a connection of its own: on a kept
// one the HTTP library would repeat such a request by itself.
package tracker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"leadbus/internal/lead"
	"leadbus/internal/site"
	"leadbus/internal/vendors/exchange"
)

// Vendors of what was told: by a request, and by none.
const (
	vendor = "tracker"
	dryRun = "dry-run"
)

// Options are the trackers and what reaches them.
type Options struct {
	Trackers map[string]*site.Tracker          // by id
	Secret   func(name string) (string, error) // by the name that a tracker gives
	Base     string                            // instead of scheme and host of every URL; empty: as they are
}

// Client tells all trackers. It is safe for concurrent use.
type Client struct {
	o    Options
	line *exchange.Line
	now  func() time.Time
}

// New makes a client; it does not connect.
func New(o Options) *Client {
	return &Client{o: o, line: exchange.NewLine(vendor, o.Base), now: time.Now}
}

// Send makes one request. The error is a *lead.Failure: lead.Transient of what may
// be repeated, lead.BadRecipient of what the tracker refused, lead.OurFault of what
// could not be asked.
func (c *Client) Send(ctx context.Context, m lead.Message, _ string) (lead.Sent, error) {
	t := c.o.Trackers[m.To]
	if t == nil || m.Conversion == nil {
		return lead.Sent{}, ours("no such tracker in the configuration")
	}
	if t.DryRun {
		return lead.Sent{Vendor: dryRun, At: c.now().UTC()}, nil
	}
	r, err := c.request(t, *m.Conversion)
	if err != nil {
		return lead.Sent{}, ours(err.Error())
	}
	ctx, x := c.line.Begin(ctx)
	defer x.End()
	res, err := x.Client().Do(r.WithContext(ctx))
	if err == nil {
		_ = res.Body.Close() // read already
	}
	if x.OK() {
		return lead.Sent{Vendor: vendor, At: c.now().UTC()}, nil
	}
	f := x.Failure()
	switch {
	case f.Class == lead.Doubtful || x.Status() == http.StatusTooEarly:
		f.Class, f.Reason = lead.Transient, "not answered with success"
	case x.Status() != 0 && f.Class == lead.OurFault:
		f.Class, f.Reason = lead.BadRecipient, "refused for good"
	}
	return lead.Sent{}, f
}

// request is what is asked. Its error names no word of the request.
func (c *Client) request(t *site.Tracker, of lead.Conversion) (*http.Request, error) {
	secret := ""
	if t.Secret != "" {
		var err error
		if secret, err = c.o.Secret(t.Secret); err != nil || secret == "" {
			return nil, fmt.Errorf("the secret %s cannot be read", t.Secret)
		}
	}
	r, err := t.Render(of, secret)
	if err != nil {
		return nil, errors.New("a template cannot be rendered")
	}
	r.Close, r.GetBody = true, nil
	return r, nil
}

func ours(reason string) *lead.Failure {
	return &lead.Failure{Vendor: vendor, Class: lead.OurFault, Reason: reason}
}

// Find finds nothing: a tracker has no list, and its key makes a repeat harmless.
func (c *Client) Find(context.Context, lead.Message, string, time.Time, []string) (lead.Sent, bool, error) {
	return lead.Sent{}, false, nil
}
