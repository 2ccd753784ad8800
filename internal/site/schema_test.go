package site

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Editors check with the schema, the program decodes into the structs: every
// key of the one must be in the other.
func TestSchemaAndStructsAgree(t *testing.T) {
	s, err := compileSchemas()
	if err != nil {
		t.Fatal(err)
	}
	for fileKind, of := range map[string]any{
		marketFile: Market{}, siteFile: Site{}, servicesFile: struct {
			Services []Service           `yaml:"services"`
			Trades   map[string][]string `yaml:"trades"`
		}{}, trackersFile: struct {
			Trackers []Tracker `yaml:"trackers"`
		}{}, templatesFile: struct {
			Templates []Template `yaml:"templates"`
		}{},
	} {
		agree(t, s, fileKind, s.at("#/$defs/"+fileKind), reflect.TypeOf(of))
	}
}

func agree(t *testing.T, s *schemas, where string, def map[string]any, of reflect.Type) {
	t.Helper()
	if ref, ok := def["$ref"].(string); ok {
		def = s.at(ref)
	}
	inner := func(key string) map[string]any {
		m, _ := def[key].(map[string]any)
		return m
	}
	switch of.Kind() {
	case reflect.Struct:
		if def["additionalProperties"] != false {
			t.Errorf("%s: unknown keys are allowed", where)
		}
		fields := map[string]reflect.Type{}
		for i := range of.NumField() {
			if key, _, _ := strings.Cut(of.Field(i).Tag.Get("yaml"), ","); key != "-" {
				fields[key] = of.Field(i).Type
			}
		}
		properties := inner("properties")
		if d := cmp.Diff(slices.Sorted(maps.Keys(properties)), slices.Sorted(maps.Keys(fields))); d != "" {
			t.Errorf("%s: schema (-) and struct (+): %s", where, d)
		}
		for key, field := range fields {
			p, _ := properties[key].(map[string]any)
			agree(t, s, where+"."+key, p, field)
		}
	case reflect.Slice:
		agree(t, s, where+"[]", inner("items"), of.Elem())
	case reflect.Map:
		values := slices.Concat(slices.Collect(maps.Values(inner("patternProperties"))), slices.Collect(maps.Values(inner("properties"))))
		if any := inner("additionalProperties"); any != nil {
			values = append(values, any)
		}
		if len(values) == 0 {
			t.Errorf("%s: no schema for the values of a map", where)
		}
		for _, v := range values {
			agree(t, s, where+"{}", v.(map[string]any), of.Elem())
		}
	default:
		want := map[reflect.Kind]string{reflect.String: "string", reflect.Bool: "boolean", reflect.Float64: "number"}[of.Kind()]
		if got := def["type"]; got != want && (def["enum"] == nil || want != "string") {
			t.Errorf("%s: schema says %v, struct %v", where, got, of)
		}
	}
}
