package app

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"statek/internal/jobs"
	"statek/internal/store"
)

const (
	defaultPage = 50
	maxPage     = 500
	maxHistory  = 1000
	// lookAnyway is how often waiting callers look although nobody told them.
	lookAnyway = time.Second
)

// GetJob returns one job.
func (a *App) GetJob(ctx context.Context, id uuid.UUID) (Job, error) {
	v, err := a.store.Job(ctx, id)
	if err != nil {
		return Job{}, fail(err, jobName(id))
	}
	return fromView(v), nil
}

func fromView(v store.JobView) Job {
	return Job{
		ID: v.ID, Prefix: v.Prefix, Agent: v.Role, AgentVersion: int(v.AgentVersion), Status: v.Status,
		Outcome: deref(v.Outcome), BlockedOn: v.BlockedOn, BlockedWhy: v.BlockedWhy,
		Result: v.Result, Error: deref(v.Error), Source: v.Source, Locale: v.Locale, Tags: v.Tags, Key: deref(v.Key),
		Priority: int(v.Priority), Cells: v.State.Cells, Turns: v.State.Turns, Completions: v.State.Completions,
		CreatedAt: v.CreatedAt, ChangedAt: v.ChangedAt, FinishedAt: v.FinishedAt,
	}
}

func count(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// WaitJob returns the job as soon as it is DONE or PAUSED, or as it is after the timeout.
func (a *App) WaitJob(ctx context.Context, id uuid.UUID, timeout time.Duration) (Job, error) {
	over := time.NewTimer(timeout)
	defer over.Stop()
	changed, fresh, stop := a.hub.watch(id, true)
	defer stop()
	for ; ; fresh = false {
		if !fresh {
			job, err := a.GetJob(ctx, id)
			if err != nil || jobs.Status(job.Status).AtRest() {
				return job, err
			}
		}
		again := time.NewTimer(lookAnyway)
		select {
		case <-ctx.Done():
			again.Stop()
			return Job{}, ctx.Err()
		case <-over.C:
			again.Stop()
			return a.GetJob(ctx, id)
		case job := <-changed:
			if job != nil && jobs.Status(job.Status).AtRest() {
				again.Stop()
				return *job, nil
			}
		case <-again.C:
		}
		again.Stop()
	}
}

// clone is a job that shares nothing with it; nil stays nil.
func (j *Job) clone() *Job {
	if j == nil {
		return nil
	}
	c := *j
	c.Result, c.Tags = slices.Clone(j.Result), slices.Clone(j.Tags)
	return &c
}

// ListJobs returns a page of jobs, newest first.
func (a *App) ListJobs(ctx context.Context, f ListFilter) (JobPage, error) {
	filter := store.Filter{
		Prefix: ptr(f.Prefix), Role: ptr(f.Agent), Status: ptr(strings.ToUpper(f.Status)), BlockedOn: ptr(f.BlockedOn),
		Tag: ptr(f.Tag), Source: ptr(f.Source), CreatedAfter: f.CreatedAfter, CreatedBefore: f.CreatedBefore,
	}
	statuses := []string{"READY", "WARMING_UP", "STARTED", "SUSPENDED", "PAUSED", "DONE"}
	if f.Status != "" && !slices.Contains(statuses, *filter.Status) {
		return JobPage{}, invalid("status", f.Status, "is no status: use one of "+strings.Join(statuses, ", "))
	}
	if f.Prefix != "" {
		if err := checkPrefix("prefix", f.Prefix); err != nil {
			return JobPage{}, err
		}
	}
	limit := f.Limit
	if limit == 0 {
		limit = defaultPage
	}
	if limit < 1 || limit > maxPage {
		return JobPage{}, invalid("limit", f.Limit, fmt.Sprintf("must be between 1 and %d", maxPage))
	}
	if f.Cursor != "" {
		before, err := readCursor(f.Cursor)
		if err != nil {
			return JobPage{}, err
		}
		filter.Before = &before
	}
	filter.Limit = limit + 1
	rows, err := a.store.Jobs(ctx, filter)
	if err != nil {
		return JobPage{}, fail(err, "jobs")
	}
	page := JobPage{Jobs: []Job{}}
	if len(rows) > limit {
		rows = rows[:limit]
		page.Next = writeCursor(rows[limit-1].ID)
	}
	for _, v := range rows {
		page.Jobs = append(page.Jobs, fromView(v))
	}
	return page, nil
}

func writeCursor(id uuid.UUID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

func readCursor(text string) (uuid.UUID, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != 16 {
		return uuid.UUID{}, invalid("cursor", text, `is not a cursor: use "next" of the previous page, or leave it out to start anew`)
	}
	return uuid.UUID(raw), nil
}

func ptr(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// History returns rows after a seq, oldest first.
func (a *App) History(ctx context.Context, id uuid.UUID, after int64, limit int) ([]HistoryRow, error) {
	if limit == 0 {
		limit = maxHistory
	}
	if limit < 1 || limit > maxHistory {
		return nil, invalid("limit", limit, fmt.Sprintf("must be between 1 and %d", maxHistory))
	}
	if after < 0 {
		return nil, invalid("after", after, "must not be negative")
	}
	if after == 0 { // an empty answer must not hide a wrong id
		if _, _, _, err := a.store.Status(ctx, id); err != nil {
			return nil, fail(err, jobName(id))
		}
	}
	rows, err := a.store.History(ctx, id, after, limit)
	if err != nil {
		return nil, fail(err, jobName(id))
	}
	list := make([]HistoryRow, len(rows))
	for i, r := range rows {
		list[i] = HistoryRow{Seq: r.Seq, Kind: r.Kind, Cell: int(r.Cell), Call: int(r.Call), At: r.At, Text: r.What, Payload: r.Payload}
	}
	return list, nil
}

// FollowHistory calls emit for every row after a seq as it is committed, until the job is DONE and its last
// row has been emitted, emit fails, or ctx ends.
func (a *App) FollowHistory(ctx context.Context, id uuid.UUID, after int64, emit func(HistoryRow) error) error {
	changed, _, stop := a.hub.watch(id, false)
	defer stop()
	for {
		// The status is read first: rows committed before it are in the rows read after it.
		status, _, last, err := a.store.Status(ctx, id)
		if err != nil {
			return fail(err, jobName(id))
		}
		for {
			rows, err := a.History(ctx, id, after, maxHistory)
			if err != nil {
				return err
			}
			for _, r := range rows {
				if err := emit(r); err != nil {
					return err
				}
				after = r.Seq
			}
			if len(rows) < maxHistory {
				break
			}
		}
		if status == jobs.Done && after >= last {
			return nil
		}
		again := time.NewTimer(lookAnyway)
		select {
		case <-ctx.Done():
			again.Stop()
			return ctx.Err()
		case <-changed:
		case <-again.C:
		}
		again.Stop()
	}
}

// Variables returns the workspace, now or as it was after a cell.
func (a *App) Variables(ctx context.Context, id uuid.UUID, cell *int) ([]Variable, error) {
	if cell != nil && *cell < 0 {
		return nil, invalid("cell", *cell, "must be a cell number; 0 is the submission")
	}
	if _, _, _, err := a.store.Status(ctx, id); err != nil {
		return nil, fail(err, jobName(id))
	}
	rows, err := a.store.Variables(ctx, id, cell)
	if err != nil {
		return nil, fail(err, jobName(id))
	}
	list := make([]Variable, len(rows))
	for i, r := range rows {
		list[i] = Variable{Name: r.Name, Type: r.Type, Bytes: int(r.Bytes), Cell: int(r.CellFrom), Value: r.Value, Refused: deref(r.Refused)}
	}
	return list, nil
}

// Explain says why a job is where it is.
func (a *App) Explain(ctx context.Context, id uuid.UUID) (Explanation, error) {
	v, err := a.store.Job(ctx, id)
	if err != nil {
		return Explanation{}, fail(err, jobName(id))
	}
	ex := Explanation{Job: fromView(v), Waits: []WaitExplain{}}
	if v.Owner != nil {
		ex.Owner = v.Owner.String()
	}
	ex.Why = why(ex)
	waits, err := a.store.OpenWaits(ctx, id)
	if err != nil {
		return Explanation{}, fail(err, jobName(id))
	}
	for _, w := range waits {
		ex.Waits = append(ex.Waits, WaitExplain{
			Cell: w.Cell, Call: w.Call, Name: w.Name, Kind: w.Kind, Since: w.Since, Due: w.Due, Deps: w.Deps, Why: w.Why,
			LastResult: deref(w.LastResult), LastError: deref(w.LastError), LastAt: w.LastAt, NextLook: w.NextLook,
			Touched: deref(w.Touched), TouchedAt: w.TouchedAt, Touches: count(w.Touches),
		})
	}
	return ex, nil
}

func why(ex Explanation) string {
	j := ex.Job
	switch {
	case j.Status == string(jobs.Done):
		return strings.TrimSpace("the job has ended: " + j.Outcome + ". " + j.Error)
	case j.BlockedWhy != "":
		return j.BlockedWhy
	case ex.Owner != "":
		return "it is running on worker " + ex.Owner
	default:
		return "it waits for a worker to take it; is one running that serves " + j.Prefix + "?"
	}
}
