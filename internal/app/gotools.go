package app

import (
	"context"
	"fmt"
	"time"

	"statek/internal/agents"
	"statek/internal/engine"
	"statek/internal/store"
)

// ToolDefinition describes a Go tool of an embedding program.
type ToolDefinition struct {
	Name, Description string
	Params            []ToolParam
	Once              bool
	Retry             ToolRetry
}

// ToolRetry says how calls are repeated; zero fields are defaults.
type ToolRetry struct {
	Attempts     int
	Backoff, Max time.Duration
	Pause        bool
}

// ToolFailure is an error of a GoTool that says more than its text.
type ToolFailure = engine.ToolFailure

// ToolParam is one parameter.
type ToolParam struct {
	Name     string
	Type     string
	Optional bool
}

// DefineTools makes Go tools known at a prefix.
func (a *App) DefineTools(ctx context.Context, prefix string, tools []ToolDefinition) error {
	if prefix == "" {
		prefix = "/"
	}
	if err := checkPrefix("prefix", prefix); err != nil {
		return err
	}
	puts := make([]store.Put, len(tools))
	for i, t := range tools {
		def := agents.Tool{Name: t.Name, Kind: agents.GoTool, Description: t.Description, Once: t.Once, Params: []agents.Param{}}
		t.Retry.into(&def)
		for _, p := range t.Params {
			if p.Type == "" {
				p.Type = "any"
			}
			def.Params = append(def.Params, agents.Param(p))
		}
		if err := def.Validate(); err != nil {
			return invalid(fmt.Sprintf("tools[%d]", i), t.Name, err.Error())
		}
		hash, err := def.Hash()
		if err != nil {
			return err
		}
		puts[i] = store.Put{Kind: "tool", Name: t.Name, Hash: hash, Definition: def}
	}
	_, err := a.store.PutDefinitions(ctx, prefix, puts)
	return fail(err, "tools")
}

func (r ToolRetry) into(def *agents.Tool) {
	if r.Pause {
		def.OnExhausted = agents.ExhaustedPause
	}
	text := func(d time.Duration) string {
		if d == 0 {
			return ""
		}
		return d.String()
	}
	if retry := (agents.Retry{Attempts: r.Attempts, Backoff: text(r.Backoff), Max: text(r.Max)}); retry != (agents.Retry{}) {
		def.Retry = &retry
	}
}
