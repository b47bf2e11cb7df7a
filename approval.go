package statek

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"statek/internal/app"
)

// Approval is a question of a job to people, and its answer.
type Approval struct {
	ID     uuid.UUID
	Job    uuid.UUID
	Prefix string
	// Status is "pending", "decided", "expired" or "withdrawn": the job does not wait for it any more.
	Status string
	Title  string
	// Options may be answered, by their values; none: text only.
	Options  []ApprovalOption
	FreeText bool
	// Args are proposed arguments that the answer may change, within the JSON Schema Schema.
	Args, Schema, Data json.RawMessage
	Assignee           string
	// Decision is what the job got, and DecidedBy who answered.
	Decision  json.RawMessage
	DecidedBy string
	CreatedAt time.Time
	ExpiresAt *time.Time
	EndedAt   *time.Time
}

// ApprovalOption is one possible answer.
type ApprovalOption struct{ Value, Label, Description string }

// ApprovalFilter narrows Approvals; empty fields do not.
type ApprovalFilter struct {
	Status, Assignee string
	// Prefix matches the subtree.
	Prefix string
	// Cursor goes on where a page ended.
	Cursor string
	// Limit is the size of a page. Default 50, at most 500.
	Limit int
}

// Decision answers an approval, as far as it allows.
type Decision struct {
	// Option is the value of one of the options; empty: none.
	Option string
	// Text is free text; empty: none.
	Text string
	// Args, when not nil, is marshalled and replaces the proposed arguments.
	Args any
	// Comment is for the job and the history.
	Comment string
}

// Approvals lists questions, the newest first, and the cursor of the next page, if there is one.
func (c *Client) Approvals(ctx context.Context, f ApprovalFilter) ([]Approval, string, error) {
	page, err := c.app.Approvals(ctx, app.ApprovalFilter{
		Status: f.Status, Assignee: f.Assignee, Prefix: f.Prefix, Cursor: f.Cursor, Limit: f.Limit,
	})
	list := make([]Approval, len(page.Approvals))
	for i, q := range page.Approvals {
		list[i] = approvalOf(q)
	}
	return list, page.Next, public(err)
}

// Decide answers a question in the name of by. The first answer counts: later ones are ErrConflict, and ErrGone
// when the question is over.
func (c *Client) Decide(ctx context.Context, id uuid.UUID, d Decision, by string) (Approval, error) {
	out := app.Decision{}
	for _, text := range []struct {
		from string
		into **string
	}{{d.Option, &out.Option}, {d.Text, &out.Text}, {d.Comment, &out.Comment}} {
		if text.from != "" {
			*text.into = &text.from
		}
	}
	if d.Args != nil {
		raw, err := json.Marshal(d.Args)
		if err != nil {
			return Approval{}, fmt.Errorf("statek: decide: %w", err)
		}
		out.Args = raw
	}
	q, err := c.app.Decide(ctx, id, out, by)
	return approvalOf(q), public(err)
}

// ApprovalLink returns the path of a link below the REST interface with which anybody who has it can answer the
// question, once, until ttl is over (0: 7 days). It needs Config.LinkKey.
func (c *Client) ApprovalLink(ctx context.Context, id uuid.UUID, ttl time.Duration) (string, error) {
	link, err := c.app.ApprovalLink(ctx, id, ttl)
	return link.Path, public(err)
}

func approvalOf(q app.Approval) Approval {
	out := Approval{
		ID: q.ID, Job: q.JobID, Prefix: q.Prefix, Status: q.Status, Title: q.Title, FreeText: q.FreeText, Args: q.Args, Schema: q.Schema,
		Data: q.Data, Assignee: q.Assignee, Decision: q.Decision, DecidedBy: q.DecidedBy, CreatedAt: q.CreatedAt, ExpiresAt: q.ExpiresAt,
		EndedAt: q.EndedAt,
	}
	for _, o := range q.Options {
		out.Options = append(out.Options, ApprovalOption(o))
	}
	return out
}
