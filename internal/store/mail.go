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
	var unread error
	if wanted != nil {
		n := b.Len()
		queueLoad(b, []jobs.ID{id}, func(jobs.ID) *jobs.Record { return &rec })
		for _, q := range b.QueuedQueries[n:] {
			q.Fn = unlessUnread(q.Fn, &unread)
		}
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
	if unread == nil {
		unread = s.catchUp(ctx, &rec)
	}
	if unread != nil { // the mail is there, and the heartbeat gives back what the worker has and does not run
		return jobs.Record{}, false, nil
	}
	return rec, true, nil
}

// unlessUnread keeps what a reader cannot make sense of, as what a newer version has written, from being a failure of the batch, which has
// left the mail. What the server refuses is one all the same.
func unlessUnread(read func(pgx.BatchResults) error, unread *error) func(pgx.BatchResults) error {
	return func(res pgx.BatchResults) error {
		if err := read(res); err != nil && *unread == nil {
			*unread = err
		}
		return nil
	}
}
