package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
	k.store.Waits.Took = func(list []store.Taken) { got = list }
	_, _, err = k.store.Waits.Emit(k.ctx, store.Fact{Prefix: "/acme", Name: "go"})
	k.must(err)
	_, err = k.store.Waits.Tick(k.ctx)
	k.must(err)
	if diff := cmp.Diff([]store.Taken{{Job: h.rec.Job}}, got); diff != "" {
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
