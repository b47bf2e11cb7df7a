package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"statek/internal/app"
)

// HistoryPage is a stretch of a job's history.
type HistoryPage struct {
	History []app.HistoryRow `json:"history"`
	Next    int64            `json:"next,omitempty" doc:"after of the following page; absent when this page is not full."`
}

type historyIn struct {
	JobPath
	After  int64  `query:"after" minimum:"0" doc:"Only rows after this sequence number."`
	Limit  int    `query:"limit" minimum:"1" maximum:"5000" default:"500" doc:"How many rows a page has. Streams have no limit."`
	LastID int64  `header:"Last-Event-ID" minimum:"0" doc:"In a stream, goes before after: the last event the client has seen."`
	Accept string `header:"Accept" doc:"text/event-stream makes it a stream." example:"application/json"`
}

func (s *server) routeHistory() {
	page := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[HistoryPage](), true, "HistoryPage")
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "get-job-history", Method: http.MethodGet, Path: "/v1/jobs/{id}/history", Tags: []string{"jobs"},
		Summary: "Read or follow a job's history",
		Description: "JSON, or with Accept: text/event-stream a stream of server-sent events: event is the row's kind, id its sequence " +
			"number, data the row. The stream goes on until the job is DONE and then ends with an event named end, whose data is the job's " +
			"status and outcome. Comments keep an idle stream open. An event named problem says why a stream broke; connect again " +
			"with Last-Event-ID.",
		Errors: []int{http.StatusNotFound},
		Responses: map[string]*huma.Response{"200": {
			Description: "The rows, in order.",
			Content: map[string]*huma.MediaType{
				"application/json":  {Schema: page},
				"text/event-stream": {Schema: &huma.Schema{Type: "string"}, Example: exampleStream},
			},
		}},
	}), s.history)
}

const exampleStream = "id: 7\nevent: call\ndata: {\"seq\":7,\"kind\":\"call\",…}\n\nevent: end\ndata: {\"status\":\"DONE\",\"outcome\":\"succeeded\"}\n\n"

func (s *server) history(ctx context.Context, in *historyIn) (*huma.StreamResponse, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	if strings.Contains(in.Accept, "text/event-stream") {
		return s.stream(ctx, id, max(in.After, in.LastID))
	}
	rows, err := s.app.History(ctx, id, in.After, in.Limit)
	if err != nil {
		return nil, s.problem(ctx, "query", err)
	}
	page := HistoryPage{History: notNil(rows)}
	if len(rows) == in.Limit {
		page.Next = rows[len(rows)-1].Seq
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		hctx.SetHeader("Content-Type", "application/json")
		hctx.SetStatus(http.StatusOK)
		// A client that is gone needs no answer.
		_ = json.NewEncoder(hctx.BodyWriter()).Encode(page)
	}}, nil
}

// stream begins once the job is known to exist: a problem cannot follow a 200.
func (s *server) stream(ctx context.Context, id uuid.UUID, after int64) (*huma.StreamResponse, error) {
	if _, err := s.app.GetJob(ctx, id); err != nil {
		return nil, s.problem(ctx, "query", err)
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		following, cancel := untilDrained(hctx.Context())
		defer cancel()
		out := newEventWriter(hctx, s.opts.Heartbeat)
		defer out.close()
		err := s.app.FollowHistory(following, id, after, func(row app.HistoryRow) error {
			return out.send(row.Seq, row.Kind, row)
		})
		switch {
		case following.Err() != nil || out.failed():
			// The client is gone, or is to go on elsewhere.
		case err != nil:
			_ = out.send(0, "problem", s.problem(following, "query", err))
		default:
			s.endStream(following, out, id)
		}
	}}, nil
}

// streamEnd is the data of the event end.
type streamEnd struct {
	Status  string `json:"status"`
	Outcome string `json:"outcome,omitempty"`
	Error   string `json:"error,omitempty"`
}

func (s *server) endStream(ctx context.Context, out *eventWriter, id uuid.UUID) {
	job, err := s.app.GetJob(ctx, id)
	if err != nil {
		_ = out.send(0, "problem", s.problem(ctx, "query", err))
		return
	}
	_ = out.send(0, "end", streamEnd{Status: job.Status, Outcome: job.Outcome, Error: job.Error})
}
