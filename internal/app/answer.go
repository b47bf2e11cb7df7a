package app

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"statek/internal/failpoint"
)

// answer drives one job until it rests, the worker's grace is over, or the worker must give up. River has a slot for each.
func (s *stay) answer(ctx context.Context, job uuid.UUID) { s.begin(ctx, job, func() {}) }

// answerCrowd begins to drive jobs that share a doorbell, and returns when none of them needs it any more: each is this worker's,
// and would be found with it, or somebody else's. They run on as jobs that were taken. While the worker has no room it waits, and the
// doorbell with it: to ring again would be to do so for ever, and the search for lost doorbells knows those that are held.
func (s *stay) answerCrowd(ctx context.Context, list []uuid.UUID) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, job := range list {
		leave, ok := s.enter(ctx, job)
		if !ok {
			return // the grace is over; who has mail and no owner is found
		}
		all.Add(1)
		held := sync.OnceFunc(all.Done)
		if !s.taken.run(func(work context.Context) {
			defer leave()
			s.begin(work, job, held)
		}) { // the worker stops: what is claimed is handed over, and that is waited for
			go func() {
				defer held()
				defer leave()
				s.begin(ctx, job, func() {})
			}()
		}
	}
}

// begin drives one job; held is called when it needs its doorbell no more.
func (s *stay) begin(ctx context.Context, job uuid.UUID, held func()) {
	s.worker.points.Job(failpoint.DoorbellTaken, job)
	s.while(ctx, func(work context.Context) { s.engine.Begin(work, job, held) })
	s.worker.points.Job(failpoint.DoorbellAnswered, job)
}

// enter waits for room for a job of a crowd. One that runs here already needs none: it is only rung.
func (s *stay) enter(ctx context.Context, job uuid.UUID) (leave func(), ok bool) {
	if s.engine.Runs(job) {
		return func() {}, true
	}
	select {
	case s.room <- struct{}{}:
		return func() { <-s.room }, true
	case <-ctx.Done():
		return nil, false
	}
}
