package text

import (
	"strings"
	"testing"
)

// each calls f with the texts of a list, one after a line break or a bar.
func each(list string, f func(s string)) {
	for _, s := range strings.FieldsFunc(list, func(r rune) bool { return r == '\n' || r == '|' }) {
		f(s)
	}
}

// What stands for nothing is told from what says something, in five languages.
func TestBlank(t *testing.T) {
	each(`
Not specified|not provided|Not Provided.|not given|not stated|not mentioned|not available|not applicable|not known|not disclosed|not collected|not asked|not sure|unspecified|unknown
none given|none provided|none specified|none mentioned|nothing|nil|empty|blank|missing|undefined|null|NULL.|NaN|<null>|(none)|[none]|""|''|{}|[]|string|<string>|text|value
{{customer_name}}|{{ system__caller_id }}|<UNKNOWN>|[Name]|[customer name]|<customer_name>|[object Object]|N.A.|n.a.|n / a|N-A|#N/A|-|—|--|...|…|?|???|TBD|TBC|tba|to be confirmed
to be determined|No information|no info|no information provided|no data|information not available|I don't know|don't know|unsure|No address provided|no details|no details provided
No name given|no name|address not provided|name not provided|unknown address|unknown name|customer did not provide|caller did not say|not provided by caller
not provided by the customer|did not specify|didn't say|non fourni|non fournie|Non communiqué|non communiquée|non précisé|Non précisée|non renseigné|non renseignée|non spécifié
non indiqué|non mentionné|non donné|non disponible|non applicable|non connu|non défini|non déterminé|pas précisé|pas fourni|pas indiqué|pas communiqué|pas de nom|pas d'adresse
pas d'information|pas d'info|aucun|aucune|aucune information|aucune info|Aucune précision|aucun détail|rien|rien de spécial|néant|vide|inconnu|inconnue|indéfini|indéterminé
sans objet|s/o|à préciser|à confirmer|à définir|je ne sais pas|ne sait pas|sans nom|nom inconnu|adresse inconnue|adresse non communiquée|nom non fourni|nicht angegeben|Nicht bekannt
nicht genannt|nicht verfügbar|nicht vorhanden|nicht mitgeteilt|nicht erwähnt|nicht spezifiziert|nicht zutreffend|nicht definiert|keine Angabe|keine Angaben|k.A.|k. A.|keine|kein
keiner|keine Adresse|keine Adresse angegeben|keine Information|keine Details|kein Name|kein Name angegeben|ohne Angabe|unbekannt|Unbekannte Adresse|Name unbekannt
Name nicht angegeben|undefiniert|leer|nichts|entfällt|weiss nicht|weiß nicht|noch offen|non fornito|non fornita|non specificato|non specificata|non indicato|non indicata
non comunicato|non disponibile|non menzionato|non noto|non applicabile|non pervenuto|non definito|nessuno|nessuna|nessun nome|nessun indirizzo|nessuna informazione|nessun dettaglio
niente|nulla|vuoto|n.d.|nd|sconosciuto|sconosciuta|indirizzo sconosciuto|nome sconosciuto|indirizzo non fornito|da definire|da confermare|non so|tidak ada|tidak disebutkan
tidak diketahui|tidak diberikan|tidak tersedia|tidak disediakan|tidak berlaku|tidak ditentukan|tidak dijelaskan|tidak tahu|tidak ada informasi|tidak ada nama|alamat tidak diberikan
nama tidak diketahui|belum ada|belum diketahui|belum ditentukan|belum disebutkan|kosong|nihil|tanpa nama|tidak terdefinisi|x|xx|xxx|_|none, none|unknown, unknown|Not yet provided
not supplied by caller|Caller didn't mention|The caller did not specify a window|No time given|no time specified|no preferred time|no city given|city not mentioned|location unknown
unknown location|Service not specified|service unknown|unknown service|phone number not given|not disclosed by customer|information missing|details missing|details not available
nothing specified|nothing to add|n/a (not applicable)|not applicable (n/a)|None.|*none*|"unknown"|'null'|null/undefined|unknown/none|not_provided|NOT_SPECIFIED|not-mentioned
user_name|caller_name|<name>|{name}|[city]|[Adresse]|<adresse non fournie>|Information non communiquée|Information manquante|manquant|non mentionnée par l'appelant
non communiqué par le client|le client n'a pas précisé|l'appelant n'a pas donné son nom|n'a pas donné|n'a pas été précisé|pas encore communiqué|Pas d'adresse fournie|Pas de ville
ville non précisée|ville inconnue|quartier inconnu|heure non précisée|pas d'heure précise|créneau non précisé|service non précisé|nom manquant|numéro manquant
ne souhaite pas préciser|ne veut pas dire|adresse à confirmer|sans adresse précise|aucune donnée|aucun renseignement|non dispo|Ort unbekannt|Stadt unbekannt|Stadt nicht genannt
Adresse fehlt|fehlt|keine Uhrzeit angegeben|Zeit nicht angegeben|noch nicht festgelegt|noch unbekannt|Kunde hat nicht gesagt|vom Kunden nicht angegeben|hat keinen Namen genannt
keine Daten|keine weiteren Angaben|keine näheren Angaben|wurde nicht genannt|wird noch mitgeteilt|weiss ich nicht|Straße unbekannt|città sconosciuta|città non specificata
via non indicata|orario non specificato|orario sconosciuto|non specificato dal cliente|il cliente non ha detto|non ha specificato|non lo so|da concordare|da comunicare|mancante
dato mancante|nessun dato|nessun orario preciso|servizio non specificato|kota tidak diketahui|kota tidak disebutkan|waktu tidak ditentukan|waktu belum ditentukan
alamat belum diketahui|alamat belum ada|pelanggan tidak menyebutkan|belum dikonfirmasi|belum diberikan|tidak ada keterangan|tidak ada alamat|tidak ada detail|tidak disebut
tidak diisi|tidak ada waktu khusus|data tidak tersedia|nama belum disebutkan|tidak mau menyebutkan nama|tidak spesifik
not communicated|not indicated|not determined yet|no such info|no info available|caller was unsure|customer unsure|not clarified|not discussed|not covered in call|to be advised|to be discussed|to be arranged|will be provided later|no surname given|no last name|no postal code given
pas encore connu|pas indiqué par le client|non évoqué|non abordé|non demandé|à voir|à discuter|à convenir|nom de famille inconnu|pas de code postal|code postal inconnu|rue inconnue|sans précision|l'appelant ne sait pas|le client ne le sait pas
nicht besprochen|nicht klar|unklar|wird noch bekannt gegeben|noch zu bestimmen|Nachname unbekannt|keine PLZ|PLZ unbekannt|keine Strasse genannt|der Kunde weiss es nicht|nicht gefragt|keine genaue Angabe
non discusso|non chiaro|da vedere|da decidere|verrà comunicato|cognome sconosciuto|nessun CAP|via sconosciuta|il cliente non lo sa|non richiesto|nessuna indicazione|non ancora comunicato
tidak jelas|belum jelas|belum diputuskan|akan diberitahu|nama belakang tidak diketahui|tidak ada kode pos|jalan tidak diketahui|pelanggan tidak tahu|tidak ditanya|belum ditanyakan
not said|not yet known|not recorded|not captured|no answer given|no preference stated|declined to say|refused to say|did not say|n.v.t.|not applicable.|Not Available (N/A)|no value|no value provided|no response|unanswered|to follow|see above|same as above
pas dit|pas mentionné|non dit|non saisi|champ vide|à compléter|inconnu(e)|non communiqué par l'appelant|ne sait pas encore|aucune réponse|refuse de dire|pas de réponse|pas encore défini|non enregistré|aucun nom donné|nom non donné|n/c|NC|non connu à ce jour
nicht gesagt|nicht erfasst|nicht beantwortet|keine Antwort|wird nachgereicht|nicht gegeben|noch nicht bekannt|noch nicht angegeben|ohne Namen|kein Wert|nicht vom Anrufer genannt|Angabe fehlt|keine Adresse genannt|nicht festgelegt
non detto|non dichiarato|nessuna risposta|da completare|non ancora noto|non ancora definito|senza nome|nessun valore|non indicato dal cliente|non rilevato|campo vuoto|non ricevuto
belum tahu|tidak dijawab|tidak disampaikan|tidak dikatakan|tanpa alamat|belum diisi|tidak ada jawaban|tidak dicantumkan|belum ada informasi|tidak ada data|data kosong|belum disampaikan
<none>|[null]|"N/A"|'none'|{{city}}|${city}|__none__|--none--|NULL NULL|none.|Unknown.|unknown (not provided)|N/A - not provided|None given by caller|[not provided]|(not specified)|<not provided>|[unknown]|undefined undefined|nan|Null|NIL|void|blank.
`, func(s string) {
		if !Blank(s) || !NoName(s) {
			t.Errorf("%q: says something %v, is a name %v", s, !Blank(s), !NoName(s))
		}
	})
	each(`
No hot water|Pas d'eau chaude|Kein Wasser|Nessuna acqua|Tidak ada air|tidak ada air panas|Not specified type of leak in the kitchen|Unknown leak under the sink
undefined noise in the boiler|none of the taps work|Rien ne coule|Plus rien|keine Heizung|leeres Becken|vide-ordures bouché|Nothing works|Nicht dringend|not urgent
sans eau depuis hier|missing tile|pas de courant|aucune lumière|Nessuna luce|no power|No heating since Monday|kein Strom|keine Dusche|name plate broken|unknown smell of gas
odeur inconnue|rumore sconosciuto|suara tidak diketahui|Le client ne sait pas d'où vient la fuite|Caller did not say which tap leaks|tidak tahu kenapa motor mati
address is behind the church|Rue Sans-Nom 3|Leerstrasse 4|Chemin Vide 3|Jalan Tanpa Nama 5|No. 5|N° 4|12|A1|Nax|Nonfoux|None, France|not before noon|pas avant midi|nicht vor 9
non prima delle 9|tidak sebelum jam 9|none before 10|now|anytime|n'importe quand|egal wann|kapan saja|après 18h sans faute|demain, heure à confirmer|10:00 (à confirmer)
morgen, Uhrzeit unbekannt|Nulla da dire: perdita d'acqua|text me before|value: 500 CHF ring lost|empty swimming pool|test electrical panel|string light repair|Rien qu'une fuite
Pas de pression|sans électricité|no|No water|Gas|WC|0|Not able to open the door|no signal|no internet|no service since morning|service not available|phone not working|no phone line
pas de téléphone|pas d'internet|plus de connexion|aucun service|kein Telefon|kein Internet|keine Verbindung|nessun segnale|nessun servizio|tidak ada sinyal|tidak ada internet
tidak ada telepon|no key|pas de clé|kein Schlüssel|nessuna chiave|tidak ada kunci|missing key|clé manquante|Schlüssel fehlt|fehlt ein Zahn|dent manquante|unknown error E4
erreur inconnue|Fehler unbekannt|code erreur inconnu|pas de rendez-vous|no appointment before Monday|no rush|pas pressé|not today|pas aujourd'hui|nicht heute|non oggi|tidak hari ini
no mornings|pas le matin|never before 9|any time|toute la journée|jederzeit|sempre|as soon as possible|chiamare dopo le 18|besoin d'un devis|first lesson|beginner|private lesson
test de dépistage|guest house|number plate broken|name sign|address plate|no water pressure|Rue de la Confiance|Via Nota 3|Jalan Tidak Jauh|Lieu-dit Néant|Unterwegs
Chemin Sans-Souci|Rue Sans Nom|data cable broken|no data connection|client has no heating|customer's dog is limping
not closing properly|no dial tone|tap not turning off|unclear water from tap|unsure if gas leak|no heating in bedroom|given the leak, urgent|specific tooth hurts|special key needed|preferred: evening|confirmed water leak|asked for quote|information sign repair
eau pas claire|pas net|ça ne ferme plus|serrure non fonctionnelle|non urgent|porte non verrouillée|dent manquante|code de porte oublié|clé perdue, adresse rue Dancet 3|ville entière sans courant|note : chien méchant
unklares Wasser|Wasser nicht warm|keine Dusche möglich|Schlüssel fehlt seit gestern|Zahn fehlt|bestimmt ein Rohrbruch|acqua non chiara|manca la luce|manca pressione|manca un dente|chiave mancante|tidak keluar air|tidak jelas gambar TV|kunci hilang|belum pernah servis AC
no water at all|not draining|pas de lumière dans la cuisine|ne chauffe plus|nicht abschliessbar|non si apre la porta|tidak menyala|tidak bisa dibuka|missing screws|blank key broke|empty tank|null point leak|unknown noise|none of the sockets|value meal shop, leak|sans chauffage
keine Spülung|kein Licht im Flur|keine warme Heizung|nichts geht mehr|niente acqua calda|nulla funziona|tidak ada listrik|belum bisa mengemudi|Rue de la Non-Valeur 3|Neant-sur-Yvel|Chemin du Vide|Via del Nulla 4|Jalan Kosong 3|rien de grave, une fuite|data centre leak
as soon as possible, no later than 5|not urgent, next week|pas avant lundi|nicht am Sonntag|non di mattina|jangan pagi|before noon|dès que possible|so bald wie möglich|appena potete|secepatnya|tomorrow|demain|morgen|domani|besok|today|ASAP|9h-12h|weekend
`, func(s string) {
		if Blank(s) {
			t.Errorf("%q says nothing", s)
		}
	})
}

