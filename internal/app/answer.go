package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"statek/internal/failpoint"
	"statek/internal/store"
)

// roomWithin is how long a doorbell waits for room here. Then others may have it: one of them may have room.
const roomWithin = time.Second

// answer drives one job until it rests, the worker's grace is over, or the worker must give up.
func (s *stay) answer(ctx context.Context, job uuid.UUID) {
	if s.enter(ctx, []uuid.UUID{job}) {
		defer s.leave()
		s.begin(ctx, job, func() {})
	}
}

// answerCrowd begins to drive jobs that share a doorbell, and returns when none of them needs it any more: each is this worker's,
// and would be found with it, or somebody else's. They run on as jobs that were taken.
func (s *stay) answerCrowd(ctx context.Context, list []uuid.UUID) {
	var all sync.WaitGroup
	defer all.Wait()
	for i, job := range list {
		if !s.enter(ctx, list[i:]) {
			return
		}
		all.Add(1)
		held := sync.OnceFunc(all.Done)
		if !s.taken.run(func(work context.Context) {
			defer s.leave()
			s.begin(work, job, held)
		}) { // the worker stops: what is claimed is handed over, and that is waited for
			go func() {
				defer held()
				defer s.leave()
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

// enter waits for room for the first of the jobs, which leave gives back; false: there is none, and the jobs have been rung for others.
func (s *stay) enter(ctx context.Context, list []uuid.UUID) bool {
	select {
	case s.room <- struct{}{}:
		return true
	default:
	}
	patience := time.NewTimer(roomWithin)
	defer patience.Stop()
	select {
	case s.room <- struct{}{}:
		return true
	case <-ctx.Done():
	case <-patience.C:
	}
	// When this fails, or the worker dies before, they are found as jobs that lost their doorbell.
	if err := s.ring(ctx, list); err != nil && !store.Unavailable(err) && ctx.Err() == nil {
		s.worker.cfg.Logger.ErrorContext(ctx, "ringing jobs for others failed", slog.String("err", err.Error()))
	}
	return false
}

func (s *stay) leave() { <-s.room }
