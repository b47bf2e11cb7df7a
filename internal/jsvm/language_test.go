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
	chapters := languageChapters(t)
	for _, name := range slices.Sorted(maps.Keys(chapters)) {
		for _, a := range chapters[name] {
			total++
			got := languageOutcome(t, a.source)
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

func languageOutcome(t *testing.T, source string) string {
	t.Helper()
	s, err := jsvm.NewInProcess().Open(t.Context(), jsvm.Setup{Grants: []jsvm.Grant{{Name: "fetchIt"}}})
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
