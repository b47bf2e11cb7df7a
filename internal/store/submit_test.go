package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/jobs"
	"statek/internal/store"
)

func (k *jobsKit) insert(takeExisting bool, idem store.Idempotency, list ...store.NewJob) ([]jobs.ID, []bool, error) {
	return k.store.InsertJobs(k.ctx, list, takeExisting, idem)
}

func TestIdempotencyKeyReturnsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	idem := store.Idempotency{Prefix: "/acme", Key: "k", Request: "hash"}
	first, existing, err := k.insert(false, idem, k.draft(), k.draft())
	if err != nil || existing[0] {
		t.Fatalf("first: existing %v, %v", existing, err)
	}
	again, existing, err := k.insert(false, idem, k.draft(), k.draft())
	if err != nil || !existing[0] || !existing[1] {
		t.Fatalf("again: existing %v, %v", existing, err)
	}
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("ids (-first +again):\n%s", diff)
	}
	if n := k.count("select count(*) from statek.jobs"); n != 2 {
		t.Errorf("%d jobs, want 2", n)
	}
	other := idem
	other.Request = "another hash"
	if _, _, err := k.insert(false, other, k.draft()); !errors.Is(err, store.ErrKeyReused) {
		t.Errorf("another request with the key: %v, want ErrKeyReused", err)
	}
	other.Prefix = "/other"
	if _, _, err := k.insert(false, other, k.draft()); err != nil {
		t.Errorf("the key at another prefix: %v", err)
	}
}

// TestConcurrentSubmissionsWithOneKeyMakeOneJob, be it an idempotency key or a business key.
func TestConcurrentSubmissionsWithOneKeyMakeOneJob(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	for name, idem := range map[string]store.Idempotency{
		"idempotency": {Prefix: "/acme", Key: "k", Request: "hash"},
		"business":    {},
	} {
		const at = 6
		ids, errs := make([]jobs.ID, at), make(chan error)
		for i := range at {
			draft := k.draft()
			if name == "business" {
				draft.Key = "order 7"
			}
			go func() {
				got, _, err := k.insert(true, idem, draft)
				if err == nil {
					ids[i] = got[0]
				}
				errs <- err
			}()
		}
		for range at {
			if err := <-errs; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, id := range ids {
			if id != ids[0] {
				t.Errorf("%s: got jobs %v, want one", name, ids)
				break
			}
		}
	}
	if n := k.count("select count(*) from statek.jobs"); n != 2 {
		t.Errorf("%d jobs, want 2", n)
	}
}

func TestBusinessKeyIsTakenUntilItsJobEnds(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	w := k.worker()
	keyed := func() store.NewJob { d := k.draft(); d.Key = "order 7"; return d }
	ids, _, err := k.insert(false, store.Idempotency{}, keyed())
	k.must(err)
	if _, _, err := k.insert(false, store.Idempotency{}, k.draft(), keyed()); !errors.Is(err, store.ErrKeyTaken) {
		t.Errorf("reject: %v, want ErrKeyTaken", err)
	}
	got, existing, err := k.insert(true, store.Idempotency{}, k.draft(), keyed())
	if err != nil || got[1] != ids[0] || existing[0] || !existing[1] {
		t.Errorf("existing: %v %v %v, want the second to be %s", got, existing, err, ids[0])
	}
	if n := k.count("select count(*) from statek.jobs"); n != 2 {
		t.Errorf("%d jobs, want the rejected batch to have left none", n)
	}
	elsewhere := keyed()
	elsewhere.Spec.Prefix = "/other"
	if _, _, err := k.insert(false, store.Idempotency{}, elsewhere); err != nil {
		t.Errorf("the key at another prefix: %v", err)
	}
	h := k.claimed(ids[0], w)
	_, err = k.store.Commit(k.ctx, h.commit(jobs.Finished{Outcome: jobs.Cancelled}))
	k.must(err)
	if _, _, err := k.insert(false, store.Idempotency{}, keyed()); err != nil {
		t.Errorf("the key after its job has ended: %v", err)
	}
}

func TestBusinessKeyTwiceInOneBatch(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	twice := func() []store.NewJob {
		a, b := k.draft(), k.draft()
		a.Key, b.Key = "same", "same"
		return []store.NewJob{a, b}
	}
	if _, _, err := k.insert(false, store.Idempotency{}, twice()...); !errors.Is(err, store.ErrKeyTaken) {
		t.Errorf("reject: %v, want ErrKeyTaken", err)
	}
	if n := k.count("select count(*) from statek.jobs"); n != 0 {
		t.Errorf("%d jobs are left of a rejected batch", n)
	}
	ids, existing, err := k.insert(true, store.Idempotency{}, twice()...)
	if err != nil || ids[0] != ids[1] || existing[0] || !existing[1] {
		t.Errorf("existing: %v %v %v, want the first job twice", ids, existing, err)
	}
}

// TestLargeBatch: all or nothing, each rung once, those with a start in the future not at all.
func TestLargeBatch(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	list := make([]store.NewJob, 2000)
	for i := range list {
		list[i] = k.draft()
		list[i].Variables = []jobs.Variable{{Name: "n", Value: fmt.Append(nil, i), Type: "number"}}
		if i%2 == 1 {
			list[i].Submitted.RunAt = list[i].At.UnixMilli() + 60_000
		}
	}
	if _, _, err := k.insert(false, store.Idempotency{}, append(list, list[0])...); err == nil {
		t.Error("a batch with the same id twice was accepted")
	}
	if n := k.count("select (select count(*) from statek.jobs) + (select count(*) from statek.history) + (select count(*) from river.river_job)"); n != 0 {
		t.Errorf("%d rows are left of a refused batch", n)
	}
	_, _, err := k.insert(false, store.Idempotency{}, list...)
	k.must(err)
	got := k.text(`select format('%s %s %s %s %s', (select count(*) from statek.jobs), (select count(*) from statek.job_state where wake_at is not null),
		(select count(*) from statek.history), (select count(*) from statek.variables), (select count(distinct job) from river.river_job, jsonb_array_elements_text(args -> 'job_ids') as job))`)
	if got != "2000 1000 2000 2000 1000" {
		t.Errorf("jobs, timers, history, variables, rung = %s, want 2000 1000 2000 2000 1000", got)
	}
}
