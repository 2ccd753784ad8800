package compose

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"text/template"

	"go.yaml.in/yaml/v4"

	"leadbus/internal/site"
)

//go:embed texts
var shipped embed.FS

// text is one message text: a Go template over words.
type text struct{ t *template.Template }

// UnmarshalText reads the template.
func (x *text) UnmarshalText(b []byte) (err error) {
	if len(strings.TrimSpace(string(b))) == 0 {
		return errors.New("the text is empty")
	}
	x.t, err = template.New("text").Parse(string(b))
	return err
}

// texts are all texts in one language; see texts/en.yaml for what each says.
type texts struct {
	NewRequest     text `yaml:"new_request"`
	Urgent         text `yaml:"urgent"`
	SeeMail        text `yaml:"see_mail"`
	SeeMailDetails text `yaml:"see_mail_details"`

	ProviderSMS         text `yaml:"provider_sms"`
	ProviderUpdateSMS   text `yaml:"provider_update_sms"`
	ProviderSubject     text `yaml:"provider_subject"`
	ProviderTitle       text `yaml:"provider_title"`
	ProviderIntro       text `yaml:"provider_intro"`
	ProviderUpdateTitle text `yaml:"provider_update_title"`
	ProviderUpdateIntro text `yaml:"provider_update_intro"`
	ProviderFooter      text `yaml:"provider_footer"`
	CallButton          text `yaml:"call_button"`
	CheckPhone          text `yaml:"check_phone"`

	CustomerSMS text `yaml:"customer_sms"`

	OwnerSubject      text `yaml:"owner_subject"`
	AlarmSubject      text `yaml:"alarm_subject"`
	CopyTitle         text `yaml:"copy_title"`
	CopyIntro         text `yaml:"copy_intro"`
	UpdateCopyTitle   text `yaml:"update_copy_title"`
	UpdateCopyIntro   text `yaml:"update_copy_intro"`
	ConfirmationTitle text `yaml:"confirmation_title"`
	ConfirmationIntro text `yaml:"confirmation_intro"`
	OwnerFooter       text `yaml:"owner_footer"`

	TodoPhone   text `yaml:"todo_phone"`
	TodoService text `yaml:"todo_service"`
	TodoPlace   text `yaml:"todo_place"`
	AlarmSMS    text `yaml:"alarm_sms"`

	Service  text `yaml:"label_service"`
	Urgency  text `yaml:"label_urgency"`
	Place    text `yaml:"label_place"`
	Address  text `yaml:"label_address"`
	Name     text `yaml:"label_name"`
	Phone    text `yaml:"label_phone"`
	Second   text `yaml:"label_second"`
	Window   text `yaml:"label_window"`
	Details  text `yaml:"label_details"`
	Language text `yaml:"label_language"`
	Received text `yaml:"label_received"`
	Ref      text `yaml:"label_ref"`
	Site     text `yaml:"label_site"`
	Provider text `yaml:"label_provider"`
	Reason   text `yaml:"label_reason"`
	Said     text `yaml:"label_said"`
	Caller   text `yaml:"label_caller"`
	Consent  text `yaml:"label_consent"`
	Code     text `yaml:"label_code"`
	Yes      text `yaml:"label_yes"`
	No       text `yaml:"label_no"`

	Request    text `yaml:"section_request"`
	Understood text `yaml:"section_understood"`
	Trace      text `yaml:"section_trace"`
	AsSent     text `yaml:"section_texts"`
	Support    text `yaml:"section_ids"`
	NotTexted  text `yaml:"not_texted"`

	CallSubject    text `yaml:"call_subject"`
	Call           text `yaml:"section_call"`
	Noticed        text `yaml:"section_noticed"`
	Criteria       text `yaml:"section_criteria"`
	Collected      text `yaml:"section_collected"`
	Transcript     text `yaml:"section_transcript"`
	Summary        text `yaml:"label_summary"`
	NextStep       text `yaml:"label_next_step"`
	Sentiment      text `yaml:"label_sentiment"`
	Judged         text `yaml:"label_judged"`
	Status         text `yaml:"label_status"`
	Began          text `yaml:"label_began"`
	Lasted         text `yaml:"label_lasted"`
	Ended          text `yaml:"label_ended"`
	NotReported    text `yaml:"not_reported"`
	NotAssessed    text `yaml:"not_assessed"`
	NothingNoticed text `yaml:"nothing_noticed"`
	NoRequest      text `yaml:"no_request"`
	TooLong        text `yaml:"too_long"`
	Agent          text `yaml:"who_agent"`
	CallerWho      text `yaml:"who_caller"`
	Interrupted    text `yaml:"interrupted"`
	ToolDone       text `yaml:"tool_done"`
	ToolFailed     text `yaml:"tool_failed"`
	ToolSilent     text `yaml:"tool_silent"`
	ToolNotRun     text `yaml:"tool_not_run"`

	ConfirmButton     text `yaml:"confirm_button"`
	DropButton        text `yaml:"drop_button"`
	AnswerButton      text `yaml:"answer_button"`
	AcknowledgeButton text `yaml:"acknowledge_button"`

	RaisedIntro     text `yaml:"raised_intro"`
	RaisedAgain     text `yaml:"raised_again"`
	RaisedEscalated text `yaml:"raised_escalated"`
	RaisedSMS       text `yaml:"raised_sms"`
	Since           text `yaml:"label_since"`
	Last            text `yaml:"label_last"`
	Times           text `yaml:"label_times"`
	AtRisk          text `yaml:"label_at_risk"`

	DigestSubject text `yaml:"digest_subject"`
	DigestTitle   text `yaml:"digest_title"`
	DigestIntro   text `yaml:"digest_intro"`
	DigestEmpty   text `yaml:"digest_empty"`
	CallCount     text `yaml:"label_calls"`
	Leads         text `yaml:"label_leads"`
	Dispatched    text `yaml:"label_dispatched"`
	Rescued       text `yaml:"label_rescued"`
	Matched       text `yaml:"label_matched"`
	Unserved      text `yaml:"label_unserved"`
	Review        text `yaml:"label_review"`
	Spam          text `yaml:"label_spam"`
	Notify        text `yaml:"label_notify"`
	Failures      text `yaml:"label_failures"`
	Gaps          text `yaml:"label_gaps"`
	Agents        text `yaml:"label_agents"`
	Cost          text `yaml:"label_cost"`
	Canaries      text `yaml:"label_canaries"`
	Alarms        text `yaml:"label_alarms"`

	Flags  map[string]text   `yaml:"flags"`  // of leads, and detectors of calls
	Calls  map[string]advice `yaml:"calls"`  // by what became of them
	Causes map[string]advice `yaml:"causes"` // of alarms
}