// A word for whoever calls is told from a name.
func TestNoName(t *testing.T) {
	each(`
caller|the caller|Caller Name|customer|Customer Name|client|le client|Client inconnu|nom du client|Kunde|der Kunde|Kundin|Anrufer|Anruferin|Unbekannter Anrufer|unbekannter Kunde
appelant|l'appelant|appelante|cliente|il cliente|chiamante|cliente sconosciuto|pelanggan|penelepon|Monsieur|Madame|Mr|Mrs.|Sir|Herr|Frau|Signore|Signora|Bapak|Ibu|Pak|anonymous
anonyme|anonym|anonimo|anonim|anonymous caller|user|utilisateur|Benutzer|utente|pengguna|unknown caller|guest|visitor|name|first name|full name|your name|nom|prénom|Vorname|nome
nama|test|Test User|private|withheld|somebody|quelqu'un|jemand|qualcuno|seseorang|X|?|111|user123|customer 1
unnamed caller|caller unknown|name unknown|no name provided|customer (unnamed)|the client|la cliente|une dame|die Dame|a woman|female caller|male caller|new customer|nouveau client|neuer Kunde|nuovo cliente|pelanggan baru|guest user|lead|test lead|test customer|client test|demo user
the customer|un client|une cliente|ein Kunde|eine Kundin|un cliente|seorang pelanggan|Mister|Mme|Mlle|Dr|Sig.|Sig.ra|Tuan|Nyonya|caller 1|Caller #2|anonymous customer|client anonyme|anonymer Anrufer|no name|nameless|n/a|Unknown Person|unbekannte Person|persona sconosciuta|orang tidak dikenal|personne inconnue|interlocuteur
`, func(s string) {
		if !NoName(s) {
			t.Errorf("%q is a name", s)
		}
	})
	each(`
Nadia|Nana|Na Li|Nan Goldin|Nil Yıldız|Li|Bo|Ng|Wu|Xu|Ana|Noor|Noa|Nonna Rosa|Non Nguyen|Sam Blank|Herr Blank|Frau Leer|Monsieur Vide|Marie Sans|Jennifer Null|Ibu Sari|Pak Budi
Herr Keiner|Kunde Müller|Anna|Nathan None|Clint Eastwood|Giulia Testa|Mario Testino|Kai Stringer|Mr Missing|Eva Empty|Amélie Nothomb|Monsieur Rien|Sans Souci SA|Madame Client
Frau Kunde|Nulli Ottonen|M. Inconnu-Perret|Guest House Villa Rosa|Nom Dupont|Tina Private|Pietro Nessi|Aucune Idée Sàrl|Kosong Wijaya|Nihil Kumar|Nemo|Tak Yamada|Leo Vuoto
Test Kitchen GmbH|Véronique Néant|Wayan Tidak|O'Neil|Nina Unbekannt|Monsieur Non|Signora Nulla|Ada|Tida|User Müller AG|Dato Magradze|Alberto Nota|Mai Nguyen|Mai|Jo|So-yeon|Hai|Sa
Said|Given|Will Noble|May|Kenan|Nathalie Void|Ada Lovelace|Noto|Yuki Noto|Dita|Su|Su Li|Dit|Tak|Bu Ani|Pak Made|M. Le|Le Thi|Di Maio|Anna Di Dato|E. Guest|A. Kunde|Tom Test|Clara
Claro|Sir Alan|Ms Guest|Ny. Sari|Precioso|Noël|Nonno|Sami|Mas Agus|Mbak Rina|Nuno|Nino|Nina|Nell|Nero|Non|Un|An|Ann|Any|Ana Data|Miss Marple|Kunden AG|Ihr Markus|Don|Don Know|Idee
Notes|Lea|La|Person|Clair|Mr Other|Datta|Nomi|Nomi Malone|Gift|Special K|Ora|Tad|Testi|Luigi Testi|Abc Reinigung
Herr Kunz|Mme Dame|Signora Dato|Pak Nomor|Wert Müller|Frau Wert|Valeur Jean|Sig. Valore|Dr. House|Dr Brown|Mister Bean|Ms Entry|Anna Jour|Cedric Orang|Nilai Sari|Mr Temp|Olga Tempel|Tempe Sari|Rita Dichter|Ana Recu|Marie Lasage|Ibu Jawab|Luca Scelto|Noa Answer|Ray Response|Mr. Day
Marie Client|Jean Vide|Anna Nulla|Hans Niemand|Rosa Bianchi|Ida Keine|Udin|Agus|Nyoman|Made|Ketut|Wayan|Putu|Sri|Dewi|Eko|Test Yılmaz|Max Muster|Erika Mustermann|Unwin|Nader|Noemi|Nola|Nils|Nikita|Nobody Jones|Vincent Void|Leere Maria|Sir Elton|Mx Doe|Mr T|Li Na|Yu
`, func(s string) {
		if NoName(s) || Blank(s) {
			t.Errorf("%q is no name", s)
		}
	})
}

