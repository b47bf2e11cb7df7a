package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"statek/internal/jobs"
)

// OpenWait is an open wait, who can end it, and what is known of its group.
type OpenWait struct {
	Cell, Call      int
	Name, Kind, Why string
	Since           time.Time
	Due             *time.Time
	Deps            []string
	// LastResult, LastError and LastAt are those of the last look; NextLook is set while it is parked or rechecked.
	LastResult, LastError *string
	LastAt, NextLook      *time.Time
	// Touched is what a write touched last, when, and how many times one did.
	Touched   *string
	TouchedAt *time.Time
	Touches   *int64
}

// OpenWaits lists what a job waits for. By hand: sqlc does not know a function's columns.
func (s *Store) OpenWaits(ctx context.Context, id jobs.ID) ([]OpenWait, error) {
	rows, err := s.pool.Query(ctx, `
		select cell, call, name, kind, why, since, due, deps, last_result, last_error, last_at, next_look, touched, touched_at, touches
		from statek.explain($1) where call is not null`, id)
	if err != nil {
		return nil, wrap(err, "read the waits of job %s", id)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[OpenWait])
	return list, wrap(err, "read the waits of job %s", id)
}
