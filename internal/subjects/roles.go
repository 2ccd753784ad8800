package subjects

import "slices"

// Kinds of event, in the order a lead meets them.
const (
	Received        = "received"         // edge: the agent's tool call is durable
	ReviewRequested = "review-requested" // matcher: place, service or phone not usable
	Unserved        = "unserved"         // matcher: nobody on the roster is eligible
	Matched         = "matched"          // matcher: a provider was chosen
	Amended         = "amended"          // matcher: a matched lead's details changed
	Reassigned      = "reassigned"       // matcher: a lead goes to another provider
	Postponed       = "postponed"        // matcher: nobody is open now, somebody will be
	Overdue         = "overdue"          // matcher: it takes longer than it should
	Merged          = "merged"           // matcher: the lead repeats another one
	MessageQueued   = "message-queued"   // notifier: one text or mail is to be sent
	MessageSent     = "message-sent"     // notifier: the vendor took it
	MessageFailed   = "message-failed"   // notifier: the vendor refused it for good
	MessageDoubtful = "message-doubtful" // notifier: it may or may not have been sent
	ReceiptReceived = "receipt-received" // edge, scanner: a vendor reported on a message
	CallEnded       = "call-ended"       // edge, scanner: the voice vendor reported on a finished call
	CallScanned     = "call-scanned"     // scanner: what the call shows
	ProviderReplied = "provider-replied" // edge: a provider answered an offer
	OwnerDecided    = "owner-decided"    // edge, operator: the owner decided on a lead
	VerifyAsked     = "verify-asked"     // operator: a provider is to confirm the addresses
	TextReceived    = "text-received"    // edge: somebody wrote to a number of ours
	AlarmRaised     = "alarm-raised"     // scanner, notifier: the owner is to be notified
	OwnerAnswered   = "owner-answered"   // edge: the owner used a link
	DigestMade      = "digest-made"      // scanner: an owner's day
)

// Names of the roles; a role's durable on LEADS carries its name.
const (
	Edge     = "edge"
	Recorder = "recorder"
	Matcher  = "matcher"
	Notifier = "notifier"
	Scanner  = "scanner"
)

// Reading is how a role reads the events of LEADS besides its durable.
type Reading int

// The ways to read.
const (
	Nothing Reading = iota
	OneLead         // the events of one lead
	History         // likewise, and the past of the market
)

// Role is one kind of process and all that it may touch on the bus.
type Role struct {
	Name        string
	Does        string   // for people
	Consumes    []string // kinds of event that its durable delivers; nil: all
	Publishes   []string // kinds of event
	Writes      []string // buckets, which it reads as well
	Reads       []string // buckets
	Events      Reading
	DeadLetters bool // it has a durable on DLQ, too
	SetsTimers  bool // of leads
	Timers      bool // it has a durable on TIMERS, too
	Answers     bool // it answers what the edge asks about a lead
}

// EdgeRole serves all markets, and has no durable.
var EdgeRole = Role{
	Name: Edge, Does: "Take webhooks of every market and publish them as lead events.",
	Publishes: []string{Received, ReceiptReceived, CallEnded, OwnerAnswered, ProviderReplied, OwnerDecided, TextReceived},
}

// Roles are those of a market: the one table that accounts and rights, durables,
// processes and documents are made of.
var Roles = []Role{
	{
		Name: Recorder, Does: "Write a market's events to Postgres and copy its roster to the bus.",
		Writes: []string{BucketRoster},
	},
	{
		Name: Matcher, Does: "Decide who gets a market's leads.",
		Consumes:  []string{Received, MessageFailed, ReceiptReceived, ProviderReplied, OwnerDecided},
		Publishes: []string{Received, ReviewRequested, Unserved, Matched, Amended, Reassigned, Postponed, Overdue, Merged},
		Writes:    []string{BucketLoad, BucketWatch, BucketPeople}, Reads: []string{BucketRoster}, Events: OneLead, SetsTimers: true, Timers: true, Answers: true,
	},
	{
		Name: Notifier, Does: "Tell people about a market's leads.",
		Consumes: []string{
			Matched, Amended, Reassigned, Postponed, Overdue, Unserved, ReviewRequested, ProviderReplied, OwnerDecided, VerifyAsked, TextReceived,
			MessageQueued, ReceiptReceived, CallScanned, AlarmRaised, DigestMade,
		},
		Publishes: []string{MessageQueued, MessageSent, MessageFailed, MessageDoubtful, ProviderReplied, AlarmRaised},
		Writes:    []string{BucketLedger, BucketWatch, BucketPeople}, Events: OneLead, DeadLetters: true,
	},
	{
		Name: Scanner, Does: "Look at a market's finished calls, save lost leads and watch over the market.",
		Consumes:  []string{CallEnded, OwnerAnswered},
		Publishes: []string{CallEnded, ReceiptReceived, CallScanned, Received, AlarmRaised, DigestMade},
		Writes:    []string{BucketWatch}, Reads: []string{BucketRoster}, Events: History, SetsTimers: true,
	},
}

// RoleNames are the names of a market's roles.
func RoleNames() []string {
	var names []string
	for _, r := range Roles {
		names = append(names, r.Name)
	}
	return names
}

// RoleNamed is a market's role.
func RoleNamed(name string) Role {
	return Roles[slices.IndexFunc(Roles, func(r Role) bool { return r.Name == name })]
}

// Replay is the durable that an operator makes to replay a part of the stream
// to one role.
func Replay(role string) string { return role + "-replay" }
