package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"statek/internal/jobs"
	"statek/internal/store/db"
)

// NewJob is one job to insert.
type NewJob struct {
	ID        jobs.ID
	Spec      jobs.Spec
	Submitted jobs.Submitted
	Variables []jobs.Variable
	Tags      []string
	Key       string
	Priority  int
	At        time.Time
	// Generation is that of the definitions that the job was planned with; 0: it is not checked.
	Generation int64
}

// Idempotency makes a repeated request return the first one's answer.
type Idempotency struct{ Prefix, Key, Request string }

// ErrKeyTaken: an unfinished job of the same prefix and agent has the key; ErrKeyReused: the idempotency
// key was used for another request.
var (
	ErrKeyTaken  = errors.New("store: the business key is taken")
	ErrKeyReused = errors.New("store: the idempotency key was used for another request")
	// ErrStale: definitions have changed since the job was planned. Nothing was written.
	ErrStale = errors.New("store: definitions have changed")
)

// Plain reports jobs that compete with nobody for a key: SubmitJobs inserts them.
func Plain(list []NewJob, idem Idempotency) bool {
	return idem.Key == "" && !slices.ContainsFunc(list, func(n NewJob) bool { return n.Key != "" })
}

// InsertJobs inserts all jobs and rings those that may run, in one transaction, and returns their ids. When
// takeExisting is set a job whose key is taken is replaced by the existing one; otherwise that is
// ErrKeyTaken. The second result tells which ids were there before.
func (s *Store) InsertJobs(ctx context.Context, list []NewJob, takeExisting bool, idem Idempotency) ([]jobs.ID, []bool, error) {
	ids, existing := make([]jobs.ID, len(list)), make([]bool, len(list))
	if Plain(list, idem) {
		for i, n := range list {
			ids[i] = n.ID
		}
		_, err := s.SubmitJobs(ctx, list, uuid.Nil)
		return ids, existing, err
	}
	replayed := false
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := db.New(tx)
		if err := q.CheckGeneration(ctx, list[0].Generation); err != nil {
			return err
		}
		if idem.Key != "" {
			earlier, err := takeKey(ctx, q, idem)
			if err != nil {
				return err
			}
			if earlier != nil {
				replayed = true
				return json.Unmarshal(earlier, &ids)
			}
		}
		if err := insertAll(ctx, tx, q, list, ids, existing, takeExisting); err != nil {
			return err
		}
		if idem.Key == "" {
			return nil
		}
		answer, err := json.Marshal(ids)
		if err != nil {
			return err
		}
		return q.IdempotencyAnswer(ctx, db.IdempotencyAnswerParams{Prefix: idem.Prefix, Key: idem.Key, Status: 201, Response: string(answer)})
	})
	if err != nil {
		return nil, nil, stale(wrap(err, "submit"))
	}
	if replayed {
		for i := range existing {
			existing[i] = true
		}
		return ids, existing, nil
	}
	s.bell.Rang()
	return ids, existing, nil
}

// takeKey claims the idempotency key; a concurrent request with the same one waits for ours.
func takeKey(ctx context.Context, q *db.Queries, idem Idempotency) (json.RawMessage, error) {
	n, err := q.IdempotencyTake(ctx, db.IdempotencyTakeParams{Prefix: idem.Prefix, Key: idem.Key, Request: idem.Request})
	if err != nil || n == 1 {
		return nil, err
	}
	row, err := q.IdempotencyFind(ctx, db.IdempotencyFindParams{Prefix: idem.Prefix, Key: idem.Key})
	if err != nil {
		return nil, err
	}
	if row.Request != idem.Request {
		return nil, ErrKeyReused
	}
	return row.Response, nil
}

func insertAll(ctx context.Context, tx pgx.Tx, q *db.Queries, list []NewJob, ids []jobs.ID, existing []bool, takeExisting bool) error {
	prefixes, agents := map[string]bool{}, &pgx.Batch{}
	for i, n := range list {
		if !prefixes[n.Spec.Prefix] {
			prefixes[n.Spec.Prefix] = true
			agents.Queue(db.PrefixEnsure, n.Spec.Prefix)
		}
		if err := queueJob(agents, n, &ids[i]); err != nil {
			return err
		}
	}
	if err := tx.SendBatch(ctx, agents).Close(); err != nil {
		return err
	}
	rest, ring := &pgx.Batch{}, []jobs.ID{}
	for i, n := range list {
		if ids[i] == n.ID {
			if err := queueState(rest, n); err != nil {
				return err
			}
			if n.Submitted.RunAt == 0 {
				ring = append(ring, n.ID)
			}
			continue
		}
		id, err := q.JobByOpenKey(ctx, db.JobByOpenKeyParams{Role: n.Spec.Role, OpenKey: &n.Key, Prefix: n.Spec.Prefix})
		if err != nil {
			return err
		}
		if !takeExisting {
			return fmt.Errorf("%w: %q by job %s", ErrKeyTaken, n.Key, id)
		}
		ids[i], existing[i] = id, true
	}
	rest.Queue(db.Ring, ring, false)
	return tx.SendBatch(ctx, rest).Close()
}

// queueJob inserts the cold row; id stays zero when the key is taken.
func queueJob(b *pgx.Batch, n NewJob, id *jobs.ID) error {
	spec, err := json.Marshal(n.Spec)
	if err != nil {
		return err
	}
	var key *string
	if n.Key != "" {
		key = &n.Key
	}
	tags := n.Tags
	if tags == nil {
		tags = []string{}
	}
	b.Queue(db.JobInsert, n.ID, n.Spec.AgentID, n.Spec.Role, n.Spec.AgentVersion, text(n.Submitted.Source), n.Spec.Locale,
		tags, key, n.Priority, n.At, n.Spec.Prefix, string(spec)).Query(func(rows pgx.Rows) error {
		got, err := pgx.CollectRows(rows, pgx.RowTo[jobs.ID])
		if len(got) == 1 {
			*id = got[0]
		}
		return err
	})
	return nil
}

func isNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
