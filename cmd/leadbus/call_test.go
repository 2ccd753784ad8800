package main

import (
	"context"
	"strings"
	"testing"
	"time"
)

// The end of the wait ends the following, too; whichever shows first.
func TestACallThatGivesUpSaysWhatIsMissing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		w := &watcher{leads: map[string]*progress{"x": newProgress(time.Now())}}
		w.accept("x")
		lost := make(chan error, 1)
		lost <- nil
		if err := w.wait(ctx, nil, lost); err == nil || !strings.Contains(err.Error(), "lead x: no decision yet") {
			t.Fatal(err)
		}
	}
}
