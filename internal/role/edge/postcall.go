package edge

import (
	"errors"
	"net/http"

	"leadbus/internal/event"
)

// maxReport is the largest report on a call; long calls have some hundred
// kilobytes.
const maxReport = 8 << 20

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
		writeJSON(w, http.StatusOK, map[string]string{"kept": "nothing: recordings are not"})
		return nil
	}
	market, domain := e.Catalog.OfAgent(c.AgentID)
	ended, err := event.NewEnded(market, domain, *c, body, e.Now())
	if err != nil {
		return e.internal(err, a)
	}
	a.market, a.site, a.lead = market, domain, ended.Lead.Lead
	if refused := e.publish(r.Context(), ended, a); refused != nil {
		return refused
	}
	writeJSON(w, http.StatusOK, map[string]string{"kept": ended.Lead.Lead})
	return nil
}
