package exchange

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-3": 0, "0": 0, "7": 7 * time.Second, "7.5": 0, "999999": time.Hour, "99999999999999": time.Hour,
		"99999999999999999999":          0, // no number any more
		"Mon, 23 Nov 2026 09:00:30 GMT": 30 * time.Second,
		"Mon, 23 Nov 2026 08:00:00 GMT": 0,
		"Tue, 24 Nov 2026 09:00:00 GMT": time.Hour,
	} {
		if got := RetryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}
