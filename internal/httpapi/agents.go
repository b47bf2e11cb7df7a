package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"statek/internal/app"
)

// AgentPath is the agent a request is about.
type AgentPath struct {
	Role string `path:"role" pattern:"^[A-Za-z0-9_.-]{1,100}$" patternDescription:"1 to 100 letters, digits, '_', '-' and '.'" doc:"The agent's role." example:"triage_agent"`
}

// PrefixQuery is a prefix in the query.
type PrefixQuery struct {
	Prefix string `query:"prefix" maxLength:"512" doc:"A namespace path. Default: /" example:"/acme/triage/dev/jobs"`
}

// AgentList is every agent that a prefix sees.
type AgentList struct {
	Agents []app.Agent `json:"agents"`
}

// AgentText is the content of an agent's two files.
type AgentText struct {
	Prefix string `json:"prefix,omitempty" maxLength:"512" doc:"Where the agent lives. Default: /" example:"/acme"`
	Prompt string `json:"prompt" minLength:"1" doc:"The text of <role>.md." example:"# MODEL: gpt-5-mini\n# System Prompt\nYou sort tickets."`
	Warmup string `json:"warmup,omitempty" doc:"The text of <role>.warmup.js." example:"print(event)"`
}

// AgentSaved is the agent as it is now, and whether that is news.
type AgentSaved struct {
	app.Agent
	Changed bool `json:"changed" doc:"False when the content was already the newest version."`
}

type (
	agentListOut struct{ Body AgentList }
	agentOut     struct{ Body app.Agent }
	agentGetIn   struct {
		AgentPath
		PrefixQuery
	}
	agentPutIn struct {
		AgentPath
		PrefixQuery
		Body AgentText
	}
	agentSavedOut struct {
		Status int
		Body   AgentSaved
	}
)

func (s *server) routeAgents() {
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "list-agents", Method: http.MethodGet, Path: "/v1/agents", Tags: []string{"agents"},
		Summary:     "List agents",
		Description: "The newest version of every agent that the prefix sees: its own and those of its ancestors, the nearest first.",
		Errors:      []int{http.StatusUnprocessableEntity},
	}), s.listAgents)
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "get-agent", Method: http.MethodGet, Path: "/v1/agents/{role}", Tags: []string{"agents"},
		Summary:     "Show an agent",
		Description: "The newest version of the agent, at the prefix or its nearest ancestor that has one.",
		Errors:      []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}), s.getAgent)
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "put-agent", Method: http.MethodPut, Path: "/v1/agents/{role}", Tags: []string{"agents"},
		Summary: "Define an agent",
		Description: "Makes a new version, 201 when it is the first. Content that is already the newest version makes none. " +
			"Jobs keep the version they began with.",
		Errors: []int{http.StatusUnprocessableEntity},
	}), s.putAgent)
}

func (s *server) listAgents(ctx context.Context, in *PrefixQuery) (*agentListOut, error) {
	agents, err := s.app.ListAgents(ctx, rooted(in.Prefix))
	if err != nil {
		return nil, s.problem(ctx, "query", err)
	}
	return &agentListOut{Body: AgentList{Agents: notNil(agents)}}, nil
}

func (s *server) getAgent(ctx context.Context, in *agentGetIn) (*agentOut, error) {
	agent, err := s.app.GetAgent(ctx, rooted(in.Prefix), in.Role)
	if err != nil {
		return nil, s.problem(ctx, "query", err)
	}
	return &agentOut{Body: agent}, nil
}

func (s *server) putAgent(ctx context.Context, in *agentPutIn) (*agentSavedOut, error) {
	prefix, err := onePrefix(in.Prefix, in.Body.Prefix)
	if err != nil {
		return nil, err
	}
	agent, changed, err := s.app.PutAgent(ctx, prefix, in.Role, in.Body.Prompt, in.Body.Warmup)
	if err != nil {
		return nil, s.problem(ctx, "body", err)
	}
	out := &agentSavedOut{Status: http.StatusOK, Body: AgentSaved{Agent: agent, Changed: changed}}
	if changed && agent.Version == 1 {
		out.Status = http.StatusCreated
	}
	return out, nil
}

// onePrefix takes the prefix from the query or the body, and refuses two that differ.
func onePrefix(query, body string) (string, error) {
	if query != "" && body != "" && query != body {
		return "", newProblem(http.StatusUnprocessableEntity, "the prefix is given twice and differs: leave one out",
			&huma.ErrorDetail{Location: "query.prefix", Message: "differs from body.prefix", Value: clip(query)},
			&huma.ErrorDetail{Location: "body.prefix", Message: "differs from query.prefix", Value: clip(body)})
	}
	if body == "" {
		body = query
	}
	return rooted(body), nil
}

func rooted(prefix string) string {
	if prefix == "" {
		return "/"
	}
	return prefix
}

// notNil makes an empty list [] rather than null.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
