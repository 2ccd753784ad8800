package test

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"leadbus/internal/engine/localpg/pgtest"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// earlier is what an earlier version left, with leads under way; see its README.
const earlier = "testdata/upgrade/"

// unpacked reads a compressed file of the earlier version.
func unpacked(tb testing.TB, name string) io.Reader {
	tb.Helper()
	f, err := os.Open(earlier + name)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	return z
}

// unpackData puts the earlier version's files into a data directory.
func unpackData(tb testing.TB, dir string) {
	tb.Helper()
	files := tar.NewReader(unpacked(tb, "data.tar.gz"))
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			tb.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Clean("/"+h.Name))
		if h.FileInfo().IsDir() {
			err = os.MkdirAll(path, 0o700)
		} else {
			var data []byte
			if data, err = io.ReadAll(files); err == nil {
				err = os.WriteFile(path, data, 0o600)
			}
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// loadBroker stores the earlier version's messages anew, in their order, and
// acknowledges for each durable what its role had handled.
func loadBroker(tb testing.TB, js jetstream.JetStream) {
	tb.Helper()
	lines := bufio.NewScanner(unpacked(tb, "broker.jsonl.gz"))
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var l struct {
			Stream, Subject, Durable string
			Header                   nats.Header
			Data                     []byte
			Acked                    uint64
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			tb.Fatal(err)
		}
		if l.Durable != "" {
			acknowledge(tb, js, l.Stream, l.Durable, l.Acked)
			continue
		}
		m := nats.NewMsg(l.Subject)
		m.Data = l.Data
		for _, kept := range []string{"Nats-Msg-Id", "KV-Operation"} { // the others were conditions
			if v := l.Header.Get(kept); v != "" {
				m.Header.Set(kept, v)
			}
		}
		if _, err := js.PublishMsg(tb.Context(), m); err != nil {
			tb.Fatalf("%s: %v", l.Stream, err)
		}
	}
	if err := lines.Err(); err != nil {
		tb.Fatal(err)
	}
}

func acknowledge(tb testing.TB, js jetstream.JetStream, stream, durable string, upTo uint64) {
	tb.Helper()
	c, err := js.Consumer(tb.Context(), stream, durable)
	if err != nil {
		tb.Fatal(err)
	}
	for last := uint64(0); last < upTo; {
		m, err := c.Next()
		if err != nil {
			tb.Fatalf("%s of %s: %v", durable, stream, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			tb.Fatal(err)
		}
		if last = meta.Sequence.Stream; last > upTo { // its role has to handle it
			_ = m.Nak()
			return
		}
		if err := m.DoubleAck(tb.Context()); err != nil {
			tb.Fatal(err)
		}
	}
}

// The program takes over the broker, the database and the files of the version
// before: every lead ends told, each message went out once, and what was over
// reads as before.
func TestAnEarlierVersionIsTakenOver(t *testing.T) {
	cfg := settings(t)
	cfg.Market = []string{"ch"}
	for _, role := range subjects.RoleNames() {
		cfg.Without = append(cfg.Without, role+"-ch")
	}
	unpackData(t, cfg.Data)
	rows, err := io.ReadAll(unpacked(t, "database.sql.gz"))
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, cfg.DatabaseURL, string(rows))
	s := start(t, cfg)
	loadBroker(t, s.operator(t, "ch"))
	s.stop(t)

	cfg.Without = nil
	s = start(t, cfg)
	names, err := os.ReadFile(earlier + "leads.txt")
	if err != nil {
		t.Fatal(err)
	}
	c := s.operatorConn(t)
	for line := range strings.Lines(string(names)) {
		name, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		var r story.Record
		await.Until(t, func() bool {
			events, err := c.Events(t.Context(), subjects.Lead{Market: "ch", Lead: id})
			if err != nil {
				t.Fatal(err)
			}
			r = story.Of(events)
			return settled(r, name)
		}, func() string { return fmt.Sprintf("%s is told: %+v", name, r) })

		before, err := os.ReadFile(earlier + "traces/" + name + ".txt")
		if errors.Is(err, os.ErrNotExist) {
			continue // it was under way
		} else if err != nil {
			t.Fatal(err)
		}
		if now, stderr, err := s.leadbus(t, "trace", id, "--market", "ch"); err != nil || now != string(before) {
			t.Errorf("trace of %s: %v %s\n%s\nwas\n%s", name, err, stderr, now, before)
		}
	}

	// Counted at the vendors: nothing twice.
	var all []struct{ IDs map[string]string }
	s.getJSON(t, s.SandboxURL+"/api/messages?limit=10000", &all)
	times := map[string]int{}
	for _, m := range all {
		times[m.IDs["lead"]+" "+m.IDs["message"]]++
	}
	for message, n := range times {
		if n > 1 {
			t.Errorf("message %s went out %d times", message, n)
		}
	}
	if len(times) < 60 {
		t.Errorf("%d messages are known to the vendors", len(times))
	}
}

