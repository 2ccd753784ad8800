package alarm

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

func occurrence(id string, at time.Time, leads ...string) Occurrence {
	return Occurrence{Site: "plombiersgeneve.ch", Cause: ToolError, About: "agent_1", ID: id, At: at, Leads: leads}
}

// One cause is one alarm, however often it occurs and however often an occurrence
// is delivered.
func TestOneCauseIsOneAlarm(t *testing.T) {
	s := State{}.Add(occurrence("a", noon, "lead-1"))
	first := s.ID
	for range 3 {
		s = s.Add(occurrence("a", noon, "lead-1")).Add(occurrence("b", noon.Add(time.Minute), "lead-2"))
	}
	if s.ID != first || s.Times != 2 || len(s.Leads) != 2 || !s.Since.Equal(noon) || !s.Last.Equal(noon.Add(time.Minute)) {
		t.Errorf("%+v", s)
	}
	if s = s.Answer(first, noon.Add(2*time.Minute)); s.Due(noon.Add(time.Hour)) {
		t.Error("the owner is notified for an alarm that they acknowledged")
	}
	if s = s.Add(occurrence("b", noon, "lead-2")); s.Answered.IsZero() {
		t.Error("an occurrence that was counted began a new alarm")
	}
	s = s.Add(occurrence("c", noon.Add(3*time.Minute), "lead-3"))
	if s.ID == first || s.Times != 1 || !s.Due(noon.Add(3*time.Minute)) {
		t.Errorf("after the acknowledgement: %+v", s)
	}
	if s = s.Answer(first, noon.Add(4*time.Minute)); !s.Answered.IsZero() {
		t.Error("an old link acknowledged a new alarm")
	}
}

// The owner is notified at once, soon again, then ever more rarely, and not for
// ever.
func TestRepeatsUntilAcknowledged(t *testing.T) {
	s := State{}.Add(occurrence("a", noon))
	var told []time.Duration
	for d := time.Duration(0); d < 48*time.Hour; d += time.Minute {
		if now := noon.Add(d); s.Due(now) {
			s = s.Notify(now)
			told = append(told, d)
		}
	}
	if len(told) != 5 || told[0] != 0 || told[1] != 5*time.Minute || told[4] > 12*time.Hour {
		t.Errorf("told after %v", told)
	}
}

// What goes on for weeks is not silent after the last repeat.
func TestACauseThatGoesOnIsNotifiedAgain(t *testing.T) {
	s, notified, last := State{}, 0, noon
	for h := range 14 * 24 {
		now := noon.Add(time.Duration(h) * time.Hour)
		s = s.Add(occurrence(fmt.Sprint("lead-", h), now))
		if s.Due(now) {
			s = s.Notify(now)
			notified, last = notified+1, now
		}
		if now.Sub(last) > 2*quiet {
			t.Fatalf("nobody was notified since %s", last)
		}
	}
	if notified > 14*5 {
		t.Errorf("%d notifications in 14 days", notified)
	}
}

func TestAnAlarmThatOccursNoMoreIsOver(t *testing.T) {
	s := State{}.Add(occurrence("a", noon))
	again := s.Add(occurrence("b", noon.Add(25*time.Hour)))
	if again.ID == s.ID || again.Times != 1 {
		t.Errorf("an occurrence a day later belongs to %s", again.ID)
	}
}

// The leads at risk accumulate, up to a bound; what is known of each label is
// the latest.
func TestLeadsAndFactsAccumulate(t *testing.T) {
	s := State{}
	for i := range mostLeads + 20 {
		k := occurrence(fmt.Sprint(i), noon, fmt.Sprint("lead-", i))
		k.Facts = []Fact{{[]string{"sms", "email"}[i%2], fmt.Sprint("code ", i)}}
		s = s.Add(k)
	}
	if len(s.Leads) != mostLeads || s.AtRisk() != mostLeads+20 || s.Leads[mostLeads-1] != fmt.Sprint("lead-", mostLeads+19) {
		t.Errorf("%d leads, %d at risk", len(s.Leads), s.AtRisk())
	}
	if want := []Fact{{"sms", "code 518"}, {"email", "code 519"}}; !slices.Equal(s.Facts, want) {
		t.Errorf("%v", s.Facts)
	}
}

// What an earlier version stored is read.
func TestTheStateOfAnEarlierVersion(t *testing.T) {
	var s State
	err := json.Unmarshal([]byte(`{"id":"a1","site":"a.ch","cause":"canary","since":"2026-11-02T12:00:00Z","last":"2026-11-02T12:00:00Z","times":1,"leads":["l1"],"told":1,"told_at":"2026-11-02T12:00:00Z","strikes":["l1"]}`), &s)
	if err != nil || s.Due(noon.Add(time.Minute)) || !s.Due(noon.Add(6*time.Minute)) || s.Notified != 1 || s.Add(Occurrence{ID: "l1", At: noon}).Times != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}
