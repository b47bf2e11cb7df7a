package store_test

import (
	"encoding/json"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/jobs"
	"statek/internal/store"
)

// audience waits for some jobs and keeps what it is shown.
type audience struct {
	awaits map[jobs.ID]bool
	mu     sync.Mutex
	saw    map[jobs.ID]store.JobView
}

// Awaits implements store.Audience.
func (a *audience) Awaits(job jobs.ID) bool { return a.awaits[job] }

// See implements store.Audience.
func (a *audience) See(v store.JobView) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.saw[v.ID] = v
}

// TestACommitShowsWhatItEnds: who waits for a job is shown what a look would find, by the commit that ends it; not what goes on,
// what nobody waits for, and what a commit that has lost its job did not write.
func TestACommitShowsWhatItEnds(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	const awaited, halted, ignored, running, lost = 0, 1, 2, 3, 4
	list := crowd(k, 5)
	a := &audience{awaits: map[jobs.ID]bool{}, saw: map[jobs.ID]store.JobView{}}
	for _, i := range []int{awaited, halted, running, lost} {
		a.awaits[list[i].rec.Job] = true
	}
	k.store.Audience = a
	done := func(h *holder) jobs.Commit {
		exit := jobs.CellEnded{State: "done", Exit: &jobs.Exit{Result: json.RawMessage("7")}}
		c := h.commit(start(1), exit, jobs.Finished{Outcome: jobs.Succeeded, Result: json.RawMessage("7")})
		c.Release = true
		return c
	}
	commits := make([]jobs.Commit, len(list))
	for i, h := range list {
		switch i {
		case halted:
			commits[i] = h.commit(start(1), jobs.Halted{Reason: "enough"})
		case running:
			commits[i] = h.commit(start(1))
		default:
			commits[i] = done(h)
		}
	}
	k.exec("update statek.job_state set epoch = epoch + 1 where job_id = $1", list[lost].rec.Job)
	for i, err := range atOnce(list, func(i int, _ *holder) error {
		_, err := k.store.Commit(k.ctx, commits[i])
		return err
	}) {
		if (i == lost) != errors.Is(err, jobs.ErrFenced) || i != lost && err != nil {
			t.Errorf("commit %d: %v", i, err)
		}
	}
	want := map[jobs.ID]store.JobView{}
	for _, i := range []int{awaited, halted} {
		v, err := k.store.Job(k.ctx, list[i].rec.Job)
		k.must(err)
		want[v.ID] = v
	}
	if diff := cmp.Diff(want, a.saw); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
	if v := a.saw[list[awaited].rec.Job]; v.Status != "DONE" || string(v.Result) != "7" {
		t.Errorf("the job that has ended is shown as %s with %s", v.Status, v.Result)
	}
}
