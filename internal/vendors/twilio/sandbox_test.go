package twilio_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadbus/internal/event"
	"leadbus/internal/lead"
	"leadbus/internal/local/sandbox"
	"leadbus/internal/subjects"
	"leadbus/internal/vendors/twilio"
)

type report struct {
	to      subjects.Lead
	receipt lead.Receipt
	err     error
}

// setup joins the adapter to the sandbox, and the sandbox's callbacks to the
// adapter.
func setup(t *testing.T) (*twilio.Client, *sandbox.Sandbox, <-chan report) {
	t.Helper()
	reports := make(chan report, 100)
	var c *twilio.Client
	ready := make(chan struct{})
	edge := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-ready
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		to, receipt, err := c.Receipt(r, body)
		reports <- report{to, receipt, err}
	}))
	t.Cleanup(edge.Close)
	s, err := sandbox.Start(sandbox.Options{
		Addr: "127.0.0.1:0", EdgeURL: edge.URL, AccountSID: account, AuthToken: token,
		Templates: map[string]string{template().ContentSID: "Demande {{1}} de {{2}}"}, Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	c = newClient(s.TwilioURL())
	close(ready)
	return c, s, reports
}

// until collects the receipts of one message up to a status.
func until(t *testing.T, reports <-chan report, vendorID, last string) []lead.Receipt {
	t.Helper()
	var all []lead.Receipt
	deadline := time.After(time.Minute)
	for {
		select {
		case r := <-reports:
			if r.err != nil {
				t.Fatalf("a callback was refused: %v", r.err)
			}
			if r.receipt.VendorID != vendorID {
				continue
			}
			if r.receipt.Message != "m1" || r.receipt.Attempt != "a1" || r.to.Lead != "7k2mq9" {
				t.Errorf("the receipt belongs to %+v, message %q", r.to, r.receipt.Message)
			}
			all = append(all, r.receipt)
			if r.receipt.Status == last {
				return all
			}
		case <-deadline:
			t.Fatalf("no %q among %+v", last, all)
		}
	}
}

func TestToldFromSendToRead(t *testing.T) {
	c, _, reports := setup(t)
	for _, in := range []struct {
		message lead.Message
		want    []lead.MessageState
	}{
		{text(), []lead.MessageState{lead.MessageSent, lead.MessageDelivered}},
		{template(), []lead.MessageState{lead.MessageSent, lead.MessageDelivered, lead.MessageRead}},
	} {
		sent, err := c.Send(t.Context(), in.message, "a1")
		if err != nil {
			t.Fatal(err)
		}
		var states []lead.MessageState
		all := until(t, reports, sent.VendorID, string(in.want[len(in.want)-1]))
		for _, r := range all {
			states = append(states, r.State)
		}
		saysTheSame(t, c, all[len(all)-1])
		if d := cmp.Diff(in.want, states); d != "" {
			t.Errorf("%s: %s", in.message.Channel, d)
		}
	}
}

// saysTheSame asks Twilio for what it reported.
func saysTheSame(t *testing.T, c *twilio.Client, reported lead.Receipt) {
	t.Helper()
	got, err := c.Reports(t.Context(), lead.Receipt{Label: reported.Label, Message: reported.Message, Attempt: reported.Attempt, VendorID: reported.VendorID})
	if err != nil || len(got) != 1 || got[0].At.Before(reported.At) {
		t.Fatalf("%+v, %v", got, err)
	}
	got[0].At = reported.At
	if d := cmp.Diff(reported, got[0]); d != "" {
		t.Error(d)
	}
}

// A message that WhatsApp neither delivers nor refuses has no final status, and
// one that Twilio does not know has none at all.
func TestAskedForWhatIsNotKnown(t *testing.T) {
	c, _, reports := setup(t)
	blocked := template()
	blocked.To = "+41791263033"
	sent, err := c.Send(t.Context(), blocked, "a1")
	if err != nil {
		t.Fatal(err)
	}
	last := until(t, reports, sent.VendorID, "sent")
	saysTheSame(t, c, last[len(last)-1])
	if got, err := c.Reports(t.Context(), lead.Receipt{VendorID: "SM00000000000000000000000000000000"}); !errors.Is(err, event.ErrNotFound) {
		t.Errorf("%+v, %v", got, err)
	}
	wrong := twilio.New(twilio.Options{AccountSID: account, AuthToken: "0000", APIBase: sandboxURL(t), PublicURL: public})
	_, err = wrong.Reports(t.Context(), last[0])
	if f := failure(t, err); f.Code != "20003" || f.Class != lead.OurFault {
		t.Errorf("wrong token: %+v", f)
	}
}

func TestNumbersThatFailLater(t *testing.T) {
	c, _, reports := setup(t)
	free := template()
	free.ContentSID, free.Text = "", "hello"
	short, lines := template(), template()
	short.ContentVariables = map[string]string{"1": "482 913"}
	lines.ContentVariables = map[string]string{"1": "482 913", "2": "a\nb"}
	to := func(m lead.Message, number string) lead.Message { m.To = number; return m }
	for code, c2 := range map[string]struct {
		message lead.Message
		status  string
		class   lead.FailureClass
	}{
		"30003": {to(text(), "+41791230003"), "undelivered", lead.Transient},
		"30005": {to(text(), "+41791230005"), "undelivered", lead.BadRecipient},
		"30006": {to(text(), "+41791230006"), "undelivered", lead.BadRecipient},
		"63024": {to(template(), "+41791263024"), "undelivered", lead.BadRecipient},
		"63016": {free, "failed", lead.OurFault},
		"63028": {short, "failed", lead.OurFault},
		"63013": {lines, "failed", lead.OurFault},
	} {
		sent, err := c.Send(t.Context(), c2.message, "a1")
		if err != nil {
			t.Fatalf("%s: %v", code, err)
		}
		all := until(t, reports, sent.VendorID, c2.status)
		last := all[len(all)-1]
		if last.State != lead.MessageFailed || last.Failure == nil || last.Failure.Code != code || last.Failure.Class != c2.class {
			t.Errorf("%s: %+v, %+v", code, last, last.Failure)
		}
		saysTheSame(t, c, last)
	}
	// The same number on the other channel works.
	sent, err := c.Send(t.Context(), to(text(), "+41791263024"), "a1")
	if err != nil {
		t.Fatal(err)
	}
	until(t, reports, sent.VendorID, "delivered")
}

func TestNumbersThatAreRefused(t *testing.T) {
	c, _, _ := setup(t)
	from := func(number string) lead.Message { m := text(); m.From = number; return m }
	to := func(number string) lead.Message { m := text(); m.To = number; return m }
	with := func(change func(*lead.Message)) lead.Message { m := template(); change(&m); return m }
	for name, in := range map[string]struct {
		message lead.Message
		code    string
		class   lead.FailureClass
	}{
		"test number not valid":   {to("+15005550001"), "21211", lead.BadRecipient},
		"test number no route":    {to("+15005550002"), "21612", lead.OurFault},
		"test number no country":  {to("+15005550003"), "21408", lead.OurFault},
		"test number stopped":     {to("+15005550004"), "21610", lead.OptedOut},
		"test number landline":    {to("+15005550009"), "21614", lead.BadRecipient},
		"test sender not valid":   {from("+15005550001"), "21212", lead.OurFault},
		"test sender not ours":    {from("+15005550007"), "21606", lead.OurFault},
		"test sender full":        {from("+15005550008"), "21611", lead.Transient},
		"stopped by its end":      {to("+41791221610"), "21610", lead.OptedOut},
		"not a number":            {to("0791234567"), "21211", lead.BadRecipient},
		"no recipient":            {to(""), "21604", lead.OurFault},
		"no sender":               {from(""), "21603", lead.OurFault},
		"sender name too long":    {from("PLOMBIERSGENEVE"), "21212", lead.OurFault},
		"no text":                 {with(func(m *lead.Message) { m.Channel, m.ContentSID, m.ContentVariables = lead.SMS, "", nil }), "21602", lead.OurFault},
		"text too long":           {with(func(m *lead.Message) { m.ContentSID, m.ContentVariables, m.Text = "", nil, string(make([]byte, 1601)) }), "21617", lead.OurFault},
		"template does not exist": {with(func(m *lead.Message) { m.ContentSID = "HXffff" }), "21655", lead.OurFault},
	} {
		_, err := c.Send(t.Context(), in.message, "a1")
		if err == nil {
			t.Errorf("%s: sent", name)
			continue
		}
		if f := failure(t, err); f.Code != in.code || f.Class != in.class {
			t.Errorf("%s: %+v", name, f)
		}
	}
	wrong := twilio.New(twilio.Options{AccountSID: account, AuthToken: "0000", APIBase: sandboxURL(t), PublicURL: public})
	_, err := wrong.Send(t.Context(), text(), "a1")
	if f := failure(t, err); f.Code != "20003" || f.Class != lead.OurFault {
		t.Errorf("wrong token: %+v", f)
	}
	_, _, err = wrong.Find(t.Context(), text(), "a1", time.Now(), nil)
	if f := failure(t, err); f.Code != "20003" {
		t.Errorf("find with a wrong token: %+v", f)
	}
}

func sandboxURL(t *testing.T) string {
	t.Helper()
	_, s, _ := setup(t)
	return s.TwilioURL()
}

// The answer to a create is lost on the way back: the message is doubtful, is
// found by looking, and reports by itself.
func TestALostAnswerIsFound(t *testing.T) {
	_, s, reports := setup(t)
	target, err := url.Parse(s.TwilioURL())
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(target)
	line := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			forward.ServeHTTP(httptest.NewRecorder(), r)
			cut(w, r)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	defer line.Close()
	for _, m := range []lead.Message{text(), template()} {
		c := newClient(line.URL)
		before := time.Now()
		if _, found, err := c.Find(t.Context(), m, "a1", before, nil); found || err != nil {
			t.Fatalf("%s: found before it was sent: %v", m.Channel, err)
		}
		_, err := c.Send(t.Context(), m, "a1")
		if f := failure(t, err); f.Class != lead.Doubtful || f.Code != "cut" {
			t.Fatalf("%s: %+v", m.Channel, f)
		}
		sent, found, err := c.Find(t.Context(), m, "a1", before, nil)
		until(t, reports, sent.VendorID, "delivered")
		if err != nil || !found || sent.VendorID == "" || sent.At.Before(before.Add(-2*time.Second)) {
			t.Fatalf("%s: %+v, %t, %v", m.Channel, sent, found, err)
		}
		for _, others := range [][]string{{sent.VendorID}, {""}, {"SM00", ""}} {
			if _, found, err := c.Find(t.Context(), m, "a1", before, others); found || err != nil {
				t.Errorf("%s: one of %q was found, %v", m.Channel, others, err)
			}
		}
		if again, found, err := c.Find(t.Context(), m, "a1", before, []string{"SM00"}); !found || again.VendorID != sent.VendorID || err != nil {
			t.Errorf("%s: not found beside another: %+v, %v", m.Channel, again, err)
		}
		otherText, otherNumber, otherSender := m, m, m
		otherText.Text, otherText.ContentVariables = "482 914", map[string]string{"1": "482 914"}
		otherNumber.To = "+41790000008"
		otherSender.From = "+41225390001"
		otherTemplate := m // filled alike
		otherTemplate.Text = "Another template: 482 913"
		for name, other := range map[string]lead.Message{"text": otherText, "number": otherNumber, "sender": otherSender, "template": otherTemplate} {
			if _, found, err := c.Find(t.Context(), other, "a1", before, nil); found || err != nil {
				t.Errorf("%s: another %s was found, %v", m.Channel, name, err)
			}
		}
		if _, found, err := c.Find(t.Context(), m, "a1", time.Now().Add(2*time.Minute), nil); found || err != nil {
			t.Errorf("%s: an earlier message was found, %v", m.Channel, err)
		}
	}
}

func TestFindMeetsFaults(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"429": answer(429, ""), "500": answer(500, number), "redirect": answer(307, "", "Location", "/"), "broken": answer(200, "{"), "cut": cut,
	} {
		server := httptest.NewServer(h)
		_, found, err := newClient(server.URL).Find(t.Context(), text(), "a1", time.Now(), nil)
		if found {
			t.Errorf("%s: found", name)
		}
		failure(t, err)
		server.Close()
	}
	odd := `{"messages":[{"sid":null,"body":"x"},{"sid":"SM1","body":"x","date_created":"yesterday"},{"sid":"SM2","body":null,"date_created":"Mon, 23 Nov 2026 08:00:00 +0000"}]}`
	server := httptest.NewServer(answer(200, odd))
	defer server.Close()
	if _, found, err := newClient(server.URL).Find(t.Context(), text(), "a1", time.Time{}, nil); found || err != nil {
		t.Errorf("odd list: %t, %v", found, err)
	}
}

// An alphanumeric sender may be replaced on the way, so it is no criterion.
func TestFindIgnoresASendersName(t *testing.T) {
	var queries []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		queries = append(queries, r.URL.Query().Get("From"))
		answer(200, `{"messages":[]}`)(w, r)
	}))
	defer server.Close()
	named := text()
	named.From = "PLOMBIERS"
	for _, m := range []lead.Message{text(), named, template()} {
		if _, _, err := newClient(server.URL).Find(t.Context(), m, "a1", time.Now(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"+41225390000", "", "whatsapp:+41225390000"}; !slices.Equal(want, queries) {
		t.Errorf("asked for senders %q", queries)
	}
}
