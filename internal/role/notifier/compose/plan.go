package compose

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// plan writes every message that an outcome of the matcher calls for. A text that
// says nothing new to its number is given up before it is sent.
func (c *Composer) plan(e event.Event, decided event.Decided, about *Standing) ([]lead.Message, error) {
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
	if about != nil && decided.Turn != "" && decided.Turn != about.Before.Turn {
		return nil, nil // another decision came first
	}
	hash := sha256.Sum256([]byte(e.ID))
	suffix := "-" + hex.EncodeToString(hash[:4])
	before := about.decided()
	offered := decided.Mode != "" && decided.Mode != lead.Notify
	switch e.Lead.Event {
	case subjects.Matched, subjects.Reassigned:
		w.toProvider(lead.PurposeOffer, lead.PurposeOffer)
		w.toRivals(decided.Rivals, lead.PurposeOffer, lead.PurposeOffer)
		switch {
		case offered && (before == nil || before.Mode == ""):
			w.toCustomer(lead.PurposeSearching, "customer_searching_sms")
		case !offered && e.Lead.Event == subjects.Reassigned && (about == nil || len(about.Before.Offers) > 0):
			w.toCustomer(lead.PurposeCorrection, "customer_sms")
		case !offered:
			w.toCustomer(lead.PurposeConfirmation, "customer_sms")
		}
		if about != nil && (decided.Ended == lead.OfferExpired || decided.Ended == lead.OfferWithdrawn) {
			w.withdrawn(about.Before)
		}
		w.toOwner(lead.PurposeCopy, func(t *texts) (title, intro text) { return t.of("copy_title"), t.of("copy_intro") })
	case subjects.Amended:
		if about != nil && about.After.Match() == nil {
			return nil, nil // the next provider hears it
		}
		if decided.Lead.Request.Refused() { // the owner decides
			w.toOwner(lead.PurposeCopy+suffix, func(t *texts) (title, intro text) { return t.Flags["no_consent"], t.of("withdrawn_intro") })
			return w.done()
		}
		accepted := about != nil && about.Before.Lead.Status == string(lead.Accepted)
		if about != nil && !accepted {
			w.of.Mode = about.Before.Mode
		}
		w.toProvider(lead.PurposeUpdate, lead.PurposeUpdate+suffix)
		if about != nil {
			rivals := about.After.Match().Body.(*event.Decided).Rivals
			w.toRivals(slices.DeleteFunc(slices.Clone(rivals), func(r event.Rival) bool { return !about.After.Has(r.Offer) }), lead.PurposeUpdate, lead.PurposeUpdate+suffix)
		}
		if (w.of.Mode == "" || w.of.Mode == lead.Notify || accepted) && before != nil && (before.Lead.Request.Refused() || before.Lead.Phone.E164 != decided.Lead.Phone.E164) {
			w.toCustomer(lead.PurposeConfirmation+suffix, "customer_sms")
		}
		w.toOwner(lead.PurposeCopy+suffix, func(t *texts) (title, intro text) { return t.of("update_copy_title"), t.of("update_copy_intro") })
	case subjects.Postponed:
		w.toCustomer(lead.PurposePostponed, "customer_postponed_sms")
	case subjects.Unserved:
		w.toCustomer(lead.PurposeUnserved, "customer_unserved_sms")
		if decided.Unreachable() { // its alarm is about all such leads
			w.toOwner(lead.PurposeCopy+suffix, func(t *texts) (title, intro text) { says := t.Causes[alarm.Unserved]; return says.Title, says.Next })
		}
		if about != nil && decided.Ended == lead.OfferExpired {
			w.withdrawn(about.Before)
		}
	case subjects.Overdue:
		w.toCustomer(lead.PurposeDelayed, "customer_delayed_sms")
		_, class := w.site.DispatchOf(decided.Lead)
		if until, quiet := c.catalog.MarketOf(w.site).Quiet(e.At); quiet && !class.Always { // nobody asked for it
			for i := range w.messages {
				w.messages[i].NotBefore, w.messages[i].Until = until, until.Add(time.Hour)
			}
		}
	}
	return w.done()
}

// replied writes what an answer of a provider calls for. One that came too late, or
// says nothing new, only tells the provider so.
func (c *Composer) replied(e event.Event, b event.Replied, about *Standing) ([]lead.Message, error) {
	before, after := about.Before, about.After
	match := after.Match()
	if b.Answer != event.Accept || match == nil {
		return nil, nil
	}
	w, err := c.writer(e.Lead, *match.Body.(*event.Decided))
	if err != nil || after.Decided().Lead.Test() {
		return nil, err
	}
	w.decision = e
	w.of.Lead, w.of.Trace = after.Decided().Lead, nil
	if after.Turn != e.ID {
		if after.Lead.Offer != b.Offer {
			w.withdraw(after, b.Offer)
		}
		return w.done()
	}
	if before.Mode == lead.Exclusive || before.Mode == lead.Broadcast {
		w.of.Mode = ""
		w.toProvider(lead.PurposeOffer, lead.PurposeAccepted)
		w.toCustomer(lead.PurposeConfirmation, "customer_sms")
		for _, o := range before.Offers {
			if o.ID != b.Offer && before.Open(o.ID) {
				w.withdraw(before, o.ID)
			}
		}
	}
	w.toOwner(lead.PurposeCopyOfText+lead.PurposeAccepted, func(t *texts) (title, intro text) { return t.of("accepted_title"), t.of("accepted_intro") })
	return w.done()
}

// ordered tells the provider that a lead is closed. When it goes to another one, that
// decision says so.
func (c *Composer) ordered(e event.Event, b event.Ordered, about *Standing) ([]lead.Message, error) {
	if closed := lead.Status(about.After.Lead.Status).Closed(); !closed || about.After.Turn != e.ID || b.Order == event.Won || about.Before.Match() == nil {
		return nil, nil
	}
	w, err := c.writer(e.Lead, *about.Before.Decided())
	if err != nil {
		return nil, err
	}
	w.decision = e
	w.of.Offer, w.of.Provider = "", nil // nobody has it
	w.withdrawn(about.Before)
	return w.done()
}

// toRivals writes to the others who are offered the lead at the same time.
func (w *writer) toRivals(rivals []event.Rival, kind, purpose string) {
	own := w.of
	defer func() { w.of = own }()
	for _, rival := range rivals {
		w.of.Offer, w.of.Provider = rival.Offer, &rival.Provider
		w.toProvider(kind, purpose)
	}
}

// withdrawn tells the providers of the offers that stood in a record, or that the owner
// withdrew, that the lead is not theirs any more.
func (w *writer) withdrawn(before story.Record) {
	for _, o := range before.Offers {
		if before.Has(o.ID) || o.State == string(lead.OfferWithdrawn) { // one that heard it hears nothing again
			w.withdraw(before, o.ID)
		}
	}
}

func (w *writer) withdraw(r story.Record, offer string) {
	own := w.of
	defer func() { w.of = own }()
	for _, match := range r.Matches {
		b := match.Body.(*event.Decided)
		for _, had := range append([]event.Rival{{Offer: b.Offer, Provider: *cmp.Or(b.Provider, new(roster.Provider))}}, b.Rivals...) {
			if had.Offer == offer && own.Offer != offer {
				w.of.Offer, w.of.Provider = offer, &had.Provider
				w.toProvider(lead.PurposeWithdrawn, lead.PurposeWithdrawn)
				return
			}
		}
	}
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
