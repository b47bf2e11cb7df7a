package store

import (
	"context"

	"statek/internal/jobs"
	"statek/internal/store/db"
)

// Vacate empties the seats of a job that was let go, and calls the jobs that are parked for them.
func (s *Store) Vacate(ctx context.Context, job jobs.ID) error {
	n, err := s.q.SeatsVacate(ctx, job)
	_, err = s.rangAll(n, wrap(err, "vacate the seats of job %s", job))
	return err
}

// SweepSeats calls parked jobs to seats that nobody has vacated.
func (s *Store) SweepSeats(ctx context.Context) (int, error) {
	n, err := s.q.SeatsSweep(ctx)
	return s.rangAll(n, wrap(err, "sweep seats"))
}

// Limit is how many jobs of an agent, or of all at a prefix and below, run at once.
type Limit struct {
	Prefix  string
	Role    string // empty: of all
	Most    int
	Running int
	Parked  int
}

// Limits lists the limits at a prefix, above and below.
func (s *Store) Limits(ctx context.Context, prefix string) ([]Limit, error) {
	rows, err := s.q.LimitsList(ctx, prefix)
	list := make([]Limit, len(rows))
	for i, r := range rows {
		list[i] = Limit{Prefix: r.Prefix, Role: r.Role, Most: int(r.Most), Running: int(r.Running), Parked: int(r.Parked)}
	}
	return list, wrap(err, "list limits")
}

// SetPrefixLimit sets how many jobs at a prefix and below run at once; nil: any number.
func (s *Store) SetPrefixLimit(ctx context.Context, prefix string, most *int32) error {
	_, err := s.pool.Exec(ctx, "select statek.set_prefix_limit($1, $2)", prefix, most)
	if err == nil {
		s.bell.Rang()
	}
	return wrap(err, "set the limit of %s", prefix)
}

// Queued counts the jobs at a prefix that have work and are nobody's, up to a number.
func (s *Store) Queued(ctx context.Context, prefix string, most int) (int, error) {
	n, err := s.q.JobsQueued(ctx, db.JobsQueuedParams{Prefix: prefix, Most: int32(most)})
	return int(n), wrap(err, "count the jobs of %s", prefix)
}
