package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"statek/internal/app"
)

// longestWait bounds ?wait=, so that proxies do not end the request first.
const longestWait = time.Minute

// JobPath is the job a request is about.
type JobPath struct {
	ID string `path:"id" pattern:"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$" patternDescription:"the whole id of a job, a UUID of 36 characters" doc:"The whole id of the job." example:"01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a11"`
}

// id is the parsed id; huma has checked its form.
func (p JobPath) id() (uuid.UUID, error) {
	id, err := uuid.Parse(p.ID)
	if err != nil {
		return id, newProblem(http.StatusUnprocessableEntity, "path.id: "+err.Error(),
			&huma.ErrorDetail{Location: "path.id", Message: "expected a UUID", Value: clip(p.ID)})
	}
	return id, nil
}

// VariableList is a job's workspace.
type VariableList struct {
	Variables []app.Variable `json:"variables"`
}

type (
	listJobsIn struct {
		Status        string    `query:"status" enum:"READY,WARMING_UP,STARTED,SUSPENDED,PAUSED,DONE" doc:"Only jobs in this state."`
		Agent         string    `query:"agent" maxLength:"100" doc:"Only jobs of this agent."`
		Prefix        string    `query:"prefix" maxLength:"512" doc:"Only jobs at this prefix and below." example:"/acme"`
		Tag           string    `query:"tag" maxLength:"200" doc:"Only jobs with this tag."`
		Source        string    `query:"source" maxLength:"200" doc:"Only jobs from this source."`
		BlockedOn     string    `query:"blocked_on" maxLength:"200" doc:"Only jobs that wait for this: a wait's name, retry, rate, place, operator, run_at, worker."`
		CreatedAfter  time.Time `query:"created_after" doc:"Only jobs created at this time or later."`
		CreatedBefore time.Time `query:"created_before" doc:"Only jobs created before this time."`
		Cursor        string    `query:"cursor" maxLength:"500" doc:"next of the previous page."`
		Limit         int       `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many jobs a page has."`
	}
	getJobIn struct {
		JobPath
		Wait string `query:"wait" maxLength:"20" doc:"Answer when the job is DONE or PAUSED, or after this long: a Go duration up to 60s." example:"30s"`
	}
	variablesIn struct {
		JobPath
		Cell int `query:"cell" minimum:"-1" default:"-1" doc:"The workspace as it was at the end of this cell; -1: as it is now."`
	}
	jobPageOut   struct{ Body app.JobPage }
	jobOut       struct{ Body app.Job }
	variablesOut struct{ Body VariableList }
	explainOut   struct{ Body app.Explanation }
)

func (s *server) routeJobs() {
	lookup := []int{http.StatusNotFound}
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "list-jobs", Method: http.MethodGet, Path: "/v1/jobs", Tags: []string{"jobs"},
		Summary:     "List jobs",
		Description: "The newest first. next, when there is one, is the cursor of the following page.",
		Errors:      []int{http.StatusUnprocessableEntity},
	}), s.listJobs)
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "get-job", Method: http.MethodGet, Path: "/v1/jobs/{id}", Tags: []string{"jobs"},
		Summary:     "Show a job",
		Description: "With wait, the answer comes when the job is DONE or PAUSED, or when the time is over; status tells which.",
		Errors:      lookup,
	}), s.getJob)
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "get-job-variables", Method: http.MethodGet, Path: "/v1/jobs/{id}/variables", Tags: []string{"jobs"},
		Summary: "Show a job's workspace variables", Errors: lookup,
	}), s.variables)
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "explain-job", Method: http.MethodGet, Path: "/v1/jobs/{id}/explain", Tags: []string{"jobs"},
		Summary: "Explain why a job is where it is", Errors: lookup,
		Description: "Who holds it, what it waits for, and what the last look at each wait said.",
	}), s.explain)
}

func (s *server) listJobs(ctx context.Context, in *listJobsIn) (*jobPageOut, error) {
	page, err := s.app.ListJobs(ctx, app.ListFilter{
		Status: in.Status, Agent: in.Agent, Tag: in.Tag, Source: in.Source, BlockedOn: in.BlockedOn, Prefix: in.Prefix,
		CreatedAfter: given(in.CreatedAfter), CreatedBefore: given(in.CreatedBefore), Cursor: in.Cursor, Limit: in.Limit,
	})
	if err != nil {
		return nil, s.problem(ctx, "query", err)
	}
	page.Jobs = notNil(page.Jobs)
	return &jobPageOut{Body: page}, nil
}

func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (s *server) getJob(ctx context.Context, in *getJobIn) (*jobOut, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	wait, err := parseWait(in.Wait)
	if err != nil {
		return nil, err
	}
	job, err := s.waitJob(ctx, id, wait)
	if err != nil {
		return nil, s.problem(ctx, "query", err)
	}
	return &jobOut{Body: job}, nil
}

// waitJob answers early with the job as it is when the server is told to stop.
func (s *server) waitJob(ctx context.Context, id uuid.UUID, wait time.Duration) (app.Job, error) {
	if wait == 0 {
		return s.app.GetJob(ctx, id)
	}
	waiting, cancel := untilDrained(ctx)
	defer cancel()
	job, err := s.app.WaitJob(waiting, id, wait)
	if errors.Is(context.Cause(waiting), errDraining) {
		return s.app.GetJob(ctx, id)
	}
	return job, err
}

func parseWait(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	wait, err := time.ParseDuration(text)
	if err == nil && wait >= 0 && wait <= longestWait {
		return wait, nil
	}
	message := fmt.Sprintf("expected a duration from 0s to %s, such as 30s", longestWait)
	return 0, newProblem(http.StatusUnprocessableEntity, "query.wait: "+message,
		&huma.ErrorDetail{Location: "query.wait", Message: message, Value: clip(text)})
}

func (s *server) variables(ctx context.Context, in *variablesIn) (*variablesOut, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	var cell *int
	if in.Cell >= 0 {
		cell = &in.Cell
	}
	variables, err := s.app.Variables(ctx, id, cell)
	if err != nil {
		return nil, s.problem(ctx, "query", err)
	}
	return &variablesOut{Body: VariableList{Variables: notNil(variables)}}, nil
}

func (s *server) explain(ctx context.Context, in *struct{ JobPath }) (*explainOut, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	explanation, err := s.app.Explain(ctx, id)
	if err != nil {
		return nil, s.problem(ctx, "query", err)
	}
	explanation.Waits = notNil(explanation.Waits)
	return &explainOut{Body: explanation}, nil
}
