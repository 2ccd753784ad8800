package test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"leadbus/internal/app"
	"leadbus/internal/lead"
	"leadbus/internal/lead/link"
)

// shots, when set, is the folder to which the pages are drawn.
var shots = os.Getenv("LEADBUS_SHOTS")

// A provider accepts on a phone, and the owner looks at it.
func TestThePagesOfLinksFitAPhone(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("there is no chromium")
	}
	set := settings(t)
	set.LinkSecret = app.Secret(strings.Repeat("s", 32))
	set.Config = filepath.Join(t.TempDir(), "config")
	if err := os.CopyFS(set.Config, os.DirFS("../config")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(set.Config, "sites", site1+".yaml")
	config, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(config, "\ndispatch: { mode: offer }\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, set)
	id := s.accept(t, site1, call(map[string]any{"address_line": "rue du Lac 3", "preferred_window": "avant midi", "urgency": "urgent"}))
	row := s.row(t, "ch", id, told)
	link := func(asks, offer string) string {
		l := link.Link{Market: "ch", Site: site1, ID: id, Asks: asks, Offer: offer, Until: time.Now().Add(link.Life)}
		return s.EdgeURL + "/v1/links/" + link.New(strings.Repeat("s", 32)).Token(l)
	}
	offer, owner := link("offer", lead.OfferID(id, row.Provider)), link("lead", "")

	flags := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.NoSandbox)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), flags...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	run := func(steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatal(err)
		}
	}
	run() // the browser lives as long as the context of its start
	ctx, cancel = context.WithTimeout(ctx, 2*patience)
	defer cancel()
	const measure = `({
		wide: document.documentElement.scrollWidth,
		small: [...document.querySelectorAll("button, summary, select, input:not([type=hidden]), .call")].filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 44).length,
		text: document.body.innerText,
	})`
	looks := func(name string, words ...string) {
		t.Helper()
		type looks struct {
			Wide  int    `json:"wide"`
			Small int    `json:"small"`
			Text  string `json:"text"`
		}
		var page looks
		for _, scheme := range []string{"light", "dark"} {
			run(chromedp.Func(func(ctx context.Context, to *chromedp.Target) error {
				_, err := cdp.Call(ctx, to, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
				return err
			}))
			var err error
			if page, err = chromedp.Run(ctx, chromedp.Evaluate[looks](measure)); err != nil {
				t.Fatal(err)
			}
			if page.Wide > 360 || page.Small > 0 {
				t.Errorf("%s, %s: %d wide, %d small controls", name, scheme, page.Wide, page.Small)
			}
			if shots != "" {
				png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(shots, fmt.Sprintf("%s-%s.png", name, scheme)), png, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, w := range words {
			if !strings.Contains(page.Text, w) {
				t.Errorf("%s: no %q in %s", name, w, page.Text)
			}
		}
	}
	const open = `document.querySelectorAll("details").forEach(d => d.open = true)`
	press := func(answer string) chromedp.Action[chromedp.Void] {
		return chromedp.Click(chromedp.CSS(`button[value="`+answer+`"]`), chromedp.NodeVisible)
	}
	run(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile, chromedp.EmulateScale(2)), chromedp.Navigate(offer))
	looks("offer", "Carouge")
	run(chromedp.Evaluate[chromedp.Void](open))
	looks("offer-open")
	run(press("accept"), chromedp.WaitVisible(chromedp.CSS(".call")))
	looks("accepted", "Marta Salas", "rue du Lac 3")
	run(chromedp.Evaluate[chromedp.Void](open))
	looks("accepted-open")
	run(press("reached"), chromedp.WaitVisible(chromedp.CSS(".note")))
	looks("reached")
	run(chromedp.Navigate(owner))
	looks("lead", "Marta Salas")
	run(chromedp.Evaluate[chromedp.Void](open))
	looks("lead-open")
	run(press("cancel"), chromedp.WaitVisible(chromedp.CSS(".note")))
	looks("cancelled")
	run(chromedp.Navigate(offer))
	looks("over")
}
