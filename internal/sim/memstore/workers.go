package memstore

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"statek/internal/engine"
	"statek/internal/jobs"
)

type worker struct {
	beat time.Time
	dead bool
}

// Doorbell says "look at that job".
type Doorbell struct {
	Job jobs.ID
	at  time.Time
}

// straysAfter is how long a job with work may be without a doorbell.
const straysAfter = 5 * time.Second

func (db *DB) alive(id uuid.UUID) bool {
	w, ok := db.workers[id]
	return ok && !w.dead
}

// ring neither reads nor writes the job.
func (db *DB) ring(id jobs.ID) {
	if j := db.jobs[id]; db.Bugs.LoseRings && j.wasRung {
		j.wasRung = false
		return
	}
	db.bells = append(db.bells, Doorbell{id, db.now()})
}

// Doorbells lists the doorbells that nobody has taken, oldest first.
func (db *DB) Doorbells() []Doorbell {
	db.mu.Lock()
	defer db.mu.Unlock()
	return slices.Clone(db.bells)
}

// TakeDoorbell takes one out of the queue.
func (db *DB) TakeDoorbell(i int) Doorbell {
	db.mu.Lock()
	defer db.mu.Unlock()
	b := db.bells[i]
	db.bells = slices.Delete(db.bells, i, i+1)
	return b
}

// Register makes a worker known.
func (s *Session) Register(ctx context.Context, id uuid.UUID) error {
	return s.do(ctx, Txn{Name: "register"}, func() error {
		s.workers[id] = &worker{beat: s.DB.now()}
		return nil
	})
}

// Leave removes a worker.
func (s *Session) Leave(ctx context.Context, id uuid.UUID) error {
	return s.do(ctx, Txn{Name: "leave"}, func() error {
		delete(s.workers, id)
		return nil
	})
}

// Beat implements engine.Pulse.
func (s *Session) Beat(ctx context.Context, id uuid.UUID, deadAfter time.Duration) (engine.Beat, error) {
	b := engine.Beat{Owned: map[jobs.ID]int64{}}
	err := s.do(ctx, Txn{Name: "beat"}, func() error {
		now := s.DB.now()
		if b.Alive = s.alive(id); b.Alive {
			s.workers[id].beat = now
		}
		for _, job := range s.sorted() {
			j := s.jobs[job]
			if j.owner == id {
				b.Owned[job] = j.epoch
				if j.rung {
					b.Rung = append(b.Rung, job)
				}
			}
			b.Wakes = b.Wakes || !j.wake.IsZero() && !j.wake.After(now.Add(time.Second))
		}
		for other, w := range s.workers {
			if !w.dead && w.beat.Before(now.Add(-deadAfter)) {
				b.Silent = append(b.Silent, other)
			}
		}
		slices.SortFunc(b.Silent, compare)
		return nil
	})
	return b, err
}

// Close implements engine.Pulse.
func (s *Session) Close(context.Context) error { return nil }

// WakeDue implements engine.Chores.
func (s *Session) WakeDue(ctx context.Context, _ int) (n int, err error) {
	due := func(_ jobs.ID, j *job) bool { return !j.wake.IsZero() && !j.wake.After(s.DB.now()) }
	return s.each(ctx, "wake", due, func(id jobs.ID, j *job) {
		j.wake = time.Time{}
		if j.status == jobs.Suspended { // until a call's next attempt: it has no other sign of its work
			j.wake = s.DB.now().Add(10 * time.Second)
		}
		s.ring(id)
	})
}

// around sees what there is to do besides waits.
func (s *Session) around() (seen engine.Around) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen.Strays = len(s.mail) > 0
	for id, j := range s.jobs {
		seen.Orphans = seen.Orphans || s.orphaned(id, j)
		seen.Strays = seen.Strays || s.hasWork(id, j, s.DB.now().Add(-straysAfter))
	}
	return seen
}

func (db *DB) orphaned(_ jobs.ID, j *job) bool { return j.owner != uuid.Nil && !db.alive(j.owner) }

