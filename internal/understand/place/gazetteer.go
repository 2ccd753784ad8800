// Package place turns what a caller said about where and what into the ids the
// roster uses: a place of the site's market, a service of the site.
package place

import (
	_ "embed"
	"math"
	"slices"
	"strings"

	"leadbus/internal/lead"
	"leadbus/internal/site"
	"leadbus/internal/text"
)

// Thresholds of the match by sound, measured on the traps in the tests: a
// place is taken only when it is near, clearly nearer than any other and long
// enough to mean something; what is merely near is a suggestion.
const (
	takeAt    = 0.92
	margin    = 0.08
	suggestAt = 0.80
	minLetter = 5
)

// maxDepth bounds the way from a place up to its last ancestor.
const maxDepth = 16

// Gazetteer resolves what callers say about where, within one market. It is
// built once and safe for concurrent use.
type Gazetteer struct {
	places    map[string]site.Place
	size      map[string]int      // how many places are part of one
	postcodes map[string][]string // place ids
	exact     map[string]named    // by normalised name or alias
	longest   int                 // words in the longest name
	forms     []sounding
}

// named is what a name stands for; a decoy has no id.
type named struct {
	id, name string
}

// sounding is one name of a place for the match by sound.
type sounding struct {
	named
	form
}

// NewGazetteer indexes a market's places and decoys. Of two equal names the
// earlier one stands, and a place before a decoy.
func NewGazetteer(places []site.Place, decoys []site.Decoy) *Gazetteer {
	g := &Gazetteer{places: map[string]site.Place{}, size: map[string]int{}, postcodes: map[string][]string{}, exact: map[string]named{}}
	for _, p := range places {
		g.places[p.ID] = p
		for _, code := range p.Postcodes {
			g.postcodes[code] = append(g.postcodes[code], p.ID)
		}
		g.add(named{p.ID, p.Name}, append([]string{p.Name, p.ID}, p.Aliases...))
	}
	for _, p := range places {
		for range maxDepth {
			if p = g.places[p.Parent]; p.ID == "" {
				break
			}
			g.size[p.ID]++
		}
	}
	for _, d := range decoys {
		g.add(named{name: d.Name}, append([]string{d.Name}, d.Aliases...))
	}
	return g
}

func (g *Gazetteer) add(n named, aliases []string) {
	for _, alias := range aliases {
		words := foldWords(alias)
		key := strings.Join(words, " ")
		if _, taken := g.exact[key]; taken || key == "" {
			continue
		}
		g.exact[key] = n
		g.longest = max(g.longest, len(words))
		g.forms = append(g.forms, sounding{n, newForm(words)})
	}
}

// Covers reports whether the place, or one it is part of, is among ids.
func (g *Gazetteer) Covers(ids []string, id string) bool {
	for range maxDepth {
		if id == "" {
			return false
		}
		if slices.Contains(ids, id) {
			return true
		}
		id = g.places[id].Parent
	}
	return false
}

// Name is the name of a place of the market, empty for an unknown id.
func (g *Gazetteer) Name(id string) string { return g.places[id].Name }

// Resolve finds the place that was said, in this order: a postcode, an exact
// name or id, a known place out of area, a name that sounds alike. A place that
// is known but not among those served (ids; a place serves its parts) is out of
// area and has a name only. A site that serves one place takes that one when
// nothing is understood.
func (g *Gazetteer) Resolve(said, postcode string, served []string) lead.Place {
	p := lead.Place{Raw: strings.TrimSpace(said)}
	if code := strings.TrimSpace(postcode); !strings.Contains(p.Raw, code) {
		p.Raw = strings.TrimSpace(code + " " + p.Raw)
	}
	found := g.find(foldWords(said), foldWords(postcode), served)
	p.Suggestion = found.suggestion
	switch {
	case found.id != "" && g.Covers(served, found.id):
		p.ID, p.Name, p.Method, p.Score = found.id, found.name, found.method, found.score
	case found.method != "" && !g.above(found.id, served):
		p.Name, p.Method, p.Score = found.name, "out_of_area", found.score
	case len(served) == 1:
		p.ID, p.Name, p.Method = served[0], g.Name(served[0]), "assumed"
	default: // nothing understood, or a region of which only parts are served
		p.Name, p.Method = found.name, "unknown"
	}
	return p
}

// Narrower reports whether a place says more than another: it is a part of it,
// or a smaller one where the other is a city.
func (g *Gazetteer) Narrower(id, than string) bool {
	return id != than && g.Covers([]string{than}, id) || id != "" && g.city(than) && g.size[id] < g.size[than]
}

// city reports whether a place is part of no other and has parts. Its name often
// stands for what is around it, too.
func (g *Gazetteer) city(id string) bool { return g.size[id] > 0 && g.places[id].Parent == "" }

// above reports whether one of the places served is part of the place.
func (g *Gazetteer) above(id string, served []string) bool {
	return id != "" && slices.ContainsFunc(served, func(s string) bool { return g.Covers([]string{id}, s) })
}

// find is what the text means, before it is held against the places served.
// Without a method nothing was found; a decoy has no id.
type find struct {
	named
	method     string
	score      float64
	suggestion string
}

