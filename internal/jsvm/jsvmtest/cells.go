package jsvmtest

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"statek/internal/jsvm"
)

// Cells plays a corpus: groups of cells that run one after the other, each with the outcome that it must
// have. A group whose name has "eval" in it may use eval.
func Cells(t *testing.T, m jsvm.Machine, file string) {
	t.Helper()
	for _, group := range corpus[struct {
		Name  string
		Cells []struct{ Source, Want string }
	}](t, file) {
		limits := jsvm.Limits{AllowEval: strings.Contains(group.Name, "eval")}
		t.Run(group.Name, func(t *testing.T) {
			t.Parallel()
			s := stage{t, m, limits}
			one, many := s.open(nil), s.open(nil)
			defer func() { one.Close() }()
			defer func() { many.Close() }()
			var vars []jsvm.Variable
			for _, cell := range group.Cells {
				if got := Outcome(s.run(one, cell.Source)); !Matches(cell.Want, got) {
					t.Errorf("%s\n got %s\nwant %s", cell.Source, got, cell.Want)
				}
				got := Outcome(s.run(many, cell.Source))
				if !Matches(cell.Want, got) && !strings.Contains(got, "was not kept: it is a generator;") {
					t.Errorf("restored: %s\n got %s\nwant %s", cell.Source, got, cell.Want)
				}
				vars = Merge(vars, s.changes(many))
				many.Close()
				s.settled(vars, cell.Source)
				many = s.open(vars)
			}
		})
	}
}

// corpus reads a JSON file of cases.
func corpus[T any](t *testing.T, file string) []T {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []T
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// Matches tells whether an outcome is the wanted one; "!text" wants an error that contains the text.
func Matches(want, got string) bool {
	if text, ok := strings.CutPrefix(want, "!"); ok {
		return strings.HasPrefix(got, "!") && strings.Contains(got, text)
	}
	return want == got
}