// A word of a template, a test or a model is told from an id.
func TestNoID(t *testing.T) {
	each(`
unknown|UNKNOWN|N.A.|NULL|None|nil|undefined|NaN|YOUR_CONVERSATION_ID|your-conversation-id|conversation_id|conversationId|ConversationID|conv_id|convId|session_id|sessionId|call_id
callId|call-id|call_sid|CallSid|system.conversation_id|system__conversation_id|system__call_sid|dynamic_variable|dynamic_variables.conversation_id|string|text|str|example|sample
placeholder|test|testing|test123|test-1|test_conversation|test_conversation_id|dummy|foo|foobar|abc|abc123|abcdef|xyz|asdf|qwerty|xxx|xxxxxxxx|XXXX-XXXX
xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx|000000|00000000-0000-0000-0000-000000000000|ffffffff-ffff-ffff-ffff-ffffffffffff|11111111-1111-1111-1111-111111111111
12345678-1234-1234-1234-123456789012|1234567890|123456|123|1|0|0.0|-1|-|--|...|TBD|todo|pending|current|current_conversation|current_call|this|this_conversation|new|auto
not_available|not-provided|not_provided|NotProvided|missing|empty|blank|default|id|ID|uuid|inconnu|inconnue|non_fourni|unbekannt|keine|leer|sconosciuto|nessuno|tidak_diketahui
kosong|conv_unknown|conv_null|conv_undefined|conv_xxx|conv_xxxxxxxx|conv_test|conv_id_here|conversation-id-here|conversation_id_here|conv_placeholder|conv_example
insert_conversation_id|CAxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx|CA00000000000000000000000000000000|false|true|anonymous|unknown_conversation|conversation|call|session|conv|caller|user
unset|unspecified|demo|sandbox|debug|anonymous-session|conversation-unknown|no_conversation|no-conversation-id|conversation_id_not_available|callSid|ElevenLabs_conversation_id
elevenlabs|conv_1234567890|conv_abc|abc-123|abc-def-ghi|session-id|SESSION|phone_call|inbound|inbound_call|unknown-call|sip|webcall|web_call|interaction_id|lead_id|lead
dispatch_lead|thread_id|thread|request_id|uuid-here|some-uuid|random-uuid|generated|generate|none-1|foo-bar|hello|my_conversation|newConversation|sampleConversationId|exampleId
PLACEHOLDER_ID|not.set|value|variable|0000|9999999999|999999999999999|aaaaaaaa|aaaa-aaaa|012345678901234
conv_test|test_call|my-conv-id|convid|<conversation_id>|[conversation_id]|{{conversation_id}}|$conversation_id|%conversation_id%|no-id|no id|none_provided|null-conversation|conv_undefined|conv_null|conversation_null|undefined-1|example_conversation|dummy-id|fake|fake_id|fake-conversation|temp|temp_id|tmp|lorem|ipsum|foo1|bar|baz|qux|12|0123|abcdefg|a|9999|000|1111111111111111
`, func(s string) {
		if !NoID(s) {
			t.Errorf("%q is an id", s)
		}
	})
	each(`
conv_01jx8q7w5zfr2a9t3m6n4k0pbd|conv_8601kb2y7m3pfe4tn9h5rz0w6xqa|conv_readme_1|conv_chaos_17|7f3b6a70-2c1e-4d59-9b8a-5e0c1d2f3a4b|b4d7e0f2-9c31-4e85-8a67-1f2e3d4c5b6a
call_a1f9c27e4b8d3605|call_7c2e91f0ab|Jabr9TXYYJHfvl6Syypi88rdAHYHmcq6|CA7f3c1e9b2d5a48606e0f1c2b3a4d5e6f|20261127104500123|1764240123456|173267890123456|EL-2026-11-27-0815-77
01JX8Q7W5ZFR2A9T3M6N4K0PBD|a1b2c3d4e5f60718|sess:9f31:77ac|webcall.2a71f|6740f1c2b3a4d5e6f7081920|ws_test_7f3b6a702c1e|conv_testa7f3b6a702c1e|msg_9f8e7d6c|e0f2b4d79c31
019366d4-7e2a-7c3b-8f10-2b3c4d5e6f70|v3:gVx-2lTnQK2k8m1dR0aYxA|conv_77|conv-0001|call_000123|session_9f|s-17642401|b2f1|a7c93e|c0ffee12ab|caf00d11beef|20261127-104500-001
1700000000.12345|CA9f31c07e2d5b4a86|conv_01aaaaaaaaaaaaaaaaaaaaaaaab|user-8f1c|demo-8f1c2b7d|EV_PSTN_4f7a2|RM_xk92jLwq|rtc_u1_9W7x0|projects.abc.sessions.8812ab|019a0c3e9f
conv_4f1|conv_9|c-83f2a|8f2c|a8f3e2|call_9a8b7c|session-4f9a2|3e2f|1c4d5e6f|0f9e8d7c6b5a|conv_01abc|01JX8Q7W5ZFR2A9T3M6N4K0PBD|sess_5XkQ|vapi-8c2d|retell_call_77a1|1764240123|17642401239|ZXhhbXBsZQ|q7w8e9r0|CAfe12ab34cd56ef78ab90cd12ef34ab56
`, func(s string) {
		if NoID(s) {
			t.Errorf("%q is no id", s)
		}
	})
}
