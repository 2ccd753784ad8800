package scanner

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"leadbus/internal/call"
	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/site"
	"leadbus/internal/story"
	"leadbus/internal/subjects"
	"leadbus/internal/understand/intake"
)

// maxSummary is as long as a tool call's summary may be, in bytes.
const maxSummary = 1000

// dictated is a phone number in what a caller said.
var dictated = regexp.MustCompile(`\+?\d[\d .\-/()]{6,}\d`)

// rebuild makes the lead that a call should have become: of what the vendor
// collected from it, under what the agent tried to pass on, under what the
// caller said, in the order of trust.
func (s *Scanner) rebuild(st *site.Site, id string, c call.Call, at time.Time) lead.Lead {
	var req lead.Request
	for _, t := range c.Tools {
		if t.Name != call.Tool {
			continue
		}
		for _, body := range []string{t.Body, string(t.Params)} {
			if r, _, err := intake.Decode([]byte(body)); err == nil {
				req = req.Over(r)
			}
		}
	}
	if collected, err := json.Marshal(c.Collected); err == nil && len(c.Collected) > 0 {
		if r, _, err := intake.Decode(collected); err == nil {
			req = r.Over(req)
		}
	}
	req.ConversationID, req.AgentID, req.CallSID = c.ID, c.AgentID, c.CallSID
	req.CallerID, req.CalledNumber, req.CalledAt = c.CallerID, c.Called, c.StartedAt
	if len(req.Clicks) == 0 {
		req.Clicks = c.Clicks
	}
	if req.Language == "" {
		req.Language = c.Language
	}
	s.listen(st, &req, c)
	flags := []string{lead.FlagRecovered}
	if c.Transferred() {
		flags = append(flags, lead.FlagTransferred)
	}
	if !c.Phone() {
		flags = append(flags, lead.FlagNoPhoneCall)
	}
	return s.reader.Understand(st, id, req, at, flags)
}

// listen fills in what is missing from what the caller said.
func (s *Scanner) listen(st *site.Site, req *lead.Request, c call.Call) {
	understand := func(r lead.Request) lead.Lead { return s.reader.Understand(st, "", r, time.Time{}, nil) }
	var said []string
	for _, t := range c.Turns {
		if t.Who != call.Caller {
			continue
		}
		said = append(said, t.Text)
		if number := dictated.FindString(t.Text); number != "" && req.CallbackNumber == "" {
			if p := understand(lead.Request{CallbackNumber: number}).Phone; p.E164 != "" {
				req.CallbackNumber = number
			}
		}
		if req.City == "" && req.PostalCode == "" && req.AddressLine == "" {
			// An address is searched for the exact name of a place.
			if p := understand(lead.Request{AddressLine: t.Text}).Place; p.Method == "alias" || p.Method == "postcode" {
				req.City = p.Name
			}
		}
		if req.ServiceType == "" {
			if l := understand(lead.Request{ServiceType: t.Text}); l.Service.Method == "phrase" {
				req.ServiceType = l.Service.Name
			}
		}
	}
	if req.IssueSummary == "" {
		req.IssueSummary = c.Summary
	}
	if req.IssueSummary == "" {
		req.IssueSummary = cut(strings.Join(said, " "), maxSummary)
	}
}

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

// named reports whether the caller named a service, and a place; neither is taken
// for want of another.
func named(l lead.Lead) (service, place bool) {
	return l.Service.ID != "" && l.Service.Method != "only" && l.Service.Method != "trade", l.Place.ID != "" && l.Place.Method != "assumed"
}

// resolved reports whether somebody can be sent, and the owner need not be asked:
// a person may already look after a caller who was put through, and who chats on
// the website is less sure to be a customer.
func resolved(l lead.Lead) bool {
	return l.Phone.E164 != "" && l.Service.ID != "" && l.Service.Method != "trade" && l.Place.ID != "" && !l.Request.Refused() &&
		!slices.Contains(l.Flags, lead.FlagTransferred) && !slices.Contains(l.Flags, lead.FlagNoPhoneCall)
}

// received is the event of a rebuilt lead, as the edge makes one of a tool call.
func received(to subjects.Lead, l lead.Lead, at time.Time) (event.Event, error) {
	raw, err := json.Marshal(l.Request)
	if err != nil {
		return event.Event{}, err
	}
	return event.NewReceived(to, l, l.Request, raw, at, "")
}

// answered does what an owner decided.
func (s *Scanner) answered(ctx context.Context, d event.Delivery, a event.Answered) error {
	if a.Answer == event.Acknowledge {
		return s.Watch.Acknowledge(ctx, d.Lead.Lead, d.At)
	}
	st := s.Catalog.Sites[d.Lead.Site]
	if st == nil {
		return event.Permanent(fmt.Errorf("site %s is not configured", d.Lead.Site))
	}
	if a.Answer == event.Confirm {
		to := d.Lead
		to.Event = subjects.CallEnded
		there, err := s.Stream.Events(ctx, to)
		if err != nil {
			return err
		}
		report := story.Heaviest(there, to.Event)
		if report == nil {
			return event.Permanent(fmt.Errorf("the report on the call of lead %s is gone from the stream", d.Lead.Lead))
		}
		l := s.rebuild(st, d.Lead.Lead, report.Body.(*event.Ended).Call, report.At)
		req := l.Request
		for _, f := range []struct{ to, from *string }{{&req.CallbackNumber, &a.Phone}, {&req.ServiceType, &a.Service}, {&req.City, &a.Place}} {
			if *f.from != "" {
				*f.to = *f.from
			}
		}
		if a.Phone != "" { // the owner knows better than the line
			req.CallerID = ""
		}
		if a.Place != "" {
			req.City, req.PostalCode = s.placeName(st, a.Place), ""
		}
		l = s.reader.Understand(st, d.Lead.Lead, req, report.At, []string{lead.FlagRecovered, confirmed})
		e, err := received(d.Lead, l, d.At)
		if err != nil {
			return err
		}
		if err := event.PublishOnce(ctx, s.Stream, e); err != nil {
			return err
		}
	}
	return s.Watch.Settle(ctx, st.Domain, d.Lead.Lead, d.At)
}

// placeName is how a place of the market is called.
func (s *Scanner) placeName(st *site.Site, id string) string {
	for _, p := range s.Catalog.MarketOf(st).Places {
		if p.ID == id {
			return p.Name
		}
	}
	return id
}
