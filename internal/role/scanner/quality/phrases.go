package quality

import (
	_ "embed"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"

	"leadbus/internal/text"
)

//go:embed phrases.yaml
var shipped []byte

// language is one language of phrases.yaml, which explains the lists.
type language struct {
	Closings    phrases `yaml:"closings"`
	NotClosings phrases `yaml:"not_closings"`
	Promises    phrases `yaml:"promises"`
	Unless      phrases `yaml:"unless"`
	AI          phrases `yaml:"ai"`
	Recording   phrases `yaml:"recording"`
	Spam        phrases `yaml:"spam"`
	Offers      phrases `yaml:"offers"`
	Refusals    phrases `yaml:"refusals"`
	WrongNumber phrases `yaml:"wrong_number"`
	Asked       phrases `yaml:"asked"`
	Numerals    phrases `yaml:"numerals"`
	Words       phrases `yaml:"words"`
}

// phrases match normalised text on word boundaries.
type phrases struct {
	list []string
	re   *regexp.Regexp
}

// UnmarshalYAML compiles the list.
func (p *phrases) UnmarshalYAML(node *yaml.Node) (err error) {
	if err = node.Decode(&p.list); err == nil {
		p.re, err = regexp.Compile(`\b(?:` + strings.Join(p.list, "|") + `)\b`)
	}
	return err
}

func (p phrases) in(normal string) bool { return p.re.MatchString(normal) }

func (p phrases) count(normal string) int { return len(p.re.FindAllString(normal, -1)) }

// languages are those of phrases.yaml, by two letters.
var languages = sync.OnceValue(func() map[string]*language {
	return text.Shipped[map[string]*language](shipped)
})

// spoken are the languages of the codes, all of them when none is known.
func spoken(codes []string) []*language {
	var out []*language
	for _, code := range codes {
		if l := languages()[code]; l != nil && !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	if out == nil {
		return slices.Collect(maps.Values(languages()))
	}
	return out
}

// tongue is the language a normalised text is in, empty when that is not clear.
func tongue(normal string) string {
	best, code, second := 0, "", 0
	for _, c := range slices.Sorted(maps.Keys(languages())) {
		switch n := languages()[c].Words.count(normal); {
		case n > best:
			best, code, second = n, c, best
		case n > second:
			second = n
		}
	}
	if best < 3 || best < second+2 {
		return ""
	}
	return code
}

// blank reports whether a value, though not empty, says nothing.
func blank(value string) bool {
	return text.NoName(strings.ReplaceAll(value, " ", "")) || text.NoName(value)
}
