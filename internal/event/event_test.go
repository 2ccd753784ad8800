package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/lead"
	"leadbus/internal/subjects"
)

func example() Event {
	return Event{
		ID: "message-sent-7k2mq9", At: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC), Seq: 7,
		Lead: subjects.Lead{Market: "ch", Site: "plombiersgeneve.ch", Event: subjects.MessageSent, Lead: "7k2mq9"},
		Body: &Attempted{Message: "m1", Attempt: "a1", Sent: &lead.Sent{VendorID: "SM1", At: time.Date(2026, 11, 23, 8, 0, 1, 0, time.UTC)}},
	}
}

func TestRoundTrip(t *testing.T) {
	want := example()
	data, err := Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(want.Lead.String(), want.Seq, data)
	if err != nil {
		t.Fatal(err)
	}
	want.Wire = data // as it came
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
}

// Events stay in streams for months: what was written once must decode for
// ever. Files are added, never changed.
func TestOldEventsStillDecode(t *testing.T) {
	for kind := range bodies {
		if _, err := os.Stat("testdata/" + kind + ".v1.json"); err != nil {
			t.Errorf("no golden event: %v", err)
		}
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var golden struct {
			Subject string
			Data    json.RawMessage
		}
		if err := json.Unmarshal(data, &golden); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		e, err := Decode(golden.Subject, 1, golden.Data)
		if err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		again, err := Encode(e)
		if err != nil {
			t.Errorf("%s: %v", f, err)
		}
		if d := cmp.Diff(normal(t, golden.Data), normal(t, again)); d != "" {
			t.Errorf("%s loses or changes fields:\n%s", f, d)
		}
	}
}

func normal(t *testing.T, data []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAnEnvelopeOfAnotherSubjectIsRefused(t *testing.T) {
	e := example()
	data, err := Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []subjects.Lead{
		{Market: "id", Site: e.Lead.Site, Event: e.Lead.Event, Lead: e.Lead.Lead},
		{Market: "ch", Site: "other.ch", Event: e.Lead.Event, Lead: e.Lead.Lead},
		{Market: "ch", Site: e.Lead.Site, Event: subjects.MessageFailed, Lead: e.Lead.Lead},
		{Market: "ch", Site: e.Lead.Site, Event: e.Lead.Event, Lead: "other"},
	} {
		if _, err := Decode(other.String(), 1, data); err == nil {
			t.Errorf("%s was accepted", other)
		}
	}
}

func TestAnUnreadableBodyIsNotQuoted(t *testing.T) {
	const secret = "41791234567"
	for name, body := range map[string]string{
		"a number for a text": `{"message": ` + secret + `}`,
		"a text for a list":   `{"message": "m1", "sent": "` + secret + `"}`,
		"a time":              `{"message": "m1", "sent": {"at": "` + secret + `"}}`,
	} {
		e := example()
		data := fmt.Sprintf(`{"id":"x","type":"message-sent.v1","market":"ch","site":"plombiersgeneve.ch","lead":"7k2mq9","at":"2026-11-23T08:00:00Z","body":%s}`, body)
		_, err := Decode(e.Lead.String(), 1, []byte(data))
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnEnvelopeWithoutABodyIsRefused(t *testing.T) {
	const envelope = `{"id":"x","type":"message-sent.v1","market":"ch","site":"plombiersgeneve.ch","lead":"7k2mq9","at":"2026-11-23T08:00:00Z"%s}`
	for _, body := range []string{``, `,"body":null`, `,"body":"text"`, `,"body":[]`, `,"body":{`} {
		if e, err := Decode(example().Lead.String(), 1, fmt.Appendf(nil, envelope, body)); err == nil {
			t.Errorf("%q was accepted: %+v", body, e)
		}
	}
	if e, err := Decode(example().Lead.String(), 1, []byte(`{"body":{}}`)); err == nil {
		t.Errorf("a body alone was accepted: %+v", e)
	}
}

func TestOutcome(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		err  error
		fate Fate
	}{
		"done":               {nil, Ack},
		"permanent":          {fmt.Errorf("insert: %w", Permanent(boom)), Terminate},
		"retry after a time": {fmt.Errorf("send: %w", After(time.Minute, boom)), Redeliver},
		"anything else":      {boom, Redeliver},
	} {
		fate, delay := Outcome(c.err, 1)
		if fate != c.fate {
			t.Errorf("%s: fate %v", name, fate)
		}
		if fate == Redeliver && delay <= 0 {
			t.Errorf("%s: redelivered at once, which burns deliveries", name)
		}
	}
	if _, d := Outcome(After(time.Minute, boom), 9); d != time.Minute {
		t.Errorf("asked for a minute, got %s", d)
	}
	if _, early := Outcome(boom, 1); early > time.Second {
		t.Errorf("first retry only after %s", early)
	}
	if _, late := Outcome(boom, maxAttempts-1); late < 5*time.Minute || late > 7*time.Minute {
		t.Errorf("late retry after %s", late)
	}
	if fate, _ := Outcome(boom, maxAttempts); fate != Terminate {
		t.Errorf("tried for ever")
	}
	if fate, _ := Outcome(After(time.Minute, boom), 10*maxAttempts); fate != Redeliver {
		t.Errorf("what waits its turn is given up")
	}
	if Hopeless(maxCrashes) != nil || Hopeless(maxCrashes+1) == nil {
		t.Errorf("a delivery that never finishes is tried %d times", maxCrashes)
	}
}

func BenchmarkDecode(b *testing.B) {
	e := example()
	data, err := Encode(e)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Decode(e.Lead.String(), 1, data); err != nil {
			b.Fatal(err)
		}
	}
}
