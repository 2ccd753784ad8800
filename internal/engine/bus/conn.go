package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

const (
	drainTime   = 10 * time.Second // for acks on their way out
	connectTime = 2 * time.Second  // one attempt
	connectWait = 500 * time.Millisecond
	// pingTime finds a connection that was cut without a word within three
	// of it.
	pingTime = 10 * time.Second
	// requestTime bounds one read or write that is answered. A request whose
	// connection broke is never answered, and its caller's delivery would
	// wait for the whole of handleTime.
	requestTime = 3 * time.Second
)

// Options say which server to connect to, and as whom.
type Options struct {
	URL      string
	Server   *Server // in-process when set; URL is then unused
	User     string  // see Users
	SeedFile string  // empty for a server without users
	// Late answers before there is a connection, and goes on trying.
	Late bool
	Log  zerolog.Logger
}

// Conn is one user's connection. It reconnects for ever; it is safe for
// concurrent use.
type Conn struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	log    zerolog.Logger
	closed chan struct{}

	publishing sync.Map // *attempt of each Publish at work

	lanesBusy sync.WaitGroup

	mu    sync.Mutex
	leads jetstream.Stream // looked up once

	lanesMu sync.Mutex
	lanes   map[string]*lane
	linked  context.Context // see link
	unlink  context.CancelCauseFunc
}

// Connect waits for the server until ctx ends. A key the server does not know
// is waited for as well: its configuration may be the late one.
func Connect(ctx context.Context, o Options) (*Conn, error) {
	c := &Conn{log: o.Log, closed: make(chan struct{}), lanes: map[string]*lane{}}
	c.linkUp()
	opts := []nats.Option{
		nats.Name(o.User), nats.CustomInboxPrefix(inbox(o.User)),
		nats.MaxReconnects(-1), nats.ReconnectWait(connectWait), nats.IgnoreAuthErrorAbort(),
		// With the default buffer a publish that reported an error would go
		// out later all the same.
		nats.ReconnectBufSize(-1),
		nats.DrainTimeout(drainTime), nats.Timeout(connectTime), nats.PingInterval(pingTime),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			c.linkDown()
			if err != nil {
				c.log.Warn().Err(err).Msg("bus lost")
			}
		}),
		nats.RetryOnFailedConnect(o.Late), nats.ConnectHandler(func(*nats.Conn) { c.linkUp() }),
		nats.ReconnectHandler(func(*nats.Conn) {
			c.linkUp()
			c.log.Info().Msg("bus is back")
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			// A denied request shows here and nowhere else.
			c.log.Warn().Err(err).Msg("bus")
			if errors.Is(err, nats.ErrPermissionViolation) {
				c.denied(err)
			}
		}),
		nats.ClosedHandler(func(*nats.Conn) {
			c.linkDown()
			close(c.closed)
		}),
	}
	if o.SeedFile != "" {
		key, err := nats.NkeyOptionFromSeed(o.SeedFile)
		if err != nil {
			return nil, fmt.Errorf("nats key of %s: %w; 'leadbus nats-config' makes it", o.User, err)
		}
		opts = append(opts, key)
	}
	if o.Server != nil {
		opts = append(opts, nats.InProcessServer(o.Server.s))
	}
	err := c.retry(ctx, "waiting for the bus", connectTime, always, func(context.Context) (err error) {
		c.nc, err = nats.Connect(o.URL, opts...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("connect to the bus as %s: %w", o.User, err)
	}
	if c.js, err = jetstream.New(c.nc, jetstream.WithDefaultTimeout(requestTime), jetstream.WithPublishAsyncTimeout(requestTime)); err != nil {
		c.nc.Close()
		return nil, err
	}
	return c, nil
}

// Connected reports whether the server can be reached now.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// Close lets acks on their way out leave, for at most ten seconds.
func (c *Conn) Close() {
	if err := c.nc.Drain(); err != nil {
		c.nc.Close()
	}
	<-c.closed
	c.lanesBusy.Wait()
}

// insist looks something up until it is provisioned or ctx ends.
func (c *Conn) insist(ctx context.Context, what string, look func(context.Context) error) error {
	return c.retry(ctx, "waiting for the "+what+"; 'leadbus provision' makes it", requestTime, always, look)
}

// retry repeats a step while its error passes by itself and until ctx ends, and
// says once that it waits. Each attempt takes no longer than most.
func (c *Conn) retry(ctx context.Context, says string, most time.Duration, passes func(error) bool, step func(context.Context) error) error {
	for warned := false; ; warned = true {
		attempt, cancel := context.WithTimeout(ctx, most)
		err := step(attempt)
		cancel()
		if err == nil || !passes(err) {
			return err
		}
		if !warned && ctx.Err() == nil {
			c.log.Warn().Err(err).Msg(says)
		}
		if !pause(ctx, connectWait) {
			return errors.Join(ctx.Err(), err)
		}
	}
}

// always is for what no error ends.
func always(error) bool { return true }

// pause waits for d; it reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
