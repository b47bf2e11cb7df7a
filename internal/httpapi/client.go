package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"statek/internal/app"
)

// Client speaks to a Statek API. It is safe for concurrent use.
type Client struct {
	base    string
	http    *http.Client
	silence time.Duration // how long a stream may say nothing
}

// ProblemError is a refusal by the API.
type ProblemError struct {
	Problem Problem
	// Method and Path are those of the request.
	Method, Path string
}

// Error implements error: the detail, then one line for each field.
func (e *ProblemError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%d)", e.Problem.Detail, e.Problem.Status)
	if f := e.Problem.Errors; len(f) == 1 && strings.Contains(e.Problem.Detail, f[0].Message) {
		return b.String()
	}
	for _, f := range e.Problem.Errors {
		fmt.Fprintf(&b, "\n  %s: %s", f.Location, f.Message)
		if f.Value != nil {
			fmt.Fprintf(&b, ", got %v", f.Value)
		}
	}
	return b.String()
}

// NewClient makes a client of the API at base, such as http://127.0.0.1:8080.
func NewClient(base string) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("expected the URL of an API, such as http://127.0.0.1:8080")
	}
	return &Client{base: strings.TrimRight(u.String(), "/"), http: &http.Client{}, silence: longestSilence}, nil
}

// Submit asks for a job. idempotencyKey may be empty.
func (c *Client) Submit(ctx context.Context, role, idempotencyKey string, body Submission) (Submitted, error) {
	var out Submitted
	err := c.do(ctx, request{method: http.MethodPost, path: "/v1/agents/" + url.PathEscape(role) + "/jobs", key: idempotencyKey, body: body}, &out)
	return out, err
}

// Job returns the job; wait > 0 waits that long, at most a minute, for it to be DONE or PAUSED.
func (c *Client) Job(ctx context.Context, id uuid.UUID, wait time.Duration) (app.Job, error) {
	query := url.Values{}
	if wait > 0 {
		query.Set("wait", wait.String())
	}
	var out app.Job
	err := c.do(ctx, request{path: jobPath(id, ""), query: query}, &out)
	return out, err
}

