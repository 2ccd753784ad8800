package text

import "testing"

func TestNormal(t *testing.T) {
	for in, want := range map[string]string{
		"  Près  de l’Étang, ":   "pres de l etang",
		"Plan-les-Ouates":        "plan les ouates",
		"GRÜEZI Straße":          "gruezi strasse",
		"cœur / Øre / Łódź":      "coeur ore lodz",
		"１２２７ Carouge²":          "1227 carouge2",
		"İzmir":                  "izmir",
		"":                       "",
		" \x00\n—":               "",
		"مرتا":                   "مرتا",
		"a\u0301\u0302\u0303 b.": "a b",
		"\xff\xfe":               "",
	} {
		if got := Normal(in); got != want {
			t.Errorf("Normal(%q) = %q, want %q", in, got, want)
		}
		if again := Normal(want); again != want {
			t.Errorf("Normal(%q) = %q: normalising twice differs", want, again)
		}
	}
}
