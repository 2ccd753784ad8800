package mailgun

import "leadbus/internal/lead"

// refusals is what Mailgun answers instead of taking a mail, by status and by
// words it contains; the first that fits counts. What is not here is decided
// by the status alone.
var refusals = []struct {
	status int
	says   string
	class  lead.FailureClass
	reason string
}{
	{400, "to parameter is not a valid address", lead.BadRecipient, "not a mail address"},
	{400, "from parameter is not a valid address", lead.OurFault, "the sender is not a mail address"},
	{400, "Sandbox subdomains are for test purposes", lead.OurFault, "a Mailgun sandbox domain reaches authorised recipients only"},
	{400, "limit exceeded", lead.Transient, "a sending limit is reached"},
	{400, "", lead.OurFault, "the mail is not acceptable to Mailgun"},
	{401, "", lead.OurFault, "the API key is wrong, or of another region"},
	{403, "", lead.OurFault, "the API key may not send for this domain"},
	{404, "Domain not found", lead.OurFault, "Mailgun does not know the sender's domain (or not yet)"},
	{413, "", lead.OurFault, "the mail is too large"},
	{429, "", lead.Transient, "a sending limit is reached"},
}

// reasons is why Mailgun gave up on a mail, by the reason of a permanent
// failure. One that is not here is worth another attempt, once.
var reasons = map[string]struct {
	class   lead.FailureClass
	meaning string
}{
	"bounce":               {lead.BadRecipient, "the address does not exist or refuses mail"},
	"hardfail":             {lead.BadRecipient, "the address does not exist or refuses mail"},
	"old":                  {lead.BadRecipient, "not delivered after hours of trying"},
	"suppress-bounce":      {lead.BadRecipient, "the address bounced before: correct it, then remove the suppression at Mailgun"},
	"suppress-complaint":   {lead.OptedOut, "the recipient reported spam before"},
	"suppress-unsubscribe": {lead.OptedOut, "the recipient unsubscribed before"},
	"espblock":             {lead.OurFault, "blocked by the recipient's mail provider: our reputation or content"},
}

var (
	complained   = lead.Failure{Vendor: vendor, Code: "complained", Class: lead.OptedOut, Reason: "the recipient reported spam"}
	unsubscribed = lead.Failure{Vendor: vendor, Code: "unsubscribed", Class: lead.OptedOut, Reason: "the recipient unsubscribed"}
	rejected     = lead.Failure{Vendor: vendor, Code: "rejected", Class: lead.OurFault, Reason: "rejected: an account or sandbox limit"}
)
