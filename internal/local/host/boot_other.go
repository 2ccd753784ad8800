//go:build !linux

package host

import "time"

// sinceBoot has no clock of its own here: the one on the wall must do.
func sinceBoot(mono time.Duration) time.Duration { return mono }
