package subjects

import "slices"

// Kinds of event, in the order a lead meets them.
const (
	Received        = "received"         // edge: the agent's tool call is durable
	ReviewRequested = "review-requested" // matcher: place, service or phone not usable
	Unserved        = "unserved"         // matcher: nobody on the roster is eligible
	Matched         = "matched"          // matcher: a provider was chosen
	Amended         = "amended"          // matcher: a matched lead's details changed
	Reassigned      = "reassigned"       // operator: a matched lead goes to another provider
	MessageQueued   = "message-queued"   // notifier: one text or mail is to be sent
	MessageSent     = "message-sent"     // notifier: the vendor took it
	MessageFailed   = "message-failed"   // notifier: the vendor refused it for good
	MessageDoubtful = "message-doubtful" // notifier: it may or may not have been sent
	ReceiptReceived = "receipt-received" // edge: a vendor reported on a message
	CallEnded       = "call-ended"       // edge: the voice vendor reported on a finished call
	CallScanned     = "call-scanned"     // scanner: what the call shows
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
}

// EdgeRole serves all markets, and has no durable.
var EdgeRole = Role{
	Name: Edge, Does: "Take webhooks of every market and publish them as lead events.",
	Publishes: []string{Received, ReceiptReceived, CallEnded, OwnerAnswered},
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
		Consumes:  []string{Received},
		Publishes: []string{Received, ReviewRequested, Unserved, Matched, Amended},
		Writes:    []string{BucketLoad}, Reads: []string{BucketRoster}, Events: OneLead,
	},
	{
		Name: Notifier, Does: "Tell people about a market's leads.",
		Consumes:  []string{Matched, Amended, Reassigned, Unserved, ReviewRequested, MessageQueued, ReceiptReceived, CallScanned, AlarmRaised, DigestMade},
		Publishes: []string{MessageQueued, MessageSent, MessageFailed, MessageDoubtful, AlarmRaised},
		Writes:    []string{BucketLedger, BucketWatch}, Events: OneLead, DeadLetters: true,
	},
	{
		Name: Scanner, Does: "Look at a market's finished calls, save lost leads and watch over the market.",
		Consumes:  []string{CallEnded, OwnerAnswered, MessageFailed, ReceiptReceived},
		Publishes: []string{CallEnded, CallScanned, Received, AlarmRaised, DigestMade},
		Writes:    []string{BucketWatch}, Reads: []string{BucketRoster}, Events: History,
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
