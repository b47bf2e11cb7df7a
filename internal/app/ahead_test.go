package app_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"statek/internal/app"
	"statek/internal/jsvm"
)

// seen is a machine that tells of its VMs.
type seen struct {
	jsvm.Machine
	ran        chan struct{} // yields for each cell that has run up to where it waits
	open, ever atomic.Int32
	// given is how many results code was given, other than in a replay.
	given atomic.Int32
}

type seenSession struct {
	jsvm.Session
	seen *seen
}

// Open implements jsvm.Machine.
func (m *seen) Open(ctx context.Context, setup jsvm.Setup) (jsvm.Session, error) {
	s, err := m.Machine.Open(ctx, setup)
	if err == nil {
		m.open.Add(1)
		m.ever.Add(1)
	}
	return seenSession{s, m}, err
}

// Run implements jsvm.Session.
func (s seenSession) Run(ctx context.Context, cell jsvm.Cell) (jsvm.Step, error) {
	step, err := s.Session.Run(ctx, cell)
	s.seen.ran <- struct{}{}
	return step, err
}

// Deliver implements jsvm.Session.
func (s seenSession) Deliver(ctx context.Context, list ...jsvm.Delivery) (jsvm.Step, error) {
	step, err := s.Session.Deliver(ctx, list...)
	for _, d := range list {
		if !d.Replay {
			s.seen.given.Add(1)
		}
	}
	return step, err
}

// Close implements jsvm.Session.
func (s seenSession) Close() {
	s.seen.open.Add(-1)
	s.Session.Close()
}

// aheadKit has an agent whose cell writes a row, and a worker that is up.
func aheadKit(t *testing.T, header string) (k *kit, m *seen, stop func()) {
	t.Helper()
	m = &seen{Machine: jsvm.NewInProcess(), ran: make(chan struct{}, 100)}
	k = newKitThrough(t, m, nil)
	k.exec("create schema app")
	k.exec("create table app.rows (n int)")
	k.exec("grant usage on schema app to statek_tool; grant select, insert on app.rows to statek_tool")
	k.apply(files{
		"agents/writer.md": header + simpleAgent, "agents/writer.warmup.js": "print('on'); exit(await write(1))",
		"tools/write.sql": "-- tool: write(n int)\n-- returns: value\ninsert into app.rows values (:n) returning n\n",
		"agents/first.md": simpleAgent, "agents/first.warmup.js": "exit(0)",
	})
	stop = k.work()
	for range 2 { // the worker is up, and takes jobs with their insertion
		k.ended(k.submit("first", nil).ID)
		<-m.ran
	}
	m.ever.Store(0)
	return k, m, stop
}

// held submits while nothing can be inserted, and waits until a cell has computed meanwhile. let lets the insertion go on.
func (k *kit) held(ctx context.Context, m *seen) (answer func() (app.Job, error), let func()) {
	k.t.Helper()
	lock, err := k.pool.Begin(k.t.Context())
	k.must(err)
	_, err = lock.Exec(k.t.Context(), "lock table statek.jobs in share row exclusive mode")
	k.must(err)
	var job app.Job
	done := make(chan struct{})
	go func() {
		defer close(done)
		job, err = k.Submit(ctx, app.SubmitRequest{Role: "writer", Prefix: "/acme"})
	}()
	wait(k.t, m.ran, "the first cell")
	k.is("select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%submit_jobs%')")
	return func() (app.Job, error) { <-done; return job, err }, func() { k.must(lock.Rollback(k.t.Context())) }
}

// wrote waits until the job has ended, with one row and a history that tells everything once.
func (k *kit) wrote(id uuid.UUID) {
	k.t.Helper()
	if job := k.ended(id); string(job.Result) != "1" || k.one("select count(*) from app.rows") != 1 {
		k.dump(id)
		k.t.Errorf("%s with %s, %d rows; want 1 and one", job.Status, job.Result, k.one("select count(*) from app.rows"))
	}
	k.wantKinds(id, "submitted", "cell_started", "console", "call_issued", "call_settled", "cell_ended", "finished")
}

