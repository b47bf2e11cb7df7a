package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"statek/internal/failpoint"
	"statek/internal/jobs"
	"statek/internal/store/db"
)

// Worker is one worker process as others see it. Its ID is fresh for every start.
type Worker struct {
	ID       uuid.UUID
	Host     string
	PID      int
	Version  string
	Prefixes []string
}

// Tick is what one heartbeat learns.
type Tick struct {
	// Alive is false when a sweeper has declared this worker dead: it must stop and come back under a new id.
	Alive bool
	// Owned are the jobs that the database thinks this worker runs, with their epochs.
	Owned map[jobs.ID]int64
	// Rung are the owned jobs that have mail.
	Rung []jobs.ID
	// Wakes says that jobs' own timers are due, for anybody.
	Wakes bool
	// Silent are workers without a recent beat that nobody has declared dead.
	Silent []uuid.UUID
}

// Heart is the heartbeat's own connection: a worker whose pool is busy must still be heard.
type Heart struct{ conn *pgx.Conn }

// NewHeart wraps a connection that nothing else uses.
func NewHeart(conn *pgx.Conn) *Heart { return &Heart{conn} }

// Close ends the connection.
func (h *Heart) Close(ctx context.Context) error { return h.conn.Close(ctx) }

// Register makes the worker known. It must happen before the first claim.
func (h *Heart) Register(ctx context.Context, w Worker) error {
	return wrap(db.New(h.conn).WorkerRegister(ctx, db.WorkerRegisterParams{
		ID: w.ID, Host: text(w.Host), Pid: int32(w.PID), Version: w.Version, Prefixes: w.Prefixes,
	}), "register worker %s", w.ID)
}

// Leave removes the worker: what it still owns is free at once.
func (h *Heart) Leave(ctx context.Context, id uuid.UUID) error {
	return wrap(db.New(h.conn).WorkerGone(ctx, id), "remove worker %s", id)
}

// Beat is the one combined statement of every second.
func (h *Heart) Beat(ctx context.Context, id uuid.UUID, deadAfter time.Duration) (Tick, error) {
	row, err := db.New(h.conn).WorkerTick(ctx, db.WorkerTickParams{Worker: id, DeadAfterSeconds: deadAfter.Seconds()})
	if err != nil {
		return Tick{}, wrap(err, "heartbeat of worker %s", id)
	}
	t := Tick{
		Alive: row.Alive, Owned: make(map[jobs.ID]int64, len(row.Owned)), Rung: row.Rung,
		Wakes: row.Wakes, Silent: row.Silent,
	}
	for i, job := range row.Owned {
		t.Owned[job] = row.Epochs[i]
	}
	return t, nil
}

// WakeDue rings jobs whose own timer (run_at, the next attempt) has come.
func (s *Store) WakeDue(ctx context.Context, limit int) (int, error) {
	row, err := s.q.JobsWakeDue(ctx, int32(limit))
	return s.rangAll(row.Jobs, wrap(err, "wake due jobs"))
}

// TakeOver frees and rings every job of workers that are dead or gone.
func (s *Store) TakeOver(ctx context.Context) (int, error) {
	row, err := s.q.JobsTakeOver(ctx)
	if err == nil && row.Jobs > 0 {
		s.failpoints.Worker(failpoint.TakeOverFreed)
		_, err = s.SweepSeats(ctx)
	}
	return s.rangAll(row.Jobs, wrap(err, "take over jobs"))
}

// strayMail is how much mail one look for strays reads.
const strayMail = 1000

// RingStray rings jobs that have work, no owner and, it seems, no doorbell. Of a full mailbox it looks at a page each time.
func (s *Store) RingStray(ctx context.Context, limit int) (int, error) {
	row, err := s.q.JobsStray(ctx, db.JobsStrayParams{After: s.strayMail.Load(), MaxMail: strayMail, MaxJobs: int32(limit)})
	if err != nil {
		return 0, wrap(err, "ring stray jobs")
	}
	s.strayMail.Store(row.Reached)
	return s.rangAll(row.Jobs, nil)
}

// rangAll tells the bell about a statement that rang n jobs.
func (s *Store) rangAll(n int32, err error) (int, error) {
	if n > 0 {
		s.bell.Rang()
	}
	return int(n), err
}

// Bury declares silent workers dead and removes their doorbells.
func (s *Store) Bury(ctx context.Context, ids []uuid.UUID, deadAfter time.Duration) ([]uuid.UUID, error) {
	var dead []uuid.UUID
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var err error
		dead, err = db.New(tx).WorkersBury(ctx, db.WorkersBuryParams{Ids: ids, DeadAfterSeconds: deadAfter.Seconds()})
		return err
	})
	if err == nil && len(dead) > 0 {
		// Their sessions may sit in an open transaction that holds locks. By hand: sqlc does not know the view.
		_, err = s.pool.Exec(ctx, `select pg_terminate_backend(pid) from pg_stat_activity
			where datname = current_database() and usename = current_user
			  and application_name = any(select 'statek worker ' || u.id from unnest($1::uuid[]) as u(id))`, dead)
	}
	return dead, wrap(err, "bury workers")
}

// WorkerName is the application_name of a worker's sessions.
func WorkerName(id uuid.UUID) string { return "statek worker " + id.String() }

// Tidy removes what nobody needs: doorbells and rows of dead workers, old idempotency keys; and prepares
// the next months' partitions.
func (s *Store) Tidy(ctx context.Context) error {
	if err := s.q.Tidy(ctx); err != nil {
		return wrap(err, "remove what is left of dead workers, and old keys")
	}
	return wrap(s.q.EnsurePartitions(ctx), "prepare partitions")
}
