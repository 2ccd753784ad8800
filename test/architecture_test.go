package test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the test finds into the documents")

// The picture of the imports in docs/ARCHITECTURE.md is the true one: who uses
// whom, from the nouns up. An arrow never points to a later row.
func TestTheImportsAreDrawn(t *testing.T) {
	const file, begin, end = "../docs/ARCHITECTURE.md", "<!-- imports -->\n", "<!-- /imports -->\n"
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(doc), begin)
	drawn, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the imports", file)
	}
	now := "```text\n" + picture(t) + "```\n"
	if drawn == now {
		return
	}
	if *update {
		if err := os.WriteFile(file, []byte(before+begin+now+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("the imports have changed; draw them anew with: go test ./test -run %s -update\n%s", t.Name(), now)
}

// picture is a row for each package of ours, under all it imports.
func picture(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "../internal/...", "../cmd/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	uses := map[string][]string{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		short := func(path string) string {
			return strings.TrimPrefix(strings.TrimPrefix(path, "leadbus/"), "internal/")
		}
		ours := []string{}
		for _, i := range p.Imports {
			if strings.HasPrefix(i, "leadbus/") {
				ours = append(ours, short(i))
			}
		}
		uses[short(p.ImportPath)] = ours
	}
	level := map[string]int{}
	var height func(string) int
	height = func(p string) int {
		if level[p] == 0 {
			level[p] = 1
			for _, u := range uses[p] {
				level[p] = max(level[p], height(u)+1)
			}
		}
		return level[p]
	}
	rows := slices.SortedFunc(maps.Keys(uses), func(a, b string) int {
		if d := height(a) - height(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	var b strings.Builder
	for i, p := range rows {
		if i > 0 && height(p) != height(rows[i-1]) {
			b.WriteByte('\n')
		}
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-15s %s", p, strings.Join(uses[p], " ")), " ") + "\n")
	}
	return b.String()
}
