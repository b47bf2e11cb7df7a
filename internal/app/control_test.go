package app_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/app"
)

// must fails the test on an error.
func (k *kit) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// say sends a message.
func (k *kit) say(id uuid.UUID, payload, mode string) {
	k.t.Helper()
	k.must(k.SendMessage(k.t.Context(), id, json.RawMessage(payload), mode))
}

// thinking waits until the model is asked for a turn.
func (k *kit) thinking(id uuid.UUID, requests int) {
	k.t.Helper()
	k.is("select count(*) = $2 from statek.history where job_id = $1 and kind = 'model_requested'", id, requests)
}

// conflicts checks for an error of kind conflict.
func conflicts(t *testing.T, what string, err error) {
	t.Helper()
	var refused *app.Error
	if !errors.As(err, &refused) || refused.Kind != app.KindConflict {
		t.Errorf("%s: %v, want a conflict", what, err)
	}
}

const slowReply = "<!-- delay: 1h -->\n```js\nexit('never')\n```"

func TestCancelReachesAModelRequest(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/slow.md": simpleAgent, "replies/slow.md": slowReply})
	k.work()
	k.work() // the doorbell may come to the one that does not run the job
	for range 3 {
		job := k.submit("slow", nil)
		k.thinking(job.ID, 1)
		began := time.Now()
		k.must(k.Cancel(t.Context(), job.ID, "changed my mind"))
		got := k.ended(job.ID)
		if got.Outcome != "cancelled" || got.Error != "changed my mind" {
			t.Errorf("ended %s: %s", got.Outcome, got.Error)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("cancelling took %s", took)
		}
		k.wantKinds(job.ID, "submitted", "model_requested", "finished")
		conflicts(t, "message to a cancelled job", k.SendMessage(t.Context(), job.ID, json.RawMessage("1"), ""))
		k.must(k.Cancel(t.Context(), job.ID, "again")) // harmless
	}
}

func TestCancelWhileAsleepWithdrawsItsWaits(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/a.md": simpleAgent, "agents/a.warmup.js": "await Promise.all([event('x'), sleep('1h')])"})
	k.work()
	job := k.submit("a", nil)
	k.until(job.ID, "SUSPENDED")
	k.must(k.Cancel(t.Context(), job.ID, ""))
	if got := k.ended(job.ID); got.Outcome != "cancelled" || got.BlockedOn != "" {
		t.Errorf("ended %s, blocked on %q", got.Outcome, got.BlockedOn)
	}
	k.is("select not exists (select from statek.waits)")
	conflicts(t, "pause of an ended job", k.Pause(t.Context(), job.ID, ""))
}

// TestPauseAndResumeInTheMiddleOfACell: the cell is kept, sleeping or calling, and goes on where it was.
func TestPauseAndResumeInTheMiddleOfACell(t *testing.T) {
	t.Parallel()
	service := newOutside(t)
	let := service.hold()
	defer let()
	k := newKit(t, files{
		"agents/a.md":            simpleAgent,
		"agents/a.warmup.js":     "print('before')\nconst x = await event('go')\nconst y = await charge(x)\nexit(y.receipt)",
		"tools/charge.http.yaml": service.tool(""),
		"agents/thinker.md":      simpleAgent,
		"replies/thinker.md":     slowReply,
	})
	k.work()
	job := k.submit("a", nil)
	k.until(job.ID, "SUSPENDED")
	k.must(k.Pause(t.Context(), job.ID, "lunch"))
	if got := k.until(job.ID, "PAUSED"); got.BlockedOn != "operator" || !strings.Contains(got.BlockedWhy, "lunch") {
		t.Errorf("blocked on %q: %s", got.BlockedOn, got.BlockedWhy)
	}
	_, _, err := k.Emit(t.Context(), "/", "go", "", json.RawMessage("7")) // while it is paused
	k.must(err)
	k.is("select exists (select from statek.history_entries where job_id = $1 and kind = 'call_settled')", job.ID)
	k.must(k.Resume(t.Context(), job.ID, "me"))
	key := service.next(t)
	k.must(k.Pause(t.Context(), job.ID, "again"))
	k.until(job.ID, "PAUSED")
	k.must(k.Resume(t.Context(), job.ID, "me"))
	if again := service.next(t); again != key {
		t.Errorf("keys %q, then %q; want the same", key, again)
	}
	let()
	if got := k.ended(job.ID); string(got.Result) != `"r1"` || k.printed(job.ID, "before") != 1 {
		k.dump(job.ID)
		t.Errorf("result = %s", got.Result)
	}
	conflicts(t, "resume of a succeeded job", k.Resume(t.Context(), job.ID, ""))

	// A model request that is paused is asked again, as the first attempt: nothing has failed.
	thinker := k.submit("thinker", nil)
	k.thinking(thinker.ID, 1)
	k.must(k.Pause(t.Context(), thinker.ID, ""))
	k.until(thinker.ID, "PAUSED")
	k.must(k.Resume(t.Context(), thinker.ID, ""))
	k.thinking(thinker.ID, 2)
	k.must(k.Cancel(t.Context(), thinker.ID, ""))
	k.ended(thinker.ID)
	k.wantKinds(thinker.ID, "submitted", "model_requested", "paused", "resumed", "model_requested", "finished")
}

