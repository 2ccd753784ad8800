// Package compose renders the messages that an event of one market calls for:
// to provider, customer and owner, by SMS, WhatsApp and e-mail, in their
// language. It is pure: the same event and configuration give the same messages
// under the same ids.
package compose

import (
	"errors"
	"fmt"
	"strings"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
	"leadbus/internal/site"
	"leadbus/internal/story"
)

// Composer renders one market's messages. It is safe for concurrent use.
type Composer struct {
	catalog *site.Catalog
	links   *link.Signer
	public  string                       // URL of the edge
	bySite  map[string]map[string]*texts // by domain and language
}

// New reads and checks all texts of the market's sites; its error names site,
// language and text of every broken override. Without a signer, or a public
// URL where its links lead, the mails have no links.
func New(catalog *site.Catalog, market string, links *link.Signer, publicURL string) (*Composer, error) {
	c := &Composer{catalog: catalog, links: links, public: strings.TrimRight(publicURL, "/"), bySite: map[string]map[string]*texts{}}
	var faults []error
	for domain, s := range catalog.Sites {
		if s.Market != market {
			continue
		}
		var err error
		c.bySite[domain], err = override(shippedTexts(), s)
		faults = append(faults, err)
	}
	return c, errors.Join(faults...)
}

// Standing is where a lead stood before an event and where it stands after.
type Standing struct{ Before, After story.Record }

// decided is what was decided before the event; nil for nothing.
func (s *Standing) decided() *event.Decided {
	if s == nil {
		return nil
	}
	return s.Before.Decided()
}

// Compose renders what an event calls for, in the order in which it should go
// out. About is where the lead stood before it, of an alarm the lead that it is
// about; nil of what is about no lead, and of a first match.
// The error is permanent for a kind that calls for nothing.
func (c *Composer) Compose(e event.Event, about *Standing) ([]lead.Message, error) {
	switch b := e.Body.(type) {
	case *event.Decided:
		return c.plan(e, *b, about)
	case *event.Replied:
		return c.replied(e, *b, about)
	case *event.Ordered:
		return c.ordered(e, *b, about)
	case *event.Verifying:
		return c.verify(e, b.Provider)
	case *event.Scanned:
		return c.scanned(e, *b)
	case *event.Raised:
		return c.raised(e, b.Alarm, about.decided())
	case *event.Digested:
		return c.digested(e, b.Digest)
	}
	return nil, event.Permanent(fmt.Errorf("the notifier does not handle %s", e.Lead.Event))
}
