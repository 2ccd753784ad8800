// Package text brings text into the one form in which spoken words, names and
// aliases are compared, and reads the tables of words that the binary holds.
package text

import (
	"io/fs"
	"path"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
	"golang.org/x/text/unicode/norm"
)

// Shipped reads a YAML table that is part of the binary, and panics when it is
// no T.
func Shipped[T any](data []byte) (table T) {
	if err := yaml.Load(data, &table, yaml.WithKnownFields()); err != nil {
		panic(err)
	}
	return table
}

// ShippedFiles reads the YAML tables of a folder in the binary, by file name
// without extension: one for each language.
func ShippedFiles[T any](files fs.FS, folder string) map[string]T {
	all := map[string]T{}
	names, err := fs.Glob(files, folder+"/*.yaml")
	for _, name := range names {
		var data []byte
		if data, err = fs.ReadFile(files, name); err != nil {
			break
		}
		all[strings.TrimSuffix(path.Base(name), ".yaml")] = Shipped[T](data)
	}
	if err != nil {
		panic(err)
	}
	return all
}

// letters are those that Unicode does not take apart.
var letters = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'þ': "th", 'ı': "i",
}

// Normal is s in lower case, without diacritics, with everything but letters and
// digits as single spaces, and trimmed: "Plan-les-Ouates" and "plan les ouates"
// are one. Full-width and raised characters become plain ones.
func Normal(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	space := false
	write := func(r rune) {
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(r)
	}
	for _, r := range norm.NFKD.String(s) {
		r = unicode.ToLower(r)
		switch {
		case r < unicode.MaxASCII && ('a' <= r && r <= 'z' || '0' <= r && r <= '9'):
			write(r)
		case unicode.Is(unicode.Mn, r):
		case letters[r] != "":
			for _, l := range letters[r] {
				write(l)
			}
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			write(r)
		default:
			space = true
		}
	}
	return b.String()
}

// Set are the words of a list.
func Set(list string) map[string]bool {
	m := map[string]bool{}
	for _, s := range strings.Fields(list) {
		m[s] = true
	}
	return m
}

// Distance is the number of bytes to insert, delete or replace to turn one text
// into the other.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
