package send

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leadbus/internal/lead"
)

// opened opens the journal of a directory that its process left without a word.
func opened(t *testing.T, dir string) *Journal {
	t.Helper()
	j, err := OpenJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func TestAJournalKnowsWhatHadNotLeft(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(string) string
		want  string
	}{
		"as it was":                       {func(s string) string { return s }, "m3"},
		"a torn last note":                {func(s string) string { return s + "> a3" }, "m3"},
		"another boot":                    {func(s string) string { return "other\n" + s[strings.IndexByte(s, '\n')+1:] }, ""},
		"empty":                           {func(string) string { return "" }, ""},
		"nonsense in it":                  {func(s string) string { return s + "? ? ?\n\x00\x00\n" }, "m3"},
		"an earlier version's end of one": {func(s string) string { return s + "- a3\n" }, ""},
	} {
		dir := t.TempDir()
		j := opened(t, dir)
		for i := 1; i <= 3; i++ {
			if err := j.begin(fmt.Sprint("m", i), fmt.Sprint("a", i)); err != nil {
				t.Fatal(err)
			}
			if i < 3 {
				if err := j.leave(fmt.Sprint("a", i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "1")
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(c.spoil(string(b))), 0o600); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, message := range opened(t, dir).stranded {
			got += message
		}
		if got != c.want {
			t.Errorf("%s: stranded %q", name, got)
		}
	}
}

func TestProcessesHaveAJournalEach(t *testing.T) {
	dir := t.TempDir()
	if a, b := opened(t, dir), opened(t, dir); a.name == b.name {
		t.Errorf("both write %s", a.name)
	}
}

// A journal does not grow for ever, and a rewrite forgets nothing that is
// under way.
func TestAJournalIsWrittenAnew(t *testing.T) {
	dir := t.TempDir()
	j := opened(t, dir)
	message, attempt := lead.MessageID("l", "p", "r", "c", "o"), strings.Repeat("a", 26)
	if err := j.begin("waiting", "waiting"); err != nil {
		t.Fatal(err)
	}
	for i := range 40_000 {
		a := attempt + fmt.Sprint(i)
		if err := j.begin(message, a); err != nil {
			t.Fatal(err)
		}
		if err := j.leave(a); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "1"))
	if err != nil || info.Size() > 2*journalSize {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	if s := opened(t, dir).stranded; len(s) != 1 || s["waiting"] != "waiting" {
		t.Errorf("stranded %v", s)
	}
}
