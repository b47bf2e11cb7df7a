package jsvm_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/jsvm"
)

func TestTransformedTextRunsAgainAsItWas(t *testing.T) {
	t.Parallel()
	const source = "enum E { A = 3 }\nlet n: number = E.A;\nasync function* g() { yield 1 }\nfor await (const v of g()) n += v;\nprint(new Error('here').stack);\nn"
	cell := jsvm.Cell{Number: 1, Source: source}
	live, err := open(t, jsvm.Setup{}).Run(t.Context(), cell)
	if err != nil || live.Transformed == "" || live.Echo != "4" {
		t.Fatalf("got %+v, %v", live, err)
	}
	if got := strings.Join(live.Console, "\n"); !strings.Contains(got, "cell:5:") {
		t.Errorf("got positions %q", got)
	}
	cell.Transformed = live.Transformed
	again, err := open(t, jsvm.Setup{}).Run(t.Context(), cell)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(live, again); diff != "" {
		t.Errorf("repeated differs (-live +again):\n%s", diff)
	}
}

// TestTransformedTextIsNotMadeAgain gives a source that esbuild does not accept: if it were asked, the cell
// would not parse.
func TestTransformedTextIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	s := open(t, jsvm.Setup{})
	step, err := s.Run(t.Context(), jsvm.Cell{Source: "a syntax of the future: x = 5", Transformed: "(async () => {\n  let x = 5;\n  x;\n});\n"})
	if err != nil || step.Echo != "5" {
		t.Errorf("got %+v, %v", step, err)
	}
	if _, err := open(t, jsvm.Setup{}).Run(t.Context(), jsvm.Cell{Source: "1", Transformed: "}{"}); err == nil || !strings.Contains(err.Error(), "recorded transformation") {
		t.Errorf("got %v", err)
	}
}
