package call

// Detectors of what goes wrong in a call.
const (
	MissedDispatch         = "missed_dispatch"          // eligible, and no dispatch succeeded
	CloseBeforeDispatch    = "close_before_dispatch"    // the agent said goodbye first: a soft prompt
	PromiseWithoutDispatch = "promise_without_dispatch" // the agent said it was passed on, and it was not
	ToolError              = "tool_error"               // the dispatch failed or never answered
	ToolSlow               = "tool_slow"                // it took more than 4 s
	MissingFields          = "missing_fields"           // what was sent lacks service, place, number or name
	Placeholder            = "placeholder"              // "unknown", 0000…, the agent's own number
	PhoneCheck             = "phone_check"              // of the lead
	PlaceUnknown           = "place_unknown"            // of the lead
	NoDisclosure           = "no_disclosure"            // the first words name no AI, or no recording
	HangupPreGreeting      = "hangup_pre_greeting"      // under 6 s, and the caller said nothing
	Short                  = "short"                    // under 20 s
	DeadAir                = "dead_air"                 // nobody spoke for more than 10 s
	Loop                   = "loop"                     // the agent said a sentence three times
	WrongLanguage          = "wrong_language"           // the agent did not follow the caller's language
	AbnormalEnd            = "abnormal_end"             // ended by an error, a limit or silence
	DoubleDispatch         = "double_dispatch"          // the same dispatch succeeded twice
	SlowFirstWord          = "slow_first_word"          // the agent began after more than 3 s
)
