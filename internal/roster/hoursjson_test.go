package roster

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHoursReadAsPeopleWriteThem(t *testing.T) {
	want := Hours{
		time.Monday: {{From: 8 * 60, Until: 12 * 60}, {From: 13*60 + 30, Until: 18 * 60}},
		time.Friday: {{From: 20 * 60, Until: 26 * 60}},
		time.Sunday: {{From: 0, Until: 24 * 60}},
	}
	const text = `{"fri":["20:00-02:00"],"mon":["08:00-12:00","13:30-18:00"],"sun":["00:00-24:00"]}`
	b, err := json.Marshal(want)
	if err != nil || string(b) != text {
		t.Errorf("written as %s, %v", b, err)
	}
	var got Hours
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{`{"lundi":["08:00-12:00"]}`, `{"mon":["8-12"]}`, `{"mon":"08:00-12:00"}`, `[]`} {
		if json.Unmarshal([]byte(bad), &got) == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
