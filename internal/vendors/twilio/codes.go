package twilio

import "leadbus/internal/lead"

// meaning is what one of Twilio's error codes says about a message.
type meaning struct {
	class   lead.FailureClass
	meaning string
}

// codes is the Twilio error dictionary as far as messages meet it. Twilio
// splits codes further from time to time, so a code that is not here is
// decided by when it comes: a refused create is our fault, a message that
// fails later is worth one more attempt.
//
// A WhatsApp code of class lead.BadRecipient says nothing about SMS to the
// same number.
var codes = map[int]meaning{
	// The recipient of a text.
	21211: {lead.BadRecipient, "the number is not valid"},
	21265: {lead.BadRecipient, "the number is a short code"},
	21268: {lead.BadRecipient, "the number is a premium number"},
	21614: {lead.BadRecipient, "not a mobile number"},
	21635: {lead.BadRecipient, "a landline"},
	30005: {lead.BadRecipient, "the number is unknown or gone"},
	30006: {lead.BadRecipient, "a landline or an unreachable carrier"},
	21610: {lead.OptedOut, "the recipient sent STOP to this sender"},
	30004: {lead.OptedOut, "blocked by the recipient or the carrier"},

	// Our senders, account and requests.
	10001:  {lead.OurFault, "the account is not active"},
	20003:  {lead.OurFault, "the credentials are wrong"},
	20404:  {lead.OurFault, "no such resource in this account"},
	21212:  {lead.OurFault, "the sender is malformed"},
	21222:  {lead.OurFault, "the user name has characters Twilio does not use"},
	21224:  {lead.OurFault, "the password has characters Twilio does not use"},
	21266:  {lead.OurFault, "sender and recipient are the same number"},
	21267:  {lead.OurFault, "a trial account cannot use a named sender"},
	21401:  {lead.OurFault, "the sender name is too general"},
	21408:  {lead.OurFault, "the account may not send to this country"},
	21602:  {lead.OurFault, "the text is empty"},
	21603:  {lead.OurFault, "no sender given"},
	21604:  {lead.OurFault, "no recipient given"},
	21606:  {lead.OurFault, "the sender cannot be used by this account"},
	21607:  {lead.OurFault, "a trial account cannot use this sender"},
	21608:  {lead.OurFault, "a trial account cannot reach this recipient"},
	21609:  {lead.OurFault, "the address for status callbacks is not valid"},
	21612:  {lead.OurFault, "no route from this sender to this recipient"},
	21617:  {lead.OurFault, "the text has more than 1600 characters"},
	21654:  {lead.OurFault, "content variables without a template"},
	21655:  {lead.OurFault, "the template does not exist"},
	21656:  {lead.OurFault, "the content variables are not a JSON object"},
	21659:  {lead.OurFault, "the sender is not a Twilio number"},
	21660:  {lead.OurFault, "the sender belongs to another account"},
	21661:  {lead.OurFault, "the sender cannot send texts"},
	21669:  {lead.OurFault, "the sender belongs to another region"},
	21703:  {lead.OurFault, "the messaging service has no usable sender"},
	21704:  {lead.OurFault, "the messaging service is empty"},
	21705:  {lead.OurFault, "the messaging service does not exist"},
	21910:  {lead.OurFault, "sender and recipient are on different channels"},
	30002:  {lead.OurFault, "the account is suspended"},
	30007:  {lead.OurFault, "filtered as spam by Twilio or the carrier"},
	30018:  {lead.OurFault, "the sender must be registered for this country"},
	572006: {lead.OurFault, "the account has no compliance profile"},

	// Rates, queues and networks.
	20429: {lead.Transient, "too many requests, not processed"},
	20500: {lead.Transient, "internal error at Twilio"},
	20503: {lead.Transient, "Twilio is not available"},
	21611: {lead.Transient, "the sender's queue is full"},
	30001: {lead.Transient, "the queue is full"},
	30003: {lead.Transient, "the phone is off or out of reach"},
	30008: {lead.Transient, "the carrier gave no reason"},
	30017: {lead.Transient, "the carrier's network is congested"},
	30036: {lead.Transient, "not sent within its validity"},
	30410: {lead.Transient, "the carrier did not answer in time"},
	30450: {lead.Transient, "blocked for a while against message pumping"},
	30500: {lead.Transient, "internal error at Twilio"},

	// WhatsApp.
	63003: {lead.BadRecipient, "not a WhatsApp address, or gone"},
	63024: {lead.BadRecipient, "not on WhatsApp, or its terms not accepted"},
	63032: {lead.BadRecipient, "excluded by a Meta experiment"},
	63014: {lead.OptedOut, "blocked by the recipient"},
	63033: {lead.OptedOut, "blocked by the recipient"},
	63001: {lead.OurFault, "the channel's credentials are wrong"},
	63002: {lead.OurFault, "the channel does not know the sender"},
	63005: {lead.OurFault, "the channel did not accept the content"},
	63006: {lead.OurFault, "the channel could not format the content"},
	63007: {lead.OurFault, "the WhatsApp sender is not set up"},
	63008: {lead.OurFault, "the channel is not set up"},
	63013: {lead.OurFault, "against the channel's policy, or a variable with many spaces or a line break"},
	63015: {lead.OurFault, "the recipient has not joined the WhatsApp sandbox"},
	63016: {lead.OurFault, "free text outside the 24-hour window: use a template"},
	63019: {lead.OurFault, "the media could not be fetched"},
	63020: {lead.OurFault, "the WhatsApp account's invitation is not accepted"},
	63021: {lead.OurFault, "the content is not valid, or over 1024 characters"},
	63022: {lead.OurFault, "the WhatsApp sender's name is not verified"},
	63026: {lead.OurFault, "the message was flagged"},
	63027: {lead.OurFault, "the template does not exist in this language"},
	63028: {lead.OurFault, "the number of variables does not fit the template"},
	63029: {lead.OurFault, "the receiver failed to download the template"},
	63030: {lead.OurFault, "a parameter is not supported"},
	63031: {lead.OurFault, "sender and recipient are the same"},
	63038: {lead.OurFault, "the account's daily limit is reached"},
	63040: {lead.OurFault, "the template was rejected"},
	63041: {lead.OurFault, "the template is paused"},
	63042: {lead.OurFault, "the template is disabled"},
	63049: {lead.OurFault, "Meta withheld a marketing template: register it as utility"},
	63051: {lead.OurFault, "the WhatsApp sender is locked"},
	63062: {lead.OurFault, "Meta's marketing terms are not accepted"},
	63009: {lead.Transient, "the channel reported an error"},
	63010: {lead.Transient, "internal error of the channel"},
	63011: {lead.Transient, "the channel refused without a reason"},
	63012: {lead.Transient, "internal error of the channel"},
	63017: {lead.Transient, "too many messages a second"},
	63018: {lead.Transient, "the channel's limit is reached"},
	63023: {lead.Transient, "the channel reported an error"},
}
