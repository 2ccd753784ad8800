package alarm

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

func strike(id string, at time.Time, leads ...string) Strike {
	return Strike{Site: "plombiersgeneve.ch", Cause: ToolError, About: "agent_1", ID: id, At: at, Leads: leads}
}

// One cause is one alarm, however often it strikes and however often a strike
// is delivered.
func TestOneCauseIsOneAlarm(t *testing.T) {
	s := State{}.Struck(strike("a", noon, "lead-1"))
	first := s.ID
	for range 3 {
		s = s.Struck(strike("a", noon, "lead-1")).Struck(strike("b", noon.Add(time.Minute), "lead-2"))
	}
	if s.ID != first || s.Times != 2 || len(s.Leads) != 2 || !s.Since.Equal(noon) || !s.Last.Equal(noon.Add(time.Minute)) {
		t.Errorf("%+v", s)
	}
	if s = s.Answer(first, noon.Add(2*time.Minute)); s.Due(noon.Add(time.Hour)) {
		t.Error("the owner is called for an alarm that they acknowledged")
	}
	if s = s.Struck(strike("b", noon, "lead-2")); s.Answered.IsZero() {
		t.Error("a strike that was counted began a new alarm")
	}
	s = s.Struck(strike("c", noon.Add(3*time.Minute), "lead-3"))
	if s.ID == first || s.Times != 1 || !s.Due(noon.Add(3*time.Minute)) {
		t.Errorf("after the acknowledgement: %+v", s)
	}
	if s = s.Answer(first, noon.Add(4*time.Minute)); !s.Answered.IsZero() {
		t.Error("an old link acknowledged a new alarm")
	}
}

// The owner is called at once, soon again, then ever more rarely, and not for
// ever.
func TestRepeatsUntilAcknowledged(t *testing.T) {
	s := State{}.Struck(strike("a", noon))
	var told []time.Duration
	for d := time.Duration(0); d < 48*time.Hour; d += time.Minute {
		if now := noon.Add(d); s.Due(now) {
			s = s.Tell(now)
			told = append(told, d)
		}
	}
	if len(told) != 5 || told[0] != 0 || told[1] != 5*time.Minute || told[4] > 12*time.Hour {
		t.Errorf("told after %v", told)
	}
}

func TestAnAlarmThatStruckNoMoreIsOver(t *testing.T) {
	s := State{}.Struck(strike("a", noon))
	again := s.Struck(strike("b", noon.Add(25*time.Hour)))
	if again.ID == s.ID || again.Times != 1 {
		t.Errorf("a strike a day later belongs to %s", again.ID)
	}
}
