package mailgun_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/subjects"
	"leadbus/internal/vendors/mailgun"
)

const hookToken = "00112233445566778899aabbccddeeff00112233445566778899"

// sign is Mailgun's rule: hex HMAC-SHA256 of timestamp and token.
func sign(key, timestamp, token string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(timestamp + token))
	return hex.EncodeToString(h.Sum(nil))
}

func hook(at time.Time, data string) string {
	ts := strconv.FormatInt(at.Unix(), 10)
	return fmt.Sprintf(`{"signature":{"timestamp":%q,"token":%q,"signature":%q,"parent-signature":{"x":1}},"event-data":%s,"new":[]}`,
		ts, hookToken, sign(signKey, ts, hookToken), data)
}

func receive(c *mailgun.Client, body string) (subjects.Lead, lead.Receipt, error) {
	return c.Receipt(httptest.NewRequest(http.MethodPost, "/v1/mailgun/events", nil), []byte(body))
}

func sample(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A signature made with openssl, so that sign and the adapter are not wrong
// together.
func TestAKnownSignature(t *testing.T) {
	if got, want := sign(signKey, "1795424401", hookToken), "6628f489d4bc6ee97631a66a13ef688a63214380983dd4b865715c5c03c3782d"; got != want {
		t.Errorf("sign = %s", got)
	}
}

func TestReceipt(t *testing.T) {
	fails := func(code string, class lead.FailureClass) *lead.Failure {
		return &lead.Failure{Vendor: "mailgun", Code: code, Class: class}
	}
	for name, want := range map[string]lead.Receipt{
		"delivered":            {Status: "delivered", State: lead.MessageDelivered},
		"loose-types":          {Status: "delivered", State: lead.MessageDelivered},
		"temporary":            {Status: "temporary_fail"},
		"permanent-bounce":     {Status: "permanent_fail", State: lead.MessageFailed, Failure: fails("bounce", lead.BadRecipient)},
		"permanent-suppressed": {Status: "permanent_fail", State: lead.MessageFailed, Failure: fails("suppress-unsubscribe", lead.OptedOut)},
		"permanent-espblock":   {Status: "permanent_fail", State: lead.MessageFailed, Failure: fails("espblock", lead.OurFault)},
		"permanent-unknown":    {Status: "permanent_fail", State: lead.MessageFailed, Failure: fails("moon-phase", lead.Transient)},
		"complained":           {Status: "complained", Failure: fails("complained", lead.OptedOut)},
		"unsubscribed":         {Status: "unsubscribed", Failure: fails("unsubscribed", lead.OptedOut)},
		"opened":               {Status: "opened"},
	} {
		t.Run(name, func(t *testing.T) {
			to, got, err := receive(newClient(""), hook(time.Now(), sample(t, name)))
			if err != nil {
				t.Fatal(err)
			}
			if got.Failure != nil {
				if got.Failure.Reason == "" {
					t.Error("no reason given")
				}
				clean(t, got.Failure)
				got.Failure.Reason = ""
			}
			want.Message, want.Attempt, want.Vendor = "m1", "a1", "mailgun"
			want.VendorID = "20261123090000.1.00AA11BB22CC33DD@mg.example.net"
			want.At = time.UnixMilli(1795424400250).UTC()
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(subjects.Lead{Market: "ch", Site: "plombiersgeneve.ch", Event: subjects.ReceiptReceived, Lead: "7k2mq9"}, to); d != "" {
				t.Error(d)
			}
		})
	}
}

// Some senders write a byte order mark before their JSON.
func TestAByteOrderMarkIsSkipped(t *testing.T) {
	body := hook(time.Now(), sample(t, "delivered"))
	for _, before := range []string{"\ufeff", "\r\n\t ", "\ufeff\n"} {
		if _, got, err := receive(newClient(""), before+body); err != nil || got.State != lead.MessageDelivered {
			t.Errorf("%q: %+v, %v", before, got, err)
		}
	}
}

func TestForgedReceipts(t *testing.T) {
	data, now := sample(t, "delivered"), time.Now()
	good := hook(now, data)
	ts := strconv.FormatInt(now.Unix(), 10)
	for name, body := range map[string]string{
		"unsigned":             `{"event-data":` + data + `}`,
		"signature of no type": `{"signature":"yes","event-data":` + data + `}`,
		"another key":          strings.Replace(good, sign(signKey, ts, hookToken), sign("other", ts, hookToken), 1),
		"signed with API key":  strings.Replace(good, sign(signKey, ts, hookToken), sign(apiKey, ts, hookToken), 1),
		"another token":        strings.Replace(good, hookToken, "ff"+hookToken[2:], 1),
		"another time":         strings.Replace(good, ts, strconv.FormatInt(now.Unix()+1, 10), 1),
		"not hex":              strings.Replace(good, sign(signKey, ts, hookToken), "zz", 1),
		"too old":              hook(now.Add(-12*time.Hour-time.Minute), data),
		"from the future":      hook(now.Add(time.Hour), data),
	} {
		_, _, err := receive(newClient(""), body)
		if !errors.Is(err, event.ErrUnauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
		clean(t, err)
	}
	if _, _, err := receive(newClient(""), hook(now.Add(-9*time.Hour), data)); err != nil {
		t.Errorf("Mailgun's last repeat: %v", err)
	}
	open := mailgun.New(mailgun.Options{APIKey: apiKey})
	unset := strings.Replace(good, sign(signKey, ts, hookToken), sign(apiKey, ts, hookToken), 1)
	if _, _, err := receive(open, unset); !errors.Is(err, event.ErrUnauthenticated) {
		t.Errorf("without a signing key the API key verifies: %v", err)
	}
}

func TestReceiptsOfNothingOfOurs(t *testing.T) {
	change := func(f func(map[string]any)) string {
		var v map[string]any
		if err := json.Unmarshal([]byte(sample(t, "delivered")), &v); err != nil {
			t.Fatal(err)
		}
		f(v)
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	variable := func(k, v string) string {
		return change(func(m map[string]any) { m["user-variables"].(map[string]any)[k] = v })
	}
	for name, data := range map[string]string{
		"empty variables as a list": change(func(m map[string]any) { m["user-variables"] = []any{} }),
		"no variables":              change(func(m map[string]any) { delete(m, "user-variables") }),
		"a wider lead":              variable("lead", ">"),
		"a bad site":                variable("site", "../.."),
		"a bad message":             variable("message", "a.b"),
		"no attempt":                variable("attempt", ""),
		"data of no type":           `[]`,
	} {
		_, _, err := receive(newClient(""), hook(time.Now(), data))
		if !errors.Is(err, event.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
		clean(t, err)
	}
	nameless := change(func(m map[string]any) { delete(m, "event") })
	for name, body := range map[string]string{
		"truncated": `{"signature":{"timestamp":"`, "a list": `[1`, "empty": "", "no event": hook(time.Now(), nameless),
		"no data": strings.Replace(hook(time.Now(), "{}"), "event-data", "other", 1),
	} {
		_, _, err := receive(newClient(""), body)
		if err == nil || errors.Is(err, event.ErrNotFound) || errors.Is(err, event.ErrUnauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
		clean(t, err)
	}
}

func FuzzReceipt(f *testing.F) {
	f.Add(`{"event":"failed","user-variables":[]}`)
	f.Add(`{"event":{"a":1},"timestamp":"1e400","user-variables":{"lead":[1]},"message":{"headers":null}}`)
	f.Fuzz(func(t *testing.T, data string) {
		to, r, err := receive(newClient(""), hook(time.Now(), data))
		if err != nil {
			return
		}
		if to.Validate() != nil || !subjects.ValidToken(r.Message) || r.Status == "" {
			t.Errorf("accepted %+v, %+v", to, r)
		}
	})
}

// Whatever comes in, the adapter answers.
func FuzzDecode(f *testing.F) {
	body := hook(time.Now(), `{"event":"delivered","timestamp":1e300,"user-variables":{"lead":"l","market":"ch","site":"a.ch","message":"m","attempt":"a"}}`)
	f.Add(body)
	f.Add("\ufeff" + body)
	f.Add(strings.ReplaceAll(body, `"`, `[`))
	f.Add(body[:len(body)/2])
	c := newClient("")
	f.Fuzz(func(t *testing.T, body string) {
		if to, r, err := receive(c, body); err == nil && (to.Validate() != nil || r.Status == "" || r.At.Year() > 9999) {
			t.Errorf("accepted %+v, %+v", to, r)
		}
	})
}
