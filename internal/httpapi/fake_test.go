package httpapi

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"statek/internal/app"
)

// fakeApp answers as the use cases do, from memory; it exists so that the shape of requests and answers can
// be tested without a database.
type fakeApp struct {
	t *testing.T

	mu      sync.Mutex // guards the fields below
	jobs    map[uuid.UUID]app.Job
	rows    map[uuid.UUID][]app.HistoryRow
	keys    map[string]string
	changed chan struct{}
	calls   []string
	last    app.SubmitRequest
	filter  app.ListFilter
	broken  error
}

var (
	runningID = uuid.MustParse("01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a11")
	doneID    = uuid.MustParse("01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a12")
	missingID = uuid.MustParse("01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a13")
	createdAt = time.Date(2025, 9, 12, 10, 0, 0, 0, time.UTC)
)

func newFakeApp(t *testing.T) *fakeApp {
	t.Helper()
	job := func(id uuid.UUID, status, outcome string) app.Job {
		return app.Job{
			ID: id, Prefix: "/acme", Agent: "triage_agent", AgentVersion: 1, Status: status, Outcome: outcome,
			Priority: 2, CreatedAt: createdAt, ChangedAt: createdAt,
		}
	}
	row := func(seq int64, kind string) app.HistoryRow {
		return app.HistoryRow{Seq: seq, Kind: kind, At: createdAt, Text: kind + " happened", Payload: json.RawMessage(`{}`)}
	}
	return &fakeApp{
		t:       t,
		jobs:    map[uuid.UUID]app.Job{runningID: job(runningID, "SUSPENDED", ""), doneID: job(doneID, "DONE", "succeeded")},
		rows:    map[uuid.UUID][]app.HistoryRow{doneID: {row(1, "created"), row(2, "cell"), row(3, "done")}, runningID: {row(1, "created")}},
		keys:    map[string]string{},
		changed: make(chan struct{}),
	}
}

func (f *fakeApp) note(call string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
	return f.broken
}