func TestMessages(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/think.md":         simpleAgent,
		"replies/think.md":        "<!-- delay: 1s -->\n```js\nprint('one')\n```\n----------\n```js\nexit('two')\n```",
		"agents/stuck.md":         simpleAgent,
		"replies/stuck.md":        "```js\nlet x = 1\n```\n----------\n```js\nx = 2\nawait event('never')\n```\n----------\n```js\nexit(x)\n```",
		"agents/finish.md":        simpleAgent,
		"agents/finish.warmup.js": "exit('first')",
		"replies/finish.md":       "```js\nexit('second')\n```",
	})
	k.work()
	t.Run("while the model thinks", func(t *testing.T) {
		t.Parallel()
		job := k.submit("think", nil)
		k.thinking(job.ID, 1)
		k.say(job.ID, `"hello"`, "")
		if got := k.ended(job.ID); string(got.Result) != `"two"` {
			t.Errorf("result = %s", got.Result)
		}
		kinds := k.kinds(job.ID)
		if n := slices.Index(kinds, "message_received"); n < 0 || n > slices.Index(kinds[3:], "model_requested")+3 {
			t.Errorf("history = %v, want the message before the second request", kinds)
		}
	})
	t.Run("interrupt a sleeping cell", func(t *testing.T) {
		t.Parallel()
		job := k.submit("stuck", nil)
		k.until(job.ID, "SUSPENDED")
		k.say(job.ID, `"stop"`, "interrupt")
		if got := k.ended(job.ID); string(got.Result) != "1" { // as it was before the cell
			k.dump(job.ID)
			t.Errorf("result = %s, want the workspace before the cell", got.Result)
		}
		k.is("select not exists (select from statek.waits where job_id = $1)", job.ID)
	})
	t.Run("reactivate a succeeded job", func(t *testing.T) {
		t.Parallel()
		job := k.submit("finish", nil)
		k.ended(job.ID)
		k.say(job.ID, `"once more"`, "")
		k.is("select exists (select from statek.job_state where job_id = $1 and (core->>'completions')::int = 1 and status = 'DONE')", job.ID)
		if got := k.ended(job.ID); string(got.Result) != `"second"` || got.Completions != 1 || got.FinishedAt == nil {
			t.Errorf("result = %s, completions %d", got.Result, got.Completions)
		}
	})
	t.Run("resume a cancelled job", func(t *testing.T) {
		t.Parallel()
		job := k.submit("stuck", nil)
		k.until(job.ID, "SUSPENDED")
		k.must(k.Cancel(t.Context(), job.ID, "by mistake"))
		k.ended(job.ID)
		k.must(k.Resume(t.Context(), job.ID, "me"))
		k.is("select status = 'DONE' and outcome = 'succeeded' from statek.job_state where job_id = $1", job.ID)
		if got := k.ended(job.ID); string(got.Result) != "1" || got.Error != "" {
			k.dump(job.ID)
			t.Errorf("result = %s, error %q", got.Result, got.Error)
		}
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		job := k.submit("stuck", nil)
		var refused *app.Error
		for name, err := range map[string]error{
			"mode":    k.SendMessage(t.Context(), job.ID, json.RawMessage("1"), "shout"),
			"no JSON": k.SendMessage(t.Context(), job.ID, json.RawMessage("{"), ""),
			"no job":  k.SendMessage(t.Context(), uuid.New(), json.RawMessage("1"), ""),
			"size":    k.SendMessage(t.Context(), job.ID, json.RawMessage(`"`+strings.Repeat("x", 300<<10)+`"`), ""),
		} {
			if !errors.As(err, &refused) || refused.Kind != app.KindInvalid && refused.Kind != app.KindNotFound {
				t.Errorf("%s: %v, want it refused", name, err)
			}
		}
	})
}

