package lead

import (
	"slices"
	"strings"
)

// Status of a lead, a projection of its events.
type Status string

// The states of a lead and who sets them.
const (
	None        Status = "none"         // no lead: a call or an alarm about which people were told
	Pending     Status = "pending"      // durably stored, not yet routed
	NeedsReview Status = "needs_review" // waits for the owner, alarm running
	Matched     Status = "matched"      // provider chosen, no channel sent yet
	Notified    Status = "notified"     // at least one provider channel sent
	Accepted    Status = "accepted"     // one provider owns it
	Unserved    Status = "unserved"     // nobody eligible; owner informed
	Converted   Status = "converted"    // the job was won
	Lost        Status = "lost"         // not won, with a reason
	Duplicate   Status = "duplicate"    // merged into another lead
	Spam        Status = "spam"         // judged not genuine, with evidence
	Cancelled   Status = "cancelled"    // the customer withdrew
)

// leadMoves lists where each status may go; anything else is refused.
var leadMoves = map[Status][]Status{
	None:        {Pending},
	Pending:     {Matched, NeedsReview, Unserved, Duplicate, Spam, Cancelled},
	NeedsReview: {Pending, Matched, Lost, Spam, Duplicate, Cancelled},
	Matched:     {Notified, Pending, Unserved, Duplicate, Spam, Cancelled},
	Notified:    {Accepted, Pending, Unserved, Converted, Lost, Cancelled, Spam},
	Accepted:    {Converted, Lost, Pending, Cancelled, Spam},
	Unserved:    {Matched, Pending, Lost, Spam, Cancelled},
	Converted:   {Lost},
	Lost:        {Pending},
	Duplicate:   {Pending},
	Spam:        {Pending},
	Cancelled:   {Pending},
}

// MayBecome reports whether a lead may go from s to next in one step.
func (s Status) MayBecome(next Status) bool { return slices.Contains(leadMoves[s], next) }

// Next are the statuses to which a lead may go from s, for people.
func (s Status) Next() string {
	var names []string
	for _, next := range leadMoves[s] {
		names = append(names, string(next))
	}
	return strings.Join(names, ", ")
}

// Closed reports whether nothing more is done about a lead by itself.
func (s Status) Closed() bool {
	return slices.Contains([]Status{Converted, Lost, Duplicate, Spam, Cancelled}, s)
}

// Modes of an offer.
const (
	Notify    = "notify"    // the provider has the lead at once, and may accept it
	Exclusive = "offer"     // one provider after the other; whoever accepts has it
	Broadcast = "broadcast" // several at the same time; the first to accept has it
)

// OfferState is the state of one lead's offer to one provider.
type OfferState string

// The states of an offer. As long as it is open it stands where the best of its
// messages does; a channel that was thought dead may deliver late.
const (
	OfferQueued        OfferState = "queued"
	OfferSent          OfferState = "sent"
	OfferDelivered     OfferState = "delivered"
	OfferUndeliverable OfferState = "undeliverable" // no channel works
	OfferAccepted      OfferState = "accepted"
	OfferDeclined      OfferState = "declined"
	OfferExpired       OfferState = "expired"
	OfferWithdrawn     OfferState = "withdrawn" // somebody else has the lead, or it is closed
)

// MessageState is the state of one send on one channel. Taken by the vendor
// ("sent") is never "delivered".
type MessageState string

// The states of a message, in the order they may be reached.
const (
	MessageQueued    MessageState = "queued"
	MessageDoubtful  MessageState = "doubtful" // the request left, its outcome is unknown
	MessageSent      MessageState = "sent"
	MessageDelivered MessageState = "delivered"
	MessageRead      MessageState = "read"
	MessageFailed    MessageState = "failed"
)

// messageRank orders the states; failed outranks sent, since a vendor reports
// failure after acceptance, but not delivered, since receipts arrive in any
// order.
var messageRank = map[MessageState]int{
	MessageQueued: 0, MessageDoubtful: 1, MessageSent: 2,
	MessageFailed: 3, MessageDelivered: 4, MessageRead: 5,
}

// Advance is the state after a report of next: states never go backwards,
// whatever the order in which reports arrive.
func (s MessageState) Advance(next MessageState) MessageState {
	if messageRank[next] > messageRank[s] {
		return next
	}
	return s
}

// Final reports whether nothing but a read receipt can follow.
func (s MessageState) Final() bool { return messageRank[s] >= messageRank[MessageFailed] }
