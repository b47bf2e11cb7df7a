package app_test

import (
	"sync"
	"testing"

	"github.com/google/uuid"

	"statek/internal/jsvm"
)

// wakeKit has an agent whose cell waits for a row, a worker that is up, and a job that sleeps in its cell. The COMMIT of a
// look that has taken a row waits while somebody holds the advisory lock 1.
func wakeKit(t *testing.T) (k *kit, m *seen, job uuid.UUID, stop func()) {
	t.Helper()
	m = &seen{Machine: jsvm.NewInProcess(), ran: make(chan struct{}, 100)}
	k = newKitThrough(t, m, nil)
	k.exec(`create schema app; create table app.tasks (id int, taken uuid);
		grant usage on schema app to statek_tool; grant select, update on app.tasks to statek_tool;
		select statek.watch('app.tasks');
		create function app.dawdle() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock_shared(1); return null; end $$;
		create constraint trigger dawdle after update on app.tasks deferrable initially deferred for each row execute function app.dawdle()`)
	k.apply(files{
		"agents/picker.md": simpleAgent, "agents/picker.warmup.js": "let n = 0; print('on'); n = await pick(); print('off'); exit(n)",
		"temporals/pick.sql": "-- temporal: pick()\n-- watch: app.tasks\n-- condition\nselect true from app.tasks where taken is null\n" +
			"-- complement\nupdate app.tasks set taken = :job_id where taken is null returning id\n" +
			"-- release\nupdate app.tasks set taken = null where taken = :job_id\n",
	})
	stop = k.work()
	job = k.submit("picker", nil).ID
	k.until(job, "SUSPENDED")
	k.is("select not exists (select from statek.wait_checks) and not exists (select from statek.job_state where owner is not null)")
	m.ever.Store(0)
	m.given.Store(0)
	for len(m.ran) > 0 {
		<-m.ran
	}
	return k, m, job, stop
}

const committing = "datname = current_database() and wait_event_type = 'Lock' and wait_event = 'advisory'"

// lock takes the advisory lock 1, until it is let go.
func (k *kit) lock() (let func()) {
	k.t.Helper()
	tx, err := k.pool.Begin(k.t.Context())
	k.must(err)
	_, err = tx.Exec(k.t.Context(), "select pg_advisory_xact_lock(1)")
	k.must(err)
	return sync.OnceFunc(func() { k.must(tx.Rollback(k.t.Context())) })
}

// dawdling inserts a row, and waits until the job's cell has been run to its wait, and given the value unless there is other mail, while
// the COMMIT that wakes it is held.
// let lets that go on.
func (k *kit) dawdling(m *seen, job uuid.UUID) (let func()) {
	k.t.Helper()
	let = k.lock()
	before := len(k.kinds(job))
	k.exec("insert into app.tasks values (7)")
	wait(k.t, m.ran, "the open cell")
	if k.one("select count(*) from statek.mailbox where job_id = $1", job) == 0 { // else what comes first is not the value
		for m.given.Load() == 0 {
			k.exec("select pg_sleep(0.001)")
		}
	}
	k.is("select exists (select from pg_stat_activity where " + committing + ")")
	if n := len(k.kinds(job)); n != before {
		k.dump(job)
		k.t.Errorf("history has %d rows more than before the wake-up has committed", n-before)
	}
	return let
}

// picked waits until the job has ended with the row, which it was given once.
func (k *kit) picked(job uuid.UUID) {
	k.t.Helper()
	if got := k.ended(job); string(got.Result) != `{"id":7}` {
		k.dump(job)
		k.t.Errorf("%s with %s", got.Status, got.Result)
	}
	k.wantKinds(job, "submitted", "cell_started", "console", "call_issued", "suspended", "call_settled", "console", "cell_ended", "finished")
}

