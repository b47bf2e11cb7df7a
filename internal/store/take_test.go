package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/jobs"
	"statek/internal/store"
	"statek/internal/temporal"
)

// TestTakenJobsOutliveTheirTaker: a worker that dies between waking a job and running it has left a job like any other
// dead worker's.
func TestTakenJobsOutliveTheirTaker(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	taker, other := k.worker(), k.worker()
	h := k.claimed(k.job(), other)
	slept := h.commit(start(1), jobs.CallIssued{Call: 1, Name: "event", Class: jobs.Wait, Args: json.RawMessage(`["go"]`)}, jobs.Slept{On: []string{"event"}})
	spec, err := temporal.Plan("event", []json.RawMessage{json.RawMessage(`"go"`)}, temporal.Scope{Cell: 1, Call: 1, Now: time.Now(), Prefix: "/acme", JobCreated: time.Now().Add(-time.Minute)})
	k.must(err)
	slept.Waits, slept.Release = []temporal.Spec{spec}, true
	if released, err := k.store.Commit(k.ctx, slept); err != nil || !released {
		t.Fatalf("released %v, %v", released, err)
	}
	var got []store.Taken
	k.store.Waits.Taker = taker
	k.store.Waits.MayTake = func() bool { return true }
	k.store.Waits.Taking = func(list []store.Taken) func(bool) {
		return func(ok bool) {
			if ok {
				got = list
			}
		}
	}
	_, _, err = k.store.Waits.Emit(k.ctx, store.Fact{Prefix: "/acme", Name: "go"})
	k.must(err)
	_, _, err = k.store.Waits.Tick(k.ctx)
	k.must(err)
	if diff := cmp.Diff([]store.Taken{{Job: h.rec.Job, Epoch: 2}}, got); diff != "" {
		t.Fatalf("taken (-want +got):\n%s", diff)
	}
	if bells := k.doorbells(); len(bells) != 0 {
		t.Errorf("doorbells %v, want none", bells)
	}
	if _, ok := k.claim(h.rec.Job, other, false); ok {
		t.Error("a job of a living worker was claimed")
	}
	k.bury(taker)
	if n, err := k.store.TakeOver(k.ctx); err != nil || n != 1 {
		t.Fatalf("took over %d, %v", n, err)
	}
	rec, ok := k.claim(h.rec.Job, other, false)
	if !ok || len(rec.Mail) != 1 || len(rec.Open) != 3 {
		t.Errorf("the next worker found %d letters and %d rows of the open cell: %v", len(rec.Mail), len(rec.Open), ok)
	}
}

// TestTakenJobIsLoaded: what a worker has taken with a value comes with all that a claim would have read, once, although the
// job waits twice in the group. Under limits nothing is taken: a claim decides about seats.
func TestTakenJobIsLoaded(t *testing.T) {
	t.Parallel()
	for _, limited := range []bool{false, true} {
		k := newJobsKit(t)
		k.exec(appSchema)
		def, _, err := temporal.ParseDefinition("test.sql", pickTask)
		k.must(err)
		raw, err := json.Marshal(def)
		k.must(err)
		id := uuid.New()
		k.exec("insert into statek.temporals (id, prefix, name, version, hash, definition) values ($1, '/', 'pickTask', 1, '', $2)", id, string(raw))
		worker := k.worker()
		h := k.claimed(k.job(), worker)
		slept := h.commit(start(1), jobs.CallIssued{Call: 1, Name: "pickTask", Class: jobs.Wait, Args: json.RawMessage(`["main"]`)},
			jobs.CallIssued{Call: 2, Name: "pickTask", Class: jobs.Wait, Args: json.RawMessage(`["main"]`)}, jobs.Slept{On: []string{"pickTask"}})
		for call := 1; call <= 2; call++ {
			spec, err := temporal.Plan("pickTask", []json.RawMessage{json.RawMessage(`"main"`)},
				temporal.Scope{Cell: 1, Call: call, Now: time.Now(), Prefix: "/acme", Def: &def, TemporalID: id.String()})
			k.must(err)
			slept.Waits = append(slept.Waits, spec)
		}
		slept.Release = true
		if released, err := k.store.Commit(k.ctx, slept); err != nil || !released {
			t.Fatalf("released %v, %v", released, err)
		}
		if limited {
			k.exec("select statek.set_prefix_limit('/acme', 5)")
		}
		var got []store.Taken
		k.store.Waits.Taker = worker
		k.store.Waits.MayTake = func() bool { return true }
		k.store.Waits.Taking = func(list []store.Taken) func(bool) {
			return func(ok bool) {
				if ok {
					got = append(got, list...)
				}
			}
		}
		k.exec("insert into app.tasks (queue) values ('main'), ('main')")
		_, err = k.store.Waits.Drain(k.ctx)
		k.must(err)
		if limited {
			if bells := k.doorbells(); len(got) != 0 || len(bells) == 0 {
				t.Errorf("under a limit %v were taken, and there are the doorbells %v", got, bells)
			}
			continue
		}
		if len(got) != 1 || got[0].Job != h.rec.Job || got[0].Record == nil {
			t.Fatalf("taken %+v", got)
		}
		claimed, ok := k.claim(h.rec.Job, worker, false)
		if !ok || len(claimed.Mail) != 2 {
			t.Fatalf("the job cannot be claimed, or has %d letters", len(claimed.Mail))
		}
		rec := *got[0].Record
		claimed.Epoch, claimed.Previous = claimed.Epoch-1, rec.Previous // the claim was one more
		if diff := cmp.Diff(claimed, rec); diff != "" {
			t.Errorf("loaded (-claimed +taken):\n%s", diff)
		}
	}
}
