package test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"leadbus/internal/engine/store"
	"leadbus/internal/lead"
	"leadbus/internal/local/await"
)

// sandboxDo posts to the sandbox's own API.
func (s *system) sandboxDo(tb testing.TB, path string, body any) {
	tb.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		tb.Fatal(err)
	}
	res, err := http.Post(s.SandboxURL+path, "application/json", bytes.NewReader(data))
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var answer struct{ Status int }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != http.StatusCreated {
		tb.Fatal(res.Status, err, answer)
	}
}

// mailed waits for a mail to the owner that holds all of some words.
func (s *system) mailed(tb testing.TB, words ...string) {
	tb.Helper()
	await.True(tb, "a mail with "+strings.Join(words, ", "), func() bool {
		for _, m := range s.sandboxMessages(tb) {
			has := m.Channel == lead.Email && m.To == "owner@leadbus.example"
			for _, w := range words {
				has = has && strings.Contains(m.Text, w)
			}
			if has {
				return true
			}
		}
		return false
	})
}

// The agent's platform is away, and the caller leaves a message: the owner gets it,
// and no provider does.
func TestACallWhileTheAgentIsAway(t *testing.T) {
	s := start(t, settings(t))
	s.sandboxDo(t, "/api/rings", map[string]any{"from": "+41781240077", "to": "+41225394512", "sid": "CAaway", "down": true, "says": "a leak"})
	l := s.row(t, "ch", lead.NewID(site1, "call\x00CAaway"), func(l store.Lead) bool { return l.Status == string(lead.NeedsReview) })
	if l.Person.Phone != "+41781240077" || len(l.Offers) > 0 {
		t.Errorf("%+v", l)
	}
	s.mailed(t, "+41781240077", "Voicemail: https://api.twilio.com/")

	out, stderr, err := s.leadbus(t, "call", "--scenario", "agent-down", "--site", site1)
	if err != nil || !strings.Contains(out, "review-requested") || !strings.Contains(out, "voicemail") {
		t.Errorf("%v %s %s", err, out, stderr)
	}
}

// A provider stops WhatsApp on the handset: the next request comes by the other
// channels. What else they write is the owner's to read.
func TestAHandsetAnswers(t *testing.T) {
	s := start(t, settings(t))
	first := s.row(t, "ch", s.accept(t, site1, call(nil)), told)
	var handset, number string
	for _, m := range s.sandboxMessages(t) {
		if m.Channel == lead.WhatsApp {
			handset, number = m.To, m.From
		}
	}
	if handset == "" {
		t.Fatalf("no WhatsApp message of %+v", first.Messages)
	}
	s.sandboxDo(t, "/api/texts", map[string]any{"channel": "whatsapp", "from": handset, "to": number, "text": "J'arrive à 18 h"})
	s.mailed(t, handset, "J'arrive à 18 h")
	s.sandboxDo(t, "/api/texts", map[string]any{"channel": "whatsapp", "from": handset, "to": number, "text": "Stop"})
	s.mailed(t, handset, "opted out")
	before := 0
	for _, m := range s.sandboxMessages(t) {
		if m.Channel == lead.WhatsApp && m.To == handset && m.Status != "received" {
			before++
		}
	}
	for range 3 {
		s.row(t, "ch", s.accept(t, site1, call(nil)), told)
	}
	after := 0
	for _, m := range s.sandboxMessages(t) {
		if m.Channel == lead.WhatsApp && m.To == handset && m.Status != "received" {
			after++
		}
	}
	if after != before {
		t.Errorf("%d messages to who opted out", after-before)
	}
}