// Jobs returns one page of jobs.
func (c *Client) Jobs(ctx context.Context, f app.ListFilter) (app.JobPage, error) {
	query := url.Values{}
	for name, value := range map[string]string{
		"status": f.Status, "agent": f.Agent, "tag": f.Tag, "source": f.Source, "blocked_on": f.BlockedOn, "prefix": f.Prefix, "cursor": f.Cursor,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if f.Limit != 0 {
		query.Set("limit", strconv.Itoa(f.Limit))
	}
	for name, t := range map[string]*time.Time{"created_after": f.CreatedAfter, "created_before": f.CreatedBefore} {
		if t != nil {
			query.Set(name, t.Format(time.RFC3339Nano))
		}
	}
	var out app.JobPage
	err := c.do(ctx, request{path: "/v1/jobs", query: query}, &out)
	return out, err
}

// History returns the page of rows after a sequence number.
func (c *Client) History(ctx context.Context, id uuid.UUID, after int64) (HistoryPage, error) {
	var out HistoryPage
	err := c.do(ctx, request{path: jobPath(id, "/history"), query: url.Values{"after": {strconv.FormatInt(after, 10)}}}, &out)
	return out, err
}

// Variables returns the workspace at the end of a cell; nil: as it is now.
func (c *Client) Variables(ctx context.Context, id uuid.UUID, cell *int) ([]app.Variable, error) {
	query := url.Values{}
	if cell != nil {
		query.Set("cell", strconv.Itoa(*cell))
	}
	var out VariableList
	err := c.do(ctx, request{path: jobPath(id, "/variables"), query: query}, &out)
	return out.Variables, err
}

// Explain says why the job is where it is.
func (c *Client) Explain(ctx context.Context, id uuid.UUID) (app.Explanation, error) {
	var out app.Explanation
	err := c.do(ctx, request{path: jobPath(id, "/explain")}, &out)
	return out, err
}

// Send sends the job a message.
func (c *Client) Send(ctx context.Context, id uuid.UUID, message Message) (app.Job, error) {
	var out app.Job
	err := c.do(ctx, request{method: http.MethodPost, path: jobPath(id, "/messages"), body: message}, &out)
	return out, err
}

// Control asks for "cancel", "pause" or "resume".
func (c *Client) Control(ctx context.Context, id uuid.UUID, verb, reason string) (app.Job, error) {
	var out app.Job
	err := c.do(ctx, request{method: http.MethodPost, path: jobPath(id, "/"+verb), body: Reason{Reason: reason}}, &out)
	return out, err
}

// Emit tells what happened.
func (c *Client) Emit(ctx context.Context, name string, fact Fact) (FactTaken, error) {
	var out FactTaken
	err := c.do(ctx, request{method: http.MethodPost, path: "/v1/events/" + url.PathEscape(name), body: fact}, &out)
	return out, err
}

// Approvals returns one page of approvals.
func (c *Client) Approvals(ctx context.Context, f app.ApprovalFilter) (app.ApprovalPage, error) {
	query := url.Values{}
	for name, value := range map[string]string{"status": f.Status, "assignee": f.Assignee, "prefix": f.Prefix, "cursor": f.Cursor} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if f.Job != nil {
		query.Set("job_id", f.Job.String())
	}
	if f.Limit != 0 {
		query.Set("limit", strconv.Itoa(f.Limit))
	}
	var out app.ApprovalPage
	err := c.do(ctx, request{path: "/v1/approvals", query: query}, &out)
	return out, err
}

// Decide answers an approval.
func (c *Client) Decide(ctx context.Context, id uuid.UUID, decision SignedDecision) (app.Approval, error) {
	var out app.Approval
	err := c.do(ctx, request{method: http.MethodPost, path: "/v1/approvals/" + id.String(), body: decision}, &out)
	return out, err
}

// LinkApproval makes a link to an approval.
func (c *Client) LinkApproval(ctx context.Context, id uuid.UUID, wish LinkWish) (app.Link, error) {
	var out app.Link
	err := c.do(ctx, request{method: http.MethodPost, path: "/v1/approvals/" + id.String() + "/links", body: wish}, &out)
	return out, err
}

// Agents lists what the prefix sees.
func (c *Client) Agents(ctx context.Context, prefix string) ([]app.Agent, error) {
	query := url.Values{}
	if prefix != "" {
		query.Set("prefix", prefix)
	}
	var out AgentList
	err := c.do(ctx, request{path: "/v1/agents", query: query}, &out)
	return out.Agents, err
}

func jobPath(id uuid.UUID, rest string) string { return "/v1/jobs/" + id.String() + rest }

// request is what do sends; method defaults to GET.
type request struct {
	method, path, key string
	query             url.Values
	body              any
	header            http.Header
}

func (c *Client) do(ctx context.Context, r request, into any) error {
	res, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("read the answer of %s: %w", r.path, err)
	}
	return nil
}

// send returns the response of a request that succeeded; its body is the caller's to close.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	if r.method == "" {
		r.method = http.MethodGet
	}
	var body io.Reader
	if raw, ok := r.body.(json.RawMessage); ok {
		body = bytes.NewReader(raw) // byte for byte
	} else if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("encode the body of %s: %w", r.path, err)
		}
		body = bytes.NewReader(text)
	}
	address := c.base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, fmt.Errorf("make the request %s: %w", r.path, err)
	}
	req.Header.Set("Accept", "application/json")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	return nil, refused(r, res)
}

func refused(r request, res *http.Response) error {
	e := &ProblemError{Method: r.method, Path: r.path}
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err := json.Unmarshal(text, &e.Problem); err != nil || e.Problem.Status == 0 {
		// Something between us and the API answered.
		e.Problem = *newProblem(res.StatusCode, fmt.Sprintf("%s %s: %s", r.method, r.path, res.Status))
	}
	return e
}
