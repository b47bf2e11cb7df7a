package store

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/failpoint"
	"statek/internal/temporal"
)

// By hand: sqlc does not know the columns of functions' results.
const (
	groupColumns = "id, prefix, kind, name, temporal_id, args, attempts, last_result, retry_at, recheck_ms, taken, marks, touched, touched_at, waiting"
	takeGroups   = "select " + groupColumns + " from statek.take_groups($1, $2)"
	drainMarks   = "select drained, groups, " + groupColumns + " from statek.drain_marks($1, $2, $3)"
	takeHeads    = "select id, job_id, cell, call, set_id, heads from statek.take_heads($1, $2, $3)"
)

// waitGroup is a group that a look has taken, and what led to the look.
type waitGroup struct {
	ID         int64
	Prefix     string
	Kind       string
	Name       string
	TemporalID *uuid.UUID
	Args       json.RawMessage
	Attempts   int32
	LastResult string
	RetryAt    *time.Time
	RecheckMs  int64
	// Taken are the checks that were due, Marks the marks of writers among them, Touched the dep of the last.
	Taken     int64
	Marks     int64
	Touched   string
	TouchedAt time.Time
	Waiting   bool
}

// head is a waiter that a look has locked. Heads is how many there were to lock.
type head struct {
	ID         int64
	JobID      uuid.UUID
	Cell, Call int32
	SetID      *int64
	Heads      int64
}

// begin starts the look's transaction and takes the group, in one round trip; false: it is somebody else's, or gone.
func (l *look) begin(ctx context.Context, group int64) (found bool, err error) {
	b := l.opening()
	b.Queue(takeGroups, []int64{group}, l.w.known()).Query(func(rows pgx.Rows) error {
		list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[waitGroup])
		if found = len(list) == 1; found {
			l.group = list[0]
		}
		return err
	})
	return found, l.conn.SendBatch(ctx, b).Close()
}

// drain starts a transaction, turns marks into checks, and with take takes the group when all led to one; found says so. Else
// the checks are committed, and groups are to be looked at.
func (l *look) drain(ctx context.Context, take bool) (drained int64, groups []int64, found bool, err error) {
	b := l.opening()
	b.Queue(drainMarks, drainBatch, l.w.known(), take).QueryRow(func(row pgx.Row) error {
		drained, groups, found, err = scanDrain(row, &l.group)
		return err
	})
	err = l.conn.SendBatch(ctx, b).Close()
	if err != nil || found {
		return drained, groups, found, err
	}
	// If a crash takes it back, the marks are there again.
	end := &pgx.Batch{}
	end.Queue("set local synchronous_commit = off")
	end.Queue("commit")
	err = l.conn.SendBatch(ctx, end).Close()
	if err == nil && len(groups) > 0 {
		l.w.failpoints.Worker(failpoint.MarksDrained)
	}
	return drained, groups, false, err
}

func scanDrain(row pgx.Row, g *waitGroup) (drained int64, groups []int64, found bool, err error) {
	var id, recheck, taken, marks *int64
	var prefix, kind, name, last, touched *string
	var attempts *int32
	var at *time.Time
	var waiting *bool
	err = row.Scan(&drained, &groups, &id, &prefix, &kind, &name, &g.TemporalID, &g.Args, &attempts, &last, &g.RetryAt, &recheck,
		&taken, &marks, &touched, &at, &waiting)
	if err != nil || id == nil {
		return drained, groups, false, err
	}
	g.ID, g.RecheckMs, g.Taken, g.Marks = *id, *recheck, *taken, *marks
	g.Prefix, g.Kind, g.Name, g.LastResult, g.Touched = *prefix, *kind, *name, *last, *touched
	g.Attempts, g.TouchedAt, g.Waiting = *attempts, *at, *waiting
	return drained, groups, true, nil
}

// opening begins a transaction that may take jobs.
func (l *look) opening() *pgx.Batch {
	b := &pgx.Batch{}
	b.Queue("begin isolation level read committed")
	if l.takes = l.w.MayTake != nil && l.w.MayTake(); l.takes {
		b.Queue("select set_config('statek.taker', $1, true)", l.w.Taker.String())
	}
	return b
}

// heads writes down, for the values that this look gives out, what led here, and locks the first waiters.
func (l *look) heads(ctx context.Context, def temporal.Definition, most int) (heads []head, err error) {
	rows, err := l.conn.Query(ctx, takeHeads, l.group.ID, most, string(l.evidence(def)))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[head])
}

func (l *look) evidence(def temporal.Definition) json.RawMessage {
	return def.Evidence(temporal.Look{
		Marks: int(l.group.Marks), Dep: l.group.Touched, At: l.group.TouchedAt, Checks: int(l.group.Taken), Sweeping: l.sweeping, Told: l.told,
		Due: l.group.RetryAt != nil && !l.group.RetryAt.After(l.w.now()), Last: temporal.State(l.group.LastResult),
	}, l.group.Args)
}

// queueHeads appends the same to statements of a temporal, whose values are texts.
func (l *look) queueHeads(ctx context.Context, b *pgconn.Batch, def temporal.Definition, most int) error {
	return queueOurs(ctx, l.conn, b, takeHeads, strconv.AppendInt(nil, l.group.ID, 10), strconv.AppendInt(nil, int64(most), 10), l.evidence(def))
}

// readHeads reads its result.
func readHeads(res *pgconn.Result) ([]head, error) {
	list := make([]head, len(res.Rows))
	for i, row := range res.Rows {
		id, err1 := strconv.ParseInt(string(row[0]), 10, 64)
		job, err2 := uuid.ParseBytes(row[1])
		cell, err3 := strconv.ParseInt(string(row[2]), 10, 32)
		call, err4 := strconv.ParseInt(string(row[3]), 10, 32)
		all, err5 := strconv.ParseInt(string(row[5]), 10, 64)
		if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
			return nil, err
		}
		list[i] = head{ID: id, JobID: job, Cell: int32(cell), Call: int32(call), Heads: all}
		if row[4] != nil {
			set, err := strconv.ParseInt(string(row[4]), 10, 64)
			if err != nil {
				return nil, err
			}
			list[i].SetID = &set
		}
	}
	return list, nil
}

// queueSingleHeads appends what locks the waiters of groups that have one.
func queueSingleHeads(b *pgconn.Batch, groups []int64) {
	list := []byte{'{'}
	for i, id := range groups {
		if i > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendInt(list, id, 10)
	}
	b.ExecParams("select group_id, id, job_id from statek.take_single_heads($1)", [][]byte{append(list, '}')}, nil, nil, nil)
}

// readSingleHeads reads its result, by group.
func readSingleHeads(res *pgconn.Result) (map[int64]*head, error) {
	heads := make(map[int64]*head, len(res.Rows))
	for _, row := range res.Rows {
		group, err1 := strconv.ParseInt(string(row[0]), 10, 64)
		id, err2 := strconv.ParseInt(string(row[1]), 10, 64)
		job, err3 := uuid.ParseBytes(row[2])
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, err
		}
		heads[group] = &head{ID: id, JobID: job, Heads: 1}
	}
	return heads, nil
}
