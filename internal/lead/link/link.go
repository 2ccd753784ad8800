// Package link makes and reads the links by which people answer: tokens that
// only we can have made, with ids and nothing personal in them.
package link

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
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
	Offer   = "offer"   // an offer of a lead: a provider's answers
	Lead    = "lead"    // a lead: the owner's orders
	Verify  = "verify"  // a provider's address, which is the link's Offer (roster.AddressKey)
	Optout  = "stop"    // texts to one person, who is the link's ID (Signer.Person)
)

// Life is how long a link can be used; OptoutLife is that of an opt-out.
const (
	Life       = 14 * 24 * time.Hour
	OptoutLife = 2 * 365 * 24 * time.Hour
)

// Path is where the edge answers links; the token follows.
const Path = "/v1/links/"

// Why a token is refused.
var (
	ErrForged  = errors.New("the link was not made here, or is not whole")
	ErrExpired = errors.New("the link has expired")
)

// Link is a question to a person.
type Link struct {
	Market string
	Site   string // domain
	ID     string // of the lead or the alarm
	Asks   string
	Offer  string    // id, of a question to a provider
	Until  time.Time // to the second
}

// Signer makes and reads tokens with one secret. It is safe for concurrent use.
type Signer struct{ key, persons []byte }

// New takes the secret, which whoever makes links and whoever reads them share.
func New(secret string) *Signer {
	key, persons := sha256.Sum256([]byte("link\x00"+secret)), sha256.Sum256([]byte("person\x00"+secret))
	return &Signer{key[:], persons[:]}
}

// Person stands for somebody on a channel: who knows an address can find out
// whether it is of that person, and only with the secret. It is 80 bits, fit for a
// token of a subject and a key of a bucket.
func (s *Signer) Person(channel, address string) string {
	h := hmac.New(sha256.New, s.persons)
	h.Write([]byte(channel + "\x00" + address))
	return strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil)[:10]))
}

// macSize is 128 bits, so that a link still fits into a text message.
const macSize = 16

var encoding = base64.RawURLEncoding

// Token is the link's token, fit for a URL. The same link has the same one.
func (s *Signer) Token(l Link) string {
	said := strings.Join([]string{l.Asks, l.Market, l.Site, l.ID, strconv.FormatInt(l.Until.Unix(), 36)}, "/")
	if l.Offer != "" {
		said += "/" + l.Offer
	}
	return encoding.EncodeToString(append(s.mac(said), said...))
}

// Read is the link of a token that this secret made, unless it has expired.
func (s *Signer) Read(token string, now time.Time) (Link, error) {
	raw, err := encoding.DecodeString(token)
	if err != nil || encoding.EncodeToString(raw) != token || len(raw) < macSize || !hmac.Equal(raw[:macSize], s.mac(string(raw[macSize:]))) {
		return Link{}, ErrForged
	}
	said := strings.Split(string(raw[macSize:]), "/")
	if len(said) < 5 || len(said) > 6 || said[len(said)-1] == "" {
		return Link{}, ErrForged
	}
	until, err := strconv.ParseInt(said[4], 36, 64)
	if err != nil {
		return Link{}, ErrForged
	}
	l := Link{Asks: said[0], Market: said[1], Site: said[2], ID: said[3], Offer: strings.Join(said[5:], ""), Until: time.Unix(until, 0).UTC()}
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
