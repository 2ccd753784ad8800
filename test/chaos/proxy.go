package main

import (
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
	changed chan struct{} // closed when trouble changes
	pairs   map[*pair]struct{}
}

// trouble is what is wrong with a link now.
type trouble struct {
	stalled bool          // nothing passes and nobody is told, as when a cable is cut
	refused bool          // nobody listens, and who was connected is reset
	delay   time.Duration // of everything that passes
}

// pair is one connection with its other half.
type pair struct {
	halves [2]net.Conn
	once   sync.Once
	closed chan struct{}
}

// end closes both halves, hard or in good order.
func (p *pair) end(hard bool) {
	p.once.Do(func() {
		close(p.closed)
		for _, c := range p.halves {
			if tcp, ok := c.(*net.TCPConn); ok && hard {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		}
	})
}

func newLink(addr string, to ...string) (*link, error) {
	k := &link{addr: addr, to: to, changed: make(chan struct{}), pairs: map[*pair]struct{}{}}
	return k, k.listen()
}

func (k *link) listen() error {
	l, err := net.Listen("tcp", k.addr) //nolint:noctx // closed with the program
	if err != nil {
		return err
	}
	k.l = l
	go k.serve(l)
	return nil
}

// set changes what is wrong with the link.
func (k *link) set(t trouble) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.trouble = t
	close(k.changed)
	k.changed = make(chan struct{})
	switch {
	case t.refused && k.l != nil:
		_ = k.l.Close()
		k.l = nil
		k.end()
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
}

func (k *link) end() {
	for p := range k.pairs {
		go p.end(true)
	}
}

func (k *link) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go k.join(c)
	}
}

// join connects the other half and copies until one of them ends.
func (k *link) join(c net.Conn) {
	p := &pair{halves: [2]net.Conn{c, c}, closed: make(chan struct{})}
	if !k.pass(p) {
		p.end(true)
		return
	}
	var far net.Conn
	var err error
	for _, to := range k.to {
		network := "tcp"
		if strings.HasPrefix(to, "/") {
			network = "unix"
		}
		if far, err = net.DialTimeout(network, to, 2*time.Second); err == nil { //nolint:noctx // bounded
			break
		}
	}
	if err != nil {
		p.end(true)
		return
	}
	p.halves[1] = far
	k.mu.Lock()
	k.pairs[p] = struct{}{}
	k.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { k.copy(p, c, far) })
	wg.Go(func() { k.copy(p, far, c) })
	wg.Wait()
	k.mu.Lock()
	delete(k.pairs, p)
	k.mu.Unlock()
}

func (k *link) copy(p *pair, from, to net.Conn) {
	defer p.end(false)
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !k.pass(p) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits until the link lets something through; false when it does not.
func (k *link) pass(p *pair) bool {
	for {
		k.mu.Lock()
		t, changed := k.trouble, k.changed
		k.mu.Unlock()
		wait := t.delay
		switch {
		case t.refused:
			return false
		case !t.stalled && wait == 0:
			return true
		case t.stalled:
			select {
			case <-changed:
				continue
			case <-p.closed:
				return false
			}
		}
		select {
		case <-time.After(wait):
			return true
		case <-p.closed:
			return false
		}
	}
}
