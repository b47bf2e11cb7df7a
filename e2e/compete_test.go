package e2e

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
)

// TestKill9WhileWaitsCompete: jobs each wait for one task of two queues while tasks come and workers are killed. Each
// task is taken by one job, which ends with it; none takes two.
func TestKill9WhileWaitsCompete(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ledger(files{
		"agents/clerk.md":        modelAgent,
		"agents/clerk.warmup.js": "const task = await first(pickNextTask('a'), pickNextTask('b'), event('never'))\nexit(task.id)\n",
	}))
	const rounds, perRound = 3, 6
	var ids []uuid.UUID
	workers := []*worker{w.worker(), w.worker()}
	for range rounds * perRound {
		id := w.submit("clerk", nil)
		ids = append(ids, id)
	}
	for _, id := range ids {
		w.asleep(id)
	}
	for round := range rounds {
		w.sql("insert into app.tasks (queue, subject) select case when i % 2 = 0 then 'a' else 'b' end, 's' from generate_series(1, $1) i", perRound)
		workers[round%2].kill()
		workers[round%2] = w.worker()
	}
	for _, id := range ids {
		w.reach(id, "finished", 1)
	}
	if n := query[int](w, "select count(*) from app.tasks t join statek.job_state j on j.job_id = t.taken_by and j.result::text = t.id::text"); n != rounds*perRound {
		t.Errorf("%d tasks belong to a job that ended with them, want %d", n, rounds*perRound)
	}
	if n := query[int](w, "select (select count(*) from statek.waits) + (select count(*) from statek.wait_sets) + (select count(*) from statek.mailbox)"); n != 0 {
		t.Errorf("%d waits, sets and values are left", n)
	}
}

// TestKill9InACallBesideAWait: the wait that was made with the call is not forgotten with the worker.
func TestKill9InACallBesideAWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ledger(files{
		"agents/clerk.md":        modelAgent,
		"agents/clerk.warmup.js": "const [charged, got] = await all(charge(5), event('go'))\nexit(charged.receipt + got)\n",
	}))
	w.tools.holding(true)
	a, b := w.worker(), w.worker()
	job := w.submit("clerk", nil)
	arrives(t, "the tool call", w.tools.arrived)
	owner, _ := w.holder(job, a, b)
	w.tools.holding(false)
	owner.kill()
	arrives(t, "the repeated tool call", w.tools.arrived)
	w.sql("select statek.emit('/', 'go', '\"!\"')")
	w.ended(job, fmt.Sprintf("%q", "r1!"))
}
