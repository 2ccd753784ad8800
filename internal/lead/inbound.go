package lead

import "slices"

// Flags of a lead about a phone call that nobody heard. The owner decides on it: it
// is never rescued or dispatched by itself.
const (
	FlagVoicemail = "voicemail"   // the agent was away, and the caller was asked for a message
	FlagMissed    = "missed_call" // nobody answered
)

// Purposes of messages about what came in.
const (
	PurposeInbound = "inbound" // to the owner: what somebody texted
	PurposeMissed  = "missed"  // to a caller whom nobody answered
)

// Unheard reports whether nobody has spoken with the caller.
func (l Lead) Unheard() bool {
	return slices.Contains(l.Flags, FlagVoicemail) || slices.Contains(l.Flags, FlagMissed)
}

// Inbound is what somebody wrote to a number of ours, as the vendor brings it.
type Inbound struct {
	ID      string // the vendor's
	Channel string
	From    string // E.164, or a WhatsApp user's id without a number
	To      string
	Text    string
	Button  string // payload of the button that was pressed
	// OptOut is START or STOP when the vendor took it for that: then it has
	// told the sender.
	OptOut string
}
