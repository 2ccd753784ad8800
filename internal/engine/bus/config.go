// Package bus is the program's one door to NATS JetStream: it renders accounts
// and permissions, runs the embedded server, provisions a market's streams,
// durables and buckets, publishes events and runs a role's handler on its
// durable. Nothing else imports nats.go.
package bus

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
	markets = slices.Sorted(slices.Values(markets))
	var b strings.Builder
	b.WriteString("# Rendered by 'leadbus nats-config'; do not edit.\naccounts {\n")
	b.WriteString("  SYS { users = [ { nkey: " + keys["sys"] + " } ] }\n")
	b.WriteString("  EDGE {\n    users = [ { nkey: " + keys[subjects.Edge] + ", permissions: {\n")
	fmt.Fprintf(&b, "      publish: %s\n      subscribe: %s\n    } } ]\n    imports = [\n",
		list(published("", subjects.EdgeRole)...), list(inbox(subjects.Edge)+".>"))
	for _, m := range markets {
		fmt.Fprintf(&b, "      { service: { account: %s, subject: %q } }\n", account(m), subjects.Market(m))
	}
	b.WriteString("    ]\n  }\n")
	for _, m := range markets {
		fmt.Fprintf(&b, "  %s {\n", account(m))
		b.WriteString("    jetstream { max_streams: 32, max_consumers: 256, max_bytes: true }\n")
		fmt.Fprintf(&b, "    exports = [ { service: %q, accounts: [EDGE] } ]\n    users = [\n", subjects.Market(m))
		fmt.Fprintf(&b, "      { nkey: %s }\n", keys[m+"-operator"])
		for _, role := range subjects.Roles {
			user := m + "-" + role.Name
			allowed := list(rights(m, role)...)
			if role.Events == subjects.History {
				allowed = "{ allow: " + allowed + ", deny: " + list(notItsOwn(role.Name)...) + " }"
			}
			fmt.Fprintf(&b, "      { nkey: %s, permissions: {\n        publish: %s\n        subscribe: %s\n      } }\n",
				keys[user], allowed, list(inbox(user)+".>"))
		}
		b.WriteString("    ]\n  }\n")
	}
	b.WriteString("}\nsystem_account: SYS\n")
	return b.String()
}

// published are the subjects of the events that a role publishes; an empty
// market stands for all.
func published(market string, role subjects.Role) (p []string) {
	for _, kind := range role.Publishes {
		p = append(p, subjects.Filter(subjects.Lead{Market: market, Event: kind}))
	}
	return p
}

// rights lists what a role may publish to, the JetStream API included.
func rights(market string, role subjects.Role) []string {
	p := append(durableRights(subjects.StreamLeads, role.Name), durableRights(subjects.StreamLeads, subjects.Replay(role.Name))...)
	p = append(append(p, subjects.DeadLetter(market, role.Name)), published(market, role)...)
	switch role.Events {
	case subjects.OneLead:
		p = append(p, leadRights...)
	case subjects.History:
		p = append(p, readRights(subjects.StreamLeads)...)
		p = append(p, "$JS.API.CONSUMER.MSG.NEXT.LEADS.*")       // of consumers made to read the past
		p = append(p, "$JS.API.STREAM.INFO."+subjects.StreamDLQ) // which counts what is left
	}
	for _, bucket := range role.Writes {
		p = append(p, bucketRights(bucket)...)
	}
	for _, bucket := range role.Reads {
		p = append(p, bucketReadRights(bucket)...)
	}
	if role.DeadLetters {
		p = append(p, "$JS.API.STREAM.INFO."+subjects.StreamDLQ)
		p = append(p, durableRights(subjects.StreamDLQ, role.Name)...)
	}
	return p
}

// leadRights are those to read the events of one lead.
var leadRights = []string{"$JS.API.STREAM.INFO.LEADS", "$JS.API.DIRECT.GET.LEADS", "$JS.API.DIRECT.GET.LEADS.lead.>"}

// notItsOwn are the durables that a role which makes consumers of its own, to
// read the past, must neither take deliveries from nor change.
func notItsOwn(role string) []string {
	var out []string
	for _, other := range subjects.RoleNames() {
		for _, durable := range []string{other, subjects.Replay(other)} {
			at := "LEADS." + durable
			out = append(out, "$JS.API.CONSUMER.CREATE."+at, "$JS.API.CONSUMER.CREATE."+at+".>", "$JS.API.CONSUMER.DELETE."+at)
			if other != role {
				out = append(out, "$JS.API.CONSUMER.MSG.NEXT."+at)
			}
		}
	}
	return out
}

func durableRights(stream, durable string) []string {
	at := stream + "." + durable
	return []string{
		"$JS.API.CONSUMER.INFO." + at,
		"$JS.API.CONSUMER.MSG.NEXT." + at,
		// Both forms of the ack subject: the server may switch to the second.
		"$JS.ACK." + at + ".>",
		"$JS.ACK.*.*." + at + ".>",
	}
}

func bucketRights(bucket string) []string {
	return append(bucketReadRights(bucket), "$KV."+bucket+".>")
}

// bucketReadRights cover get and watch.
func bucketReadRights(bucket string) []string { return readRights(bucketStream(bucket)) }

// readRights cover get and ordered consumers, which are made for one reader.
func readRights(s string) []string {
	return []string{
		"$JS.API.STREAM.INFO." + s,
		"$JS.API.DIRECT.GET." + s, "$JS.API.DIRECT.GET." + s + ".>",
		"$JS.API.CONSUMER.CREATE." + s, "$JS.API.CONSUMER.CREATE." + s + ".>",
		"$JS.API.CONSUMER.DELETE." + s + ".>", "$JS.API.CONSUMER.INFO." + s + ".>",
		"$JS.FC." + s + ".>", "$JS.FC.*.*." + s + ".>",
	}
}

func account(market string) string { return "M_" + strings.ReplaceAll(market, "-", "_") }

// inbox is the reply subject prefix of a user; nobody else may listen on it.
func inbox(user string) string { return "_INBOX_" + user }

func list(items ...string) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
