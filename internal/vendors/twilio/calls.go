package twilio

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	api "github.com/twilio/twilio-go/rest/api/v2010"

	"leadbus/internal/call"
)

// callPages bounds one look at the call log, at a thousand calls a page.
const callPages = 100

// Calls lists the account's calls that started between two times, newest first.
// A call that did not start yet is not among them.
func (c *Client) Calls(ctx context.Context, from, to time.Time) ([]call.Dialled, error) {
	var out []call.Dialled
	number, token := "", ""
	for range callPages {
		page, err := c.callPage(ctx, from, to, number, token)
		if err != nil {
			return nil, fmt.Errorf("list calls: %w", err)
		}
		for _, found := range page.Calls {
			started, err := time.Parse(time.RFC1123Z, deref(found.StartTime))
			if err != nil || started.Before(from.Truncate(time.Second)) || started.After(to) {
				continue
			}
			seconds, _ := strconv.Atoi(deref(found.Duration))
			out = append(out, call.Dialled{
				SID: deref(found.Sid), From: deref(found.From), To: deref(found.To),
				Status: deref(found.Status), Direction: deref(found.Direction), StartedAt: started.UTC(), Seconds: seconds,
			})
		}
		next, err := url.Parse(deref(page.NextPageUri))
		if err != nil || next.RawQuery == "" {
			return out, nil
		}
		number, token = next.Query().Get("Page"), next.Query().Get("PageToken")
	}
	return nil, fmt.Errorf("list calls: more than %d pages; ask for a shorter time", callPages)
}

// callPage is one page, with a deadline of its own.
func (c *Client) callPage(ctx context.Context, from, to time.Time, number, token string) (*api.ListCallResponse, error) {
	_, x := c.line.Begin(ctx) // the library takes no context
	defer x.End()
	p := new(api.ListCallParams).SetStartTimeAfter(from.UTC()).SetStartTimeBefore(to.UTC()).SetPageSize(listed)
	page, err := c.service(x).PageCall(p, token, number)
	if err != nil || !x.OK() {
		return nil, refusal(x, err)
	}
	return page, nil
}
