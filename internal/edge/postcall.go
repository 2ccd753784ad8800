package edge

import (
	"bytes"
	"compress/gzip"
	"errors"
	"maps"
	"net/http"
	"slices"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/subjects"
)

const (
	// maxReport is the largest report on a call; long calls have hundreds of
	// kilobytes.
	maxReport = 8 << 20
	// maxRaw and maxTold keep the event within the bus's limit of 1 MiB: the
	// report as it came is left out first, then the end of what was said.
	maxRaw  = 600 << 10
	maxTold = 300 << 10
)

// Unknown is the site of calls whose agent no site has.
const Unknown = "unknown.invalid"

// postCall takes the voice vendor's report on a finished call. Nothing but 200
// counts as success there, so whatever is authentic is answered 200 once it is
// durable, and so is what nobody asked for.
func (e *edge) postCall(w http.ResponseWriter, r *http.Request, a *access) *refusal {
	body, refused := read(w, r, maxReport)
	if refused != nil {
		return refused
	}
	c, err := e.PostCall(r, body)
	switch {
	case errors.Is(err, event.ErrUnauthenticated):
		return &refusal{http.StatusUnauthorized, "the signature does not match"}
	case err != nil:
		return &refusal{http.StatusBadRequest, err.Error()}
	case c == nil:
		writeJSON(w, http.StatusOK, map[string]string{"kept": "nothing: only transcripts and failed calls are"})
		return nil
	}
	market, domain := slices.Min(slices.Collect(maps.Keys(e.Catalog.Markets))), Unknown
	if s := e.agents[c.AgentID]; s != nil {
		market, domain = s.Market, s.Domain
	}
	if c.Site = domain; c.ID == "" {
		c.ID = "body\x00" + string(body)
	}
	id := lead.NewID(domain, c.ID)
	a.market, a.site, a.lead = market, domain, id
	raw, err := compress(body)
	if err != nil {
		return e.internal(err, a)
	}
	cut(c)
	if refused := e.publish(r.Context(), event.Event{
		ID: subjects.CallEnded + "-" + id, At: e.Now().UTC(),
		Lead: subjects.Lead{Market: market, Site: domain, Event: subjects.CallEnded, Lead: id},
		Body: &event.Ended{Call: *c, Raw: raw},
	}, a); refused != nil {
		return refused
	}
	writeJSON(w, http.StatusOK, map[string]string{"kept": id})
	return nil
}

// compress is the report as it is kept; nothing when it is too large for that.
func compress(body []byte) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(body); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	if b.Len() > maxRaw {
		return nil, nil
	}
	return b.Bytes(), nil
}

// cut leaves out what was said beyond all measure, and says so.
func cut(c *call.Call) {
	size := 0
	for i, t := range c.Turns {
		if size += len(t.Text); size > maxTold {
			c.Turns = append(c.Turns[:i:i], call.Turn{Who: call.Agent, Second: t.Second, Text: "[cut: the transcript is too long]"})
			break
		}
	}
	for i := range c.Tools {
		u := &c.Tools[i]
		if size += len(u.Params) + len(u.Body) + len(u.Result); size > maxTold {
			u.Params, u.Body, u.Result = nil, "", "[cut]"
		}
	}
}