// add appends a row and perhaps ends the job, and wakes the followers.
func (f *fakeApp) add(id uuid.UUID, row app.HistoryRow, done bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows[id] = append(f.rows[id], row)
	if job := f.jobs[id]; done {
		job.Status, job.Outcome = "DONE", "succeeded"
		f.jobs[id] = job
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

func notFoundJob() error { return &app.Error{Kind: app.KindNotFound, Message: "there is no such job"} }

func (f *fakeApp) Submit(_ context.Context, req app.SubmitRequest) (app.Job, error) {
	if err := f.note("Submit"); err != nil {
		return app.Job{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = req
	if req.Role == "panics" {
		panic("secret internals")
	}
	if req.Role != "triage_agent" {
		return app.Job{}, &app.Error{Kind: app.KindNotFound, Message: "there is no agent " + req.Role, Fields: []app.FieldError{{Field: "role", Value: req.Role, Message: "is not an agent of /"}}}
	}
	if _, ok := req.SharedVars["event"]; !ok {
		return app.Job{}, &app.Error{Kind: app.KindInvalid, Message: "a variable is missing", Fields: []app.FieldError{{Field: "shared_vars.event", Message: "is read by the warmup"}}}
	}
	job := f.jobs[runningID]
	if k := req.Idempotency.Key; k != "" {
		known, replay := f.keys[k]
		if replay && known != req.Idempotency.Request {
			return app.Job{}, &app.Error{Kind: app.KindConflict, Message: "the key was used for another request", Fields: []app.FieldError{{Field: "Idempotency-Key", Value: k, Message: "was used"}}}
		}
		f.keys[k], job.Existing = req.Idempotency.Request, replay
	}
	return job, nil
}

func (f *fakeApp) SubmitBatch(ctx context.Context, role string, reqs []app.SubmitRequest) ([]app.Job, error) {
	out := make([]app.Job, len(reqs))
	for i, req := range reqs {
		job, err := f.Submit(ctx, req)
		if err != nil {
			return nil, err
		}
		out[i] = job
	}
	return out, nil
}

func (f *fakeApp) AgentEvent(ctx context.Context, _, _ string, event json.RawMessage, req app.SubmitRequest) (app.Job, error) {
	req.SharedVars = map[string]json.RawMessage{"event": event}
	return f.Submit(ctx, req)
}

func (f *fakeApp) GetJob(_ context.Context, id uuid.UUID) (app.Job, error) {
	if err := f.note("GetJob"); err != nil {
		return app.Job{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	job, ok := f.jobs[id]
	if !ok {
		return app.Job{}, notFoundJob()
	}
	return job, nil
}

func (f *fakeApp) WaitJob(ctx context.Context, id uuid.UUID, timeout time.Duration) (app.Job, error) {
	job, err := f.GetJob(ctx, id)
	if err != nil || job.Status == "DONE" {
		return job, err
	}
	_ = f.note("WaitJob " + timeout.String())
	f.mu.Lock()
	changed := f.changed
	f.mu.Unlock()
	select {
	case <-changed:
		return f.GetJob(ctx, id)
	case <-ctx.Done():
		return app.Job{}, ctx.Err()
	}
}

func (f *fakeApp) ListJobs(_ context.Context, filter app.ListFilter) (app.JobPage, error) {
	f.mu.Lock()
	f.filter = filter
	f.mu.Unlock()
	if filter.Cursor == "wrong" {
		return app.JobPage{}, &app.Error{Kind: app.KindInvalid, Message: "the cursor cannot be read", Fields: []app.FieldError{{Field: "cursor", Value: "wrong", Message: "is not one of ours"}}}
	}
	return app.JobPage{}, f.note("ListJobs")
}

func (f *fakeApp) History(_ context.Context, id uuid.UUID, after int64, limit int) ([]app.HistoryRow, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.jobs[id]; !ok {
		return nil, notFoundJob()
	}
	var out []app.HistoryRow
	for _, row := range f.rows[id] {
		if row.Seq > after && len(out) < limit {
			out = append(out, row)
		}
	}
	return out, nil
}

func (f *fakeApp) FollowHistory(ctx context.Context, id uuid.UUID, after int64, emit func(app.HistoryRow) error) error {
	for {
		f.mu.Lock()
		changed, done := f.changed, f.jobs[id].Status == "DONE"
		f.mu.Unlock()
		rows, err := f.History(ctx, id, after, 1<<30)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := emit(row); err != nil {
				return err
			}
			after = row.Seq
		}
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *fakeApp) Variables(_ context.Context, id uuid.UUID, cell *int) ([]app.Variable, error) {
	name := "now"
	if cell != nil {
		name = "then"
	}
	return []app.Variable{{Name: name, Type: "number", Bytes: 1, Value: json.RawMessage(`1`)}}, f.note("Variables " + id.String())
}

func (f *fakeApp) Explain(ctx context.Context, id uuid.UUID) (app.Explanation, error) {
	job, err := f.GetJob(ctx, id)
	return app.Explanation{Job: job, Why: "it sleeps"}, err
}

func (f *fakeApp) SendMessage(_ context.Context, id uuid.UUID, payload json.RawMessage, mode string) error {
	return f.note("SendMessage " + string(payload) + " " + mode)
}

func (f *fakeApp) Cancel(_ context.Context, _ uuid.UUID, reason string) error {
	return f.note("Cancel " + reason)
}
func (f *fakeApp) Pause(_ context.Context, _ uuid.UUID, reason string) error {
	return f.note("Pause " + reason)
}
func (f *fakeApp) Resume(_ context.Context, _ uuid.UUID, reason string) error {
	return f.note("Resume " + reason)
}

func (f *fakeApp) Emit(_ context.Context, prefix, name, key string, payload json.RawMessage) (int64, bool, error) {
	return 7, key == "", f.note("Emit " + prefix + " " + name + " " + string(payload))
}

func (f *fakeApp) ListAgents(context.Context, string) ([]app.Agent, error) {
	return nil, f.note("ListAgents")
}

func (f *fakeApp) GetAgent(_ context.Context, prefix, role string) (app.Agent, error) {
	return app.Agent{Role: role, Prefix: prefix, Version: 1}, f.note("GetAgent")
}

func (f *fakeApp) PutAgent(_ context.Context, prefix, role, prompt, _ string) (app.Agent, bool, error) {
	return app.Agent{Role: role, Prefix: prefix, Version: 1, Prompt: prompt}, true, f.note("PutAgent")
}

func (f *fakeApp) Health(context.Context) app.Health {
	f.mu.Lock()
	defer f.mu.Unlock()
	return app.Health{Ready: f.broken == nil, Database: "ok", Sandbox: "in-process"}
}

func (f *fakeApp) approval(id uuid.UUID) (app.Approval, error) {
	if id != runningID {
		return app.Approval{}, &app.Error{Kind: app.KindNotFound, Message: "there is no such approval"}
	}
	return app.Approval{ID: id, JobID: doneID, Prefix: "/acme", Status: "pending", Title: "Pay?", Options: []app.ApprovalOption{{Value: "yes"}}, CreatedAt: createdAt}, nil
}

func (f *fakeApp) Approvals(_ context.Context, filter app.ApprovalFilter) (app.ApprovalPage, error) {
	if err := f.note("approvals " + filter.Status + " " + filter.Assignee + " " + filter.Prefix); err != nil {
		return app.ApprovalPage{}, err
	}
	if filter.Cursor == "wrong" {
		return app.ApprovalPage{}, &app.Error{Kind: app.KindInvalid, Fields: []app.FieldError{{Field: "cursor", Message: "is not one of ours"}}}
	}
	q, err := f.approval(runningID)
	return app.ApprovalPage{Approvals: []app.Approval{q}}, err
}

func (f *fakeApp) Approval(_ context.Context, id uuid.UUID) (app.Approval, error) {
	return f.approval(id)
}

func (f *fakeApp) Decide(_ context.Context, id uuid.UUID, d app.Decision, by string) (app.Approval, error) {
	switch q, err := f.approval(id); {
	case err != nil:
		return q, err
	case d.Option == nil:
		return q, &app.Error{Kind: app.KindInvalid, Fields: []app.FieldError{{Field: "option", Message: "is missing"}}}
	case *d.Option == "late":
		return q, &app.Error{Kind: app.KindGone, Message: "the question has expired"}
	case *d.Option == "again":
		return q, &app.Error{Kind: app.KindConflict, Message: "was decided by ada"}
	default:
		q.Status, q.DecidedBy = "decided", by
		return q, nil
	}
}

func (f *fakeApp) ApprovalLink(_ context.Context, id uuid.UUID, ttl time.Duration) (app.Link, error) {
	_, err := f.approval(id)
	return app.Link{Token: "t", Path: "/v1/approvals/by-link/t", ExpiresAt: createdAt.Add(ttl)}, err
}

func (f *fakeApp) ApprovalByLink(_ context.Context, token string) (app.Approval, error) {
	if token != "good" {
		return app.Approval{}, &app.Error{Kind: app.KindNotFound, Message: "this link is not valid"}
	}
	return f.approval(runningID)
}

func (f *fakeApp) DecideByLink(ctx context.Context, token string, d app.Decision) (app.Approval, error) {
	q, err := f.ApprovalByLink(ctx, token)
	if err != nil {
		return q, err
	}
	return f.Decide(ctx, q.ID, d, "link")
}

// Limits implements App.
func (f *fakeApp) Limits(_ context.Context, prefix string) ([]app.Limit, error) {
	return []app.Limit{{Prefix: prefix, Concurrency: 5, Running: 5, Parked: 2}}, f.note("limits " + prefix)
}

// SetPrefixLimit implements App.
func (f *fakeApp) SetPrefixLimit(_ context.Context, prefix string, concurrency *int) error {
	if concurrency == nil {
		return f.note("limit " + prefix + " off")
	}
	return f.note("limit " + prefix + " " + strconv.Itoa(*concurrency))
}
