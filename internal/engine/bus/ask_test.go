package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leadbus/internal/local/await"
	"leadbus/internal/subjects"
)

func TestOneMatcherOfTheMarketAnswers(t *testing.T) {
	t.Parallel()
	r := bareRig(t)
	var answered [3]atomic.Int64
	for i, user := range []string{"ch-matcher", "ch-matcher", "id-matcher"} {
		c := r.connect(t, user)
		await.Background(t, func(ctx context.Context) error {
			return c.Answer(ctx, user[:2], 4, func(_ context.Context, of subjects.Lead, question []byte) ([]byte, error) {
				if string(question) == "fail" {
					return nil, errors.New("it cannot be said")
				}
				if string(question) == "panic" {
					panic("it cannot be said")
				}
				answered[i].Add(1)
				return fmt.Appendf(nil, "%s %s %s %s", of.Market, of.Site, of.Lead, question), nil
			})
		})
	}
	edge := r.connect(t, subjects.Edge)
	ask := func(market, question string) (string, error) {
		got, err := edge.Ask(t.Context(), subjects.Lead{Market: market, Site: "a." + market, Lead: "l1"}, []byte(question))
		return string(got), err
	}
	await.True(t, "both markets answer", func() bool {
		_, ch := ask("ch", "?")
		_, id := ask("id", "?")
		return ch == nil && id == nil
	})
	before := answered[0].Load() + answered[1].Load()
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if got, err := ask("ch", "what"); err != nil || got != "ch a.ch l1 what" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	wg.Wait()
	if n := answered[0].Load() + answered[1].Load() - before; n != 200 {
		t.Errorf("200 questions were answered %d times", n)
	}
	if answered[2].Load() == 0 {
		t.Error("market id has answered nothing")
	}
	// Nobody answers: the question ends all the same.
	for _, question := range []string{"fail", "panic"} {
		start := time.Now()
		if got, err := ask("ch", question); err == nil || time.Since(start) > 10*askTime {
			t.Errorf("%s: %q after %s", question, got, time.Since(start))
		}
	}
	if _, err := ask("us", "what"); err == nil {
		t.Error("a market that is not there has answered")
	}
	if _, err := edge.Ask(t.Context(), subjects.Lead{Market: "ch", Site: "a.ch", Lead: ">"}, nil); err == nil {
		t.Error("a question about all leads was asked")
	}
	if got, err := ask("ch", "still"); err != nil {
		t.Errorf("after that: %q, %v", got, err)
	}
}
