package scenario

import (
	"reflect"
	"strings"
	"testing"
)

// A word that is missing would leave somebody in a call with nothing to say.
func TestEveryLanguageHasEveryWord(t *testing.T) {
	english := reflect.ValueOf(spoken["en"])
	for language, w := range spoken {
		v := reflect.ValueOf(w)
		for i := range v.NumField() {
			said, want := v.Field(i).String(), english.Field(i).String()
			if said == "" || strings.Count(said, "%s") != strings.Count(want, "%s") {
				t.Errorf("%s: %s is %q", language, v.Type().Field(i).Name, said)
			}
		}
	}
}
