package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/jobs"
	"statek/internal/pgtest"
	"statek/internal/store"
	"statek/internal/temporal"
)

// TestFencedCommitWritesNothing: a commit under an old epoch or for another owner leaves no trace, although its
// statements travel in one pipeline and nobody can look at a row count before the end.
func TestFencedCommitWritesNothing(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	w := k.worker()
	for name, spoil := range map[string]func(*jobs.Hold){
		"old epoch":    func(h *jobs.Hold) { h.Epoch-- },
		"future epoch": func(h *jobs.Hold) { h.Epoch++ },
		"other owner":  func(h *jobs.Hold) { h.Owner = uuid.New() },
		"other job":    func(h *jobs.Hold) { h.Job = uuid.Must(uuid.NewV7()) },
	} {
		for _, end := range []string{"release", "hand over", "finish"} {
			job := k.job()
			h := k.claimed(job, w)
			k.mail(job, `"unread"`)
			k.silence()
			before := k.everything(job)
			c := full(k, h, end == "finish")
			c.Release, c.HandOver = end == "release", end == "hand over"
			spoil(&c.Hold)
			if _, err := k.store.Commit(k.ctx, c); !errors.Is(err, jobs.ErrFenced) || errors.Is(err, jobs.ErrUnknownOutcome) {
				t.Errorf("%s, %s: %v, want ErrFenced", name, end, err)
			}
			err := pgx.BeginFunc(k.ctx, k.pool, func(tx pgx.Tx) error {
				_, err := k.store.CommitIn(k.ctx, tx, c)
				return err
			})
			if !errors.Is(err, jobs.ErrFenced) {
				t.Errorf("%s, %s, at the end of a transaction: %v, want ErrFenced", name, end, err)
			}
			if diff := cmp.Diff(before, k.everything(job)); diff != "" {
				t.Errorf("%s, %s: a fenced commit has written (-want +got):\n%s", name, end, diff)
			}
			if n := len(k.doorbells()); n != 0 {
				t.Errorf("%s, %s: a fenced commit has rung %d doorbells", name, end, n)
			}
		}
	}
	if n := k.bell.changes.Load(); n != 0 {
		t.Errorf("%d changes were announced, want none", n)
	}
}

// full is a commit that touches every table.
func full(k *jobsKit, h *holder, finish bool) jobs.Commit {
	k.Helper()
	events := []jobs.Event{
		start(1), jobs.Console{Lines: []string{"a line"}},
		jobs.CallIssued{Call: 1, Name: "sleep", Class: jobs.Wait, Args: json.RawMessage("[1000]")},
	}
	if finish {
		events = append(events, jobs.Finished{Outcome: jobs.Cancelled, Error: "enough"})
	}
	c := h.commit(events...)
	mail, err := k.store.Mail(k.ctx, h.rec.Job)
	k.must(err)
	for _, m := range mail {
		c.Mail = append(c.Mail, m.ID)
	}
	due := time.Now().Add(time.Second)
	c.Variables = []jobs.Workspace{{Cell: 1, Set: []jobs.Variable{{Name: "x", Value: []byte("1"), Type: "number"}}}}
	c.Waits = []temporal.Spec{{Cell: 1, Call: 1, Name: "sleep", Kind: temporal.Sleep, Due: &due}}
	c.Usage = []jobs.Usage{{Seq: 2, At: time.Now(), Provider: "P", Model: "m", Input: 1, Output: 2, Cost: "0.5"}}
	return c
}

func TestCommitWritesEverythingAtOnce(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	job := k.job()
	h := k.claimed(job, k.worker())
	k.mail(job, `"read"`)
	k.silence()
	c := full(k, h, false)
	c.Release = true
	released, err := k.store.Commit(k.ctx, c)
	if err != nil || !released {
		t.Fatalf("commit = %v, %v; want released", released, err)
	}
	got := strings.Join(k.everything(job), "\n")
	for _, want := range []string{"history|2|cell_started", "history|3|console", "history|4|call_issued", "variable|x|1|1", "wait|1|1|sleep", "usage|2|m"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "mail|") || strings.Contains(got, "doorbell|") {
		t.Errorf("mail or a doorbell is left:\n%s", got)
	}
}

// TestCommitChecksCoreAgainstSeq: a state that is not the fold of as many rows is refused as a whole.
func TestCommitChecksCoreAgainstSeq(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	job := k.job()
	h := k.claimed(job, k.worker())
	before := k.everything(job)
	c := h.commit(start(1), jobs.Console{Lines: []string{"lost"}})
	c.Entries = c.Entries[:1]
	_, err := k.store.Commit(k.ctx, c)
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.ConstraintName != "core_at_seq" {
		t.Errorf("commit: %v, want core_at_seq violated", err)
	}
	if diff := cmp.Diff(before, k.everything(job)); diff != "" {
		t.Errorf("a refused commit has written (-want +got):\n%s", diff)
	}
}

