package scenario

// words are what the two say, in one language. Those of the agent that promise
// or take leave do so in the usual phrases, since these are what a reader of
// transcripts goes by.
type words struct {
	greet     string // with the brand
	need      string // with the service
	again     string // the same, on a second call
	askPlace  string
	place     string // with the place
	askNumber string
	same      string // this number
	other     string // with the number
	askName   string
	named     string // with the name
	promise   string
	say       string // with the reference
	yes       string
	thanks    string
	bye       string
	sorry     string
	leaving   string // the caller has to go
	pitch     string // of somebody who sells
	decline   string
}

var spoken = map[string]words{
	"fr": {
		greet:     "Bonjour, ici l'assistant virtuel de %s, une intelligence artificielle. L'appel est enregistré pour traiter votre demande. Que puis-je faire pour vous ?",
		need:      "Bonjour, j'ai besoin de quelqu'un pour ceci : %s.",
		again:     "Bonjour, j'ai déjà appelé tout à l'heure pour ceci : %s. Personne n'est encore venu.",
		askPlace:  "Je comprends. Dans quelle commune ou quel quartier est-ce ?",
		place:     "C'est à %s.",
		askNumber: "Peut-on vous rappeler au numéro depuis lequel vous appelez ?",
		same:      "Oui, ce numéro est bon.",
		other:     "Non, plutôt au %s.",
		askName:   "C'est noté. À quel nom, s'il vous plaît ?",
		named:     "%s.",
		promise:   "Très bien, je transmets votre demande tout de suite, un collègue va vous rappeler.",
		say:       "C'est noté, votre référence est le %s.",
		yes:       "Oui, c'est ça.",
		thanks:    "Parfait, merci beaucoup.",
		bye:       "Merci pour votre appel, bonne journée, au revoir.",
		sorry:     "Je suis désolé, je n'ai pas pu enregistrer votre demande. Pouvez-vous rappeler dans quelques minutes ?",
		leaving:   "Attendez, on sonne à la porte, je dois…",
		pitch:     "Bonjour, je vous appelle pour une offre de référencement Google, nous plaçons votre site en première page. Qui s'occupe de votre publicité ?",
		decline:   "Nous ne sommes pas intéressés. Au revoir.",
	},
	"de": {
		greet:     "Guten Tag, hier ist der virtuelle Assistent von %s, eine künstliche Intelligenz. Das Gespräch wird aufgezeichnet, damit wir Ihre Anfrage bearbeiten können. Was kann ich für Sie tun?",
		need:      "Grüezi, ich brauche jemanden, und zwar für: %s.",
		again:     "Grüezi, ich habe vorhin schon angerufen wegen: %s. Es ist noch niemand gekommen.",
		askPlace:  "Verstehe. In welchem Ort oder Quartier ist das?",
		place:     "Das ist in %s.",
		askNumber: "Können wir Sie unter der Nummer zurückrufen, von der Sie anrufen?",
		same:      "Ja, diese Nummer stimmt.",
		other:     "Nein, lieber unter %s.",
		askName:   "Ist notiert. Auf welchen Namen, bitte?",
		named:     "%s.",
		promise:   "Gut, ich leite Ihre Anfrage gleich weiter, ein Kollege wird sich bei Ihnen melden.",
		say:       "Ist notiert, Ihre Referenz ist %s.",
		yes:       "Ja, genau.",
		thanks:    "Wunderbar, vielen Dank.",
		bye:       "Vielen Dank für Ihren Anruf, auf Wiederhören.",
		sorry:     "Es tut mir leid, ich konnte Ihre Anfrage nicht aufnehmen. Können Sie in ein paar Minuten nochmals anrufen?",
		leaving:   "Moment, es klingelt an der Tür, ich muss…",
		pitch:     "Guten Tag, ich rufe an wegen Ihrer Google-Platzierung, wir bringen Ihre Website auf die erste Seite. Wer ist bei Ihnen für die Werbung zuständig?",
		decline:   "Wir haben kein Interesse. Auf Wiederhören.",
	},
	"it": {
		greet:     "Buongiorno, sono l'assistente virtuale di %s, un'intelligenza artificiale. La chiamata è registrata per gestire la Sua richiesta. Come posso aiutarla?",
		need:      "Buongiorno, ho bisogno di qualcuno per questo: %s.",
		again:     "Buongiorno, ho già chiamato prima per questo: %s. Non è ancora venuto nessuno.",
		askPlace:  "Capisco. In quale comune o quartiere è?",
		place:     "È a %s.",
		askNumber: "Possiamo richiamarla al numero da cui chiama?",
		same:      "Sì, questo numero va bene.",
		other:     "No, meglio al %s.",
		askName:   "Ho preso nota. A che nome, per favore?",
		named:     "%s.",
		promise:   "Va bene, inoltro subito la Sua richiesta, un collega la ricontatterà.",
		say:       "Ho preso nota, il Suo riferimento è %s.",
		yes:       "Sì, esatto.",
		thanks:    "Perfetto, grazie mille.",
		bye:       "Grazie per la Sua chiamata, arrivederci.",
		sorry:     "Mi dispiace, non sono riuscito a registrare la Sua richiesta. Può richiamare tra qualche minuto?",
		leaving:   "Aspetti, suonano alla porta, devo…",
		pitch:     "Buongiorno, La chiamo per un'offerta di posizionamento su Google, portiamo il Suo sito in prima pagina. Chi si occupa della pubblicità?",
		decline:   "Non siamo interessati. Arrivederci.",
	},
	"en": {
		greet:     "Hello, this is the virtual assistant of %s, an artificial intelligence. This call is recorded so that we can handle your request. How can I help you?",
		need:      "Hi, I need somebody for this: %s.",
		again:     "Hi, I called earlier about this: %s. Nobody has come yet.",
		askPlace:  "I see. Which town or area is it in?",
		place:     "It's in %s.",
		askNumber: "May we call you back on the number you are calling from?",
		same:      "Yes, this number is fine.",
		other:     "No, please use %s.",
		askName:   "Noted. What name, please?",
		named:     "%s.",
		promise:   "All right, I have passed your request on, somebody will call you shortly.",
		say:       "Noted, your reference is %s.",
		yes:       "Yes, that's right.",
		thanks:    "Great, thank you very much.",
		bye:       "Thank you for calling, have a good day, goodbye.",
		sorry:     "I am sorry, I could not record your request. Could you call again in a few minutes?",
		leaving:   "Wait, there is somebody at the door, I have to…",
		pitch:     "Hello, I'm calling about your Google ranking, we put your website on the first page. Who looks after your advertising?",
		decline:   "We are not interested. Goodbye.",
	},
	"id": {
		greet:     "Halo, saya asisten virtual %s, sebuah kecerdasan buatan. Percakapan ini direkam untuk memproses permintaan Anda. Ada yang bisa saya bantu?",
		need:      "Halo, saya butuh bantuan untuk ini: %s.",
		again:     "Halo, tadi saya sudah menelepon soal ini: %s. Belum ada yang datang.",
		askPlace:  "Baik. Di daerah mana?",
		place:     "Di %s.",
		askNumber: "Bolehkah kami menelepon balik ke nomor ini?",
		same:      "Ya, nomor ini saja.",
		other:     "Jangan, ke nomor %s saja.",
		askName:   "Sudah saya catat. Atas nama siapa?",
		named:     "%s.",
		promise:   "Baik, permintaan Anda sudah saya teruskan, rekan kami akan menghubungi Anda.",
		say:       "Sudah dicatat, nomor referensi Anda %s.",
		yes:       "Ya, betul.",
		thanks:    "Baik, terima kasih banyak.",
		bye:       "Terima kasih sudah menelepon, sampai jumpa.",
		sorry:     "Maaf, permintaan Anda belum bisa saya catat. Bisakah Anda menelepon lagi beberapa menit lagi?",
		leaving:   "Sebentar, ada tamu di pintu, saya harus…",
		pitch:     "Halo, saya menelepon soal peringkat Google, kami bisa menaikkan situs Anda ke halaman pertama. Siapa yang mengurus iklannya?",
		decline:   "Kami tidak berminat. Sampai jumpa.",
	},
}
