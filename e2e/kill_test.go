package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"statek/internal/pgtest"
	"statek/internal/providers"
	"statek/internal/providers/providertest"
)

// TestKill9InSuspendedCell: a sleeping cell is rows and nothing else. The worker that ran its first half is
// killed, another one runs the second.
func TestKill9InSuspendedCell(t *testing.T) {
	t.Parallel()
	w := newBareWorld(t, pgtest.URL(t, pgtest.Bare))
	w.statek(0, "migrate", "up")
	w.prepare(ledger(files{
		"agents/clerk.md": modelAgent,
		"agents/clerk.warmup.js": "print('before')\nconst noted = await note('once')\nconst task = await pickNextTask('q')\n" +
			"print('after', task.subject)\nexit({noted: noted.note, subject: task.subject})\n",
	}))
	first := w.worker()
	job := w.submit("clerk", nil)
	w.asleep(job)
	second := w.worker()
	first.kill()
	w.sql("insert into app.tasks (queue, subject) values ('q', 'late invoice')")
	w.ended(job, `{"noted":"once","subject":"late invoice"}`)

	if n := query[int](w, "select count(*) from app.ledger where job_id = $1", job); n != 1 {
		t.Errorf("the ledger has %d rows, want 1", n)
	}
	want := []string{
		"submitted", "cell_started", "console", "call_issued", "call_settled", "call_issued", "suspended",
		"call_settled", "console", "cell_ended", "finished",
	}
	if diff := cmp.Diff(want, w.kinds(job)); diff != "" {
		w.dump(job)
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if second.ended() {
		t.Error("the second worker has ended")
	}
}

// TestKill9InToolCall: the call is made again with the key of the first time; the call that is recorded is not.
func TestKill9InToolCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ledger(files{
		"agents/clerk.md": modelAgent,
		"agents/clerk.warmup.js": "print('before')\nawait note('once')\nconst charged = await charge(5)\nprint('charged')\n" +
			"exit(charged.receipt)\n",
	}))
	w.tools.holding(true)
	a, b := w.worker(), w.worker()
	job := w.submit("clerk", nil)
	call := arrives(t, "the tool call", w.tools.arrived)
	owner, other := w.holder(job, a, b)
	w.tools.holding(false)
	owner.kill()
	killed := time.Now()
	again := arrives(t, "the repeated tool call", w.tools.arrived)
	took := time.Since(killed)
	t.Logf("taken over %s after the kill", took.Round(time.Millisecond))
	w.reach(job, "taken_over", 1) // followers of the job hear of it
	w.ended(job, `"r1"`)

	if want := fmt.Sprintf("%s/1/2", job); call.key != want || again.key != want {
		t.Errorf("got Idempotency-Key %q, then %q, want both times %q", call.key, again.key, want)
	}
	if again.body != `{"amount":5}` || again.authorization != "Bearer "+toolSecret {
		t.Errorf("got body %s and the right secret: %t", again.body, again.authorization == "Bearer "+toolSecret)
	}
	if n := len(w.tools.recorded()); n != 2 {
		t.Errorf("the tool was called %d times, want 2", n)
	}
	if n := query[int](w, "select count(*) from app.ledger where job_id = $1", job); n != 1 {
		t.Errorf("the ledger has %d rows, want 1", n)
	}
	if took < 3*time.Second || took > 12*time.Second {
		t.Errorf("the takeover took %s, want about 5 to 8 s", took)
	}
	want := []string{
		"submitted", "cell_started", "console", "call_issued", "call_settled", "call_issued", "taken_over",
		"call_settled", "console", "cell_ended", "finished",
	}
	if diff := cmp.Diff(want, w.kinds(job)); diff != "" {
		w.dump(job)
		t.Errorf("history (-want +got):\n%s", diff)
	}
	other.logged("worker is dead: its jobs are taken over")
	t.Run("the timeline tells the story", func(t *testing.T) {
		rows, _ := w.pool.Query(t.Context(), "select what from statek.job_timeline where job_id = $1 order by seq", job)
		story, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"submitted by e2e", "warmup block 1 started", "printed: before", `called note("once")`, `note returned {"note": "once"}`, "called charge(5)",
			"taken over: worker " + owner.id.String()[:8] + " had stopped in the middle of something",
			`charge returned {"receipt": "r1"}`, "printed: charged", "cell 1 ended with exit(r1)", "succeeded with r1",
		}
		if diff := cmp.Diff(want, story); diff != "" {
			t.Errorf("timeline (-want +got):\n%s", diff)
		}
		row := query[string](w, "select concat_ws(' ', agent, status, outcome, result, cells, turns, mail, worker) from statek.job_overview where id = $1", job)
		if want := `clerk DONE succeeded "r1" 1 0 0`; row != want {
			t.Errorf("got overview %q, want %q", row, want)
		}
	})
}

// TestKill9DuringModelRequest: the turn's request is sent again as the second attempt, and one reply is kept.
func TestKill9DuringModelRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ledger(files{"agents/clerk.md": modelAgent, "agents/clerk.warmup.js": "print('ticket 7')\n"}))
	w.model.Queue(
		providertest.Answer{Hang: true},
		providertest.Answer{Text: "```js\nconst noted = await note('by the model')\n```", Usage: providers.Usage{InputTokens: 100, OutputTokens: 10, Cost: "0.25"}},
		providertest.Answer{Text: "```js\nexit(noted.note)\n```", Usage: providers.Usage{InputTokens: 200, OutputTokens: 5, CachedTokens: 90}},
	)
	a, b := w.worker(), w.worker()
	job := w.submit("clerk", nil)
	asked := arrives(t, "the model request", w.model.Arrived())
	owner, _ := w.holder(job, a, b)
	owner.kill()
	again := arrives(t, "the second attempt", w.model.Arrived())
	w.ended(job, `"by the model"`)

	if diff := cmp.Diff(asked.Messages, again.Messages); diff != "" {
		t.Errorf("the second attempt asks otherwise (-first +second):\n%s", diff)
	}
	if asked.Authorization != "Bearer "+modelKey {
		t.Error("the model service was not given its key")
	}
	rows := w.history(job)
	if requested, replied := count(rows, "model_requested"), count(rows, "model_replied"); requested != 3 || replied != 2 {
		w.dump(job)
		t.Errorf("history has %d requests and %d replies, want 3 and 2", requested, replied)
	}
	attempts := query[string](w, `select string_agg(payload ->> 'turn' || '.' || (payload ->> 'attempt'), ' ' order by seq)
		from statek.history where job_id = $1 and kind = 'model_requested'`, job)
	if attempts != "1.1 1.2 2.1" {
		t.Errorf("got attempts %q, want turn 1 twice: 1.1 1.2 2.1", attempts)
	}
	usage := query[string](w, `select string_agg(concat_ws(' ', provider, model, input_tokens, cached_tokens, output_tokens, cost), '; ' order by seq)
		from statek.usage where job_id = $1`, job)
	if want := "LOCAL m 100 0 10 0.25; LOCAL m 200 90 5"; usage != want {
		t.Errorf("got usage %q, want %q", usage, want)
	}
	if n := len(w.model.Requests()); n != 3 {
		t.Errorf("the model was asked %d times, want 3", n)
	}
	if last := again.Messages[len(again.Messages)-1].Content; !strings.Contains(last, "ticket 7") {
		t.Errorf("the model was not shown the console: %s", last)
	}
}