// TestCommitsThatRingEachOtherDoNotDeadlock: parent and child, or two jobs that write to each other.
func TestCommitsThatRingEachOtherDoNotDeadlock(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	w := k.worker()
	holders := [2]*holder{k.claimed(k.job(), w), k.claimed(k.job(), w)}
	var txs [2]pgx.Tx
	for i, h := range holders { // both hold their own row, then ring the other
		txs[i] = k.session()
		c := h.commit(start(1))
		k.must(store.QueueCommit(k.ctx, txs[i], jobs.Commit{Hold: c.Hold, State: jobs.Job{Status: jobs.WarmingUp, Seq: 1}}))
	}
	for i := range holders {
		other := holders[1-i].rec.Job
		_, err := txs[i].Exec(k.ctx, "insert into statek.mailbox (job_id, kind, payload) values ($1, 'message', '1')", other)
		k.must(err)
		_, err = txs[i].Exec(k.ctx, "select statek.ring(array[$1]::uuid[])", other)
		k.must(err)
	}
	for _, tx := range txs {
		k.must(tx.Commit(k.ctx))
	}
	want := sorted([]string{holders[0].rec.Job.String(), holders[1].rec.Job.String()})
	if diff := cmp.Diff(want, sorted(k.doorbells())); diff != "" {
		t.Errorf("doorbells (-want +got):\n%s", diff)
	}
}

// TestKilledBackendLeavesTheOutcomeUnknown: the server ends the session while the commit runs.
func TestKilledBackendLeavesTheOutcomeUnknown(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	job := k.job()
	h := k.claimed(job, k.worker())
	before := k.everything(job)
	lock := k.session()
	_, err := lock.Exec(k.ctx, "select from statek.job_state where job_id = $1 for update", job)
	k.must(err)
	done := make(chan error, 1)
	go func() {
		_, err := k.store.Commit(k.ctx, h.commit(start(1)))
		done <- err
	}()
	k.blocked(1)
	k.exec("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")
	if err := <-done; !errors.Is(err, jobs.ErrUnknownOutcome) || !store.Unavailable(err) {
		t.Errorf("commit: %v, want ErrUnknownOutcome", err)
	}
	k.must(lock.Rollback(k.ctx))
	if diff := cmp.Diff(before, k.everything(job)); diff != "" {
		t.Errorf("the killed commit has written (-want +got):\n%s", diff)
	}
}

// TestLostReplyToCommitLeavesTheOutcomeUnknown: the server has committed and the reply never came. The owner
// claims again and finds what was written.
func TestLostReplyToCommitLeavesTheOutcomeUnknown(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"pipelined", "at the end of a transaction"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			k := newJobsKit(t)
			w := k.worker()
			job := k.job()
			h := k.claimed(job, w)
			wire := pgtest.NewWire(t, k.url)
			pool := pgtest.Pool(t, wire.URL())
			far := store.New(pool, nil, time.Now)
			c := h.commit(start(1), jobs.Console{Lines: []string{"a line of this commit"}})
			var err error
			if how == "pipelined" {
				wire.LoseReplyTo("a line of this commit")
				_, err = far.Commit(k.ctx, c)
			} else {
				tx, beginErr := pool.Begin(k.ctx)
				k.must(beginErr)
				wire.LoseReplyTo("commit\x00")
				_, err = far.CommitIn(k.ctx, tx, c)
				_ = tx.Rollback(k.ctx)
			}
			if !errors.Is(err, jobs.ErrUnknownOutcome) || errors.Is(err, jobs.ErrFenced) {
				t.Fatalf("commit: %v (%T), want ErrUnknownOutcome", err, errors.Unwrap(err))
			}
			again := k.claimed(job, w) // waits for the lost commit, should it still run
			if again.rec.State.Seq != 3 || again.rec.State.Cells != 1 {
				t.Errorf("found seq %d after the lost reply, want 3", again.rec.State.Seq)
			}
			if _, err := k.store.Commit(k.ctx, c); !errors.Is(err, jobs.ErrFenced) {
				t.Errorf("the same commit once more: %v, want ErrFenced", err)
			}
		})
	}
}

// TestLostConnectionsAreUnavailability: whatever breaks off is "the database is away", never the job's fault.
func TestLostConnectionsAreUnavailability(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	job := k.job()
	wire := pgtest.NewWire(t, k.url)
	far := store.New(pgtest.Pool(t, wire.URL()), nil, time.Now)
	reads := map[string]func(context.Context) error{
		"mail":      func(ctx context.Context) error { _, err := far.Mail(ctx, job); return err },
		"workspace": func(ctx context.Context) error { _, err := far.Variables(ctx, job, nil); return err },
		"claim":     func(ctx context.Context) error { _, _, err := far.Claim(ctx, job, uuid.New(), false); return err },
		"put":       func(ctx context.Context) error { return put(ctx, far, job, "1") },
	}
	for name, read := range reads {
		for _, how := range []string{"cut in the middle", "cut before"} {
			k.must(far.Ping(k.ctx))
			if how == "cut before" {
				wire.Drop()
			} else {
				wire.LoseReplyTo("statek.")
			}
			if err := read(k.ctx); err == nil || !store.Unavailable(err) {
				t.Errorf("%s, %s: %v, want it to say that the database is away", name, how, err)
			}
		}
	}
}

// TestCommitReadsWhatItWrites: a worker that holds many jobs does not read all of them to write one, although a table that has never been
// analyzed looks small.
func TestCommitReadsWhatItWrites(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	w := k.worker()
	list := make([]store.NewJob, 200)
	for i := range list {
		list[i] = k.draft()
	}
	taken, err := k.store.SubmitJobs(k.ctx, list, w)
	k.must(err)
	tx := k.session()
	h := &holder{k: k, rec: taken[100], state: taken[100].State}
	k.must(store.QueueCommit(k.ctx, tx, h.commit(start(1))))
	var fetched int
	k.must(tx.QueryRow(k.ctx, "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relid = 'statek.job_state'::regclass").Scan(&fetched))
	if fetched > 2 {
		t.Errorf("a commit of one job has read %d rows of job_state", fetched)
	}
}
