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

// JobView is a job as people see it.
type JobView struct {
	db.JobsReadRow
	// State is the decoded core.
	State jobs.Job
}

// Filter narrows ListJobs; nil fields do not.
type Filter struct {
	Before                                       *uuid.UUID
	Prefix, Role, Status, BlockedOn, Tag, Source *string
	CreatedAfter, CreatedBefore                  *time.Time
	Limit                                        int
}

// readOp is one look at a job.
type readOp struct {
	id    jobs.ID
	row   db.JobsReadRow
	found bool
}

// Job reads one job. Who looks while others do shares a statement with them.
func (s *Store) Job(ctx context.Context, id jobs.ID) (JobView, error) {
	op := &readOp{id: id}
	err := s.reads.do(ctx, op)
	if errors.Is(err, errAlone) {
		err = s.readAll(ctx, op)
	}
	if err == nil && !op.found {
		err = pgx.ErrNoRows
	}
	if err != nil {
		return JobView{}, wrap(err, "read job %s", id)
	}
	return view(op.row)
}

func (s *Store) readMany(ctx context.Context, items []*merged[*readOp]) {
	ops := make([]*readOp, len(items))
	for i, it := range items {
		ops[i] = it.op
	}
	err := s.readAll(ctx, ops...)
	for _, it := range items {
		it.done(apart(err, len(items)))
	}
}

func (s *Store) readAll(ctx context.Context, ops ...*readOp) error {
	ids := make([]jobs.ID, 0, len(ops))
	for _, op := range ops {
		if !slices.Contains(ids, op.id) {
			ids = append(ids, op.id)
		}
	}
	rows, err := s.rows(ctx, ids)
	if err != nil {
		return err
	}
	for _, op := range ops {
		for _, r := range rows {
			if r.ID == op.id {
				op.row, op.found = r, true
			}
		}
	}
	return nil
}

func (s *Store) rows(ctx context.Context, ids []jobs.ID) ([]db.JobsReadRow, error) {
	if len(ids) > 1 {
		return s.q.JobsRead(ctx, ids)
	}
	row, err := s.q.JobRead(ctx, ids[0])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return []db.JobsReadRow{db.JobsReadRow(row)}, err
}

// Jobs lists jobs, newest first.
func (s *Store) Jobs(ctx context.Context, f Filter) ([]JobView, error) {
	rows, err := s.q.JobsList(ctx, db.JobsListParams{
		Before: f.Before, Prefix: f.Prefix, Role: f.Role, Status: f.Status, BlockedOn: f.BlockedOn, Tag: f.Tag,
		Source: f.Source, CreatedAfter: f.CreatedAfter, CreatedBefore: f.CreatedBefore, MaxRows: int32(f.Limit),
	})
	if err != nil {
		return nil, wrap(err, "list jobs")
	}
	list := make([]JobView, len(rows))
	for i, r := range rows {
		if list[i], err = view(db.JobsReadRow(r)); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func view(r db.JobsReadRow) (JobView, error) {
	v := JobView{JobsReadRow: r}
	if err := json.Unmarshal(r.Core, &v.State); err != nil {
		return JobView{}, fmt.Errorf("store: decode job %s: %w", r.ID, err)
	}
	return v, nil
}

// HistoryRow is one row of history with its sentence.
type HistoryRow = db.HistoryWithTextRow

// History reads rows after a seq, oldest first.
func (s *Store) History(ctx context.Context, id jobs.ID, after int64, limit int) ([]HistoryRow, error) {
	rows, err := s.q.HistoryWithText(ctx, db.HistoryWithTextParams{JobID: id, Seq: after, MaxRows: int32(limit)})
	return rows, wrap(err, "read the history of job %s", id)
}

// VariableRow is a workspace variable with the cell that wrote it.
type VariableRow = db.VariablesCurrentRow

// Variables reads the workspace, now or as it was after a cell.
func (s *Store) Variables(ctx context.Context, id jobs.ID, cell *int) ([]VariableRow, error) {
	if cell == nil {
		rows, err := s.q.VariablesCurrent(ctx, id)
		return rows, wrap(err, "read the variables of job %s", id)
	}
	rows, err := s.q.VariablesAt(ctx, db.VariablesAtParams{JobID: id, Cell: int32(*cell)})
	if err != nil {
		return nil, wrap(err, "read the variables of job %s after cell %d", id, *cell)
	}
	list := make([]VariableRow, len(rows))
	for i, r := range rows {
		list[i] = VariableRow(r)
	}
	return list, nil
}

// Status reads where a job is, and how long its history is.
func (s *Store) Status(ctx context.Context, id jobs.ID) (status jobs.Status, outcome jobs.Outcome, seq int64, err error) {
	row, err := s.q.JobStatus(ctx, id)
	if err != nil {
		return "", "", 0, wrap(err, "read job %s", id)
	}
	if row.Outcome != nil {
		outcome = jobs.Outcome(*row.Outcome)
	}
	return jobs.Status(row.Status), outcome, row.Seq, nil
}

// WorkersAlive counts workers that have beaten lately.
func (s *Store) WorkersAlive(ctx context.Context) (int, error) {
	n, err := s.q.WorkersAlive(ctx)
	return int(n), wrap(err, "count workers")
}
