package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"statek/internal/providers/providertest"
)

// TestSigtermHandsOver: a worker that is asked to end gives what it does to another, at once, and ends well.
func TestSigtermHandsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ledger(files{
		"agents/asker.md":          modelAgent,
		"agents/sleeper.md":        modelAgent,
		"agents/sleeper.warmup.js": "print('before')\nconst task = await pickNextTask('q')\nexit(task.subject)\n",
	}))
	w.model.Queue(providertest.Answer{Hang: true}, providertest.Answer{Text: "```js\nexit('asked twice')\n```"})
	const grace = 1500 * time.Millisecond
	first := w.worker("--grace", grace.String())
	sleeper, asker := w.submit("sleeper", nil), w.submit("asker", nil)
	w.asleep(sleeper)
	arrives(t, "the model request", w.model.Arrived())
	second := w.worker()

	first.signal(syscall.SIGTERM)
	signalled := time.Now()
	w.sql("insert into app.tasks (queue, subject) values ('q', 'while it ends')")
	w.ended(sleeper, `"while it ends"`)
	t.Logf("the sleeping job ended %s after the signal", time.Since(signalled).Round(time.Millisecond))
	if code := first.code(); code != 0 {
		t.Errorf("got exit %d, want 0", code)
	}
	left := time.Now()
	if took := left.Sub(signalled); took > grace+3*time.Second {
		t.Errorf("the worker ended after %s, its grace is %s", took, grace)
	}
	arrives(t, "the second attempt", w.model.Arrived())
	w.ended(asker, `"asked twice"`)
	took := time.Since(left)
	t.Logf("the worker ended %s after the signal, the job it handed over %s after that", left.Sub(signalled).Round(time.Millisecond), took.Round(time.Millisecond))
	if took > 4*time.Second {
		t.Errorf("the handed-over job ended %s after the worker, want less than a takeover from the dead", took)
	}
	if rows := w.history(asker); count(rows, "taken_over") != 0 || count(rows, "model_replied") != 1 {
		w.dump(asker)
		t.Error("want a hand-over without a takeover, and one reply")
	}
	first.logged("worker stopped")
	if second.ended() {
		t.Error("the second worker has ended")
	}
}

// TestSIGSTOPZombie: a worker that was frozen while others took its job over writes nothing when it wakes, and
// comes back under another id.
func TestSIGSTOPZombie(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ledger(files{
		"agents/clerk.md":        modelAgent,
		"agents/clerk.warmup.js": "const charged = await charge(5)\nawait note('charged')\nexit(charged.receipt)\n",
	}))
	w.tools.holding(true)
	a, b := w.worker(), w.worker()
	job := w.submit("clerk", nil)
	call := arrives(t, "the tool call", w.tools.arrived)
	zombie, other := w.holder(job, a, b)
	w.tools.holding(false)
	zombie.signal(syscall.SIGSTOP)
	arrives(t, "the repeated tool call", w.tools.arrived)
	w.ended(job, `"r1"`)
	before := w.history(job)
	row := query[string](w, "select (epoch, owner, seq, status)::text from statek.job_state where job_id = $1", job)

	call.answer() // the zombie finds the answer it was waiting for
	old := zombie.id
	zombie.signal(syscall.SIGCONT)
	zombie.begun()
	if zombie.id == old {
		t.Error("the zombie came back under its old id")
	}
	other.kill()
	second := w.submit("clerk", nil) // by a worker that is under its new id: whatever it had to write is written
	w.ended(second, `"r1"`)
	if diff := cmp.Diff(before, w.history(job)); diff != "" {
		t.Errorf("the zombie changed history (-before +after):\n%s", diff)
	}
	if now := query[string](w, "select (epoch, owner, seq, status)::text from statek.job_state where job_id = $1", job); now != row {
		t.Errorf("the zombie changed the job from %s to %s", row, now)
	}
	if n := query[int](w, "select count(*) from app.ledger where job_id = $1", job); n != 1 {
		t.Errorf("the ledger has %d rows, want 1", n)
	}
	if dead := query[bool](w, "select dead_at is not null from statek.workers where id = $1", old); !dead {
		t.Error("the zombie's old id was not declared dead")
	}
}
