package elevenlabs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/vendors/exchange"
)

const (
	defaultBase = "https://api.elevenlabs.io"
	callTime    = 20 * time.Second // one request with its answer
	pageSize    = 100              // the most the vendor gives
	maxBody     = 32 << 20         // a long call is some hundred kilobytes
)

// Client asks the vendor's API. It is safe for concurrent use.
type Client struct {
	key, base string
	http      *http.Client
}

// New makes a client; it does not connect. An empty base is the vendor's own
// address.
func New(key, base string) *Client {
	return &Client{
		key: key, base: strings.TrimSuffix(cmp.Or(base, defaultBase), "/"),
		http: &http.Client{
			Timeout: callTime,
			// A redirect would carry the key elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// List lists the conversations that started between two times, of one agent or,
// with an empty id, of all. The error is an event.ErrUnauthenticated when the
// key was refused, a *call.Busy when the vendor asks to wait.
func (c *Client) List(ctx context.Context, agentID string, from, to time.Time) ([]call.Conversation, error) {
	q := url.Values{
		"call_start_after_unix":  {strconv.FormatInt(from.Unix(), 10)},
		"call_start_before_unix": {strconv.FormatInt(to.Unix(), 10)},
		"page_size":              {strconv.Itoa(pageSize)},
	}
	if agentID != "" {
		q.Set("agent_id", agentID)
	}
	var out []call.Conversation
	seen := map[string]bool{} // cursors
	for {
		var page object
		body, err := c.get(ctx, "/v1/convai/conversations?"+q.Encode())
		if err == nil {
			page, err = parse(body)
		}
		if err != nil {
			return nil, fmt.Errorf("list conversations: %w", err)
		}
		for _, o := range page.objects("conversations") {
			l := call.Conversation{
				ID: o.text("conversation_id"), AgentID: o.text("agent_id"), Status: o.text("status"),
				StartedAt: o.time("start_time_unix_secs"), Seconds: o.seconds("call_duration_secs"),
			}
			if l.ID != "" {
				out = append(out, l)
			}
		}
		cursor := page.text("next_cursor")
		if !page.yes("has_more") {
			return out, nil
		}
		if cursor == "" || seen[cursor] {
			return nil, errors.New("list conversations: the vendor's pages do not end")
		}
		seen[cursor] = true
		q.Set("cursor", cursor)
	}
}

// Fetch reads one conversation, and answers it as it came too. The error is as
// List's, and an event.ErrNotFound when the vendor does not have it.
func (c *Client) Fetch(ctx context.Context, conversationID string) (call.Call, []byte, error) {
	raw, err := c.get(ctx, "/v1/convai/conversations/"+url.PathEscape(conversationID))
	if err != nil {
		return call.Call{}, nil, fmt.Errorf("get conversation %s: %w", conversationID, err)
	}
	found, err := Conversation(raw)
	return found, raw, err
}

// Agent fetches how an agent is set up. The error is as Fetch's.
func (c *Client) Agent(ctx context.Context, id string) ([]byte, error) {
	body, err := c.get(ctx, "/v1/convai/agents/"+url.PathEscape(id))
	if err != nil {
		return nil, fmt.Errorf("get agent %s: %w", id, err)
	}
	return body, nil
}

// get answers the body of a 200. Its errors hold nothing of an answer, which
// may name a caller.
func (c *Client) get(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, errors.New("the API address is not valid: check the settings")
	}
	r.Header.Set("xi-api-key", c.key)
	res, err := c.http.Do(r)
	if err != nil {
		return nil, reason(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch status := res.StatusCode; {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return nil, fmt.Errorf("the vendor refuses the API key (status %d): %w", status, event.ErrUnauthenticated)
	case status == http.StatusNotFound:
		return nil, fmt.Errorf("the vendor does not have it, or the key is of another workspace: %w", event.ErrNotFound)
	case status == http.StatusTooManyRequests:
		return nil, &call.Busy{After: exchange.RetryAfter(res.Header, time.Now())}
	case status >= http.StatusInternalServerError:
		return nil, fmt.Errorf("the vendor failed (status %d)", status)
	case status != http.StatusOK:
		return nil, fmt.Errorf("the vendor refuses the request (status %d)", status)
	case err != nil:
		return nil, fmt.Errorf("the answer ended early: %w", reason(err))
	case len(body) > maxBody:
		return nil, errors.New("the answer is too large")
	}
	return body, nil
}

// reason is why a request failed, without its address.
func reason(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
