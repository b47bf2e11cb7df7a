package app

import (
	"context"
	"slices"
	"sync"
	"time"

	"statek/internal/engine"
	"statek/internal/failpoint"
	"statek/internal/jobs"
	"statek/internal/store"
)

// taken are the jobs that a worker took in the transaction that woke or submitted them, or left mail for them, and runs without a doorbell.
type taken struct {
	mu   sync.Mutex
	work context.Context //nolint:containedctx // that of the runs: it outlives whoever starts one
	runs sync.WaitGroup
}

// open lets runs begin. taking ends: no more begin, and those that run have the grace. finish waits for them.
func (t *taken) open(taking context.Context, grace time.Duration) (finish func()) {
	work, cancel := context.WithCancel(context.WithoutCancel(taking))
	stop := context.AfterFunc(taking, func() {
		t.close()
		time.AfterFunc(grace, cancel)
	})
	t.mu.Lock()
	t.work = work
	t.mu.Unlock()
	return func() {
		t.close()   // what ends it may not have come to that yet
		if stop() { // nobody has told it to end, it ends all the same
			cancel()
		}
		t.runs.Wait()
		cancel()
	}
}

func (t *taken) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.work = nil
}

// run begins a run; false: it is too late.
func (t *taken) run(f func(ctx context.Context)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	work := t.work
	if work == nil {
		return false
	}
	t.runs.Go(func() { f(work) })
	return true
}

// mayTake: a job that is woken runs soonest where it was woken, but one worker must not take what many could share.
func (s *stay) mayTake() bool { return s.engine.Stopping() == nil && s.engine.Room() }

// taking begins with jobs that are being taken together with what they have waited for; what it returns is told whether
// they were. When it is too late they belong to a worker that is leaving, and are taken over.
func (s *stay) taking(list []store.Taken) (told func(got bool)) {
	var heads []*engine.Head
	var claim []store.Taken
	for _, t := range list {
		if t.Record == nil {
			claim = append(claim, t)
			continue
		}
		head := s.engine.Head(*t.Record)
		heads = append(heads, head)
		s.runs(func(work context.Context) { head.Run(work, true) })
	}
	return func(got bool) {
		for _, head := range heads {
			head.Tell(got)
		}
		for _, t := range claim {
			if got {
				s.runs(func(work context.Context) { s.engine.Taken(work, t.Job, t.Epoch) })
			}
		}
	}
}

// begins runs a job that is this worker's and loaded; false: it is too late.
func (s *stay) begins(rec jobs.Record) bool {
	head := s.engine.Head(rec)
	head.Tell(true)
	return s.runs(func(work context.Context) { head.Run(work, false) })
}

// runs begins a run that needs no doorbell; false: it is too late.
func (s *stay) runs(f func(work context.Context)) bool {
	return s.taken.run(func(ctx context.Context) { s.while(ctx, f) })
}

// fewHere is how many jobs of one submission are for a worker of the same process; more are for all workers.
const fewHere = 4

// here are the workers of this process, which may run what is submitted or told here.
type here struct {
	mu    sync.Mutex
	stays []*stay
}

func (h *here) enter(s *stay) (leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stays = append(h.stays, s)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.stays = slices.DeleteFunc(h.stays, func(other *stay) bool { return other == s })
	}
}

// points are those of the workers of this process; nil: there are none.
func (h *here) points() *failpoint.Points {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.stays) == 0 {
		return nil
	}
	return h.stays[0].worker.points
}

// taker is a worker that will soon have room for n jobs, which are promised to it, or nil. A submission needs less room than a
// wake-up: what is rung would most likely be fetched by the same worker, and wait there.
func (h *here) taker(n int) *stay {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n > fewHere {
		return nil
	}
	for i, s := range h.stays {
		if s.engine.Stopping() == nil && s.engine.Reserve(n) {
			h.stays = append(slices.Delete(h.stays, i, i+1), s) // they take turns
			return s
		}
	}
	return nil
}