func (g *Gazetteer) find(words, postcode, served []string) find {
	said := g.named(words)
	candidates := g.byPostcode(append(postcode, words...))
	if slices.ContainsFunc(candidates, func(id string) bool { return g.Covers([]string{id}, said.id) }) {
		return said // it says which part of the postcode's area
	}
	if parts := keep(candidates, func(id string) bool { return g.Covers([]string{said.id}, id) }); len(parts) > 0 {
		candidates = parts // the postcode says which part of the place
	}
	city := g.city(said.id)
	if len(candidates) == 0 || len(candidates) > 1 && said.method != "" && !city {
		return said
	}
	area := g.shared(candidates, said.suggestion, served)
	if city && (area.method == "" || area.id == said.id) {
		return said
	}
	return area
}

func keep(ids []string, kept func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !kept(id) })
}

// byPostcode are the places of the first known postcode among the words.
func (g *Gazetteer) byPostcode(words []string) []string {
	for _, w := range words {
		if ids := g.postcodes[w]; len(ids) > 0 {
			return ids
		}
	}
	return nil
}

// shared is what a postcode of several places tells: the one that was nearly
// said, else the place of which those served are parts, under their names.
func (g *Gazetteer) shared(candidates []string, suggestion string, served []string) find {
	if slices.Contains(candidates, suggestion) {
		return find{named: named{suggestion, g.Name(suggestion)}, method: "postcode", score: 1}
	}
	if here := keep(candidates, func(id string) bool { return g.Covers(served, id) }); len(here) > 0 {
		candidates = here
	}
	var names []string
	for _, id := range candidates {
		names = append(names, g.Name(id))
	}
	name := strings.Join(names, " / ")
	region := candidates[0]
	for range maxDepth {
		if !slices.ContainsFunc(candidates, func(id string) bool { return !g.Covers([]string{region}, id) }) {
			return find{named: named{region, name}, method: "postcode", score: 1}
		}
		region = g.places[region].Parent
	}
	return find{named: named{name: name}}
}

// named finds a place by its name in the text, exactly or by sound. Of two the
// narrower one counts, in either order: "Genève, Carouge" is Carouge.
func (g *Gazetteer) named(words []string) find {
	var region, decoy, street find
	var rest []string // words that are no exact name
	for i := 0; i < len(words); {
		n, length := g.longestName(words[i:])
		if length == 0 {
			rest = append(rest, words[i])
			i++
			continue
		}
		hit := find{named: n, method: "alias", score: 1}
		switch {
		case inStreet(words, i, i+length):
			street = find{suggestion: n.id}
		case n.id == "" && i+length < len(words) && near[words[i+length]]:
			return hit // "Annemasse, près de Genève" is not in Genève
		case n.id == "":
			decoy = hit
		case region.id == "" || g.Covers([]string{region.id}, n.id) || g.size[n.id] < g.size[region.id]:
			region = hit
		}
		i += length
	}
	if g.size[region.id] > 0 && !slices.ContainsFunc(rest, func(w string) bool { return streets[w] || streetEnds[w] }) {
		if part := g.bySound(rest); part.method != "" && g.size[part.id] < g.size[region.id] {
			return part
		}
	}
	for _, hit := range []find{region, decoy} {
		if hit.method != "" {
			return hit
		}
	}
	if street.suggestion != "" {
		return street
	}
	return g.bySound(words)
}

// longestName is the longest name that the words begin with, and its length in
// words.
func (g *Gazetteer) longestName(words []string) (named, int) {
	for length := min(g.longest, len(words)); length > 0; length-- {
		if n, ok := g.exact[strings.Join(words[:length], " ")]; ok {
			return n, length
		}
	}
	return named{}, 0
}

// bySound finds the place whose name is nearest in writing and sound.
func (g *Gazetteer) bySound(words []string) find {
	words = keep(words, func(w string) bool { return (w[0] < '0' || w[0] > '9') && !near[w] && !countries[w] })
	said := newForm(words)
	if len(said.text) == 0 || len(said.text) > maxFuzzy {
		return find{}
	}
	var first sounding
	var firstScore, secondScore float64
	scores := make([]float64, len(g.forms))
	for i, s := range g.forms {
		if scores[i] = likeness(said, s.form); scores[i] > firstScore {
			first, firstScore = s, scores[i]
		}
	}
	for i, s := range g.forms { // a name with words added to the nearest one ("Carouge VD") was not said
		added := strings.Count(s.text, " ") > strings.Count(first.text, " ") && strings.HasPrefix(s.sound, first.sound)
		if s.named != first.named && !added {
			secondScore = max(secondScore, scores[i])
		}
	}
	switch {
	case first.id == "" || firstScore < suggestAt: // nothing, or nearest to a place out of area
		return find{}
	case firstScore >= takeAt && firstScore-secondScore >= margin && len(said.text) >= minLetter:
		return find{named: first.named, method: "fuzzy", score: math.Round(firstScore*100) / 100}
	default:
		return find{suggestion: first.id}
	}
}

//go:embed words.yaml
var wordsFile []byte

// Words beside the name of a place.
var (
	table                    = text.Shipped[map[string]string](wordsFile)
	fillers, near, countries = text.Set(table["fillers"]), text.Set(table["near"]), text.Set(table["countries"])
	streets, streetEnds      = text.Set(table["streets"]), text.Set(table["street_ends"])
)

// inStreet reports whether the name at words[from:to] is part of a street's.
func inStreet(words []string, from, to int) bool {
	return from > 0 && streets[words[from-1]] || to < len(words) && streetEnds[words[to]]
}

// foldWords are the words of a text without fillers; text of nothing but
// fillers keeps them.
func foldWords(s string) []string {
	all := strings.Fields(text.Normal(s))
	kept := slices.DeleteFunc(slices.Clone(all), func(w string) bool { return fillers[w] })
	if len(kept) == 0 {
		return all
	}
	return kept
}
