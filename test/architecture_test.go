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

	"leadbus/internal/subjects"
)

var update = flag.Bool("update", false, "write what the test finds into the documents")

// The picture of the imports in docs/ARCHITECTURE.md is the true one: who uses
// whom, from the nouns up. An arrow never points to a later row.
func TestTheImportsAreDrawn(t *testing.T) { drawn(t, "imports", "```text\n"+picture(t)+"```\n") }

// The table of roles there is that of the program.
func TestTheRolesAreListed(t *testing.T) {
	or := func(items []string, otherwise string) string {
		if len(items) == 0 {
			return otherwise
		}
		return "`" + strings.Join(items, "`, `") + "`"
	}
	table := "| Role | Consumes | Publishes | Buckets it writes | and reads |\n| --- | --- | --- | --- | --- |\n"
	for _, r := range append([]subjects.Role{subjects.EdgeRole}, subjects.Roles...) {
		all := "every kind"
		if r.Name == subjects.Edge {
			all = "webhooks"
		}
		table += fmt.Sprintf("| %s | %s | %s | %s | %s |\n", r.Name, or(r.Consumes, all), or(r.Publishes, ""), or(r.Writes, ""), or(r.Reads, ""))
	}
	drawn(t, "roles", strings.ReplaceAll(table, "|  ", "| "))
}

// drawn compares a part of docs/ARCHITECTURE.md with what it should be.
func drawn(t *testing.T, part, now string) {
	t.Helper()
	const file = "../docs/ARCHITECTURE.md"
	begin, end := "<!-- "+part+" -->\n", "<!-- /"+part+" -->\n"
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(doc), begin)
	there, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the %s", file, part)
	}
	if there == now {
		return
	}
	if *update {
		if err := os.WriteFile(file, []byte(before+begin+now+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("the %s have changed; draw them anew with: go test ./test -run %s -update\n%s", part, t.Name(), now)
}

// floors are the rooms from the ground up. A package imports from floors below
// its own, and within its room.
var floors = [][]string{
	{"subjects", "text"},
	{"lead", "call", "event", "roster", "site"},
	{"story", "understand"},
	{"role/edge", "role/matcher", "role/notifier", "role/recorder", "role/scanner", "role/watch", "vendors", "engine", "local"},
	{"app"},
	{"cmd"},
}

// Imports point down, and roles, vendors and engine know nothing of each other.
// The nouns know each other in one direction, which the compiler holds.
func TestImportsPointDown(t *testing.T) {
	place := func(p string) (floor int, room string) {
		for floor, rooms := range floors {
			for _, room := range rooms {
				if p == room || strings.HasPrefix(p, room+"/") {
					return floor, room
				}
			}
		}
		t.Fatalf("package %s stands in no room", p)
		return 0, ""
	}
	const nouns = 1
	for p, uses := range imports(t) {
		floor, room := place(p)
		for _, u := range uses {
			if u == "supabase/migrations" {
				continue
			}
			below, other := place(u)
			switch tests := strings.HasSuffix(p, "test"); {
			case below > floor, below == floor && other != room && floor > nouns && !tests:
				t.Errorf("%s imports %s", p, u)
			case room == "role/notifier" && p != room && other == room:
				t.Errorf("%s imports %s: composing and sending do not know each other", p, u)
			}
		}
	}
}

// picture is a row for each package of ours, under all it imports.
func picture(t *testing.T) string {
	t.Helper()
	uses := imports(t)
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

// imports are the packages of ours with those of ours that each imports.
func imports(t *testing.T) map[string][]string {
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
	return uses
}
