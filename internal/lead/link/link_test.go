package link

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	now  = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	some = Link{Market: "ch", Site: "plombiersgeneve.ch", ID: "7k2mq9xe8tr5wz3hnd6y", Asks: Recover, Until: now.Add(Life)}
)

func TestALinkIsReadAsItWasMade(t *testing.T) {
	s := New("a secret")
	token := s.Token(some)
	got, err := s.Read(token, now)
	if d := cmp.Diff(some, got); err != nil || d != "" {
		t.Fatalf("%v %s", err, d)
	}
	if url.PathEscape(token) != token || strings.ContainsAny(token, "=/.") {
		t.Errorf("%q does not fit a URL", token)
	}
	if again := New("a secret").Token(some); again != token {
		t.Error("the same link has two tokens")
	}
	if len(token) > 100 {
		t.Errorf("%d characters do not fit a text message", len(token))
	}
}

func TestALinkAboutAnOfferCarriesIt(t *testing.T) {
	s := New("a secret")
	offer := some
	offer.Asks, offer.Offer = Offer, "k7q2mx9e8tr5wz3hnd6y"
	got, err := s.Read(s.Token(offer), now)
	if d := cmp.Diff(offer, got); err != nil || d != "" {
		t.Fatalf("%v %s", err, d)
	}
	if len(s.Token(offer)) > 140 {
		t.Errorf("%d characters do not fit a text message", len(s.Token(offer)))
	}
	// A link without an offer has the token that earlier versions gave it.
	const before = "Ctozinm-Rc_KXuhV1MIWTnJlY292ZXIvY2gvcGxvbWJpZXJzZ2VuZXZlLmNoLzdrMm1xOXhlOHRyNXd6M2huZDZ5L3RwbzB3MA"
	if token := s.Token(some); token != before {
		t.Errorf("%q", token)
	}
}

func TestRefused(t *testing.T) {
	s := New("a secret")
	token := s.Token(some)
	for name, c := range map[string]struct {
		token string
		at    time.Time
		want  error
	}{
		"on the last second":   {token, some.Until, nil},
		"a second later":       {token, some.Until.Add(time.Second), ErrExpired},
		"another secret's":     {New("another").Token(some), now, ErrForged},
		"no secret's":          {New("").Token(some), now, ErrForged},
		"empty":                {"", now, ErrForged},
		"cut":                  {token[:len(token)-3], now, ErrForged},
		"longer":               {token + "AAAA", now, ErrForged},
		"not base64":           {"!" + token[1:], now, ErrForged},
		"a line break in it":   {token[:9] + "\n" + token[9:], now, ErrForged},
		"fields that slip":     {s.Token(Link{Asks: "a/b", Market: "ch", Until: some.Until}), now, ErrForged},
		"forged and long past": {New("another").Token(some), some.Until.Add(time.Hour), ErrForged},
	} {
		if _, err := s.Read(c.token, c.at); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// No character can be another.
	for i := range token {
		other := byte('A')
		if token[i] == 'A' {
			other = 'B'
		}
		if _, err := s.Read(token[:i]+string(other)+token[i+1:], now); !errors.Is(err, ErrForged) {
			t.Fatalf("character %d changed: %v", i, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	s := New("a secret")
	f.Add(s.Token(some))
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		if l, err := s.Read(token, now); err == nil && s.Token(l) != token {
			t.Errorf("%q reads as a link of another token", token)
		}
	})
}
