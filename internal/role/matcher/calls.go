package matcher

import (
	"cmp"
	"slices"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/site"
	"leadbus/internal/text"
)

// understand reads a lead from its calls (received events in stream order), of
// which there is at least one. others are the calls that are second requests,
// as the events they become.
//
// The lead's service is the first one that was understood. A later call that
// names another is a second request and no part of this lead; one that names
// none, or none we know, is a further word on the first. A call of another caller
// under the same conversation id is no part of it either. Which is which depends
// on the order in the stream only. The last word counts by the edge's clock: a
// call may have waited in a spool.
func (m *Matcher) understand(s *site.Site, id string, calls []event.Event) (l lead.Lead, others []event.Event, err error) {
	first := calls[0].Body.(*event.Received).Lead
	caller := first
	var req lead.Request
	var flags []string
	var joined []lead.Lead
	service := ""
	for _, c := range calls {
		call := c.Body.(*event.Received).Lead
		own := ""                        // the service that the call names
		second, said := "", call.Request // what tells a request of its own from the first, and its words
		if repeats := c.Body.(*event.Received).Repeats != ""; caller.Another(call) && !repeats {
			second = "call " + cmp.Or(call.Request.CallSID, call.Phone.CallerID)
		} else if len(calls) > 1 && !repeats && (service == "" || call.Request.ServiceType != "") {
			if named := m.reader.Understand(s, id, call.Request, call.ReceivedAt, nil).Service; named.Method != "trade" {
				own = named.ID
			}
			if service != "" && own != "" && own != service {
				second, said = own, sameCaller(req).Over(call.Request)
			}
		}
		if second != "" {
			l := m.reader.Understand(s, lead.SecondID(id, second), said, call.ReceivedAt, call.Flags)
			l.Ref = first.Ref // as the caller was told
			other, err := event.NewReceived(c.Lead, l, said, c.Body.(*event.Received).Raw, c.At, c.ID)
			if err != nil {
				return l, nil, err
			}
			others = append(others, other)
			continue
		}
		if service == "" {
			service = own
		}
		req = req.Over(call.Request)
		joined = append(joined, call)
		caller.Request.CallSID = cmp.Or(caller.Request.CallSID, call.Request.CallSID)
		caller.Phone.CallerID = cmp.Or(caller.Phone.CallerID, call.Phone.CallerID)
		flags = append(flags, call.Flags...)
	}
	slices.SortStableFunc(joined, func(a, b lead.Lead) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
	for _, call := range joined {
		req = req.Over(call.Request)
	}
	flags = heard(joined, flags)
	l = m.reader.Understand(s, id, req, first.ReceivedAt, flags)
	if service != "" && l.Service.ID != service { // a later word hid it
		req.ServiceType = service
		l = m.reader.Understand(s, id, req, first.ReceivedAt, flags)
	}
	l.Ref = first.Ref
	return l, others, nil
}

// sameCaller is what the caller said about themselves and the place, without
// what was about the request.
func sameCaller(r lead.Request) lead.Request {
	r.ServiceType, r.IssueSummary, r.Urgency, r.PreferredWindow = "", "", "", ""
	return r
}

// content is what people act on when they hear of a lead. Of two leads with the
// same content nobody hears twice; case, accents and punctuation are no news.
type content struct {
	Service, Place, Phone, Second, Language                 string
	Name, Details, Urgency, Window, AddressLine, PostalCode string
	Check                                                   bool
	Refused                                                 bool `json:",omitempty"`
}

func contentOf(l lead.Lead) content {
	r := l.Request
	t := content{
		Service: l.Service.ID, Place: l.Place.ID, Phone: l.Phone.E164, Second: l.Phone.Second, Check: l.Phone.Check, Language: l.Language,
		Name: text.Normal(r.CustomerName), Details: text.Normal(r.IssueSummary), Urgency: text.Normal(r.Urgency),
		Refused: r.Refused(), Window: text.Normal(r.PreferredWindow), AddressLine: text.Normal(r.AddressLine), PostalCode: text.Normal(r.PostalCode),
	}
	if t.Service == "" {
		t.Service = "? " + text.Normal(l.Service.Raw)
	}
	if t.Place == "" {
		t.Place = "? " + text.Normal(l.Place.Raw)
	}
	return t
}
