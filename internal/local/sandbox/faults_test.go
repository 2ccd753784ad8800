package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"leadbus/internal/local/await"
)

// put sets the sandbox's faults over its API.
func put(t *testing.T, s *Sandbox, f any) (status int) {
	t.Helper()
	body, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL()+"/api/faults", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// tried is what came back for an SMS.
type tried struct {
	status           int // 0: no answer
	body, retryAfter string
	err              error
}

// try posts an SMS on a connection of its own.
func try(t *testing.T, s *Sandbox, to string) tried {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.messagesURL(), strings.NewReader(sms(to, "").Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(account, token)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Close = true
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return tried{err: err}
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	return tried{res.StatusCode, string(body), res.Header.Get("Retry-After"), err}
}

func (s *Sandbox) has(to string) bool {
	return len(s.store.newest(1, func(m *message) bool { return m.To == to })) > 0
}

func TestEveryFaultOfAVendor(t *testing.T) {
	s := begin(t, Options{})
	defer s.Close()
	for i, c := range []struct {
		faults VendorFaults
		kind   string
		status int // 0: no answer
		taken  bool
		check  func(tried) bool
	}{
		{VendorFaults{Error: 1}, "error", 500, false, nil},
		{VendorFaults{ErrorTaken: 1}, "error_taken", 500, true, nil},
		{VendorFaults{TooMany: 1, RetryAfter: 7}, "too_many", 429, false, func(got tried) bool {
			return got.retryAfter == "7" && strings.Contains(got.body, "20429")
		}},
		{VendorFaults{NoBody: 1}, "no_body", 201, true, func(got tried) bool { return got.body == "" }},
		{VendorFaults{Timeout: 1, HoldMS: 50}, "timeout", 0, true, func(got tried) bool {
			return errors.Is(got.err, io.EOF)
		}},
		{VendorFaults{Reset: 1}, "reset", 0, false, func(got tried) bool {
			return errors.Is(got.err, syscall.ECONNRESET) || errors.Is(got.err, io.EOF) || errors.Is(got.err, syscall.EPIPE)
		}},
		{VendorFaults{DelayMS: 60}, "", 201, true, nil},
	} {
		if status := put(t, s, Faults{Twilio: c.faults}); status != http.StatusOK {
			t.Fatalf("%s: PUT answers %d", c.kind, status)
		}
		to, begun := "+4178999000"+string(rune('0'+i)), time.Now()
		got := try(t, s, to)
		switch {
		case got.status != c.status, (got.err == nil) != (c.status != 0), c.check != nil && !c.check(got):
			t.Errorf("%s: %+v", c.kind, got)
		case s.has(to) != c.taken:
			t.Errorf("%s: taken is %v", c.kind, !c.taken)
		case c.faults.DelayMS > 0 && time.Since(begun) < 60*time.Millisecond:
			t.Error("no delay")
		}
	}
	var shown struct {
		Faults
		Struck map[string]map[string]int
	}
	if ask(t, http.MethodDelete, s.URL()+"/api/faults", "", "", nil, &shown); shown.Faults != (Faults{}) {
		t.Errorf("after DELETE: %+v", shown.Faults)
	}
	for _, kind := range []string{"error", "error_taken", "too_many", "no_body", "timeout", "reset"} {
		if shown.Struck["twilio"][kind] != 1 {
			t.Errorf("%s was counted %d times", kind, shown.Struck["twilio"][kind])
		}
	}
	if create(t, s, sms("+41789990009", "")); !s.has("+41789990009") {
		t.Error("a fault struck after DELETE")
	}
	if status := put(t, s, map[string]any{"twilio": map[string]any{"eror": 1}}); status != http.StatusBadRequest {
		t.Errorf("an unknown fault was answered %d", status)
	}
}

// One vendor's faults are not the other's, and the same seed draws the same.
func TestFaultsAreDrawnFromTheSeed(t *testing.T) {
	draws := func() (got []int) {
		s := begin(t, Options{})
		defer s.Close()
		put(t, s, Faults{Seed: 11, Twilio: VendorFaults{Error: .3, TooMany: .2}, Mailgun: VendorFaults{Error: 1}})
		for range 40 {
			got = append(got, ask(t, "POST", s.messagesURL(), account, token, sms("+41790000001", ""), nil))
		}
		return got
	}
	first, second := draws(), draws()
	seen := map[int]int{}
	for i := range first {
		seen[first[i]]++
		if first[i] != second[i] {
			t.Fatalf("request %d: %d, then %d", i, first[i], second[i])
		}
	}
	if len(seen) != 3 {
		t.Errorf("%v", seen)
	}
}

func TestEveryFaultOfCallbacks(t *testing.T) {
	target, calls := edge(t)
	s := begin(t, Options{EdgeURL: target.URL})
	stop := sync.OnceFunc(s.Close)
	defer stop()
	statuses := func(n int) string {
		t.Helper()
		m := create(t, s, sms("+41790000001", target.URL+"/v1/twilio/status"))
		reaches(t, s, m.SID, "delivered")
		got := []string{}
		for range n {
			got = append(got, await.Value(t, "a callback", calls).status)
		}
		return strings.Join(got, " ")
	}
	for _, c := range []struct {
		faults CallbackFaults
		want   string
	}{
		{CallbackFaults{}, "sent delivered"},
		{CallbackFaults{Lost: 1}, ""},
		{CallbackFaults{Repeated: 1}, "sent sent delivered delivered"},
	} {
		put(t, s, Faults{Callbacks: c.faults})
		if got := statuses(len(strings.Fields(c.want))); got != c.want {
			t.Errorf("%+v: %q", c.faults, got)
		}
	}
	// Late ones all come, and in any order.
	put(t, s, Faults{Callbacks: CallbackFaults{Late: 1, DelayMS: 100}})
	if got := statuses(2); !strings.Contains(got, "sent") || !strings.Contains(got, "delivered") {
		t.Errorf("late: %s", got)
	}
	put(t, s, Faults{Callbacks: CallbackFaults{Held: 1}})
	if statuses(0); len(calls) > 0 {
		t.Error("a callback was not held")
	}
	put(t, s, Faults{})
	for range 2 {
		await.Value(t, "a callback that was held", calls)
	}
	stop()
	if len(calls) > 0 {
		t.Errorf("%d callbacks too many", len(calls))
	}
}
