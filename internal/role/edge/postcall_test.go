package edge_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/site"
	"leadbus/internal/subjects"
)

// post sends a report; of unknown length, as the vendor sends recordings.
func (d *desk) post(t *testing.T, body io.Reader) int {
	t.Helper()
	res, err := http.Post(d.URL+"/v1/elevenlabs/post-call", "application/json", io.MultiReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// ended are the events that reports became.
func (d *desk) ended(t *testing.T) (out []event.Event) {
	t.Helper()
	err := d.bus.Operator.History(t.Context(), subjects.Lead{Market: "ch"}, time.Time{}, func(e event.Event) error {
		out = append(out, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A recording is dropped and answered 200, so that the vendor keeps the hook
// alive. Whatever else is too large is refused, where everybody sees it.
func TestALargeRecordingIsDropped(t *testing.T) {
	d := newDesk(t)
	padding := func() io.Reader { return io.LimitReader(zeros{}, 20<<20) }
	for head, want := range map[string]int{
		`{"type":"post_call_audio","event_timestamp":1,"data":{"agent_id":"a","conversation_id":"c","full_audio":"`: http.StatusOK,
		"\ufeff\n" + `{ "event_timestamp": "1", "type" : "post_call_audio", "data":{"full_audio":"`:                 http.StatusOK,
		`{"data":{"conversation_id":"c","full_audio":"`:                                                             http.StatusOK,
		`{"type":"post_call_unredacted_audio","data":{"full_audio":"`:                                               http.StatusOK,
		`{"data":{"agent_name":"` + strings.Repeat("a", 5000) + `","full_audio":"`:                                  http.StatusOK,
		`{"data":{"transcript":[{"message":"a \"full_audio\" and a \"post_call_audio\" `:                            http.StatusRequestEntityTooLarge,
		`{"type":"post_call_transcription","data":{"conversation_id":"c","transcript":[{"message":"`:                http.StatusRequestEntityTooLarge,
		`{"type":"post_call_transcription","data":{"a":"` + strings.Repeat("0", 1000) + `","full_audio":"`:          http.StatusRequestEntityTooLarge, // far from the beginning
	} {
		if got := d.post(t, io.MultiReader(strings.NewReader(head), padding())); got != want {
			t.Errorf("%.60s: status %d, want %d", head, got, want)
		}
	}
	if got := d.ended(t); len(got) != 0 {
		t.Errorf("%d events", len(got))
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

// What is no finished call is answered 200 and kept nowhere; a voice that goes is
// told to the market that speaks with it.
func TestReportsThatAreNoCalls(t *testing.T) {
	d := newDesk(t)
	for _, body := range []string{
		`{"type":"voice_removal_notice_withdrawn","data":{"voice_id":"v1"}}`, `{"type":"workspace_moved","data":{}}`, `{"type":"x"}`, `{}`,
		`{"type":"post_call_sentiment","data":{"agent_id":"a","conversation_id":"c","status":"done","transcript":[]}}`,
		`{"type":"post_call_transcription","data":{"agent_id":"a","conversation_id":"c","status":"processing","transcript":[]}}`,
	} {
		if got := d.post(t, strings.NewReader(body)); got != http.StatusOK {
			t.Errorf("%s: status %d", body, got)
		}
	}
	if got := d.ended(t); len(got) != 0 {
		t.Errorf("%d events", len(got))
	}
	for range 2 {
		if got := d.post(t, strings.NewReader(`{"type":"voice_removal_notice","data":{"voice_id":"v1","removal_date":"2026-12-31"}}`)); got != http.StatusOK {
			t.Errorf("a voice that goes: status %d", got)
		}
	}
	got := d.ended(t)
	if len(got) != 1 || got[0].Lead.Site != site.Unknown || got[0].Body.(*event.Ended).Voice == nil {
		t.Errorf("%+v", got)
	}
}

// Whatever its times are, a report is taken.
func TestAReportOfAnotherAgeIsTaken(t *testing.T) {
	d := newDesk(t)
	for i, odd := range []string{`253402300800`, `-62167219200`, `"10000-01-01T00:00:00Z"`, `"9999-12-31T23:59:59-12:00"`, `"0000-01-01T00:00:00+14:00"`, `1900000000`} {
		body := fmt.Sprintf(`{"type":"post_call_transcription","event_timestamp":%[1]s,"data":{"agent_id":"agent_1","conversation_id":"conv_%[2]d","status":"done",
			"metadata":{"start_time_unix_secs":%[1]s,"accepted_time_unix_secs":%[1]s,"call_duration_secs":%[1]s}}}`, odd, i)
		if got := d.post(t, strings.NewReader(body)); got != http.StatusOK {
			t.Errorf("%s: status %d", odd, got)
		}
	}
	for _, e := range d.ended(t) {
		if c := e.Body.(*event.Ended).Call; !c.StartedAt.Equal(now) || c.Seconds != 0 {
			t.Errorf("%s: began %s, %d s", c.ID, c.StartedAt, c.Seconds)
		}
	}
}
