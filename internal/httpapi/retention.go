package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"statek/internal/app"
)

// Janitor says how long ended jobs are kept.
type Janitor interface {
	Retention(ctx context.Context, prefix string) (app.Retention, error)
	SetRetention(ctx context.Context, prefix string, wish app.RetentionWish) (app.Retention, error)
}

type (
	retentionIn  struct{ PrefixQuery }
	retentionOut struct{ Body app.Retention }
	retainIn     struct {
		PrefixQuery
		Body app.RetentionWish
	}
)

func (s *server) routeRetention() {
	const path = "/v1/retention"
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "get-retention", Method: http.MethodGet, Path: path, Tags: []string{"jobs"},
		Summary: "How long ended jobs are kept", Description: "At the prefix, by outcome, and which prefix says so.",
		Errors: []int{http.StatusUnprocessableEntity},
	}), func(ctx context.Context, in *retentionIn) (*retentionOut, error) {
		r, err := s.app.Retention(ctx, rooted(in.Prefix))
		if err != nil {
			return nil, s.problem(ctx, "query", err)
		}
		return &retentionOut{Body: r}, nil
	})
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "put-retention", Method: http.MethodPut, Path: path, Tags: []string{"jobs"},
		Summary: "Say how long ended jobs are kept",
		Description: "At the prefix and below, until a prefix further down says otherwise; what is left out stays as it is. Workers remove jobs " +
			"whose time is over, with their history, variables, usage and approvals, also those that ended before this.",
		Errors: []int{http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType},
	}), func(ctx context.Context, in *retainIn) (*retentionOut, error) {
		r, err := s.app.SetRetention(ctx, rooted(in.Prefix), in.Body)
		if err != nil {
			return nil, s.problem(ctx, "body", err)
		}
		return &retentionOut{Body: r}, nil
	})
}
