package site

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"leadbus/internal/lead"
)

// shapes are the columns that hold more than one text.
var shapes = map[string]func(cell yaml.Node) *yaml.Node{
	"services": list, "places": list, "languages": list,
	"hours": pairs, "caps": pairs, "leave": leaves,
}

// columns are all there are.
var columns = slices.Concat(required, []string{"active", "priority", "hours", "after_hours", "leave", "caps"}, lead.Channels)

// required are the columns every file has.
var required = []string{"id", "market", "name", "services", "places", "languages"}

// csv reads rows as the nodes that YAML would have made of them, so that both are
// checked by the same rules; nil when there are none. absent are the faults that
// every row has for want of a column.
func (d *document) csv(data []byte) (_ *yaml.Node, absent []string) {
	in := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	in.FieldsPerRecord = -1
	header := d.record(in)
	var names []string
	for _, cell := range header {
		switch {
		case !slices.Contains(columns, cell.Value):
			d.add(cell, "unknown column %q; columns are %s", cell.Value, strings.Join(columns, ", "))
		case slices.Contains(names, cell.Value):
			d.add(cell, "column %s is given twice", cell.Value)
		}
		names = append(names, cell.Value)
	}
	for _, name := range required {
		if header != nil && !slices.Contains(names, name) {
			d.add(header[0], "column %s is missing", name)
			absent = append(absent, fmt.Sprintf("%q is missing", name))
		}
	}
	var providers []*yaml.Node
	for {
		record := d.record(in)
		if record == nil {
			break
		}
		if len(record) != len(names) {
			d.add(record[0], "this line has %d cells, the first line has %d", len(record), len(names))
			continue
		}
		row := mapping(yaml.Node{Line: record[0].Line, Column: 1})
		for i, cell := range record {
			// A faulty column was told in the first line.
			if cell.Value == "" || !slices.Contains(columns, names[i]) || slices.Contains(names[:i], names[i]) {
				continue
			}
			value := cell
			if shape := shapes[names[i]]; shape != nil {
				value = shape(*cell)
			}
			typed(value, names[i])
			row.Content = append(row.Content, cellText(*cell, names[i]), value)
		}
		providers = append(providers, row)
	}
	if len(providers) == 0 {
		if len(d.faults) == 0 {
			d.add(nil, "there are no providers in this file")
		}
		return nil, nil
	}
	top := yaml.Node{Line: 1, Column: 1}
	return mapping(top, cellText(top, "providers"), sequence(top, providers...)), absent
}

// typed marks what is no text, so that it is checked as in YAML.
func typed(cell *yaml.Node, column string) {
	switch column {
	case "active", "after_hours":
		if v := strings.ToLower(cell.Value); v == "true" || v == "false" {
			cell.Tag = "!!bool"
		}
	case "priority":
		cell.Tag = "!!int"
	case "caps":
		for i := 1; i < len(cell.Content); i += 2 {
			cell.Content[i].Tag = "!!int"
		}
	}
}

// record reads one line's cells; nil at the end of what can be read.
func (d *document) record(in *csv.Reader) []*yaml.Node {
	texts, err := in.Read()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		at, message := &yaml.Node{}, err.Error()
		var syntax *csv.ParseError
		if errors.As(err, &syntax) {
			at.Line, at.Column, message = syntax.Line, syntax.Column, syntax.Err.Error()
		}
		d.add(at, "%s", message)
		return nil
	}
	cells := make([]*yaml.Node, len(texts))
	for i, text := range texts {
		line, column := in.FieldPos(i)
		cells[i] = cellText(yaml.Node{Line: line, Column: column}, strings.TrimSpace(text))
	}
	return cells
}

// cellText is a text in a cell's place.
func cellText(cell yaml.Node, text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: strings.TrimSpace(text), Line: cell.Line, Column: cell.Column}
}

// sequence is a list in a cell's place.
func sequence(cell yaml.Node, items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: cell.Line, Column: cell.Column, Content: items}
}

// mapping has keys and values in a cell's place, each key before its value.
func mapping(cell yaml.Node, content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: cell.Line, Column: cell.Column, Content: content}
}

// list reads "a; b".
func list(cell yaml.Node) *yaml.Node {
	out := sequence(cell)
	for item := range strings.SplitSeq(cell.Value, ";") {
		if item = strings.TrimSpace(item); item != "" {
			out.Content = append(out.Content, cellText(cell, item))
		}
	}
	return out
}

// pairs reads "a 1; b 2".
func pairs(cell yaml.Node) *yaml.Node {
	out := mapping(cell)
	for _, item := range list(cell).Content {
		key, value, _ := strings.Cut(item.Value, " ")
		out.Content = append(out.Content, cellText(cell, key), cellText(cell, value))
	}
	return out
}

// leaves reads "2026-12-24..2027-01-02; 2027-02-01".
func leaves(cell yaml.Node) *yaml.Node {
	out := list(cell)
	for i, item := range out.Content {
		from, until, ranged := strings.Cut(item.Value, "..")
		if !ranged {
			until = from
		}
		out.Content[i] = mapping(cell, cellText(cell, "from"), cellText(cell, from), cellText(cell, "until"), cellText(cell, until))
	}
	return out
}
