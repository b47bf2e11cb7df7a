package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReport(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		good     bool
		want     []string // what the output holds, in order; the last is its last line
	}{
		{
			"all pass", `{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN TestA\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p","Elapsed":1.5}
`, true, []string{"ok    p", "2 tests", "1 passed, 0 failed, 1 skipped\n"},
		},
		{
			"one fails", `{"Action":"output","Package":"p","Test":"TestA","Output":"want 1, got 2\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Output":"FAIL p\n"}
{"Action":"fail","Package":"p"}
`, false, []string{"want 1, got 2\n", "FAIL p\n", "1 passed, 1 failed, 0 skipped\n"},
		},
		{
			"does not build", `{"Action":"build-output","ImportPath":"p [p.test]","Output":"undefined: x\n"}
{"Action":"build-fail","ImportPath":"p [p.test]"}
{"Action":"fail","Package":"p"}
{"Action":"pass","Package":"q","Test":"TestA"}
`, false, []string{"undefined: x\n", "1 packages failed outside", "1 passed, 0 failed, 0 skipped\n"},
		},
		{
			"a test that never ends", `{"Action":"output","Package":"p","Test":"TestA","Output":"panic: test timed out\n"}
{"Action":"fail","Package":"p"}
`, false, []string{"panic: test timed out\n", "0 passed, 0 failed, 0 skipped\n"},
		},
		{"nothing ran", "go: no packages\n", false, []string{"go: no packages\n", "0 passed, 0 failed, 0 skipped\n"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			good, err := report(strings.NewReader(tc.in), &out)
			if err != nil || good != tc.good {
				t.Errorf("expected good to be %v, got %v: %v", tc.good, good, err)
			}
			rest := out.String()
			for _, want := range tc.want {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Fatalf("%q is not in the output, or not there:\n%s", want, out.String())
				}
				rest = after
			}
			if diff := cmp.Diff("", rest); diff != "" {
				t.Errorf("the count is not the last line:\n%s", diff)
			}
		})
	}
}
