// Package text brings text into the one form in which spoken words, names and
// aliases are compared, and reads the tables of words that the binary holds.
package text

import (
	_ "embed"
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

//go:embed blank.yaml
var blankFile []byte

var blanks = func() map[string]map[string]bool {
	sets := map[string]map[string]bool{}
	for name, list := range Shipped[map[string][]string](blankFile) {
		sets[name] = map[string]bool{}
		for _, s := range list {
			sets[name][s] = true
		}
	}
	return sets
}()

// Blank reports whether a text, though something was sent, says nothing: "N/A",
// "null", "non fourni".
func Blank(s string) bool { return len(s) <= longestBlank && blank(s, Normal(s)) }

// longestBlank is longer than any text that says nothing, in bytes.
const longestBlank = 40

func blank(s, normal string) bool {
	if len(s) > longestBlank {
		return false
	}
	if normal == "" { // an emoji says something
		return !strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.So, r) })
	}
	i := max(strings.LastIndexByte(normal, ' '), 0)
	return blanks["blank"][normal] || blanks["negations"][normal[:i]] && blanks["participles"][strings.TrimSpace(normal[i:])]
}

// NoName reports whether a text is nobody's name: it is blank, a word for whoever
// calls, a letter, or one digit repeated.
func NoName(s string) bool {
	normal := Normal(s)
	return blank(s, normal) || blanks["names"][normal] || len(normal) < 2 || normal[0] <= '9' && strings.Trim(normal, normal[:1]) == ""
}

// NoID reports whether a text stands for an id of a vendor's and is none: a word
// of a template, a short number, one character repeated.
func NoID(s string) bool {
	normal := Normal(s)
	same := strings.Trim(strings.ReplaceAll(normal, " ", ""), normal[:min(1, len(normal))]) == ""
	short := len(normal) < 10 && strings.Trim(normal, "0123456789") == ""
	return blank(s, normal) || blanks["ids"][normal] || strings.HasPrefix(normal, "system ") || same || short
}
