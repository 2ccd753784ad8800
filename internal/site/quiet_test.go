package site

import (
	"testing"
	"time"

	"leadbus/internal/roster"
)

func TestQuiet(t *testing.T) {
	zurich, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		t.Fatal(err)
	}
	night := &Market{Location: zurich, quiet: roster.Span{From: 21 * 60, Until: 32 * 60}}
	noon := &Market{Location: zurich, quiet: roster.Span{From: 12 * 60, Until: 13 * 60}}
	none := &Market{Location: zurich}
	for _, c := range []struct {
		m         *Market
		at, until string // local; empty: not quiet
	}{
		{night, "2026-11-23 20:59", ""},
		{night, "2026-11-23 21:00", "2026-11-24 08:00"},
		{night, "2026-11-24 00:00", "2026-11-24 08:00"},
		{night, "2026-11-24 07:59", "2026-11-24 08:00"},
		{night, "2026-11-24 08:00", ""},
		{night, "2026-10-24 23:00", "2026-10-25 08:00"}, // the clock goes back
		{night, "2026-03-29 01:30", "2026-03-29 08:00"}, // and forward
		{noon, "2026-11-23 12:30", "2026-11-23 13:00"},
		{noon, "2026-11-23 13:00", ""},
		{none, "2026-11-23 03:00", ""},
	} {
		at, err := time.ParseInLocation("2006-01-02 15:04", c.at, zurich)
		if err != nil {
			t.Fatal(err)
		}
		until, quiet := c.m.Quiet(at)
		got := ""
		if quiet {
			got = until.In(zurich).Format("2006-01-02 15:04")
		}
		if got != c.until {
			t.Errorf("%s: until %q, want %q", c.at, got, c.until)
		}
	}
}
