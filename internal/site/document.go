package site

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"go.yaml.in/yaml/v4"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

//go:embed schema.json
var schemaJSON []byte

// schemaURL names the schema inside the process; nothing is fetched.
const schemaURL = "https://leadbus.example/schema.json"

// Kinds of file: the definitions of the schema.
const (
	marketFile    = "market"
	siteFile      = "site"
	servicesFile  = "services"
	trackersFile  = "trackers"
	templatesFile = "templates"
)

// compiler compiles definitions of the schema, each once. A schema that cannot be
// compiled is a fault of the binary.
var compiler = sync.OnceValue(func() *jsonschema.Compiler {
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaJSON))
	if err != nil {
		panic(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(schemaURL, schema); err != nil {
		panic(err)
	}
	return c
})

// compiling is held by whoever uses the compiler.
var compiling sync.Mutex

// definition is the part of the schema that a URL points to.
func definition(url string) *jsonschema.Schema {
	compiling.Lock()
	defer compiling.Unlock()
	def := compiler().MustCompile(url)
	for def.Ref != nil {
		def = def.Ref
	}
	return def
}

// document is one file: its nodes and what is wrong with it.
type document struct {
	file   string
	root   *yaml.Node // the top mapping; nil when the file is not readable as YAML
	faults []Fault
	form   int // how many of the faults are of form, found by check
}

// where leads to a node: keys and indices.
type where []any

// parse reads the nodes of a file; nil when it is not YAML.
func (d *document) parse(data []byte) *yaml.Node {
	var node yaml.Node
	if err := yaml.Load(data, &node); err != nil {
		d.loadFaults(err)
		return nil
	}
	return node.Content[0]
}

// check reads nodes into out, as far as that is possible, and collects every
// fault of their form: unknown and repeated keys, kinds of values.
func (d *document) check(fileKind string, root *yaml.Node, out any) {
	d.root = root
	defer func() { d.form = len(d.faults) }()
	if root == nil {
		return
	}
	value, ok := d.plain(root)
	if !ok {
		return
	}
	var invalid *jsonschema.ValidationError
	if err := definition(schemaURL + "#/$defs/" + fileKind).Validate(value); errors.As(err, &invalid) {
		d.violations(invalid)
	}
	// The schema has seen every unknown key and wrong kind; what remains are
	// keys given twice.
	if err := root.Decode(out); err != nil {
		d.loadFaults(err)
	}
}

// loadFaults takes over what the YAML library found, except on lines that have
// a fault already.
func (d *document) loadFaults(err error) {
	var all *yaml.LoadErrors
	var one *yaml.LoadError
	var found []*yaml.LoadError
	switch {
	case errors.As(err, &all):
		found = all.Errors
	case errors.As(err, &one):
		found = []*yaml.LoadError{one}
	default:
		found = []*yaml.LoadError{{Message: err.Error()}}
	}
	before := len(d.faults)
	for _, e := range found {
		line := max(e.Mark.Line, 1)
		if slices.ContainsFunc(d.faults[:before], func(f Fault) bool { return f.Line == line }) {
			continue
		}
		d.add(&yaml.Node{Line: line, Column: e.Mark.Column}, "%s", strings.TrimPrefix(e.Message, "yaml: "))
	}
}

// plain is the node as the values of JSON, which the schema is written for. A
// node that has no such value is a fault.
func (d *document) plain(n *yaml.Node) (any, bool) {
	before := len(d.faults)
	var walk func(n *yaml.Node) any
	walk = func(n *yaml.Node) any {
		switch n.Kind {
		case yaml.MappingNode:
			m := make(map[string]any, len(n.Content)/2)
			for i := 0; i+1 < len(n.Content); i += 2 {
				key := n.Content[i]
				if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
					d.add(key, "a key is a plain word; anchors and merges are not used in this configuration")
					continue
				}
				m[key.Value] = walk(n.Content[i+1])
			}
			return m
		case yaml.SequenceNode:
			s := make([]any, len(n.Content))
			for i, c := range n.Content {
				s[i] = walk(c)
			}
			return s
		case yaml.ScalarNode:
			return scalar(n)
		default:
			d.add(n, "write the value out; anchors and merges are not used in this configuration")
			return nil
		}
	}
	return walk(n), len(d.faults) == before
}

