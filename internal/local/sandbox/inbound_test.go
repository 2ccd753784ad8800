package sandbox

import (
	"bytes"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Who sent STOP to a number gets nothing from it until START, and the buttons of a
// template carry what its variables say.
func TestHandsets(t *testing.T) {
	s, err := Start(Options{
		Addr: "127.0.0.1:0", AccountSID: "AC1", AuthToken: "token",
		Templates: map[string]string{"HX1": "{{1}}"}, Buttons: map[string][]string{"HX1": {"accept:{{2}}", "decline:{{2}}"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	write := func(text string) {
		t.Helper()
		body := []byte(`{"from": "+41781230042", "to": "+41781234590", "text": "` + text + `"}`)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/api/texts", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.client.Do(req)
		if err != nil || res.StatusCode != http.StatusCreated {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	sms := url.Values{"From": {"+41781234590"}, "To": {"+41781230042"}, "Body": {"hello"}}
	for _, c := range []struct {
		text string
		code int
	}{{"hello", 0}, {"stop", 21610}, {"hello", 21610}, {"START", 0}} {
		write(c.text)
		code := 0
		if _, refusal := s.compose(sms); refusal != nil {
			code = refusal.Code
		}
		if code != c.code {
			t.Errorf("after %q: %d, want %d", c.text, code, c.code)
		}
	}
	m, refusal := s.compose(url.Values{
		"From": {"whatsapp:+41781234590"}, "To": {"whatsapp:+41781230042"}, "ContentSid": {"HX1"}, "ContentVariables": {`{"1": "a", "2": "token"}`},
	})
	if d := cmp.Diff([]button{{"accept", "accept:token"}, {"decline", "decline:token"}}, m.Buttons); refusal != nil || d != "" {
		t.Error(refusal, d)
	}
}
