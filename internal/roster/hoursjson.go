package roster

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// MarshalJSON writes hours as people read and edit them, in the words of a
// roster file: {"mon":["08:00-12:00","13:30-18:00"],"fri":["20:00-02:00"]}.
func (h Hours) MarshalJSON() ([]byte, error) {
	days := make(map[string][]string, len(h))
	for day, spans := range h {
		texts := make([]string, len(spans))
		for i, s := range spans {
			until := s.Until
			if until > wholeDay {
				until -= wholeDay
			}
			texts[i] = fmt.Sprintf("%02d:%02d-%02d:%02d", s.From/60, s.From%60, until/60, until%60)
		}
		days[dayNames[day]] = texts
	}
	return json.Marshal(days)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (h *Hours) UnmarshalJSON(b []byte) error {
	var days map[string][]string
	if err := json.Unmarshal(b, &days); err != nil {
		return err
	}
	*h = make(Hours, len(days))
	for name, texts := range days {
		day := slices.Index(dayNames, name)
		if day < 0 {
			return fmt.Errorf("hours: %q is no day", name)
		}
		for _, t := range texts {
			s, ok := parseSpan(t)
			if !ok {
				return fmt.Errorf("hours of %s: want such as 08:00-12:00", name)
			}
			(*h)[time.Weekday(day)] = append((*h)[time.Weekday(day)], s)
		}
	}
	return nil
}
