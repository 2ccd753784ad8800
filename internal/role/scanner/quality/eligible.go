package quality

import (
	"slices"

	"leadbus/internal/call"
	"leadbus/internal/text"
)

// Eligible reports whether the call should have ended in a lead, and if not,
// why: only one that came in, of at least 20 s and two turns of the caller, that
// is no test, spam, wrong number or mere question. In doubt it is: a caller
// who named a service and a place wants something, and a service alone outweighs a
// phrase that customers use too. Why then says what the call sounds like all the
// same.
func Eligible(c call.Call, ctx Context) (bool, string) { return newView(c, ctx).judge() }

func (v view) judge() (bool, string) {
	switch {
	case v.ctx.Test:
		return false, call.Test
	case v.Direction == "outbound":
		return false, "outbound"
	case v.callerTurns(0) < 2:
		return false, "fewer than two caller turns"
	case v.seconds > 0 && v.seconds < 20: // else nobody knows
		return false, "under 20 s"
	}
	kind := v.kind()
	weak := kind == "wrong number" || kind == call.Pitch // a customer's call may sound so
	return kind == "" || v.ctx.Service && (v.ctx.Place || weak) && !v.refused(), kind
}

// kinds are the values of the data collection's call_kind, normalised, that need no
// lead.
var kinds = map[string]string{
	"spam": call.Spam, "sales": call.Spam, "advertising": call.Spam, "robocall": call.Spam,
	"wrong number": "wrong number",
	"faq":          "question only", "question": "question only", "information": "question only",
}

// kind says what the call was when it was no request; a lead, or a number left
// behind, shows that it was one.
func (v view) kind() string {
	if v.saved {
		return ""
	}
	if _, sold := v.says(call.Caller, func(l *language) phrases { return l.Spam }); sold || v.refused() {
		return call.Spam
	}
	if _, sells := v.says(call.Caller, func(l *language) phrases { return l.Offers }); sells {
		return call.Pitch
	}
	if v.leftNumber() {
		return ""
	}
	if k := kinds[text.Normal(v.Collected["call_kind"])]; k != "" {
		return k
	}
	// Who goes on talking wants something after all. Who asks whether it is one, or
	// corrects a house's number, does not say that it is one.
	if s, found := v.says(call.Caller, func(l *language) phrases { return l.WrongNumber }); found && !s.question && !v.counts(s.turn, 1) && v.callerTurns(s.turn+1) <= 2 {
		return "wrong number"
	}
	if s, found := v.says(call.Caller, func(l *language) phrases { return l.Asked }); found && v.callerTurns(s.turn+1) <= 1 {
		return "question only"
	}
	return ""
}

// refused reports whether the agent turned a salesman away.
func (v view) refused() bool {
	_, refused := v.says(call.Agent, func(l *language) phrases { return l.Refusals })
	return refused
}

// leftNumber reports whether the caller dictated a number.
func (v view) leftNumber() bool {
	if n := v.Collected["callback_number"]; n != "" && !blank(n) {
		return true
	}
	return slices.ContainsFunc(v.by(call.Caller), func(s sentence) bool { return v.counts(s.turn, 7) })
}

// counts reports whether a turn holds at least so many digits and numerals.
func (v view) counts(turn, least int) bool {
	normal, most := text.Normal(v.Turns[turn].Text), 0
	for _, l := range v.lists {
		most = max(most, l.Numerals.count(normal))
	}
	return most+len(digits(normal)) >= least
}

// digits are those of a text.
func digits(s string) string {
	out := make([]byte, 0, len(s))
	for _, b := range []byte(s) {
		if '0' <= b && b <= '9' {
			out = append(out, b)
		}
	}
	return string(out)
}