// settled reports whether nothing of a lead of the earlier version is under way.
func settled(r story.Record, name string) bool {
	if r.Lead.Status == string(lead.Duplicate) { // a caller of another lead, within a day
		return true
	}
	if len(r.Messages) == 0 {
		return false
	}
	toProvider, taken := 0, 0
	for _, m := range r.Messages {
		if m.Recipient == lead.ToProvider {
			toProvider++
		}
		if state := lead.MessageState(m.State); state != lead.MessageQueued && state != lead.MessageDoubtful {
			taken++
		}
	}
	review := name == "review" || name == "unserved" || name == "asked"
	return taken == len(r.Messages) && (review || r.Match() != nil && toProvider >= 3)
}

// What this version writes is what the version before reads, but for the kinds of the
// delivery loop: a role of the version before gives those up, so it is stopped before
// the durables are provisioned anew (docs/operations.md). Nothing that it handled is
// taken from its durable, but what another role handles now.
func TestARoleOfTheEarlierVersionWorksBesideThisOne(t *testing.T) {
	loop := []string{
		subjects.Postponed, subjects.Overdue, subjects.Merged, subjects.ProviderReplied, subjects.OwnerDecided, subjects.VerifyAsked, subjects.TextReceived,
	}
	consumes := map[string][]string{
		subjects.Matcher: {subjects.Received, subjects.MessageFailed, subjects.ReceiptReceived}, // the last two were the scanner's
		subjects.Notifier: {
			subjects.Matched, subjects.Amended, subjects.Reassigned, subjects.Unserved, subjects.ReviewRequested,
			subjects.MessageQueued, subjects.ReceiptReceived, subjects.CallScanned, subjects.AlarmRaised, subjects.DigestMade,
		},
		subjects.Scanner: {subjects.CallEnded, subjects.OwnerAnswered},
	}
	for role, kinds := range consumes {
		there := subjects.RoleNamed(role).Consumes
		for _, kind := range there {
			if !slices.Contains(kinds, kind) && !slices.Contains(loop, kind) {
				t.Errorf("%s is delivered %s, which the %s of the version before gives up", role, kind, role)
			}
		}
		for _, kind := range kinds {
			if !slices.Contains(there, kind) {
				t.Errorf("%s is not delivered %s any more", role, kind)
			}
		}
	}
	// A field that only this version knows is no fault to a reader that does not.
	labelled, err := os.ReadFile("../internal/event/testdata/message-sent.labelled.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Subject string
		Data    json.RawMessage
	}
	if err := json.Unmarshal(labelled, &golden); err != nil {
		t.Fatal(err)
	}
	more := strings.Replace(string(golden.Data), `"attempt"`, `"of_tomorrow": {"a": 1}, "attempt"`, 1)
	if _, err := event.Decode(golden.Subject, 1, []byte(more)); err != nil {
		t.Errorf("a field of a later version: %v", err)
	}
}
