package engine

import (
	"slices"
	"testing"

	"statek/internal/agents"
	"statek/internal/jobs"
	"statek/internal/jsvm"
)

// TestSharedVariablesHideBuiltIns: of its own job's alone, and the others are as they were.
func TestSharedVariablesHideBuiltIns(t *testing.T) {
	t.Parallel()
	catalog := Catalog{Tools: map[string]agents.Tool{"pay": {Name: "pay"}}}
	catalog.grants = allGrants(catalog)
	names := func(vars ...string) (list []string) {
		r := &run{catalog: catalog, vars: map[string]jobs.Variable{}}
		for _, name := range vars {
			r.vars[name] = jobs.Variable{Name: name}
		}
		for _, g := range r.grants() {
			list = append(list, g.Name)
		}
		return list
	}
	all := names("n")
	for _, test := range []struct{ variable, hidden, left string }{
		{"event", "event", "sleep"},
		{"objects", "objects.get", "event"},
		{"objects", "objects.changed", "pay"},
	} {
		if got := names("n", test.variable); slices.Contains(got, test.hidden) || !slices.Contains(got, test.left) || !slices.Contains(all, test.hidden) {
			t.Errorf("with a variable %s: got %v of %v", test.variable, got, all)
		}
	}
	if after := names(); !slices.Equal(after, all) {
		t.Errorf("got %v after, %v before", after, all)
	}
	wait := func(g jsvm.Grant) bool { return g.Name == "sleep" && g.Wait }
	if !slices.ContainsFunc(catalog.grants, wait) {
		t.Error("sleep is no wait")
	}
}
