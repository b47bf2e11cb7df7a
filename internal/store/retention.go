package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// The size of one step of the removal: some tens of milliseconds, and locks on that many jobs.
const (
	pruneLook = 2000
	pruneMost = 200
	pruneRows = 10_000
)

// Pruned is what one step of the removal of old jobs did.
type Pruned struct {
	Jobs, Rows int
	// More: another step would find something to do.
	More bool
}

// Prune removes some of the ended jobs whose time is over, and rows of those removed before. Nothing happens when another
// worker is at it, or when somebody holds what it needs.
func (s *Store) Prune(ctx context.Context) (p Pruned, err error) {
	// By hand: sqlc does not know the columns of a function's result.
	err = s.pool.QueryRow(ctx, "select jobs, rows, more from statek.prune($1, $2, $3)", pruneLook, pruneMost, pruneRows).Scan(&p.Jobs, &p.Rows, &p.More)
	if lockedOut(err) {
		return Pruned{}, nil
	}
	return p, wrap(err, "remove old jobs")
}

// DropEmptyPartition drops one month that holds nothing any more and returns its name; empty: there is none, or it is in use.
func (s *Store) DropEmptyPartition(ctx context.Context) (name string, err error) {
	err = s.pool.QueryRow(ctx, "select coalesce(statek.drop_empty_partition(), '')").Scan(&name)
	if lockedOut(err) {
		return "", nil
	}
	return name, wrap(err, "drop an empty partition")
}

// lockedOut reports that a lock was not to be had in time.
func lockedOut(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "55P03" || pg.Code == "40P01")
}

// Keep says how long jobs with an outcome are kept after their end.
type Keep struct {
	Outcome string
	// Seconds is nil for jobs that are kept for ever.
	Seconds *float64
	// From is the prefix that says so; nil: none does, it is the default.
	From *string
}

// Retention reads how long ended jobs at a prefix are kept.
func (s *Store) Retention(ctx context.Context, prefix string) ([]Keep, error) {
	return rowsOf[Keep](ctx, s, "read the retention", `select outcome, extract(epoch from keep)::float8 as seconds, from_prefix as "from" from statek.retention_at($1)`, prefix)
}

// SetRetention says it. Each wish is an interval, "forever", "inherit", or empty to leave it as it is.
func (s *Store) SetRetention(ctx context.Context, prefix, succeeded, failed, cancelled string) error {
	_, err := s.pool.Exec(ctx, "select statek.set_retention($1, nullif($2, ''), nullif($3, ''), nullif($4, ''))", prefix, succeeded, failed, cancelled)
	return wrap(err, "set the retention of %s", prefix)
}

// Backlog is what the removal of old jobs has before it.
type Backlog struct {
	// Due are jobs that are to be removed; Looked is how many old jobs were looked at to count them, at most BacklogLook.
	Due, Looked int64
	// Since is when the oldest of them became due.
	Since *time.Time
	// Leftover are jobs that are gone, but for rows in the partitioned tables.
	Leftover int64
	// Removed jobs, since the database was made.
	Removed int64
	// LappedAt is when all old jobs had last been looked at.
	LappedAt *time.Time
}

// BacklogLook bounds the look.
const BacklogLook = 100_000

// Backlog counts what should be gone and is not.
func (s *Store) Backlog(ctx context.Context) (b Backlog, err error) {
	err = s.pool.QueryRow(ctx, `
		select count(p.due_since), count(*), min(p.due_since), (select count(*) from (select from statek.pruned limit $1) x),
			(select removed from statek.pruning), (select lapped_at from statek.pruning)
		from statek.prunable('00000000-0000-0000-0000-000000000000', $1) p`, BacklogLook).
		Scan(&b.Due, &b.Looked, &b.Since, &b.Leftover, &b.Removed, &b.LappedAt)
	return b, wrap(err, "count old jobs")
}
