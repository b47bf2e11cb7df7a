package temporal

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"statek/internal/sqldef"
)

var (
	paramForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	typeForm  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_ .]*(\(\d+(,\d+)?\))?(\[\])?$`)
)

// CheckGo reports why a definition of an embedding program cannot be used; nil when it can. The rules are
// those of definition files.
func CheckGo(d Definition) error {
	if BuiltIn(d.Name) {
		return fmt.Errorf("%s is a built-in wait: choose another name", d.Name)
	}
	for i, p := range d.Params {
		switch {
		case !paramForm.MatchString(p.Name):
			return fmt.Errorf("parameter %q must be a name of letters, digits and _", p.Name)
		case slices.ContainsFunc(d.Params[:i], func(x sqldef.Param) bool { return x.Name == p.Name }):
			return fmt.Errorf("parameter %s is there twice", p.Name)
		case !typeForm.MatchString(p.Type):
			return fmt.Errorf("parameter %s needs a Postgres type such as text, bigint or uuid, got %q", p.Name, p.Type)
		}
	}
	if len(d.Watches) == 0 && d.Recheck == "" {
		return fmt.Errorf("nothing would ever look at its condition again: give it a watch, or a recheck")
	}
	for _, w := range d.Watches {
		if err := checkGoWatch(d, w); err != nil {
			return err
		}
	}
	if d.Recheck == "" {
		return nil
	}
	if every, err := time.ParseDuration(d.Recheck); err != nil || every < ShortestRecheck || every > 24*time.Hour {
		return fmt.Errorf("recheck must be between %s and 24h, got %s", ShortestRecheck, d.Recheck)
	}
	return nil
}

func checkGoWatch(d Definition, w Watch) error {
	if !watchForm.MatchString(w.Relation) {
		return fmt.Errorf(`watch %q must name a table with its schema, as in "app.tasks"`, w.Relation)
	}
	if w.Column == "" {
		return nil
	}
	i := slices.IndexFunc(d.Params, func(p sqldef.Param) bool { return p.Name == w.Param })
	if i < 0 {
		return fmt.Errorf("the watch of %s compares %s with %q, which is no parameter", w.Relation, w.Column, w.Param)
	}
	if family(d.Params[i].Type) == "ambiguous" {
		return fmt.Errorf("parameter %s has type %s, which cannot be a key, because equal values may be written differently: "+
			"use text, an integer, uuid, boolean or an enum, or watch the whole table", w.Param, d.Params[i].Type)
	}
	return nil
}