func scalar(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		var f float64
		if err := n.Decode(&f); err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return n.Value
		}
		return f
	default: // dates too: the structs hold them as text
		return n.Value
	}
}

// violations turns the validator's tree of errors into faults.
func (d *document) violations(e *jsonschema.ValidationError) {
	at := make(where, len(e.InstanceLocation))
	for i, step := range e.InstanceLocation {
		at[i] = step
	}
	def := definition(e.SchemaURL)
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		for _, key := range k.Properties {
			hint := didYouMean(key, def.Properties)
			for pattern := range def.PatternProperties {
				hint = "; want one of " + strings.ReplaceAll(strings.Trim(pattern.String(), "^$()"), "|", ", ")
			}
			d.keyFault(append(slices.Clone(at), key), "unknown key %q%s", key, hint)
		}
	case *kind.Required:
		for _, key := range k.Missing {
			d.fault(at, "%q is missing", key)
		}
	case *kind.Type:
		hint := ""
		if slices.Contains(k.Want, "string") && (k.Got == "number" || k.Got == "boolean") {
			hint = "; put it in quotes"
		}
		d.fault(at, "want %s, got %s%s", inWords.Replace(strings.Join(k.Want, " or ")), inWords.Replace(k.Got), hint)
	case *kind.Enum, *kind.Pattern, *kind.AnyOf, *kind.MinLength, *kind.MaxLength, *kind.ExclusiveMinimum, *kind.Minimum, *kind.Maximum, *kind.MinItems, *kind.MinProperties:
		d.fault(at, "want %s", wanted(def))
	default:
		if len(e.Causes) == 0 {
			d.fault(at, "%s", e.ErrorKind.LocalizedString(printer))
		}
		for _, cause := range e.Causes {
			d.violations(cause)
		}
	}
}

// inWords says the types of JSON as people do who write YAML.
var inWords = strings.NewReplacer("array", "a list", "object", "keys and values", "boolean", "true or false", "integer", "a whole number", "null", "nothing")

var printer = message.NewPrinter(language.English)

// wanted says in words what a definition asks for.
func wanted(def *jsonschema.Schema) string {
	if def.Enum == nil {
		return def.Description
	}
	words := make([]string, len(def.Enum.Values))
	for i, v := range def.Enum.Values {
		words[i] = fmt.Sprint(v)
	}
	return "one of " + strings.Join(words, ", ")
}

// fault notes what is wrong with the value a path leads to, or with the
// nearest thing above it that exists.
func (d *document) fault(p where, format string, args ...any) {
	key, value := d.find(p)
	n := key
	if n == nil || value.Kind == yaml.ScalarNode && value.Value != "" {
		n = value
	}
	d.add(n, format, args...)
}

// keyFault notes what is wrong with the key a path leads to.
func (d *document) keyFault(p where, format string, args ...any) {
	key, value := d.find(p)
	if key == nil {
		key = value
	}
	d.add(key, format, args...)
}

func (d *document) add(n *yaml.Node, format string, args ...any) {
	f := Fault{File: d.file, Line: 1, Column: 1, Message: fmt.Sprintf(format, args...)}
	if n != nil {
		f.Line, f.Column = max(n.Line, 1), max(n.Column, 1)
	}
	if slices.ContainsFunc(d.faults[:d.form], func(g Fault) bool { return g.Line == f.Line && g.Column == f.Column }) {
		return // a value of the wrong form means nothing either
	}
	d.faults = append(d.faults, f)
}

// find walks a path as far as it leads: to a value, and the key it stands
// under (nil for an item of a list and for the whole document).
func (d *document) find(p where) (key, value *yaml.Node) {
	value = d.root
	for _, step := range p {
		under, next := child(value, fmt.Sprint(step))
		if next == nil {
			break
		}
		key, value = under, next
	}
	return key, value
}

// child is one step of a path; nil when it leads nowhere.
func child(n *yaml.Node, step string) (key, value *yaml.Node) {
	if n == nil {
		return nil, nil
	}
	for i := range n.Content {
		switch {
		case n.Kind == yaml.MappingNode && i%2 == 0 && n.Content[i].Value == step:
			return n.Content[i], n.Content[i+1]
		case n.Kind == yaml.SequenceNode && strconv.Itoa(i) == step:
			return nil, n.Content[i]
		}
	}
	return nil, nil
}