// advice is what is the matter, and what to do.
type advice struct {
	Title text `yaml:"title"`
	Next  text `yaml:"next"`
}

// fallback is the language of last resort.
const fallback = "en"

// shippedTexts are the texts in the binary, by language; nobody changes them.
var shippedTexts = sync.OnceValues(func() (map[string]*texts, error) {
	files, err := fs.Glob(shipped, "texts/*.yaml")
	if err != nil {
		return nil, err
	}
	all := map[string]*texts{}
	for _, f := range files {
		data, err := shipped.ReadFile(f)
		if err != nil {
			return nil, err
		}
		t := new(texts)
		if err := yaml.Load(data, t, yaml.WithKnownFields()); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		if err := t.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		all[strings.TrimSuffix(strings.TrimPrefix(f, "texts/"), ".yaml")] = t
	}
	return all, nil
})

// override lays a site's own texts over the shipped ones. All faults are
// reported at once, each with site, language and text.
func override(base map[string]*texts, s *site.Site) (map[string]*texts, error) {
	out := make(map[string]*texts, len(base))
	for lang, t := range base {
		own := *t
		out[lang] = &own
	}
	var faults []error
	for _, lang := range slices.Sorted(maps.Keys(s.Texts)) {
		t, ok := out[lang]
		if !ok {
			faults = append(faults, fmt.Errorf("site %s: texts: no language %q", s.Domain, lang))
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(s.Texts[lang])) {
			doc, err := yaml.Dump(map[string]string{name: s.Texts[lang][name]})
			if err == nil {
				err = yaml.Load(doc, t, yaml.WithKnownFields())
			}
			if err == nil {
				err = t.check()
			}
			if err != nil {
				faults = append(faults, fmt.Errorf("site %s: texts: %s: %s: %w", s.Domain, lang, name, err))
				*t = *base[lang] // so that each fault is reported once
			}
		}
	}
	return out, errors.Join(faults...)
}

// check executes every text on words of both extremes: afterwards none can
// fail when a lead is at stake.
func (t *texts) check() error {
	all := map[string]text{}
	v := reflect.ValueOf(t).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("yaml")
		switch x := v.Field(i).Interface().(type) {
		case text:
			all[name] = x
		case map[string]text:
			for k, x := range x {
				all[name+": "+k] = x
			}
		case map[string]advice:
			for k, x := range x {
				all[name+": "+k+": title"], all[name+": "+k+": next"] = x.Title, x.Next
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name].t == nil {
			return fmt.Errorf("%s is missing", name)
		}
		for _, w := range []words{{}, sample} {
			if err := all[name].t.Execute(new(strings.Builder), w); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// sample are words of typical length.
var sample = words{
	Brand: "Plombiers Genève", Site: "plombiersgeneve.ch", Dial: "+41225394512", Lead: "7k2mq9xe8tr5wz3hnd6y",
	Ref: "482 913", Service: "Fuite d'eau", Place: "Plan-les-Ouates", Name: "Marta Salas", Phone: "+41781230042",
	Details: "L'évier de la cuisine fuit", Provider: "Rapide Plomberie", Reason: "SMS", Channel: "SMS", Code: "30005",
	Urgent: true, Since: "23.11.2026 09:00", Last: "23.11.2026 09:40", Date: "22.11.2026", Times: 3, Told: 2, Leads: 4,
}

// say renders the text. After check it cannot fail, short of a text that
// computes with what a customer said; what was rendered until then stands.
func (x text) say(w words) string {
	var b strings.Builder
	_ = x.t.Execute(&b, w)
	return b.String()
}

// language is the first of the wanted languages there are texts in; region
// subtags do not matter.
func language(have map[string]*texts, wanted ...string) string {
	for _, l := range wanted {
		l, _, _ = strings.Cut(strings.ToLower(l), "-")
		if have[l] != nil {
			return l
		}
	}
	return fallback
}

// flagTexts are flags in plain words; one without words shows as it is.
func (t *texts) flagTexts(flags []string) []string {
	var out []string
	for _, f := range slices.Compact(slices.Sorted(slices.Values(flags))) {
		if x, ok := t.Flags[f]; ok {
			out = append(out, x.say(words{}))
		} else {
			out = append(out, line(strings.ReplaceAll(f, "_", " "), maxName))
		}
	}
	return out
}
