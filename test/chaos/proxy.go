package main

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"
)

// link is a TCP proxy between one process and one thing it talks to.
type link struct {
	addr string
	to   []string // tried in turn; one that begins with / is a socket

	mu      sync.Mutex
	l       net.Listener // nil while connections are refused
	trouble trouble
	changed chan struct{}   // closed when trouble changes
	conns   context.Context //nolint:containedctx // ends when the connections of now are reset
	end     func()          // ends conns
}

// trouble is what is wrong with a link now.
type trouble struct {
	stalled bool          // nothing passes and nobody is told, as when a cable is cut
	refused bool          // nobody listens, and who was connected is reset
	delay   time.Duration // of everything that passes
}

func newLink(addr string, to ...string) (*link, error) {
	k := &link{addr: addr, to: to, changed: make(chan struct{})}
	k.conns, k.end = context.WithCancel(context.Background())
	return k, k.listen()
}

func (k *link) listen() error {
	l, err := net.Listen("tcp", k.addr) //nolint:noctx // closed with the program
	if err != nil {
		return err
	}
	k.l = l
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go k.join(c)
		}
	}()
	return nil
}

// set changes what is wrong with the link.
func (k *link) set(t trouble) error {
	if t.refused {
		defer k.reset()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.trouble = t
	close(k.changed)
	k.changed = make(chan struct{})
	switch {
	case t.refused && k.l != nil:
		_ = k.l.Close()
		k.l = nil
	case !t.refused && k.l == nil:
		return k.listen()
	}
	return nil
}

// reset ends every connection with a reset.
func (k *link) reset() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.end()
	k.conns, k.end = context.WithCancel(context.Background())
}

// join connects the other half and copies until one of them ends.
func (k *link) join(c net.Conn) {
	k.mu.Lock()
	conns := k.conns
	k.mu.Unlock()
	ctx, end := context.WithCancel(conns)
	closed := func(c net.Conn) {
		context.AfterFunc(ctx, func() {
			if tcp, ok := c.(*net.TCPConn); ok && conns.Err() != nil {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		})
	}
	closed(c)
	defer end()
	if !k.pass(ctx) {
		return
	}
	for _, to := range k.to {
		network := "tcp"
		if strings.HasPrefix(to, "/") {
			network = "unix"
		}
		if far, err := net.DialTimeout(network, to, 2*time.Second); err == nil { //nolint:noctx // bounded
			closed(far)
			go func() {
				defer end()
				k.copy(ctx, far, c)
			}()
			k.copy(ctx, c, far)
			return
		}
	}
}

func (k *link) copy(ctx context.Context, from, to net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !k.pass(ctx) {
			return
		}
		if _, broken := to.Write(buf[:n]); err != nil || broken != nil {
			return
		}
	}
}

// pass waits until the link lets something through; false when it does not.
func (k *link) pass(ctx context.Context) bool {
	for {
		k.mu.Lock()
		t, changed := k.trouble, k.changed
		k.mu.Unlock()
		if !t.stalled {
			return !t.refused && sleep(ctx, t.delay)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
