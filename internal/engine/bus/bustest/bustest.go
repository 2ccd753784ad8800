// Package bustest gives tests a real bus, reached with the users' own rights.
package bustest

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadbus/internal/engine/bus"
)

const patience = time.Minute

// Bus is a server with one market, ch, and every user's key.
type Bus struct {
	*bus.Server
	Operator *bus.Conn
	keys     string
}

// New starts a bus for one test.
func New(tb testing.TB) *Bus {
	tb.Helper()
	dir, markets := tb.TempDir(), []string{"ch"}
	b := &Bus{keys: dir + "/keys"}
	public, err := bus.EnsureKeys(b.keys, bus.Users(markets))
	if err != nil {
		tb.Fatal(err)
	}
	b.Server, err = bus.StartServer(bus.ServerOptions{
		Addr: "127.0.0.1:0", StoreDir: dir + "/store", Config: bus.ConfigText(markets, public), Log: zerolog.Nop(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(b.Close)
	b.Operator = b.Connect(tb, "ch-operator")
	if err := bus.Provision(tb.Context(), b.Operator, "ch", bus.Layout{}); err != nil {
		tb.Fatal(err)
	}
	return b
}

// Connect makes one more connection, with a user's rights.
func (b *Bus) Connect(tb testing.TB, user string) *bus.Conn {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	c, err := bus.Connect(ctx, bus.Options{Server: b.Server, User: user, SeedFile: bus.SeedFile(b.keys, user), Log: zerolog.Nop()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// Bucket opens a bucket with a connection's rights.
func Bucket(tb testing.TB, c *bus.Conn, name string) *bus.Bucket {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	b, err := c.Bucket(ctx, name)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