// TestACellComputesWhileItsJobIsInserted: it is where it asks for its tool before there is a job, and goes on from there.
func TestACellComputesWhileItsJobIsInserted(t *testing.T) {
	t.Parallel()
	k, m, stop := aheadKit(t, "")
	answer, let := k.held(t.Context(), m)
	if n := k.one("select count(*) from app.rows"); n != 0 {
		t.Errorf("%d rows were written for a job that does not exist", n)
	}
	let()
	job, err := answer()
	k.must(err)
	k.wrote(job.ID)
	stop()
	if open, ever := m.open.Load(), m.ever.Load(); open != 0 || ever != 1 {
		t.Errorf("%d VMs are open of %d, want 0 of 1", open, ever)
	}
}

// TestARefusedSubmissionLeavesNoTrace: what was computed for it ends with it.
func TestARefusedSubmissionLeavesNoTrace(t *testing.T) {
	t.Parallel()
	k, m, stop := aheadKit(t, "")
	before := k.one("select count(*) from statek.history")
	answer, let := k.held(t.Context(), m)
	k.exec("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%submit_jobs%'")
	_, err := answer()
	let()
	if err == nil {
		t.Error("the submission is accepted")
	}
	if n := k.one("select count(*) from statek.jobs where role = 'writer'"); n != 0 {
		t.Errorf("%d jobs", n)
	}
	if n := k.one("select count(*) from statek.history"); n != before {
		t.Errorf("history has %d rows, had %d", n, before)
	}
	k.wrote(k.submit("writer", nil).ID)
	stop()
	if open, ever := m.open.Load(), m.ever.Load(); open != 0 || ever != 2 {
		t.Errorf("%d VMs are open of %d, want 0 of 2", open, ever)
	}
}

// TestASubmissionWithoutAReplyIsRunOnce: the job is there, and this worker's, but nobody was told. It gives the stray back.
func TestASubmissionWithoutAReplyIsRunOnce(t *testing.T) {
	t.Parallel()
	k, m, stop := aheadKit(t, "")
	k.wire.LoseReplyTo("unheard")
	if _, err := k.Submit(t.Context(), app.SubmitRequest{Role: "writer", Prefix: "/acme", Source: "unheard"}); err == nil || k.wire.Lost() != 1 {
		t.Errorf("error %v, %d replies lost; want an unknown outcome", err, k.wire.Lost())
	}
	var id uuid.UUID
	k.must(k.pool.QueryRow(t.Context(), "select id from statek.jobs where role = 'writer'").Scan(&id))
	k.wrote(id)
	stop()
	if open := m.open.Load(); open != 0 {
		t.Errorf("%d VMs are open", open)
	}
}

// TestAWorkerThatLeavesHandsOverWhatItComputed: it is told to stop while the job is being inserted.
func TestAWorkerThatLeavesHandsOverWhatItComputed(t *testing.T) {
	t.Parallel()
	k, m, stop := aheadKit(t, "")
	answer, let := k.held(t.Context(), m)
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	k.is("select not exists (select from pg_stat_activity where datname = current_database() and query ilike 'listen%river%')") // its queue has ended
	let()
	job, err := answer()
	k.must(err)
	<-stopped
	if open := m.open.Load(); open != 0 {
		t.Errorf("%d VMs are open", open)
	}
	k.work()
	if got := k.ended(job.ID); string(got.Result) != "1" || k.one("select count(*) from app.rows") != 1 {
		k.dump(job.ID)
		t.Errorf("%s with %s", got.Status, got.Result)
	}
}

// TestNothingIsComputedForJobsUnderALimit: they are not given to who submits them, which is learnt from the first.
func TestNothingIsComputedForJobsUnderALimit(t *testing.T) {
	t.Parallel()
	k, m, _ := aheadKit(t, "# CONCURRENCY: 1\n")
	answer, let := k.held(t.Context(), m)
	let()
	job, err := answer()
	k.must(err)
	for want := int32(2); want < 5; want++ { // the first job needs two
		k.ended(job.ID)
		if got := m.ever.Load(); got != want {
			t.Errorf("%d VMs, want %d", got, want)
		}
		job = k.submit("writer", nil)
	}
	k.ended(job.ID)
}

// TestACallerMayGiveUpWhatItSubmits: an insertion that is on its way is waited for, and its job runs.
func TestACallerMayGiveUpWhatItSubmits(t *testing.T) {
	t.Parallel()
	k, m, _ := aheadKit(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	answer, let := k.held(ctx, m)
	cancel()
	let()
	job, err := answer()
	k.must(err)
	k.wrote(job.ID)
}
