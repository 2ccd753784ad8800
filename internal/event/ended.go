package event

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"time"

	"leadbus/internal/call"
	"leadbus/internal/lead"
	"leadbus/internal/subjects"
)

// maxEnded keeps a report on a call below the 1 MiB that the bus takes, with
// room for its headers.
const maxEnded = 1_000_000

// NewEnded is the event of a finished call at the site of its agent, whoever
// reports it. Reports that tell as much of a call have one id, and one that tells
// more has another. A call without a start, or with one to come or older than the
// vendor keeps calls, began when its report came. raw is the vendor's report as it came; it is
// left out when the event gets too large with it, then the end of what was said
// is, and the transcript says so.
func NewEnded(market, site string, c call.Call, raw []byte, at time.Time) (Event, error) {
	c.Site = site
	if c.ID == "" {
		c.ID = "body\x00" + string(raw)
	}
	id := lead.NewID(site, c.ID)
	if c.StartedAt.Before(at.AddDate(-2, 0, 0)) || c.StartedAt.After(at.AddDate(0, 0, 1)) {
		c.StartedAt = at.UTC()
	}
	if len(c.ID) > 200 { // no id of a vendor's is that long
		c.ID = ""
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(raw); err != nil {
		return Event{}, err
	}
	if err := z.Close(); err != nil {
		return Event{}, err
	}
	body := &Ended{Call: c, Raw: zipped.Bytes()}
	e := Event{
		ID: fmt.Sprintf("%s-%s-%d", subjects.CallEnded, id, c.Weight()), At: at.UTC(), Body: body,
		Lead: subjects.Lead{Market: market, Site: site, Event: subjects.CallEnded, Lead: id},
	}
	for {
		encoded, err := Encode(e)
		switch {
		case err != nil:
			return Event{}, err
		case len(encoded) <= maxEnded:
			return e, nil
		case body.Raw != nil:
			body.Raw = nil
		case !shorten(&body.Call):
			return Event{}, fmt.Errorf("the report on call %s is too large without what was said", id)
		}
	}
}

// NewVoice is the event of a voice that the vendor takes away.
func NewVoice(market, site string, v call.Voice, at time.Time) (Event, error) {
	to := subjects.Lead{Market: market, Site: site, Event: subjects.CallEnded, Lead: lead.NewID(site, "voice\x00"+v.ID)}
	id, err := ContentID(to.Event, to.Lead, v)
	return Event{ID: id, At: at.UTC(), Lead: to, Body: &Ended{Voice: &v}}, err
}

// shorten halves what is largest of a call; false when nothing is left.
func shorten(c *call.Call) bool {
	const cut = "[cut: the report is too long]"
	switch {
	case len(c.Turns) > 1:
		half := len(c.Turns) / 2
		c.Turns = append(c.Turns[:half:half], call.Turn{Who: call.Agent, Second: c.Turns[half].Second, Text: cut})[:max(half, 1)]
		c.Turns[len(c.Turns)-1].Text = cut
	case len(c.Tools) > 0:
		c.Tools = c.Tools[:len(c.Tools)/2]
	case c.Summary != cut || len(c.Collected)+len(c.Criteria) > 0 || len(c.Turns) > 0:
		c.Summary, c.Collected, c.Criteria, c.Turns = cut, nil, nil, nil
	default:
		return false
	}
	return true
}
