package call

// Leg is what the carrier tells of a phone call to a number of ours while it lasts,
// or when it is over.
type Leg struct {
	SID      string
	From, To string
	// Unanswered: it is over, and nobody ever spoke.
	Unanswered bool
	HungUp     bool // the caller is gone
	// Recording is the address of what the caller said after the tone, and
	// RecordingID its name; empty without one.
	Recording, RecordingID string
}
