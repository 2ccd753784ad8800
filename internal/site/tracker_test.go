package site

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"leadbus/internal/lead"
)

func postback() *Tracker {
	return &Tracker{
		ID: "ads", Method: "POST", URL: "https://ads.example/{{.Place}}?click={{.Clicks.gclid}}{{with .Value}}&value={{.}}{{end}}#{{.Key}}",
		Headers: map[string]string{"Authorization": "Bearer {{.Secret}}", "X-Service": "{{.Service}}"},
		Body:    `{"service": "{{.Service}}", "clicks": [{{range $i, $c := .Clicks}}"{{$i}}={{$c}}",{{end}}""], "value": {{or .Value 0}}, "at": {{.At.Unix}}, "cut": "{{slice .Place 0 (len .Place)}}"}`, ContentType: "application/json",
		Secret: "ads", Events: map[string]string{"accepted": "lead"},
	}
}

func TestRender(t *testing.T) {
	c := lead.Conversion{Event: "lead", Key: "k1", Place: "carouge", Service: "plumbing.leak", Value: "12.50", At: time.Unix(1795273396, 0), Clicks: map[string]string{"gclid": "G 1"}}
	r, err := postback().Render(c, "s3")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(r.Body)
	if r.Method != http.MethodPost || r.URL.String() != "https://ads.example/carouge?click=G%201&value=12.50#k1" ||
		string(body) != `{"service": "plumbing.leak", "clicks": ["gclid=G 1",""], "value": 12.50, "at": 1795273396, "cut": "carouge"}` {
		t.Errorf("%s %s\n%s", r.Method, r.URL, body)
	}
	for name, want := range map[string]string{"Authorization": "Bearer s3", "X-Service": "plumbing.leak", "Content-Type": "application/json", "Idempotency-Key": "k1"} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Whatever a word holds, it stays a value at its place.
func FuzzRender(f *testing.F) {
	for _, word := range []string{`"`, `\`, "a&b=c#d?'%0a", "\x00\xff", "a\r\nX-Other: 1", "../../?x=1", "{{.Secret}}", "\u2028</script>", "++", "%"} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		r, err := postback().Render(lead.Conversion{Place: word, Service: word, Clicks: map[string]string{"gclid": word}}, "s3")
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(r.URL.String())
		if err != nil || u.Host != "ads.example" || len(u.Query()) != 1 || u.Query().Get("click") != word || u.Path != "/"+word {
			t.Errorf("%q: %s %v", word, r.URL, err)
		}
		text, _ := io.ReadAll(r.Body)
		var body map[string]any
		if err := json.Unmarshal(text, &body); err != nil || len(body) != 5 || body["service"] != string([]rune(word)) {
			t.Errorf("%q: %s %v", word, text, err)
		}
		if strings.ContainsAny(r.Header.Get("X-Service"), "\r\n\x00") || len(r.Header) != 4 {
			t.Errorf("%q: %q", word, r.Header)
		}
	})
}
