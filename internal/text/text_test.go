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

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"geneve", "geneve", 0}, {"geneve", "genve", 1}, {"0791", "0719", 2}, {"kitten", "sitting", 3}} {
		if got := Distance(c.a, c.b); got != c.want {
			t.Errorf("Distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
