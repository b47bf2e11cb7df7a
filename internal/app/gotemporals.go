package app

import (
	"context"
	"fmt"
	"time"

	"statek/internal/agents"
	"statek/internal/sqldef"
	"statek/internal/store"
	"statek/internal/temporal"
)

// GoTemporal is a temporal of the embedding program; GoReleaser one that can give values back.
type (
	GoTemporal = store.GoTemporal
	GoReleaser = store.GoReleaser
	// Tx is what its code may do in an evaluation.
	Tx = store.Tx
	// Waiter is whom a value is taken for.
	Waiter = store.Waiter
)

// TemporalDefinition describes a Go temporal of an embedding program.
type TemporalDefinition struct {
	Name, Description string
	// Params are its parameters with their Postgres types.
	Params  []TemporalParam
	Watches []TemporalWatch
	// Recheck, when not zero, is how often the condition is looked at without being told.
	Recheck time.Duration
}

// TemporalParam is one parameter.
type TemporalParam struct{ Name, Type string }

// TemporalWatch is a table whose writes can make the condition true: those whose Column equals the parameter
// Param, or all when Column is empty.
type TemporalWatch struct{ Table, Column, Param string }

// DefineTemporals makes Go temporals known at a prefix. Jobs there and below may wait for them; they are looked at
// by workers that have them. The watched tables must exist.
func (a *App) DefineTemporals(ctx context.Context, prefix string, list []TemporalDefinition) error {
	if prefix == "" {
		prefix = "/"
	}
	if err := checkPrefix("prefix", prefix); err != nil {
		return err
	}
	puts := make([]store.Put, len(list))
	for i, t := range list {
		def := temporal.Definition{Name: t.Name, Go: true, Description: t.Description, Params: []sqldef.Param{}}
		for _, p := range t.Params {
			def.Params = append(def.Params, sqldef.Param(p))
		}
		for _, w := range t.Watches {
			if w.Column != "" && w.Param == "" {
				w.Param = w.Column
			}
			def.Watches = append(def.Watches, temporal.Watch{Relation: w.Table, Column: w.Column, Param: w.Param})
		}
		if t.Recheck != 0 {
			def.Recheck = t.Recheck.String()
		}
		err := agents.CheckName(t.Name)
		if err == nil {
			err = temporal.CheckGo(def)
		}
		if err != nil {
			return invalid(fmt.Sprintf("temporals[%d]", i), t.Name, err.Error())
		}
		hash, err := def.Hash()
		if err != nil {
			return err
		}
		puts[i] = store.Put{Kind: "temporal", Name: t.Name, Hash: hash, Definition: def, Watches: def.Watches}
	}
	_, err := a.store.PutDefinitions(ctx, prefix, puts)
	return fail(err, "temporals")
}
