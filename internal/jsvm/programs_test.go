package jsvm

import (
	"fmt"
	"strings"
	"testing"
)

// TestProgramsAreSharedByNobodyElse: what is compiled is found again by the same prefix with the same limits and
// tools only, and the memory for it is bounded.
func TestProgramsAreSharedByNobodyElse(t *testing.T) {
	t.Parallel()
	m := NewInProcess()
	prepare := func(setup Setup, cell Cell) *compiled {
		t.Helper()
		s, err := m.open(setup)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		c, err := s.compile(cell)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	setup := Setup{Prefix: "/a", Grants: []Grant{{Name: "x.one"}, {Name: "y"}}}
	cell := Cell{Number: 1, Source: "const f = () => 1"}
	first := prepare(setup, cell)
	if prepare(setup, Cell{Number: 9, Source: cell.Source, Seed: 4, Now: 5}) != first {
		t.Error("another cell with the same text was compiled again")
	}
	if prepare(Setup{Prefix: "/a", Grants: []Grant{{Name: "y"}, {Name: "x.two"}, {Name: "x.one"}}}, cell) != first {
		t.Error("tools that take the same globals: compiled again")
	}
	for name, other := range map[string]Setup{
		"prefix": {Prefix: "/b", Grants: setup.Grants},
		"tools":  {Prefix: "/a", Grants: setup.Grants[:1]},
		"limits": {Prefix: "/a", Grants: setup.Grants, Limits: Limits{Nesting: 50}},
	} {
		if prepare(other, cell) == first {
			t.Errorf("another %s: the program was shared", name)
		}
	}
	if prepare(setup, Cell{Number: 1, Source: cell.Source, Transformed: "(async () => {\nconst f = () => 1\n})\n"}) == first {
		t.Error("a recorded transformation was not looked at")
	}
	for i := range 200 {
		prepare(setup, Cell{Number: 1, Source: fmt.Sprint(i, "//", strings.Repeat("x", mostPrograms/50))})
	}
	if held := len(m.programs.young) + len(m.programs.old); held > 100 {
		t.Errorf("%d programs are held", held)
	}
	if prepare(setup, cell) == first {
		t.Error("a program that nobody used was kept")
	}
}

// TestSharedProgramsKeepNothing: what a session does to what a program gives it stays with the session.
func TestSharedProgramsKeepNothing(t *testing.T) {
	t.Parallel()
	m := NewInProcess()
	source := "const tag = (s) => s; class A { static n = 0; static { A.n++ } }\n" +
		"let t; try { t = tag`a${1}`; t[0] = 'b' } catch {} \n" +
		"const r = /a/g; r.test('aa'); const o = [1, {x: 2}]; o[1].x++; const f = function () {}; f.seen = true;\n" +
		"[t[0], A.n, r.lastIndex, o[1].x, Object.keys(f).length].join()"
	for range 3 {
		s, err := m.Open(t.Context(), Setup{})
		if err != nil {
			t.Fatal(err)
		}
		step, err := s.Run(t.Context(), Cell{Number: 1, Source: source})
		if err != nil || step.Echo != "a,1,1,3,1" {
			t.Errorf("got %s %+v %v", step.Echo, step.Err, err)
		}
		changes, err := s.Changes(t.Context())
		if err != nil || len(changes.Set) == 0 || len(changes.Notes) > 0 {
			t.Errorf("%+v %v", changes, err)
		}
		s.Close()
	}
}
