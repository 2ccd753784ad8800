// Package bus is the program's one door to NATS JetStream: it renders accounts
// and permissions, runs the embedded server, provisions a market's streams,
// durables and buckets, publishes events and runs a role's handler on its
// durable. Nothing else imports nats.go.
package bus

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/nats-io/nkeys"

	"leadbus/internal/subjects"
)

// Users are all NATS users of a deployment: the edge, the system account, and
// in each market one for each role and an operator with every right there.
func Users(markets []string) []string {
	users := []string{subjects.Edge, "sys"}
	for _, m := range markets {
		for _, role := range append([]string{"operator"}, subjects.RoleNames()...) {
			users = append(users, m+"-"+role)
		}
	}
	return users
}

// SeedFile is where a user's private key stands in a key directory.
func SeedFile(dir, user string) string { return filepath.Join(dir, user+".nk") }

// EnsureKeys reads the public key of each user from its seed file and makes the
// seeds that are missing (mode 0600). Processes that do it at the same time end
// with the same keys.
func EnsureKeys(dir string, users []string) (map[string]string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	keys := make(map[string]string, len(users))
	for _, user := range users {
		key, err := ensureKey(SeedFile(dir, user))
		if err != nil {
			return nil, fmt.Errorf("nats key of %s: %w", user, err)
		}
		keys[user] = key
	}
	return keys, nil
}

func ensureKey(file string) (string, error) {
	seed, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		if err := makeSeed(file); err != nil {
			return "", err
		}
		seed, err = os.ReadFile(file)
	}
	if err != nil {
		return "", err
	}
	pair, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	if err != nil {
		return "", err
	}
	return pair.PublicKey()
}

// makeSeed puts a whole seed in place or leaves the one that came first.
func makeSeed(file string) error {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return err
	}
	seed, err := pair.Seed()
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".seed-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(append(seed, '\n'))
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), file); !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// ConfigText renders accounts, users and permissions of the markets. The text
// holds public keys only and nothing about a node, so the same text serves the
// embedded server, one external server and every node of a cluster: a node's
// own file sets name, port, store and routes, and includes this one.
//
// A role reaches its own durable, its own buckets and the kinds of event it
// publishes; the JetStream API beyond that belongs to the operator. An account
// per market makes the other markets unreachable rather than forbidden, and
// takes no stream without a size, so that none can fill the disk of all.
func ConfigText(markets []string, keys map[string]string) string {
	var b strings.Builder
	err := accounts.Execute(&b, map[string]any{
		"Markets": slices.Sorted(slices.Values(markets)), "Keys": keys, "Edge": subjects.EdgeRole,
		"Roles": subjects.Roles, "OneLead": subjects.OneLead, "History": subjects.History,
	})
	if err != nil {
		panic(err) // the template is ours
	}
	return b.String()
}

//go:embed accounts.conf.tmpl
var accountsText string

var accounts = template.Must(template.New("accounts").Funcs(template.FuncMap{
	"account": account, "inbox": inbox, "market": subjects.Market, "stream": bucketStream, "deadLetter": subjects.DeadLetter, "timers": subjects.SetTimers, "asked": subjects.Asked,
	// event covers the events of a kind; an empty market stands for all.
	"event":    func(market, kind string) string { return subjects.Filter(subjects.Lead{Market: market, Event: kind}) },
	"durables": func(r subjects.Role) []string { return []string{r.Name, subjects.Replay(r.Name)} },
}).Parse(accountsText))

func account(market string) string { return "M_" + strings.ReplaceAll(market, "-", "_") }

// inbox is the reply subject prefix of a user; nobody else may listen on it.
func inbox(user string) string { return "_INBOX_" + user }
