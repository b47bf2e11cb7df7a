package app

import (
	"context"
	"slices"
	"strings"

	"statek/internal/agents"
	"statek/internal/sqldef"
	"statek/internal/store"
	"statek/internal/temporal"
)

// review asks the database about all SQL of the drafts: whether each statement can be prepared and may run as role
// statek_tool, whether a condition only reads, and reads only what is watched, whether what is watched is there.
func (a *App) review(ctx context.Context, drafts []draft) (Findings, error) {
	var texts []string
	for _, d := range drafts {
		for _, st := range d.statements() {
			texts = append(texts, st.SQL)
		}
	}
	if len(texts) == 0 {
		return nil, nil
	}
	reviews, err := a.store.Review(ctx, texts)
	if err != nil {
		return nil, fail(err, "definitions")
	}
	var found Findings
	for _, d := range drafts {
		v := reviewing{app: a, file: d.file}
		n := len(d.statements())
		switch def := d.Definition.(type) {
		case temporal.Definition:
			err = v.temporal(ctx, def, reviews[:n])
		case agents.Tool:
			// A tool is asked only when it is called, and tells the caller what is wrong: its tables may come later.
			if n > 0 && reviews[0].Fault != "" {
				v.warn(d.statements()[0].Line+reviews[0].FaultLine, reviews[0].Fault)
			}
		}
		if err != nil {
			return nil, fail(err, "definitions")
		}
		reviews, found = reviews[n:], append(found, v.found...)
	}
	return found, nil
}

// statements are the draft's SQL, in the order in which it is reviewed.
func (d draft) statements() []sqldef.Statement {
	switch def := d.Definition.(type) {
	case temporal.Definition:
		list := []sqldef.Statement{def.Condition, def.Complement}
		if def.Release != nil {
			list = append(list, *def.Release)
		}
		return list
	case agents.Tool:
		if def.SQL != nil {
			return []sqldef.Statement{{SQL: def.SQL.Text, Args: def.SQL.Args, Line: def.SQL.Line}}
		}
	}
	return nil
}

// reviewing collects what is found in one file.
type reviewing struct {
	app   *App
	file  string
	found Findings
}

func (v *reviewing) fault(line int, message string) {
	v.found = append(v.found, Finding{File: v.file, Line: max(line, 1), Message: message})
}

func (v *reviewing) warn(line int, message string) {
	v.found = append(v.found, Finding{File: v.file, Line: max(line, 1), Message: message, Warning: true})
}

// runnable reports whether a statement can run at all.
func (v *reviewing) runnable(st sqldef.Statement, r store.Review) bool {
	if r.Fault != "" {
		v.fault(st.Line+r.FaultLine, r.Fault)
	}
	return r.Fault == ""
}

func (v *reviewing) temporal(ctx context.Context, def temporal.Definition, reviews []store.Review) error {
	watched, err := v.watches(ctx, def)
	if err != nil {
		return err
	}
	if v.runnable(def.Condition, reviews[0]) {
		if err := v.condition(ctx, def, reviews[0], watched); err != nil {
			return err
		}
	}
	if v.runnable(def.Complement, reviews[1]) {
		v.complement(def, reviews[1])
	}
	if def.Release != nil && v.runnable(*def.Release, reviews[2]) && !reviews[2].Writes {
		v.warn(def.Release.Line, "the release statement changes nothing: a value that is discarded stays claimed")
	}
	return nil
}

// watches checks that there is what the definition watches, and returns the tables whose writes it hears of.
func (v *reviewing) watches(ctx context.Context, def temporal.Definition) ([]string, error) {
	var watched []string
	for _, w := range def.Watches {
		typ := ""
		if i := slices.IndexFunc(def.Params, func(p sqldef.Param) bool { return p.Name == w.Param }); i >= 0 {
			typ = def.Params[i].Type
		}
		fault, err := v.app.store.WatchFault(ctx, w.Relation, w.Column, typ)
		if err != nil {
			return nil, err
		}
		if fault == "" && def.Recheck == "" {
			fed, err := v.app.store.Subscribed(ctx, w.Relation)
			if err != nil {
				return nil, err
			}
			if fed {
				fault = w.Relation + ` is fed by a subscription, whose writes fire no statement trigger: add "-- recheck: 5s"`
			}
		}
		if fault != "" {
			v.fault(w.Line, fault)
		}
		watched = append(watched, w.Relation)
	}
	return watched, nil
}

func (v *reviewing) condition(ctx context.Context, def temporal.Definition, r store.Review, watched []string) error {
	line := def.Condition.Line
	if r.Writes {
		v.fault(line, "the condition writes: it may only read, because it is asked many times and for nobody in particular; write in the complement")
	}
	if r.Locks {
		v.warn(line, "the condition locks rows: it would wait for the application's transactions; lock in the complement")
	}
	if len(r.Columns) == 0 {
		v.fault(line, "the condition returns no column: the first column of its first row says whether something is ready")
	}
	if def.Recheck != "" {
		return nil
	}
	covered, err := v.app.store.WatchCovers(ctx, watched, r.Reads)
	if err != nil {
		return err
	}
	for _, table := range r.Reads {
		if !slices.Contains(covered, table) {
			v.fault(line+lineOf(def.Condition.SQL, table), "the condition reads "+table+`, which is not watched: add "-- watch: `+table+`" or "-- recheck: 5s"`)
		}
	}
	return v.functions(ctx, def)
}

// functions finds calls that can change a condition's answer without any write that is watched.
func (v *reviewing) functions(ctx context.Context, def temporal.Definition) error {
	calls := temporal.Calls(def.Condition)
	names := make([]string, len(calls))
	for i, c := range calls {
		names[i] = c.Name
	}
	known, err := v.app.store.Functions(ctx, names)
	if err != nil {
		return err
	}
	for _, f := range known {
		line := calls[slices.Index(names, f.Name)].Line
		switch {
		case f.Volatile:
			v.fault(line, "the condition calls "+f.Name+`(), which is VOLATILE, so it can become true without any write: declare the function STABLE if it only reads, or add "-- recheck: 5s"`)
		case f.Opaque:
			v.warn(line, "the condition calls "+f.Name+`(): which tables it reads is not seen here; watch them, or add "-- recheck: 5s"`)
		}
	}
	return nil
}

func (v *reviewing) complement(def temporal.Definition, r store.Review) {
	line := def.Complement.Line
	if len(r.Columns) == 0 {
		v.fault(line, "the complement returns no columns, so there is no value to give: end it with returning …")
	}
	for i, name := range r.Columns {
		if slices.Contains(r.Columns[:i], name) {
			v.warn(line, "the complement returns two columns named "+name+": the value keeps the last")
		}
	}
	if r.Rows > 1 {
		v.warn(line, "the complement may take more than one row for one waiter, and fails when it does: add limit 1")
	}
}

// lineOf finds the line, from 0, on which a statement names a table; 0 when it does not, as behind a view.
func lineOf(sql, table string) int {
	if at := strings.Index(strings.ToLower(sql), strings.ToLower(table)); at >= 0 {
		return strings.Count(sql[:at], "\n")
	}
	return 0
}
