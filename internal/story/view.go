package story

import (
	"time"

	"leadbus/internal/roster"
)

// Question is what a page asks about a lead.
type Question struct {
	Offer string `json:"offer,omitempty"` // whose provider asks; the owner when empty
	Event string `json:"event,omitempty"` // id of an answer or order that was given
}

// States of an offer for its provider, besides a lead.OfferState.
const (
	OfferOpen  = "open"
	OfferTaken = "taken" // somebody else accepted
)

// View is what a page shows of a lead: to the provider of one offer, or to the owner.
type View struct {
	Status string    `json:"status"`
	Mode   string    `json:"mode,omitempty"`
	Until  time.Time `json:"until,omitzero"`
	Turn   string    `json:"turn"`
	Busy   bool      `json:"busy,omitempty"` // the owner's order is being carried out
	Seq    uint64    `json:"seq"`            // of the lead's last event
	// May are the answers or orders that change something.
	May []string `json:"may,omitempty"`
	// Seen and Took say of the event asked about that it is stored, and that it
	// changed something.
	Seen bool `json:"seen,omitempty"`
	Took bool `json:"took,omitempty"`

	// The offer asked about: Provider is an id. State is empty when there is none.
	Provider  string   `json:"provider,omitempty"`
	Languages []string `json:"languages,omitempty"` // of the provider
	State     string   `json:"state,omitempty"`
	Outcome   string   `json:"outcome,omitempty"`

	Reason     string    `json:"reason,omitempty"`
	Value      string    `json:"value,omitempty"`
	Ref        string    `json:"ref"`
	Service    string    `json:"service"` // id
	Place      string    `json:"place,omitempty"`
	Urgent     bool      `json:"urgent,omitempty"`
	Window     string    `json:"window,omitempty"`
	ReceivedAt time.Time `json:"received_at,omitzero"`
	// Customer is there for who may call.
	Customer *Contact `json:"customer,omitempty"`

	// Only the owner's.
	Offers    []Offer      `json:"offers,omitempty"` // Provider is a name
	Trace     roster.Trace `json:"trace,omitempty"`
	Providers []Candidate  `json:"providers,omitempty"` // active, by name
}

// Contact is who asked, as far as a page shows it.
type Contact struct {
	Name    string `json:"name,omitempty"`
	Phone   string `json:"phone,omitempty"`
	Second  string `json:"second,omitempty"`
	Address string `json:"address,omitempty"`
	Details string `json:"details,omitempty"`
}

// Candidate is a provider to whom the owner may give a lead.
type Candidate struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Broken bool   `json:"broken,omitempty"` // no channel works
}
