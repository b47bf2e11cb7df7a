package jsvm_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"statek/internal/jsvm"
)

// assertion is one line of testdata/language: a cell, an arrow, and its echo or "! " and part of its error.
// ⏎ stands for a line break.
type assertion struct{ source, want string }

// languageChapters reads the suite: files named like the chapters of the language's own test suite.
func languageChapters(t *testing.T) map[string][]assertion {
	t.Helper()
	files, err := filepath.Glob("testdata/language/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	chapters := map[string][]assertion{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		if name == "failures" {
			continue
		}
		for number, line := range readLines(t, file) {
			source, want, ok := strings.Cut(line, " → ")
			if !ok {
				t.Fatalf("%s: assertion %d has no arrow: %s", file, number+1, line)
			}
			newlines := strings.NewReplacer("⏎", "\n")
			chapters[name] = append(chapters[name], assertion{newlines.Replace(source), newlines.Replace(want)})
		}
	}
	return chapters
}

// readLines leaves blank lines and headings out.
func readLines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool { return line == "" || strings.HasPrefix(line, "# ") })
}

// TestLanguage runs the suite. What does not work is in failures.txt with a reason, and has to be taken out of
// it once it works.
func TestLanguage(t *testing.T) {
	t.Parallel()
	reasons := map[string]string{}
	for _, line := range readLines(t, "testdata/language/failures.txt") {
		source, reason, ok := strings.Cut(line, " → ")
		if !ok || reason == "" {
			t.Fatalf("failures.txt: no reason: %s", line)
		}
		reasons[strings.ReplaceAll(source, "⏎", "\n")] = reason
	}
	total := 0
	machine := jsvm.NewInProcess()
	chapters := languageChapters(t)
	for _, name := range slices.Sorted(maps.Keys(chapters)) {
		for _, a := range chapters[name] {
			total++
			got := languageOutcome(t, machine, a.source)
			passed := got == a.want
			if text, ok := strings.CutPrefix(a.want, "! "); ok {
				passed = strings.HasPrefix(got, "! ") && strings.Contains(got, text)
			}
			reason, known := reasons[a.source]
			delete(reasons, a.source)
			switch {
			case passed && known:
				t.Errorf("%s: works now, take it out of failures.txt: %s", name, a.source)
			case !passed && !known:
				t.Errorf("%s: %s\n got %s\nwant %s", name, a.source, got, a.want)
			case !passed:
				t.Logf("%s: %s: %s", name, a.source, reason)
			}
		}
	}
	for source := range reasons {
		t.Errorf("failures.txt: no such assertion: %s", source)
	}
	if total < 500 {
		t.Fatalf("only %d assertions", total)
	}
}

func languageOutcome(t *testing.T, machine jsvm.Machine, source string) string {
	t.Helper()
	s, err := machine.Open(t.Context(), jsvm.Setup{Grants: []jsvm.Grant{{Name: "fetchIt"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	step := run(t, s, source)
	switch {
	case step.Err != nil:
		return "! " + step.Err.Error()
	case step.Echo == "":
		return "undefined"
	}
	return step.Echo
}

// TestMendedCodeIsMendedAgainWhenItIsRestored: a function is read again from its source.
func TestMendedCodeIsMendedAgainWhenItIsRestored(t *testing.T) {
	t.Parallel()
	s := open(t, jsvm.Setup{})
	run(t, s, "function f(a, b, c) { return [a < b < c, 'éé'.replace(/\\p{L}/u, '-'), /\\p{Script=Greek}/u.test('α'), "+
		"b"+strings.Repeat(" - 1", 200)+"].join() }")
	for range 2 {
		if got := outcome(run(t, s, "f(1, 2, 3)")); got != "true,-é,true,-198" {
			t.Errorf("got %s", got)
		}
		s, _, _ = reopen(t, s, nil, jsvm.Limits{})
	}
}

// TestAbsentGlobalsStayUndeclared: what is explained is still free for a cell to declare, and still free in
// the analysis.
func TestAbsentGlobalsStayUndeclared(t *testing.T) {
	t.Parallel()
	a, err := jsvm.NewInProcess().Analyze(t.Context(), "", "typeof process; await fetch(url)", jsvm.Limits{})
	if err != nil || strings.Join(a.Free, " ") != "fetch url" {
		t.Fatalf("got %+v, %v", a, err)
	}
	s := open(t, jsvm.Setup{})
	step := run(t, s, "Promise.reject(1).catch(() => { window.x }); try { setTimeout(1) } catch (e) { print(e) }")
	want := []string{"setTimeout is not available in cells: await sleep('10s') waits", "Unhandled rejection: ReferenceError: window is not available in cells"}
	if len(step.Console) != 2 || !strings.Contains(step.Console[0], want[0]) || !strings.Contains(step.Console[1], want[1]) {
		t.Errorf("got %q", step.Console)
	}
	if got := outcome(run(t, s, "const fetch = 1; fetch")); got != "1" {
		t.Errorf("got %s", got)
	}
	s, _, _ = reopen(t, s, nil, jsvm.Limits{})
	if got := outcome(run(t, s, "fetch + typeof window")); got != "1undefined" {
		t.Errorf("got %s", got)
	}
}
