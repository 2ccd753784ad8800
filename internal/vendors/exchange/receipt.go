package exchange

import (
	"fmt"
	"maps"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/subjects"
)

// Fields are the ids that go to the vendor with a message and come back with
// its receipts.
func Fields(m lead.Message, attempt string) map[string]string {
	f := m.Label().Fields()
	maps.Copy(f, map[string]string{"market": m.Market, "site": m.Site, "lead": m.Lead, "message": m.ID, "attempt": attempt})
	return f
}

// Receipt reads the fields of a receipt. The event of the subject is
// subjects.ReceiptReceived. The error is an event.ErrNotFound when the receipt
// is not about a message of ours.
func Receipt(vendor string, field func(name string) string) (subjects.Lead, lead.Receipt, error) {
	to := subjects.Lead{Market: field("market"), Site: field("site"), Event: subjects.ReceiptReceived, Lead: field("lead")}
	r := lead.Receipt{Label: lead.ReadLabel(field), Vendor: vendor, Message: field("message"), Attempt: field("attempt")}
	if to.Validate() != nil || !subjects.ValidToken(r.Message) || !subjects.ValidToken(r.Attempt) {
		return subjects.Lead{}, lead.Receipt{}, fmt.Errorf("%s receipt: it names no message of ours: %w", vendor, event.ErrNotFound)
	}
	return to, r, nil
}

// Codes are a vendor's codes with their meanings, by the class of failure.
type Codes map[lead.FailureClass]map[string]string

// Explain gives the failure the class and the meaning of a code, and reports
// whether the code is known.
func (c Codes) Explain(f *lead.Failure, code string) bool {
	for class, meanings := range c {
		if meaning, ok := meanings[code]; ok {
			f.Class, f.Reason = class, meaning
			return true
		}
	}
	return false
}
