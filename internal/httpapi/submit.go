package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"statek/internal/app"
)

const submitBatchID = "submit-batch"

// Submission is the body that asks for a job. Everything may be left out that the agent's warmup does not
// read.
type Submission struct {
	Prefix     string                     `json:"prefix,omitempty" maxLength:"512" doc:"Home of the job. Default: /" example:"/acme/triage/dev/jobs"`
	SharedVars map[string]json.RawMessage `json:"shared_vars,omitempty" doc:"Workspace variables of these names, there before the first cell."`
	Warmup     string                     `json:"warmup,omitempty" doc:"JavaScript that runs before the agent's own warmup blocks."`
	Locale     string                     `json:"locale,omitempty" maxLength:"35" doc:"The language people read." example:"EN-US"`
	Source     string                     `json:"source,omitempty" maxLength:"200" doc:"Who asks, for people and filters." example:"quickstart"`
	Params     map[string]string          `json:"params,omitempty" doc:"Values for the prompt's placeholders."`
	Tags       []string                   `json:"tags,omitempty" maxItems:"100" doc:"Labels for filters."`
	Priority   int                        `json:"priority,omitempty" minimum:"1" maximum:"4" doc:"1 (first) to 4. Default: 2"`
	RunAt      *time.Time                 `json:"run_at,omitempty" doc:"Not before this time."`
	Limits     *app.Limits                `json:"limits,omitempty" doc:"Bounds for this job."`
	Key        string                     `json:"key,omitempty" maxLength:"255" doc:"A business key, unique per prefix and agent among unfinished jobs." example:"ticket-4711"`
	OnConflict string                     `json:"on_conflict,omitempty" enum:"reject,existing" doc:"What to do when key is taken: refuse (409), or answer with the job that has it (200). Default: reject"`
}

// Batch is many submissions that succeed or fail together.
type Batch struct {
	Prefix string       `json:"prefix,omitempty" maxLength:"512" doc:"The prefix of the jobs that give none." example:"/acme/triage/dev/jobs"`
	Jobs   []Submission `json:"jobs" minItems:"1" maxItems:"10000" nullable:"false"`
}

// AgentEvent is an event that becomes one job.
type AgentEvent struct {
	Submission
	Event json.RawMessage `json:"event" doc:"Injected under the one variable that the warmup reads and nobody gives."`
}

// Submitted is the answer to a submission.
type Submitted struct {
	ID           uuid.UUID `json:"id"`
	Prefix       string    `json:"prefix"`
	Agent        string    `json:"agent"`
	AgentVersion int       `json:"agent_version"`
	Status       string    `json:"status" enum:"READY,WARMING_UP,STARTED,SUSPENDED,PAUSED,DONE"`
	CreatedAt    time.Time `json:"created_at"`
	Links        Links     `json:"links"`
}

// Links lead from a job to what belongs to it.
type Links struct {
	Self      string `json:"self" example:"/v1/jobs/01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a11"`
	History   string `json:"history"`
	Variables string `json:"variables"`
	Explain   string `json:"explain"`
}

// SubmittedBatch answers a batch, in its order.
type SubmittedBatch struct {
	Jobs []SubmittedItem `json:"jobs"`
}

// SubmittedItem is one job of a batch.
type SubmittedItem struct {
	Submitted
	Existing bool `json:"existing,omitempty" doc:"The job was there before, by key or Idempotency-Key."`
}

// Idempotent requests may be repeated.
type Idempotent struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" pattern:"^[ -~]+$" patternDescription:"1 to 255 printable ASCII characters" doc:"Makes a repeated request return the first one's answer. The same key with another request is refused (409)." example:"7b1c6c62-order-4711"`
}

// Resolve refuses a key that is there and empty, which huma takes for absent.
func (in *Idempotent) Resolve(ctx huma.Context) []error {
	empty := false
	ctx.EachHeader(func(name, value string) { empty = empty || name == "Idempotency-Key" && value == "" })
	if !empty {
		return nil
	}
	return []error{&huma.ErrorDetail{Location: "header.Idempotency-Key", Message: "expected 1 to 255 printable ASCII characters", Value: ""}}
}

type (
	submitIn struct {
		AgentPath
		PrefixQuery
		Idempotent
		Body *Submission
	}
	batchIn struct {
		AgentPath
		PrefixQuery
		Idempotent
		Body Batch
	}
	agentEventIn struct {
		AgentPath
		PrefixQuery
		Idempotent
		Body AgentEvent
	}
	submittedOut struct {
		Status   int
		Location string `header:"Location" doc:"The job."`
		Body     Submitted
	}
	batchOut struct {
		Status int
		Body   SubmittedBatch
	}
)