func TestModelFailures(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/retry.md":   simpleAgent,
		"replies/retry.md":  "<!-- error: 429 retry-after=10ms -->\n----------\n```js\nexit('at last')\n```",
		"agents/refuse.md":  simpleAgent,
		"replies/refuse.md": "<!-- error: 401 -->\n----------\n```js\nexit('allowed')\n```",
		"agents/bad.md":     simpleAgent,
		"replies/bad.md":    "I think so.\n----------\n```js\n\n```\n----------\n```js\nexit('good')\n```",
		"agents/worse.md":   simpleAgent,
		"replies/worse.md":  strings.Repeat("Words.\n----------\n", 3) + "```js\nexit('good')\n```",
		"agents/nobody.md":  "# MODEL: NOWHERE//m\n# System Prompt\nx\n",
		"agents/throws.md":  simpleAgent,
		"replies/throws.md": "```js\nlet kept = 1\nthrow new RangeError('too far')\n```\n----------\n```js\nexit(kept)\n```",
	})
	k.work()
	run := func(name string, check func(t *testing.T, k *kit, job app.Job)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &kit{App: k.App, t: t, url: k.url, pool: k.pool, reg: k.reg}
			job, err := k.Submit(t.Context(), app.SubmitRequest{Role: name, Limits: app.Limits{Consecutive: 3}})
			k.must(err)
			check(t, k, k.ended(job.ID))
		})
	}
	result := func(want string) func(*testing.T, *kit, app.Job) {
		return func(t *testing.T, k *kit, job app.Job) {
			t.Helper()
			if string(job.Result) != want {
				k.dump(job.ID)
				t.Errorf("%s with %s (%s), want %s", job.Status, job.Result, job.BlockedWhy, want)
			}
		}
	}
	paused := func(t *testing.T, k *kit, job app.Job, words ...string) {
		t.Helper()
		for _, w := range words {
			if job.Status != "PAUSED" || !strings.Contains(job.BlockedWhy, w) {
				k.dump(job.ID)
				t.Fatalf("%s: %s; want PAUSED with %q", job.Status, job.BlockedWhy, w)
			}
		}
	}
	run("retry", func(t *testing.T, k *kit, job app.Job) {
		result(`"at last"`)(t, k, job)
		k.wantKinds(job.ID, "submitted", "model_requested", "model_failed", "model_requested", "model_replied", "cell_started", "cell_ended", "finished")
	})
	run("refuse", func(t *testing.T, k *kit, job app.Job) {
		paused(t, k, job, "attempt 1", "SCRIPTED", "refuse.md")
		k.must(k.Resume(t.Context(), job.ID, "me"))
		k.until(job.ID, "DONE")
		result(`"allowed"`)(t, k, k.ended(job.ID))
	})
	run("bad", result(`"good"`))
	run("worse", func(t *testing.T, k *kit, job app.Job) {
		paused(t, k, job, "3 failed replies in a row", "resume")
		k.must(k.Resume(t.Context(), job.ID, "me"))
		k.until(job.ID, "DONE")
		result(`"good"`)(t, k, k.ended(job.ID))
	})
	run("nobody", func(t *testing.T, k *kit, job app.Job) { paused(t, k, job, "NOWHERE", "NOWHERE_API_URL") })
	run("throws", func(t *testing.T, k *kit, job app.Job) {
		result("1")(t, k, job)
		rows, err := k.History(t.Context(), job.ID, 0, 0)
		k.must(err)
		i := slices.IndexFunc(rows, func(r app.HistoryRow) bool { return r.Kind == "cell_ended" })
		if diff := cmp.Diff(true, strings.Contains(string(rows[i].Payload), "too far")); diff != "" {
			t.Errorf("the error is not recorded: %s", rows[i].Payload)
		}
	})
}
