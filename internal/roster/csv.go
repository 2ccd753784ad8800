package roster

import (
	"bytes"
	"encoding/csv"
	"errors"
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

func (r *reader) csv(data []byte) []*yaml.Node {
	in := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	in.FieldsPerRecord = -1
	header := r.record(in)
	if header == nil {
		return nil
	}
	var names []string
	for _, cell := range header {
		switch {
		case !slices.Contains(columns, cell.Value):
			r.fault(cell, "unknown column %q; columns are %s", cell.Value, strings.Join(columns, ", "))
		case slices.Contains(names, cell.Value):
			r.fault(cell, "column %s is given twice", cell.Value)
		}
		names = append(names, cell.Value)
	}
	for _, name := range required {
		if !slices.Contains(names, name) {
			r.fault(header[0], "column %s is missing", name)
			r.noted[name] = true
		}
	}
	var rows []*yaml.Node
	for {
		record := r.record(in)
		if record == nil {
			return rows
		}
		if len(record) != len(names) {
			r.fault(record[0], "this line has %d cells, the first line has %d", len(record), len(names))
			continue
		}
		row := &yaml.Node{Kind: yaml.MappingNode, Line: record[0].Line, Column: 1}
		for i, cell := range record {
			// A faulty column was told in the first line.
			if cell.Value == "" || !slices.Contains(columns, names[i]) || slices.Contains(names[:i], names[i]) {
				continue
			}
			value := cell
			if shape := shapes[names[i]]; shape != nil {
				value = shape(*cell)
			}
			row.Content = append(row.Content, scalar(*cell, names[i]), value)
		}
		rows = append(rows, row)
	}
}

// record reads one line's cells; nil at the end of what can be read.
func (r *reader) record(in *csv.Reader) []*yaml.Node {
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
		r.fault(at, "%s", message)
		return nil
	}
	cells := make([]*yaml.Node, len(texts))
	for i, text := range texts {
		line, column := in.FieldPos(i)
		cells[i] = scalar(yaml.Node{Line: line, Column: column}, strings.TrimSpace(text))
	}
	return cells
}

// scalar is a text in a cell's place.
func scalar(cell yaml.Node, text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: strings.TrimSpace(text), Line: cell.Line, Column: cell.Column}
}

// list reads "a; b".
func list(cell yaml.Node) *yaml.Node {
	out := &yaml.Node{Kind: yaml.SequenceNode, Line: cell.Line, Column: cell.Column}
	for item := range strings.SplitSeq(cell.Value, ";") {
		if item = strings.TrimSpace(item); item != "" {
			out.Content = append(out.Content, scalar(cell, item))
		}
	}
	return out
}

// pairs reads "a 1; b 2".
func pairs(cell yaml.Node) *yaml.Node {
	out := list(cell)
	out.Kind = yaml.MappingNode
	var content []*yaml.Node
	for _, item := range out.Content {
		key, value, _ := strings.Cut(item.Value, " ")
		content = append(content, scalar(cell, key), scalar(cell, value))
	}
	out.Content = content
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
		out.Content[i] = &yaml.Node{Kind: yaml.MappingNode, Line: cell.Line, Column: cell.Column, Content: []*yaml.Node{
			scalar(cell, "from"), scalar(cell, from), scalar(cell, "until"), scalar(cell, until),
		}}
	}
	return out
}
