package roster

import (
	"cmp"
	"errors"
	"fmt"
	"net/mail"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"

	"leadbus/internal/lead"
	"leadbus/internal/subjects"
)

// Known answers what a roster file may refer to. Every function must be set.
type Known struct {
	Market  func(id string) bool
	Service func(id string) bool
	Place   func(market, id string) bool
	// Phone reports whether a number is valid and written in E.164, and
	// whether it can take an SMS.
	Phone func(number string) (valid, mobile bool)
}

// Parse reads providers from a file named *.yaml, *.yml or *.csv.
//
// In YAML, providers is a list of
//
//	id: lac                       # stable, lower-case; no phone number
//	market: ch
//	name: Plomberie du Lac
//	active: true                  # the default
//	priority: 1                   # the default; 1 is asked first
//	services: [plumbing.leak]
//	places: [geneve]              # a place covers its parts
//	languages: [fr, en]           # the first one is written to
//	hours:                        # market's time; may be left out with after_hours
//	  mon-fri: 08:00-12:00,13:30-18:00
//	  fri: 20:00-02:00            # until Saturday; adds to mon-fri
//	  sun: 00:00-24:00            # daily stands for mon-sun
//	after_hours: false            # the default
//	leave: [{from: 2026-12-24, until: 2027-01-02}]
//	caps: {day: 5, week: 20}      # 0, the default, is no limit
//	whatsapp: "+41781234567"      # at least one of whatsapp, sms and email
//	sms: "+41781234567"
//	email: lac@example.com
//
// A CSV file has these names in its first line, in any order, and writes
//
//	services, places, languages   plumbing.leak; plumbing.drain
//	hours                         mon-fri 08:00-12:00,13:30-18:00; sat 09:00-12:00
//	leave                         2026-12-24..2027-01-02; 2027-02-01
//	caps                          day 5; week 20
//
// The error lists every fault as file:line:column: message; with any fault
// there are no providers.
func Parse(file string, data []byte, known Known) ([]Provider, error) {
	r := &reader{file: file, known: known, ids: map[string]bool{}, noted: map[string]bool{}}
	var rows []*yaml.Node
	switch strings.ToLower(filepath.Ext(file)) {
	case ".yaml", ".yml":
		rows = r.yaml(data)
	case ".csv":
		rows = r.csv(data)
	default:
		return nil, fmt.Errorf("roster %s: want a file named *.yaml or *.csv", file)
	}
	var providers []Provider
	for _, row := range rows {
		providers = append(providers, r.provider(row))
	}
	if len(rows) == 0 && len(r.faults) == 0 {
		r.fault(nil, "there are no providers in this file")
	}
	if len(r.faults) > 0 {
		slices.SortStableFunc(r.faults, func(a, b fault) int {
			return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
		})
		return nil, slices.Compact(r.faults)
	}
	return providers, nil
}

// fault is one thing wrong in one place of the file.
type fault struct {
	file         string
	line, column int
	message      string
}

type faults []fault

func (f faults) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = fmt.Sprintf("%s:%d:%d: %s", one.file, one.line, one.column, one.message)
	}
	return strings.Join(lines, "\n")
}

// reader collects what is wrong with a file. CSV rows become the nodes YAML
// would have made of them, so that both are checked by the same rules.
type reader struct {
	file   string
	known  Known
	ids    map[string]bool
	noted  map[string]bool // fields whose absence was told for the whole file
	faults faults
}

func (r *reader) fault(n *yaml.Node, format string, args ...any) {
	f := fault{r.file, 1, 1, fmt.Sprintf(format, args...)}
	if n != nil {
		f.line, f.column = max(n.Line, 1), max(n.Column, 1)
	}
	r.faults = append(r.faults, f)
}

func (r *reader) yaml(data []byte) []*yaml.Node {
	var doc yaml.Node
	if err := yaml.Load(data, &doc); err != nil {
		at, message := &yaml.Node{}, err.Error()
		var syntax *yaml.LoadError
		if errors.As(err, &syntax) {
			at.Line, at.Column, message = syntax.Mark.Line, syntax.Mark.Column, syntax.Message
		}
		r.fault(at, "%s", strings.TrimPrefix(message, "yaml: "))
		return nil
	}
	var rows []*yaml.Node
	r.fields(doc.Content[0], map[string]func(*yaml.Node){
		"providers": func(n *yaml.Node) { rows = r.items(n) },
	})
	return rows
}

