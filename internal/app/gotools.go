package app

import (
	"context"
	"fmt"

	"statek/internal/agents"
	"statek/internal/store"
)

// ToolDefinition describes a Go tool of an embedding program.
type ToolDefinition struct {
	Name, Description string
	Params            []ToolParam
	Once              bool
}

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
