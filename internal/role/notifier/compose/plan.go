package compose

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/subjects"
)

// plan writes every message that an outcome of the matcher calls for; before is
// the decision that an amendment follows. A text that says nothing new to its
// number is given up before it is sent.
func (c *Composer) plan(e event.Event, decided event.Decided, before *event.Decided) ([]lead.Message, error) {
	w, err := c.writer(e.Lead, decided)
	if err != nil {
		return nil, err
	}
	w.decision = e
	if decided.Lead.Test() {
		// One mail to the canary, as any provider gets it. The canary
		// misses the receipt; the owner is not told here.
		if e.Lead.Event == subjects.Matched {
			w.toProvider(lead.PurposeOffer, lead.PurposeOffer)
		}
		return w.done()
	}
	hash := sha256.Sum256([]byte(e.ID))
	suffix := "-" + hex.EncodeToString(hash[:4])
	switch e.Lead.Event {
	case subjects.Matched, subjects.Reassigned:
		w.toProvider(lead.PurposeOffer, lead.PurposeOffer)
		w.toCustomer(map[string]string{subjects.Matched: lead.PurposeConfirmation, subjects.Reassigned: lead.PurposeCorrection}[e.Lead.Event])
		w.toOwner(lead.PurposeCopy, func(t *texts) (title, intro text) { return t.of("copy_title"), t.of("copy_intro") })
	case subjects.Amended:
		if decided.Lead.Request.Refused() { // the owner decides
			w.toOwner(lead.PurposeCopy+suffix, func(t *texts) (title, intro text) { return t.Flags["no_consent"], t.of("withdrawn_intro") })
			return w.done()
		}
		w.toProvider(lead.PurposeUpdate, lead.PurposeUpdate+suffix)
		if before != nil && (before.Lead.Request.Refused() || before.Lead.Phone.E164 != decided.Lead.Phone.E164) {
			w.toCustomer(lead.PurposeConfirmation + suffix)
		}
		w.toOwner(lead.PurposeCopy+suffix, func(t *texts) (title, intro text) { return t.of("update_copy_title"), t.of("update_copy_intro") })
	}
	return w.done()
}

// writer prepares the messages about a lead of a site.
func (c *Composer) writer(l subjects.Lead, decided event.Decided) (*writer, error) {
	s := c.catalog.Sites[l.Site]
	if s == nil {
		return nil, fmt.Errorf("plan messages: site %s is not configured, or its file is broken", l.Site)
	}
	decided.Lead.ID, decided.Lead.Market, decided.Lead.Site = cmp.Or(decided.Lead.ID, l.Lead), l.Market, l.Site
	return &writer{Composer: c, to: l.Lead, site: s, texts: c.bySite[l.Site], of: decided}, nil
}
