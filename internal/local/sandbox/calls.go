package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	lost        = "lost" // a call's fate: its hook is never sent
	maxPlayed   = 1 << 20
	hookTimeout = 10 * time.Second
)

// postCallRetries are the pauses between ElevenLabs' tries of a post-call
// webhook, with up to a tenth more; in life they are a hundred times as long
// (ElevenLabs documentation, "Webhooks").
var postCallRetries = []time.Duration{300 * time.Millisecond, 1200 * time.Millisecond, 4800 * time.Millisecond, 18 * time.Second}

// played is a finished call, as ElevenLabs and Twilio keep it.
type played struct {
	AgentID      string          `json:"agent_id"`
	SID          string          `json:"sid,omitempty"` // Twilio's; empty when it did not come over Twilio
	Direction    string          `json:"direction,omitempty"`
	Start        int64           `json:"start"` // unix seconds
	Seconds      int             `json:"seconds"`
	Conversation json.RawMessage `json:"conversation"`
}

// Started is when the call began.
func (p *played) Started() time.Time { return time.Unix(p.Start, 0).UTC() }

// Ended is when the call was over.
func (p *played) Ended() time.Time { return p.Started().Add(time.Duration(p.Seconds) * time.Second) }

// conversation is what we look at of a conversation.
type conversation struct {
	AgentID string `json:"agent_id"`
	ID      string `json:"conversation_id"`
	Status  string `json:"status"`
	Webhook *bool  `json:"webhook"` // of POST /api/calls only

	Metadata struct {
		Start     int64  `json:"start_time_unix_secs"`
		Seconds   int    `json:"call_duration_secs"`
		Ended     string `json:"termination_reason"`
		PhoneCall struct {
			Type      string `json:"type"`
			Direction string `json:"direction"`
			Agent     string `json:"agent_number"`
			External  string `json:"external_number"`
			SID       string `json:"call_sid"`
		} `json:"phone_call"`
	} `json:"metadata"`
	Analysis struct {
		Successful string `json:"call_successful"`
		Summary    string `json:"transcript_summary"`
	} `json:"analysis"`
	Transcript []struct {
		Tools []struct {
			Name string `json:"tool_name"`
		} `json:"tool_calls"`
	} `json:"transcript"`
}

// play is POST /api/calls: a conversation as ElevenLabs would show it has just
// ended. A field that is left out gets a likely value; "webhook": false loses its hook.
func (s *Sandbox) play(w http.ResponseWriter, r *http.Request) {
	no := func(status int, why string) { writeJSON(w, status, map[string]string{"error": why}) }
	var all map[string]any
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPlayed))
	d.UseNumber()
	if err := d.Decode(&all); err != nil || all == nil {
		no(http.StatusBadRequest, "the body is not a JSON object")
		return
	}
	var c conversation
	body, err := complete(all, &c, time.Now().UTC())
	switch {
	case err != nil:
		no(http.StatusBadRequest, "not a conversation as ElevenLabs writes it: "+err.Error())
		return
	case c.AgentID == "":
		no(http.StatusBadRequest, "agent_id is missing")
		return
	}
	if _, known := s.store.get(c.ID); known {
		no(http.StatusConflict, "this conversation was played already")
		return
	}
	phone := c.Metadata.PhoneCall
	m := message{
		ID: c.ID, Vendor: "elevenlabs", Channel: "call", From: phone.External, To: phone.Agent, Text: c.Analysis.Summary,
		Status: "done", CreatedAt: time.Now().UTC(),
		Call: &played{AgentID: c.AgentID, Direction: phone.Direction, Start: c.Metadata.Start, Seconds: c.Metadata.Seconds, Conversation: body},
	}
	if phone.Direction == "outbound" {
		m.From, m.To = m.To, m.From
	}
	if phone.Type == "twilio" {
		m.Call.SID = phone.SID
	}
	if s.o.EdgeURL == "" || c.Webhook != nil && !*c.Webhook {
		m.Fate, m.Told = lost, m.Status
	}
	s.take(m) //nolint:contextcheck // a call outlives the request that played it
	writeJSON(w, http.StatusCreated, map[string]string{"conversation_id": m.ID, "call_sid": m.Call.SID})
}

