package jsvm_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"statek/internal/jsvm"
)

// TestParserCases reads the cases that parsers of JavaScript share (npm: test262-parser-tests): what is a
// script must be a cell, what is none must be refused. Cells are strict bodies of async functions, so some
// differ: testdata/parser/failures.txt lists them, with the error or with "accepted".
func TestParserCases(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/parser/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases struct{ Pass, Fail map[string]string }
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	known := map[string]string{}
	for _, line := range readLines(t, "testdata/parser/failures.txt") {
		id, why, _ := strings.Cut(line, " ")
		known[id] = why
	}
	m := jsvm.NewInProcess()
	check := func(id, source string, valid bool) {
		_, err := m.Analyze(t.Context(), "", source, jsvm.Limits{})
		why, listed := known[id]
		delete(known, id)
		got := "accepted"
		if err != nil {
			got, _, _ = strings.Cut(err.Error(), "\n")
		}
		switch ok := (err == nil) == valid; {
		case ok && listed:
			t.Errorf("%s is right now, take it out of failures.txt: %s", id, source)
		case !ok && !listed:
			t.Errorf("%s %s # %s", id, got, source)
		case !ok && (got == "accepted") != (why == "accepted"): // which of several errors comes first varies
			t.Errorf("%s: got %s, want %s", id, got, why)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(cases.Pass)) {
		check(id, cases.Pass[id], true)
	}
	for _, id := range slices.Sorted(maps.Keys(cases.Fail)) {
		check(id, cases.Fail[id], false)
	}
	for id := range known {
		t.Errorf("failures.txt: no such case: %s", id)
	}
}