// provider reads one row.
func (r *reader) provider(row *yaml.Node) Provider {
	p := Provider{Active: true, Priority: 1}
	var places *yaml.Node
	channels := 0
	keys := map[string]func(*yaml.Node){
		"id":       func(n *yaml.Node) { p.ID = r.id(n) },
		"market":   func(n *yaml.Node) { p.Market = r.reference(n, "market", r.known.Market) },
		"name":     func(n *yaml.Node) { p.Name = r.text(n) },
		"active":   func(n *yaml.Node) { p.Active = r.yes(n) },
		"priority": func(n *yaml.Node) { p.Priority = r.number(n, 1, 1000) },
		"services": func(n *yaml.Node) {
			for _, item := range r.items(n) {
				p.Services = append(p.Services, r.reference(item, "service", r.known.Service))
			}
		},
		"places": func(n *yaml.Node) { places = n },
		"languages": func(n *yaml.Node) {
			for _, item := range r.items(n) {
				p.Languages = append(p.Languages, r.language(item))
			}
		},
		"hours":       func(n *yaml.Node) { p.Hours = r.hours(n) },
		"after_hours": func(n *yaml.Node) { p.AfterHours = r.yes(n) },
		"leave": func(n *yaml.Node) {
			for _, item := range r.items(n) {
				p.Leave = append(p.Leave, r.leave(item))
			}
		},
		"caps": func(n *yaml.Node) {
			r.fields(n, map[string]func(*yaml.Node){
				"day":  func(n *yaml.Node) { p.Caps.Day = r.number(n, 0, 1_000_000) },
				"week": func(n *yaml.Node) { p.Caps.Week = r.number(n, 0, 1_000_000) },
			})
		},
	}
	for _, channel := range lead.Channels {
		keys[channel] = func(n *yaml.Node) {
			channels++
			*p.address(channel) = r.address(n, channel)
		}
	}
	given := r.fields(row, keys)
	if given == nil { // not a provider at all
		return p
	}
	if places != nil {
		for _, item := range r.items(places) {
			here := func(id string) bool { return r.known.Place(p.Market, id) }
			if !r.known.Market(p.Market) { // its places are anybody's guess
				here = func(string) bool { return true }
			}
			p.Places = append(p.Places, r.reference(item, "place of market "+p.Market, here))
		}
	}
	for _, field := range required {
		if !slices.Contains(given, field) && !r.noted[field] {
			r.fault(row, "%s is missing", field)
		}
	}
	if channels == 0 {
		r.fault(row, "there is no way to reach this provider: give one of %s", strings.Join(lead.Channels, ", "))
	}
	if !p.AfterHours && !slices.Contains(given, "hours") {
		r.fault(row, "hours is missing; without hours and without after_hours nobody would ever ask this provider")
	}
	return p
}

// required are the fields every provider has.
var required = []string{"id", "market", "name", "services", "places", "languages"}

// fields hands the value of each key to its function and returns the keys that
// have one; nil for anything but a mapping.
func (r *reader) fields(n *yaml.Node, set map[string]func(*yaml.Node)) []string {
	if n.Kind != yaml.MappingNode {
		r.fault(n, "want keys and values")
		return nil
	}
	given := []string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		f := set[key.Value]
		switch {
		case f == nil:
			r.fault(key, "unknown key %q", key.Value)
		case slices.Contains(given, key.Value):
			r.fault(key, "%s is given twice", key.Value)
		case value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null":
			// Left empty is left out.
		default:
			given = append(given, key.Value)
			f(value)
		}
	}
	return given
}

func (r *reader) items(n *yaml.Node) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		r.fault(n, "want a list")
		return nil
	}
	if len(n.Content) == 0 {
		r.fault(n, "this list is empty")
	}
	return n.Content
}

