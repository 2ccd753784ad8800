// Package elevenlabs reads what the voice vendor says about finished calls:
// its signed webhooks, and its API for the conversations whose webhook was
// lost.
//
// The vendor repeats a post-call webhook only after a 5xx, 408 or 429, at most
// four times within about forty minutes, and only an answer of 200 counts. An
// authentic payload is therefore never refused for a field of a wrong type:
// what cannot be read is left out.
package elevenlabs

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"leadbus/internal/call"
	"leadbus/internal/event"
)

// Types of hooks that we know; others come too.
const (
	PostCall       = "post_call_transcription"
	NeverConnected = "call_initiation_failure"
)

// SignatureHeader is the header that Verify reads.
const SignatureHeader = "ElevenLabs-Signature"

// Hook is one webhook, authentic when Verify says so.
type Hook struct {
	Type           string
	At             time.Time // zero when the vendor did not say
	AgentID        string
	ConversationID string
	Call           *call.Call // of PostCall and NeverConnected
	Voice          *call.Voice
}

// Types of hooks whose names stay here.
const (
	audio     = "post_call_audio"      // carries a recording
	voiceGoes = "voice_removal_notice" // a voice is to be removed
	voiceGone = "voice_removed"
)

// Reported is what the hook tells us. A conversation that is still on its way, or
// whose analysis is, is no finished call: its report comes later, or it is
// fetched.
func (h Hook) Reported() call.Report {
	r := call.Report{Type: h.Type, Voice: h.Voice}
	if c := h.Call; c != nil && (c.Status == "" || call.Over(c.Status)) {
		r.Call = c
	}
	return r
}

// Verify checks a webhook's signature, "t=<unix seconds>,v0=<hex>", over the
// body as it came; of several v0 one must match. A time further than tolerance
// from now, on either side, is refused: the vendor's last retry may come forty
// minutes after the first try, perhaps with its time. The error is an
// event.ErrUnauthenticated.
func Verify(secret, header string, body []byte, now time.Time, tolerance time.Duration) error {
	stamp, signatures := "", []string{}
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimSpace(part)
		if v, ok := strings.CutPrefix(part, "t="); ok {
			stamp = v
		} else if v, ok := strings.CutPrefix(part, "v0="); ok {
			signatures = append(signatures, v)
		}
	}
	seconds, err := strconv.ParseUint(stamp, 10, 40)
	if err != nil || secret == "" {
		return refused("no time in the signature, or no secret set")
	}
	h := hmac.New(sha256.New, []byte(secret))
	_, _ = io.WriteString(h, stamp+".")
	_, _ = h.Write(body)
	want, authentic := h.Sum(nil), false
	for _, s := range signatures {
		got, err := hex.DecodeString(s)
		authentic = authentic || err == nil && hmac.Equal(got, want)
	}
	if !authentic {
		return refused("no signature matches")
	}
	if age := now.Sub(time.Unix(int64(seconds), 0)); age.Abs() > tolerance {
		return refused("the signature's time is too far from ours")
	}
	return nil
}

func refused(why string) error {
	return fmt.Errorf("elevenlabs webhook: %s: %w", why, event.ErrUnauthenticated)
}
