package app_test

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"

	"statek/internal/app"
)

// TestFewAreRunByWhoWakesThem: a woken job needs no doorbell, but a crowd is for all workers.
func TestFewAreRunByWhoWakesThem(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.apply(files{"agents/a.md": simpleAgent, "agents/a.warmup.js": "exit(await event(name))"})
	k.work()
	k.work()
	sleeping := func(name string, n int) []uuid.UUID {
		ids := make([]uuid.UUID, n)
		for i := range ids {
			ids[i] = k.submit("a", map[string]any{"name": name}).ID
		}
		for _, id := range ids {
			k.until(id, "SUSPENDED")
		}
		return ids
	}
	rings := func(ids []uuid.UUID) int { // of jobs, whether or not they share a doorbell
		n := 0
		for _, id := range ids {
			n += k.one("select count(*) from river.river_job where args ->> 'job_id' = '" + id.String() + "' or args -> 'job_ids' ? '" + id.String() + "'")
		}
		return n
	}
	for _, crowd := range []struct {
		name string
		n    int
		rung int // doorbells for waking them
	}{{"few", 1, 0}, {"some", 4, 0}, {"many", 12, 12}} {
		ids := sleeping(crowd.name, crowd.n)
		k.is("select not exists (select from statek.job_state where owner is not null)") // they have looked once more
		k.exec("delete from river.river_job where state = 'completed'")
		before := rings(ids)
		k.exec("select statek.emit('/', $1, '7')", crowd.name)
		for _, id := range ids {
			if job := k.ended(id); string(job.Result) != "7" {
				t.Errorf("%s: result %s", crowd.name, job.Result)
			}
		}
		if got := rings(ids) - before; got != crowd.rung {
			t.Errorf("%s: %d doorbells for %d jobs, want %d", crowd.name, got, crowd.n, crowd.rung)
		}
	}
}

// TestSubmittedWhereItRuns: a worker runs a few jobs that its own process submits without a doorbell. Many at once are for
// all workers, and one that is leaving takes nothing more.
func TestSubmittedWhereItRuns(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/a.md": simpleAgent, "agents/a.warmup.js": "exit(7)"})
	stop := k.work()
	k.ended(k.submit("a", nil).ID) // the worker is up
	rings := func(n int) int {
		t.Helper()
		before := k.one("select count(*) from river.river_job")
		jobs, err := k.SubmitBatch(t.Context(), "a", make([]app.SubmitRequest, n))
		k.must(err)
		for _, job := range jobs {
			if job := k.ended(job.ID); string(job.Result) != "7" {
				t.Errorf("result %s", job.Result)
			}
		}
		return k.one("select count(*) from river.river_job") - before
	}
	for n, want := range map[int]int{1: 0, 4: 0, 5: 5} {
		if got := rings(n); got != want {
			t.Errorf("%d doorbells for %d jobs at once, want %d", got, n, want)
		}
	}
	stop()
	k.submit("a", nil)
	k.is("select exists (select from river.river_job where state = 'available')")
}

// TestToldWhereItRuns: a worker runs a job that its own process sends a message, cancels or resumes without a doorbell; one that is
// leaving takes nothing more.
func TestToldWhereItRuns(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/a.md": simpleAgent, "agents/a.warmup.js": "const m = await message()\nexit(await add(m))", "tools/add.sql": "-- tool: add(n int)\n-- returns: value\nselect :n + 1\n",
	})
	stop := k.work()
	asleep := func() uuid.UUID {
		id := k.submit("a", nil).ID
		k.is("select status = 'SUSPENDED' and owner is null from statek.job_state where job_id = $1", id)
		return id
	}
	message, cancelled := asleep(), asleep() // and the worker is up
	before := k.one("select count(*) from river.river_job")
	k.must(k.SendMessage(t.Context(), message, json.RawMessage("6"), ""))
	if job := k.ended(message); string(job.Result) != "7" {
		t.Errorf("result %s, error %s; want 7", job.Result, job.Error)
	}
	k.must(k.Cancel(t.Context(), cancelled, "enough"))
	k.until(cancelled, "DONE")
	k.is("select owner is null from statek.job_state where job_id = $1", cancelled)
	k.must(k.Resume(t.Context(), cancelled, "not quite"))
	k.is("select status = 'SUSPENDED' and owner is null from statek.job_state where job_id = $1", cancelled)
	if n := k.one("select count(*) from river.river_job"); n != before {
		t.Errorf("%d doorbells, want 0", n-before)
	}
	if n := k.one("select count(*) from statek.waits where job_id = '" + message.String() + "'"); n != 0 {
		t.Errorf("%d waits are left of the job that has ended", n)
	}
	stop()
	k.must(k.SendMessage(t.Context(), cancelled, json.RawMessage("6"), ""))
	k.is("select exists (select from river.river_job where state = 'available')")
}
