package twilio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/subjects"
	"leadbus/internal/vendors/exchange"
)

// states is what Twilio's statuses mean; a status that is not here changes
// nothing.
var states = map[string]lead.MessageState{
	"sent":        lead.MessageSent,
	"delivered":   lead.MessageDelivered,
	"read":        lead.MessageRead,
	"failed":      lead.MessageFailed,
	"undelivered": lead.MessageFailed,
	"canceled":    lead.MessageFailed,
}

// Receipt checks a status callback and reads it. The event of the subject is
// subjects.ReceiptReceived. It answers event.ErrUnauthenticated for a request
// that Twilio did not sign for this account, and event.ErrNotFound for one
// that is not about a message of ours. The order of callbacks is not
// guaranteed, and they may come twice.
func (c *Client) Receipt(r *http.Request, body []byte) (subjects.Lead, lead.Receipt, error) {
	form, err := c.authentic(r, body)
	if err != nil {
		return subjects.Lead{}, lead.Receipt{}, err
	}
	to, receipt, err := exchange.Receipt(vendor, r.URL.Query().Get)
	if err != nil {
		return to, receipt, err
	}
	receipt.VendorID = cmp.Or(form.Get("MessageSid"), form.Get("SmsSid"))
	status := cmp.Or(form.Get("MessageStatus"), form.Get("SmsStatus"))
	if receipt.VendorID == "" || status == "" {
		return subjects.Lead{}, lead.Receipt{}, errors.New("twilio receipt: MessageSid or MessageStatus is missing")
	}
	return to, saying(receipt, status, form.Get("ErrorCode")), nil
}

// Reports are what Twilio says now of a message that it took: known with its
// status, as the callback would have been, but for the time, which is now. It
// answers event.ErrNotFound for a message that Twilio does not know; any other
// error is a *lead.Failure.
func (c *Client) Reports(ctx context.Context, known lead.Receipt) ([]lead.Receipt, error) {
	_, x := c.line.Begin(ctx) // the library takes no context
	defer x.End()
	found, err := c.service(x).FetchMessage(known.VendorID, nil)
	switch {
	case x.Status() == http.StatusNotFound:
		return nil, fmt.Errorf("fetch message: %w", event.ErrNotFound)
	case err != nil || !x.OK():
		return nil, fmt.Errorf("fetch message: %w", refusal(x, err))
	}
	return []lead.Receipt{saying(known, deref(found.Status), errorCode(found))}, nil
}

// saying is a receipt with a status and what it means.
func saying(r lead.Receipt, status, code string) lead.Receipt {
	r.Vendor, r.Status, r.At = vendor, strings.ToLower(status), time.Now().UTC()
	if r.State = states[r.Status]; r.State == lead.MessageFailed {
		r.Failure = later(r.Status, code)
	}
	return r
}

// authentic checks the signature over the address as Twilio knows it, built
// from our own setting and never from a proxy's headers, and the account.
func (c *Client) authentic(r *http.Request, body []byte) (url.Values, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fmt.Errorf("twilio: not a form: %w", event.ErrUnauthenticated)
	}
	address := c.publicURL + r.RequestURI
	signature := r.Header.Get("X-Twilio-Signature")
	if !c.validator.ValidateBody(address, body, signature) && !c.validator.Validate(address, repeated(form), signature) {
		return nil, fmt.Errorf("twilio: %w", event.ErrUnauthenticated)
	}
	if form.Get("AccountSid") != c.accountSID {
		return nil, fmt.Errorf("twilio: another account: %w", event.ErrUnauthenticated)
	}
	return form, nil
}

// repeated makes the validator, which signs each key with one value, sign
// every distinct value of a repeated key, sorted, as Twilio's other libraries
// do.
func repeated(form url.Values) map[string]string {
	signed := make(map[string]string, len(form))
	for k, values := range form {
		values = slices.Clone(values)
		slices.Sort(values)
		signed[k] = strings.Join(slices.Compact(values), k)
	}
	return signed
}

// later is a failure that Twilio reports after it took the message. A code
// that is not in the table is worth another attempt, once.
func later(status, code string) *lead.Failure {
	f := &lead.Failure{Vendor: vendor, Code: status, Class: lead.Transient, Reason: "not delivered; Twilio gave no code"}
	if status == "canceled" {
		f.Class, f.Reason = lead.OurFault, "cancelled in the Twilio account"
	}
	if _, err := strconv.Atoi(code); err == nil {
		f.Code, f.Reason = code, "not delivered; the code is not in our table"
		codes.Explain(f, code)
	}
	return f
}
