package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"leadbus/internal/site"
)

// SecretHeader carries the site's secret in a tool call. ElevenLabs does not
// sign tool calls; a stored secret in a request header is what it offers.
const SecretHeader = "X-Leadbus-Secret"

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 10

// Doer makes HTTP requests; an *http.Client does.
type Doer interface {
	Do(r *http.Request) (*http.Response, error)
}

// Request is a tool call to the edge at a base URL, as a voice agent makes it.
func Request(ctx context.Context, edge, domain, secret string, body []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(edge, "/")+"/v1/sites/"+domain+"/dispatch_lead", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("the edge's address: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(SecretHeader, secret)
	return r, nil
}

// Do makes a tool call and reads the reply, which it answers as it came, too. A
// status other than 200 is an error.
func Do(client Doer, r *http.Request) (answer []byte, reply Reply, err error) {
	res, err := client.Do(r)
	if err != nil {
		return nil, reply, fmt.Errorf("the edge does not answer: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if answer, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer)); err != nil {
		return nil, reply, fmt.Errorf("the edge's answer ended early: %w", err)
	}
	err = json.Unmarshal(answer, &reply)
	switch {
	case res.StatusCode != http.StatusOK:
		return nil, reply, fmt.Errorf("the edge answered %s: %s", res.Status, reply.Ask)
	case err != nil:
		return nil, reply, fmt.Errorf("the edge answered %s, but not as it should: does the address lead to it? %w", res.Status, err)
	}
	return answer, reply, nil
}

// Example is the body of a tool call that is understood without doubt: what the
// model fills, the bound dynamic variables, and the constants. The caller dials
// the site for its first service at its first place.
func Example(c *site.Catalog, s *site.Site, caller string) map[string]any {
	language, place := s.Languages[0], ""
	for _, p := range c.MarketOf(s).Places {
		if p.ID == s.Places[0] {
			place = p.Name
		}
	}
	return map[string]any{
		"schema_version": "1", "source": "elevenlabs", "agent_id": s.Agent.ID, "called_number": s.DID,
		"caller_id": caller, "callback_number": caller, "language": language, "contact_consent": true,
		"service_type": c.Services[s.Services[0].ID].Names[language], "city": place,
	}
}
