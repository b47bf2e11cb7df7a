package store_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"statek/internal/jobs"
)

// TestMailMayComeWithItsJob: the record of a job that is given with its mail is what a claim reads of its twin. Both sleep in a cell.
func TestMailMayComeWithItsJob(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	last, w := k.worker(), k.worker()
	asleep := func() jobs.ID {
		h := k.claimed(k.job(), last)
		slept := h.commit(start(1), jobs.CallIssued{Call: 1, Name: "message", Class: jobs.Wait, Args: json.RawMessage(`[]`)}, jobs.Slept{On: []string{"message"}})
		slept.Release = true
		_, err := k.store.Commit(k.ctx, slept)
		k.must(err)
		return h.rec.Job
	}
	mine, twin := asleep(), asleep()
	k.silence()
	rec, given, err := k.store.Put(k.ctx, mine, "message", json.RawMessage(`"hi"`), w)
	k.must(err)
	if !given || len(k.doorbells()) != 0 {
		t.Fatalf("given %v, doorbells %v; want the job, without a doorbell", given, k.doorbells())
	}
	k.mail(twin, `"hi"`)
	if got := k.doorbells(); len(got) != 1 {
		t.Fatalf("nobody has asked for the twin: doorbells %v", got)
	}
	claimed := k.claimed(twin, w).rec
	ignore := cmp.Options{cmpopts.IgnoreFields(jobs.Hold{}, "Job"), cmpopts.IgnoreFields(jobs.Mail{}, "ID", "At"), cmpopts.IgnoreFields(jobs.Entry{}, "At"),
		cmpopts.IgnoreFields(jobs.Spec{}, "CreatedAt"), cmpopts.EquateEmpty()}
	if diff := cmp.Diff(claimed, rec, ignore); diff != "" {
		t.Errorf("record (-claimed +given):\n%s", diff)
	}
	k.bury(w)
	if rec, ok := k.claim(mine, k.worker(), false); !ok || rec.Previous != w {
		t.Errorf("after its worker's death: claimed %v from %s, want from %s", ok, rec.Previous, w)
	}
}

// TestMailWithoutItsJobRings: who has the job is told, or whoever may have it.
func TestMailWithoutItsJobRings(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(k *jobsKit, job jobs.ID, w uuid.UUID){
		"a dead worker": func(k *jobsKit, _ jobs.ID, w uuid.UUID) { k.bury(w) },
		"a worker that has left": func(k *jobsKit, _ jobs.ID, w uuid.UUID) {
			k.exec("delete from statek.workers where id = $1", w)
		},
		"a limit":         func(k *jobsKit, _ jobs.ID, _ uuid.UUID) { k.exec("select statek.set_prefix_limit('/acme', 3)") },
		"somebody has it": func(k *jobsKit, job jobs.ID, _ uuid.UUID) { k.claimed(job, k.worker()) },
		"who asks has it": func(k *jobsKit, job jobs.ID, w uuid.UUID) { k.claimed(job, w) },
		"somebody takes it": func(k *jobsKit, job jobs.ID, _ uuid.UUID) {
			_, err := k.session().Exec(k.ctx, "select from statek.job_state where job_id = $1 for no key update", job)
			k.must(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newJobsKit(t)
			job, w := k.job(), k.worker()
			before(k, job, w)
			k.silence()
			was := k.text("select concat(owner, epoch) from statek.job_state")
			_, given, err := k.store.Put(k.ctx, job, "message", json.RawMessage(`"hi"`), w)
			k.must(err)
			if given || len(k.doorbells()) != 1 {
				t.Errorf("given %v, %d doorbells; want one", given, len(k.doorbells()))
			}
			if diff := cmp.Diff([]string{`"hi"`}, k.payloads(job)); diff != "" {
				t.Errorf("mail (-want +got):\n%s", diff)
			}
			if now := k.text("select concat(owner, epoch) from statek.job_state"); now != was {
				t.Errorf("the job's owner and epoch were %s and are %s", was, now)
			}
		})
	}
}
