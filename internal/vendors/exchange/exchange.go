// Package exchange carries one request to a vendor and keeps what the vendor's
// client library drops: whether the request left, the status, Retry-After.
// From these alone follows what a failed call means for a message:
//
//	no connection, or a refusal (3xx, 4xx)     certainly not sent
//	cut or timed out after the request left,
//	a 5xx, a 2xx that cannot be read           doubtful
//
// The vendor's own error codes then say more about a refusal.
package exchange

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"leadbus/internal/lead"
)

const (
	callTime = 15 * time.Second // one call with its answer, unless the caller's context ends earlier
	dialTime = 5 * time.Second
	// idleTime is shorter than any load balancer's: a request written to a
	// connection that the other side is just closing has a doubtful outcome.
	idleTime   = 30 * time.Second
	maxBody    = 4 << 20
	maxWait    = time.Hour // bounds a Retry-After
	idlePerEnd = 64
)

// Line holds the connections to one vendor. It is safe for concurrent use.
type Line struct {
	vendor    string
	base      *url.URL // nil: requests go where the library sends them
	bad       error    // base could not be read
	transport http.RoundTripper
}

// NewLine makes a line to vendor. A base replaces scheme and host of every
// request and goes before its path; with an empty one requests keep theirs.
// An unusable base shows as a Failure of each call.
func NewLine(vendor, base string) *Line {
	l := &Line{vendor: vendor}
	if base != "" {
		u, err := url.Parse(base)
		if err != nil || u.Host == "" {
			l.bad = errors.New("the API address is not an absolute URL")
		}
		l.base = u
	}
	l.transport = &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTime}).DialContext,
		TLSHandshakeTimeout: dialTime,
		IdleConnTimeout:     idleTime,
		MaxIdleConns:        idlePerEnd,
		MaxIdleConnsPerHost: idlePerEnd,
		ForceAttemptHTTP2:   true,
	}
	return l
}

// Exchange is one call. It is not safe for concurrent use.
type Exchange struct {
	line   *Line
	ctx    context.Context
	cancel context.CancelFunc

	tried   bool        // the library got as far as making a request
	left    atomic.Bool // it may have reached the vendor; set by the transport's writer
	status  int         // of the answer; 0 without one
	header  http.Header
	expired bool
}

// Begin starts a call and answers its context, which ends with ctx and at the
// latest after 15 s. End must follow.
func (l *Line) Begin(ctx context.Context) (context.Context, *Exchange) {
	x := &Exchange{line: l}
	x.ctx, x.cancel = context.WithTimeout(ctx, callTime)
	return x.ctx, x
}

// End releases the call's timer.
func (x *Exchange) End() { x.cancel() }

// Client is what the vendor's library shall use for this call. It follows no
// redirect: a repeated POST would be a second message.
func (x *Exchange) Client() *http.Client {
	return &http.Client{
		Transport:     x,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// OK reports whether the vendor answered with success.
func (x *Exchange) OK() bool { return x.status/100 == 2 }

// Status is the answer's HTTP status, 0 without an answer.
func (x *Exchange) Status() int { return x.status }

// RoundTrip binds the request to the call's context, whatever the library
// gave it, and reads the whole answer, so that the connection is reused even
// when the library forgets to close the body of an error.
func (x *Exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	if x.line.bad != nil {
		return nil, x.line.bad
	}
	x.tried = true
	// Headers go into the write buffer before anything reaches the wire, so
	// "not left" is certain; "left" only means possible.
	r = r.Clone(httptrace.WithClientTrace(x.ctx, &httptrace.ClientTrace{
		WroteHeaders: func() { x.left.Store(true) },
	}))
	if b := x.line.base; b != nil {
		r.URL.Scheme, r.URL.Host, r.Host = b.Scheme, b.Host, ""
		r.URL.Path = strings.TrimSuffix(b.Path, "/") + r.URL.Path
	}
	res, err := x.line.transport.RoundTrip(r)
	if err != nil {
		return nil, x.fail(err)
	}
	x.status, x.header = res.StatusCode, res.Header
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return nil, x.fail(err)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

func (x *Exchange) fail(err error) error {
	x.expired = errors.Is(err, context.DeadlineExceeded)
	return err
}

// Failure is what the exchange alone says about a call that did not succeed.
// It holds nothing of the request or of the error's text, since both may name
// a recipient.
func (x *Exchange) Failure() *lead.Failure {
	f := &lead.Failure{Vendor: x.line.vendor, Code: strconv.Itoa(x.status)}
	switch {
	case x.status >= 500:
		f.Class, f.Reason = lead.Doubtful, "the vendor failed, perhaps after taking the message"
	case x.status == http.StatusTooManyRequests:
		f.Class, f.Reason, f.RetryAfter = lead.Transient, "too many requests, not processed", RetryAfter(x.header, time.Now())
	case x.status == http.StatusRequestTimeout:
		f.Class, f.Reason = lead.Transient, "the request did not arrive whole"
	case x.status >= 400:
		f.Class, f.Reason = lead.OurFault, "refused: check address and credentials of the API"
	case x.status >= 300:
		f.Class, f.Reason = lead.OurFault, "redirected: the API address is wrong"
	case x.status > 0:
		f.Class, f.Reason = lead.Doubtful, "taken, but the answer could not be read"
	case x.left.Load() && x.expired:
		f.Code, f.Class, f.Reason = "timeout", lead.Doubtful, "no answer in time after the request left"
	case x.left.Load():
		f.Code, f.Class, f.Reason = "cut", lead.Doubtful, "the connection ended after the request left"
	case x.tried:
		f.Code, f.Class, f.Reason = "unreachable", lead.Transient, "no connection, nothing left this process"
	default:
		f.Code, f.Class, f.Reason = "request", lead.OurFault, "the request could not be made: check the settings"
	}
	return f
}

// RetryAfter reads the header in its two forms, seconds and a date, bounded to
// an hour; zero without it.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.Atoi(v); err == nil {
		return min(time.Duration(min(max(s, 0), 1<<20))*time.Second, maxWait)
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(at.Sub(now), 0), maxWait)
	}
	return 0
}
