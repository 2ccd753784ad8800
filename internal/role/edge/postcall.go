package edge

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/site"
)

// maxReport is the largest report on a call; long calls have some hundred
// kilobytes.
const maxReport = 8 << 20

// postCall takes the voice vendor's report, of a finished call as a rule.
// Nothing but 200 counts as success there, so whatever is authentic is answered
// 200 once it is durable, and so is what nobody asked for.
//
// A larger body cannot be verified. A recording is answered 200 and dropped all
// the same: the vendor switches off a hook that fails again and again, and
// nothing of a recording is kept anyway. Another body of that size may be a call. It
// is refused, which both sides see, and fetched later by the comparison of
// records.
func (e *edge) postCall(w http.ResponseWriter, r *http.Request, a *access) *refusal {
	body, refused := read(w, r, maxReport)
	switch {
	case refused != nil && refused.status == http.StatusRequestEntityTooLarge && recording(body):
		_, _ = io.Copy(io.Discard, r.Body) // the sender reads no answer before its last byte
		return e.dropped(w, "a recording")
	case refused != nil:
		return refused
	}
	report, err := e.PostCall(r, body)
	switch {
	case errors.Is(err, event.ErrUnauthenticated):
		return &refusal{http.StatusUnauthorized, "the signature does not match"}
	case err != nil:
		return &refusal{http.StatusBadRequest, err.Error()}
	case report.Voice != nil:
		return e.voice(w, r, *report.Voice, a)
	case report.Call == nil:
		return e.dropped(w, report.Type)
	}
	market, domain := e.Catalog.OfAgent(report.Call.AgentID)
	ended, err := event.NewEnded(market, domain, *report.Call, body, e.Now())
	if err != nil {
		return e.internal(err, a)
	}
	return e.keep(w, r, a, ended)
}

// keep publishes what a report says and answers success.
func (e *edge) keep(w http.ResponseWriter, r *http.Request, a *access, events ...event.Event) *refusal {
	for _, ev := range events {
		a.market, a.site, a.lead = ev.Lead.Market, ev.Lead.Site, ev.Lead.Lead
		if refused := e.publish(r.Context(), ev, a); refused != nil {
			return refused
		}
	}
	writeJSON(w, http.StatusOK, map[string]string{"kept": a.lead})
	return nil
}

// recording reports whether a body, of which the end may be missing, is a report
// with a recording. Quotes within a text are escaped.
func recording(body []byte) bool {
	has := func(name string) bool { return bytes.Contains(body, []byte(`"`+name+`"`)) }
	return !has("post_call_transcription") && (has("post_call_audio") || has("full_audio"))
}

// voice tells every market whose agents speak with a voice that it goes; the
// first market, when none does.
func (e *edge) voice(w http.ResponseWriter, r *http.Request, v call.Voice, a *access) *refusal {
	markets := map[string]bool{}
	for _, s := range e.Catalog.Sites {
		if s.Agent.Voice == v.ID {
			markets[s.Market] = true
		}
	}
	if len(markets) == 0 {
		markets[e.Catalog.FirstMarket()] = true
	}
	var goes []event.Event
	for _, market := range slices.Sorted(maps.Keys(markets)) {
		ev, err := event.NewVoice(market, site.Unknown, v, e.Now())
		if err != nil {
			return e.internal(err, a)
		}
		goes = append(goes, ev)
	}
	return e.keep(w, r, a, goes...)
}

// dropped takes a report of which nothing is kept.
func (e *edge) dropped(w http.ResponseWriter, name string) *refusal {
	e.Log.Info().Str("type", name[:min(len(name), 60)]).Msg("nothing of a report is kept")
	writeJSON(w, http.StatusOK, map[string]string{"kept": "nothing"})
	return nil
}
