package store

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/jobs"
)

// Put leaves mail for a job and rings it. The taker, a worker of this process, is given a job that nobody has instead, unless it
// is uuid.Nil, has been declared dead, or a limit applies: then it has to run what is returned.
func (s *Store) Put(ctx context.Context, id jobs.ID, kind string, payload json.RawMessage, taker uuid.UUID) (rec jobs.Record, given bool, err error) {
	var wanted *uuid.UUID
	if taker != uuid.Nil {
		wanted = &taker
	}
	b := &pgx.Batch{}
	if wanted != nil { // planning what is read of the job would take longer than reading it
		b.Queue("select set_config('plan_cache_mode', 'force_generic_plan', true)")
	}
	// By hand: sqlc does not know the columns of a function's result.
	b.Queue("select epoch, previous from statek.put_mail($1, $2, $3, $4)", id, kind, string(payload), wanted).Query(func(rows pgx.Rows) error {
		var epoch int64
		var previous *uuid.UUID
		_, err := pgx.ForEachRow(rows, []any{&epoch, &previous}, func() error {
			if given = true; previous != nil {
				rec.Previous = *previous
			}
			return nil
		})
		return err
	})
	if wanted != nil {
		queueLoad(b, []jobs.ID{id}, func(jobs.ID) *jobs.Record { return &rec })
	}
	if err := s.pool.SendBatch(ctx, b).Close(); err != nil {
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.Code == "23503" { // retention has just removed it
			err = ErrNotFound
		}
		return jobs.Record{}, false, wrap(err, "put mail for job %s", id)
	}
	if !given {
		s.bell.Rang()
		return jobs.Record{}, false, nil
	}
	if err := s.catchUp(ctx, &rec); err != nil {
		return jobs.Record{}, false, nil //nolint:nilerr // the mail is there, and the heartbeat gives back what the worker has and does not run
	}
	return rec, true, nil
}
