package statek

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"time"

	"github.com/google/uuid"

	"statek/internal/app"
)

// Client submits, inspects and steers jobs. It is safe for concurrent use.
type Client struct{ app *app.App }

// Open returns a client. The database need not be up: calls fail with ErrUnavailable until it is.
func Open(ctx context.Context, cfg Config) (*Client, error) {
	a, err := app.Open(ctx, app.Config{
		DatabaseURL: cfg.DatabaseURL, Logger: cfg.Logger, MaxConns: cfg.MaxConns, LinkKey: cfg.LinkKey, PollOnly: cfg.PollOnly, MaxQueued: cfg.MaxQueued,
		Sandbox: string(cfg.Sandbox), SandboxChildren: cfg.SandboxChildren,
	})
	if err != nil {
		return nil, public(err)
	}
	return &Client{app: a}, nil
}

// Close ends the client's connections.
func (c *Client) Close() { c.app.Close() }

// Run sends notifications and wakes Wait and Follow as jobs change, until ctx ends. Without it everything
// works, up to a second later.
func (c *Client) Run(ctx context.Context) error { return c.app.Run(ctx) }

// Migrate brings the database's schemas statek and river up to date. It is safe to call from every replica.
func (c *Client) Migrate(ctx context.Context) error { return public(c.app.Migrate(ctx)) }

// Apply stores the definitions of a folder (agents/, tools/, temporals/) at a prefix. Nothing is stored when
// one is broken; the error names file and line. It takes SQL text: only administrators should call it.
func (c *Client) Apply(ctx context.Context, dir fs.FS, prefix string) error {
	_, err := c.app.Apply(ctx, dir, prefix)
	return public(err)
}

// Define makes tools known at a prefix: code of jobs there and below may call them, on workers that have them.
func (c *Client) Define(ctx context.Context, prefix string, tools ...Tool) error {
	list := make([]app.ToolDefinition, len(tools))
	for i, t := range tools {
		list[i] = app.ToolDefinition{Name: t.Name, Description: t.Description, Once: t.Once, Retry: app.ToolRetry(t.Retry)}
		for _, p := range t.Params {
			list[i].Params = append(list[i].Params, app.ToolParam(p))
		}
	}
	return public(c.app.DefineTools(ctx, prefix, list))
}

// LimitPrefix says how many jobs at a prefix and below run at once, over all workers; 0: any number. Jobs that run go on,
// and those over the limit wait for a place. An agent is limited by the CONCURRENCY line of its definition.
func (c *Client) LimitPrefix(ctx context.Context, prefix string, concurrency int) error {
	if concurrency == 0 {
		return public(c.app.SetPrefixLimit(ctx, prefix, nil))
	}
	return public(c.app.SetPrefixLimit(ctx, prefix, &concurrency))
}

// App is for package statekhttp: its type is internal.
func (c *Client) App() *app.App { return c.app }

// Submit makes a job of the agent that the role names at the submission's prefix or its nearest ancestor.
func (c *Client) Submit(ctx context.Context, role string, s Submission) (Job, error) {
	req := app.SubmitRequest{
		Role: role, Prefix: s.Prefix, SharedVars: make(map[string]json.RawMessage, len(s.SharedVars)), Warmup: s.Warmup,
		Locale: s.Locale, Source: s.Source, Params: s.Params, Tags: s.Tags, Priority: s.Priority, Key: s.Key,
	}
	if s.Existing {
		req.OnConflict = "existing"
	}
	if !s.RunAt.IsZero() {
		req.RunAt = &s.RunAt
	}
	for name, value := range s.SharedVars {
		raw, err := json.Marshal(value)
		if err != nil {
			return Job{}, fmt.Errorf("statek: submit: shared variable %s: %w", name, err)
		}
		req.SharedVars[name] = raw
	}
	job, err := c.app.Submit(ctx, req)
	return jobOf(job), public(err)
}

// Get returns a job.
func (c *Client) Get(ctx context.Context, id uuid.UUID) (Job, error) {
	job, err := c.app.GetJob(ctx, id)
	return jobOf(job), public(err)
}

// Wait returns the job as soon as it is DONE or PAUSED, or as it is after the timeout.
func (c *Client) Wait(ctx context.Context, id uuid.UUID, timeout time.Duration) (Job, error) {
	job, err := c.app.WaitJob(ctx, id, timeout)
	return jobOf(job), public(err)
}

// History returns up to 1,000 facts after a seq, oldest first; 0 begins at the start.
func (c *Client) History(ctx context.Context, id uuid.UUID, after int64) ([]Entry, error) {
	rows, err := c.app.History(ctx, id, after, 0)
	entries := make([]Entry, len(rows))
	for i, r := range rows {
		entries[i] = entryOf(r)
	}
	return entries, public(err)
}

// Follow calls emit for every fact after a seq as it is committed, until the job is DONE, emit fails or ctx
// ends.
func (c *Client) Follow(ctx context.Context, id uuid.UUID, after int64, emit func(Entry) error) error {
	return public(c.app.FollowHistory(ctx, id, after, func(r app.HistoryRow) error { return emit(entryOf(r)) }))
}

// Variables returns the job's workspace.
func (c *Client) Variables(ctx context.Context, id uuid.UUID) ([]Variable, error) {
	rows, err := c.app.Variables(ctx, id, nil)
	list := make([]Variable, len(rows))
	for i, r := range rows {
		list[i] = Variable{Name: r.Name, Type: r.Type, Value: r.Value, Refused: r.Refused}
	}
	return list, public(err)
}

// Send leaves a message for a job: shown to the model at the next turn, or given to a pending message().
// A succeeded job starts again.
func (c *Client) Send(ctx context.Context, id uuid.UUID, message any) error {
	raw, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("statek: send: %w", err)
	}
	return public(c.app.SendMessage(ctx, id, raw, ""))
}

// Emit tells the jobs at prefix and below that something happened: event(name) resolves with the payload.
func (c *Client) Emit(ctx context.Context, prefix, name string, payload any) error {
	raw, err := json.Marshal(payload)
	if err != nil {
		return fmt.Errorf("statek: emit: %w", err)
	}
	_, _, err = c.app.Emit(ctx, prefix, name, "", raw)
	return public(err)
}

// Cancel ends a job; a running model request or tool is cancelled within 1.5 s.
func (c *Client) Cancel(ctx context.Context, id uuid.UUID, reason string) error {
	return public(c.app.Cancel(ctx, id, reason))
}

// Pause stops a job until Resume. Its open cell is kept.
func (c *Client) Pause(ctx context.Context, id uuid.UUID, reason string) error {
	return public(c.app.Pause(ctx, id, reason))
}

// Resume continues a paused job, or reopens a failed or cancelled one.
func (c *Client) Resume(ctx context.Context, id uuid.UUID, reason string) error {
	return public(c.app.Resume(ctx, id, reason))
}
