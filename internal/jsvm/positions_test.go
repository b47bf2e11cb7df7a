package jsvm_test

import (
	"strings"
	"testing"

	"statek/internal/jsvm"
)

// TestErrorsPointIntoTheModelsText: runtime errors point at the name or bracket that failed, in the text as it
// was written, also where other text was run in its place.
func TestErrorsPointIntoTheModelsText(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"null.x":                                    "1:6",
		"\tnull.x":                                  "1:7",
		"let a = 1;\n\tnull.x":                      "2:7",
		"'é'; null.x":                               "1:11",
		"'😀'; null.x":                               "1:12",
		"let a = 1;\n'é😀'; null.x":                  "2:13",
		"/* é\n😀 */ null.x":                         "2:12",
		"let a;\r\n\r\n  null.x":                    "3:8",
		"let a;\rnull.x":                            "2:6",
		"let a;\u2028  null.x":                      "2:8",
		"`a\nb\n${null.x}`":                         "3:8",
		"let s = `\n\né`; null.x":                   "3:10",
		"function f() {\n  return missing;\n}\nf()": "2:10",
		"async function f() {\n  await null;\n  throw new Error('late');\n}\nawait f()": "3:9",
		"[1].map((x) => {\n  throw new TypeError('in');\n})":                            "2:9",
		"await Promise.all([1].map(async (x) => {\n  null.x\n}))":                       "2:8",
		"const x: number = 1; null.x":                                                   "1:27",
		"const x: number = 1;\n\nfunction f(a: string): void {\n  null.x;\n}\nf('a')":   "4:8",
		"let x: string = 'é😀'; null.x":                                                  "1:29",
		"interface I {\n  a: string\n}\r\n\tnull.x":                                     "4:7",
		"for await (const x of [1]) {\n  null.x;\n}":                                    "2:8",
		"async function* g() {\n  yield 1;\n  null.x;\n}\nfor await (const x of g()) ;": "3:8",
		"class A {\n  x: number = 1;\n  m() { return this.y.z }\n}\nnew A().m()":        "3:23",
		"enum A { B }\n'é'; null.x":                                                     "2:11",
		"let y = ;":                                                                     "1:9",
		"let s = 'é'; let y = ;":                                                        "1:22",
		"'😀😀'; let q = ;":                                                               "1:17",
		"let a;\r\nlet y = ;":                                                           "2:9",
		"let a;\u2028let y = ;":                                                         "2:9",
		"f(1,\n  2\n":                                                                   "3:1",
		"const a = 1;\nconst a = 2;":                                                    "2:7",
		"const a: string = 'x';\nlet y: = 3":                                            "2:8",
		"const a: string = 'é'; let y: = 3":                                             "1:31",
		"let a: number = 1;\nfoo(":                                                      "2:5",
		"let a: number;\nconst b = 1, b = 2":                                            "2:14",
		"/(/":                                                                           "1:1",
		"let a: number;\n/(/":                                                           "2:1",
		"'é'; " + strings.Repeat("[", 300):                                              "1:207",
		"let print = 1":                                                                 "1:5",
		"let é = 1, print = 1":                                                          "1:12",
	}
	for source, want := range tests {
		step := run(t, open(t, jsvm.Setup{}), source)
		if step.Err == nil || !strings.HasSuffix(step.Err.Message, "(cell:"+want+")") {
			t.Errorf("%q: got %v, want %s", source, step.Err, want)
		}
	}
}

// TestErrorsOfEarlierCellsPointIntoTheirText: a function keeps its place, in this session; once it has been
// restored from its source the place is one in the workspace.
func TestErrorsOfEarlierCellsPointIntoTheirText(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"// é\nfunction f(o) {\n  return o.a.b;\n}", "const n: number = 1;\nfunction f(o) {\n  return o.a.b;\n}"} {
		s := open(t, jsvm.Setup{})
		run(t, s, source)
		step := run(t, s, "\n\n\n  f({})")
		if step.Err == nil || !strings.HasSuffix(step.Err.Message, "(cell:3:14)") || !strings.Contains(step.Err.Stack, "cell:4:4") {
			t.Errorf("got %+v", step.Err)
		}
		s, _, _ = reopen(t, s, nil, jsvm.Limits{})
		step = run(t, s, "\n\n\n  f({})")
		if step.Err == nil || !strings.Contains(step.Err.Message, "(workspace:2:") || !strings.Contains(step.Err.Stack, "cell:4:4") {
			t.Errorf("restored: got %+v", step.Err)
		}
	}
}
