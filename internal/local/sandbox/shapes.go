package sandbox

import (
	"bytes"
	"embed"
	"encoding/json"
	"text/template"
	"time"
)

//go:embed shapes
var shapeFiles embed.FS

// shapes are what the vendors' APIs show, in JSON.
var shapes = template.Must(template.New("").Funcs(template.FuncMap{
	"json": func(v any) (string, error) {
		b, err := json.Marshal(v)
		return string(b), err
	},
	"stamp": func(t time.Time) string {
		if t.IsZero() {
			return "null"
		}
		return t.Format(`"` + time.RFC1123Z + `"`)
	},
	"domain":  domainOf,
	"failure": func(fate string) any { return numbers.Failures[fate] },
}).ParseFS(shapeFiles, "shapes/*"))

// shape fills one of the shapes.
func shape(name string, of any) json.RawMessage {
	var b bytes.Buffer
	if err := shapes.ExecuteTemplate(&b, name+".json.tmpl", of); err != nil {
		panic(err) // the shapes are ours
	}
	return b.Bytes()
}