// TestACellComputesWhileItIsWoken: it has been run to its wait and on with the value when that is its own, and nobody was rung for it.
func TestACellComputesWhileItIsWoken(t *testing.T) {
	t.Parallel()
	k, m, job, stop := wakeKit(t)
	rings := k.one("select count(*) from river.river_job")
	k.dawdling(m, job)()
	k.picked(job)
	if n := k.one("select count(*) from river.river_job") - rings; n != 0 {
		t.Errorf("%d doorbells", n)
	}
	stop()
	if open, ever, given := m.open.Load(), m.ever.Load(), m.given.Load(); open != 0 || ever != 1 || given != 1 {
		t.Errorf("%d VMs are open of %d, want 0 of 1, and one was given %d results, want 1", open, ever, given)
	}
}

// TestAWakeUpThatFailsLeavesNoTrace: what was computed for it ends with it, and the next look begins anew.
func TestAWakeUpThatFailsLeavesNoTrace(t *testing.T) {
	t.Parallel()
	k, m, job, stop := wakeKit(t)
	let := k.dawdling(m, job)
	k.exec("select pg_terminate_backend(pid) from pg_stat_activity where " + committing)
	wait(t, m.ran, "the next look")
	k.is("select count(*) = 1 from pg_stat_activity where " + committing)
	if n := k.one("select count(*) from statek.mailbox where job_id = $1", job); n != 0 {
		t.Errorf("%d letters of a wake-up that has failed", n)
	}
	let()
	k.picked(job)
	stop()
	if open, ever := m.open.Load(), m.ever.Load(); open != 0 || ever != 2 {
		t.Errorf("%d VMs are open of %d, want 0 of 2", open, ever)
	}
}

// TestAWakeUpWithoutAReplyIsRunOnce: the value and the job are this worker's, but it was not told. It gives the stray back.
func TestAWakeUpWithoutAReplyIsRunOnce(t *testing.T) {
	t.Parallel()
	k, m, job, stop := wakeKit(t)
	let := k.dawdling(m, job)
	k.wire.Drop() // the server will not notice before it has committed
	let()
	k.is("select status = 'DONE' from statek.job_state where job_id = $1", job)
	if n := k.one("select count(*) from statek.history where job_id = $1 and (kind = 'call_settled' or kind = 'console')", job); n != 3 {
		t.Errorf("%d rows of history tell of the value and the lines, want 3", n)
	}
	stop()
	if open := m.open.Load(); open != 0 {
		t.Errorf("%d VMs are open", open)
	}
}

// TestMailThatOvertakesAWakeUp: the job is cancelled while its value is being written. Either its code sees the value, or it is given
// back.
func TestMailThatOvertakesAWakeUp(t *testing.T) {
	t.Parallel()
	k, m, job, stop := wakeKit(t)
	let := k.dawdling(m, job)
	k.must(k.Cancel(t.Context(), job, "enough"))
	let()
	got := k.ended(job) // the run that has the value may be faster than the doorbell
	if seen := string(got.Result) != ""; !seen && got.Outcome != "cancelled" || seen == (k.one("select count(*) from app.tasks where taken is null") == 1) {
		k.dump(job)
		t.Errorf("%s, %s with %s, %d tasks are there", got.Status, got.Outcome, got.Result, k.one("select count(*) from app.tasks where taken is null"))
	}
	stop()
	if open := m.open.Load(); open != 0 {
		t.Errorf("%d VMs are open", open)
	}
}

// TestMailThatIsThereEndsTheCell: the cancellation was put before the look, and is read with the value.
func TestMailThatIsThereEndsTheCell(t *testing.T) {
	t.Parallel()
	k, m, job, stop := wakeKit(t)
	k.exec(`insert into statek.mailbox (job_id, kind, payload) values ($1, 'cancel', '"enough"')`, job) // without a doorbell, which would be faster
	k.dawdling(m, job)()
	if got := k.ended(job); got.Outcome != "cancelled" {
		k.dump(job)
		t.Errorf("%s, %s", got.Status, got.Outcome)
	}
	k.is("select exists (select from app.tasks where taken is null)")
	stop()
	if open, ever := m.open.Load(), m.ever.Load(); open != 0 || ever != 1 {
		t.Errorf("%d VMs are open of %d, want 0 of 1", open, ever)
	}
}
