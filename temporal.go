package statek

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/app"
)

// Temporal is a wait whose condition and complement are functions of this program. Jobs wait for it as for a
// temporal in SQL; workers that have it look at it, others leave it to them.
//
// All waits with the same prefix, name and arguments are looked at once: Condition says whether there is anything to
// take, and while it does, Complement takes it for one waiter after the other, first come, first served. Both run in
// the transaction in which the waiter is woken, as role statek_tool and with a search path that holds nothing but
// pg_catalog; an error or a panic takes back what they did, is shown by explain, and is tried again with back-off.
type Temporal struct {
	// Name is what code calls. It must be a JavaScript identifier.
	Name string
	// Description tells the model when to wait for it, and Returns, a TypeScript type, what it gets. Default "any".
	Description, Returns string
	// Params are its parameters in order.
	Params []TemporalParam
	// Watches are the tables whose writes can make the condition true.
	Watches []Watch
	// Recheck, from one second to a day, is how often to look without being told, as long as somebody waits. It is
	// needed where there is no watch, or where the condition also depends on something else. Default: never.
	Recheck time.Duration
	// Extends names another Temporal of this program whose functions, parameters, watches and recheck this one uses;
	// then it has none of its own.
	Extends string
	// Condition says whether there is something to take. It must not take it.
	Condition func(ctx context.Context, tx Tx, w WaitCall) (bool, error)
	// Complement takes it for one waiter; false: somebody else was faster. Lock with SKIP LOCKED.
	Complement func(ctx context.Context, tx Tx, w WaitCall) (any, bool, error)
	// Release, if there is one, gives back a value that no code will see: the job was cancelled, its cell had ended.
	Release func(ctx context.Context, tx Tx, w WaitCall, value json.RawMessage) error
}

// TemporalParam is one parameter of a Temporal.
type TemporalParam struct {
	Name string
	// Type is a Postgres type, such as "text", "bigint" or "uuid": arguments that are equal to it are one wait.
	Type string
}

// Watch is a table, with its schema, whose writes can make a condition true: those whose Column equals the parameter
// Param (by default the one of the column's name), or all when Column is empty.
type Watch struct{ Table, Column, Param string }

// Tx is the transaction of an evaluation: everything but its end.
type Tx interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// WaitCall is a wait for a Temporal. A condition is asked for all waiters: it has no Job, Cell and Call.
type WaitCall struct {
	// Args are the arguments by parameter name, as JSON.
	Args       map[string]json.RawMessage
	Prefix     string
	Job        uuid.UUID
	Cell, Call int
}

// Arg unmarshals an argument; a missing one leaves into as it is.
func (w WaitCall) Arg(name string, into any) error { return ToolCall{Args: w.Args}.Arg(name, into) }

// DefineTemporals makes temporals known at a prefix, and watches their tables: code of jobs there and below may
// wait for them.
func (c *Client) DefineTemporals(ctx context.Context, prefix string, temporals ...Temporal) error {
	full, err := extended(temporals)
	if err != nil {
		return err
	}
	list := make([]app.TemporalDefinition, len(full))
	for i, t := range full {
		list[i] = app.TemporalDefinition{Name: t.Name, Description: t.Description, Recheck: t.Recheck}
		if t.Returns != "" {
			list[i].Description += "\nReturns " + t.Returns + "."
		}
		for _, p := range t.Params {
			list[i].Params = append(list[i].Params, app.TemporalParam(p))
		}
		for _, w := range t.Watches {
			list[i].Watches = append(list[i].Watches, app.TemporalWatch(w))
		}
	}
	return public(c.app.DefineTemporals(ctx, prefix, list))
}

// extended replaces what Extends names, in chains too.
func extended(list []Temporal) ([]Temporal, error) {
	byName := make(map[string]Temporal, len(list))
	for _, t := range list {
		byName[t.Name] = t
	}
	out := make([]Temporal, len(list))
	for i, t := range list {
		base, description, returns := t, t.Description, t.Returns
		for range list {
			if base.Extends == "" {
				break
			}
			if base.Condition != nil || base.Complement != nil || base.Release != nil || base.Params != nil || base.Watches != nil || base.Recheck != 0 {
				return nil, fmt.Errorf("statek: temporal %s extends %s and has functions, parameters, watches or a recheck of its own: leave them out", base.Name, base.Extends)
			}
			next, ok := byName[base.Extends]
			if !ok {
				return nil, fmt.Errorf("statek: temporal %s extends %q, which is no Temporal given with it", base.Name, base.Extends)
			}
			base = next
			description, returns = cmp.Or(description, base.Description), cmp.Or(returns, base.Returns)
		}
		if base.Name == "" || base.Condition == nil || base.Complement == nil {
			return nil, fmt.Errorf("statek: expected every Temporal to have a Name, a Condition and a Complement, or to extend one that has, got %+q", t.Name)
		}
		base.Name, base.Extends, base.Description, base.Returns = t.Name, "", description, returns
		out[i] = base
	}
	return out, nil
}

// goTemporals are the temporals as workers call them.
func goTemporals(list []Temporal) (map[string]app.GoTemporal, error) {
	full, err := extended(list)
	if err != nil {
		return nil, err
	}
	out := make(map[string]app.GoTemporal, len(full))
	for _, t := range full {
		if t.Release != nil {
			out[t.Name] = releasingTemporal{goTemporal{t}}
			continue
		}
		out[t.Name] = goTemporal{t}
	}
	return out, nil
}

type goTemporal struct{ Temporal }

// Ready implements app.GoTemporal.
func (t goTemporal) Ready(ctx context.Context, tx app.Tx, prefix string, args json.RawMessage) (bool, error) {
	w, err := waitCall(args, app.Waiter{Prefix: prefix})
	if err != nil {
		return false, err
	}
	return t.Condition(ctx, tx, w)
}

// Take implements app.GoTemporal.
func (t goTemporal) Take(ctx context.Context, tx app.Tx, args json.RawMessage, who app.Waiter) (json.RawMessage, bool, error) {
	w, err := waitCall(args, who)
	if err != nil {
		return nil, false, err
	}
	value, ok, err := t.Complement(ctx, tx, w)
	if err != nil || !ok {
		return nil, false, err
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, false, fmt.Errorf("%s returned what JSON cannot hold: %w", t.Name, err)
	}
	return raw, true, nil
}

type releasingTemporal struct{ goTemporal }

// Release implements app.GoReleaser.
func (t releasingTemporal) Release(ctx context.Context, tx app.Tx, args, value json.RawMessage, who app.Waiter) error {
	w, err := waitCall(args, who)
	if err != nil {
		return err
	}
	return t.Temporal.Release(ctx, tx, w, value)
}

func waitCall(args json.RawMessage, who app.Waiter) (WaitCall, error) {
	w := WaitCall{Prefix: who.Prefix, Job: who.Job, Cell: who.Cell, Call: who.Call}
	if err := json.Unmarshal(args, &w.Args); err != nil {
		return w, fmt.Errorf("read arguments: %w", err)
	}
	return w, nil
}
