package jsvm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/jsvm"
	"statek/internal/jsvm/jsvmtest"
)

// TestRowsAreWrittenOnlyWhereSomethingChanged runs two cells and lists the rows that the second writes.
func TestRowsAreWrittenOnlyWhereSomethingChanged(t *testing.T) {
	t.Parallel()
	var hundred strings.Builder
	for i := range 100 {
		fmt.Fprintf(&hundred, "let v%d = {n: [%d], s: 'text'};", i, i)
	}
	tests := map[string]struct{ first, second, want string }{
		"one of a hundred":            {hundred.String(), "v57.n.push(1)", "v57"},
		"none of a hundred":           {hundred.String(), "v57.n.push(1); v57.n.pop(); v58 = {n: [58], s: 'text'}", ""},
		"a key moves":                 {"let a = {x: 1, y: 2}, b = 1", "delete a.x; a.x = 1", "a"},
		"a key is set as it was":      {"let a = {x: 1, y: 2}", "a.x = 1", ""},
		"minus zero":                  {"let a = 0, b = [0], c = -0", "a = -0; b[0] = -0; c = -0", "a b"},
		"not a number stays":          {"let a = NaN, b = [NaN]", "a = 0 / 0; b[0] = NaN", ""},
		"a const becomes a let":       {"const a = 1", "let a = 1", "a"},
		"shared, changed inside":      {"let a = {}, z = {}; { const s = {n: 1}; a.s = s; z.s = s }", "z.s.n = 2", "a"},
		"shared, first owner goes":    {"let a = {}, m = {}, z = {}; { const s = {n: 1}; a.s = s; m.s = s; z.s = s }", "delete a.s", "a m z"},
		"shared, another owner comes": {"let b = {}, z = {}; { const s = {n: 1}; b.s = s; z.s = s }", "var a = {s: z.s}", "a b z"},
		"shared by a variable":        {"let s = {n: 1}, a = {s}, z = [s]", "s.n = 2", "s"},
		"the variable lets go":        {"let s = {n: 1}, a = {s}", "s = 5", "a s"},
		"shared no more":              {"let a = {}, z = {}; { const s = {n: 1}; a.s = s; z.s = s }", "delete z.s", "a z"},
		"a bystander":                 {"let a = [{}], b = [1], c = {a}", "a[0].x = 1", "a"},
		"a map in another order":      {"let a = new Map([[1, 1], [2, 2]])", "a.delete(1); a.set(1, 1)", "a"},
		"lastIndex":                   {"let a = /x/g, b = /y/g", "a.test('x'); b.test('-')", "a"},
		"a byte of a shared buffer":   {"let b = new ArrayBuffer(2), u = new Uint8Array(b)", "u[0] = 1", "b"},
		"a static of a class":         {"class A { static n = 0 } const a = new A()", "A.n++", "A"},
		"deleted and new":             {"let a = 1, b = 2", "delete globalThis.a; var c = 3", "-a c"},
		"deleted and made again":      {"let a = [1], b = a", "delete globalThis.a; globalThis.a = b", ""},
		"refused now":                 {"let a = 1", "a = new Promise(() => {})", "a"},
		"refused again":               {"let a = new Promise(() => {})", "1", ""},
		"kept now":                    {"let a = new Promise(() => {}), b = 1", "a = 5", "a"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, jsvm.Setup{})
			run(t, s, test.first)
			s, vars, _ := reopen(t, s, nil, jsvm.Limits{})
			run(t, s, test.second)
			changes, err := s.Changes(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, name := range changes.Deleted {
				got = append(got, "-"+name)
			}
			for _, v := range changes.Set {
				got = append(got, v.Name)
			}
			if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("rows (-want +got):\n%s\n%s", diff, jsvmtest.Rows(changes.Set))
			}
			// What is stored now is the same as what a session would write that had written nothing before.
			whole := open(t, jsvm.Setup{})
			run(t, whole, test.first)
			run(t, whole, test.second)
			all, err := whole.Changes(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(jsvmtest.Rows(jsvmtest.Merge(nil, all)), jsvmtest.Rows(jsvmtest.Merge(vars, changes))); diff != "" {
				t.Errorf("workspace (-written at once +row by row):\n%s", diff)
			}
		})
	}
}

// TestTheLargestIsDroppedWhenAllAreTooMuch: which one does not depend on chance, and both the note and whoever
// reads it are told.
func TestTheLargestIsDroppedWhenAllAreTooMuch(t *testing.T) {
	t.Parallel()
	limits := jsvm.Limits{WorkspaceBytes: 2500}
	for range 3 {
		s := open(t, jsvm.Setup{Limits: limits})
		run(t, s, "let b = 'x'.repeat(1000), a = 'y'.repeat(1000), c = 'z'.repeat(900), small = [b.length]")
		s, vars, changes := reopen(t, s, nil, limits)
		if len(changes.Notes) != 1 || !strings.Contains(changes.Notes[0], "variable 'a' was not kept: all variables have") || !strings.Contains(changes.Notes[0], "workspace_bytes") {
			t.Fatalf("got notes %q", changes.Notes)
		}
		if got := outcome(run(t, s, "b.length + c.length + small[0]")); got != "2900" {
			t.Errorf("the others: %s", got)
		}
		if got := outcome(run(t, s, "a")); !strings.Contains(got, "it is the largest") {
			t.Errorf("reading it: %s", got)
		}
		if s, _, changes = reopen(t, s, vars, limits); len(changes.Set)+len(changes.Notes) > 0 {
			t.Errorf("it is said again: %+v", changes)
		}
		run(t, s, "a = 'short'; delete globalThis.b")
		if changes, err := s.Changes(t.Context()); err != nil || len(changes.Notes) > 0 || len(changes.Set) != 1 {
			t.Errorf("after a remedy: %+v, %v", changes, err)
		}
	}
}
