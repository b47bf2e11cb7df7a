package jsvm_test

import (
	"strings"
	"testing"

	"statek/internal/jsvm"
)

// reopen takes a session's changes, merges them into the workspace and opens a new session with it.
func reopen(t *testing.T, s jsvm.Session, vars []jsvm.Variable, limits jsvm.Limits) (jsvm.Session, []jsvm.Variable, jsvm.Changes) {
	t.Helper()
	changes, err := s.Changes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	vars = merge(vars, changes)
	return open(t, jsvm.Setup{Variables: vars, Limits: limits}), vars, changes
}

func merge(vars []jsvm.Variable, changes jsvm.Changes) []jsvm.Variable {
	byName := map[string]bool{}
	for _, v := range changes.Set {
		byName[v.Name] = true
	}
	for _, name := range changes.Deleted {
		byName[name] = true
	}
	var out []jsvm.Variable
	for _, v := range vars {
		if !byName[v.Name] {
			out = append(out, v)
		}
	}
	return append(out, changes.Set...)
}

func rows(c jsvm.Changes) string {
	var b strings.Builder
	for _, v := range c.Set {
		b.WriteString(v.Name + " = " + string(v.Value) + v.Refused + "\n")
	}
	return b.String()
}

// TestRevokedToolsAreLostLoudly opens a workspace that holds a tool without granting it.
func TestRevokedToolsAreLostLoudly(t *testing.T) {
	t.Parallel()
	s := open(t, jsvm.Setup{})
	run(t, s, "const f = search; const table = {deep: [search]}; const shares = {table}; const bystander = {ok: fetchIt}; let late = 1; const calls = () => search(1)")
	changes, err := s.Changes(t.Context())
	if err != nil || len(changes.Notes) > 0 {
		t.Fatalf("got %+v, %v", changes, err)
	}
	setup := jsvm.Setup{Variables: changes.Set, Grants: []jsvm.Grant{{Name: "fetchIt"}, {Name: "late"}}}
	probes := map[string]string{
		"f":                        "!ReferenceError: variable 'f' was lost: it holds the tool 'search', which is not granted any more",
		"table.deep":               "!ReferenceError: variable 'table' was lost: it holds the tool 'search'",
		"shares":                   "!ReferenceError: variable 'shares' was lost: it holds the tool 'search'",
		"bystander.ok === fetchIt": "true",
		"typeof late":              "function",
		"calls()":                  "!ReferenceError: search is not defined",
	}
	for source, want := range probes {
		if got := outcome(run(t, open(t, setup), source)); !strings.HasPrefix(got, want) && !strings.HasPrefix(strings.Trim(got, "'\""), want) {
			t.Errorf("%s: got %s", source, got)
		}
	}
	s = open(t, setup)
	run(t, s, "1")
	changes, err = s.Changes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := rows(changes); strings.Count(got, "was lost") != 3 || len(changes.Notes) != 4 || strings.Join(changes.Deleted, ",") != "late" {
		t.Errorf("got %s, deleted %s, notes %q", got, changes.Deleted, changes.Notes)
	}
	setup.Variables = merge(setup.Variables, changes)
	setup.Grants = grants
	if got := outcome(run(t, open(t, setup), "f")); !strings.Contains(got, "not granted any more") {
		t.Errorf("after granting it again: got %s", got)
	}
}
