package intake

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// An answer about consent is read in its words, in five languages, and what is none
// stays open.
func TestConsent(t *testing.T) {
	given := func(answer any) string {
		body, err := json.Marshal(map[string]any{"contact_consent": answer})
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		if r.ContactConsent == nil {
			return "open"
		}
		return fmt.Sprint(*r.ContactConsent)
	}
	for want, list := range map[string]string{
		"false": `No|NO.|nein!|Nein, danke|no grazie|non merci|f|n|N|off|0.0|FALSE|false |"false"|'no'|refuse|refusé|Refusée|verweigert|abgelehnt|widerrufen|nicht erteilt
keine Zustimmung|ditolak|tidak setuju|jangan|enggak|rifiutato|negato|revocato|non autorizzato|no consent|revoked|not granted|opt-out|opted out|optout|does not consent
disagree|pas d'accord|ne veut pas|nope|nö|nee|no, do not contact me|customer refused|not consented|no thanks|unsubscribe|retiré|never|ritirato|don't call|gak|bukan
disagreed|rejected|do not contact|non consenti|sans consentement|Customer declined|Declined by the caller|caller said no|No, he doesn't want to be called
wants no contact|veut pas être contacté|le client ne veut pas|ne souhaite pas être rappelé|Non, ne pas contacter|pas de consentement|aucun consentement
keine Einwilligung|Nein, nicht anrufen|Kunde lehnt ab|Kunde möchte nicht kontaktiert werden|nicht kontaktieren|non vuole essere contattato|nessun consenso
senza consenso|consenso negato|consenso revocato|tidak boleh dihubungi|jangan hubungi|pelanggan menolak|tanpa izin|tidak bersedia|belum setuju|Consent: no
consent withdrawn|consent=false|no_consent|NOT_GRANTED|did not agree|didn't consent|I do not agree|non d'accordo|refus du client|accord retiré|Zustimmung verweigert
Einwilligung widerrufen|hat abgelehnt|Nicht erlaubt|non autorisé|rifiuta|tidak mau|tidak mau dihubungi|denied|No!!!|0|NON|Nee|NEIN.|no (explicit)|false (withdrawn)
Withdrawn|opt_out|must not be contacted|do not call|prefers not to be contacted`,
		"true": `Yes|YES!|ja|Ja, gerne|sì|Sì.|oui bien sûr|d'accord|ok|OK|okay|1.0|t|y|on|TRUE|agreed|accepted|consented|erteilt|einverstanden|setuju|boleh|iya|accordé|donné|consenti
confirmed|no problem|kein Problem|pas de problème|nessun problema|tidak masalah|yes, no problem|sicher|natürlich|certo|certainement|va bene|approved|Customer agreed
caller said yes|Yes, call me after 6|yes, but don't call before 9|oui mais pas le matin|ja, aber nicht vor 18 Uhr|sì, ma non prima delle 9|ya, tapi jangan pagi
Oui, sans problème|oui, pas de souci|Ja, kein Problem|no objection|no objections|Kein Einwand|nessuna obiezione|tidak keberatan|consent given|consent: yes
Consentement donné|Einwilligung erteilt|consenso dato|izin diberikan|Given|granted|autorisé|erlaubt|autorizzato|diizinkan|Of course, yes|sure|Gerne|volentieri
volontiers|certainly|1|Y|True|"true"|customer consents|accepte|ok pour être contacté|yes (verbal)|YES - no worries`,
		"open": `null|unknown|n/a|not asked|non demandé|nicht gefragt|?|maybe|[]|{}|undefined|not specified|none|tidak ditanya|customer|Not asked yet|wurde nicht gefragt|pas demandé
non chiesto|tidak ditanyakan|belum ditanya|no answer|keine Antwort|pas de réponse|nicht angegeben|non specificato|tidak diketahui|keine Angabe|N/A|string|boolean
no information|pas précisé|{{contact_consent}}|not applicable|not provided|didn't ask|2|name`,
	} {
		for _, s := range strings.FieldsFunc(list, func(r rune) bool { return r == '\n' || r == '|' }) {
			if got := given(s); got != want {
				t.Errorf("%q: %s, want %s", s, got, want)
			}
		}
	}
	for want, answers := range map[string][]any{
		"false": {false, 0, json.Number("0.0"), []any{false}, []string{"no"}, map[string]any{"value": false}, map[string]any{"value": "Nein"}},
		"true":  {true, 1, json.Number("1.0"), []any{true}, map[string]any{"value": "ja"}},
		"open":  {nil, 2, []any{}, map[string]any{}, map[string]any{"value": nil}},
	} {
		for _, a := range answers {
			if got := given(a); got != want {
				t.Errorf("%v: %s, want %s", a, got, want)
			}
		}
	}
}