// complete reads a conversation and writes it with the fields that it left out.
func complete(all map[string]any, c *conversation, now time.Time) (json.RawMessage, error) {
	if _, err := readBack(all, c); err != nil {
		return nil, err
	}
	delete(all, "webhook")
	put := func(o map[string]any, key string, v any) {
		if o[key] == nil || o[key] == "" {
			o[key] = v
		}
	}
	put(all, "metadata", map[string]any{})
	meta, _ := all["metadata"].(map[string]any) // as c could read it
	put(meta, "start_time_unix_secs", now.Unix()-int64(c.Metadata.Seconds))
	put(meta, "call_duration_secs", 0)
	put(all, "conversation_id", "conv_"+newToken()[:28])
	put(all, "status", "done")
	put(all, "transcript", []string{})
	for _, k := range []string{"has_audio", "has_user_audio", "has_response_audio", "has_auxiliary_audio"} {
		put(all, k, false)
	}
	return readBack(all, c)
}

// readBack writes a conversation as JSON and reads what we look at of it.
func readBack(all map[string]any, c *conversation) (json.RawMessage, error) {
	body, err := json.Marshal(all)
	if err == nil {
		err = json.Unmarshal(body, c)
	}
	return body, err
}

// hook is what became of a call's webhook; empty for messages.
func (m message) hook() string {
	switch {
	case m.Call == nil:
		return ""
	case m.Fate == lost:
		return lost
	case m.Told != m.Status:
		return "pending"
	case m.ErrorCode != "":
		return "given up"
	default:
		return "taken"
	}
}

// postCall sends a call's webhook. Only 200 counts, and only what may pass is
// tried again.
func (s *Sandbox) postCall(m message) bool {
	body, err := json.Marshal(map[string]any{
		"type": "post_call_transcription", "event_timestamp": m.CreatedAt.Unix(), "data": m.Call.Conversation,
	})
	if err != nil {
		s.dropped(m)
		return true
	}
	for try := 0; ; try++ {
		header := http.Header{"ElevenLabs-Signature": {elevenLabsSignature(s.o.ElevenLabsWebhookSecret, body, time.Now())}}
		status, err := s.post(strings.TrimSuffix(s.o.EdgeURL, "/")+"/v1/elevenlabs/post-call", "application/json", body, header, hookTimeout)
		if s.ctx.Err() != nil {
			return false
		}
		why, last := "status "+strconv.Itoa(status), try == len(postCallRetries)
		switch {
		case err != nil:
			why = "no answer"
		case status == http.StatusOK:
			s.store.update(m.ID, func(kept *message) { kept.Error = "" })
			return true
		case status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout:
			last = true
		}
		s.store.update(m.ID, func(kept *message) {
			kept.Error = why
			if last {
				kept.ErrorCode = "hook"
			}
		})
		if last {
			s.dropped(m)
			return true
		}
		if d := postCallRetries[try]; !pause(s.ctx, d+rand.N(d/10)) {
			return false
		}
	}
}

func elevenLabsSignature(secret string, body []byte, at time.Time) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	h := hmac.New(sha256.New, []byte(secret))
	_, _ = h.Write(append([]byte(stamp+"."), body...))
	return "t=" + stamp + ",v0=" + hex.EncodeToString(h.Sum(nil))
}

// apiCalls lists every remembered call and its hook, newest last.
func (s *Sandbox) apiCalls(w http.ResponseWriter, _ *http.Request) {
	all := s.store.newest(s.store.keep, func(m *message) bool { return m.Call != nil })
	slices.Reverse(all)
	writeJSON(w, http.StatusOK, each(all, func(m message) any {
		return map[string]any{
			"conversation_id": m.ID, "agent_id": m.Call.AgentID, "call_sid": m.Call.SID, "from": m.From, "to": m.To,
			"started_at": m.Call.Started(), "seconds": m.Call.Seconds, "hook": m.hook(), "error": m.Error,
		}
	}))
}

// listCalls is GET …/Calls.json: the calls that came over Twilio.
func (s *Sandbox) listCalls(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	since, hasSince := twilioTime(q.Get("StartTime>"))
	until, hasUntil := twilioTime(q.Get("StartTime<"))
	s.twilioList(w, r, "calls", func(m *message) bool {
		return m.Call != nil && m.Call.SID != "" &&
			(q.Get("To") == "" || q.Get("To") == m.To) && (q.Get("From") == "" || q.Get("From") == m.From) &&
			(q.Get("Status") == "" || q.Get("Status") == "completed") &&
			(!hasSince || m.Call.Start >= since.Unix()) && (!hasUntil || m.Call.Start <= until.Unix())
	})
}

// twilioTime reads a filter's two forms, a moment and a day.
func twilioTime(v string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, v); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
