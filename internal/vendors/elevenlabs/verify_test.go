package elevenlabs_test

import (
	"errors"
	"testing"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/vendors/elevenlabs"
)

func TestVerify(t *testing.T) {
	const (
		secret = "wsec_example_only"
		body   = `{"type":"post_call_transcription","event_timestamp":1763800000,"data":{"conversation_id":"conv_test"}}`
		good   = "3db5c076350f2d3de207f172e8650dc643456a6a99537c2dc506051e73108476"
	)
	at := time.Unix(1763800060, 0)
	verify := func(secret, header, body string, now time.Time) error {
		return elevenlabs.Verify(secret, header, []byte(body), now, time.Hour)
	}
	for name, c := range map[string]struct {
		secret, header, body string
		now                  time.Time
	}{
		"as published":      {secret, "t=1763800060,v0=" + good, body, at},
		"several":           {secret, "t=1763800060, v0=00ff , v0=" + good, body, at},
		"other order":       {secret, "v1=x,v0=" + good + ",t=1763800060", body, at},
		"the last retry":    {secret, "t=1763800060,v0=" + good, body, at.Add(time.Hour)},
		"its clock is fast": {secret, "t=1763800060,v0=" + good, body, at.Add(-time.Hour)},
	} {
		if err := verify(c.secret, c.header, c.body, c.now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		secret, header, body string
		now                  time.Time
	}{
		"nothing":         {secret, "", body, at},
		"no time":         {secret, "v0=" + good, body, at},
		"no signature":    {secret, "t=1763800060", body, at},
		"empty signature": {secret, "t=1763800060,v0=", body, at},
		"other secret":    {"wsec_other", "t=1763800060,v0=" + good, body, at},
		"no secret":       {"", "t=1763800060,v0=" + good, body, at},
		"other body":      {secret, "t=1763800060,v0=" + good, body + "\n", at},
		"other time":      {secret, "t=1763800061,v0=" + good, body, at},
		"padded time":     {secret, "t=+1763800060,v0=" + good, body, at},
		"huge time":       {secret, "t=99999999999999999999,v0=" + good, body, at},
		"cut":             {secret, "t=1763800060,v0=" + good[:62], body, at},
		"too old":         {secret, "t=1763800060,v0=" + good, body, at.Add(time.Hour + time.Second)},
		"from the future": {secret, "t=1763800060,v0=" + good, body, at.Add(-time.Hour - time.Second)},
	} {
		if err := verify(c.secret, c.header, c.body, c.now); !errors.Is(err, event.ErrUnauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
