package site

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Editors check with the schema, the program decodes into the structs: every
// key of the one must be in the other.
func TestSchemaAndStructsAgree(t *testing.T) {
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
		agree(t, fileKind, definition(schemaURL+"#/$defs/"+fileKind), reflect.TypeOf(of))
	}
}

func agree(t *testing.T, where string, def *jsonschema.Schema, of reflect.Type) {
	t.Helper()
	for def != nil && def.Ref != nil {
		def = def.Ref
	}
	if def == nil {
		t.Errorf("%s: no schema", where)
		return
	}
	switch of.Kind() {
	case reflect.Struct:
		if def.AdditionalProperties != false {
			t.Errorf("%s: unknown keys are allowed", where)
		}
		fields := map[string]reflect.Type{}
		for i := range of.NumField() {
			if key, _, _ := strings.Cut(of.Field(i).Tag.Get("yaml"), ","); key != "-" {
				fields[key] = of.Field(i).Type
			}
		}
		if d := cmp.Diff(slices.Sorted(maps.Keys(def.Properties)), slices.Sorted(maps.Keys(fields))); d != "" {
			t.Errorf("%s: schema (-) and struct (+): %s", where, d)
		}
		for key, field := range fields {
			agree(t, where+"."+key, def.Properties[key], field)
		}
	case reflect.Slice:
		agree(t, where+"[]", def.Items2020, of.Elem())
	case reflect.Map:
		values := slices.Concat(slices.Collect(maps.Values(def.PatternProperties)), slices.Collect(maps.Values(def.Properties)))
		if any, ok := def.AdditionalProperties.(*jsonschema.Schema); ok {
			values = append(values, any)
		}
		if len(values) == 0 {
			t.Errorf("%s: no schema for the values of a map", where)
		}
		for _, v := range values {
			agree(t, where+"{}", v, of.Elem())
		}
	default:
		want := map[reflect.Kind]string{reflect.String: "string", reflect.Bool: "boolean", reflect.Float64: "number", reflect.Int: "integer"}[of.Kind()]
		if of == reflect.TypeFor[time.Duration]() {
			want = "string"
		}
		var got []string
		if def.Types != nil {
			got = def.Types.ToStrings()
		}
		if !slices.Equal(got, []string{want}) && (def.Enum == nil || want != "string") {
			t.Errorf("%s: schema says %v, struct %v", where, got, of)
		}
	}
}
