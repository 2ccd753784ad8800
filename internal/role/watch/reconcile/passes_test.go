package reconcile

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// A gap that stays open is logged once.
func TestAGapIsLoggedOnce(t *testing.T) {
	var out bytes.Buffer
	passes := NewPasses(zerolog.New(&out))
	gap := Gap{Kind: Stuck, Lead: "l1"}
	for _, c := range []struct {
		gaps  []Gap
		lines int
	}{{[]Gap{gap}, 1}, {[]Gap{gap, {Kind: Stuck, Lead: "l2"}}, 2}, {nil, 2}, {[]Gap{gap}, 3}} {
		passes.logGaps(c.gaps)
		if n := strings.Count(out.String(), "\n"); n != c.lines {
			t.Errorf("%d lines, want %d:\n%s", n, c.lines, out.String())
		}
	}
}
