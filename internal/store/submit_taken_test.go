package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"statek/internal/jobs"
	"statek/internal/store"
)

// TestWhoSubmitsMayTake: the record of a job that is taken when it is inserted is what a claim reads of its twin.
func TestWhoSubmitsMayTake(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	w := k.worker()
	at := time.Now().UTC()
	draft := func() store.NewJob {
		d := k.draft()
		d.At, d.Tags = at, []string{"a", `"b"`}
		d.Spec.Locale, d.Spec.Warmup = "de", []jobs.Block{{Source: "exit(n)"}}
		d.Spec.Params, d.Spec.Shared = map[string]string{"x": "1.50"}, []string{"n"}
		d.Submitted.Vars, d.Submitted.Limits.Turns = []string{"n"}, 7
		d.Variables = []jobs.Variable{{Name: "n", Value: json.RawMessage(`{"b": 1.0, "a": -0}`), Type: "object"}}
		k.scan("select generation from statek.catalog", &d.Generation)
		return d
	}
	mine, twin := draft(), draft()
	taken, err := k.store.SubmitJobs(k.ctx, []store.NewJob{mine}, w)
	k.must(err)
	if len(taken) != 1 || len(k.doorbells()) != 0 {
		t.Fatalf("took %v, doorbells %v; want the job, without a doorbell", taken, k.doorbells())
	}
	_, err = k.store.SubmitJobs(k.ctx, []store.NewJob{twin}, uuid.Nil)
	k.must(err)
	if got := k.doorbells(); len(got) != 1 {
		t.Fatalf("nobody has asked for the twin: doorbells %v", got)
	}
	claimed := k.claimed(twin.ID, w).rec
	if diff := cmp.Diff(claimed, taken[0], cmpopts.IgnoreFields(jobs.Hold{}, "Job"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("record (-claimed +taken):\n%s", diff)
	}
	h := &holder{k: k, rec: taken[0], state: taken[0].State}
	_, err = k.store.Commit(k.ctx, h.commit(start(1)))
	k.must(err)
	k.bury(w)
	if rec, ok := k.claim(mine.ID, k.worker(), false); !ok || rec.Previous != w {
		t.Errorf("after its worker's death: claimed %v from %s, want from %s", ok, rec.Previous, w)
	}
}

// TestWhatIsNotTakenIsRung, or waits for its time.
func TestWhatIsNotTakenIsRung(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before func(k *jobsKit, w uuid.UUID)
		change func(d *store.NewJob)
		rings  int
	}{
		"a dead worker": {before: func(k *jobsKit, w uuid.UUID) { k.bury(w) }, rings: 1},
		"a worker that has left": {before: func(k *jobsKit, w uuid.UUID) {
			k.exec("delete from statek.workers where id = $1", w)
		}, rings: 1},
		"a limit": {before: func(k *jobsKit, _ uuid.UUID) { k.exec("select statek.set_prefix_limit('/acme', 3)") }, rings: 1},
		"later":   {change: func(d *store.NewJob) { d.Submitted.RunAt = time.Now().Add(time.Hour).UnixMilli() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newJobsKit(t)
			w, d := k.worker(), k.draft()
			if c.before != nil {
				c.before(k, w)
			}
			if c.change != nil {
				c.change(&d)
			}
			taken, err := k.store.SubmitJobs(k.ctx, []store.NewJob{d}, w)
			k.must(err)
			if len(taken) != 0 || len(k.doorbells()) != c.rings {
				t.Errorf("took %d, %d doorbells; want 0 and %d", len(taken), len(k.doorbells()), c.rings)
			}
			if n := k.count("select count(*) from statek.job_state where owner is null and epoch = 0"); n != 1 {
				t.Error("the job belongs to somebody")
			}
		})
	}
	t.Run("a limit elsewhere", func(t *testing.T) {
		t.Parallel()
		k := newJobsKit(t)
		k.exec("select statek.set_prefix_limit('/other', 3)")
		if taken, err := k.store.SubmitJobs(k.ctx, []store.NewJob{k.draft()}, k.worker()); err != nil || len(taken) != 1 {
			t.Errorf("took %d, %v; want the job", len(taken), err)
		}
	})
}
