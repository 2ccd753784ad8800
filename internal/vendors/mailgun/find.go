package mailgun

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	"leadbus/internal/lead"
	"leadbus/internal/vendors/exchange"
)

const (
	pageSize = 300 // the Events API's most
	maxPages = 10
	// clockSlack is how far Mailgun's clock and ours may differ.
	clockSlack = time.Minute
)

// Find looks for a mail whose send may not have been answered, among the first
// 3000 mails that Mailgun accepted for its recipient since a minute before
// since. Any attempt at the message counts. Events may take half an hour to be
// complete, so not finding it proves nothing.
//
// It reads the Events API without the library, whose decoder fails on every
// event name it does not know.
func (c *Client) Find(ctx context.Context, m lead.Message, _ string, since time.Time, _ []string) (lead.Sent, bool, error) {
	ctx, x := c.line.Begin(ctx)
	defer x.End()
	events := c.o.APIBase + "/" + domainOf(m.From) + "/events"
	q := url.Values{
		"event": {"accepted"}, "recipient": {addressOf(m.To)}, "ascending": {"yes"},
		"begin": {begin(since)},
		"limit": {strconv.Itoa(pageSize)},
	}
	next := events + "?" + q.Encode()
	for range maxPages {
		items, following, err := c.page(ctx, x, next)
		if err != nil {
			return lead.Sent{}, false, fmt.Errorf("list events: %w", err)
		}
		for _, item := range items {
			var h happening
			if decode(item, &h) != nil {
				continue
			}
			if h.UserVariables["message"] == m.ID {
				return lead.Sent{VendorID: string(h.Message.Headers.MessageID), At: h.at(c.now())}, true, nil
			}
		}
		// The key goes nowhere but to the address it is for.
		if len(items) < pageSize || !strings.HasPrefix(following, events+"/") {
			break
		}
		next = following
	}
	return lead.Sent{}, false, nil
}

// Reports are what the Events API says of a mail that Mailgun took, the earliest
// first: known with each event since a minute before it was queued, as the webhook
// would have been. Events may take half an hour to be complete, so a missing one
// proves nothing. The error is a *lead.Failure.
func (c *Client) Reports(ctx context.Context, known lead.Receipt) ([]lead.Receipt, error) {
	ctx, x := c.line.Begin(ctx)
	defer x.End()
	q := url.Values{
		"message-id": {known.VendorID}, "ascending": {"yes"}, "begin": {begin(known.QueuedAt)},
		"limit": {strconv.Itoa(pageSize)}, // more than happen to one mail
	}
	// Mailgun makes the id under the sending domain.
	items, _, err := c.page(ctx, x, c.o.APIBase+"/"+domainOf(known.VendorID)+"/events?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	var all []lead.Receipt
	for _, item := range items {
		var h happening
		if decode(item, &h) == nil && string(h.Message.Headers.MessageID) == known.VendorID {
			all = append(all, h.saying(known, c.now()))
		}
	}
	return all, nil
}

func begin(since time.Time) string { return strconv.FormatInt(since.Add(-clockSlack).Unix(), 10) }

func (c *Client) page(ctx context.Context, x *exchange.Exchange, address string) (items []json.RawMessage, next string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, "", x.Failure()
	}
	r.SetBasicAuth("api", c.o.APIKey)
	res, err := x.Client().Do(r)
	if err != nil {
		return nil, "", x.Failure()
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	var answer struct {
		Items  []json.RawMessage `json:"items"`
		Paging struct {
			Next string `json:"next"`
		} `json:"paging"`
	}
	if err != nil || !x.OK() || json.Unmarshal(body, &answer) != nil {
		return nil, "", x.Failure()
	}
	return answer.Items, answer.Paging.Next, nil
}

func addressOf(s string) string {
	if a, err := mail.ParseAddress(s); err == nil {
		return a.Address
	}
	return s
}
