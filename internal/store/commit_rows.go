package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"statek/internal/jobs"
)

// commitRows are the arguments of statek.commit_jobs, a column each.
type commitRows struct {
	jobs                                    []jobs.ID
	epochs, seqs                            []int64
	rows                                    []int32
	leaves, outcomes, blockedOn, blockedWhy []*string
	statuses                                []string
	cores                                   []*string // null: it stays as it is
	wakeAt                                  []*time.Time
	results, errors                         []*string
	of, nth, cells, calls                   []int32
	kinds, payloads                         []string
	ats                                     []time.Time
	mail                                    []int64
	varOf, varCells                         []int32
	names, values, types, refusals          []string
}

// queueHeads appends the one statement that holds the fence, and with it all that belongs to the jobs alone.
func queueHeads(b *pgx.Batch, list []*commitOp) error {
	r := &commitRows{mail: []int64{}}
	for _, op := range list {
		if err := r.add(op.commit); err != nil {
			return err
		}
	}
	if len(list) == 1 {
		r.queueOne(b, list[0])
		return nil
	}
	b.Queue(`select statek.commit_jobs($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
		$22, $23, $24, $25, $26, $27, $28)`,
		list[0].commit.Owner, r.jobs, r.epochs, r.leaves, r.rows, r.seqs, r.statuses, r.outcomes, r.cores, r.blockedOn, r.blockedWhy, r.wakeAt,
		r.results, r.errors, r.of, r.nth, r.kinds, r.cells, r.calls, r.ats, r.payloads, r.mail,
		r.varOf, r.names, r.varCells, r.values, r.types, r.refusals,
	).QueryRow(func(row pgx.Row) error {
		var released []bool
		if err := row.Scan(&released); err != nil {
			return err
		}
		for i, op := range list {
			op.released = released[i]
		}
		return nil
	})
	return nil
}

// queueOne appends the statement for a commit alone, which costs less.
func (r *commitRows) queueOne(b *pgx.Batch, op *commitOp) {
	b.Queue(`select statek.commit_job($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)`,
		op.commit.Owner, r.jobs[0], r.epochs[0], r.leaves[0], r.rows[0], r.seqs[0], r.statuses[0], r.outcomes[0], r.cores[0], r.blockedOn[0],
		r.blockedWhy[0], r.wakeAt[0], r.results[0], r.errors[0], r.nth, r.kinds, r.cells, r.calls, r.ats, r.payloads, r.mail,
		r.names, r.varCells, r.values, r.types, r.refusals,
	).QueryRow(func(row pgx.Row) error { return row.Scan(&op.released) })
}

func (r *commitRows) add(c jobs.Commit) error {
	core, err := coreOf(c)
	if err != nil {
		return err
	}
	r.jobs, r.epochs, r.rows = append(r.jobs, c.Job), append(r.epochs, c.Epoch), append(r.rows, int32(len(c.Entries)))
	r.seqs = append(r.seqs, c.State.Seq)
	r.statuses, r.outcomes = append(r.statuses, string(c.State.Status)), append(r.outcomes, textOrNull(string(c.State.Outcome)))
	r.cores = append(r.cores, core)
	r.blockedOn, r.blockedWhy = append(r.blockedOn, textOrNull(c.BlockedOn)), append(r.blockedWhy, textOrNull(c.BlockedWhy))
	r.mail = append(r.mail, c.Mail...)
	var result, failure *string
	if c.State.Status == jobs.Done {
		result, failure = textOrNull(string(c.State.Result)), textOrNull(c.State.Error)
	}
	r.results, r.errors = append(r.results, result), append(r.errors, failure)
	leave := ""
	switch {
	case c.HandOver:
		leave = "hand over"
	case c.Release:
		leave = "release"
	}
	var wake *time.Time
	if at := c.State.Wake(); !at.IsZero() && leave != "" {
		wake = &at
	}
	r.leaves, r.wakeAt = append(r.leaves, textOrNull(leave)), append(r.wakeAt, wake)
	if plain(c.Variables) {
		r.addVariables(c.Variables[0])
	}
	return r.addEntries(c.Entries)
}

// coreOf encodes what the row caches of the state; nil: it keeps what it has.
func coreOf(c jobs.Commit) (*string, error) {
	if c.Trailing {
		return nil, nil
	}
	core, err := json.Marshal(c.State)
	if err != nil {
		return nil, fmt.Errorf("store: encode job %s: %w", c.Job, err)
	}
	return new(string(core)), nil
}

func (r *commitRows) addEntries(list []jobs.Entry) error {
	rows, err := jobs.Rows(1, list)
	for _, row := range rows {
		r.of, r.nth = append(r.of, int32(len(r.jobs))), append(r.nth, int32(row.Seq))
		r.kinds, r.payloads, r.ats = append(r.kinds, row.Kind), append(r.payloads, string(row.Payload)), append(r.ats, row.At)
		r.cells, r.calls = append(r.cells, int32(row.Cell)), append(r.calls, int32(row.Call))
	}
	return err
}

func (r *commitRows) addVariables(w jobs.Workspace) {
	for _, v := range w.Set {
		r.varOf, r.varCells = append(r.varOf, int32(len(r.jobs))), append(r.varCells, int32(w.Cell))
		r.names, r.values = append(r.names, text(v.Name)), append(r.values, string(v.Value))
		r.types, r.refusals = append(r.types, text(v.Type)), append(r.refusals, text(v.Refused))
	}
}