// SweepSeats implements engine.Chores; there are no limits.
func (s *Session) SweepSeats(context.Context) (int, error) { return 0, nil }

// TakeOver implements engine.Chores.
func (s *Session) TakeOver(ctx context.Context) (n int, err error) {
	return s.each(ctx, "take over", s.orphaned, func(id jobs.ID, j *job) {
		j.epoch++
		j.owner, j.from, j.rung, j.freed = uuid.Nil, j.owner, false, s.DB.now()
		if !s.Bugs.KeepOwner {
			s.ring(id)
		}
	})
}

// RingStray implements engine.Chores.
func (s *Session) RingStray(ctx context.Context, _ int) (n int, err error) {
	stray := func(id jobs.ID, j *job) bool { return s.hasWork(id, j, s.horizon()) }
	return s.each(ctx, "strays", stray, func(id jobs.ID, _ *job) { s.ring(id) })
}

// horizon is when a job that still waits for its doorbell must have changed last: the queue may just be long.
func (db *DB) horizon() time.Time {
	at := db.now().Add(-straysAfter)
	if len(db.bells) > 0 && db.bells[0].at.Add(-straysAfter).Before(at) {
		at = db.bells[0].at.Add(-straysAfter)
	}
	return at
}

// hasWork reports a job that nobody owns although it has had something to do since before the horizon.
func (db *DB) hasWork(id jobs.ID, j *job, horizon time.Time) bool {
	if j.owner != uuid.Nil {
		return false
	}
	if j.wake.IsZero() && (j.status == jobs.Ready || j.status == jobs.WarmingUp || j.status == jobs.Started) && j.freed.Before(horizon) {
		return true
	}
	return slices.ContainsFunc(db.mail, func(l *letter) bool {
		rests := j.status == jobs.Paused || j.status == jobs.Suspended || !j.wake.IsZero()
		unasked := l.mail.Kind == "message" && rests && !asksForMessage(j.blocked)
		return l.job == id && !unasked && l.mail.At.Before(horizon)
	})
}

// Bury implements engine.Chores.
func (s *Session) Bury(ctx context.Context, ids []uuid.UUID, deadAfter time.Duration) (dead []uuid.UUID, err error) {
	err = s.do(ctx, Txn{Name: "bury"}, func() error {
		for _, id := range ids {
			if w, ok := s.workers[id]; ok && !w.dead && w.beat.Before(s.DB.now().Add(-deadAfter)) {
				w.dead = true
				dead = append(dead, id)
			}
		}
		return nil
	})
	return dead, err
}

// Prune implements engine.Chores; a simulated life is too short for its jobs to be removed.
func (s *Session) Prune(context.Context) (bool, error) { return false, nil }

// each is one statement over all jobs that it wants. When there are none it is only a question.
func (s *Session) each(ctx context.Context, name string, want func(jobs.ID, *job) bool, do func(jobs.ID, *job)) (n int, err error) {
	found := func() (ids []jobs.ID) {
		for _, id := range s.sorted() {
			if want(id, s.jobs[id]) {
				ids = append(ids, id)
			}
		}
		return ids
	}
	s.mu.Lock()
	ids := found()
	s.mu.Unlock()
	if len(ids) == 0 {
		return 0, nil
	}
	err = s.do(ctx, Txn{Name: name}, func() error {
		ids = found()
		for _, id := range ids {
			do(id, s.jobs[id])
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return len(ids), nil
}

func (db *DB) sorted() []jobs.ID { return slices.SortedFunc(maps.Keys(db.jobs), compare) }

func compare(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

func asksForMessage(blocked string) bool { return strings.Contains(blocked, "message") }

// Silence makes a worker's last beat an old one.
func (db *DB) Silence(id uuid.UUID) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.workers[id].beat = db.now().Add(-time.Hour)
}

// Age makes everything about a job an hour old.
func (db *DB) Age(id jobs.ID) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.jobs[id].freed = db.jobs[id].freed.Add(-time.Hour)
	for _, l := range db.mail {
		if l.job == id {
			l.mail.At = l.mail.At.Add(-time.Hour)
		}
	}
}
