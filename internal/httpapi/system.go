package httpapi

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"statek/internal/app"
)

// Alive says that the process answers.
type Alive struct {
	Status string `json:"status" enum:"ok"`
}

type (
	aliveOut struct{ Body Alive }
	readyOut struct {
		Status int
		Body   app.Health
	}
)

func (s *server) routeSystem() {
	huma.Register(s.api, huma.Operation{
		OperationID: "healthz", Method: http.MethodGet, Path: "/healthz", Tags: []string{"system"},
		Summary: "Whether the process lives", Description: "Always 200; it asks nobody.",
	}, func(context.Context, *struct{}) (*aliveOut, error) {
		return &aliveOut{Body: Alive{Status: "ok"}}, nil
	})
	health := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[app.Health](), true, "Health")
	huma.Register(s.api, huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Tags: []string{"system"},
		Summary: "Whether requests can be served", Description: "200 when the database is there and its schema fits; else 503 and the same body.",
		Responses: map[string]*huma.Response{"503": {
			Description: "Not ready, and why.",
			Content:     map[string]*huma.MediaType{"application/json": {Schema: health}},
		}},
	}, func(ctx context.Context, _ *struct{}) (*readyOut, error) {
		out := &readyOut{Status: http.StatusOK, Body: s.app.Health(ctx)}
		if !out.Body.Ready {
			out.Status = http.StatusServiceUnavailable
		}
		return out, nil
	})
}
