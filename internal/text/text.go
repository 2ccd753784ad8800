// Package text brings text into the one form in which spoken words, names and
// aliases are compared, and reads the tables of words that the binary holds.
package text

import (
	_ "embed"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

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
	names, _ := fs.Glob(files, folder+"/*.yaml") // only a bad pattern fails
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			panic(err)
		}
		all[strings.TrimSuffix(path.Base(name), ".yaml")] = Shipped[T](data)
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
	out := make([]byte, 0, len(s))
	space := false
	for _, r := range norm.NFKD.String(s) {
		if r = unicode.ToLower(r); !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			space = space || !unicode.Is(unicode.Mn, r)
			continue
		}
		if space && len(out) > 0 {
			out = append(out, ' ')
		}
		space = false
		if r > unicode.MaxASCII && letters[r] != "" {
			out = append(out, letters[r]...)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return string(out)
}

const digits = "0123456789"

// Snake writes a name as ours are: "customerName" and "Customer Name" are
// customer_name.
func Snake(name string) string {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_"+digits) == "" || len(name) > longestBlank {
		return name
	}
	return strings.ReplaceAll(Normal(apart(name)), " ", "_")
}

// apart has a space between the words of "customerName".
func apart(name string) string {
	for i := len(name) - 1; i > 0; i-- {
		if 'A' <= name[i] && name[i] <= 'Z' && 'a' <= name[i-1] && name[i-1] <= 'z' {
			name = name[:i] + " " + name[i:]
		}
	}
	return name
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

// kinds are kinds of words; phrases and titles are whole texts.
type kinds int

const phrases, titles, voids, negations, participles, things, others, callers, ids, samples kinds = 1, 2, 4, 8, 16, 32, 64, 128, 256, 512

// words are the kinds of each word, by its stem.
var words = func() map[string]kinds {
	of := map[string]kinds{}
	for name, list := range Shipped[map[string][]string](blankFile) {
		kind := slices.Index([]string{"phrases", "titles", "voids", "negations", "participles", "things", "others", "callers", "ids", "samples"}, name)
		for _, s := range list {
			of[stem(s)] |= 1 << kind
		}
	}
	return of
}()

// stem is a word without the vowels and the s at its end, by which its forms
// differ; a short word is its own.
func stem(word string) string {
	if short := strings.TrimRight(word, "aeios"); len(short) >= 5 {
		return short
	}
	return word
}

// all are those of some kinds that the words of a text are of; none when a word is
// of none.
func all(normal string, some kinds) (has kinds) {
	for w := range strings.FieldsSeq(normal) {
		of := words[stem(w)] & some
		if of == 0 {
			return 0
		}
		has |= of
	}
	return has
}

// longestBlank is longer than any text that says nothing, in bytes.
const longestBlank = 64

// unfilled is a variable of a template: "{{name}}", "${name}", "%name%".
var unfilled = regexp.MustCompile(`^(\{\{[^{}]*\}\}|\$?\{[^{}]*\}|%\w+%|\$[a-z]\w*)$`)

// Blank reports whether a text, though something was sent, says nothing: "N/A",
// "null", "non fourni", "{{name}}".
func Blank(s string) bool {
	if len(s) > longestBlank {
		return false
	}
	normal := Normal(s)
	if normal == "" { // an emoji says something
		return !strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.So, r) })
	}
	if words[stem(normal)]&phrases != 0 || strings.ContainsAny(s[:1], "{$%") && unfilled.MatchString(s) {
		return true
	}
	has := all(normal, voids|negations|participles|things|others)
	named := strings.ContainsAny(s[:1], "<[") || strings.Contains(s, "_") // "<address>", "customer_name"
	return has != 0 && (named || has&voids != 0 || has&negations != 0 && has&(participles|things) != 0)
}

// NoName reports whether a text is nobody's name: it is blank, a word for whoever
// calls, a title, a letter, or one digit repeated.
func NoName(s string) bool {
	normal := Normal(s)
	has := all(unnumbered(normal), callers|voids|things|others)
	return Blank(s) || words[stem(normal)]&titles != 0 || has&(callers|voids) != 0 && !strings.Contains(s, ". ") ||
		len(normal) < 2 || normal[0] <= '9' && strings.Trim(normal, normal[:1]) == ""
}

// unnumbered is a text without the digits at the ends of its words.
func unnumbered(normal string) string {
	words := strings.Split(normal, " ")
	for i, w := range words {
		words[i] = strings.TrimRight(w, digits)
	}
	return strings.Join(words, " ")
}

// NoID reports whether a text stands for an id of a vendor's and is none: words of
// a template, a short number, digits in their order, one character repeated. A
// number after a word for an id makes it one: "conv_7".
func NoID(s string) bool {
	normal := Normal(apart(s))
	plain := unnumbered(normal)
	has := all(plain, ids|samples|voids|negations|participles|things)
	bare := strings.ReplaceAll(normal, " ", "")
	if sid, ok := strings.CutPrefix(bare, "ca"); ok && len(sid) > 8 {
		bare = sid
	}
	return (has != 0 || plain == normal) && (Blank(s) || Blank(normal)) ||
		has != 0 && (plain == normal || has&ids == 0 || strings.Contains(normal, "123456")) ||
		strings.Trim(bare, bare[:min(1, len(bare))]) == "" ||
		strings.Trim(bare, digits) == "" && (len(bare) < 10 || strings.HasPrefix(strings.TrimPrefix(bare, "0"), "12345"))
}
