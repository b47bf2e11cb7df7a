package httpapi

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
)

// Message is what a person or a program says to a job.
type Message struct {
	Payload json.RawMessage `json:"payload" doc:"Any JSON; a string is text." example:"\"Please look at invoice 4711 first.\""`
	Mode    string          `json:"mode,omitempty" enum:"interrupt" doc:"interrupt ends the current cell and asks the model now. Default: shown at the next turn, or given to a pending message()."`
}

// Reason says why, for the history.
type Reason struct {
	Reason string `json:"reason,omitempty" maxLength:"1000" example:"The ticket was withdrawn."`
}

// Fact is something that happened.
type Fact struct {
	Prefix  string          `json:"prefix,omitempty" maxLength:"512" doc:"Seen by jobs here and below. Default: /" example:"/acme"`
	Key     string          `json:"key,omitempty" maxLength:"255" doc:"With a key, the first fact of that name and key stays, and later ones change nothing." example:"invoice-4711"`
	Payload json.RawMessage `json:"payload,omitempty" doc:"What waiting jobs get. Default: null"`
}

// FactTaken answers a fact.
type FactTaken struct {
	FactID  int64 `json:"fact_id"`
	Created bool  `json:"created" doc:"False when a fact with this key was there before."`
}

type (
	messageIn struct {
		JobPath
		Body Message
	}
	controlIn struct {
		JobPath
		Body *Reason
	}
	factIn struct {
		PrefixQuery
		Name string `path:"name" minLength:"1" maxLength:"200" doc:"The event's name." example:"invoice.paid"`
		Body *Fact
	}
	factOut struct {
		Status int
		Body   FactTaken
	}
)

func (s *server) routeControl() {
	errs := []int{http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType}
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "send-message", Method: http.MethodPost, Path: "/v1/jobs/{id}/messages", Tags: []string{"jobs"},
		Summary:       "Send a message to a job",
		Description:   "A job that succeeded takes it up again; failed and cancelled ones need resume first (409).",
		DefaultStatus: http.StatusAccepted, Errors: errs,
	}), s.sendMessage)
	for _, c := range []struct {
		name, summary, description string
		do                         func(context.Context, uuid.UUID, string) error
	}{
		{"cancel", "Cancel a job", "Ends what the job is doing, a running model request included, and makes it DONE, cancelled.", s.app.Cancel},
		{"pause", "Pause a job", "The job keeps everything and goes on after resume.", s.app.Pause},
		{"resume", "Resume a job", "Continues a job that is paused, failed or cancelled.", s.app.Resume},
	} {
		huma.Register(s.api, s.operation(huma.Operation{
			OperationID: c.name + "-job", Method: http.MethodPost, Path: "/v1/jobs/{id}/" + c.name, Tags: []string{"jobs"},
			Summary: c.summary, Description: c.description + " 202 and the job as it is now: the request is recorded, its owner acts on it.",
			DefaultStatus: http.StatusAccepted, Errors: errs,
		}), s.control(c.do))
	}
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "emit-event", Method: http.MethodPost, Path: "/v1/events/{name}", Tags: []string{"events"},
		Summary:       "Tell what happened",
		Description:   "Resolves event(name) in the jobs that wait for it, at the prefix and below. 201, or 200 when a fact with the key was there.",
		DefaultStatus: http.StatusCreated, Errors: []int{http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType},
	}), s.emit)
}

func (s *server) sendMessage(ctx context.Context, in *messageIn) (*jobOut, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	if err := s.app.SendMessage(ctx, id, in.Body.Payload, in.Body.Mode); err != nil {
		return nil, s.problem(ctx, "body", err)
	}
	return s.jobNow(ctx, id)
}

func (s *server) control(do func(context.Context, uuid.UUID, string) error) func(context.Context, *controlIn) (*jobOut, error) {
	return func(ctx context.Context, in *controlIn) (*jobOut, error) {
		id, err := in.id()
		if err != nil {
			return nil, err
		}
		reason := ""
		if in.Body != nil {
			reason = in.Body.Reason
		}
		if err := do(ctx, id, reason); err != nil {
			return nil, s.problem(ctx, "body", err)
		}
		return s.jobNow(ctx, id)
	}
}

func (s *server) jobNow(ctx context.Context, id uuid.UUID) (*jobOut, error) {
	job, err := s.app.GetJob(ctx, id)
	if err != nil {
		return nil, s.problem(ctx, "body", err)
	}
	return &jobOut{Body: job}, nil
}

func (s *server) emit(ctx context.Context, in *factIn) (*factOut, error) {
	if in.Body == nil {
		in.Body = &Fact{}
	}
	prefix, err := onePrefix(in.Prefix, in.Body.Prefix)
	if err != nil {
		return nil, err
	}
	payload := in.Body.Payload
	if payload == nil {
		payload = json.RawMessage("null")
	}
	id, created, err := s.app.Emit(ctx, prefix, in.Name, in.Body.Key, payload)
	if err != nil {
		return nil, s.problem(ctx, "body", err)
	}
	out := &factOut{Status: http.StatusOK, Body: FactTaken{FactID: id, Created: created}}
	if created {
		out.Status = http.StatusCreated
	}
	return out, nil
}
