package bus

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"leadbus/internal/subjects"
)

func TestKeysAreMadeOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	users := Users(markets)
	found := make([]map[string]string, 4)
	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() {
			var err error
			if found[i], err = EnsureKeys(dir, users); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, other := range found[1:] {
		if d := cmp.Diff(found[0], other); d != "" {
			t.Errorf("processes that started together disagree:\n%s", d)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != len(users) {
		t.Errorf("%d files for %d users, %v", len(files), len(users), err)
	}
	for _, f := range files {
		if i, err := f.Info(); err != nil || i.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", f.Name(), i.Mode())
		}
	}
	if err := os.WriteFile(SeedFile(dir, "edge"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := EnsureKeys(dir, users); err == nil || !strings.Contains(err.Error(), "edge") || strings.Contains(err.Error(), "damaged") {
		t.Errorf("damaged seed: %v", err)
	}
}

func TestTheConfigTextIsTheSameForEveryNode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	users := Users([]string{"ch", "id", "us-west"})
	keys, err := EnsureKeys(dir, users)
	if err != nil {
		t.Fatal(err)
	}
	text := ConfigText([]string{"ch", "id", "us-west"}, keys)
	if again := ConfigText([]string{"us-west", "id", "ch"}, keys); again != text {
		t.Error("the order of the markets changes the text")
	}
	for _, user := range users {
		seed, err := os.ReadFile(SeedFile(dir, user))
		if err != nil || strings.Contains(text, strings.TrimSpace(string(seed))) {
			t.Errorf("the seed of %s is in the text, or unreadable: %v", user, err)
		}
		if strings.Count(text, keys[user]) != 1 {
			t.Errorf("%s appears %d times", user, strings.Count(text, keys[user]))
		}
	}
	var o server.Options
	if err := o.ProcessConfigString(text); err != nil {
		t.Fatal(err)
	}
	var accounts []string
	for _, a := range o.Accounts {
		accounts = append(accounts, a.Name)
	}
	slices.Sort(accounts)
	if d := cmp.Diff([]string{"EDGE", "M_ch", "M_id", "M_us_west", "SYS"}, accounts); d != "" || o.SystemAccount != "SYS" {
		t.Errorf("system account %s\n%s", o.SystemAccount, d)
	}
	for _, n := range o.Nkeys {
		role := strings.HasPrefix(n.Account.Name, "M_") && n.Permissions != nil
		if !role {
			continue
		}
		hears := n.Permissions.Subscribe.Allow
		if n.Nkey == keys["ch-matcher"] || n.Nkey == keys["id-matcher"] || n.Nkey == keys["us-west-matcher"] {
			if !strings.HasPrefix(hears[len(hears)-1], "ask.") || n.Permissions.Response == nil {
				t.Errorf("a matcher listens to %v", hears)
			}
			hears = hears[:len(hears)-1]
		} else if n.Permissions.Response != nil {
			t.Error("a role that answers nothing may reply")
		}
		if len(hears) != 1 || !strings.HasPrefix(hears[0], "_INBOX_") {
			t.Errorf("a role listens to %v", hears)
		}
	}
	if o.Port != 0 || o.StoreDir != "" || o.Cluster.Name != "" || o.JetStream {
		t.Error("the text holds settings of a node")
	}
}

// What one market or role must not do, by the server's own word.
func TestMarketsAndRolesCannotReachEachOther(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	publish(t, r.connect(t, subjects.Edge), 1)
	short := func() context.Context { return deadline(t, 400*time.Millisecond) }

	id := r.connect(t, "id-operator")
	if found, err := id.Events(short(), subjects.Lead{Market: "ch", Lead: "l0"}); err != nil || len(found) != 0 {
		t.Errorf("the operator of id reads ch: %v, %v", found, err)
	}
	if s, err := id.js.Stream(short(), subjects.StreamLeads); err != nil || s.CachedInfo().State.Msgs != 0 {
		t.Errorf("the operator of id sees events of ch: %v", err)
	}
	overheard, err := id.nc.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	if err := id.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := r.connect(t, subjects.Edge).Publish(t.Context(), received("ch", "l1", "x")); err != nil {
		t.Fatal(err)
	}
	if err := r.connect(t, subjects.Edge).Publish(t.Context(), received("id", "own", "x")); err != nil {
		t.Fatal(err)
	}
	for { // id's own event comes, and nothing of ch before it
		m, err := overheard.NextMsg(time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(m.Subject, "lead.ch.") {
			t.Errorf("the operator of id hears %s", m.Subject)
		}
		if m.Subject == "lead.id.a_id.received.own" {
			break
		}
	}
	if err := overheard.Unsubscribe(); err != nil {
		t.Error(err)
	}

	if nc, err := nats.Connect(r.URL()); err == nil {
		nc.Close()
		t.Error("a client without a key got in")
	}
}

// A role may do its work and nothing else, by the server's own word.
func TestRights(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for user, c := range map[string]struct{ may, mayNot, hears, hearsNot []string }{
		"edge": {
			may:    []string{"lead.ch.a_ch.received.l1", "lead.id.a_id.receipt-received.l1", "ask.ch.a_ch.l1", "ask.id.a_id.l1"},
			mayNot: []string{"lead.ch.a_ch.matched.l1", "lead.ch.a_ch.message-sent.l1", "$JS.API.STREAM.LIST", "$JS.API.STREAM.INFO.LEADS", "$KV.roster.p1"},
			hears:  []string{"_INBOX_edge.x"}, hearsNot: []string{"lead.>", ">", "_INBOX.>", "ask.>"},
		},
		"ch-recorder": {
			may: []string{"$JS.API.CONSUMER.MSG.NEXT.LEADS.recorder", "$JS.ACK.LEADS.recorder.1.1.1.1.0", "$JS.ACK.d.h.LEADS.recorder.1", "$KV.roster.p1"},
			mayNot: []string{
				"lead.ch.a_ch.received.l1", "lead.ch.a_ch.matched.l1", "$JS.API.CONSUMER.MSG.NEXT.LEADS.matcher", "$JS.ACK.LEADS.matcher.1.1.1.1.0",
				"$JS.API.STREAM.DELETE.LEADS", "$JS.API.STREAM.PURGE.LEADS", "$JS.API.CONSUMER.DELETE.LEADS.recorder", "$KV.load.p1", "$KV.ledger.m1",
				"$JS.API.DIRECT.GET.KV_ledger", "$JS.API.DIRECT.GET.LEADS",
			},
			hears: []string{"_INBOX_ch-recorder.x"}, hearsNot: []string{"lead.>", "_INBOX_ch-matcher.>", "$JS.EVENT.>", "ask.ch.>"},
		},
		"ch-matcher": {
			may: []string{
				"lead.ch.a_ch.matched.l1", "lead.ch.a_ch.received.l1", "$JS.API.CONSUMER.MSG.NEXT.LEADS.matcher", "$JS.API.DIRECT.GET.LEADS", "$KV.load.p1",
				"$JS.API.DIRECT.GET.KV_roster.$KV.roster.p1", "$JS.API.DIRECT.GET.LEADS.lead.ch.a_ch.*.l1",
			},
			mayNot: []string{
				"lead.ch.a_ch.message-sent.l1", "lead.ch.a_ch.receipt-received.l1", "lead.id.a_id.matched.l1", "$JS.API.STREAM.MSG.GET.LEADS",
				"$JS.API.CONSUMER.CREATE.LEADS.spy", "$JS.API.CONSUMER.DURABLE.CREATE.LEADS.spy", "$JS.API.CONSUMER.MSG.NEXT.LEADS.notifier", "$KV.roster.p1", "$KV.ledger.m1",
				"timer.ch.x", "ask.ch.a_ch.l1",
			},
			hears: []string{"_INBOX_ch-matcher.x", "ask.ch.>"}, hearsNot: []string{"lead.ch.>", "ask.>", "ask.id.>", "_INBOX_ch-notifier.>", "$KV.>"},
		},
		"ch-notifier": {
			may: []string{"lead.ch.a_ch.message-queued.l1", "lead.ch.a_ch.message-doubtful.l1", "$JS.API.CONSUMER.INFO.LEADS.notifier", "$KV.ledger.m1", "$JS.API.DIRECT.GET.LEADS.lead.ch.a_ch.message-sent.l1", "lead.ch.a_ch.alarm-raised.l1", "$KV.watch.alarm-x"},
			mayNot: []string{
				"lead.ch.a_ch.matched.l1", "lead.ch.a_ch.received.l1", "$JS.API.STREAM.MSG.GET.LEADS", "$JS.API.CONSUMER.CREATE.LEADS.spy", "$JS.ACK.LEADS.recorder.1.1.1.1.0", "$KV.roster.p1", "$KV.load.p1",
				"$JS.API.STREAM.INFO.KV_roster", "ask.ch.a_ch.l1",
			},
			hears: []string{"_INBOX_ch-notifier.x"}, hearsNot: []string{"lead.>", "_INBOX_id-notifier.>", "ask.ch.>"},
		},
		"ch-scanner": {
			may: []string{
				"lead.ch.a_ch.call-scanned.l1", "lead.ch.a_ch.received.l1", "lead.ch.a_ch.alarm-raised.l1", "$JS.API.CONSUMER.MSG.NEXT.LEADS.scanner",
				"$JS.API.CONSUMER.CREATE.LEADS.any_1.lead.ch.>", "$JS.API.CONSUMER.MSG.NEXT.LEADS.any_1", "$JS.API.CONSUMER.DELETE.LEADS.any_1", "$KV.watch.alarm-x",
			},
			mayNot: []string{
				"lead.ch.a_ch.matched.l1", "lead.ch.a_ch.message-queued.l1", "lead.id.a_id.received.l1", "$JS.API.CONSUMER.MSG.NEXT.LEADS.matcher",
				"$JS.API.CONSUMER.MSG.NEXT.LEADS.notifier-replay", "$JS.API.CONSUMER.CREATE.LEADS.recorder", "$JS.API.CONSUMER.CREATE.LEADS.recorder.lead.ch.>",
				"$JS.API.CONSUMER.DELETE.LEADS.scanner", "$JS.API.CONSUMER.DURABLE.CREATE.LEADS.spy", "$JS.API.STREAM.MSG.GET.LEADS", "$KV.ledger.m1", "$KV.roster.p1",
			},
			hears: []string{"_INBOX_ch-scanner.x"}, hearsNot: []string{"lead.>", "_INBOX_ch-notifier.>", "$KV.>", "ask.ch.>"},
		},
		"ch-operator": {
			may:   []string{"$JS.API.STREAM.LIST", "$JS.API.CONSUMER.LIST.LEADS", "timer.ch.x"},
			hears: []string{">", "lead.ch.>", "$JS.EVENT.>"},
		},
	} {
		nc := r.connect(t, user).nc
		check := func(allowed bool, what, subject string, act func() error) {
			t.Helper()
			if err := act(); err != nil {
				t.Fatal(err)
			}
			if err := nc.Flush(); err != nil { // the refusal comes before the pong
				t.Fatal(err)
			}
			refused := nc.LastError() != nil && strings.Contains(nc.LastError().Error(), what+` to "`+subject+`"`)
			if refused == allowed {
				t.Errorf("%s, %s %q: allowed is %v", user, what, subject, !refused)
			}
		}
		for allowed, subjects := range map[bool][]string{true: c.may, false: c.mayNot} {
			for _, s := range subjects {
				check(allowed, "Publish", s, func() error { return nc.PublishRequest(s, inbox(user)+".none", nil) })
			}
		}
		for allowed, subjects := range map[bool][]string{true: c.hears, false: c.hearsNot} {
			for _, s := range subjects {
				check(allowed, "Subscription", s, func() error {
					sub, err := nc.SubscribeSync(s)
					if err == nil {
						defer func() { _ = sub.Unsubscribe() }()
						err = nc.Flush()
					}
					return err
				})
			}
		}
	}
}
