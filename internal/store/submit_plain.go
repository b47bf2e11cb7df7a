package store

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/jobs"
	"statek/internal/store/db"
)

// SubmitJobs inserts jobs that have no business key, and rings those that may start. The taker, a worker of this process,
// gets them instead, unless it is uuid.Nil, has been declared dead, or a limit applies: it has to run those that are
// returned. Submissions that come together share a transaction.
func (s *Store) SubmitJobs(ctx context.Context, list []NewJob, taker uuid.UUID) (taken []jobs.Record, err error) {
	op := &submitOp{list: list, taker: taker}
	err = s.submits.do(ctx, op)
	if errors.Is(err, errAlone) {
		err = s.submitAll(ctx, op)
	}
	if err != nil {
		return nil, stale(wrap(err, "submit"))
	}
	if len(op.taken) < len(list) {
		s.bell.Rang()
	}
	return op.taken, nil
}

// submitOp is one submission.
type submitOp struct {
	list  []NewJob
	taker uuid.UUID
	taken []jobs.Record
}

func (s *Store) submitMany(ctx context.Context, items []*merged[*submitOp]) {
	var ops []*submitOp
	var sent []*merged[*submitOp]
	var taker uuid.UUID
	for _, it := range items {
		if taker == uuid.Nil {
			taker = it.op.taker
		}
		if it.op.list[0].Generation != items[0].op.list[0].Generation || it.op.taker != uuid.Nil && it.op.taker != taker {
			it.done(errAlone)
			continue
		}
		ops, sent = append(ops, it.op), append(sent, it)
	}
	err := s.submitAll(ctx, ops...)
	for _, it := range sent {
		it.done(apart(err, len(sent)))
	}
}

// submitRows are the arguments of statek.submit_jobs, a column each.
type submitRows struct {
	ids, agents                                                                  []jobs.ID
	wanted                                                                       []bool
	prefixes, roles, sources, locales, tags, specs, cores, blockedOn, blockedWhy []string
	submitted, names, values, types                                              []string
	versions, varOf                                                              []int32
	priorities                                                                   []int16
	ats                                                                          []time.Time
	wakeAt                                                                       []*time.Time
}

func (s *Store) submitAll(ctx context.Context, ops ...*submitOp) error {
	r := &submitRows{}
	var taker *uuid.UUID
	for _, op := range ops {
		op.taken = nil
		if op.taker != uuid.Nil {
			taker = &op.taker
		}
		for _, n := range op.list {
			if err := r.add(n, op.taker != uuid.Nil); err != nil {
				return err
			}
		}
	}
	var got []jobs.ID
	err := s.pool.QueryRow(ctx, `select statek.submit_jobs($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)`,
		ops[0].list[0].Generation, taker, r.ids, r.wanted, r.prefixes, r.agents, r.roles, r.versions, r.sources, r.locales, r.tags, r.priorities, r.specs, r.ats,
		r.cores, r.wakeAt, r.blockedOn, r.blockedWhy, r.submitted, r.varOf, r.names, r.values, r.types).Scan(&got)
	if err != nil {
		return err
	}
	mine := make(map[jobs.ID]bool, len(got))
	for _, id := range got {
		mine[id] = true
	}
	for _, op := range ops {
		for _, n := range op.list {
			if mine[n.ID] {
				op.taken = append(op.taken, Promised(n, *taker))
			}
		}
	}
	return nil
}

// Promised is what SubmitJobs returns of a job that it gives to a taker, before it does: what a claim would have read.
func Promised(n NewJob, taker uuid.UUID) jobs.Record {
	state, _, _ := jobs.Step(jobs.Job{}, n.Submitted, n.At) // has not failed before
	n.Spec.CreatedAt = n.At.Truncate(time.Microsecond)      // as the database keeps it
	return jobs.Record{
		Hold: jobs.Hold{Job: n.ID, Epoch: 1, Owner: taker}, State: state, Seq: state.Seq, Spec: n.Spec, Generation: n.Generation, Variables: n.Variables,
	}
}

func (r *submitRows) add(n NewJob, wanted bool) error {
	first, err := firstState(n)
	if err != nil {
		return err
	}
	spec, err := json.Marshal(n.Spec)
	if err != nil {
		return err
	}
	r.wanted = append(r.wanted, wanted)
	r.ids, r.agents, r.versions = append(r.ids, n.ID), append(r.agents, n.Spec.AgentID), append(r.versions, int32(n.Spec.AgentVersion))
	r.prefixes, r.roles = append(r.prefixes, n.Spec.Prefix), append(r.roles, n.Spec.Role)
	r.sources, r.locales = append(r.sources, text(n.Submitted.Source)), append(r.locales, n.Spec.Locale)
	r.tags, r.priorities = append(r.tags, arrayText(n.Tags)), append(r.priorities, int16(n.Priority))
	r.specs, r.ats = append(r.specs, string(spec)), append(r.ats, n.At)
	r.cores, r.submitted, r.wakeAt = append(r.cores, first.core), append(r.submitted, first.payload), append(r.wakeAt, first.wake)
	r.blockedOn, r.blockedWhy = append(r.blockedOn, first.blocked), append(r.blockedWhy, first.why)
	for _, v := range n.Variables {
		r.varOf, r.names = append(r.varOf, int32(len(r.ids))), append(r.names, v.Name)
		r.values, r.types = append(r.values, string(v.Value)), append(r.types, v.Type)
	}
	return nil
}

// arrayText writes a text array as Postgres reads it.
func arrayText(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
	}
	return "{" + strings.Join(quoted, ",") + "}"
}

func stale(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "ST002" {
		return ErrStale
	}
	return err
}

// firstRow is what the rows of a new job say.
type firstRow struct {
	core, payload, blocked, why string
	wake                        *time.Time
}

func firstState(n NewJob) (firstRow, error) {
	state, _, err := jobs.Step(jobs.Job{}, n.Submitted, n.At)
	if err != nil {
		return firstRow{}, err
	}
	core, err := json.Marshal(state)
	if err != nil {
		return firstRow{}, err
	}
	payload, err := jobs.Encode(n.Submitted)
	if err != nil {
		return firstRow{}, err
	}
	row := firstRow{core: string(core), payload: string(payload), blocked: "worker", why: "waits for a worker to take it"}
	if at := state.Wake(); !at.IsZero() {
		row.wake, row.blocked, row.why = &at, "run_at", "starts at "+at.Format(time.RFC3339)
	}
	return row, nil
}

func queueState(b *pgx.Batch, n NewJob) error {
	first, err := firstState(n)
	if err != nil {
		return err
	}
	b.Queue(db.JobInsertState, n.ID, first.core, first.wake, first.blocked, first.why)
	b.Queue(db.HistoryInsertFirst, n.ID, n.At, first.payload)
	for _, v := range n.Variables {
		b.Queue(db.VariablesInsert, n.ID, []string{v.Name}, 0, []string{string(v.Value)}, []string{v.Type}, []string{""})
	}
	return nil
}
