package site

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	_ "time/tzdata" // zones load alike on every machine

	"github.com/hbollon/go-edlib"
)

// Load reads and checks a configuration directory. An error is either the
// directory's (it cannot be read) or Faults: everything that is wrong anywhere,
// because something outside the site files is. Faults of site files alone are
// no error; they are in Catalog.Broken.
func Load(dir string) (*Catalog, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("configuration: %w; set LEADBUS_CONFIG to its directory", err)
	}
	return load(os.DirFS(dir), dir)
}

// loader is one reading of a directory.
type loader struct {
	*Catalog
	fsys fs.FS
	dir  string

	faults  []Fault         // outside the site files
	unsound map[string]bool // files whose names cannot be relied on, so that nothing is said about references into them
	dids    map[string]string
	agents  map[string]string // agent id → file that has it
}

func load(fsys fs.FS, dir string) (*Catalog, error) {
	l := &loader{
		fsys: fsys, dir: dir,
		Catalog: &Catalog{
			Markets: map[string]*Market{}, Sites: map[string]*Site{}, Broken: map[string][]Fault{},
		},
		unsound: map[string]bool{}, dids: map[string]string{}, agents: map[string]string{},
	}
	l.services()
	l.trackers()
	l.templates()
	if err := l.each("markets", l.market); err != nil {
		return nil, err
	}
	if err := l.each("sites", l.site); err != nil {
		return nil, err
	}
	if len(l.faults) > 0 {
		return nil, Faults(sorted(append(l.faults, l.Faults()...)))
	}
	return l.Catalog, nil
}

// each calls f with every YAML file of a folder, in the order of their names.
func (l *loader) each(folder string, f func(name, stem string)) error {
	entries, err := fs.ReadDir(l.fsys, folder)
	if err != nil {
		return fmt.Errorf("configuration: %w; set LEADBUS_CONFIG to its directory", err)
	}
	for _, e := range entries {
		name := path.Join(folder, e.Name())
		stem, isYAML := strings.CutSuffix(e.Name(), ".yaml")
		switch {
		case strings.HasPrefix(stem, "."):
		case e.IsDir() || !isYAML:
			l.faults = append(l.faults, Fault{File: l.path(name), Line: 1, Column: 1, Message: "only files named *.yaml belong here"})
		default:
			f(name, stem)
		}
	}
	return nil
}

// read parses one file; what it holds lands in out as far as possible.
func (l *loader) read(name, fileKind string, out any) *document {
	d := &document{file: l.path(name)}
	data, err := fs.ReadFile(l.fsys, name)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		d.add(nil, "%s", err)
		return d
	}
	d.check(fileKind, d.parse(data), out)
	return d
}

// done keeps the faults of a file outside the site files.
func (l *loader) done(name string, d *document) {
	if len(d.faults) > 0 {
		l.unsound[name] = true
	}
	l.faults = append(l.faults, d.faults...)
}

func (l *loader) path(name string) string { return filepath.Join(l.dir, filepath.FromSlash(name)) }

func sorted(faults []Fault) []Fault {
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(faults)
}

// didYouMean proposes the known name nearest to one that is not known.
func didYouMean[V any](name string, known map[string]V) string {
	best, distance := "", 3
	for _, k := range slices.Sorted(maps.Keys(known)) {
		if d := edlib.LevenshteinDistance(name, k); d < distance && d < len(name) {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