func (s *server) routeSubmissions() {
	errs := []int{http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType}
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "submit-job", Method: http.MethodPost, Path: "/v1/agents/{role}/jobs", Tags: []string{"jobs"},
		Summary: "Submit a job",
		Description: "201 and the new job; 200 and the same body when key or Idempotency-Key found an earlier one. " +
			"A variable that the warmup reads and shared_vars lacks is refused by name.",
		DefaultStatus: http.StatusCreated, Errors: errs,
	}), s.submit)
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: submitBatchID, Method: http.MethodPost, Path: "/v1/agents/{role}/jobs/batch", Tags: []string{"jobs"},
		Summary:       "Submit up to 10,000 jobs",
		Description:   "All of them or none: the first fault refuses the batch and is named, as in body.jobs[3].shared_vars.event.",
		DefaultStatus: http.StatusCreated, Errors: errs,
	}), s.submitBatch)
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "push-agent-event", Method: http.MethodPost, Path: "/v1/agents/{role}/events", Tags: []string{"jobs"},
		Summary: "Push an event to an agent",
		Description: "The event becomes exactly one job, under the single variable that the agent's warmup reads and nobody gives. " +
			"None or several such variables are refused.",
		DefaultStatus: http.StatusCreated, Errors: errs,
	}), s.pushAgentEvent)
}

func (s *server) submit(ctx context.Context, in *submitIn) (*submittedOut, error) {
	if in.Body == nil {
		in.Body = &Submission{}
	}
	prefix, err := onePrefix(in.Prefix, in.Body.Prefix)
	if err != nil {
		return nil, err
	}
	req := in.Body.request(in.Role, prefix)
	req.Idempotency = in.idempotency(ctx, "jobs", in.Role, prefix)
	job, err := s.app.Submit(ctx, req)
	return s.submitted(ctx, job, err)
}

func (s *server) pushAgentEvent(ctx context.Context, in *agentEventIn) (*submittedOut, error) {
	prefix, err := onePrefix(in.Prefix, in.Body.Prefix)
	if err != nil {
		return nil, err
	}
	req := in.Body.request(in.Role, prefix)
	req.Idempotency = in.idempotency(ctx, "events", in.Role, prefix)
	job, err := s.app.AgentEvent(ctx, in.Role, prefix, in.Body.Event, req)
	return s.submitted(ctx, job, err)
}

func (s *server) submitted(ctx context.Context, job app.Job, err error) (*submittedOut, error) {
	if err != nil {
		return nil, s.problem(ctx, "body", err)
	}
	out := &submittedOut{Status: http.StatusCreated, Body: submittedJob(job)}
	out.Location = out.Body.Links.Self
	if job.Existing {
		out.Status = http.StatusOK
	}
	return out, nil
}

func (s *server) submitBatch(ctx context.Context, in *batchIn) (*batchOut, error) {
	shared, err := onePrefix(in.Prefix, in.Body.Prefix)
	if err != nil {
		return nil, err
	}
	reqs := make([]app.SubmitRequest, len(in.Body.Jobs))
	for i, job := range in.Body.Jobs {
		prefix := shared
		if job.Prefix != "" {
			prefix = job.Prefix
		}
		reqs[i] = job.request(in.Role, prefix)
	}
	// The batch is one request: its key stands in the first job, for all of them.
	reqs[0].Idempotency = in.idempotency(ctx, "batch", in.Role, shared)
	jobs, err := s.app.SubmitBatch(ctx, in.Role, reqs)
	if err != nil {
		return nil, s.problem(ctx, "body", err)
	}
	out := &batchOut{Status: http.StatusOK, Body: SubmittedBatch{Jobs: make([]SubmittedItem, len(jobs))}}
	for i, job := range jobs {
		out.Body.Jobs[i] = SubmittedItem{Submitted: submittedJob(job), Existing: job.Existing}
		if !job.Existing {
			out.Status = http.StatusCreated
		}
	}
	return out, nil
}

func (b *Submission) request(role, prefix string) app.SubmitRequest {
	req := app.SubmitRequest{
		Role: role, Prefix: prefix, SharedVars: b.SharedVars, Warmup: b.Warmup, Locale: b.Locale, Source: b.Source,
		Params: b.Params, Tags: b.Tags, Priority: b.Priority, RunAt: b.RunAt, Key: b.Key, OnConflict: b.OnConflict,
	}
	if b.Limits != nil {
		req.Limits = *b.Limits
	}
	return req
}

// idempotency pairs the key with a hash of what is asked: what the request means, not how it is written.
func (in *Idempotent) idempotency(ctx context.Context, operation, role, prefix string) app.Idempotency {
	if in.IdempotencyKey == "" {
		return app.Idempotency{}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s", operation, role, prefix, canonical(bodyOf(ctx))))
	return app.Idempotency{Key: in.IdempotencyKey, Request: hex.EncodeToString(sum[:])}
}

// canonical rewrites JSON with sorted keys and no white space; numbers keep their digits.
func canonical(body []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return body
	}
	out, err := json.Marshal(v)
	if err != nil {
		return body
	}
	return out
}

func submittedJob(job app.Job) Submitted {
	self := "/v1/jobs/" + job.ID.String()
	return Submitted{
		ID: job.ID, Prefix: job.Prefix, Agent: job.Agent, AgentVersion: job.AgentVersion, Status: job.Status, CreatedAt: job.CreatedAt,
		Links: Links{Self: self, History: self + "/history", Variables: self + "/variables", Explain: self + "/explain"},
	}
}
