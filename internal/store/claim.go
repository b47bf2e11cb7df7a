package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"statek/internal/jobs"
	"statek/internal/store/db"
)

// Claim takes the job for a worker if it is free, if its owner is dead, or if the database thinks that the
// worker owns it while it does not run it (held false). Otherwise the owner's rung flag is set, and false
// is returned. An unknown job is ErrNotFound.
func (s *Store) Claim(ctx context.Context, job jobs.ID, worker uuid.UUID, held bool) (jobs.Record, bool, error) {
	var row struct {
		Claimed  bool
		Epoch    int64
		Previous *uuid.UUID
	}
	// By hand: sqlc does not know the columns of a function's result.
	err := s.pool.QueryRow(ctx, "select claimed, epoch, previous from statek.claim($1, $2, $3)", job, worker, held).
		Scan(&row.Claimed, &row.Epoch, &row.Previous)
	if err != nil {
		return jobs.Record{}, false, wrap(err, "claim job %s", job)
	}
	if !row.Claimed {
		return jobs.Record{}, false, nil
	}
	// A new statement, hence a new snapshot: the row that caused the ring is visible to it.
	rec, err := s.load(ctx, job)
	if err != nil {
		return jobs.Record{}, false, err
	}
	if rec.Epoch != row.Epoch || rec.Owner != worker {
		return jobs.Record{}, false, fmt.Errorf("store: load job %s: %w", job, jobs.ErrFenced)
	}
	if row.Previous != nil {
		rec.Previous = *row.Previous
	}
	return rec, true, nil
}

func (s *Store) load(ctx context.Context, job jobs.ID) (jobs.Record, error) {
	row, err := s.q.JobLoad(ctx, job)
	if err != nil {
		return jobs.Record{}, wrap(err, "load job %s", job)
	}
	rec := jobs.Record{Hold: jobs.Hold{Job: job, Epoch: row.Epoch}, Generation: row.Generation}
	if row.Owner != nil {
		rec.Owner = *row.Owner
	}
	if err := json.Unmarshal(row.Core, &rec.State); err != nil {
		return jobs.Record{}, fmt.Errorf("store: decode job %s: %w", job, err)
	}
	if err := json.Unmarshal(row.Spec, &rec.Spec); err != nil {
		return jobs.Record{}, fmt.Errorf("store: decode the spec of job %s: %w", job, err)
	}
	rec.Spec.Prefix, rec.Spec.Role, rec.Spec.AgentID, rec.Spec.AgentVersion = row.Prefix, row.Role, row.AgentID, int(row.AgentVersion)
	rec.Spec.Locale, rec.Spec.CreatedAt = row.Locale, row.CreatedAt
	return rec, nil
}

// Release gives the job up, unless it was rung since the claim or the last ClearRung; then it returns false.
func (s *Store) Release(ctx context.Context, h jobs.Hold) (bool, error) {
	released, err := s.q.JobRelease(ctx, db.JobReleaseParams{Job: h.Job, Epoch: h.Epoch, Owner: h.Owner})
	return released, wrap(err, "release job %s", h.Job)
}

// ClearRung acknowledges the ring, in a statement of its own: mail is read after it.
func (s *Store) ClearRung(ctx context.Context, h jobs.Hold) error {
	return wrap(s.q.JobClearRung(ctx, db.JobClearRungParams{JobID: h.Job, Epoch: h.Epoch, Owner: &h.Owner}), "clear rung of job %s", h.Job)
}

// HandOver gives the job up and rings it, in one transaction.
func (s *Store) HandOver(ctx context.Context, h jobs.Hold) error {
	b := &pgx.Batch{}
	b.Queue(db.JobHandOver, h.Job, h.Epoch, h.Owner)
	b.Queue(db.Ring, []jobs.ID{h.Job}, false)
	if err := s.pool.SendBatch(ctx, b).Close(); err != nil {
		return wrap(err, "hand over job %s", h.Job)
	}
	s.bell.Rang()
	return nil
}

