package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"statek/internal/app"
)

// ApprovalPath is the approval a request is about.
type ApprovalPath struct {
	ID string `path:"id" pattern:"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$" patternDescription:"the whole id of an approval, a UUID of 36 characters" doc:"The whole id of the approval." example:"01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a11"`
}

func (p ApprovalPath) id() (uuid.UUID, error) { return JobPath(p).id() }

// LinkPath is a link to an approval.
type LinkPath struct {
	Token string `path:"token" maxLength:"200" doc:"The token of the link."`
}

// linkPrefix is where links to approvals are.
const linkPrefix = "/v1/approvals/by-link/"

// SignedDecision is an answer and who gives it.
type SignedDecision struct {
	app.Decision
	By string `json:"by" minLength:"1" maxLength:"200" doc:"Who decides; the job and the history show it." example:"ada@acme.example"`
}

// LinkWish says how long a link shall work.
type LinkWish struct {
	TTL string `json:"ttl,omitempty" maxLength:"20" doc:"A Go duration up to 720h. Default: 168h. The link ends with the question in any case." example:"48h"`
}

type (
	listApprovalsIn struct {
		Status   string `query:"status" enum:"pending,decided,expired,withdrawn" doc:"Only approvals in this state."`
		Assignee string `query:"assignee" maxLength:"200" doc:"Only approvals assigned to this person."`
		Prefix   string `query:"prefix" maxLength:"512" doc:"Only approvals of jobs at this prefix and below." example:"/acme"`
		JobID    string `query:"job_id" format:"uuid" doc:"Only approvals of this job."`
		Cursor   string `query:"cursor" maxLength:"500" doc:"next of the previous page."`
		Limit    int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many approvals a page has."`
	}
	decideIn struct {
		ApprovalPath
		Body SignedDecision
	}
	linkIn struct {
		ApprovalPath
		Body *LinkWish
	}
	decideByLinkIn struct {
		LinkPath
		Body app.Decision
	}
	approvalPageOut struct{ Body app.ApprovalPage }
	approvalOut     struct{ Body app.Approval }
	linkOut         struct{ Body app.Link }
)

func (s *server) routeApprovals() {
	lookup := []int{http.StatusNotFound, http.StatusUnprocessableEntity}
	change := append([]int{http.StatusConflict, http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType}, lookup...)
	add := func(id, method, path, summary, description string, errs []int) huma.Operation {
		return s.operation(huma.Operation{
			OperationID: id, Method: method, Path: path, Tags: []string{"approvals"}, Summary: summary, Description: description, Errors: errs,
		})
	}
	huma.Register(s.api, add("list-approvals", http.MethodGet, "/v1/approvals", "List approvals",
		"The newest first. next, when there is one, is the cursor of the following page.", lookup[1:]), s.listApprovals)
	huma.Register(s.api, add("get-approval", http.MethodGet, "/v1/approvals/{id}", "Show an approval", "", lookup), s.getApproval)
	huma.Register(s.api, add("decide-approval", http.MethodPost, "/v1/approvals/{id}", "Answer an approval",
		"The first answer counts: 409 when there is one, 410 when the question has expired or its job does not wait for it any more.", change), s.decide)
	huma.Register(s.api, add("link-approval", http.MethodPost, "/v1/approvals/{id}/links", "Make a link to an approval",
		"Whoever holds the link can see this one question and answer it once, without any other right. 409 when the API has no link key.", change), s.linkApproval)
	huma.Register(s.api, add("get-approval-by-link", http.MethodGet, linkPrefix+"{token}", "Show the approval behind a link",
		"410 when the question was answered or is over.", append([]int{http.StatusGone}, lookup...)), s.getByLink)
	huma.Register(s.api, add("decide-approval-by-link", http.MethodPost, linkPrefix+"{token}", "Answer the approval behind a link",
		"Recorded as the assignee's answer, by link. Works once.", change), s.decideByLink)
}

func (s *server) listApprovals(ctx context.Context, in *listApprovalsIn) (*approvalPageOut, error) {
	filter := app.ApprovalFilter{Status: in.Status, Assignee: in.Assignee, Prefix: in.Prefix, Cursor: in.Cursor, Limit: in.Limit}
	if in.JobID != "" {
		job, err := uuid.Parse(in.JobID)
		if err != nil {
			return nil, newProblem(http.StatusUnprocessableEntity, "query.job_id: expected a UUID",
				&huma.ErrorDetail{Location: "query.job_id", Message: "expected a UUID", Value: clip(in.JobID)})
		}
		filter.Job = &job
	}
	page, err := s.app.Approvals(ctx, filter)
	if err != nil {
		return nil, s.problem(ctx, "query", err)
	}
	return &approvalPageOut{Body: page}, nil
}

func (s *server) getApproval(ctx context.Context, in *ApprovalPath) (*approvalOut, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	return s.approval(ctx)(s.app.Approval(ctx, id))
}

func (s *server) decide(ctx context.Context, in *decideIn) (*approvalOut, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	return s.approval(ctx)(s.app.Decide(ctx, id, in.Body.Decision, in.Body.By))
}

func (s *server) linkApproval(ctx context.Context, in *linkIn) (*linkOut, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	var ttl time.Duration
	if in.Body != nil && in.Body.TTL != "" {
		if ttl, err = time.ParseDuration(in.Body.TTL); err != nil {
			return nil, newProblem(http.StatusUnprocessableEntity, "body.ttl: expected a duration such as 48h",
				&huma.ErrorDetail{Location: "body.ttl", Message: "expected a duration such as 48h", Value: in.Body.TTL})
		}
	}
	link, err := s.app.ApprovalLink(ctx, id, ttl)
	if err != nil {
		return nil, s.problem(ctx, "body", err)
	}
	return &linkOut{Body: link}, nil
}

func (s *server) getByLink(ctx context.Context, in *LinkPath) (*approvalOut, error) {
	return s.approval(ctx)(s.app.ApprovalByLink(ctx, in.Token))
}

func (s *server) decideByLink(ctx context.Context, in *decideByLinkIn) (*approvalOut, error) {
	return s.approval(ctx)(s.app.DecideByLink(ctx, in.Token, in.Body))
}

// approval makes an answer of what a use case returned.
func (s *server) approval(ctx context.Context) func(app.Approval, error) (*approvalOut, error) {
	return func(q app.Approval, err error) (*approvalOut, error) {
		if err != nil {
			return nil, s.problem(ctx, "body", err)
		}
		return &approvalOut{Body: q}, nil
	}
}
