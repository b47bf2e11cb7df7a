package store

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"statek/internal/store/db"
)

// Approval is a question of a job to people, and its answer.
type Approval = db.StatekApproval

// ApprovalFilter narrows Approvals; empty fields do not.
type ApprovalFilter struct {
	Status, Assignee string
	// Prefix matches the subtree.
	Prefix string
	Job    *uuid.UUID
	// Before is the last id of the previous page.
	Before *uuid.UUID
	Limit  int
}

// Approval reads one.
func (s *Store) Approval(ctx context.Context, id uuid.UUID) (Approval, error) {
	row, err := s.q.ApprovalGet(ctx, id)
	return row, wrap(err, "read approval %s", id)
}

// Approvals lists them, newest first.
func (s *Store) Approvals(ctx context.Context, f ApprovalFilter) ([]Approval, error) {
	rows, err := s.q.ApprovalsList(ctx, db.ApprovalsListParams{
		Status: textOrNull(f.Status), Assignee: textOrNull(f.Assignee), Prefix: f.Prefix, Job: f.Job, Before: f.Before, Most: int32(f.Limit),
	})
	return rows, wrap(err, "list approvals")
}

// Decide answers a question and returns what its job gets. Refusals carry the SQLSTATEs of statek.decide.
func (s *Store) Decide(ctx context.Context, id uuid.UUID, decision json.RawMessage, by string) (json.RawMessage, error) {
	value, err := s.q.ApprovalDecide(ctx, db.ApprovalDecideParams{ID: id, Decision: string(decision), By: text(by)})
	return value, wrap(err, "decide approval %s", id)
}
