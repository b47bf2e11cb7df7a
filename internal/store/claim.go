package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"statek/internal/jobs"
	"statek/internal/store/db"
)

// Claim takes the job for a worker if it is free, if its owner is dead, or if the database thinks that the
// worker owns it while it does not run it (held false). Otherwise the owner's rung flag is set, and false
// is returned. An unknown job is ErrNotFound. Claims that come together share a round trip.
func (s *Store) Claim(ctx context.Context, job jobs.ID, worker uuid.UUID, held bool) (jobs.Record, bool, error) {
	op := &claimOp{job: job, worker: worker, held: held}
	err := s.claims.do(ctx, op)
	if errors.Is(err, errAlone) {
		err = s.claim(ctx, []*claimOp{op})
	}
	switch {
	case err != nil:
		return jobs.Record{}, false, wrap(err, "claim job %s", job)
	case !op.found:
		return jobs.Record{}, false, wrap(pgx.ErrNoRows, "claim job %s", job)
	case !op.claimed:
		if op.limited { // parked, perhaps while another was called
			s.bell.Rang()
		}
		return jobs.Record{}, false, nil
	case op.record.Epoch != op.epoch || op.record.Owner != worker:
		return jobs.Record{}, false, fmt.Errorf("store: load job %s: %w", job, jobs.ErrFenced)
	}
	op.record.Limited = op.limited
	if op.previous != nil {
		op.record.Previous = *op.previous
	}
	if err := s.catchUp(ctx, &op.record); err != nil {
		return jobs.Record{}, false, err
	}
	return op.record, true, nil
}

// catchUp folds what the last owner has recorded of calls since it last wrote the state.
func (s *Store) catchUp(ctx context.Context, rec *jobs.Record) error {
	if rec.State.Seq == rec.Seq {
		return nil
	}
	rows, err := s.q.HistoryAfter(ctx, db.HistoryAfterParams{JobID: rec.Job, Seq: rec.State.Seq, MaxRows: int32(rec.Seq - rec.State.Seq)})
	if err != nil {
		return wrap(err, "read the history of job %s", rec.Job)
	}
	entries, err := entries(rows)
	if err != nil {
		return err
	}
	return wrap(rec.State.CatchUp(entries), "catch up with job %s", rec.Job)
}

// claimOp is one claim and what became of it.
type claimOp struct {
	job    jobs.ID
	worker uuid.UUID
	held   bool

	found, claimed bool
	limited        bool
	epoch          int64
	previous       *uuid.UUID
	record         jobs.Record
}

// claimMany claims for all of a batch. Who is missing from the answer may only be locked, and asks alone: then it waits.
func (s *Store) claimMany(ctx context.Context, items []*merged[*claimOp]) {
	ops, seen := make([]*claimOp, 0, len(items)), map[jobs.ID]bool{}
	for _, it := range items {
		if it.op.worker == items[0].op.worker && !seen[it.op.job] {
			seen[it.op.job] = true
			ops = append(ops, it.op)
		}
	}
	err := s.claim(ctx, ops)
	for _, it := range items {
		switch {
		case err == nil && (it.op.found || len(items) == 1), err != nil && len(items) == 1:
			it.done(err)
		default:
			it.done(errAlone)
		}
	}
}

// claim takes jobs and loads those that were taken, in one round trip. Loading is in statements of its own, hence in
// newer snapshots: the rows that caused the rings are visible to it.
func (s *Store) claim(ctx context.Context, ops []*claimOp) error {
	ids, held := make([]jobs.ID, len(ops)), make([]bool, len(ops))
	byID := make(map[jobs.ID]*claimOp, len(ops))
	for i, op := range ops {
		*op = claimOp{job: op.job, worker: op.worker, held: op.held}
		ids[i], held[i], byID[op.job] = op.job, op.held, op
	}
	b := &pgx.Batch{}
	// By hand: sqlc does not know the columns of a function's result.
	b.Queue("select job, claimed, epoch, previous, limited from statek.claim_jobs($1, $2, $3)", ids, held, ops[0].worker).Query(func(rows pgx.Rows) error {
		var job jobs.ID
		var claimed, limited bool
		var epoch int64
		var previous *uuid.UUID
		_, err := pgx.ForEachRow(rows, []any{&job, &claimed, &epoch, &previous, &limited}, func() error {
			op := byID[job]
			op.found, op.claimed, op.epoch, op.previous, op.limited = true, claimed, epoch, previous, limited
			return nil
		})
		return err
	})
	queueLoad(b, ids, func(job jobs.ID) *jobs.Record { return &byID[job].record })
	return s.pool.SendBatch(ctx, b).Close()
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
	rows, err := s.q.MailboxOf(ctx, []jobs.ID{job})
	if err != nil {
		return nil, wrap(err, "read the mailbox of job %s", job)
	}
	mail := make([]jobs.Mail, len(rows))
	for i, r := range rows {
		mail[i] = letter(r)
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

// CellHistory reads what a replay of the cell needs; since is the row that started it, or 0.
func (s *Store) CellHistory(ctx context.Context, job jobs.ID, cell int, since int64) ([]jobs.Entry, error) {
	rows, err := s.q.HistoryOfCell(ctx, db.HistoryOfCellParams{JobID: job, Cell: int32(cell), Since: since})
	if err != nil {
		return nil, wrap(err, "read cell %d of job %s", cell, job)
	}
	return entries(rows)
}

// ModelHistory reads what the model may be shown.
func (s *Store) ModelHistory(ctx context.Context, job jobs.ID) ([]jobs.Entry, error) {
	rows, err := s.q.HistoryForModel(ctx, job)
	if err != nil {
		return nil, wrap(err, "read the dialogue of job %s", job)
	}
	return entries(rows)
}

// LastReply reads the newest model reply.
func (s *Store) LastReply(ctx context.Context, job jobs.ID) (jobs.ModelReplied, error) {
	row, err := s.q.HistoryLastReply(ctx, job)
	if err != nil {
		return jobs.ModelReplied{}, wrap(err, "read the last reply of job %s", job)
	}
	list, err := entries([]db.HistoryLastReplyRow{row})
	if err != nil {
		return jobs.ModelReplied{}, err
	}
	reply, ok := list[0].Event.(jobs.ModelReplied)
	if !ok {
		return jobs.ModelReplied{}, errors.New("store: the last reply is not a reply")
	}
	return reply, nil
}

// entries decodes rows of history, which all reads of it give the same columns.
func entries[R db.HistoryAfterRow | db.HistoryOfCellRow | db.HistoryForModelRow | db.HistoryLastReplyRow](list []R) ([]jobs.Entry, error) {
	rows := make([]jobs.Row, len(list))
	for i, x := range list {
		r := db.HistoryAfterRow(x)
		rows[i] = jobs.Row{Seq: r.Seq, Kind: r.Kind, Cell: int(r.Cell), Call: int(r.Call), At: r.At, Payload: r.Payload}
	}
	got, err := jobs.Entries(rows)
	return got, wrap(err, "read history")
}