// text is empty when it was found at fault.
func (r *reader) text(n *yaml.Node) string {
	s := strings.TrimSpace(n.Value)
	if n.Kind != yaml.ScalarNode || s == "" || strings.ContainsFunc(s, unicode.IsControl) {
		r.fault(n, "want a text in one line")
		return ""
	}
	return s
}

// reference is the id of something that must be known.
func (r *reader) reference(n *yaml.Node, what string, known func(string) bool) string {
	id := r.text(n)
	if id != "" && !known(id) {
		r.fault(n, "there is no %s %q", what, id)
	}
	return id
}

// id becomes a bucket key and stands in logs.
func (r *reader) id(n *yaml.Node) string {
	id := r.text(n)
	switch {
	case id == "":
	case !subjects.ValidToken(id) || len(id) > 64 || !strings.ContainsFunc(id, unicode.IsLetter):
		r.fault(n, "want an id of lower-case letters, digits and -, with at least one letter")
	case r.ids[id]:
		r.fault(n, "id %s is given twice", id)
	}
	r.ids[id] = true
	return id
}

func (r *reader) yes(n *yaml.Node) bool {
	switch strings.ToLower(r.text(n)) {
	case "true":
		return true
	case "false", "":
	default:
		r.fault(n, "want true or false")
	}
	return false
}

func (r *reader) number(n *yaml.Node, least, most int) int {
	s := r.text(n)
	i, err := strconv.Atoi(s)
	if s != "" && (err != nil || i < least || i > most) {
		r.fault(n, "want a whole number from %d to %d", least, most)
	}
	return i
}

func (r *reader) language(n *yaml.Node) string {
	code := r.text(n)
	if code != "" && (len(code) < 2 || len(code) > 3 || strings.ContainsFunc(code, func(c rune) bool { return c < 'a' || c > 'z' })) {
		r.fault(n, "want a language code such as fr")
	}
	return code
}

// address is a mail address, or the number of any other channel.
func (r *reader) address(n *yaml.Node, channel string) string {
	s := r.text(n)
	valid, mobile := r.known.Phone(s)
	switch {
	case s == "":
	case channel == lead.Email && !validEmail(s):
		r.fault(n, "want a mail address such as lac@example.com")
	case channel == lead.Email:
	case !valid:
		r.fault(n, "want a valid phone number in international form, such as +41781234567")
	case channel == lead.SMS && !mobile:
		r.fault(n, "this number takes no SMS: it is not a mobile number")
	}
	return s
}

func validEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && subjects.ValidDomain(strings.ToLower(s[strings.LastIndexByte(s, '@')+1:]))
}

func (r *reader) leave(n *yaml.Node) Leave {
	var l Leave
	day := func(to *string) func(*yaml.Node) {
		return func(n *yaml.Node) {
			*to = r.text(n)
			if _, err := time.Parse(time.DateOnly, *to); *to != "" && err != nil {
				r.fault(n, "want a date such as 2026-12-24")
			}
		}
	}
	given := r.fields(n, map[string]func(*yaml.Node){"from": day(&l.From), "until": day(&l.Until)})
	switch {
	case given == nil:
	case len(given) < 2:
		r.fault(n, "leave has a first day, from, and a last one, until")
	case l.Until < l.From:
		r.fault(n, "leave ends before it begins")
	}
	return l
}

func (r *reader) hours(n *yaml.Node) Hours {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		r.fault(n, "want days and hours, such as mon-fri: 08:00-18:00")
		return nil
	}
	h := Hours{}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		days := weekdays(key.Value)
		switch {
		case days == nil:
			r.fault(key, "%q is no day; want mon, tue, wed, thu, fri, sat, sun, a range such as mon-fri, or daily", key.Value)
		case seen[key.Value]:
			r.fault(key, "%s is given twice; separate its hours by commas", key.Value)
		}
		seen[key.Value] = true
		for item := range strings.SplitSeq(value.Value, ",") {
			span, ok := parseSpan(strings.TrimSpace(item))
			if !ok {
				r.fault(value, "want hours such as 08:00-12:00,13:30-18:00; 20:00-02:00 ends on the next day, 00:00-24:00 is all of it")
				break
			}
			for _, d := range days {
				h[d] = append(h[d], span)
			}
		}
	}
	return h
}
