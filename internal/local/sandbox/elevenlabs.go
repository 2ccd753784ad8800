package sandbox

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// elevenLabsKnows checks ElevenLabs' API key.
func (s *Sandbox) elevenLabsKnows(w http.ResponseWriter, r *http.Request) bool {
	if !equal(r.Header.Get("xi-api-key"), s.o.ElevenLabsKey) {
		elevenLabsRefuses(w, http.StatusUnauthorized, "invalid_api_key", "Invalid API key")
		return false
	}
	return true
}

func elevenLabsRefuses(w http.ResponseWriter, status int, code, text string) {
	writeJSON(w, status, map[string]any{"detail": map[string]string{"status": code, "message": text}})
}

// invalid is ElevenLabs' answer to a parameter it cannot read.
func invalid(w http.ResponseWriter, parameter string) {
	writeJSON(w, http.StatusUnprocessableEntity, map[string]any{"detail": []map[string]any{
		{"loc": []string{"query", parameter}, "msg": "Input is not valid", "type": "value_error"},
	}})
}

// listConversations is GET /v1/convai/conversations, newest first. The cursor
// is the last conversation of the page before.
func (s *Sandbox) listConversations(w http.ResponseWriter, r *http.Request) {
	q, numbers := r.URL.Query(), map[string]int64{"page_size": 30}
	for _, k := range []string{"page_size", "call_start_after_unix", "call_start_before_unix"} {
		if !q.Has(k) {
			continue
		}
		n, err := strconv.ParseInt(q.Get(k), 10, 64)
		if err != nil || k == "page_size" && (n < 1 || n > 100) {
			invalid(w, k)
			return
		}
		numbers[k] = n
	}
	after, hasAfter := numbers["call_start_after_unix"]
	before, hasBefore := numbers["call_start_before_unix"]
	found := s.store.newest(s.store.keep, func(m *message) bool {
		return m.Call != nil && (q.Get("agent_id") == "" || q.Get("agent_id") == m.Call.AgentID) &&
			(!hasAfter || m.Call.Start >= after) && (!hasBefore || m.Call.Start <= before)
	})
	if cursor := q.Get("cursor"); cursor != "" {
		last := slices.IndexFunc(found, func(m message) bool { return m.ID == cursor })
		if last < 0 {
			invalid(w, "cursor")
			return
		}
		found = found[last+1:]
	}
	answer := map[string]any{"has_more": false, "next_cursor": nil}
	if size := int(numbers["page_size"]); len(found) > size {
		found = found[:size]
		answer["has_more"], answer["next_cursor"] = true, found[size-1].ID
	}
	answer["conversations"] = each(found, row)
	writeJSON(w, http.StatusOK, answer)
}

// row is a conversation in the list.
func row(m message) map[string]any {
	var c conversation
	_ = json.Unmarshal(m.Call.Conversation, &c) // it was read when it was played
	tools := []string{}
	for _, turn := range c.Transcript {
		for _, t := range turn.Tools {
			if !slices.Contains(tools, t.Name) {
				tools = append(tools, t.Name)
			}
		}
	}
	return map[string]any{
		"conversation_id": m.ID, "agent_id": m.Call.AgentID, "start_time_unix_secs": m.Call.Start, "call_duration_secs": m.Call.Seconds,
		"message_count": len(c.Transcript), "status": c.Status, "termination_reason": c.Metadata.Ended,
		"call_successful": cmp.Or(c.Analysis.Successful, "unknown"), "direction": m.Call.Direction, "tool_names": tools,
	}
}

// fetchConversation is GET /v1/convai/conversations/{id}.
func (s *Sandbox) fetchConversation(w http.ResponseWriter, r *http.Request) {
	m, ok := s.store.get(r.PathValue("id"))
	if !ok || m.Call == nil {
		elevenLabsRefuses(w, http.StatusNotFound, "conversation_not_found", "Conversation with id "+r.PathValue("id")+" not found.")
		return
	}
	writeJSON(w, http.StatusOK, m.Call.Conversation)
}

// fetchAgent is GET /v1/convai/agents/{id}.
func (s *Sandbox) fetchAgent(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.o.Agents[r.PathValue("id")]
	if !ok {
		elevenLabsRefuses(w, http.StatusNotFound, "agent_not_found", "Agent with id "+r.PathValue("id")+" not found.")
		return
	}
	answer := map[string]any{"agent_id": r.PathValue("id"), "metadata": map[string]any{"updated_at_unix_secs": time.Now().Unix()}}
	maps.Copy(answer, a)
	writeJSON(w, http.StatusOK, answer)
}

// apiAgent changes an agent until the sandbox stops: objects are merged, all
// else is replaced, as the vendor's PATCH does.
func (s *Sandbox) apiAgent(w http.ResponseWriter, r *http.Request) {
	var by map[string]any
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&by); err != nil {
		http.Error(w, "the body is no JSON object", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.o.Agents[r.PathValue("id")]
	if !ok {
		http.Error(w, "no such agent", http.StatusNotFound)
		return
	}
	merge(a, by)
	w.WriteHeader(http.StatusNoContent)
}

func merge(into, by map[string]any) {
	for k, v := range by {
		inner, ok := v.(map[string]any)
		if there, both := into[k].(map[string]any); ok && both {
			merge(there, inner)
			continue
		}
		into[k] = v
	}
}