// Mail reads the job's mailbox, oldest first. Rows stay until a commit consumes them.
func (s *Store) Mail(ctx context.Context, job jobs.ID) ([]jobs.Mail, error) {
	rows, err := s.q.MailboxRead(ctx, job)
	if err != nil {
		return nil, wrap(err, "read the mailbox of job %s", job)
	}
	mail := make([]jobs.Mail, len(rows))
	for i, r := range rows {
		mail[i] = jobs.Mail{ID: r.ID, Kind: r.Kind, Cell: int(r.Cell), Call: int(r.Call), Payload: r.Payload, At: r.CreatedAt, Woke: r.Evidence}
	}
	return mail, nil
}

// TakeMessage wins, for a message() in a set of waits, against the other members, which are withdrawn. False:
// one of them was faster, or the wait is not registered yet.
func (s *Store) TakeMessage(ctx context.Context, h jobs.Hold, cell, call int) (won bool, err error) {
	b := &pgx.Batch{}
	b.Queue(db.WaitTakeMessage, h.Job, h.Epoch, h.Owner, int32(cell), int32(call)).QueryRow(func(row pgx.Row) error { return row.Scan(&won) })
	b.Queue(db.WaitKeepMessage, h.Job, int32(cell), int32(call))
	err = s.pool.SendBatch(ctx, b).Close()
	return won && err == nil, wrap(err, "take a message for call %d of job %s", call, h.Job)
}

// Workspace reads the current variables.
func (s *Store) Workspace(ctx context.Context, job jobs.ID) ([]jobs.Variable, error) {
	rows, err := s.q.VariablesCurrent(ctx, job)
	if err != nil {
		return nil, wrap(err, "read the workspace of job %s", job)
	}
	vars := make([]jobs.Variable, len(rows))
	for i, r := range rows {
		vars[i] = jobs.Variable{Name: r.Name, Value: r.Value, Type: r.Type}
		if r.Refused != nil {
			vars[i].Refused = *r.Refused
		}
	}
	return vars, nil
}

// CellHistory reads what a replay of the cell needs; since is the row that started it, or 0.
func (s *Store) CellHistory(ctx context.Context, job jobs.ID, cell int, since int64) ([]jobs.Entry, error) {
	rows, err := s.q.HistoryOfCell(ctx, db.HistoryOfCellParams{JobID: job, Cell: int32(cell), Since: since})
	if err != nil {
		return nil, wrap(err, "read cell %d of job %s", cell, job)
	}
	entries := make([]jobs.Entry, len(rows))
	for i, r := range rows {
		if entries[i], err = entry(db.HistoryAfterRow(r)); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// ModelHistory reads what the model may be shown.
func (s *Store) ModelHistory(ctx context.Context, job jobs.ID) ([]jobs.Entry, error) {
	rows, err := s.q.HistoryForModel(ctx, job)
	if err != nil {
		return nil, wrap(err, "read the dialogue of job %s", job)
	}
	entries := make([]jobs.Entry, len(rows))
	for i, r := range rows {
		if entries[i], err = entry(db.HistoryAfterRow(r)); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// LastReply reads the newest model reply.
func (s *Store) LastReply(ctx context.Context, job jobs.ID) (jobs.ModelReplied, error) {
	row, err := s.q.HistoryLastReply(ctx, job)
	if err != nil {
		return jobs.ModelReplied{}, wrap(err, "read the last reply of job %s", job)
	}
	e, err := entry(db.HistoryAfterRow(row))
	if err != nil {
		return jobs.ModelReplied{}, err
	}
	reply, ok := e.Event.(jobs.ModelReplied)
	if !ok {
		return jobs.ModelReplied{}, errors.New("store: the last reply is not a reply")
	}
	return reply, nil
}

func entry(r db.HistoryAfterRow) (jobs.Entry, error) {
	ev, err := jobs.Decode(r.Kind, r.Payload)
	if err != nil {
		return jobs.Entry{}, fmt.Errorf("store: history row %d: %w", r.Seq, err)
	}
	return jobs.Entry{Seq: r.Seq, Cell: int(r.Cell), Call: int(r.Call), At: r.At, Event: ev}, nil
}
