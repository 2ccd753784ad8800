// Package link makes and reads the links by which an owner answers: tokens that
// only we can have made, with ids and nothing personal in them.
package link

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// What a link asks about.
const (
	Recover = "recover" // a lead rebuilt from a call: confirm or drop
	Alarm   = "alarm"   // an alarm: acknowledge
)

// Life is how long a link can be used.
const Life = 14 * 24 * time.Hour

// Path is where the edge answers links; the token follows.
const Path = "/v1/links/"

// Why a token is refused.
var (
	ErrForged  = errors.New("the link was not made here, or is not whole")
	ErrExpired = errors.New("the link has expired")
)

// Link is a question to an owner.
type Link struct {
	Market string
	Site   string // domain
	ID     string // of the lead or the alarm
	Asks   string
	Until  time.Time // to the second
}

// Signer makes and reads tokens with one secret. It is safe for concurrent use.
type Signer struct{ key []byte }

// New takes the secret, which whoever makes links and whoever reads them share.
func New(secret string) *Signer {
	key := sha256.Sum256([]byte("link\x00" + secret))
	return &Signer{key[:]}
}

// macSize is 128 bits, so that a link still fits into a text message.
const macSize = 16

var encoding = base64.RawURLEncoding

// Token is the link's token, fit for a URL. The same link has the same one.
func (s *Signer) Token(l Link) string {
	said := strings.Join([]string{l.Asks, l.Market, l.Site, l.ID, strconv.FormatInt(l.Until.Unix(), 36)}, "/")
	return encoding.EncodeToString(append(s.mac(said), said...))
}

// Read is the link of a token that this secret made, unless it has expired.
func (s *Signer) Read(token string, now time.Time) (Link, error) {
	raw, err := encoding.DecodeString(token)
	if err != nil || encoding.EncodeToString(raw) != token || len(raw) < macSize || !hmac.Equal(raw[:macSize], s.mac(string(raw[macSize:]))) {
		return Link{}, ErrForged
	}
	said := strings.Split(string(raw[macSize:]), "/")
	if len(said) != 5 {
		return Link{}, ErrForged
	}
	until, err := strconv.ParseInt(said[4], 36, 64)
	if err != nil {
		return Link{}, ErrForged
	}
	l := Link{Asks: said[0], Market: said[1], Site: said[2], ID: said[3], Until: time.Unix(until, 0).UTC()}
	if now.After(l.Until) {
		return l, ErrExpired
	}
	return l, nil
}

func (s *Signer) mac(said string) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte(said))
	return h.Sum(nil)[:macSize]
}
