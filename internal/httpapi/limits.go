package httpapi

import (
	"context"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"statek/internal/app"
)

// LimitList are limits.
type LimitList struct {
	Limits []app.Limit `json:"limits"`
}

// PrefixLimit says how many jobs at a prefix and below run at once.
type PrefixLimit struct {
	Prefix      string `json:"prefix" example:"/acme" doc:"The jobs at this prefix and below."`
	Concurrency *int   `json:"concurrency" nullable:"true" minimum:"1" maximum:"1000000" doc:"How many run at once, over all workers; null: any number."`
}

type (
	limitsIn  struct{ PrefixQuery }
	limitsOut struct{ Body LimitList }
	limitIn   struct{ Body PrefixLimit }
)

func (s *server) routeLimits() {
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "list-limits", Method: http.MethodGet, Path: "/v1/limits", Tags: []string{"limits"},
		Summary: "List limits", Description: "Of agents (the CONCURRENCY line of their definition) and of prefixes, at, above and below a prefix, with what runs and what waits.",
		Errors: []int{http.StatusUnprocessableEntity},
	}), s.listLimits)
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "set-limit", Method: http.MethodPut, Path: "/v1/limits", Tags: []string{"limits"},
		Summary: "Limit a prefix", Description: "Jobs over the limit are parked; prefixes with few running jobs are served first, then priority and age count. Jobs that run go on.",
		Errors: []int{http.StatusUnprocessableEntity, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType},
	}), s.setLimit)
}

func (s *server) listLimits(ctx context.Context, in *limitsIn) (*limitsOut, error) {
	list, err := s.app.Limits(ctx, rooted(in.Prefix))
	if err != nil {
		return nil, s.problem(ctx, "query", err)
	}
	return &limitsOut{Body: LimitList{Limits: notNil(list)}}, nil
}

func (s *server) setLimit(ctx context.Context, in *limitIn) (*limitsOut, error) {
	if err := s.app.SetPrefixLimit(ctx, in.Body.Prefix, in.Body.Concurrency); err != nil {
		return nil, s.problem(ctx, "body", err)
	}
	return s.listLimits(ctx, &limitsIn{PrefixQuery{Prefix: in.Body.Prefix}})
}

// Limits lists the limits at, above and below a prefix.
func (c *Client) Limits(ctx context.Context, prefix string) ([]app.Limit, error) {
	var out LimitList
	err := c.do(ctx, request{path: "/v1/limits", query: url.Values{"prefix": {prefix}}}, &out)
	return out.Limits, err
}

// SetPrefixLimit says how many jobs at a prefix and below run at once; nil: any number.
func (c *Client) SetPrefixLimit(ctx context.Context, limit PrefixLimit) ([]app.Limit, error) {
	var out LimitList
	err := c.do(ctx, request{method: http.MethodPut, path: "/v1/limits", body: limit}, &out)
	return out.Limits, err
}
