// Package place turns what a caller said about where and what into the ids the
// roster uses: a place of the site's market, a service of the site.
package place

// Place is one row of a market's working list.
type Place struct {
	ID        string   `yaml:"id"`
	Name      string   `yaml:"name"`
	Parent    string   `yaml:"parent,omitempty"` // the place it is part of
	Postcodes []string `yaml:"postcodes,omitempty"`
	Aliases   []string `yaml:"aliases,omitempty"`
}

// Decoy is a place that is known and out of area; it stops a fuzzy match.
type Decoy struct {
	Name    string   `yaml:"name"`
	Aliases []string `yaml:"aliases,omitempty"`
}
