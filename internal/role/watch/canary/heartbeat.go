package canary

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// Heartbeat tells a service outside our hosting that a market works, so that
// silence is noticed when all of ours is gone. It speaks as healthchecks.io
// does: <url>/start before the work, <url> when it is proven, <url>/fail when it
// failed, all with one run id. A ping that fails is logged and nothing else.
type Heartbeat struct {
	url  *url.URL
	wait time.Duration // before the next try of a ping; grows
	log  zerolog.Logger
}

const (
	pings    = 3 // tries of one
	pingTime = 5 * time.Second
)

// NewHeartbeat reads the address, in which {market} stands for the market. With
// none there is no heartbeat, and the work is done without.
func NewHeartbeat(address, market string, log zerolog.Logger) (*Heartbeat, error) {
	h := &Heartbeat{wait: time.Second, log: log}
	if address == "" {
		return h, nil
	}
	u, err := url.Parse(strings.ReplaceAll(address, "{market}", url.PathEscape(market)))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("LEADBUS_HEARTBEAT_URL is no address such as https://hc-ping.com/<key>/leadbus-{market}")
	}
	h.url = u
	return h, nil
}

// Around does the work between two pings; the second one says whether it was
// proven. Work that ended because ctx did proves nothing and is not reported.
func (h *Heartbeat) Around(ctx context.Context, work func(context.Context) (proven bool)) {
	if h.url == nil {
		work(ctx)
		return
	}
	run := runID()
	started := make(chan struct{})
	go func() { // the work does not wait for it
		defer close(started)
		h.ping(ctx, "start", run)
	}()
	signal := "fail"
	if work(ctx) {
		signal = ""
	}
	<-started
	if ctx.Err() == nil {
		h.ping(ctx, signal, run)
	}
}

// ping tries a few times.
func (h *Heartbeat) ping(ctx context.Context, signal, run string) {
	var err error
	for try := range pings {
		if try > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(try) * h.wait):
			}
		}
		if err = h.request(ctx, signal, run); err == nil || ctx.Err() != nil {
			return
		}
	}
	h.log.Warn().Err(err).Str("signal", signal).Msg("the heartbeat does not get through")
}

func (h *Heartbeat) request(ctx context.Context, signal, run string) error {
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	u := *h.url
	if signal != "" {
		u = *u.JoinPath(signal)
	}
	q := u.Query()
	q.Set("rid", run)
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		var withAddress *url.Error // the address is a secret
		if errors.As(err, &withAddress) {
			err = withAddress.Err
		}
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection is used again
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("the service answered %s", res.Status)
	}
	return nil
}

// runID is a random UUID.
func runID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
