package send

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"leadbus/internal/event"
	"leadbus/internal/event/alarm"
	"leadbus/internal/lead"
	"leadbus/internal/roster"
	"leadbus/internal/subjects"
)

func TestAFailureReportedLaterAlarmsTheOwnerOnce(t *testing.T) {
	w := newWorld()
	if _, err := w.deliver(t, toProvider); err != nil {
		t.Fatal(err)
	}
	failure := &lead.Failure{Vendor: "twilio", Code: "30005", Class: lead.BadRecipient, Reason: "number unknown or gone"}
	for range 3 {
		if _, err := w.deliver(t, receiptOf(toProvider, lead.MessageFailed, failure)); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.kinds(); !slices.Equal(got, []string{subjects.MessageSent, subjects.AlarmRaised}) {
		t.Errorf("events %v", got)
	}
}

func TestOnlyAProvidersFinalFailureAlarms(t *testing.T) {
	for name, c := range map[string]struct {
		message event.Event
		state   lead.MessageState
	}{
		"delivered":             {toProvider, lead.MessageDelivered},
		"nothing new":           {toProvider, ""},
		"a customer's failure":  {toCustomer, lead.MessageFailed},
		"an owner's failure":    {ownersCopy, lead.MessageFailed},
		"a message never heard": {queuedEvent(lead.ToProvider, lead.Email, "offer"), lead.MessageFailed},
	} {
		w := newWorld()
		for _, m := range []event.Event{toProvider, toCustomer, ownersCopy} {
			if _, err := w.deliver(t, m); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.deliver(t, receiptOf(c.message, c.state, nil)); err != nil {
			t.Fatal(err)
		}
		if q := w.alarms(); len(q) != 0 {
			t.Errorf("%s: queued %+v", name, q)
		}
	}
}

// Whatever becomes of a canary's mail, the owner gets none about it.
func TestACanaryAlarmsNobodyHere(t *testing.T) {
	toCanary := queuedEvent(lead.ToProvider, lead.Email, "offer")
	toCanary.Body.(*event.Queued).Message.Provider = roster.Canary
	for name, c := range map[string]struct {
		send    func(*world)
		receipt *lead.Failure
	}{
		"refused":                        {send: failing(lead.BadRecipient, 1, false)},
		"refused by the account":         {send: failing(lead.OurFault, 1000, false)},
		"the outcome is never known":     {send: never},
		"taken, and a failure came back": {receipt: &lead.Failure{Vendor: "mailgun", Code: "550", Class: lead.BadRecipient}},
	} {
		w := newWorld()
		if c.send != nil {
			c.send(w)
		}
		_, _ = w.deliver(t, toCanary)
		if c.receipt != nil {
			if _, err := w.deliver(t, receiptOf(toCanary, lead.MessageFailed, c.receipt)); err != nil {
				t.Fatal(err)
			}
		}
		if q := w.alarms(); len(q) != 0 {
			t.Errorf("%s: queued %+v", name, q)
		}
	}
	// One that is too old helps nobody, and is nothing for the DLQ.
	w := newWorld()
	if err := w.handle(w.sender(t), event.Delivery{Event: storedAt(toCanary, start.Add(-stale-time.Minute)), Attempt: 1}); err != nil {
		t.Errorf("an old one: %v", err)
	}
}

// A receipt that names a doubtful message proves that it was sent: no look at
// the vendor, no second message.
func TestAReceiptSettlesADoubtfulMessage(t *testing.T) {
	for _, message := range []event.Event{toProvider, toCustomer} {
		w := newWorld()
		failing(lead.Doubtful, 9, true)(w)
		n := w.sender(t)
		if err := w.handle(n, event.Delivery{Event: message, Attempt: 1}); err == nil {
			t.Fatal("acked while the outcome is unknown")
		}
		if _, err := w.deliver(t, receiptOf(message, lead.MessageDelivered, nil)); err != nil {
			t.Fatal(err)
		}
		if err := w.handle(n, event.Delivery{Event: message, Attempt: 2}); err != nil {
			t.Errorf("after the receipt: %v", err)
		}
		if want := []string{subjects.MessageDoubtful, subjects.MessageSent}; len(w.took) != 1 || !slices.Equal(w.kinds(), want) {
			t.Errorf("took %d, events %v", len(w.took), w.kinds())
		}
		told := w.events[1].Body.(*event.Attempted)
		if told.Sent == nil || told.Sent.VendorID != "SM1" || told.PossibleDouble {
			t.Errorf("told %+v", told)
		}
	}
}

// A receipt comes after the message was given up, and the process ends before
// it could say so: the receipt's redelivery does.
func TestALateReceiptIsNotLostInACrash(t *testing.T) {
	for _, forgets := range []bool{false, true} {
		lateReceipt(t, forgets)
	}
}

func lateReceipt(t *testing.T, forgets bool) {
	w := newWorld()
	w.forgets = forgets
	never(w)
	failing(lead.Doubtful, 1, true)(w)
	if _, err := w.deliver(t, toCustomer); err != nil {
		t.Fatal(err)
	}
	w.step = func(name string, effect func()) {
		if strings.HasPrefix(name, "publish") {
			w.step = func(_ string, effect func()) { effect() }
			panic(errCrash)
		}
		effect()
	}
	if _, err := w.deliver(t, receiptOf(toCustomer, lead.MessageDelivered, nil)); err != nil {
		t.Fatal(err)
	}
	// The alarm that it was uncertain had gone out.
	if want := []string{subjects.MessageDoubtful, subjects.AlarmRaised, subjects.MessageSent}; !slices.Equal(w.kinds(), want) {
		t.Errorf("events %v", w.kinds())
	}
}

// Receipts and deliveries meet in any order and number, with the vendor's
// answer lost or not: one message, and one truth about it.
func TestReceiptsInAnyOrder(t *testing.T) {
	states := []lead.MessageState{lead.MessageSent, lead.MessageDelivered, lead.MessageRead, ""}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		message := []event.Event{toProvider, toCustomer}[r.IntN(2)]
		w := newWorld()
		if r.IntN(2) == 0 {
			failing(lead.Doubtful, 1, true)(w)
		}
		n := w.sender(t)
		acked := false
		for attempt := 1; !acked || r.IntN(4) > 0; attempt++ {
			if r.IntN(2) == 0 && len(w.took) > 0 {
				state := states[r.IntN(len(states))]
				if err := w.handle(n, event.Delivery{Event: receiptOf(message, state, nil), Attempt: 1 + r.IntN(2)}); err != nil {
					t.Fatal(err)
				}
				continue
			}
			err := w.handle(n, event.Delivery{Event: message, Attempt: attempt})
			fate, delay := event.Outcome(err, attempt)
			acked = acked || fate == event.Ack
			w.pass(delay)
		}
		kinds := w.kinds()
		sent := 0
		for _, k := range kinds {
			if k == subjects.MessageSent {
				sent++
			}
		}
		if len(w.took) != 1 || sent != 1 {
			t.Errorf("seed %d: took %d, events %v", seed, len(w.took), kinds)
		}
	}
}

// The owner is notified of one thing: the provider, however many of their
// addresses fail; the account, whoever was to be told; the texts of a site that
// customers may not have.
func TestWhatTheOwnerIsCalledFor(t *testing.T) {
	whatsApp := queuedEvent(lead.ToProvider, lead.WhatsApp, "offer")
	for name, c := range map[string]struct {
		message           event.Event
		class             lead.FailureClass
		site, cause, fact string
		about             string
	}{
		"a wrong number":            {toProvider, lead.BadRecipient, domain, alarm.Unreachable, "sms: twilio 1 because", "rapide"},
		"another address":           {whatsApp, lead.OptedOut, domain, alarm.Unreachable, "whatsapp: twilio 1 because", "rapide"},
		"a handset that was off":    {toProvider, lead.Transient, domain, alarm.Unreachable, "sms: twilio 1 because", "rapide"},
		"our account":               {toProvider, lead.OurFault, "", alarm.Account, "sms: twilio 1 because", "sms"},
		"the same, of a customer":   {toCustomer, lead.OurFault, "", alarm.Account, "sms: twilio 1 because", "sms"},
		"a customer's wrong number": {message: toCustomer, class: lead.BadRecipient},
		"a copy for the owner":      {message: ownersCopy, class: lead.OurFault},
	} {
		w := newWorld()
		if _, err := w.deliver(t, c.message); err != nil {
			t.Fatal(err)
		}
		if _, err := w.deliver(t, receiptOf(c.message, lead.MessageFailed, &lead.Failure{Vendor: "twilio", Code: "1", Class: c.class, Reason: "because"})); err != nil {
			t.Fatal(err)
		}
		got := w.alarms()
		if c.cause == "" {
			if len(got) != 0 {
				t.Errorf("%s: %+v", name, got)
			}
			continue
		}
		if len(got) != 1 || got[0].Site != c.site || got[0].Cause != c.cause || got[0].About != c.about || got[0].Facts[0].Label+": "+got[0].Facts[0].Value != c.fact ||
			!slices.Equal(got[0].Leads, []string{exampleLead().ID}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
