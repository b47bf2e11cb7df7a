package app_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"statek/internal/app"
	"statek/internal/providers"
	"statek/internal/store"
)

// TestProvidersAreAskedNoMoreThanTheyTake, by two workers together; jobs that must wait for long sleep, and say why.
func TestProvidersAreAskedNoMoreThanTheyTake(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/a.md": simpleAgent, "replies/a.md": "```js\nexit(1)\n```"})
	var ids []uuid.UUID
	for range 9 {
		ids = append(ids, k.submit("a", nil).ID)
	}
	limited := func(c *app.WorkerConfig) {
		c.Providers = k.reg.WithRates(map[string]providers.Rate{"SCRIPTED": {Requests: 120}})
	}
	k.work(limited)
	k.work(limited)
	k.is(`select exists (select from statek.job_overview where blocked_on = 'rate'
		and blocked_why like 'waits for its turn: provider SCRIPTED takes 120 requests a minute; it comes at 2%' and worker is null)`)
	for _, id := range ids {
		if job := k.ended(id); job.Outcome != "succeeded" {
			k.dump(id)
			t.Errorf("%s: %s", job.Status, job.BlockedWhy)
		}
	}
	// Two a second, and at most a second's worth at once: never more than 2 + 2n in n seconds.
	k.is(`select bool_and(n <= 4) from (
		select count(*) over (order by at range between interval '1 second' preceding and current row) as n
		from statek.history where kind = 'model_requested') w`)
	k.is("select max(at) - min(at) >= interval '3 seconds' from statek.history where kind = 'model_requested'")
	k.is(`select count(*) between 1 and 9 from statek.history where kind = 'model_delayed'`)
}

// TestTokensAreDrawn: what replies really cost is paid for later.
func TestTokensAreDrawn(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/a.md": simpleAgent, "replies/a.md": "```js\nexit(1)\n```"})
	k.work(func(c *app.WorkerConfig) {
		c.Providers = k.reg.WithRates(map[string]providers.Rate{"SCRIPTED": {Tokens: 600_000}})
	})
	for range 3 {
		k.ended(k.submit("a", nil).ID)
	}
	k.is("select tpm = 600000 and rpm = 0 from statek.rates where provider = 'SCRIPTED'")
	k.is("select not exists (select from statek.history where kind = 'model_delayed')")
}

// TestTokensOfOneWorkerHoldAnotherBack: what one worker has drawn, also if it is gone by then, a job of another waits for,
// asleep; its request goes out when that is earned, and not before.
func TestTokensOfOneWorkerHoldAnotherBack(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/a.md": simpleAgent, "replies/a.md": "```js\nexit(1)\n```"})
	limited := func(c *app.WorkerConfig) {
		c.Providers = k.reg.WithRates(map[string]providers.Rate{"SCRIPTED": {Tokens: 2000}})
	}
	stop := k.work(limited)
	k.ended(k.submit("a", nil).ID)
	stop()
	const earned = "select tokens_at from statek.rates where provider = 'SCRIPTED' and tpm = 2000 and rpm = 0"
	var turn time.Time
	if err := k.pool.QueryRow(t.Context(), earned).Scan(&turn); err != nil {
		t.Fatal(err)
	}
	k.work(limited)
	job := k.submit("a", nil).ID
	k.is(`select exists (select from statek.job_overview where id = $1 and blocked_on = 'rate' and worker is null
		and blocked_why like 'waits for its turn: provider SCRIPTED takes 2000 tokens a minute; it comes at 2%')`, job)
	if got := k.ended(job); got.Outcome != "succeeded" {
		t.Errorf("%s: %s", got.Status, got.BlockedWhy)
	}
	k.wantKinds(job, "submitted", "model_delayed", "model_requested", "model_replied", "cell_started", "cell_ended", "finished")
	var asked time.Time
	if err := k.pool.QueryRow(t.Context(), "select at from statek.history where job_id = $1 and kind = 'model_requested'", job).Scan(&asked); err != nil {
		t.Fatal(err)
	}
	if asked.Before(turn.Add(-2 * time.Millisecond)) { // history counts in milliseconds
		t.Errorf("the model was asked %s before its turn", turn.Sub(asked))
	}
}

// TestTurnsAreGivenInOrder: concurrent draws get turns that are as far apart as the rate says, a new rate stretches what is
// owed, and an idle provider owes nothing.
func TestTurnsAreGivenInOrder(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	st := store.New(k.pool, store.NewNotifier(k.pool, 0), time.Now)
	draw := func(rpm, tpm, requests, tokens int) time.Duration {
		wait, err := st.Draw(t.Context(), "X", rpm, tpm, requests, tokens)
		if err != nil {
			t.Error(err)
		}
		return wait
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	longest := time.Duration(0)
	for range 50 {
		group.Go(func() {
			wait := draw(6, 0, 1, 0) // ten seconds each
			mu.Lock()
			defer mu.Unlock()
			longest = max(longest, wait)
		})
	}
	group.Wait()
	if longest < 480*time.Second || longest > 490*time.Second {
		t.Errorf("the last of 50 waits %s, want 490s", longest)
	}
	if wait := draw(60, 0, 1, 0); wait < 45*time.Second || wait > 51*time.Second {
		t.Errorf("at ten times the rate the next waits %s, want about 50s", wait)
	}
	k.exec("update statek.rates set requests_at = clock_timestamp() - interval '1 hour', tokens_at = clock_timestamp() - interval '1 hour'")
	if wait := draw(6, 600, 1, 300); wait != 0 {
		t.Errorf("an idle provider lets wait %s", wait)
	}
	if wait := draw(6, 600, 0, 10); wait < 25*time.Second || wait > 31*time.Second {
		t.Errorf("after 300 of 600 tokens a minute the next waits %s, want 30s", wait)
	}
}
