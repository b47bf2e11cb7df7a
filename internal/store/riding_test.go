package store_test

import (
	"encoding/json"
	"testing"

	"statek/internal/jobs"
	"statek/internal/objects"
)

// end makes the commit that settles the open call and ends the job with it.
func (h *holder) end(value json.RawMessage, f *jobs.Fault) jobs.Commit {
	c := h.commit(jobs.CallSettled{Call: 1, Name: "t", Value: value, Error: f},
		jobs.CellEnded{State: "done", Exit: &jobs.Exit{Result: json.RawMessage("7")}},
		jobs.Finished{Outcome: jobs.Succeeded, Result: json.RawMessage("7")})
	c.Release = true
	return c
}

// TestAnObjectIsWrittenWithTheEndOfItsJob: the commit of the call gives the job up, unless it was rung.
func TestAnObjectIsWrittenWithTheEndOfItsJob(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	for _, rung := range []bool{false, true} {
		h := k.holding()
		if rung {
			if _, ok, err := k.store.Claim(k.ctx, h.rec.Job, k.worker(), false); ok || err != nil {
				t.Fatalf("claim = %v, %v; want it held", ok, err)
			}
		}
		released := rung
		k.must(k.store.RunObject(k.ctx, object(objects.Put, "key", "1", nil), func(v json.RawMessage, f *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
			return h.end(v, f), func(got bool, err error) {
				k.must(err)
				released = got
			}, nil
		}))
		if released == rung {
			t.Errorf("rung %v: released %v", rung, released)
		}
		if got, want := k.count("select count(*) from statek.job_state where job_id = $1 and owner is null and status = 'DONE'", h.rec.Job), map[bool]int{false: 1}[rung]; got != want {
			t.Errorf("rung %v: %d jobs have ended and are free, want %d", rung, got, want)
		}
	}
	if got := k.count("select version from statek.objects"); got != 2 {
		t.Errorf("the object has version %d, want 2", got)
	}
}
