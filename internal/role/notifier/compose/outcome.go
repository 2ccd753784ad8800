package compose

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http/httputil"
	"regexp"
	"strconv"
	"strings"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
)

// Tells reports whether an event may be an outcome that a site's tracker hears of.
func (c *Composer) Tells(e event.Event) bool {
	s := c.catalog.Sites[e.Lead.Site]
	if s == nil || c.catalog.Trackers[s.Tracker] == nil {
		return false
	}
	heard := c.catalog.Trackers[s.Tracker].Events
	switch e.Lead.Event {
	case subjects.Matched, subjects.Reassigned:
		return heard[lead.OutcomeCreated] != ""
	case subjects.ProviderReplied, subjects.OwnerDecided:
		return true
	}
	return false
}

// Outcome is what the tracker is told of an event: nothing where it did not change
// where the lead stands. Events are the lead's until this one, in the order of the
// stream, and all that are stored.
func (c *Composer) Outcome(e event.Event, until, all []event.Event) []lead.Message {
	before, after := story.Of(until[:len(until)-1]), story.Of(until)
	t := c.catalog.Trackers[c.catalog.Sites[e.Lead.Site].Tracker]
	outcome := outcomeOf(before, after)
	l := after.Understood()
	if t.Events[outcome] == "" || after.Flagged(lead.FlagTest) || l == nil {
		return nil
	}
	m := lead.Message{
		ID: lead.MessageID(e.Lead.Lead, outcome, lead.ToTracker, lead.Postback, t.ID), Of: 1,
		Lead: e.Lead.Lead, Market: e.Lead.Market, Site: e.Lead.Site, Ref: l.Ref,
		Purpose: outcome, Recipient: lead.ToTracker, Channel: lead.Postback, To: t.ID,
		NotBefore: e.At.Add(t.Delay), Until: e.At.Add(t.Age()),
	}
	m.Conversion = &lead.Conversion{
		Event: t.Events[outcome], Key: m.ID, Lead: m.Lead, Ref: m.Ref, Site: m.Site, At: e.At.UTC(),
		Service: l.Service.ID, Place: l.Place.ID, Currency: t.Currency,
		Clicks: clicks(*l, all),
	}
	if hash := sha256.Sum256([]byte(l.Phone.E164)); l.Phone.E164 != "" {
		m.Conversion.PhoneSHA256 = hex.EncodeToString(hash[:])
	}
	if s := c.catalog.Services[l.Service.ID]; s != nil && s.Sensitive {
		m.Conversion.Service = ""
	}
	if fixed, ok := t.Value[outcome]; !ok && outcome == lead.OutcomeWon {
		m.Conversion.Value = amount(after.Lead.Value)
	} else if ok {
		m.Conversion.Value = strconv.FormatFloat(fixed, 'f', -1, 64)
	}
	if r, err := t.Render(*m.Conversion, "[secret]"); err == nil { // else the sending says so
		shown, _ := httputil.DumpRequest(r, true)
		m.Text = strings.ReplaceAll(string(shown), "\r", "")
	}
	return []lead.Message{m}
}

// outcomeOf is the outcome between two records; empty for none.
func outcomeOf(before, after story.Record) string {
	now := lead.Status(after.Lead.Status)
	switch {
	case string(now) == before.Lead.Status:
		return ""
	case now == lead.Matched && len(before.Matches) == 0:
		return lead.OutcomeCreated
	case now == lead.Accepted:
		return lead.OutcomeAccepted
	case now == lead.Converted:
		return lead.OutcomeWon
	case now == lead.Lost:
		return lead.OutcomeLost
	case now == lead.Spam, now == lead.Duplicate:
		return lead.OutcomeInvalid
	}
	return ""
}

// clicks are the advertising ids of the lead, and those that only the report on its
// call has.
func clicks(l lead.Lead, all []event.Event) map[string]string {
	out := map[string]string{}
	for _, e := range all {
		if b, ok := e.Body.(*event.Ended); ok {
			maps.Copy(out, b.Call.Clicks)
		}
	}
	maps.Copy(out, l.Request.Clicks)
	return out
}

var sum = regexp.MustCompile(`[0-9][0-9.,'’\s]*`)

// amount is a sum as people enter it, as a plain decimal: of "CHF 1'250.50" it is
// 1250.50. A mark before one or two last digits is the decimal one. Empty for none.
func amount(entered string) string {
	s := strings.TrimRight(sum.FindString(entered), ".,'’ \t")
	marks := strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if n := len(marks); n > 1 && len(marks[n-1]) < 3 {
		return strings.Join(marks[:n-1], "") + "." + marks[n-1]
	}
	return strings.Join(marks, "")
}
