package app

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/store"
)

// Approval is a question of a job to people, and its answer.
type Approval struct {
	ID       uuid.UUID        `json:"id"`
	JobID    uuid.UUID        `json:"job_id"`
	Prefix   string           `json:"prefix"`
	Status   string           `json:"status" enum:"pending,decided,expired,withdrawn" doc:"withdrawn: the job does not wait for it any more."`
	Title    string           `json:"title"`
	Options  []ApprovalOption `json:"options" doc:"What may be answered; empty: text only."`
	FreeText bool             `json:"free_text" doc:"Whether text may be answered."`
	Args     json.RawMessage  `json:"args,omitempty" doc:"Proposed arguments; the answer may hold others."`
	Schema   json.RawMessage  `json:"schema,omitempty" doc:"A JSON Schema that changed arguments must satisfy."`
	Data     json.RawMessage  `json:"data,omitempty" doc:"What the job shows with the question."`
	Assignee string           `json:"assignee,omitempty"`
	Decision json.RawMessage  `json:"decision,omitempty" doc:"What the job got."`
	// DecidedBy says who answered.
	DecidedBy string     `json:"decided_by,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	EndedAt   *time.Time `json:"ended_at,omitempty"`
}

// ApprovalOption is one possible answer.
type ApprovalOption struct {
	Value       string `json:"value"`
	Label       string `json:"label,omitempty"`
	Description string `json:"description,omitempty"`
}

// ApprovalFilter narrows Approvals; empty fields do not.
type ApprovalFilter struct {
	Status, Assignee string
	// Prefix matches the subtree.
	Prefix string
	Job    *uuid.UUID
	Cursor string // from the previous page's Next
	Limit  int    // default 50, at most 500
}

// ApprovalPage is one page, newest first.
type ApprovalPage struct {
	Approvals []Approval `json:"approvals"`
	Next      string     `json:"next,omitempty"`
}

// Decision answers a question, with what it allows.
type Decision struct {
	Option  *string         `json:"option,omitempty" doc:"The value of one of the options."`
	Text    *string         `json:"text,omitempty" doc:"Free text, where the question allows it."`
	Args    json.RawMessage `json:"args,omitempty" doc:"Other arguments than those proposed. Left out: those proposed."`
	Comment *string         `json:"comment,omitempty" doc:"For the job and the history."`
}

// Approvals lists questions.
func (a *App) Approvals(ctx context.Context, f ApprovalFilter) (ApprovalPage, error) {
	if f.Prefix == "" {
		f.Prefix = "/"
	}
	if err := checkPrefix("prefix", f.Prefix); err != nil {
		return ApprovalPage{}, err
	}
	if f.Limit == 0 {
		f.Limit = 50
	}
	if f.Limit < 1 || f.Limit > 500 {
		return ApprovalPage{}, invalid("limit", f.Limit, "must be 1 to 500")
	}
	if known := []string{"", "pending", "decided", "expired", "withdrawn"}; !slices.Contains(known, f.Status) {
		return ApprovalPage{}, invalid("status", f.Status, "must be pending, decided, expired or withdrawn")
	}
	filter := store.ApprovalFilter{Status: f.Status, Assignee: f.Assignee, Prefix: f.Prefix, Job: f.Job, Limit: f.Limit + 1}
	if f.Cursor != "" {
		before, err := uuid.Parse(f.Cursor)
		if err != nil {
			return ApprovalPage{}, invalid("cursor", f.Cursor, "is not one of ours: use next of the previous page")
		}
		filter.Before = &before
	}
	rows, err := a.store.Approvals(ctx, filter)
	if err != nil {
		return ApprovalPage{}, fail(err, "approvals")
	}
	page := ApprovalPage{Approvals: []Approval{}}
	if len(rows) > f.Limit {
		rows = rows[:f.Limit]
		page.Next = rows[f.Limit-1].ID.String()
	}
	for _, r := range rows {
		page.Approvals = append(page.Approvals, approvalOf(r))
	}
	return page, nil
}

// Approval returns one question.
func (a *App) Approval(ctx context.Context, id uuid.UUID) (Approval, error) {
	row, err := a.store.Approval(ctx, id)
	if err != nil {
		return Approval{}, fail(err, "approval "+id.String())
	}
	return approvalOf(row), nil
}

// Decide answers a question in the name of by. Only the first answer counts.
func (a *App) Decide(ctx context.Context, id uuid.UUID, d Decision, by string) (Approval, error) {
	raw, err := json.Marshal(d)
	if err != nil {
		return Approval{}, invalid("args", nil, "is not JSON")
	}
	if err := checkPayload("decision", raw); err != nil {
		return Approval{}, err
	}
	if _, err := a.store.Decide(ctx, id, raw, by); err != nil {
		return Approval{}, decideProblem(err, id)
	}
	return a.Approval(ctx, id)
}

// decideProblem turns the refusals of statek.decide into errors that name the field.
func decideProblem(err error, id uuid.UUID) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return fail(err, "approval "+id.String())
	}
	switch pg.Code {
	case "ST404":
		return fail(store.ErrNotFound, "approval "+id.String())
	case "ST409":
		return &Error{Kind: KindConflict, Message: pg.Message, Err: err}
	case "ST410":
		return &Error{Kind: KindGone, Message: pg.Message, Err: err}
	case "22023", "ST413":
		field, message, _ := strings.Cut(pg.Message, " ")
		name := strings.FieldsFunc(field, func(r rune) bool { return r == '.' || r == '[' })
		if len(name) > 0 && slices.Contains([]string{"option", "text", "args", "comment", "by"}, name[0]) {
			return invalid(field, nil, message)
		}
		return &Error{Kind: KindInvalid, Message: pg.Message, Err: err}
	default:
		return fail(err, "approval "+id.String())
	}
}

func approvalOf(r store.Approval) Approval {
	out := Approval{
		ID: r.ID, JobID: r.JobID, Prefix: r.Prefix, Status: r.Status, Title: r.Title, Options: []ApprovalOption{}, FreeText: r.FreeText,
		Args: r.Args, Schema: r.Schema, Data: r.Data, Assignee: deref(r.Assignee), Decision: r.Decision, DecidedBy: deref(r.DecidedBy),
		CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt, EndedAt: r.EndedAt,
	}
	_ = json.Unmarshal(r.Options, &out.Options) // written by temporal.Plan
	return out
}
